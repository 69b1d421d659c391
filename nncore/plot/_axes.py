"""Where plots are drawn, in which colours, and the panels of a sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    Where: TypeAlias = Axes | FigureBase | None

# The colours of Okabe and Ito, which colour-blind people tell apart as well, and two pale ones for
# areas, on which black is readable.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
PALE_BLUE, PALE_ORANGE = "#C5DFF0", "#FBD9B9"
LINES = ("-", "--", "-.", ":")  # beside the colours, for those who see none


def need_matplotlib() -> None:
    """Raise an ImportError that says what to install, where matplotlib is missing."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError("plot needs matplotlib: pip install matplotlib") from error


def take(ax: Where, width: float = 6.4, height: float = 4.8) -> Axes:
    """Return the axes to draw to; new ones, in a figure of that many inches, if there are none.

    None stands for a new figure of pyplot's. A figure without axes, as those have it that draw
    without pyplot, gets the size that suits.
    """
    need_matplotlib()
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

    if isinstance(ax, Axes):
        return ax
    if ax is None:
        from matplotlib import pyplot

        made: Figure = pyplot.figure(figsize=(width, height), layout="constrained")
        return made.add_subplot()
    if not isinstance(ax, FigureBase):
        raise TypeError(f"ax is of type {type(ax).__name__}, expected Axes of matplotlib's")
    if ax.axes:
        raise ValueError("ax is a figure that has axes already, expected one of these")
    if isinstance(ax, Figure):
        ax.set_size_inches(width, height)
    return ax.add_subplot()


def panels(
    ax: Axes, rows: int, columns: int, count: int, gaps: tuple[float, float] = (34, 44)
) -> list[Any]:
    """Return so many axes inside `ax`, row by row, with gaps of so many points; empty `ax` itself.

    `ax.child_axes` has them afterwards.
    """
    ax.set_axis_off()
    box, dots = ax.get_window_extent(), ax.figure.dpi / 72
    gap_x, gap_y = (min(gaps[0] * dots / box.width, 0.2), min(gaps[1] * dots / box.height, 0.2))
    width = (1 - gap_x * (columns - 1)) / columns
    height = (1 - gap_y * (rows - 1)) / rows
    places = [divmod(i, columns) for i in range(count)]
    return [
        ax.inset_axes((j * (width + gap_x), 1 - height - i * (height + gap_y), width, height))
        for i, j in places
    ]


def plain(text: object, most: int = 40) -> str:
    """Return text from elsewhere fit to be drawn: short, and never read as mathematics.

    Characters that do not print, which no SVG may have, become question marks.
    """
    shown = "".join(c if c.isprintable() else "?" for c in str(text)[: most + 1])
    if len(shown) > most:
        shown = shown[: most - 1] + "…"
    return shown.replace("$", r"\$")


def quiet(ax: Axes) -> None:
    """Leave only the two spines that carry ticks, and a faint grid behind the artists."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, linewidth=0.4, color="0.85")
    ax.set_axisbelow(True)
