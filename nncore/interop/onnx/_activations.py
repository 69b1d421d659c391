"""Finds the activations that an exporter took apart: x * Sigmoid(x) is silu.

Exporters write the same function in many ways: factors change places, constants are divided by or
multiplied with, a softplus has a Where around it. So what a part of the graph computes is compared
with each activation as a function, in double precision, at a few hundred points: on a regular and
on an irregular grid, and around each constant of that part. A function of ONNX's own arithmetic
that agrees with another one at all of these points within 1e-6 is that one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import activations
from nncore.interop.onnx._values import Flow

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A step of a network: its kind and parameters as of a Flow, and what messages call it.
Step = tuple[str, tuple[Any, ...], str]

_AFFINE = ("add", "multiply", "divide")
_erf = np.vectorize(math.erf, otypes=[np.float64])
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "log": np.log, "erf": _erf, "abs": np.abs, "reciprocal": np.reciprocal,
    "sqrt": np.sqrt, "sin": np.sin, "power": np.power, "sum": np.add,
    "product": np.multiply, "quotient": np.divide, "maximum": np.maximum, "minimum": np.minimum,
    "above": lambda a, b: (a > b) * 1.0, "above_or_equal": lambda a, b: (a >= b) * 1.0,
    "select": lambda c, a, b: np.where(c != 0, a, b),
    "same": lambda x: x, "add": np.add, "multiply": np.multiply, "divide": np.divide,
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "activation": lambda x, name, *numbers: _activation(x, name, *numbers),
}  # fmt: skip
_NATIVE = {"same", *_AFFINE, "clip", "activation"}  # what a network can do by itself

# The most nodes that make one activation: nine where torch takes gelu apart, over a hundred where
# nncore writes it in double precision. And how many places are tried as the beginning of one.
_MOST_NODES, _MOST_WINDOWS = 160, 16
_POINTS = np.concatenate([np.arange(-60, 61) / 2, np.tan(np.linspace(-1.55, 1.55, 102))])
_FIRST = np.array([-1.0, 0.5, 3.0])
_TOLERANCE = 1e-6
_PLAIN = (
    "identity", "relu", "step", "sigmoid", "tanh", "gelu", "gelu_tanh", "silu", "softplus", "mish",
    "selu", "relu6", "hard_swish", "hard_sigmoid", "softsign",
)  # fmt: skip


def _activation(x: Any, name: str, alpha: float | None, beta: float | None) -> Any:
    function: Any = activations.get(name)
    return function(x, alpha=alpha, beta=beta)


def explain(flow: Flow) -> tuple[list[Step], Flow]:
    """Return the last steps that make a flow, in order, and the flow that they are applied to.

    Raises
    ------
    ValueError
        Nothing that a dense network can do makes it.
    """
    windows = list(_windows(flow))
    # Of lines that may begin in several places the longest, of all else the nearest that is known.
    lines = ((base, _bounded_line(window)) for base, window in reversed(windows))
    parts = ((base, _recognised(base, window)) for base, window in windows)
    for base, found in itertools.chain(lines, parts):
        if found is not None:
            return [(*step, flow.where) for step in found], base
    steps = _native(flow)
    if steps is None:
        raise ValueError(
            f"{flow.where}: what it makes of the steps before it is no activation of nncore, "
            f"expected one of {', '.join(activations.REGISTRY)}"
            + (", and no branches besides" if len(flow.args) > 1 else "")
        )
    return [(*step, flow.where) for step in steps], _arg(flow)


def _arg(flow: Flow) -> Flow:
    return next(arg for arg in flow.args if arg.kind != "constant")


def _native(flow: Flow) -> list[tuple[str, tuple[Any, ...]]] | None:
    """Return the steps of a single node, None if it has no meaning on its own."""
    if flow.kind == "same":
        return []
    if flow.kind in (*_AFFINE, "dense", "activation"):
        return [(flow.kind, flow.parameters)]
    if flow.kind == "clip":
        return _clip(*flow.parameters)
    if flow.kind == "above" and "constant" in (kinds := [arg.kind for arg in flow.args]):
        step = ("activation", ("step", None, None))
        sign = 1.0 if kinds[1] == "constant" else -1.0
        threshold = flow.args[kinds.index("constant")].parameters[0]
        shift = [("add", (np.float64(-sign * threshold),))] if threshold else []
        return [*([("multiply", (np.float64(-1),))] if sign < 0 else []), *shift, step]
    return None


def _clip(low: float, high: float) -> list[tuple[str, tuple[Any, ...]]]:
    """Return the steps of min(max(x, low), high), where either may be infinite."""
    relu = ("activation", ("relu", None, None))
    if math.isfinite(low) and math.isfinite(high):
        name = ("relu6", None, None) if (low, high) == (0, 6) else ("clip", low, high)
        return [("activation", name)]
    if math.isfinite(low):
        shift = np.float64(low)
        return [("add", (-shift,)), relu, ("add", (shift,))] if low else [relu]
    if math.isfinite(high):  # high - relu(high - x)
        turned = [("multiply", (np.float64(-1),)), ("add", (np.float64(high),))]
        return [*turned, relu, *turned]
    return []


# ---- parts of a graph


def _windows(flow: Flow) -> Iterator[tuple[Flow, list[Flow]]]:
    """Yield the flows that all of `flow` is made of, nearest first, and what lies between."""
    open_: dict[int, Flow] = {id(flow): flow}
    window: list[Flow] = []
    native = True
    found = 0
    while len(window) < _MOST_NODES and found < _MOST_WINDOWS:
        last = max(open_.values(), key=lambda f: f.order)
        rowwise = last.kind == "activation" and activations.last_layer_only(last.parameters[0])
        if last.kind not in _FUNCTIONS or rowwise:
            return
        del open_[id(last)]
        window.append(last)
        native = native and last.kind in _NATIVE
        if native and len(window) > 6:
            return  # a line of plain steps, each of which has a meaning
        open_.update((id(arg), arg) for arg in last.args if arg.kind != "constant")
        if len(open_) == 1 and len(window) > 1 - (not native):
            yield next(iter(open_.values())), list(window)
            found += 1
        if not open_:
            return


def _scalar(flow: Flow) -> tuple[Any, ...] | None:
    """Return the parameters of a node, None if they differ between features."""
    if flow.kind not in _AFFINE:
        return flow.parameters
    values = np.asarray(flow.parameters[0])
    return (float(values.flat[0]),) if (values == values.flat[0]).all() else None


def _bounded_line(window: list[Flow]) -> list[tuple[str, tuple[Any, ...]]] | None:
    """Recognise a line between 0 and 1: scale, shift and clip in any way are hard_sigmoid."""
    slope, shift, bounds = 1.0, 0.0, None
    for flow in reversed(window):
        parameters = flow.parameters
        if flow.kind not in (*_AFFINE, "clip", "same") or any(map(np.ndim, parameters)):
            return None
        if flow.kind == "clip":
            if bounds is not None or not all(map(math.isfinite, parameters)):
                return None
            bounds = parameters
        elif flow.kind != "same":
            factor, term = _line(flow.kind, float(parameters[0]))
            slope, shift = slope * factor, shift * factor + term
            bounds = bounds and tuple(bound * factor + term for bound in bounds)
    plain = (slope, shift) == (1, 0)
    if bounds is None or plain or not np.allclose(bounds, (0, 1), rtol=0, atol=_TOLERANCE):
        return None
    return [("activation", ("hard_sigmoid", slope, shift))]


def _line(kind: str, value: float) -> tuple[float, float]:
    """Return factor and term of add, multiply or divide."""
    if kind == "add":
        return 1.0, value
    return (1 / value if kind == "divide" else value), 0.0


def _recognised(base: Flow, window: list[Flow]) -> list[tuple[str, tuple[Any, ...]]] | None:
    """Return the steps that compute the same function as a part of a graph, if there are any."""
    if all(flow.kind in _NATIVE for flow in window):
        return None
    parameters = [_scalar(flow) for flow in window]
    constants = {
        value
        for group in (*parameters, *(arg.parameters for flow in window for arg in flow.args
                                     if arg.kind == "constant"))
        for value in group or ()
        if isinstance(value, float) and math.isfinite(value)
    }  # fmt: skip
    if None in parameters:
        return None
    near = [c + d * (1 + abs(c)) for c in constants if abs(c) <= 60 for d in (-1e-3, 0, 1e-3)]
    x = np.concatenate([_POINTS, near])
    with np.errstate(all="ignore"):
        y = _evaluate(base, window, x)
        if not np.isfinite(y).all():
            return None
        for steps in _candidates(lambda point: y[int(np.argmin(np.abs(x - point)))], constants):
            if np.allclose(_run(steps, x), y, rtol=_TOLERANCE, atol=_TOLERANCE / 4):
                return [step for step in steps if step[1] != ("identity", None, None)]
    return None


def _evaluate(base: Flow, window: list[Flow], x: NDArray[Any]) -> NDArray[Any]:
    """Return what a part of a graph makes of x."""
    values = {id(base): x}
    for flow in reversed(window):
        args = [
            np.full_like(x, arg.parameters[0]) if arg.kind == "constant" else values[id(arg)]
            for arg in flow.args
        ]
        values[id(flow)] = _FUNCTIONS[flow.kind](*args, *(_scalar(flow) or ()))
    return np.asarray(values[id(window[0])])


def _run(steps: list[tuple[str, tuple[Any, ...]]], x: NDArray[Any]) -> NDArray[Any]:
    for kind, parameters in steps:
        x = _FUNCTIONS[kind](x, *parameters)
    return x


def _agrees(f: Callable[[float], Any], name: str) -> bool:
    """Look at three points before all of them."""
    found = activations.get(name)(_FIRST)
    return np.allclose([f(point) for point in _FIRST], found, rtol=_TOLERANCE, atol=_TOLERANCE)


def _candidates(
    f: Callable[[float], Any], constants: set[float]
) -> Iterator[list[tuple[str, tuple[Any, ...]]]]:
    """Yield what a function may be, judging by its values at a few points."""

    def one(name: str, alpha: float | None = None) -> tuple[str, tuple[Any, ...]]:
        return "activation", (name, alpha, None)

    def exact(value: float) -> float:
        """Return the constant of the graph that a value was found as."""
        return next((c for c in constants if math.isclose(c, value, rel_tol=1e-9)), float(value))

    def scaled(name: str, factor: float) -> Iterator[list[tuple[str, tuple[Any, ...]]]]:
        """Yield f(factor x) / factor."""
        if math.isfinite(factor) and factor != 0:
            value = np.float64(exact(factor))
            yield [("multiply", (value,)), one(name), ("divide", (value,))]

    yield from ([one(name)] for name in _PLAIN if _agrees(f, name))
    if math.isclose(f(1.0), 1, rel_tol=1e-6):
        yield [one("leaky_relu", exact(-f(-1.0)))]
        yield [one("elu", exact(f(-1.0) / math.expm1(-1.0)))]
        yield from scaled("elu", -1 / f(-30.0) if f(-30.0) else math.inf)
    if f(0.0) > 0:
        yield from scaled("softplus", math.log(2) / f(0.0))
    if 0 < f(1.0) < 1:
        yield from scaled("silu", math.log(f(1.0) / (1 - f(1.0))))
    yield from scaled("softplus", -1.0)  # the logarithm of a sigmoid
    for name in _PLAIN:  # where a constant factor stands elsewhere
        ratio = f(3.0) / activations.get(name)(3.0)
        if round(ratio) in range(2, 7) and math.isclose(ratio, round(ratio), rel_tol=_TOLERANCE):
            yield [one(name), ("multiply", (np.float64(round(ratio)),))]
