"""The compiled plan of ext/plan.pyx, as type checkers see it."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

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

class Parameters:
    @property
    def weights(self) -> NDArray[Any] | None: ...
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
    current: Parameters
    def __init__(self, current: Parameters) -> None: ...

def publish(
    slots: list[Slot], records: list[Parameters], expected: list[Parameters] | None = None
) -> bool: ...
def snapshot(slots: list[Slot]) -> list[Parameters]: ...
