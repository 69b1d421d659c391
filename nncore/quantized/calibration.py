"""From a float network and samples to quantized layers.

The layers are made one after the other. Each is shown what the quantized layers before it make of
the samples, so that its bias can make up for what rounding has shifted on average.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import _arrays, _engine
from nncore._base import activate
from nncore.layers import Dense, Normalization, Rescaling
from nncore.layers.quantized_dense import MOST_WEIGHT, QuantizedDense, check_inputs
from nncore.quantized import ranges
from nncore.quantized.network import make_plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nncore._inference import Inference
    from nncore.layers import Layer


def quantized_layers(net: Inference, x: Any, method: str) -> list[Layer]:
    """Return the layers of the quantized network; the float network is left as it is."""
    check_layers(net.layers)
    samples = calibration_samples(net, x)
    front = [layer for layer in net.layers[:1] if not isinstance(layer, Dense)]
    made: list[Layer] = [*front]
    given = samples  # what the quantized layers make of the samples
    seen = real_inputs(front, samples)  # what the float layers make of them
    activation = "identity"
    for i, (layer, wanted, after) in enumerate(net.trace(samples), len(front)):
        weights = finite_weights(layer, i)
        if i > len(front):
            grid = ranges.of_activations(seen, activation, weights, method)
        elif front and isinstance(front[0], Normalization):
            grid = ranges.of_numbers(seen, weights, method)
        else:
            grid = ranges.of_samples(seen, weights, method)
        here = [] if i > len(front) else front
        if i == len(front):
            warn_of_lost_inputs(seen, grid)
        quantized = _quantized(layer, weights, grid)
        found = _engine.run(make_plan([*here, quantized], sums_only=True), given)
        if not (np.isfinite(wanted).all() and np.isfinite(found).all()):
            raise ValueError(
                f"layers[{i}] makes sums of x that are NaN, infinite or too large for float32, "
                "expected finite ones"
            )
        quantized = _corrected(quantized, wanted, found)
        found = _engine.run(make_plan([*here, quantized], sums_only=True), given)
        made.append(quantized)
        given, seen, activation = activate(quantized, found), after, quantized.activation
    return made


def check_layers(layers: tuple[Layer, ...]) -> None:
    """Refuse by their names layers that have no form in 8 bits."""
    for i, layer in enumerate(layers):
        if isinstance(layer, Dense):
            if not isinstance(layer.activation, str):
                raise ValueError(
                    f"layers[{i}] has a custom activation ({layer.activation!r}), expected one of "
                    "nncore.activations: others cannot be quantized"
                )
            check_inputs(layer.in_features, f"layers[{i}]")
        elif i > 0 or not isinstance(layer, (Rescaling, Normalization)):
            raise ValueError(
                f"layers[{i}] is {layer!r}, expected a Dense layer: others cannot be quantized"
            )


def calibration_samples(net: Inference, x: Any) -> NDArray[Any]:
    """Return x, of any form that a call takes, as finite samples (n, in_features)."""
    if _arrays.is_sparse(x):
        x = x.toarray()
    samples = _arrays.samples(x, net.in_features, isinstance(net.layers[0], Normalization))
    if samples.ndim == 1:
        samples = samples[None]
    if len(samples) == 0:
        raise ValueError("x has no samples, expected some to calibrate with: some hundreds do")
    with np.errstate(all="ignore"):
        finite = np.isfinite(samples.astype(np.float32)).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"x[{int(np.argmin(finite))}] has a number that is NaN, infinite or too large for "
            "float32, expected finite numbers to calibrate with"
        )
    return samples


def real_inputs(front: list[Layer], samples: NDArray[Any]) -> NDArray[Any]:
    """Return what becomes codes in the first layer, in float32."""
    if front and isinstance(front[0], Normalization):
        return ((samples - front[0].mean) / front[0].std).astype(np.float32)
    return samples.astype(np.float32, copy=False)


def warn_of_lost_inputs(seen: NDArray[Any], grid: ranges.Grid) -> None:
    """Warn of inputs that differ from sample to sample, but by less than a step of the codes."""
    low, high = (np.clip(ends, *grid.ends) for ends in (seen.min(axis=0), seen.max(axis=0)))
    lost = int(np.count_nonzero((seen.min(axis=0) < seen.max(axis=0)) & (high - low < grid.step)))
    if lost:
        warnings.warn(
            f"{lost} of {seen.shape[1]} inputs vary by less than {grid.step:.3g} or lie outside "
            "the range of the codes, which is one for all inputs: what they say is lost. Begin the "
            "float network with a nncore.Normalization, which makes its inputs alike",
            stacklevel=4,
        )


def finite_weights(layer: Dense, i: int) -> NDArray[np.float32]:
    """Return the weights of layer i in float32; refuse it by its name if they do not fit."""
    assert layer.weights is not None
    with np.errstate(all="ignore"):
        weights = layer.weights.astype(np.float32, copy=False)
        bias = np.float32(0) if layer.bias is None else layer.bias.astype(np.float32)
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise ValueError(
            f"layers[{i}] has weights or biases that are NaN, infinite or too large for float32, "
            "expected finite ones"
        )
    return weights


def _quantized(layer: Dense, weights: NDArray[np.float32], grid: ranges.Grid) -> QuantizedDense:
    """Return the layer with each column of weights in whole numbers of -127 to 127."""
    scale = np.abs(weights).max(axis=0) / np.float32(MOST_WEIGHT)
    scale[scale == 0] = 1  # of an output whose weights are all zero
    codes = np.clip(np.rint(weights / scale), -MOST_WEIGHT, MOST_WEIGHT)
    bias = np.zeros(layer.out_features) if layer.bias is None else layer.bias
    return QuantizedDense(
        codes.astype(np.int8), scale, bias, str(layer.activation), alpha=layer.alpha,
        beta=layer.beta, step=grid.step, zero_point=grid.zero_point,
    )  # fmt: skip


def _corrected(layer: QuantizedDense, wanted: NDArray[Any], found: NDArray[Any]) -> QuantizedDense:
    """Return the layer with a bias that takes away the mean error of its sums over the samples.

    Of few samples, or of errors that vary more than they shift, the mean is not known well. So it
    counts as much as is certain of it: mean^2 / (mean^2 + variance of the mean).
    """
    error = wanted.astype(np.float64) - found
    mean = error.mean(axis=0)
    square, uncertain = mean**2, error.var(axis=0) / max(len(error) - 1, 0.5)
    share = square / np.maximum(square + uncertain, np.finfo(np.float64).tiny)
    correction = mean * share if len(error) > 1 else 0 * mean
    return QuantizedDense(
        layer.weights, layer.scale, layer.bias + correction, layer.activation, alpha=layer.alpha,
        beta=layer.beta, step=layer.step, zero_point=layer.zero_point,
    )  # fmt: skip
