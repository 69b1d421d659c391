"""Two numbers as a plane: XOR's regions, and the loss over two weights."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import _validation, activations
from nncore._validation import counted
from nncore.plot._axes import BLUE, ORANGE, PALE_BLUE, PALE_ORANGE, panels, take
from nncore.plot._images import dense_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from nncore.network import Network
    from nncore.plot._axes import Where

    Weight = tuple[int, int, int]

_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
_XOR = np.array([0, 1, 1, 0])
_CELLS = 240  # of a region's image, each way
_SURFACE_CELLS = 51  # of a loss surface, each way: each takes a pass through the network


def xor_regions(
    net: Network | None = None, *, perceptron: Network | None = None, ax: Where = None
) -> Axes:
    """Draw XOR before and after a hidden layer, and as the hidden layer sees it.

    Three panels: the regions of a single perceptron, which one straight line separates; those of a
    network with a hidden layer; and the plane of the two hidden nodes, where the four samples lie
    so that a straight line will do. A sample that is on the wrong side has a cross.

    Parameters
    ----------
    net : Network, optional
        Two inputs, one hidden layer of two nodes, one output; more than 1/2 stands for 1. By
        default OR and NAND, then AND.
    perceptron : Network, optional
        Two inputs, one output; by default OR.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None: in a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The sheet; ``ax.child_axes`` has the three panels.

    Raises
    ------
    ValueError
        A network has other sizes.

    Examples
    --------
    >>> nncore.plot.xor_regions()  # doctest: +SKIP
    """
    from nncore.network import Network

    gates = [np.array([[0.5, -0.5], [0.5, -0.5]]), np.array([[0.5], [0.5]])]
    if net is None:
        biases = [np.array([-0.2, 0.7]), np.array([-0.7])]
        net = Network.from_arrays(gates, biases, ["step", "step"])
    if perceptron is None:
        perceptron = Network.from_arrays([gates[1]], [np.array([-0.2])], ["step"])
    for each, name, expected in ((net, "net", [2, 2, 1]), (perceptron, "perceptron", [2, 1])):
        dense = dense_layers(each)
        sizes = [each.in_features, *(layer.out_features for layer in dense)]
        if sizes != expected or len(each.layers) != len(dense):
            text = "-".join(map(str, sizes))
            raise ValueError(f"{name} is {text}, expected {'-'.join(map(str, expected))}")
    last = Network([copy.deepcopy(dense_layers(net)[1])], dtype=net.dtype)
    hidden = np.asarray(net.trace(_CORNERS)[0].activation)
    ax = take(ax, 7.4, 3.0)
    plain, deep, inside = panels(ax, 1, 3, 3, (42, 0))
    unit = (-0.4, 1.4, -0.4, 1.4)
    _regions(plain, perceptron, _CORNERS, unit, "One perceptron")
    _regions(deep, net, _CORNERS, unit, "With a hidden layer")
    low, high = float(hidden.min()), float(hidden.max())
    edge = 0.4 * ((high - low) or 1.0)
    _regions(inside, last, hidden, (low - edge, high + edge) * 2, "As the hidden layer sees it")
    for panel in (plain, deep):
        panel.set(xlabel="input 1", ylabel="input 2", xticks=(0, 1), yticks=(0, 1))
    inside.set(xlabel="hidden node 1", ylabel="hidden node 2")
    inside.locator_params(nbins=4)  # few numbers are short: long ones reach the panel beside
    return ax


def _regions(
    ax: Any, net: Network, points: NDArray[Any], extent: tuple[float, ...], title: str
) -> None:
    """Draw where a network says 1, and XOR's four samples at `points` (4, 2)."""
    from matplotlib.colors import ListedColormap

    middles = (np.arange(_CELLS) + 0.5) / _CELLS
    left, right, bottom, top = extent
    x, y = np.meshgrid(left + (right - left) * middles, bottom + (top - bottom) * middles)
    says = np.asarray(net(np.stack([x.ravel(), y.ravel()], axis=1)))[:, 0].reshape(x.shape) > 0.5
    ax.imshow(
        says, cmap=ListedColormap([PALE_BLUE, PALE_ORANGE]), vmin=0, vmax=1, extent=extent,
        origin="lower", aspect="auto", interpolation="none",
    )  # fmt: skip
    is_as_wanted = (np.asarray(net(points))[:, 0] > 0.5) == (_XOR == 1)
    names: dict[tuple[float, float], list[str]] = {}
    for point, corner, is_one, is_right in zip(points, _CORNERS, _XOR, is_as_wanted, strict=True):
        marker, color = ("s", ORANGE) if is_one else ("o", BLUE)
        ax.plot(*point, marker, color=color, markeredgecolor="black", markersize=9, clip_on=False)
        if not is_right:
            ax.plot(*point, "x", color="black", markersize=18, markeredgewidth=2, label="wrong")
        names.setdefault((point[0], point[1]), []).append("{:g}, {:g}".format(*corner))
    for place, corners in names.items():  # two samples may lie on one place
        ax.annotate("\n".join(corners), place, (9, 8), textcoords="offset points", fontsize=8)
    mistakes = int((~is_as_wanted).sum())
    ax.set_title(f"{title}\n{mistakes or 'none'} of 4 wrong", fontsize=10)


def loss_surface(
    net: Network | None = None,
    x: ArrayLike | None = None,
    t: ArrayLike | None = None,
    *,
    weights: tuple[Weight, Weight] = ((0, 0, 0), (1, 0, 0)),
    starts: Sequence[tuple[float, float]] | None = None,
    loss: str | None = None,
    rate: float = 0.3,
    steps: int = 25,
    ax: Where = None,
) -> Axes:
    """Draw the loss over two weights of a network, and gradient descent on it.

    Parameters
    ----------
    net : Network, optional
        By default 1-1-1, tanh and no biases, which has two valleys and a saddle between them. It is
        not changed: all weights but two stay as they are in a copy.
    x, t : array_like
        Samples and targets, as for `Network.gradients`; needed with a `net` of your own.
    weights : two of (int, int, int), optional
        Layer, input and node of each of the two weights, counted from 0.
    starts : sequence of (float, float), optional
        Where descents begin; by default at the present weights.
    loss : str, optional
        As for `Network.gradients`.
    rate : float, optional
        How far along the gradient a step goes.
    steps : int, optional
        How many there are in each descent.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None: in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        There is no such weight; x or t are missing or do not fit; the descent leaves all bounds.

    Examples
    --------
    >>> nncore.plot.loss_surface(rate=0.5, steps=40)  # doctest: +SKIP
    """
    if net is None:
        if x is not None or t is not None:
            raise ValueError("x and t are given without net, expected all three or none")
        net, x, t, starts, loss = _two_valleys(starts)
    elif x is None or t is None:
        raise ValueError("x or t is missing, expected both with a net of your own")
    points = _Points(net, weights, x, t, loss)
    rate, steps = _validation.number(rate, "rate"), _validation.size(steps, "steps")
    begins = [points.now] if starts is None else [np.array(start, float) for start in starts]
    if not begins or any(begin.shape != (2,) for begin in begins):
        raise ValueError(f"starts are {starts}, expected a pair of weights for each descent")
    paths = [points.descend(start, rate, steps) for start in begins]
    everything = np.concatenate(paths)
    if not np.isfinite(everything).all() or np.abs(everything).max() > 1e6:
        raise ValueError(f"rate is {rate:g}, expected less: the descent leaves all bounds")
    low, high = everything.min(axis=0), everything.max(axis=0)
    edge = np.maximum(0.35 * (high - low), 0.25)
    low, high = low - edge, high + edge
    u, v = np.meshgrid(*np.linspace(low, high, _SURFACE_CELLS).T)
    heights = np.array([points.at(pair)[0] for pair in zip(u.ravel(), v.ravel(), strict=True)])
    heights = heights.reshape(u.shape)
    ax = take(ax)
    from matplotlib.colors import PowerNorm

    # Closer at the bottom, where the valleys are flat.
    least, most = float(heights.min()), float(heights.max())
    levels = least + (most - least or 1.0) * np.linspace(0, 1, 13) ** 2.5
    power = PowerNorm(0.4, levels[0], levels[-1])
    # As pixels in a file, which would hold thousands of corners else.
    ax.set_rasterization_zorder(0)
    shades = ax.contourf(u, v, heights, levels, cmap="Blues_r", norm=power, zorder=-1)
    ax.contour(u, v, heights, levels, colors="white", linewidths=0.6)
    ax.figure.colorbar(shades, ax=ax, label="loss", format="%.2g")
    for i, path in enumerate(paths):
        ax.plot(
            *path.T, "-o", color=ORANGE, markersize=4, linewidth=1.5,
            label=f"{counted(steps, 'step')} at rate {rate:g}",
        )  # fmt: skip
        for point, marker, label in ((path[0], "o", "start"), (path[-1], "*", "end")):
            size = 9 if marker == "o" else 15
            ax.plot(
                *point, marker, color="white", markeredgecolor="black", markersize=size,
                linestyle="none", label=label,
            )  # fmt: skip
        if i == 0:
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False, ncols=3)
    names = [f"weight of layer {k + 1}, input {i + 1}, node {j + 1}" for k, i, j in weights]
    ax.set(xlabel=names[0], ylabel=names[1], title="Down the loss, step by step")
    return ax


class _Points:
    """The loss of a network, and its slopes, as a function of two of its weights."""

    def __init__(self, net: Network, weights: Any, x: Any, t: Any, loss: str | None) -> None:
        self.net = copy.deepcopy(net)
        self.dense = dense_layers(self.net)
        self.data, self.loss = (x, t), loss
        self.weights = [tuple(weight) for weight in weights]
        if len(self.weights) != 2:
            raise ValueError(f"weights has length {len(self.weights)}, expected 2")
        for weight in self.weights:
            shapes = [layer.weights.shape for layer in self.dense]
            k, i, j = weight if len(weight) == 3 else (-1, 0, 0)
            if not (0 <= k < len(shapes) and 0 <= i < shapes[k][0] and 0 <= j < shapes[k][1]):
                known = ", ".join(map(str, shapes))
                raise ValueError(
                    f"weights has {weight}, expected layer, input and node within {known}"
                )
        self.now = np.array([self.dense[k].weights[i, j] for k, i, j in self.weights], float)

    def at(self, pair: Any) -> tuple[float, NDArray[Any]]:
        """Return the loss and its two slopes with these two weights."""
        for (k, i, j), value in zip(self.weights, pair, strict=True):
            changed = np.array(self.dense[k].weights)
            changed[i, j] = value
            self.dense[k].weights = changed
        loss, gradients = self.net.gradients(*self.data, loss=self.loss)
        return loss, np.array([gradients[k][0][i, j] for k, i, j in self.weights])

    def descend(self, start: NDArray[Any], rate: float, steps: int) -> NDArray[Any]:
        """Return the points (steps + 1, 2) of gradient descent."""
        path = [start]
        for _ in range(steps):
            path.append(path[-1] - rate * self.at(path[-1])[1])
            if not np.abs(path[-1]).max() < 1e6:
                break
        return np.array(path)


def _two_valleys(starts: Any) -> tuple[Network, Any, Any, Any, str]:
    """Return the default: x goes through tanh to 1.2 tanh(1.5 x), which -1.2 and -1.5 give, too."""
    from nncore.network import Network

    net = Network.from_arrays([[[0.3]], [[0.3]]], None, ["tanh", "identity"], dtype="float64")
    x = np.linspace(-2, 2, 21)[:, None]
    t = 1.2 * activations.get("tanh")(1.5 * x)
    if starts is None:
        starts = [(0.35, -1.4), (-0.35, 1.0), (-2.2, -0.2)]
    return net, x, t, starts, "mse"
