"""Import time beside `import numpy`, each import in a fresh interpreter."""

from __future__ import annotations

from typing import Any

import pytest

from . import peers, presence


@pytest.mark.parametrize("name", presence.IMPORTS)
def test_import(benchmark: Any, name: str) -> None:
    """A whole process that does nothing but import; seconds and bytes are in `extra_info`."""
    try:
        version = peers.version(name)
    except peers.Missing as error:
        pytest.skip(str(error))
    benchmark.group = "import in a fresh process"
    seconds, rss = benchmark.pedantic(presence.import_cost, args=(name,), rounds=3)
    benchmark.extra_info |= {"import_seconds": seconds, "resident_bytes": rss, "version": version}
    assert seconds > 0
