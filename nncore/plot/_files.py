"""Figures as files: the same bytes each time, whole or not at all, without pyplot and a screen."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from nncore.formats._files import file_name, replacing
from nncore.plot._axes import need_matplotlib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matplotlib.figure import Figure

# Neither has a date or the version of the library in it.
_METADATA: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None, "Creator": None},
    ".png": {"Software": None},
}


def ending_of(path: str | os.PathLike[str]) -> str:
    """Return the ending of a path, one that a figure can be written as."""
    name = file_name(path)
    ending = os.path.splitext(name)[1].lower()
    if ending not in _METADATA:
        raise ValueError(f"the file is {name!r}, expected a name that ends in .svg or .png")
    return ending


@contextmanager
def fixed_style() -> Iterator[None]:
    """Draw as matplotlib does by itself, whatever the user's own settings are."""
    need_matplotlib()
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        # No random identifiers; text stays text, small and to be searched for.
        matplotlib.rcParams.update({"svg.hashsalt": "nncore", "svg.fonttype": "none"})
        yield


def write(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure that was drawn in the fixed style, which has to be set still."""
    ending = ending_of(path)
    memory = BytesIO()
    with warnings.catch_warnings():
        if ending == ".svg":  # whose reader brings the letters that matplotlib's font lacks
            warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.savefig(
            memory, format=ending[1:], metadata=_METADATA[ending], dpi=150, facecolor="white",
            bbox_inches="tight",
        )  # fmt: skip
    with replacing(file_name(path)) as file:
        file.write(memory.getvalue())


def save(path: str | os.PathLike[str], draw: Callable[[Figure], object]) -> None:
    """Write what `draw` draws to an empty figure."""
    ending_of(path)
    with fixed_style():
        from matplotlib.figure import Figure

        figure = Figure(layout="constrained")
        draw(figure)
        write(figure, path)
