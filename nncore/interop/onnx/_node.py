"""A node of a graph as the operators see it: its inputs, and its attributes, each read once."""

from __future__ import annotations

from typing import Any, NoReturn

from nncore._validation import excerpt
from nncore.interop.onnx._model import Tensors
from nncore.interop.onnx._values import Budget, Flow, Shape, shown

# Of AttributeProto.type: the field, and what messages call it.
_TYPES = {
    1: ("f", "a number"), 2: ("i", "a whole number"), 3: ("s", "text"), 4: ("t", "a tensor"),
    6: ("floats", "numbers"), 7: ("ints", "whole numbers"), 8: ("strings", "texts"),
}  # fmt: skip
_FLOAT, _INT, _STRING, _TENSOR, _FLOATS, _INTS, _STRINGS = _TYPES


class Node:
    """One node, with the values that its inputs have by now.

    Attributes
    ----------
    inputs : list
        Arrays, and what `_values` has; None for one that is left out.
    where : str
        What messages call the node.
    opset : int
        The version of ONNX's own operators.
    """

    def __init__(
        self, node: Any, where: str, inputs: list[Any], opset: int, tensors: Tensors, budget: Budget
    ) -> None:
        self.op: str = node.op_type
        self.where, self.inputs, self.opset = where, inputs, opset
        self.tensors, self.budget = tensors, budget
        self._attributes = {attribute.name: attribute for attribute in node.attribute}

    def refuse(self, why: str) -> NoReturn:
        """Raise ValueError that names the node."""
        raise ValueError(f"{self.where} {why}")

    def input(self, index: int) -> Any:
        """Return an input, None if it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def flow(self, index: int = 0) -> Flow:
        """Return an input that has to be of the samples."""
        value = self.input(index)
        if not isinstance(value, Flow):
            self.refuse(
                f"has {_kind(value)} as input {index + 1}, expected what the samples become"
            )
        return value

    def step(
        self, kind: str, *args: Flow, parameters: tuple[Any, ...] = (), shape: Shape | None
    ) -> Flow:
        """Return a flow made of others by this node."""
        order = 1 + max((arg.order for arg in args), default=0)
        return Flow(kind, args, parameters, self.where, shape, order)

    def unary(self, kind: str, *parameters: Any) -> Flow:
        """Return what becomes of each number of the first input."""
        x = self.flow()
        return self.step(kind, x, parameters=parameters, shape=x.shape)

    # ---- attributes

    def real(self, name: str, default: float) -> float:
        return float(self._take(name, default, _FLOAT))

    def whole(self, name: str, default: int) -> int:
        return int(self._take(name, default, _INT))

    def text(self, name: str, default: str) -> str:
        return str(self._take(name, default.encode(), _STRING).decode())

    def reals(self, name: str) -> list[float]:
        return list(self._take(name, (), _FLOATS))

    def wholes(self, name: str) -> list[int] | None:
        found = self._take(name, None, _INTS)
        return None if found is None else list(found)

    def texts(self, name: str) -> list[str]:
        return [text.decode() for text in self._take(name, (), _STRINGS)]

    def tensor(self, name: str) -> Any:
        found = self._take(name, None, _TENSOR)
        return None if found is None else self.tensors.array(found, f"{self.where}: {name}")

    def count(self, name: str) -> int:
        """Return how many numbers an attribute holds, without taking it."""
        attribute = self._attributes.get(name)
        return 0 if attribute is None else len(attribute.floats) or len(attribute.ints)

    def has(self, name: str) -> bool:
        return name in self._attributes

    def skip(self, *names: str) -> None:
        """Pass over attributes that change nothing."""
        for name in names:
            self._attributes.pop(name, None)

    def check_empty(self) -> None:
        """Refuse attributes that no one has read: their meaning would be lost."""
        if self._attributes:
            self.refuse(f"has the attribute '{excerpt(min(self._attributes))}', expected none such")

    def _take(self, name: str, default: Any, kind: Any) -> Any:
        attribute = self._attributes.pop(name, None)
        if attribute is None:
            return default
        if attribute.type != kind:
            self.refuse(f"has an attribute {name} of another type, expected {_TYPES[kind][1]}")
        return getattr(attribute, _TYPES[kind][0])

    # ---- shapes

    def axis(self, value: int, flow: Flow) -> int:
        """Return an axis of a flow counted from the front; the samples are axis 0."""
        rank = None if flow.shape is None else len(flow.shape) + 1
        if value < 0:
            if rank is None:  # a dense layer tells later that there are two axes
                rank = 2
            value += rank
        if not 0 <= value < (rank or 2):
            self.refuse(f"has axis {value}, expected one of {shown(flow.shape)}")
        return value

    def check_last_axis(self, value: int, flow: Flow) -> None:
        """Refuse an axis unless it is the one of all features."""
        axis = self.axis(value, flow)
        sizes = flow.shape
        last = axis == (1 if sizes is None else len(sizes))
        if not last or axis == 0 or (sizes is not None and any(s != 1 for s in sizes[:-1])):
            self.refuse(f"works along axis {value} of {shown(sizes)}, expected the features")


def _kind(value: Any) -> str:
    return "nothing" if value is None else "constants" if hasattr(value, "dtype") else "labels"
