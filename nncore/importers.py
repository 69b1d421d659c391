"""Networks of other libraries as nncore's: one function for each library."""

from __future__ import annotations

from nncore.formats import Contents
from nncore.network import Network

__all__: list[str] = []


def _network(contents: Contents) -> Network:
    return Network(contents.layers, dtype=contents.dtype, classes=contents.classes)
