"""How inputs are read (ext/source.pyx), as type checkers see it."""

from typing import Any

from numpy.typing import ArrayLike, NDArray

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
