"""The compiled engine of ext/execute.pyx, as type checkers see it."""

from typing import Any

from numpy.typing import ArrayLike, NDArray

from nncore._plan import Plan

def run(plan: Plan, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
def threads_for(plan: Plan, n: int) -> int: ...

class Engine:
    _plan: Plan | None
    def __call__(self, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
    def logits(self, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
