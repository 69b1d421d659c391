"""What flows through a graph: the samples, what becomes of them, and labels made of that."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore._validation import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Sizes of one sample, without the first axis, which numbers the samples; None: not known yet.
Shape = tuple[int | None, ...]

# Stands for the number of samples in shapes that a graph computes.
SAMPLES = -(1 << 62)


@dataclass(eq=False, slots=True)
class Flow:
    """A number for each feature of each sample, and how it was made of others.

    `kind` and `parameters`: "input"; "dense" (weights, bias); "add", "multiply", "divide" (number
    or one for each feature, float64); "clip" (low, high); "activation" (name, alpha, beta); "same",
    in another shape; all of these of one flow. Parts of activations that an exporter took apart:
    "constant" (number) of none; "exp", "log", "erf", "abs", "reciprocal", "sqrt", "sin", "power"
    (exponent) of one; "sum", "product", "quotient", "maximum", "minimum", "above" and
    "above_or_equal" of two; "select" of three. "columns" of two, which stand side by side.
    """

    kind: str
    args: tuple[Flow, ...]
    parameters: tuple[Any, ...]
    where: str
    shape: Shape | None  # None: nothing is known
    order: int  # greater than that of all args

    @property
    def features(self) -> int | None:
        """How many numbers a sample has; None: not known."""
        return product(self.shape)


@dataclass(eq=False, slots=True)
class Labels:
    """The class of each sample, or its name: the highest of `scores`, or those above a half."""

    scores: Flow
    classes: list[Any] | None = None


@dataclass(eq=False, slots=True)
class Named:
    """Scores by the names of their classes: what ZipMap makes."""

    scores: Flow
    classes: list[Any]


def plain(flow: Flow) -> Flow:
    """Return what a flow is but for its shape."""
    while flow.kind == "same":
        (flow,) = flow.args
    return flow


def product(shape: Shape | None) -> int | None:
    """Return how many numbers a sample of that shape has."""
    if shape is None or None in shape:
        return None
    return math.prod(size for size in shape if size is not None)


class Budget:
    """How many numbers a model may make of those in its file: tensors are used again, not blown up.

    Parameters
    ----------
    size : int
        Bytes of the model.
    """

    def __init__(self, size: int) -> None:
        self._most = self._left = 4 * size + (1 << 20)

    def take(self, count: int, where: str) -> None:
        """Refuse more numbers than are left."""
        if count > self._left:
            raise ValueError(
                f"{where} makes {counted(count, 'number')}, expected at most {self._most} in the "
                "whole model, by its size"
            )
        self._left -= count


def spread(
    flow: Flow, constant: NDArray[Any], where: str, budget: Budget
) -> tuple[NDArray[np.float64], Shape | None]:
    """Return a constant that meets a flow, () or (features,), and the flow's shape then.

    Raises
    ------
    ValueError
        It is no number for each feature: it differs between samples, or would add features.
    """
    shape = flow.shape
    if constant.dtype.kind != "f":  # the samples are of the same type then, and wrap around
        raise ValueError(
            f"{where} has a constant of dtype {constant.dtype}, expected floating-point numbers"
        )
    if constant.size == 1 and (shape is None or constant.ndim <= len(shape) + 1):
        if constant.ndim and shape == (1,):
            return constant.reshape(1).astype(np.float64), shape
        return constant.reshape(()).astype(np.float64), shape
    refusal = ValueError(
        f"{where} has a constant of shape {constant.shape}, expected a number, or one for each "
        f"feature of {shown(shape)}"
    )
    if constant.size == 0 or constant.ndim == 0:
        raise refusal
    sizes = constant.shape
    if shape is None:
        if math.prod(sizes[:-1]) != 1 or constant.ndim > 2:
            raise refusal
        return constant.reshape(-1).astype(np.float64), (sizes[-1],)
    if len(sizes) == len(shape) + 1 and sizes[0] == 1:
        sizes = sizes[1:]
    if not shape or len(sizes) > len(shape):
        raise refusal
    if None in shape:
        if math.prod(sizes[:-1]) != 1 or any(size != 1 for size in shape[:-1]):
            raise refusal
        shape = (*shape[:-1], sizes[-1])
    known = tuple(size for size in shape if size is not None)
    try:
        fits = np.broadcast_shapes(sizes, known) == known
    except ValueError:
        fits = False
    if not fits:
        raise refusal
    budget.take(math.prod(known), where)
    vector = np.broadcast_to(constant.reshape(sizes), known).reshape(-1)
    return vector.astype(np.float64), shape


def shown(shape: Shape | None) -> str:
    """Return a shape for a message: (n, 28, 28)."""
    if shape is None:
        return "samples of unknown shape"
    return "(" + ", ".join(["n", *("?" if size is None else str(size) for size in shape)]) + ")"
