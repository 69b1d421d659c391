from typing import Any

from nncore._plan import Compiled, Program

MOST_INPUTS: int

class QuantizedPlan(Compiled):
    def __init__(self, program: Program, layers: list[tuple[Any, ...]]) -> None: ...
