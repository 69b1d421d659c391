"""QuantizedNetwork: a network that computes in whole numbers of 8 bits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import _engine, activations
from nncore._base import BaseNetwork, LayerTrace, activate
from nncore._engine import QuantizedPlan
from nncore._inference import Inference
from nncore._plan import Program
from nncore._table import to_codes
from nncore.fit.methods import Measurable
from nncore.layers import Dense, Layer, Normalization, Rescaling, check_chain
from nncore.layers.quantized_dense import QuantizedDense

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from nncore.fit.settings import Problem

_LEARN = "its whole numbers cannot learn: train the float network, then quantize it again"
_CONVERT = "convert the float network that it was made of"
_REFUSED = {
    "fit": _LEARN,
    "gradients": _LEARN,
    "to_onnx": _CONVERT,
    "to_torch": _CONVERT,
    "to_state_dict": _CONVERT,
    "to_dict": _CONVERT,
    "to_html": "make the page of the float network",
    "with_weights": "its weights take one byte each; round those of the float network",
}


class QuantizedNetwork(BaseNetwork, Measurable):
    """A dense neural network in whole numbers of 8 bits, made by `nncore.quantize`.

    It is called as a `Network` is, and takes little more than a quarter of its memory. Weights are
    whole numbers from -127 to 127, inputs of layers from 0 to 255; what they stand for is in the
    layers. The logits are float32, and so is what the last activation makes of them.

    It does not change. To teach it, train the float network and quantize it again.

    Parameters
    ----------
    layers : sequence of layers
        An optional `Rescaling` or `Normalization`, then `QuantizedDense` layers.
    classes : sequence of str, int, float or bool, optional
        The names of the classes, as for `Network`.

    Attributes
    ----------
    layers : tuple
        The layers; they are read-only.
    dtype : numpy.dtype
        float32, that of the outputs.
    in_features, out_features : int
    classes : ndarray or None
        The names of the classes, read-only; assign a sequence, or None for no names.

    Notes
    -----
    Sums of whole numbers are exact in any order, so ``net(x)[i]`` equals ``net(x[i])`` bit for bit,
    whatever the batch size, the memory layout of x, the number of threads and the instruction set.
    Any number of threads may call one network. If an input of a sample is NaN, all of its outputs
    are; infinity is taken for the largest number that has a code, -infinity for the smallest.

    Examples
    --------
    >>> import nncore
    >>> x, t = nncore.datasets.make_digits(300, seed=0)
    >>> net = nncore.quantize(nncore.load_pretrained("digits"), x)
    >>> net.predict(x[:5]).tolist() == t[:5].tolist()
    True
    >>> net.layers[1]
    QuantizedDense(784, 50, relu, inputs 0 to 255)
    """

    _is_closed = True
    _kind = "QuantizedNetwork"

    def __init__(self, layers: Sequence[Layer], *, classes: Any = None) -> None:
        checked = _check_layers(layers)
        super().__init__(checked, np.dtype(np.float32), classes)
        plan = make_plan(checked)
        plan.watch = self._watch
        self._use(plan, [], [])

    @property
    def _number_type(self) -> str:
        return "int8"

    def trace(self, x: ArrayLike) -> list[LayerTrace]:
        """Return every weighted sum and activation on the way through the network.

        Parameters
        ----------
        x : array_like
            As for a call.

        Returns
        -------
        list of LayerTrace
            One for each quantized layer: ``weighted_sum`` and ``activation``, float32, each
            (out_features,) or (n, out_features). An activation is what the next layer sees of it:
            the number that its code stands for. The last one equals ``net(x)`` bit for bit.

        Examples
        --------
        >>> import numpy as np, nncore
        >>> net = nncore.Network.from_arrays([np.eye(2), np.eye(2)], None, ["relu", "identity"])
        >>> quantized = nncore.quantize(net, [[0.0, 255.0], [100.0, 0.0]])
        >>> quantized.trace([7.0, 100.0])[0].activation
        array([  7., 100.], dtype=float32)
        """
        traces: list[LayerTrace] = []
        before = [layer for layer in self._layers if not layer.is_dense]
        for layer, following in zip(self._dense, [*self._dense[1:], None], strict=True):
            plan = make_plan([*before, layer], sums_only=True)
            if not traces:
                plan.watch = self._watch
            weighted_sum = _engine.run(plan, x)
            x = activate(layer, weighted_sum)
            seen = x if following is None else _seen(x, following)
            traces.append(LayerTrace(layer, weighted_sum, seen))
            before = []
        return traces

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to an ``.npz`` file, all of it or nothing; `nncore.load` reads it.

        Parameters
        ----------
        path : str or os.PathLike
            Must end in ``.npz``.

        Raises
        ------
        ValueError
            It does not: other formats do not hold quantized networks.
        OSError
            The file cannot be written.
        """
        from nncore import formats

        formats.write(path, self._layers, self._dtype, self._classes)

    def _problem(self, given: Mapping[str, Any]) -> Problem:
        last = self._dense[-1]
        head = head_of(self, last.activation, alpha=last.alpha, beta=last.beta)
        return head._problem({**given, "x": self.logits(given["x"])})

    def __getattr__(self, name: str) -> Any:
        hint = f": {_REFUSED[name]}" if name in _REFUSED else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self._layers, self._classes)


class Head(Inference, Measurable):
    """The last activation of a network as a network of its own, which takes the logits."""


def head_of(
    net: BaseNetwork, activation: str, *, alpha: float | None = None, beta: float | None = None
) -> Head:
    """Return a network that takes the logits of `net` and applies this activation."""
    size = net.out_features
    layer = Dense(size, size, activation, bias=False, alpha=alpha, beta=beta)
    layer.weights = np.eye(size, dtype=net.dtype)
    return Head([layer], dtype=net.dtype, classes=net.classes)


def make_plan(layers: Sequence[Any], *, sums_only: bool = False) -> QuantizedPlan:
    """Return the plan of quantized layers, and of a layer in front of them where there is one.

    sums_only: the outputs are the weighted sums of the last layer.
    """
    front = None if layers[0].is_dense else layers[0]
    dense: list[QuantizedDense] = [layer for layer in layers if layer.is_dense]
    program = Program({}, dense[0].in_features, False)
    if isinstance(front, Normalization):
        front.compile(program)
    rescaling = front if isinstance(front, Rescaling) else None
    rows = [dense[0].operands(rescaling), *(layer.operands() for layer in dense[1:])]
    if sums_only:
        weights, scale, bias, _, _, _, *codes = rows[-1]
        rows[-1] = (weights, scale, bias, activations.CODES["identity"], 0.0, 0.0, *codes)
    return QuantizedPlan(program, rows)


def _seen(y: NDArray[Any], layer: QuantizedDense) -> NDArray[np.float32]:
    """Return the real numbers that the codes of y stand for in the layer that takes y."""
    codes = to_codes(np.ascontiguousarray(y), layer.inverse, layer.zero_point)
    seen = ((codes - float(layer.zero_point)) * layer.step).astype(np.float32)
    return np.where(np.isnan(y), y, seen)


def _check_layers(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers of a quantized network in a list, and refuse others."""
    checked = list(layers)
    for i, layer in enumerate(checked):
        in_front = i == 0 and isinstance(layer, (Rescaling, Normalization))
        if not in_front and not isinstance(layer, QuantizedDense):
            raise TypeError(
                f"layers[{i}] is of type {type(layer).__name__}, expected a QuantizedDense, which "
                "nncore.quantize makes of a Dense"
            )
    check_chain(checked, lambda i: f"layers[{i}]")
    return checked


def _rebuild(cls: type[QuantizedNetwork], layers: list[Layer], classes: Any) -> QuantizedNetwork:
    return cls(layers, classes=classes)
