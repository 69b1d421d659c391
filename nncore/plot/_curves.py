"""Functions as curves: activations and their slopes, lines that become curves, softmax."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import _validation, activations
from nncore.plot._axes import BLUE, GREEN, GREY, ORANGE, PURPLE, panels, quiet, take

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nncore.plot._axes import Where

    Name = str | tuple[str, Mapping[str, float]]

CLASSIC = ("step", "sigmoid", "tanh", "relu", ("leaky_relu", {"alpha": 0.1}))


def activation_functions(
    names: Sequence[Name] = CLASSIC, *, low: float = -4.0, high: float = 4.0, ax: Where = None
) -> Axes:
    """Draw activations and their derivatives on one sheet, a panel for each.

    Parameters
    ----------
    names : sequence of str or (str, dict)
        Of the activations; with parameters of your own, ``("elu", {"alpha": 0.5})``.
    low, high : float, optional
        The least and the greatest weighted sum.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None: in a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The sheet; ``ax.child_axes`` has the panels.

    Raises
    ------
    ValueError, TypeError
        An activation is unknown, has no such parameter, or is softmax, which has no curve.

    Examples
    --------
    >>> nncore.plot.activation_functions(["relu", ("elu", {"alpha": 0.5})])  # doctest: +SKIP
    """
    x = np.linspace(_validation.number(low, "low"), _validation.number(high, "high"), 401)
    curves = [_curve(name, x) for name in ([names] if isinstance(names, str) else names)]
    if not curves:
        raise ValueError("names is empty, expected one activation at least")
    if not low < high:
        raise ValueError(f"low is {low} and high is {high}, expected low to be less")
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    ax = take(ax, 2.1 * columns + 0.4, 1.75 * rows + 0.7)
    for panel, (title, y, slope) in zip(
        panels(ax, rows, columns, len(curves)), curves, strict=True
    ):
        panel.plot(x, y, color=BLUE, linewidth=2, label="function")
        panel.plot(x, slope, color=ORANGE, linewidth=1.5, linestyle="--", label="derivative")
        panel.set_title(title, fontsize=10)
        panel.margins(x=0, y=0.1)
        quiet(panel)
    for panel in ax.child_axes[-columns:]:
        panel.set_xlabel("weighted sum")
    lines, texts = panel.get_legend_handles_labels()
    ax.legend(
        lines, texts, loc="lower center", bbox_to_anchor=(0.5, 1), borderaxespad=2.2, ncols=2,
        frameon=False,
    )  # fmt: skip
    return ax


def _curve(name: Name, x: Any) -> tuple[str, Any, Any]:
    """Return title, function and derivative at x."""
    key, given = (name, {}) if isinstance(name, str) else name
    function = activations.get(key)
    if not isinstance(function, activations.Elementwise):
        raise ValueError(
            f"activation is {key!r}, expected an elementwise one: each output of {key} depends on "
            "all inputs, so there is no curve"
        )
    if unknown := set(given) - {"alpha", "beta"}:
        raise ValueError(f"{key} has no parameter {min(unknown)!r}, expected alpha or beta")
    alpha, beta = activations.check_parameters(key, given.get("alpha"), given.get("beta"))
    values: dict[str, Any] = {"alpha": alpha, "beta": beta}
    parts = [f"{name}={value:.3g}" for name, value in values.items() if value is not None]
    title = (",\n" if len(parts) > 1 else ", ").join([key, ", ".join(parts)]) if parts else key
    return title, function(x, **values), function.derivative(x, **values)


def step_and_sigmoid(*, ax: Where = None) -> Axes:
    """Draw step beside sigmoid: a yes or no, and how much.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional
        Where to draw; None: in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> nncore.plot.step_and_sigmoid()  # doctest: +SKIP
    """
    ax = take(ax, height=3.4)
    x = np.linspace(-6, 6, 481)
    for name, color, line in (("step", ORANGE, "--"), ("sigmoid", BLUE, "-")):
        ax.plot(x, activations.get(name)(x), line, color=color, linewidth=2, label=name)
    ax.set(xlabel="weighted sum", ylabel="activation", title="Step and sigmoid", xlim=(-6, 6))
    ax.legend(frameon=False)
    quiet(ax)
    return ax


def line_and_curve(activation: str = "tanh", *, nodes: int = 8, ax: Where = None) -> Axes:
    """Draw what two layers learn of a sine, without and with an activation between them.

    Parameters
    ----------
    activation : str, optional
        Of the hidden layer of the second network; the first has none.
    nodes : int, optional
        Of the hidden layer of both.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None: in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError, TypeError
        There is no such activation, or `nodes` is no whole number of at least 1.

    Examples
    --------
    >>> nncore.plot.line_and_curve("relu")  # doctest: +SKIP
    """
    from nncore.layers import Dense
    from nncore.network import Network
    from nncore.optimizers import Adam

    x = np.linspace(-np.pi, np.pi, 41)[:, None]
    t = np.sin(x)
    fine = np.linspace(-np.pi, np.pi, 241)[:, None]
    curves = []
    for between in ("identity", activation):
        net = Network([Dense(1, nodes, between), Dense(nodes, 1)], seed=1, dtype="float64")
        net.fit(x, t, epochs=1500, batch_size=41, optimizer=Adam(0.03), loss="mse", seed=0)
        curves.append(net(fine)[:, 0])
    ax = take(ax, height=4.0)
    x_all = fine[:, 0]
    ax.plot(x[:, 0], t[:, 0], "o", color=GREY, markersize=3.5, label="samples of sin(x)")
    label = "two linear layers: a line"
    ax.plot(x_all, curves[0], "--", color=ORANGE, linewidth=2, label=label)
    label = f"{activation} between them: a curve"
    ax.plot(x_all, curves[1], color=BLUE, linewidth=2, label=label)
    ax.set(xlabel="x", ylabel="output", title=f"What 1-{nodes}-1 learns of a sine")
    ax.legend(frameon=False, loc="upper left")
    ax.set_ylim(top=1.75)
    quiet(ax)
    return ax


def softmax(
    logits: Sequence[float] = (0.3, 2.9, 4.0), *, most: float = 1000.0, ax: Where = None
) -> Axes:
    """Draw softmax, which sums to one, and its naive formula, which overflows.

    The left panel has the probabilities. The right one adds a number to all logits, which should
    change nothing: ``exp(a) / exp(a).sum()`` becomes NaN, `nncore.softmax` does not.

    Parameters
    ----------
    logits : sequence of float
        One for each class, two at least.
    most : float, optional
        The greatest number that is added.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None: in a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The sheet; ``ax.child_axes`` has the two panels.

    Raises
    ------
    ValueError, TypeError
        `logits` are no two finite numbers or more.

    Examples
    --------
    >>> nncore.plot.softmax([1.0, 2.0, 3.0, 4.0])  # doctest: +SKIP
    """
    a = _validation.array(logits, "logits").astype(np.float64)
    if a.ndim != 1 or len(a) < 2 or not np.isfinite(a).all():
        raise ValueError(f"logits are {a.tolist()}, expected two finite numbers or more")
    ax = take(ax, 6.8, 3.4)
    left, right = panels(ax, 1, 2, 2, (52, 0))
    ours = activations.get("softmax")
    _bars(left, a, ours(a))
    added = np.linspace(0, most, 1001)
    shifted = a + added[:, None]
    with np.errstate(all="ignore"):
        naive = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    top = int(a.argmax())
    right.plot(added, ours(shifted)[:, top], color=BLUE, linewidth=1.5, label="nncore.softmax")
    right.plot(
        added, naive[:, top], color=ORANGE, linewidth=4, alpha=0.7, label="exp(a) / exp(a).sum()"
    )
    known = np.isfinite(naive[:, top])
    if not known.all():
        first = int(known.argmin())
        end = (added[max(first - 1, 0)], ours(a)[top])  # the curve's; it may not even begin
        right.plot(*end, "X", color=ORANGE, markersize=9, zorder=3)
        right.annotate(
            f"from {added[first]:.0f} on\ninf / inf = NaN", end, (0, -14),
            textcoords="offset points", ha="center" if first else "left", va="top", fontsize=9,
        )  # fmt: skip
    right.set(
        xlabel="added to all logits", ylabel=f"probability of class {top}", ylim=(0, 1.25),
        title="The naive formula overflows",
    )  # fmt: skip
    right.legend(fontsize=8, frameon=False, loc="upper left")
    quiet(right)
    return ax


def _bars(ax: Any, a: Any, y: Any) -> None:
    """Draw the probabilities as bars, and beside them as the parts of one."""
    colors = [BLUE, ORANGE, GREEN, PURPLE]
    for i, (part, before) in enumerate(zip(y, np.cumsum(y) - y, strict=True)):
        color = colors[i % len(colors)]
        ax.bar(i, part, color=color, width=0.7)
        ax.bar(len(a), part, bottom=before, color=color, width=0.7, edgecolor="white")
        ax.text(i, part + 0.02, f"{part:.3f}", ha="center", fontsize=9)
    ax.text(len(a), 1.02, f"{y.sum():.3f}", ha="center", fontsize=9)
    ax.set_xticks(range(len(a) + 1), [*(f"{logit:g}" for logit in a), "sum"])
    ax.set(xlabel="logit", ylabel="probability", ylim=(0, 1.25), title="Softmax sums to one")
    quiet(ax)
    ax.grid(False, axis="x")
