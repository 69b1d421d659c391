from typing import Any

from nncore._plan import Compiled, Program

MOST_INPUTS: int
SHARED_FROM: int

class QuantizedPlan(Compiled):
    def __init__(self, program: Program, layers: list[tuple[Any, ...]]) -> None: ...

def threads_for(plan: QuantizedPlan, n: int) -> int: ...
