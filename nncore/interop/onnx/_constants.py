"""Operators on constants alone, such as a transposed weight or the shape to flatten to."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore.interop.onnx._node import Node
from nncore.interop.onnx._values import SAMPLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FLOATS = {1: np.float32, 10: np.float16, 11: np.float64, 16: np.float32}
_INTEGERS = {
    2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_,
    12: np.uint32, 13: np.uint64,
}  # fmt: skip


def cast_type(code: int) -> type[np.generic] | None:
    """Return what Cast converts to; None for what is not read here. bfloat16 is as float32."""
    return _FLOATS.get(code) or _INTEGERS.get(code)


def is_float(code: int) -> bool:
    """Return whether a Cast is to floating-point numbers."""
    return code in _FLOATS


def _constant(node: Node) -> Any:
    value = node.tensor("value")
    if value is not None:
        return value
    for name, read, dtype in (
        ("value_float", lambda: node.real("value_float", 0), np.float32),
        ("value_int", lambda: node.whole("value_int", 0), np.int64),
        ("value_floats", lambda: node.reals("value_floats"), np.float32),
        ("value_ints", lambda: node.wholes("value_ints"), np.int64),
    ):
        if node.has(name):
            return np.array(read(), dtype)
    return node.refuse("has no value of numbers")


def _cast(node: Node, x: Any) -> Any:
    to = node.whole("to", 0)
    node.skip("saturate")
    dtype = cast_type(to)
    if dtype is None or x.dtype.kind == "O":
        node.refuse(f"converts to the type {to}, expected plain numbers")
    if x.dtype == np.int64 and (x == SAMPLES).any():
        return x  # the number of samples, whatever its type
    node.budget.take(x.size, node.where)
    return x.astype(dtype)


def _reshape(node: Node, x: Any, shape: Any) -> Any:
    sizes = [int(size) for size in shape.reshape(-1)[:17]]
    if not node.whole("allowzero", 0):
        sizes = [x.shape[i] if s == 0 and i < x.ndim else s for i, s in enumerate(sizes)]
    return x.reshape(sizes)


def _flatten(node: Node, x: Any) -> Any:
    axis = node.whole("axis", 1)
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _axes(node: Node, given: Any) -> tuple[int, ...] | None:
    listed = node.wholes("axes")
    found = listed if given is None else given.reshape(-1).tolist()
    return None if found is None else tuple(int(axis) for axis in found[:16])


def _squeeze(node: Node, x: Any, axes: Any = None) -> Any:
    return np.squeeze(x, _axes(node, axes))


def _unsqueeze(node: Node, x: Any, axes: Any = None) -> Any:
    return np.expand_dims(x, _axes(node, axes) or ())


def _transpose(node: Node, x: Any) -> Any:
    return x.transpose(node.wholes("perm"))


def _gather(node: Node, x: Any, indices: Any) -> Any:
    axis = node.whole("axis", 0)
    node.budget.take(indices.size * (x.size // max(x.shape[axis], 1)), node.where)
    return np.take(x, indices, axis)


def _slice(node: Node, x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    parts = [slice(None)] * x.ndim
    chosen = range(starts.size) if axes is None else axes.reshape(-1).tolist()
    jumps = [1] * starts.size if steps is None else steps.reshape(-1).tolist()
    for axis, start, end, jump in zip(
        chosen, starts.reshape(-1).tolist(), ends.reshape(-1).tolist(), jumps, strict=True
    ):
        if jump < 1:
            node.refuse(f"has a step of {jump}, expected at least 1")
        parts[axis] = slice(start, end, jump)
    return x[tuple(parts)]


def _concat(node: Node, *arrays: Any) -> Any:
    node.budget.take(sum(array.size for array in arrays), node.where)
    return np.concatenate(arrays, node.whole("axis", 0))


def _shape(node: Node, x: Any) -> Any:
    return np.array(x.shape[_span(node, x.ndim)], np.int64)


def _span(node: Node, rank: int) -> slice:
    return slice(node.whole("start", 0), node.whole("end", rank))


def _arithmetic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return an operator that computes each element, in the dtype of its inputs."""

    def apply(node: Node, *arrays: Any) -> Any:
        if any(array.dtype.kind == "O" for array in arrays):
            node.refuse("computes with texts, expected numbers")
        if any(array.dtype == np.int64 and (array == SAMPLES).any() for array in arrays):
            node.refuse("computes with the number of samples, expected it in shapes only")
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
        node.budget.take(math.prod(shape), node.where)
        with np.errstate(all="ignore"):
            return np.asarray(function(*arrays))

    return apply


def _divide(a: NDArray[Any], b: NDArray[Any]) -> Any:
    if a.dtype.kind == "f":
        return a / b
    if not (a >= 0).all() or not (b > 0).all():
        raise ValueError("a division of whole numbers is of negative ones or by 0")
    return a // b


OPERATORS: dict[str, Callable[..., Any]] = {
    "Constant": _constant, "Cast": _cast, "Reshape": _reshape, "Flatten": _flatten,
    "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Transpose": _transpose, "Gather": _gather,
    "Slice": _slice, "Concat": _concat, "Shape": _shape,
    "Identity": lambda node, x: x, "Add": _arithmetic(np.add),
    "Sub": _arithmetic(np.subtract), "Mul": _arithmetic(np.multiply), "Div": _arithmetic(_divide),
    "Neg": _arithmetic(np.negative), "Sqrt": _arithmetic(np.sqrt), "Pow": _arithmetic(np.power),
    "Exp": _arithmetic(np.exp), "Reciprocal": _arithmetic(np.reciprocal),
}  # fmt: skip


def compute(node: Node) -> NDArray[Any]:
    """Return what an operator makes of constants.

    Raises
    ------
    ValueError
        The operator is not known for constants, or these do not fit it.
    """
    operator = OPERATORS.get(node.op)
    if operator is None:
        node.refuse("has constants only, expected an operator that prepares weights or shapes")
    try:
        result = operator(node, *node.inputs)
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        if isinstance(error, ValueError) and str(error).startswith(node.where):
            raise
        raise ValueError(f"{node.where} does not fit its constants: {error}") from error
    return np.asarray(result)


def shape_of(node: Node) -> NDArray[np.int64]:
    """Return the shape of what the samples became, the number of samples standing for itself."""
    flow = node.flow()
    if flow.shape is None or None in flow.shape:
        node.refuse("asks for a shape that is not known, expected an input of known size")
    shape = (SAMPLES, *(size for size in flow.shape if size is not None))
    return np.array(shape[_span(node, len(shape))], np.int64)
