"""Figures to draw to, and a watch over those that a test leaves behind."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def figure():
    """An empty figure that pyplot knows nothing of."""
    from matplotlib.figure import Figure

    return Figure()


@pytest.fixture(autouse=True)
def pyplot():
    """pyplot without a screen; a test that leaves one of its figures open fails."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    settings = dict(matplotlib.rcParams)
    yield pyplot
    assert pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) == settings


@pytest.fixture
def no_matplotlib(monkeypatch):
    """An environment where matplotlib is not installed."""
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
