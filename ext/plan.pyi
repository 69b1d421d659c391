"""The compiled plan of ext/plan.pyx, as type checkers see it."""

from typing import Any

from nncore._table import Panels

class Program:
    k: int
    m: int
    is_double: bool
    def __init__(self, k: int, is_double: bool) -> None: ...
    def rescale(self, scale: float) -> None: ...
    def dense(
        self, panels: Panels, activation: int, alpha: float = 0, beta: float = 0, *,
        bias: bool = True,
    ) -> None: ...
    def add(
        self, kind: str, activation: int = 0, alpha: float = 0, beta: float = 0,
        parameters: Any = None
    ) -> None: ...

class Plan:
    k: int
    m: int
    multiply_adds: float
    def __init__(self, program: Program) -> None: ...
