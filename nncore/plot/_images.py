"""Images side by side: digits with what was read in them, and the weights of the first layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import _validation
from nncore._validation import counted
from nncore.plot._axes import ORANGE, need_matplotlib, plain, take

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from nncore.network import Network
    from nncore.plot._axes import Where


def digits(
    images: ArrayLike,
    labels: ArrayLike | None = None,
    predictions: ArrayLike | None = None,
    *,
    classes: Sequence[object] | None = None,
    columns: int | None = None,
    shape: tuple[int, int] | None = None,
    title: str | None = None,
    ax: Where = None,
) -> Axes:
    """Draw images as a grid, each under its label or prediction; wrong ones are framed.

    Parameters
    ----------
    images : array_like
        (n, height, width), or (n, pixels) of square images or of those of `shape`.
    labels, predictions : array_like of int, optional
        (n,). With both, a wrong one has a frame, a cross, and both names.
    classes : sequence, optional
        The names of the labels 0, 1, ...; ``net.classes``.
    columns : int, optional
        Of the grid; by default it is about 8 to 5.
    shape : (int, int), optional
        Height and width of images given as rows of pixels.
    title : str, optional
        By default it says how many there are, or how many are right.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None: in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        The images have another shape, or labels or predictions are not as many class labels.

    Examples
    --------
    >>> import nncore
    >>> x, t = nncore.datasets.make_digits(40, seed=1)
    >>> nncore.plot.digits(x, t, nncore.load_pretrained().predict(x))  # doctest: +SKIP
    """
    tiles = _tiles(images, shape, "images")
    n, height, width = tiles.shape
    true, read = (
        None if values is None else class_labels(values, name, n)
        for values, name in ((labels, "labels"), (predictions, "predictions"))
    )
    names = Names(classes)
    if title is None:
        both = true is not None and read is not None
        title = f"{int(np.sum(true == read)):,} of {n:,} right" if both else counted(n, "image")
    captions, wrong = _captions(true, read, names, n)
    columns = _columns(n, columns, 1.6)
    ax, corners = _montage(ax, tiles, columns, 0.45, (0.08, 0.2), title, "gray_r")
    from matplotlib.patches import Rectangle

    for (left, top), caption, is_wrong in zip(corners, captions, wrong, strict=True):
        ax.text(
            left + width / 2, top - 0.06 * height, caption, ha="center", va="bottom", fontsize=8,
            weight="bold" if is_wrong else "normal",
        )  # fmt: skip
        if is_wrong:
            frame = (left - 0.5, top - 0.5)
            ax.add_patch(Rectangle(frame, width, height, fill=False, color=ORANGE, linewidth=2))
    return ax


def weights(
    net: Network, *, count: int = 100, shape: tuple[int, int] | None = None, ax: Where = None
) -> Axes:
    """Draw the weights of the first layer as images, one for each node, all on one scale.

    Red adds to the weighted sum, blue takes away. The largest half percent have the darkest colour.

    Parameters
    ----------
    net : Network
        Its first Dense layer takes the pixels of an image.
    count : int, optional
        Of a wider layer, the first so many nodes are drawn.
    shape : (int, int), optional
        Height and width of an image; by default it is square.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None: in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        The inputs are no such image.

    Examples
    --------
    >>> nncore.plot.weights(nncore.load_pretrained("digits"))  # doctest: +SKIP
    """
    layer = dense_layers(net)[0]
    w = np.asarray(layer.dequantized if layer.is_quantized else layer.weights)
    shown = min(_validation.size(count, "count"), w.shape[1])
    tiles = _tiles(w.T[:shown], shape, "the weights")
    title = counted(w.shape[1], "node") + " of the first layer, row by row"
    if shown < w.shape[1]:
        title = f"the first {shown} of {title}"
    # A few weights are far larger than all others, which would all look white beside them.
    finite = np.abs(tiles[np.isfinite(tiles)])
    most = float(np.quantile(finite, 0.995)) if finite.size else 0.0
    most = most or 1.0
    need_matplotlib()
    from matplotlib import colormaps

    colors = colormaps["RdBu_r"].resampled(33)  # so few that a picture in a file is small
    columns = _columns(shown, None, 1.6)
    ax, _ = _montage(ax, tiles, columns, 0.0, (0.1, 0.1), title, colors, (-most, most))
    bar = ax.figure.colorbar(ax.images[0], ax=ax, shrink=0.8, aspect=30, extend="both")
    bar.set_label("weight")
    return ax


def dense_layers(net: Network) -> list[Any]:
    """Return the layers of `net` that have weights."""
    return [layer for layer in net.layers if layer.is_dense]


def class_labels(values: ArrayLike, name: str, n: int | None = None) -> NDArray[np.int64]:
    """Return class labels as whole numbers (n,)."""
    array = _validation.array(values, name)
    if array.ndim != 1 or (n is not None and len(array) != n):
        expected = "(n,)" if n is None else f"({n},)"
        raise ValueError(f"{name} has shape {array.shape}, expected {expected}: one class each")
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {array.dtype}, expected whole numbers: 0, 1, 2, ...")
    if array.size and int(array.min()) < 0:
        raise ValueError(f"{name} has the class {array.min()}, expected 0, 1, 2, ...")
    return array.astype(np.int64)


class Names:
    """What the classes are called: their numbers where they have no names."""

    def __init__(self, classes: Sequence[object] | None) -> None:
        self.known = None if classes is None else [plain(name, 14) for name in classes]

    def __call__(self, label: int) -> str:
        """Return the name of a class."""
        if self.known is None:
            return str(label)
        if label >= len(self.known):
            raise ValueError(f"there is a class {label}, expected 0 to {len(self.known) - 1}")
        return self.known[label]


def _captions(true: Any, read: Any, names: Names, n: int) -> tuple[list[str], list[bool]]:
    if true is None or read is None:
        some = true if read is None else read
        return [""] * n if some is None else [names(int(k)) for k in some], [False] * n
    wrong = (true != read).tolist()
    captions = [
        f"✗ {names(int(r))}, is {names(int(t))}" if t != r else names(int(t))
        for t, r in zip(true, read, strict=True)
    ]
    return captions, wrong


def _tiles(images: ArrayLike, shape: tuple[int, int] | None, name: str) -> NDArray[Any]:
    """Return images as (n, height, width) float64."""
    array = _validation.array(images, name)
    if array.ndim == 2:
        side = round(array.shape[1] ** 0.5)
        height, width = (side, side) if shape is None else shape
        if height * width != array.shape[1]:
            square = "a square number where no height and width are given"
            what = square if shape is None else f"{height} x {width}"
            raise ValueError(f"{name} have {array.shape[1]} pixels, expected {what}")
        array = array.reshape(len(array), height, width)
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(
            f"{name} have shape {array.shape}, expected (n, height, width) or (n, pixels), n >= 1"
        )
    return array.astype(np.float64)


def _columns(n: int, columns: int | None, ratio: float) -> int:
    if columns is not None:
        return min(_validation.size(columns, "columns"), n)
    return max(1, min(n, round(float(np.sqrt(n * ratio)))))


def _montage(
    where: Where, tiles: NDArray[Any], columns: int, caption: float, gaps: tuple[float, float],
    title: str, colors: Any, limits: tuple[float, float] | None = None,
) -> tuple[Axes, list[tuple[int, int]]]:  # fmt: skip
    """Draw the tiles as one image; return the axes and the left top corner of each tile.

    caption and gaps: room above a tile, and between tiles, as shares of its height and width.
    """
    n, height, width = tiles.shape
    rows = -(-n // columns)
    across = width + max(1, round(gaps[0] * width))
    down = height + max(1, round((caption + gaps[1]) * height))
    above = round(caption * height)
    sheet = np.full((rows * down, columns * across), np.nan)
    corners = []
    for k, tile in enumerate(tiles):
        i, j = divmod(k, columns)
        top, left = i * down + above, j * across
        sheet[top : top + height, left : left + width] = tile
        corners.append((left, top))
    size = 6.4
    ax = take(where, size, size * sheet.shape[0] / sheet.shape[1] + 0.5)
    finite = tiles[np.isfinite(tiles)]  # what is not stays white
    low, high = limits or ((finite.min(), finite.max()) if finite.size else (0, 1))
    ax.imshow(np.ma.masked_invalid(sheet), cmap=colors, vmin=low, vmax=high, interpolation="none")
    ax.set_title(title)
    ax.set_axis_off()
    return ax, corners
