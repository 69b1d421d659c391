"""What every network is, however it computes: layers in order, names of classes, one call.

`nncore._inference.Inference` computes in floating point, `nncore.QuantizedNetwork` in whole
numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore import _engine, _pixels, _validation, activations
from nncore._names import KnownAttributes
from nncore.layers import Dense, Layer, check_classes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_SHOWN_CLASSES = 10  # the first of them, in the repr of a network


class LayerTrace(NamedTuple):
    """What one Dense layer made of its inputs: `weighted_sum` x @ w + b, and its `activation`."""

    layer: Dense | Any
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


class BaseNetwork(KnownAttributes, _engine.Engine):
    """Layers that fit together, and what follows from them alone.

    Parameters
    ----------
    layers : sequence of Layer
        Checked, but for the weights.
    dtype : numpy.dtype
        Of the outputs.
    classes
        As for `nncore.Network`.
    """

    __signature__ = _CallSignature()
    _kind = "Network"  # as its repr begins

    def __init__(self, layers: Sequence[Any], dtype: np.dtype[Any], classes: Any) -> None:
        self._dtype = dtype
        self._layers = list(layers)
        self._dense = [layer for layer in self._layers if layer.is_dense]
        self._in_features: int = next(
            layer.in_features for layer in self._layers if layer.in_features is not None
        )
        self._out_features: int = self._dense[-1].out_features
        self.classes = classes
        self._watch = _pixels.Watch() if _pixels.takes_bytes(self._layers) else None

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in order."""
        return tuple(self._layers)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the outputs: float32 or float64; of a float network's weights and arithmetic, too."""
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
        self._set_labels(label_kind(self._dense[-1].activation, names is not None))

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

    @property
    def _number_type(self) -> str:
        """What the weights are made of, as the repr says it."""
        return self._dtype.name

    def __repr__(self) -> str:
        rows = [(repr(layer), f"{layer.parameters:,}") for layer in self._layers]
        width = max(len(text) for text, _ in rows)
        digits = max(len(count) for _, count in rows) + 4
        lines = [
            f"  {i}  {text:<{width}}  {count:>{digits}}" for i, (text, count) in enumerate(rows)
        ]
        count = f"{len(rows)} layer{'s' if len(rows) > 1 else ''}"
        sizes = f"{self.in_features:,} -> {self.out_features:,}"
        title = f"{self._kind} of {count}, {sizes}, {self._number_type}"
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


def label_kind(activation: object, named: bool) -> str | None:
    """Return which labels follow from the logits of a last layer with this activation.

    named: the outputs are classes, so that a last layer without activation gives logits, as those
    of PyTorch's classifiers do.
    """
    if activations.last_layer_only(activation) or (named and activation == "identity"):
        return "largest"
    return "each" if activation == "sigmoid" else None


def activate(layer: Any, weighted_sum: NDArray[Any]) -> NDArray[Any]:
    """Return what a Dense layer's activation makes of its weighted sums, for `trace`."""
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
