"""The compiled plan of ext/plan.pyx, as type checkers see it."""

from nncore.kernels import Panels

class Plan:
    k: int
    m: int
    multiply_adds: float
    def __init__(
        self, layers: list[tuple[Panels, int, tuple[float, float]]], scale: float | None = None
    ) -> None: ...
