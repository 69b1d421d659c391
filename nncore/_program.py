"""What layers compile to, collected step by step and made into a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from nncore import _plan, activations

if TYPE_CHECKING:
    from numpy.typing import NDArray


class WithWeights(Protocol):
    """A layer whose slot holds weights."""

    @property
    def slot(self) -> _plan.Slot: ...


class Program:
    """The builder that `Layer.compile` is given.

    Parameters
    ----------
    records : mapping
        The weights to compile, by the slots of the layers.
    sums_only : bool, optional
        Whether the activations are left out.
    """

    def __init__(
        self, records: Mapping[_plan.Slot, _plan.Parameters], sums_only: bool = False
    ) -> None:
        self._records = records
        self._sums_only = sums_only
        self.reading: dict[str, Any] = {}  # the keywords of the Reader
        self._layers: list[tuple[Any, int, float]] = []

    def rescale(self, scale: float, offset: float) -> None:
        """Multiply each input and add to it, while it is read."""
        self.reading = {"scale": scale, "offset": offset}

    def normalize(self, mean: NDArray[Any], std: NDArray[Any]) -> None:
        """Subtract from each feature and divide it, while it is read."""
        self.reading = {"mean": mean, "std": std}

    def dense(self, layer: WithWeights, activation_code: int, alpha: float) -> None:
        """Weighted sums with the layer's weights, then an activation."""
        if self._sums_only:
            activation_code = activations.CODES["identity"]
        self._layers.append((self._records[layer.slot].panels, activation_code, alpha))

    def add(self, kind: str, *parameters: Any) -> None:
        """Any other operation."""
        raise NotImplementedError(f"the operation {kind}")

    def plan(self) -> _plan.Plan:
        """What runs all this."""
        # The kernels trust the plan: panels of another type would be read beyond their end.
        if len({panels.is_double for panels, _, _ in self._layers}) > 1:
            raise ValueError("a layer has joined a network of another dtype meanwhile")
        return _plan.Plan(self._layers, **self.reading)
