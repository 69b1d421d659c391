"""The compiled part of nncore.kernels, ext/kernels.pyx, as type checkers see it."""

from typing import Any

from numpy.typing import NDArray

class Weights:
    k: int
    m: int
    is_double: bool

def pack_arrays(w: NDArray[Any], b: NDArray[Any]) -> Weights: ...
def activation_code(name: str) -> int: ...

class Runner:
    network: Any
    k: int
    m: int
    is_double: bool
    def __init__(self, network: Any) -> None: ...
    def refresh(self) -> None: ...
