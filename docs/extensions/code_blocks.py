"""Code on the pages: without the empty line at the end, which the tests of `>>>` need."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.transforms import SphinxTransform


class StripEnd(SphinxTransform):
    """Removes empty lines at the end of blocks of code."""

    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        for block in self.document.findall(nodes.literal_block):
            text = block.astext().rstrip("\n")
            block.rawsource = text
            block.children = []
            block += nodes.Text(text)


def setup(app: Any) -> dict[str, bool]:
    app.add_transform(StripEnd)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
