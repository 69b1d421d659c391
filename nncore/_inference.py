"""What a network is before it is saved or taught: layers in order, run as one call.

`nncore.Network` is this class with files and training on top. Those two work on what is here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import _engine, _validation
from nncore._base import BaseNetwork, LayerTrace, activate
from nncore._plan import Parameters, Plan, Program, Slot, publish, snapshot
from nncore.layers import (
    KIND_NAMES,
    Dense,
    Layer,
    check_chain,
    slots_of,
    snapshot_of,
)

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike, DTypeLike, NDArray


class Inference(BaseNetwork):
    """Layers that fit together, their weights filled, and how they are run.

    Parameters
    ----------
    layers, seed, dtype, classes
        As for `nncore.Network`.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        seed: Any = None,
        dtype: DTypeLike = "float32",
        classes: Any = None,
    ) -> None:
        checked = _validation.dtype(dtype)
        super().__init__(_check_layers(layers), checked, classes)
        self._fill(seed)
        self._make_plan()

    def _fill(self, seed: Any) -> None:
        """Give every layer its weights in the network's dtype: all of them, or none is changed."""
        layers = [layer for layer in self._layers if layer.slot is not None]
        slots = slots_of(layers)
        while True:  # again if another thread has assigned weights meanwhile
            found = snapshot(slots)
            for layer, record in zip(layers, found, strict=True):
                layer.check_dtype(record, self._dtype)
            filled = [
                layer.fill(record, self._dtype, _seed_of_layer(seed, i))
                for i, (layer, record) in enumerate(zip(layers, found, strict=True))
            ]
            if publish(slots, filled, found):
                return

    def with_weights(self, kind: str) -> Self:
        """Return a copy of a float32 network that keeps its weights as another type.

        Weights in bfloat16 take two bytes instead of four. They are rounded to nearest, ties to
        even: 8 bits of precision are left, and the range of float32. They are widened exactly
        while they are read, and all arithmetic stays float32: the outputs equal, bit for bit, those
        of the float32 network with the rounded weights. A few samples through layers of thousands
        of units take about half the time, because reading the weights takes most of it. A network
        of up to a million weights, which the caches hold, takes the time that it took before.

        The copy's ``layers[i].weights`` are the rounded weights as float32, widened anew each time.
        Arrays that are assigned to them are rounded. The biases stay float32. The copy cannot be
        taught. `nncore.quantize` keeps weights in one byte instead, and rounds the inputs of layers
        as well; it takes such a copy, too.

        Parameters
        ----------
        kind : {"bfloat16", "float32"}
            float32: of the rounded weights, where they are bfloat16 now.

        Returns
        -------
        Network

        Raises
        ------
        ValueError
            `kind` is neither of these, or the network is a float64 one.

        Examples
        --------
        >>> import numpy as np, nncore
        >>> net = nncore.Network.from_arrays([np.float32([[0.3], [1.0]])], None, ["relu"])
        >>> small = net.with_weights("bfloat16")
        >>> small
        Network of 1 layer, 2 -> 1, float32
          0  Dense(2, 1, relu, bias=False, bfloat16 weights)      2
        2 parameters
        >>> small.layers[0].weights.ravel().tolist()
        [0.30078125, 1.0]
        >>> small([1, 2]), small.with_weights("float32")([1, 2])
        (array([2.3007812], dtype=float32), array([2.3007812], dtype=float32))
        """
        if kind not in ("bfloat16", "float32"):
            raise ValueError(
                f"kind is {_validation.excerpt(repr(kind))}, expected bfloat16 or float32; "
                "nncore.quantize makes a network of eight bits"
            )
        if self._dtype != np.float32:
            raise ValueError(
                f"the network is a {self._dtype} one, expected float32: its arithmetic would need "
                f"weights of its own type"
            )
        records = snapshot_of(self._layers)
        layers = [
            layer.with_weights(kind, records[layer.slot]) if isinstance(layer, Dense) else layer
            for layer in self._layers
        ]
        return type(self)(layers, dtype=self._dtype, classes=self._classes)

    def trace(self, x: ArrayLike) -> list[LayerTrace]:
        """Return every weighted sum and activation on the way through the network.

        Parameters
        ----------
        x : array_like
            As for a call.

        Returns
        -------
        list of LayerTrace
            One for each Dense layer: ``weighted_sum`` and ``activation``, each (out_features,) or
            (n, out_features). The last activation equals ``net(x)`` bit for bit.

        Examples
        --------
        >>> import numpy as np, nncore
        >>> net = nncore.Network.from_arrays([np.eye(2)], None, ["relu"])
        >>> net.trace([-1.0, 2.0])[0].weighted_sum
        array([-1.,  2.])
        """
        records = snapshot_of(self._layers)
        traces: list[LayerTrace] = []
        before: list[Layer] = []
        for layer in self._layers:
            if not isinstance(layer, Dense):
                before.append(layer)
                continue
            program = _compile(
                [*before, layer], records, layer.in_features, self._dtype, sums_only=True
            )
            plan = Plan(program)
            if not traces:
                plan.watch = self._watch
            weighted_sum = _engine.run(plan, x)
            x = activate(layer, weighted_sum)
            traces.append(LayerTrace(layer, weighted_sum, x))
            before = []
        return traces

    def _program(self) -> Program:
        """Return what the layers compile to with their present weights: for training."""
        return _compile(self._layers, snapshot_of(self._layers), self._in_features, self._dtype)

    @property
    def _input_dtype(self) -> np.dtype[Any]:
        """What inputs are rounded to first: the network's dtype, float64 before a Normalization."""
        double = self._program().reader.converts_to_double
        return np.dtype(np.float64 if double else np.float32)

    def _make_plan(self) -> Plan | None:
        """Decide how to run the present weights; calls under way keep the plan they have.

        Return the plan, None if an activation is a callable. Another thread may be making one too:
        whoever calls compares the records anyway, so it does not matter which is installed last.
        """
        records = snapshot_of(self._layers)
        plan = None
        if all(isinstance(layer.activation, str) for layer in self._dense):
            plan = Plan(_compile(self._layers, records, self._in_features, self._dtype))
            plan.watch = self._watch
        self._use(plan, list(records), list(records.values()))
        return plan

    def _run_layer_by_layer(self, x: Any, out: Any, with_final: bool) -> NDArray[Any]:
        """Run the network on the slow path, for activations that are Python callables."""
        last = self.trace(x)[-1]
        y = last.activation if with_final else last.weighted_sum
        if out is None:
            return y
        _validation.fits(out, y.shape, self._dtype)
        if _validation.overlap(out, np.asarray(x)):
            raise ValueError("out overlaps x in memory, expected memory of its own")
        out[...] = y
        filled: NDArray[Any] = out
        return filled


def _check_layers(layers: Sequence[Layer]) -> list[Layer]:
    if isinstance(layers, Layer):
        raise TypeError("layers is a single layer, expected a list of them")
    checked = list(layers)
    for i, layer in enumerate(checked):
        if not isinstance(layer, Layer) or layer.is_quantized:
            raise TypeError(f"layers[{i}] is of type {type(layer).__name__}, expected {KIND_NAMES}")
        if layer.slot is not None and any(layer is other for other in checked[:i]):
            raise ValueError(f"layers[{i}] is in the network already, expected a layer of its own")
    check_chain(checked, lambda i: f"layers[{i}]")
    return checked


def _seed_of_layer(seed: Any, i: int) -> Any:
    """Each layer draws from a stream of its own, whatever the layers before it take."""
    if seed is None:
        return None
    return [*seed, i] if isinstance(seed, Sequence) else [seed, i]


def _compile(
    layers: Iterable[Layer],
    records: Mapping[Slot, Parameters],
    in_features: int,
    dtype: np.dtype[Any],
    *,
    sums_only: bool = False,
) -> Program:
    program = Program(records, in_features, dtype == np.float64, sums_only)
    for layer in layers:
        layer.compile(program)
    return program
