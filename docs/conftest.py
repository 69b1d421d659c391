"""What pytest leaves out of this folder: the site's settings, which need Sphinx."""

from pathlib import Path

collect_ignore = [path.name for path in Path(__file__).parent.glob("*.py")]
