"""How inputs are read (ext/source.pyx), as type checkers see it."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

REAL_KINDS: str

class Reader:
    k: int
    is_double: bool
    converts_to_double: bool
    def __init__(
        self,
        k: int,
        is_double: bool,
        *,
        scale: float | None = None,
        offset: float = 0.0,
        mean: ArrayLike | None = None,
        std: ArrayLike | None = None,
    ) -> None: ...

def rows(reader: Reader, x: object) -> NDArray[Any]: ...
def array(x: object, name: str) -> NDArray[Any]: ...
def samples(x: object, features: int, as_double: bool) -> NDArray[Any]: ...
def output(out: object, x: NDArray[Any], m: int, is_double: bool) -> None: ...
def fits(out: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None: ...
def overlap(a: NDArray[Any], b: NDArray[Any]) -> bool: ...
def is_sparse(x: object) -> bool: ...
def sparse_rows(x: Any, features: int, as_double: bool) -> tuple[Any, ...]: ...
