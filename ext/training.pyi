"""The compiled trainer of ext/training.pyx, as type checkers see it."""

from typing import Any

from numpy.typing import NDArray

from nncore._plan import Program

class Trainer:
    steps: int
    def __init__(
        self,
        program: Program,
        loss: int,
        optimizer: dict[str, Any] | None = None,
        *,
        dropout: list[float] | None = None,
        label_smoothing: float = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        seed: int = 0,
    ) -> None: ...
    def run(
        self,
        x: NDArray[Any],
        targets: NDArray[Any],
        weights: NDArray[Any] | None,
        order: NDArray[Any],
        batch_size: int,
        rates: NDArray[Any],
        settings: dict[str, NDArray[Any]] | None = None,
        bias_settings: dict[str, NDArray[Any]] | None = None,
        squares: NDArray[Any] | None = None,
    ) -> tuple[NDArray[Any], int, int]: ...
    def gradients(
        self, x: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any] | None
    ) -> tuple[float, list[tuple[NDArray[Any], NDArray[Any] | None]]]: ...
    def evaluate(
        self, x: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any] | None
    ) -> tuple[float, int]: ...
    def arrays(self) -> list[tuple[NDArray[Any], NDArray[Any] | None]]: ...
    def set_arrays(self, pairs: list[tuple[NDArray[Any], NDArray[Any] | None]]) -> None: ...
    def get_state(self) -> dict[str, Any]: ...
    def set_state(self, state: dict[str, Any]) -> None: ...
