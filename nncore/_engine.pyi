"""The compiled engine of ext/engine.pyx, as type checkers see it."""

from typing import Any

from numpy.typing import ArrayLike, NDArray

from nncore._kernels import Panels

class Plan:
    k: int
    m: int
    multiply_adds: float
    def __init__(
        self, layers: list[tuple[Panels, int, float]], scale: float | None = None
    ) -> None: ...

def run(plan: Plan, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]: ...

class Engine:
    _plan: Plan | None
    def __call__(self, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
    def logits(self, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
