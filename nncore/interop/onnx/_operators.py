"""What each operator makes of the samples: one small function for each.

Operators of constants alone are in `_constants`, and what an exporter has taken apart is put
together again in `_activations`: here each step is only noted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nncore.interop.onnx import _constants
from nncore.interop.onnx._node import Node
from nncore.interop.onnx._values import SAMPLES, Flow, Labels, Named, Shape, product, shown, spread

# ONNX's defaults of Selu, which are those of nncore.
_SELU = (1.6732632423543772, 1.0507009873554805)
_FLOAT32_MAX = float(np.finfo(np.float32).max)


# ---- dense layers


def dense(node: Node, x: Flow, weights: Any) -> Flow:
    """Return x @ weights, which are (in_features, out_features)."""
    sizes = x.shape
    if weights.ndim != 2:
        node.refuse(f"has weights of shape {weights.shape}, expected two axes")
    if sizes is not None and (not sizes or any(size != 1 for size in sizes[:-1])):
        node.refuse(f"is applied to {shown(sizes)}, expected (n, features): flatten them before")
    node.budget.take(weights.size, node.where)
    shape = (*(sizes or (None,))[:-1], int(weights.shape[1]))
    return node.step("dense", x, parameters=(weights, None), shape=shape)


def _matmul(node: Node) -> Flow:
    if not isinstance(node.input(1), np.ndarray):
        node.refuse("multiplies by what is not constant, expected weights as the second input")
    return dense(node, node.flow(), node.input(1))


def _gemm(node: Node) -> Flow:
    if node.whole("transA", 0):
        node.refuse("transposes the samples (transA), expected them in rows")
    weights, bias = node.input(1), node.input(2)
    if not isinstance(weights, np.ndarray):
        node.refuse("multiplies by what is not constant, expected weights as the second input")
    result = dense(node, node.flow(), weights.T if node.whole("transB", 0) else weights)
    alpha, beta = node.real("alpha", 1.0), node.real("beta", 1.0)
    if alpha != 1:
        result = _scale(node, "multiply", result, np.float64(alpha))
    if bias is None or beta == 0:
        return result
    if not isinstance(bias, np.ndarray):
        node.refuse("adds what is not constant, expected a bias")
    return _scale(node, "add", result, bias if beta == 1 else bias * np.float64(beta))


def _scale(node: Node, kind: str, x: Flow, constant: Any) -> Flow:
    """Return x with a constant added to it, multiplied by it or divided by it."""
    constant = np.asarray(constant)
    if kind == "add" and x.kind == "dense" and x.parameters[1] is None:
        weights = x.parameters[0]
        sizes = (1, *(x.shape or ()))
        size = weights.shape[1]
        if (
            constant.dtype == weights.dtype
            and constant.size == size
            and constant.ndim <= len(sizes)
        ):
            bias = constant.reshape(size)
            where = f"{x.where}, {node.where}" if node.where != x.where else x.where
            return Flow("dense", x.args, (weights, bias), where, x.shape, x.order + 1)
    values, shape = spread(x, constant, node.where, node.budget)
    if kind == "divide" and not (values != 0).all():
        node.refuse("divides by 0")
    return node.step(kind, x, parameters=(values,), shape=shape)


def _batch_normalization(node: Node) -> Flow:
    if node.whole("training_mode", 0):
        node.refuse("is in training mode, expected a model for inference")
    node.skip("momentum", "spatial")
    x, parameters = node.flow(), node.inputs[1:5]
    if len(parameters) != 4 or not all(
        isinstance(array, np.ndarray) and array.ndim == 1 for array in parameters
    ):
        node.refuse("has no constant scale, bias, mean and variance, expected them")
    scale, bias, mean, variance = (array.astype(np.float64) for array in parameters)
    if not scale.shape == bias.shape == mean.shape == variance.shape:
        node.refuse(f"has parameters of {scale.size}, {bias.size}, ... features")
    sizes = x.shape
    if sizes is not None and math.prod(size or 1 for size in sizes[1:]) != 1:
        node.refuse(f"normalises the channels of {shown(sizes)}, expected (n, features)")
    squares = variance + node.real("epsilon", 1e-5)
    if not (squares > 0).all():
        node.refuse("has a variance below 0")
    factor = scale / np.sqrt(squares)
    result = _scale(node, "multiply", x, factor.reshape(-1, *[1] * (len(sizes or (0,)) - 1)))
    shift = bias - mean * factor
    return _scale(node, "add", result, shift.reshape(-1, *[1] * (len(sizes or (0,)) - 1)))


# ---- arithmetic


def _constant_flow(node: Node, value: Any, beside: Flow) -> Flow:
    """Return a constant number as a flow, for parts of activations."""
    values, _ = spread(beside, np.asarray(value), node.where, node.budget)
    if not (values == values.flat[0]).all():
        node.refuse("has a constant that differs between features, expected one number")
    return Flow("constant", (), (float(values.flat[0]),), node.where, beside.shape, 0)


def _two(node: Node) -> tuple[Any, Any]:
    a, b = node.input(0), node.input(1)
    if len(node.inputs) != 2 or any(not isinstance(v, (Flow, np.ndarray)) for v in (a, b)):
        node.refuse("has not two inputs of numbers")
    return a, b


def _join(node: Node, kind: str, *values: Any) -> Flow:
    """Return what is made of several flows, or of flows and numbers."""
    beside = next(value for value in values if isinstance(value, Flow))
    flows = [v if isinstance(v, Flow) else _constant_flow(node, v, beside) for v in values]
    shapes = {v.shape for v in flows if v.shape is not None}
    if len(shapes) > 1:
        node.refuse(f"joins {' and '.join(sorted(map(shown, shapes)))}, expected equal shapes")
    return node.step(kind, *flows, shape=next(iter(shapes), None))


def _add(node: Node) -> Flow:
    a, b = _two(node)
    if isinstance(a, Flow) and isinstance(b, Flow):
        return _join(node, "sum", a, b)
    return _scale(node, "add", a, b) if isinstance(a, Flow) else _scale(node, "add", b, a)


def _subtract(node: Node) -> Flow:
    a, b = _two(node)
    if not isinstance(b, Flow):
        return _scale(node, "add", a, -b)
    negative = _scale(node, "multiply", b, np.float64(-1))
    return (
        _join(node, "sum", a, negative) if isinstance(a, Flow) else _scale(node, "add", negative, a)
    )


def _multiply(node: Node) -> Flow:
    a, b = _two(node)
    if isinstance(a, Flow) and isinstance(b, Flow):
        return _join(node, "product", a, b)
    return _scale(node, "multiply", a, b) if isinstance(a, Flow) else _scale(node, "multiply", b, a)


def _divide(node: Node) -> Flow:
    a, b = _two(node)
    if not isinstance(b, Flow):
        return _scale(node, "divide", a, b)
    if isinstance(a, Flow):
        return _join(node, "quotient", a, b)
    return _scale(node, "multiply", node.step("reciprocal", b, shape=b.shape), a)


def _power(node: Node) -> Flow:
    exponent = node.input(1)
    if not isinstance(exponent, np.ndarray) or exponent.size != 1:
        node.refuse("has no constant exponent, expected one number")
    return node.unary("power", float(exponent.reshape(())))


def _extreme(kind: str) -> Callable[[Node], Flow]:
    """Return Max or Min: of flows a join, with a number a bound."""

    def apply(node: Node) -> Flow:
        result: Flow
        result, *others = sorted(node.inputs, key=lambda value: not isinstance(value, Flow))
        for other in others:
            if isinstance(other, np.ndarray) and other.size == 1:
                bound = float(other.reshape(()))
                low, high = (bound, math.inf) if kind == "maximum" else (-math.inf, bound)
                result = clip(node, result, low, high)
            else:
                result = _join(node, kind, result, other)
        return result

    return apply


def clip(node: Node, x: Flow, low: float, high: float) -> Flow:
    """Return min(max(x, low), high), in one with the clip before it."""
    if math.isnan(low) or math.isnan(high):
        node.refuse("has the bound NaN")
    low = -math.inf if low <= -_FLOAT32_MAX else low
    high = math.inf if high >= _FLOAT32_MAX else high
    if x.kind == "clip" and low <= high:
        first, second = x.parameters
        if first <= second:
            low, high = (min(max(bound, low), high) for bound in (first, second))
            x = x.args[0]
    return node.step("clip", x, parameters=(low, high), shape=x.shape)


def _clip(node: Node) -> Flow:
    low, high = node.real("min", -math.inf), node.real("max", math.inf)  # before opset 11
    bounds = [
        default if value is None else _number(node, value)
        for value, default in ((node.input(1), low), (node.input(2), high))
    ]
    return clip(node, node.flow(), *bounds)


def _number(node: Node, value: Any) -> float:
    if not isinstance(value, np.ndarray) or value.size != 1:
        node.refuse("has a bound that is not constant, expected one number")
    return float(value.reshape(()))


def _compare(kind: str, swap: bool) -> Callable[[Node], Flow]:
    def apply(node: Node) -> Flow:
        a, b = _two(node)
        return _join(node, kind, *((b, a) if swap else (a, b)))

    return apply


# ---- activations


def activation(node: Node, name: str, *parameters: float, x: Flow | None = None) -> Flow:
    """Return nncore's activation of that name of the first input."""
    x = node.flow() if x is None else x
    alpha, beta = (*parameters, None, None)[:2]
    return node.step("activation", x, parameters=(name, alpha, beta), shape=x.shape)


def _selu(node: Node) -> Flow:
    given = node.real("alpha", _SELU[0]), node.real("gamma", _SELU[1])
    if not np.allclose(given, _SELU, rtol=1e-6, atol=0):
        node.refuse(f"has alpha {given[0]} and gamma {given[1]}, expected those of the paper")
    return activation(node, "selu")


def _gelu(node: Node) -> Flow:
    kind = node.text("approximate", "none")
    if kind not in ("none", "tanh"):
        node.refuse(f"has approximate '{kind[:40]}', expected none or tanh")
    return activation(node, "gelu" if kind == "none" else "gelu_tanh")


def _scaled(node: Node, name: str, factor: float) -> Flow:
    """Return f(factor x) / factor."""
    if not (factor and math.isfinite(factor)):
        node.refuse(f"has alpha {factor}, expected a finite number other than 0")
    if factor == 1:
        return activation(node, name)
    inner = _scale(node, "multiply", node.flow(), np.float64(factor))
    return _scale(node, "divide", activation(node, name, x=inner), np.float64(factor))


def _celu(node: Node) -> Flow:
    alpha = node.real("alpha", 1.0)
    if not alpha > 0:  # max(0, x) + min(0, alpha (exp(x / alpha) - 1)) is no elu then
        node.refuse(f"has alpha {alpha}, expected a number above 0")
    return _scaled(node, "elu", 1 / alpha)


def _prelu(node: Node) -> Flow:
    slope = node.input(1)
    if not isinstance(slope, np.ndarray):
        node.refuse("has a slope that is not constant")
    return activation(node, "leaky_relu", _constant_flow(node, slope, node.flow()).parameters[0])


def _softmax(name: str) -> Callable[[Node], Flow]:
    def apply(node: Node) -> Flow:
        x = node.flow()
        axis = node.whole("axis", -1 if node.opset >= 13 else 1)
        if node.opset >= 13 or node.axis(axis, x) != 1:  # before, all axes from this on
            node.check_last_axis(axis, x)
        return activation(node, name)

    return apply


# ---- shapes and types


def _flatten(node: Node) -> Flow:
    x = node.flow()
    if node.axis(node.whole("axis", 1), x) != 1:
        node.refuse(f"keeps more than the samples of {shown(x.shape)} apart, expected axis 1")
    return _reshaped(x, (x.features,))


def _reshaped(x: Flow, shape: Shape) -> Flow:
    """Return the same numbers in another shape."""
    return Flow("same", (x,), (), x.where, shape, x.order + 1)


def _reshape(node: Node) -> Flow:
    x, target = node.flow(), node.input(1)
    if not isinstance(target, np.ndarray) or target.dtype.kind not in "iu":
        node.refuse("has a shape that is not constant, expected one that is known")
    first, *rest = [int(size) for size in target.reshape(-1)[:17]] or [0]
    old, total, copies = x.shape, product(x.shape), not node.whole("allowzero", 0)
    sizes = [
        old[i] if size == 0 and copies and old is not None and i < len(old) else size
        for i, size in enumerate(rest)
    ]
    known = math.prod(size for size in sizes if size is not None and size > 0)
    if total is not None:
        sizes = [size if size != -1 else total // known for size in sizes]
    whole = all(size is not None and size > 0 for size in sizes)
    fits = total is None or product(tuple(sizes)) == total
    # Where the features are as many as before, a number in front is that of the samples.
    fixed = first > 0 and total is not None and -1 not in rest
    kept = first in (SAMPLES, -1) or (first == 0 and copies) or fixed
    if not (sizes or total == 1) or not whole or not fits or not kept:
        node.refuse(
            f"turns {shown(old)} into {(first, *rest)}, expected a shape that keeps the samples "
            "apart"
        )
    return _reshaped(x, tuple(sizes))


def _axes(node: Node) -> list[int] | None:
    listed, given = node.wholes("axes"), node.input(1)
    if given is not None and not isinstance(given, np.ndarray):
        node.refuse("has axes that are not constant")
    return listed if given is None else [int(axis) for axis in given.reshape(-1)[:17]]


def _squeeze(node: Node) -> Flow:
    x, axes = node.flow(), _axes(node)
    if x.shape is None:
        node.refuse("removes axes of samples of unknown shape, expected it known")
    sizes = list(x.shape)
    if axes is None:
        return _reshaped(x, tuple(size for size in sizes if size != 1))
    gone = {node.axis(axis, x) for axis in axes}
    if any(axis == 0 or sizes[axis - 1] != 1 for axis in gone):
        node.refuse(f"removes axes {axes} of {shown(x.shape)}, expected ones of size 1")
    return _reshaped(x, tuple(size for i, size in enumerate(sizes, 1) if i not in gone))


def _unsqueeze(node: Node) -> Flow:
    x, axes = node.flow(), _axes(node)
    if x.shape is None or not axes:
        node.refuse("adds axes to samples of unknown shape, expected it known")
    sizes = [0, *x.shape]
    rank = len(sizes) + len(axes)
    for axis in sorted(axis + rank if axis < 0 else axis for axis in axes):
        if not 1 <= axis <= len(sizes):
            node.refuse(f"adds axes {axes} to {shown(x.shape)}, expected them after the samples")
        sizes.insert(axis, 1)
    return _reshaped(x, tuple(sizes[1:]))


def _transpose(node: Node) -> Flow:
    x, order = node.flow(), node.wholes("perm")
    if x.shape is None or order is None or sorted(order) != list(range(len(x.shape) + 1)):
        node.refuse(f"turns the axes of {shown(x.shape)}, expected the samples first")
    sizes = (0, *x.shape)
    kept = [axis for axis in order if sizes[axis] != 1]
    if order[0] != 0 or kept != sorted(kept):
        node.refuse(f"turns the axes {order} of {shown(x.shape)}, expected them in order")
    return _reshaped(x, tuple(sizes[axis] for axis in order[1:]))


def _cast(node: Node) -> Any:
    x, to = node.input(0), node.whole("to", 0)
    node.skip("saturate")
    if isinstance(x, Flow) and not _constants.is_float(to) and x.kind not in _TRUTHS:
        node.refuse("rounds the samples to whole numbers, expected floating-point ones")
    return x


def _same(node: Node) -> Any:
    return node.input(0)


def _dropout(node: Node) -> Any:
    node.skip("ratio", "seed")
    training = node.input(2)
    if isinstance(training, np.ndarray) and training.any():
        node.refuse("is in training mode, expected a model for inference")
    return node.input(0)


# ---- heads of classifiers


def _argmax(node: Node) -> Labels:
    x = node.flow()
    node.check_last_axis(node.whole("axis", 0), x)
    node.skip("keepdims")
    if x.features == 1:
        node.refuse("takes the highest of one score, expected several")
    if node.whole("select_last_index", 0):
        node.refuse("takes the last of equal scores, expected the first")
    return Labels(x)


def _concat(node: Node) -> Flow:
    """Two columns that a binary classifier makes of one."""
    flows = [value for value in node.inputs if isinstance(value, Flow)]
    if len(flows) != 2 or len(node.inputs) != 2:
        node.refuse("joins several inputs, expected the two columns of a binary classifier at most")
    a, b = flows
    if a.features != 1 or b.features != 1:
        node.refuse(f"joins {shown(a.shape)} and {shown(b.shape)}, expected two columns of one")
    node.check_last_axis(node.whole("axis", 1), a)
    return node.step("columns", a, b, shape=(2,))


def _feature_extractor(node: Node) -> Any:
    """ArrayFeatureExtractor and Gather: the names of labels."""
    names, labels = node.inputs[:2] if len(node.inputs) > 1 else (None, None)
    node.skip("axis")
    if isinstance(names, np.ndarray) and isinstance(labels, Labels):
        return Labels(labels.scores, names.reshape(-1).tolist())
    return node.refuse("chooses among features, expected the names of labels")


def _zipmap(node: Node) -> Named:
    classes: list[Any] = node.texts("classlabels_strings")
    numbers = node.wholes("classlabels_int64s")
    return Named(node.flow(), classes or numbers or [])


def _binarizer(node: Node) -> Flow:
    threshold = node.real("threshold", 0.0)
    return _join(node, "above", node.flow(), np.float64(threshold))


def _scaler(node: Node) -> Flow:
    offset: Any = np.array(node.reals("offset"))
    scale: Any = np.array(node.reals("scale"))
    x = node.flow()
    if offset.size and offset.any():
        x = _scale(node, "add", x, -offset)
    return _scale(node, "multiply", x, scale) if scale.size else x


def _linear(node: Node, rows: int) -> Flow:
    coefficients = np.array(node.reals("coefficients"), np.float32)
    intercepts = np.array(node.reals("intercepts"), np.float32)
    if rows < 1 or coefficients.size == 0 or coefficients.size % rows:
        node.refuse(f"has {coefficients.size} coefficients, expected some for each of {rows} rows")
    result = dense(node, node.flow(), coefficients.reshape(rows, -1).T)
    return _scale(node, "add", result, intercepts) if intercepts.size else result


def _linear_regressor(node: Node) -> Flow:
    _transform(node, ("NONE",))
    return _linear(node, node.whole("targets", 1))


def _transform(node: Node, known: tuple[str, ...]) -> str:
    name = node.text("post_transform", "NONE")
    if name not in known:
        node.refuse(f"has post_transform '{name[:40]}', expected {' or '.join(known)}")
    return name


def _linear_classifier(node: Node) -> tuple[Labels, Flow]:
    classes: list[Any] = node.texts("classlabels_strings") or node.wholes("classlabels_ints") or []
    node.skip("multi_class")
    transform = _transform(node, ("NONE", "SOFTMAX", "LOGISTIC"))
    rows = node.count("intercepts") or len(classes)
    scores = _linear(node, rows)
    if rows != len(classes):
        node.refuse(f"has {rows} rows for {len(classes)} classes, expected one for each")
    labels = scores  # sigmoids may be equal where these are not
    if transform == "SOFTMAX":
        scores = labels = activation(node, "softmax", x=scores)
    elif transform == "LOGISTIC":
        scores = _logistic(node, scores)
        labels = scores if scores.parameters[0] == "softmax" else labels
    return Labels(labels, classes), scores


def _logistic(node: Node, scores: Flow) -> Flow:
    """Return sigmoids; of z and -z these add up to 1, as a softmax of 0 and z does."""
    if scores.kind == "dense" and scores.parameters[0].shape[1] == 2:
        weights, bias = scores.parameters
        opposite = (weights[:, 0] == -weights[:, 1]).all()
        if opposite and (bias is None or bias[0] == -bias[1]):
            half = weights / 2, None if bias is None else bias / 2  # exactly
            scores = Flow("dense", scores.args, half, scores.where, scores.shape, scores.order)
            return activation(node, "softmax", x=scores)
    return activation(node, "sigmoid", x=scores)


def _normalizer(node: Node) -> Flow:
    x, norm = node.flow(), node.text("norm", "MAX")
    if norm != "L1" or x.kind != "activation" or x.parameters[0] != "softmax":
        node.refuse("normalises each sample, expected it after probabilities that add up to 1")
    return x


_TRUTHS = ("above", "above_or_equal")
_ACTIVATIONS = {
    "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus", "Softsign": "softsign",
    "HardSwish": "hard_swish", "Mish": "mish",
}  # fmt: skip
_PARTS = {
    "Exp": "exp", "Log": "log", "Erf": "erf", "Abs": "abs", "Reciprocal": "reciprocal",
    "Sqrt": "sqrt", "Sin": "sin",
}  # fmt: skip

ML = "ai.onnx.ml"
OPERATORS: dict[tuple[str, str], Callable[[Node], Any]] = {
    ("", "MatMul"): _matmul,
    ("", "Gemm"): _gemm,
    ("", "BatchNormalization"): _batch_normalization,
    ("", "Add"): _add,
    ("", "Sub"): _subtract,
    ("", "Mul"): _multiply,
    ("", "Div"): _divide,
    ("", "Neg"): lambda node: _scale(node, "multiply", node.flow(), np.float64(-1)),
    ("", "Pow"): _power,
    ("", "Max"): _extreme("maximum"),
    ("", "Min"): _extreme("minimum"),
    ("", "Clip"): _clip,
    ("", "Greater"): _compare("above", False),
    ("", "Less"): _compare("above", True),
    ("", "GreaterOrEqual"): _compare("above_or_equal", False),
    ("", "LessOrEqual"): _compare("above_or_equal", True),
    ("", "Where"): lambda node: _join(node, "select", *node.inputs[:3]),
    ("", "Relu"): lambda node: clip(node, node.flow(), 0.0, math.inf),
    ("", "LeakyRelu"): lambda n: activation(n, "leaky_relu", n.real("alpha", 0.01)),
    ("", "Elu"): lambda node: activation(node, "elu", node.real("alpha", 1.0)),
    ("", "HardSigmoid"): lambda node: activation(
        node, "hard_sigmoid", node.real("alpha", 0.2), node.real("beta", 0.5)
    ),
    ("", "Selu"): _selu,
    ("", "Celu"): _celu,
    ("", "Swish"): lambda node: _scaled(node, "silu", node.real("alpha", 1.0)),
    ("", "Gelu"): _gelu,
    ("", "PRelu"): _prelu,
    ("", "Softmax"): _softmax("softmax"),
    ("", "LogSoftmax"): _softmax("log_softmax"),
    ("", "Flatten"): _flatten,
    ("", "Reshape"): _reshape,
    ("", "Squeeze"): _squeeze,
    ("", "Unsqueeze"): _unsqueeze,
    ("", "Transpose"): _transpose,
    ("", "Shape"): _constants.shape_of,
    ("", "Cast"): _cast,
    ("", "Identity"): _same,
    ("", "Dropout"): _dropout,
    ("", "Concat"): _concat,
    ("", "ArgMax"): _argmax,
    ("", "Gather"): _feature_extractor,
    (ML, "ArrayFeatureExtractor"): _feature_extractor,
    (ML, "ZipMap"): _zipmap,
    (ML, "Binarizer"): _binarizer,
    (ML, "Scaler"): _scaler,
    (ML, "LinearClassifier"): _linear_classifier,
    (ML, "LinearRegressor"): _linear_regressor,
    (ML, "Normalizer"): _normalizer,
}
for _op, _name in _ACTIVATIONS.items():
    OPERATORS["", _op] = lambda node, name=_name: activation(node, name)  # type: ignore[misc]
for _op, _name in _PARTS.items():
    OPERATORS["", _op] = lambda node, kind=_name: node.unary(kind)  # type: ignore[misc]

# On labels these change nothing that a network gives: their shape and type are not ours.
OF_LABELS = {"Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"}
