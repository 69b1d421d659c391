"""What came out: confusion matrix, the course of a training, time by batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import _validation
from nncore.history import History
from nncore.plot._axes import BLUE, GREEN, LINES, ORANGE, PURPLE, panels, plain, quiet, take
from nncore.plot._images import Names, class_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from nncore.network import Network
    from nncore.plot._axes import Where

_MOST_CLASSES = 40  # with more, the numbers in the cells cannot be read
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


def confusion_matrix(
    t: ArrayLike,
    predictions: ArrayLike,
    *,
    classes: Sequence[object] | None = None,
    ax: Where = None,
) -> Axes:
    """Draw how often each class was taken for each: rows are labels, columns are predictions.

    The diagonal is right, in blue; mistakes are orange, the darker the more of their row. A cell
    without a number counts 0.

    Parameters
    ----------
    t, predictions : array_like of int
        (n,), classes 0, 1, ...
    classes : sequence, optional
        The names of the classes; ``net.classes``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None: in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        t and predictions are not as many classes, or there are more than 40 or fewer than `classes`
        has names for.

    Examples
    --------
    >>> nncore.plot.confusion_matrix([0, 1, 1], [0, 1, 0], classes=["cat", "dog"])  # doctest: +SKIP
    """
    true = class_labels(t, "t")
    read = class_labels(predictions, "predictions", len(true))
    if not len(true):
        raise ValueError("t is empty, expected one sample at least")
    most = int(max(true.max(), read.max()))
    names = Names(classes)
    m = most + 1 if classes is None else len(classes)
    if m > _MOST_CLASSES:
        raise ValueError(f"there are {m} classes, expected at most {_MOST_CLASSES}")
    names(most)  # which refuses a class without a name
    labels = [names(k) for k in range(m)]
    counts = np.bincount(true * m + read, minlength=m * m).reshape(m, m)
    side = max(4.2, 0.46 * m + 1.4)
    ax = take(ax, side, side)
    ax.imshow(_cell_colors(counts), interpolation="none")
    for i, j in np.argwhere(counts).tolist():
        ax.text(
            j, i, f"{counts[i, j]:,}", ha="center", va="center", fontsize=8,
            weight="normal" if i == j else "bold",
        )  # fmt: skip
    turned: dict[str, Any] = {"rotation": 45, "ha": "right"} if max(map(len, labels)) > 3 else {}
    ax.set_xticks(range(m), labels, **turned)
    ax.set_yticks(range(m), labels)
    ax.set_xticks(np.arange(m - 1) + 0.5, minor=True)
    ax.set_yticks(np.arange(m - 1) + 0.5, minor=True)
    ax.grid(True, which="minor", color="white", linewidth=1)
    ax.tick_params(which="both", length=0)
    right = int(counts.trace())
    ax.set(xlabel="prediction", ylabel="label")
    ax.set_title(f"{right:,} of {len(true):,} right ({right / len(true):.2%})")
    return ax


def _cell_colors(counts: NDArray[Any]) -> NDArray[Any]:
    """Return (m, m, 3) colours, none of them too dark for black numbers."""
    m = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    is_right = np.eye(m, dtype=bool)
    worst = shares[~is_right].max(initial=0.0)
    # A mistake is never so rare that its cell looks empty.
    strength = np.where(counts > 0, 0.25 + 0.75 * shares / (worst or 1.0), 0.0)
    strength[is_right] = shares[is_right]
    ends = np.where(is_right[..., None], (0.45, 0.71, 0.87), (0.96, 0.60, 0.28))
    return np.asarray(0.97 + strength[..., None] * (ends - 0.97))


def history(history: History, *, ax: Where = None) -> Axes:
    """Draw the course of a training: loss and, if it was measured, accuracy; the best epoch marked.

    Parameters
    ----------
    history : nncore.History
        What `Network.fit` returns; validation data are drawn beside the training's. See also
        `nncore.History.plot`, which draws one measure.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None: in a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The sheet; ``ax.child_axes`` has a panel for each measure.

    Raises
    ------
    TypeError, ValueError
        `history` is no History, or one of no epochs.

    Examples
    --------
    >>> nncore.plot.history(net.fit(x, t, epochs=5, validation=(x_v, t_v)))  # doctest: +SKIP
    """
    if not isinstance(history, History):
        raise TypeError(f"history is of type {type(history).__name__}, expected nncore.History")
    if not history.epochs:
        raise ValueError("history has no epochs, expected one at least")
    measures = [name for name in ("loss", "accuracy") if name in history]
    ax = take(ax, 6.4, 1.2 + 2.0 * len(measures))
    for panel, measure in zip(
        panels(ax, len(measures), 1, len(measures), (0, 24)), measures, strict=True
    ):
        history.plot(panel, measure=measure)
        for line in panel.get_lines():
            if line.get_label() == "training":
                line.set(color=BLUE, linewidth=2)
            elif line.get_label() == "validation":
                line.set(color=ORANGE, linewidth=2, linestyle="--")
        if len(panel.get_lines()) > 1:
            panel.legend(frameon=False, fontsize=9)
        if measure == "accuracy":
            panel.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        if measure != measures[-1]:
            panel.set_xlabel("")
        quiet(panel)
    ax.set_title(f"Training, {_validation.counted(history.epochs, 'epoch')}")
    return ax


def latency(run: Mapping[str, Any], *, ax: Where = None) -> Axes:
    """Draw the time that a sample takes by the number of samples in a call.

    Parameters
    ----------
    run : mapping
        What ``nncore bench --json`` or ``nncore mnist --json`` prints, as a dict; or curves by
        name, each a mapping of batch sizes to seconds a sample. None as a batch size stands for
        one by one, which is drawn as a dotted line.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None: in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        `run` is nothing of the kind.

    Examples
    --------
    >>> nncore.plot.latency({"mine": {1: 2e-6, 10: 1e-6, 100: 5e-7}})  # doctest: +SKIP
    """
    title, curves = _curves(run)
    ax = take(ax, 6.4, 4.2)
    from matplotlib import ticker

    colors = (BLUE, ORANGE, GREEN, PURPLE)
    markers = "osD^"
    for i, (name, points) in enumerate(curves.items()):
        color = colors[i % 4]
        sizes = sorted(size for size in points if size is not None)
        ax.plot(
            sizes, [1e6 * points[size] for size in sizes], LINES[i % 4], marker=markers[i % 4],
            color=color, markersize=5, label=name,
        )  # fmt: skip
        if None in points:
            ax.axhline(1e6 * points[None], color=color, linestyle=":", label=f"{name}, one by one")
    ax.set(xscale="log", yscale="log", xlabel="samples in a call", ylabel="time a sample (µs)")
    ax.set_title(title)
    low, high = ax.get_ylim()
    subs = (1, 2, 5) if high > 8 * low else (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
    ax.yaxis.set_major_locator(ticker.LogLocator(subs=subs))
    ax.yaxis.set_minor_locator(ticker.NullLocator())
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:,g}")
    ax.legend(frameon=False, fontsize=9)
    quiet(ax)
    return ax


def _curves(run: Mapping[str, Any]) -> tuple[str, dict[str, dict[int | None, float]]]:
    if not isinstance(run, Mapping):
        raise TypeError(f"run is of type {type(run).__name__}, expected a dict")
    expected = (
        "expected what nncore bench --json or nncore mnist --json prints, or curves by name: "
        "batch sizes and seconds a sample"
    )
    title = "Time a sample by batch size"
    try:
        if "command" not in run:
            found = {plain(name): dict(points) for name, points in run.items()}
        else:
            title = plain("-".join(map(str, run["network"]["sizes"])))
            title += f", {_validation.counted(run['threads'], 'thread')}"
            inputs = run.get("inputs") or [{"dtype": "nncore", **run}]
            found = {
                plain(entry["dtype"]): {
                    row["batch_size"]: row["seconds_per_sample"] for row in entry["timings"]
                }
                for entry in inputs
            }
        for points in found.values():
            for size, seconds in points.items():
                if not (size is None or size >= 1) or not 0 < seconds < np.inf:
                    raise ValueError
            if not any(size is not None for size in points):
                raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError):
        keys = _validation.excerpt(", ".join(map(str, run)))
        raise ValueError(f"run has the keys {keys}, {expected}") from None
    if not found:
        raise ValueError(f"run is empty, {expected}")
    return title, found


def batch_sizes(
    net: Network | None = None,
    x: ArrayLike | None = None,
    *,
    sizes: Sequence[int] = _SIZES,
    ax: Where = None,
) -> Axes:
    """Measure and draw what the size of a batch does to the time a sample takes.

    Parameters
    ----------
    net : Network, optional
        By default that which reads digits.
    x : array_like, optional
        Samples for it; by default as many random numbers as the largest size.
    sizes : sequence of int, optional
        Samples in a call.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None: in a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The dotted line is one by one: samples without a batch.

    Raises
    ------
    ValueError, TypeError
        There are fewer samples than the largest size, or x does not fit the network.

    Examples
    --------
    >>> nncore.plot.batch_sizes(sizes=[1, 10, 100])  # doctest: +SKIP
    """
    if net is None:
        from nncore.pretrained import load_pretrained

        net = load_pretrained("digits")
    wanted = sorted({_validation.size(size, "a batch size") for size in sizes})
    if not wanted:
        raise ValueError("sizes is empty, expected one batch size at least")
    if x is None:
        from nncore._random import Random

        x = (255 * Random(0).uniform(wanted[-1] * net.in_features)).astype(np.uint8)
        x = np.asarray(x).reshape(-1, net.in_features)
    samples = np.asarray(x)
    if samples.ndim < 2 or len(samples) < wanted[-1]:
        raise ValueError(f"x has shape {samples.shape}, expected {wanted[-1]:,} samples or more")
    times = {size: _seconds_a_sample(net, samples, size) for size in (None, *wanted)}
    ax = latency({f"{net.in_features} to {net.out_features}": times}, ax=ax)
    gain = times[None] / min(times.values())
    ax.set_title(f"A sample in a batch: up to {gain:.1f} times as fast")
    return ax


def _seconds_a_sample(net: Network, x: NDArray[Any], size: int | None) -> float:
    """Return the least of five times over some hundred samples, or over one batch."""
    from time import perf_counter

    n = min(len(x), max(size or 1, 256)) // (size or 1) * (size or 1)  # whole batches
    batches = list(x[:n]) if size is None else [x[i : i + size] for i in range(0, n, size)]
    best = float("inf")
    for _ in range(5):
        begin = perf_counter()
        for batch in batches:
            net(batch)
        best = min(best, perf_counter() - begin)
    return best / n
