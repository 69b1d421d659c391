"""Layers as an ONNX model that onnxruntime runs, new or years old, in float32 and in float64.

onnxruntime has no double precision for most activation operators of ONNX, and ONNX of opset 15
lacks some of nncore's activations: both are written with the operators that there are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nncore import _info
from nncore.formats.arrays import convert
from nncore.interop.onnx._graph import CLASSES_KEY
from nncore.interop.onnx._model import package
from nncore.layers import Dense, Layer, Normalization, Rescaling, kind_of, snapshot_of

# Of 2021. onnxruntime was tried with these: 1.15 in float32, 1.20 in float64, in which older ones
# lack kernels for what they make of Gemm and its activation themselves.
_OPSET, _IR_VERSION = 15, 8
_MOST_BYTES = (1 << 31) - (1 << 20)  # a protobuf holds less than 2 GiB


def model_of(layers: Sequence[Any], dtype: Any, classes: Any = None) -> Any:
    """Return a ModelProto of layers; refuse what it cannot hold by ValueError."""
    dtype = np.dtype(dtype)
    writer = _Writer(dtype)
    records = snapshot_of([layer for layer in layers if isinstance(layer, Layer)])
    features = next(layer.in_features for layer in layers if layer.in_features is not None)
    name = "input"
    for i, layer in enumerate(layers):
        where = f"layers[{i}]"
        if isinstance(layer, (Rescaling, Normalization)):
            name = _front(writer, name, layer)
        elif isinstance(layer, Dense):
            name = _dense(writer, name, layer, records[layer.slot], where)
        else:
            raise ValueError(f"{where} is a {kind_of(layer)}, which ONNX files do not hold")
    return writer.model(features, layers[-1].out_features, name, classes)


class _Writer:
    """Collects nodes and tensors."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.onnx = package()
        self.dtype = dtype
        self._nodes: list[Any] = []
        self._tensors: dict[tuple[Any, ...], Any] = {}
        self._bytes = 0

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(self.onnx.helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def tensor(self, key: tuple[Any, ...], array: Any) -> str:
        """Add a tensor, or find the one that was added by this key; return its name."""
        if key not in self._tensors:
            self._bytes += array.nbytes
            if self._bytes > _MOST_BYTES:
                raise ValueError("the weights take 2 GiB or more, expected less in an ONNX file")
            name = "_".join(str(part) for part in key)
            self._tensors[key] = self.onnx.numpy_helper.from_array(array, name)
        return str(self._tensors[key].name)

    def number(self, value: float, dtype: Any = None) -> str:
        """Add a constant, in the network's dtype if no other is given; return its name."""
        array = np.array(value, dtype or self.dtype)
        return self.tensor(("constant", array.dtype.name, repr(float(array))), array)

    def cast(self, name: str, dtype: Any) -> str:
        return self.op("Cast", name, to=self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def model(self, features: int, outputs: int, last: str, classes: Any) -> Any:
        helper = self.onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        self._nodes[-1].output[0] = "output"
        graph = helper.make_graph(
            self._nodes,
            "network",
            [helper.make_tensor_value_info("input", kind, ["n", features])],
            [helper.make_tensor_value_info("output", kind, ["n", outputs])],
            list(self._tensors.values()),
        )
        model = helper.make_model(
            graph, producer_name="nncore", producer_version=_info.__version__,
            opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION,
        )  # fmt: skip
        if classes is not None:
            helper.set_model_props(model, {CLASSES_KEY: json.dumps(classes.tolist())})
        return model


def _front(writer: _Writer, x: str, layer: Rescaling | Normalization) -> str:
    """Write a scaler in double precision, rounded once to the network's dtype, as nncore does."""
    double = np.dtype(np.float64)
    x = x if writer.dtype == double else writer.cast(x, double)
    if isinstance(layer, Normalization):
        x = writer.op("Sub", x, writer.tensor(("mean",), layer.mean))
        x = writer.op("Div", x, writer.tensor(("std",), layer.std))
    else:
        if layer.scale != 1 or not layer.offset:
            x = writer.op("Mul", x, writer.number(layer.scale, double))
        if layer.offset:
            x = writer.op("Add", x, writer.number(layer.offset, double))
    return x if writer.dtype == double else writer.cast(x, writer.dtype)


def _dense(writer: _Writer, x: str, layer: Dense, record: Any, where: str) -> str:
    name = layer.activation
    if not isinstance(name, str):
        raise ValueError(
            f"{where} has a custom activation ({name!r}), which cannot be saved: a file holds "
            "numbers and names, never code"
        )
    if record.weights is None:
        raise ValueError(f"{where} has no weights yet")
    number = len(writer._nodes)
    weights = convert(f"{where}: the weights", record.weights, writer.dtype)
    inputs = [x, writer.tensor(("weights", number), weights)]
    if layer.use_bias:
        bias = convert(f"{where}: the bias", record.bias, writer.dtype)
        inputs.append(writer.tensor(("bias", number), bias))
    # Not MatMul: onnxruntime makes one operator of it and a factor beside it, with the factor in
    # single precision.
    x = writer.op("Gemm", *inputs)
    if name == "identity":
        return x
    known = _ACTIVATIONS if writer.dtype == np.float32 or name not in _IN_DOUBLE else _IN_DOUBLE
    return known[name](writer, x, *(v for v in (layer.alpha, layer.beta) if v is not None))


# ---- activations: writer, the name of x and the parameters -> the name of the result


def _same(kind: str, *parameters: str) -> Callable[..., str]:
    """Return a writer of the operator that ONNX has, with the parameters as attributes."""
    return lambda w, x, *values: w.op(kind, x, **dict(zip(parameters, values, strict=True)))


def _clip(w: _Writer, x: str, low: float, high: float) -> str:
    return w.op("Clip", x, w.number(low), w.number(high))


def _step(w: _Writer, x: str) -> str:
    return w.cast(w.op("Greater", x, w.number(0)), w.dtype)


def _silu(w: _Writer, x: str) -> str:
    return w.op("Mul", x, w.op("Sigmoid", x))


def _silu_double(w: _Writer, x: str) -> str:
    # onnxruntime 1.20 makes x * sigmoid(x) an operator that it has in single precision only.
    return w.op("Div", x, w.op("Add", w.op("Exp", w.op("Neg", x)), w.number(1)))


def _gelu(w: _Writer, x: str) -> str:
    erf = w.op("Erf", w.op("Div", x, w.number(math.sqrt(2))))
    return w.op("Mul", w.op("Mul", x, w.op("Add", erf, w.number(1))), w.number(0.5))


def _gelu_double(w: _Writer, x: str) -> str:
    # There is no Erf in double precision. Strecok (1968): erf(u) is 2 / pi times the sum of t / 2
    # and all exp(-n^2 / 25) / n sin(n t), t = 2 u / 5, here summed by Clenshaw's recurrence.
    u = _clip(w, w.op("Div", x, w.number(math.sqrt(2))), -6, 6)
    t = w.op("Mul", u, w.number(0.4))
    half = w.op("Sin", w.op("Mul", t, w.number(0.5)))  # Cos is in single precision only, too
    twice = w.op("Sub", w.number(2), w.op("Mul", w.op("Mul", half, half), w.number(4)))
    sums = [w.op("Mul", t, w.number(0)), w.op("Mul", t, w.number(0))]
    for n in range(31, 0, -1):
        term = w.op("Sub", w.op("Mul", twice, sums[-1]), sums[-2])
        sums.append(w.op("Add", term, w.number(2 / math.pi * math.exp(-n * n / 25) / n)))
    line = w.op("Mul", t, w.number(1 / math.pi))
    erf = w.op("Add", line, w.op("Mul", w.op("Sin", t), sums[-1]))
    return w.op("Mul", w.op("Mul", x, w.op("Add", erf, w.number(1))), w.number(0.5))


def _gelu_tanh(w: _Writer, x: str) -> str:
    cube = w.op("Mul", x, w.op("Mul", x, x))
    inner = w.op("Add", x, w.op("Mul", cube, w.number(0.044715)))
    factor = w.number(2 * math.sqrt(2 / math.pi))
    return w.op("Mul", x, w.op("Sigmoid", w.op("Mul", inner, factor)))


def _mish(w: _Writer, x: str) -> str:
    softplus = _ACTIVATIONS if w.dtype == np.float32 else _IN_DOUBLE
    return w.op("Mul", x, w.op("Tanh", softplus["softplus"](w, x)))


def _softplus(w: _Writer, x: str) -> str:
    e = w.op("Exp", w.op("Neg", w.op("Abs", x)))
    return w.op("Add", w.op("Relu", x), w.op("Log", w.op("Add", e, w.number(1))))


def _rectifier(w: _Writer, x: str, below: str) -> str:
    return w.op("Where", w.op("Greater", x, w.number(0)), x, below)


def _leaky_relu(w: _Writer, x: str, alpha: float) -> str:
    return _rectifier(w, x, w.op("Mul", x, w.number(alpha)))


def _elu(w: _Writer, x: str, alpha: float) -> str:
    # exp(x) - 1 = 2 t / (1 - t) with t = tanh(x / 2): no digit is lost near zero.
    t = w.op("Tanh", w.op("Mul", w.op("Min", x, w.number(0)), w.number(0.5)))
    power = w.op("Div", t, w.op("Sub", w.number(1), t))
    return _rectifier(w, x, w.op("Mul", power, w.number(2 * alpha)))


def _selu(w: _Writer, x: str) -> str:
    return w.op("Mul", _elu(w, x, 1.6732632423543772), w.number(1.0507009873554805))


def _hard_sigmoid(w: _Writer, x: str, alpha: float, beta: float) -> str:
    line = w.op("Add", w.op("Mul", x, w.number(alpha)), w.number(beta))
    return _clip(w, line, 0, 1)


def _hard_swish(w: _Writer, x: str) -> str:
    return w.op("Mul", x, _hard_sigmoid(w, x, 1 / 6, 0.5))


def _softsign(w: _Writer, x: str) -> str:
    return w.op("Div", x, w.op("Add", w.op("Abs", x), w.number(1)))


_ACTIVATIONS: dict[str, Callable[..., str]] = {
    "step": _step, "sigmoid": _same("Sigmoid"), "tanh": _same("Tanh"), "relu": _same("Relu"),
    "leaky_relu": _same("LeakyRelu", "alpha"), "elu": _same("Elu", "alpha"), "gelu": _gelu,
    "silu": _silu, "softplus": _same("Softplus"), "selu": _same("Selu"),
    "relu6": lambda w, x: _clip(w, x, 0, 6), "clip": _clip,
    "hard_sigmoid": _same("HardSigmoid", "alpha", "beta"), "hard_swish": _same("HardSwish"),
    "softsign": _same("Softsign"), "mish": _mish, "gelu_tanh": _gelu_tanh,
    "softmax": _same("Softmax"), "log_softmax": _same("LogSoftmax"),
}  # fmt: skip
# What onnxruntime has no operator for in double precision.
_IN_DOUBLE: dict[str, Callable[..., str]] = {
    "leaky_relu": _leaky_relu, "elu": _elu, "selu": _selu, "gelu": _gelu_double,
    "silu": _silu_double, "softplus": _softplus,
    "hard_sigmoid": _hard_sigmoid, "hard_swish": _hard_swish, "softsign": _softsign,
}  # fmt: skip
