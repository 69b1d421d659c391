"""The compiled plan of ext/plan.pyx, as type checkers see it."""

from numpy.typing import ArrayLike

from nncore._source import Reader
from nncore.kernels import Panels

class Plan:
    k: int
    m: int
    multiply_adds: float
    reader: Reader
    def __init__(
        self,
        layers: list[tuple[Panels, int, float]],
        scale: float | None = None,
        *,
        offset: float = 0.0,
        mean: ArrayLike | None = None,
        std: ArrayLike | None = None,
    ) -> None: ...
