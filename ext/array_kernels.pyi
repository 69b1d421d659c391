"""The kernels of ext/array_kernels.pyx on arrays, as type checkers see them."""

from typing import Any

from numpy.typing import NDArray

from nncore.kernels import Panels

def activate(activation: int, alpha: float, beta: float, x: NDArray[Any], y: NDArray[Any]) -> None: ...
def derive(activation: int, alpha: float, beta: float, x: NDArray[Any], y: NDArray[Any]) -> None: ...
def softmax(logarithm: bool, x: NDArray[Any], y: NDArray[Any]) -> None: ...
def affine(
    weights: Panels, activation: int, alpha: float, beta: float, x: NDArray[Any], y: NDArray[Any]
) -> None: ...
