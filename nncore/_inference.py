"""What a network is before it is saved or taught: layers in order, run as one call.

`nncore.Network` is this class with files and training on top. Those two work on what is here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore import _engine, _pixels, _validation, activations
from nncore._names import KnownAttributes
from nncore._plan import Parameters, Plan, Program, Slot, publish, snapshot
from nncore.layers import (
    KIND_NAMES,
    Dense,
    Layer,
    check_chain,
    check_classes,
    slots_of,
    snapshot_of,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

_SHOWN_CLASSES = 10  # the first of them, in the repr of a network


class LayerTrace(NamedTuple):
    """What one Dense layer made of its inputs: `weighted_sum` x @ w + b, and its `activation`."""

    layer: Dense
    weighted_sum: NDArray[Any]
    activation: NDArray[Any]


class _CallSignature:
    """What `inspect.signature(net)` reads: compiled calls have none of their own.

    A class whose instances have the attribute must not have it itself: its signature is that of
    its constructor.
    """

    def __get__(self, net: Any, owner: type) -> Any:
        if net is None:
            raise AttributeError("__signature__")
        import inspect

        return inspect.signature(net.logits)  # which takes the same


class Inference(KnownAttributes, _engine.Engine):
    """Layers that fit together, their weights filled, and how they are run.

    Parameters
    ----------
    layers, seed, dtype, classes
        As for `nncore.Network`.
    """

    __signature__ = _CallSignature()

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        seed: Any = None,
        dtype: DTypeLike = "float32",
        classes: Any = None,
    ) -> None:
        self._dtype = _validation.dtype(dtype)
        self._layers = _check_layers(layers)
        self._dense = [layer for layer in self._layers if isinstance(layer, Dense)]
        self._in_features = next(
            layer.in_features for layer in self._layers if layer.in_features is not None
        )
        self._out_features = self._dense[-1].out_features
        self.classes = classes
        self._watch = _pixels.Watch() if _pixels.takes_bytes(self._layers) else None
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

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in order."""
        return tuple(self._layers)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of weights, arithmetic and outputs: float32 or float64."""
        return self._dtype

    @property
    def in_features(self) -> int:
        """Inputs of the first layer."""
        return self._in_features

    @property
    def out_features(self) -> int:
        """Outputs of the last layer."""
        return self._out_features

    @property
    def classes(self) -> NDArray[Any] | None:
        """The names of the classes, (number of classes,), read-only; None: they have no names."""
        return self._classes

    @classes.setter
    def classes(self, names: Any) -> None:
        self._classes = None if names is None else check_classes(names, self._layers)
        self._set_labels(_label_kind(self._dense[-1].activation, names is not None))

    @property
    def parameters(self) -> int:
        """How many numbers the network learns."""
        return sum(layer.parameters for layer in self._layers)

    def predict_proba(self, x: ArrayLike) -> NDArray[Any]:
        """Return the probability of each class, for a last activation that gives probabilities.

        Parameters
        ----------
        x : array_like
            (in_features,) or (n, in_features), or images, as for a call.

        Returns
        -------
        ndarray
            Of the network's dtype, (number of classes,) or (n, number of classes), in the order of
            `classes`. softmax: the outputs. log_softmax: the softmax of the logits. One output with
            sigmoid: two columns, the probabilities of the labels 0 and 1, as scikit-learn has it.
            More outputs with sigmoid: the outputs, each the probability of its own label.

        Raises
        ------
        ValueError
            The last activation is another one, whose outputs are no probabilities.
        TypeError, ValueError
            As for a call.

        Examples
        --------
        >>> import numpy as np, nncore
        >>> net = nncore.Network.from_arrays([[[1.0], [1.0]]], None, ["sigmoid"])
        >>> net.predict_proba([0.0, 0.0])
        array([0.5, 0.5])
        """
        last = self._dense[-1].activation
        if last == "log_softmax":
            return np.asarray(activations.get("softmax")(self.logits(x)))
        if last == "sigmoid" and self._out_features == 1:
            logits = self.logits(x)  # and not 1 - y, which loses the small probabilities of label 0
            return np.asarray(activations.get("sigmoid")(np.concatenate([-logits, logits], -1)))
        if last not in ("softmax", "sigmoid"):
            raise ValueError(
                f"the last activation is {last!r}, expected softmax, log_softmax or sigmoid: only "
                "these give probabilities"
            )
        return self(x)

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
            x = _activate(layer, weighted_sum)
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

    def __repr__(self) -> str:
        rows = [(repr(layer), f"{layer.parameters:,}") for layer in self._layers]
        width = max(len(text) for text, _ in rows)
        digits = max(len(count) for _, count in rows) + 4
        lines = [
            f"  {i}  {text:<{width}}  {count:>{digits}}" for i, (text, count) in enumerate(rows)
        ]
        count = f"{len(rows)} layer{'s' if len(rows) > 1 else ''}"
        sizes = f"{self.in_features:,} -> {self.out_features:,}"
        title = f"Network of {count}, {sizes}, {self._dtype}"
        parameters = f"{self.parameters:,} parameter{'s' if self.parameters != 1 else ''}"
        return "\n".join([title, *lines, parameters, *_named(self._classes)])


def _named(classes: NDArray[Any] | None) -> list[str]:
    """Return the line of a network's repr that names its classes: no line where it has none."""
    if classes is None:
        return []
    names = [_validation.excerpt(str(name), 20) for name in classes[:_SHOWN_CLASSES]]
    if len(classes) > _SHOWN_CLASSES:
        names[-1:] = ["...", _validation.excerpt(str(classes[-1]), 20)]
    return [f"{len(classes):,} classes: {', '.join(names)}"]


def _label_kind(activation: object, named: bool) -> str | None:
    """Return which labels follow from the logits of a last layer with this activation.

    named: the outputs are classes, so that a last layer without activation gives logits, as those
    of PyTorch's classifiers do.
    """
    if activations.last_layer_only(activation) or (named and activation == "identity"):
        return "largest"
    return "each" if activation == "sigmoid" else None


def _check_layers(layers: Sequence[Layer]) -> list[Layer]:
    if isinstance(layers, Layer):
        raise TypeError("layers is a single layer, expected a list of them")
    checked = list(layers)
    for i, layer in enumerate(checked):
        if not isinstance(layer, Layer):
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


def _activate(layer: Dense, weighted_sum: NDArray[Any]) -> NDArray[Any]:
    name = layer.activation
    if isinstance(name, str):
        function = activations.get(name)
        if isinstance(function, activations.Softmax):
            return np.asarray(function(weighted_sum))
        return np.asarray(function(weighted_sum, alpha=layer.alpha, beta=layer.beta))
    result = _validation.array(name(weighted_sum), "the activation's result")
    if result.shape != weighted_sum.shape:
        raise ValueError(
            f"the activation {name!r} turned shape {weighted_sum.shape} into {result.shape}, "
            "expected the same shape"
        )
    return result.astype(weighted_sum.dtype)
