"""The compiled half of the trainer, ext/training.pyx, as type checkers see it."""

from typing import Any

from numpy.typing import NDArray

from nncore._plan import Program

MOST_SETTINGS: int

class Core:
    def __init__(
        self,
        program: Program,
        entries: list[tuple[Any, ...]],
        loss: int,
        smoothing: float,
        states: int,
        clip_norm: float,
        clip_value: float,
        seed: int,
        /,
    ) -> None: ...
    def run(
        self,
        backward: bool,
        x: NDArray[Any],
        targets: NDArray[Any],
        weights: NDArray[Any] | None,
        order: NDArray[Any] | None,
        n: int,
        batch_size: int,
        threads: int,
        losses: NDArray[Any],
        first_step: int,
        updates: NDArray[Any] | None,
        bias_updates: NDArray[Any] | None,
        squares: NDArray[Any] | None,
        check: bool,
        /,
    ) -> tuple[int, int]: ...
    def exchange(self, kind: int, i: int, plain: NDArray[Any], store: bool, /) -> None: ...
