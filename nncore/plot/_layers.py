"""How the numbers inside a network are spread, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nncore.plot._axes import BLUE, ORANGE, panels, quiet, take
from nncore.plot._images import dense_layers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from nncore.network import Network
    from nncore.plot._axes import Where

_BINS = 60


def layer_activations(net: Network, x: ArrayLike, *, ax: Where = None) -> Axes:
    """Draw how the activations of each layer are spread over nodes and samples.

    Each shape is a histogram on its side, and the bar in it the median, of those that are not
    exactly 0; how many are 0 stands below. Each layer has its own scale.

    Parameters
    ----------
    net : Network
    x : array_like
        (n, in_features), as for a call.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None: in a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The sheet; ``ax.child_axes`` has a panel for each layer.

    Raises
    ------
    ValueError, TypeError
        x does not fit the network, or an activation is not finite.

    Examples
    --------
    >>> import nncore
    >>> x, t = nncore.datasets.make_digits(500, seed=1)
    >>> nncore.plot.layer_activations(nncore.load_pretrained(), x)  # doctest: +SKIP
    """
    arrays = [np.asarray(step.activation) for step in net.trace(x)]
    if not arrays[0].size:
        raise ValueError("x is empty, expected one sample at least")
    names = _names(net, arrays, "activations")
    ax = take(ax, _width(len(arrays)), 3.6)
    for panel, array, name in zip(
        panels(ax, 1, len(arrays), len(arrays), (36, 0)), arrays, names, strict=True
    ):
        values = array[array != 0].astype(np.float64)
        if values.size:
            _histogram(panel, 0, values, logarithmic=False, color=BLUE)
        panel.set_xticks([0], [name])
        _finish(panel)
    ax.child_axes[0].set_ylabel("activation")
    ax.set_title("Activations, layer by layer")
    return ax


def layer_gradients(
    net: Network, x: ArrayLike, t: ArrayLike, *, loss: str | None = None, ax: Where = None
) -> Axes:
    """Draw how large the derivatives of the loss by the weights of each layer are.

    As for `layer_activations`, but all layers on one scale, a logarithmic one, and without the
    smallest two percent.

    Parameters
    ----------
    net : Network
    x, t : array_like
        Samples and targets, as for `Network.gradients`.
    loss : str, optional
        As for `Network.gradients`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None: in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        The samples do not fit the network, or a gradient is not finite.

    Examples
    --------
    >>> import nncore
    >>> x, t = nncore.datasets.make_digits(500, seed=1)
    >>> nncore.plot.layer_gradients(nncore.load_pretrained(), x, t)  # doctest: +SKIP
    """
    gradients = [dw for dw, _ in net.gradients(x, t, loss=loss)[1]]
    names = _names(net, gradients, "gradients")
    ax = take(ax, _width(len(gradients)), 3.6)
    ax.set_yscale("log")
    for i, array in enumerate(gradients):
        values = np.abs(array[array != 0].astype(np.float64))
        if values.size:
            # The far end of the small ones is rounding, and would squeeze all the rest.
            values = np.log10(values[values >= np.quantile(values, 0.02)])
            _histogram(ax, i, values, logarithmic=True, color=ORANGE)
    turned: dict[str, Any] = {"rotation": 30, "ha": "right"} if len(gradients) > 8 else {}
    ax.set_xticks(range(len(gradients)), names, **turned)
    ax.set(xlabel="layer", ylabel="size of a weight's gradient", title="Gradients, layer by layer")
    _finish(ax)
    return ax


def _width(layers: int) -> float:
    return min(max(4.0, 0.8 * layers + 1.2), 12.0)


def _finish(ax: Axes) -> None:
    quiet(ax)
    ax.grid(False, axis="x")
    ax.tick_params(axis="x", labelsize=8, length=0)


def _names(net: Network, arrays: list[NDArray[Any]], what: str) -> list[str]:
    """Return what stands below each layer, and refuse what is not finite."""
    names = []
    for number, (layer, array) in enumerate(zip(dense_layers(net), arrays, strict=True), 1):
        bad = int((~np.isfinite(array)).sum())
        if bad:
            raise ValueError(
                f"layer {number} has {bad:,} {what} that are NaN or infinite, expected none"
            )
        kind = layer.activation if isinstance(layer.activation, str) else "a callable"
        zeros = float((array == 0).mean())
        names.append(f"{number}: {kind}" + (f"\n{zeros:.1%} are 0" if zeros else ""))
    return names


def _histogram(ax: Axes, place: int, values: NDArray[Any], logarithmic: bool, color: str) -> None:
    counts, edges = np.histogram(values, _BINS)
    half = 0.42 * counts / counts.max()
    median = float(np.median(values))
    if logarithmic:
        edges, median = 10.0**edges, 10.0**median
    half = np.append(half, half[-1])  # step="post" draws the last bin up to the last edge
    ax.fill_betweenx(
        edges, place - half, place + half, step="post", color=color, alpha=0.45, linewidth=0
    )
    ax.hlines(median, place - 0.25, place + 0.25, color="black", linewidth=1.5)
