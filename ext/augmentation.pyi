"""The compiled warps of ext/augmentation.pyx, as type checkers see them."""

from typing import Any

from numpy.typing import NDArray

class Warping:
    bad: bool
    def __init__(
        self,
        x: NDArray[Any],
        out: NDArray[Any],
        shape: tuple[int, int],
        index: NDArray[Any],
        limits: tuple[float, float, float, float, float],
        key: int,
    ) -> None: ...
    def run(self, threads: int) -> None: ...
