"""The compiled plan of ext/plan.pyx, as type checkers see it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nncore._table import Panels

# ext/source.pxi
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

# ext/plan.pyx
class Parameters:
    @property
    def weights(self) -> NDArray[Any] | None: ...
    @property
    def kept(self) -> NDArray[Any] | Panels | None: ...
    @property
    def bias(self) -> NDArray[Any] | None: ...
    @property
    def panels(self) -> Panels | None: ...
    @property
    def dtype(self) -> np.dtype[Any] | None: ...
    def __init__(
        self,
        weights: NDArray[Any] | None = None,
        bias: NDArray[Any] | None = None,
        panels: Panels | None = None,
        dtype: np.dtype[Any] | None = None,
    ) -> None: ...

class Slot:
    @property
    def current(self) -> Parameters: ...
    def __init__(self, current: Parameters) -> None: ...

def publish(
    slots: list[Slot], records: list[Parameters], expected: list[Parameters] | None = None
) -> bool: ...
def snapshot(slots: list[Slot]) -> list[Parameters]: ...

class Program:
    k: int
    m: int
    is_double: bool
    entries: list[tuple[Any, ...]]
    reader: Reader
    def __init__(
        self,
        records: Mapping[Slot, Parameters],
        k: int,
        is_double: bool,
        sums_only: bool = False,
    ) -> None: ...
    def rescale(self, scale: float, offset: float = 0.0) -> None: ...
    def normalize(self, mean: ArrayLike, std: ArrayLike) -> None: ...
    def widen(self) -> None: ...
    def dense(self, layer: Any, activation: int, alpha: float = 0, beta: float = 0) -> None: ...
    def affine(
        self,
        panels: Panels,
        activation: int,
        alpha: float = 0,
        beta: float = 0,
        *,
        bias: bool = True,
    ) -> None: ...
    def add(
        self,
        kind: str,
        activation: int = 0,
        alpha: float = 0,
        beta: float = 0,
        parameters: ArrayLike | None = None,
    ) -> None: ...

class Compiled:
    k: int
    m: int
    is_double: bool
    is_quantized: bool
    multiply_adds: float
    reader: Reader
    spare_count: int
    watch: Any

class Plan(Compiled):
    def __init__(self, program: Program) -> None: ...
