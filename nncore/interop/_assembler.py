"""From what another library's model computes, step by step, to the layers of a network.

Other libraries have layers that are not ours: activations of their own, batch normalisation,
scalers anywhere. Here they become Dense layers with an activation, and one `Rescaling` or
`Normalization` at the front:

- A step that scales and shifts each feature (batch normalisation) is folded, in double precision,
  into the Dense layer before it, or into the one after it where an activation stands between.
- Scalers at the very front (`rescale`, `normalize`) are kept apart from the weights, because
  folding would round away small differences of large numbers. Several become one.
- Where a step can be folded into no Dense layer, such as two activations in a row, a Dense layer
  whose weights are a diagonal stands in for it.

Weights that nothing is folded into keep their bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import _validation, activations
from nncore.formats._contents import Contents
from nncore.formats.arrays import convert
from nncore.layers import Dense, Layer, Normalization, Rescaling, check_classes

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

# A diagonal of more features would take more memory than the rest of the network; and so would many
# of them, in a model that does nothing but apply activations.
_MAX_DIAGONAL = 4096
_MAX_DIAGONALS = 4 * _MAX_DIAGONAL**2  # numbers, in all of them


@dataclass
class _Dense:
    """x @ weights + bias, then one activation; `where` is what messages call it."""

    weights: NDArray[Any]  # (in_features, out_features); float64 once something is folded in
    bias: NDArray[Any] | None  # (out_features,)
    dtype: np.dtype[Any]  # as the weights came
    where: str
    activation: str = "identity"
    alpha: float | None = None
    beta: float | None = None
    where_activation: str | None = None


@dataclass
class _Map:
    """x * scale + shift, each of them (), or (features,)."""

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    where: str


class Assembler:
    """Takes the steps of a model in order and makes layers of them.

    `where` of each step is what an error message calls it, such as ``"layer 'dense_1'"`` or
    ``"node /fc/Gemm (Gemm)"``.

    Examples
    --------
    >>> steps = Assembler()
    >>> steps.dense(np.eye(2), np.zeros(2), "layer fc1")
    >>> steps.scale(2.0, 1.0, "layer bn1")
    >>> steps.activation("relu", "layer act1")
    >>> steps.contents().layers[0].weights.tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """

    def __init__(self) -> None:
        self._notes: list[str] = []
        self._front: list[tuple[Layer, str]] = []  # scalers before anything else
        self._waiting: list[_Map] = []  # maps that the next Dense layer takes in
        self._dense: list[_Dense] = []
        self._leading: list[tuple[str, str, float | None, float | None]] = []
        self._spare = _MAX_DIAGONALS

    @property
    def features(self) -> int | None:
        """How many numbers the steps so far give; None: as many as the network takes."""
        if self._dense:
            return int(self._dense[-1].weights.shape[1])
        sizes = [layer.out_features for layer, _ in self._front]
        sizes += [step.scale.size if step.scale.ndim else None for step in self._waiting]
        return next((size for size in reversed(sizes) if size is not None), None)

    def dense(self, weights: Any, bias: Any, where: str) -> None:
        """Add x @ weights + bias: (in_features, out_features), and (out_features,) or None."""
        weights = _numbers(weights, f"{where}: the weights")
        if weights.ndim != 2 or 0 in weights.shape:
            raise ValueError(
                f"{where}: the weights have shape {weights.shape}, expected (in_features, "
                "out_features), both 1 or more"
            )
        if bias is not None:
            bias = _numbers(bias, f"{where}: the bias")
            if bias.shape != weights.shape[1:]:
                raise ValueError(
                    f"{where}: the bias has shape {bias.shape}, expected {weights.shape[1:]}"
                )
        self._check_features(weights.shape[0], where)
        for name, place, alpha, beta in self._leading:
            self._diagonal(weights.shape[0], place)
            self._activate(name, place, alpha, beta)
        self._leading = []
        layer = _Dense(weights, bias, weights.dtype, where)
        for waiting in reversed(self._waiting):
            _fold_before(waiting, layer)
            self._notes.append(f"{waiting.where} is folded into {where}")
        self._waiting = []
        self._dense.append(layer)

    def rescale(self, scale: float, offset: float, where: str) -> None:
        """Add x * scale + offset for all features; at the front it becomes a `Rescaling`."""
        step = _Map(_double(scale, f"{where}: scale"), _double(offset, f"{where}: offset"), where)
        if self._is_front():
            self._check_map(step)
            self._front.append((Rescaling(float(step.scale), float(step.shift)), where))
        else:
            self._map(step)

    def normalize(self, mean: Any, std: Any, where: str) -> None:
        """Add (x - mean) / std by feature; at the front it becomes a `Normalization`."""
        mean, std = _double(mean, f"{where}: mean"), _double(std, f"{where}: std")
        if not (std != 0).all():
            raise ValueError(f"{where}: std holds 0, expected numbers to divide by")
        step = _Map(1 / std, -mean / std, where)
        if self._is_front() and (std > 0).all():
            self._check_map(step)
            self._front.append((Normalization(mean, std), where))
        else:
            self._map(step)

    def scale(self, scale: Any, shift: Any, where: str) -> None:
        """Add x * scale + shift, each () or (features,): folded into a Dense layer, in double."""
        self._map(_Map(_double(scale, f"{where}: scale"), _double(shift, f"{where}: shift"), where))

    def activation(
        self, name: str, where: str, alpha: float | None = None, beta: float | None = None
    ) -> None:
        """Add an activation of `nncore.activations`; `alpha` and `beta` where it has them."""
        if name == "identity":
            return
        features = self.features
        if features is None:  # the first dense layer will tell
            self._leading.append((name, where, alpha, beta))
            return
        if not self._dense or self._waiting or self._dense[-1].where_activation:
            self._diagonal(features, where)
        self._activate(name, where, alpha, beta)

    def contents(self, *, dtype: DTypeLike | None = None, classes: Any = None) -> Contents:
        """Return the layers that all steps together make.

        Parameters
        ----------
        dtype : {None, "float32", "float64"}, optional
            None: float64 if all weights are float64, else float32.
        classes : sequence, optional
            The names of the classes.

        Raises
        ------
        ValueError
            There is no dense layer, a softmax stands before the end, or a number is too large for
            the dtype.
        """
        if not self._dense:
            raise ValueError("the model has no dense layer, expected at least one")
        if self._waiting:
            self._diagonal(self._dense[-1].weights.shape[1], self._waiting[-1].where)
        for step in self._dense[:-1]:
            if activations.last_layer_only(step.activation):
                raise ValueError(
                    f"{step.where_activation}: {step.activation} stands before the end of the "
                    "model, expected it as the last activation only"
                )
        if dtype is None:
            double = all(step.dtype == np.float64 for step in self._dense)
            dtype = np.float64 if double else np.float32
        dtype = _validation.dtype(dtype)
        layers: list[Layer] = [
            *self._front_layers(),
            *(_layer(step, dtype) for step in self._dense),
        ]
        names = None if classes is None else check_classes(classes, layers)
        notes = tuple(dict.fromkeys([*self._notes, *self._front_notes()]))
        return Contents(layers, dtype, names, notes)

    # ---- what the steps become

    def _is_front(self) -> bool:
        return not (self._dense or self._waiting or self._leading)

    def _map(self, step: _Map) -> None:
        self._check_map(step)
        if self._leading:
            raise ValueError(
                f"{step.where} follows an activation that no dense layer stands before, expected "
                "a dense layer first"
            )
        if not self._dense or self._dense[-1].where_activation:
            self._waiting.append(step)
        else:
            _fold_after(self._dense[-1], step)
            self._notes.append(f"{step.where} is folded into {self._dense[-1].where}")

    def _check_map(self, step: _Map) -> None:
        if step.scale.ndim and step.shift.ndim and step.scale.shape != step.shift.shape:
            raise ValueError(
                f"{step.where} scales {step.scale.size} features and shifts {step.shift.size}"
            )
        step.scale, step.shift = np.broadcast_arrays(step.scale, step.shift)
        if step.scale.ndim:
            self._check_features(step.scale.size, step.where)

    def _check_features(self, wanted: int, where: str) -> None:
        given = self.features
        if given is not None and given != wanted:
            raise ValueError(
                f"{where} takes {_validation.counted(wanted, 'feature')}, expected {given}: the "
                "step before it gives so many"
            )

    def _diagonal(self, features: int, where: str) -> None:
        """Add a dense layer that changes nothing but what is waiting to be folded."""
        if features > _MAX_DIAGONAL:
            raise ValueError(
                f"{where} cannot be folded into a dense layer, and has {features} features, "
                f"expected at most {_MAX_DIAGONAL} for a layer of its own"
            )
        self._spare -= features**2
        if self._spare < 0:
            raise ValueError(
                f"{where} cannot be folded into a dense layer, nor could many steps before it, "
                f"expected layers of their own for at most {_MAX_DIAGONALS} weights"
            )
        dtype = self._dense[-1].dtype if self._dense else np.dtype(np.float64)
        layer = _Dense(np.eye(features, dtype=dtype), None, dtype, where)
        self._notes.append(f"{where} becomes a Dense layer of its own, with a diagonal")
        for waiting in reversed(self._waiting):
            _fold_before(waiting, layer)
        self._waiting = []
        self._dense.append(layer)

    def _activate(self, name: str, where: str, alpha: float | None, beta: float | None) -> None:
        try:
            activations.get(name)
            alpha, beta = activations.check_parameters(name, alpha, beta)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}: {error}") from error
        last = self._dense[-1]
        last.activation, last.alpha, last.beta, last.where_activation = name, alpha, beta, where

    def _front_notes(self) -> list[str]:
        names = [where for _, where in self._front]
        return [f"{' and '.join(names)} become one layer at the front"] if len(names) > 1 else []

    def _front_layers(self) -> list[Layer]:
        if len(self._front) <= 1:
            return [layer for layer, _ in self._front]
        scale: Any = 1.0
        shift: Any = 0.0
        for layer, _ in self._front:
            if isinstance(layer, Rescaling):
                scale, shift = scale * layer.scale, shift * layer.scale + layer.offset
            elif isinstance(layer, Normalization):
                scale, shift = scale / layer.std, (shift - layer.mean) / layer.std
        try:
            if not np.ndim(scale):
                return [Rescaling(scale, shift)]
            return [Normalization(-shift / scale, 1 / scale)]
        except ValueError as error:
            raise ValueError(
                f"{self._front[-1][1]}, with the scalers before it: {error}"
            ) from error


def _numbers(values: Any, name: str) -> NDArray[Any]:
    """Return an array of floating-point numbers of 2, 4 or 8 bytes."""
    array = np.asarray(values)
    if array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8):
        raise ValueError(f"{name} have dtype {array.dtype}, expected floating-point numbers")
    return array


def _double(values: Any, name: str) -> NDArray[np.float64]:
    """Return a copy in double precision of () or (features,); all of it finite."""
    array = np.array(values, dtype=np.float64)
    if array.ndim > 1 or array.size == 0:
        raise ValueError(
            f"{name} has shape {array.shape}, expected one number, or one for each feature"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds a number that is not finite")
    return array


def _layer(step: _Dense, dtype: np.dtype[Any]) -> Dense:
    k, m = step.weights.shape
    layer = Dense(
        k, m, step.activation, bias=step.bias is not None, alpha=step.alpha, beta=step.beta
    )
    bias = None if step.bias is None else convert(f"{step.where}: the bias", step.bias, dtype)
    layer.set_weights(convert(f"{step.where}: the weights", step.weights, dtype), bias)
    return layer


def _in_double(layer: _Dense) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    bias = np.zeros(layer.weights.shape[1]) if layer.bias is None else layer.bias
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        return layer.weights.astype(np.float64), bias.astype(np.float64)


def _fold_after(layer: _Dense, step: _Map) -> None:
    """Make one layer of a layer and the map after it: (x @ w + b) * scale + shift."""
    weights, bias = _in_double(layer)
    layer.weights = weights * step.scale
    layer.bias = bias * step.scale + step.shift


def _fold_before(step: _Map, layer: _Dense) -> None:
    """Make one layer of a layer and the map before it: (x * scale + shift) @ w + b."""
    weights, bias = _in_double(layer)
    layer.weights = weights * (step.scale[:, np.newaxis] if step.scale.ndim else step.scale)
    layer.bias = np.broadcast_to(step.shift, weights.shape[:1]) @ weights + bias
