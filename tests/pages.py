"""The programs on the pages in examples/: blocks of code whose first line is a file's name."""

from __future__ import annotations

import re
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def program(page, name):
    """The text of the block of `page` that begins with `# name`."""
    text = (EXAMPLES / page).read_text()
    blocks = re.findall(r"^```python\n# (\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (found,) = [block for title, block in blocks if title == name]
    return found
