"""The oracle of quantized networks: THE RULE OF EIGHT BITS of ext/contract.h in plain NumPy.

Sums are exact: all numbers in them are whole and far below 2^53, where double precision ends. Fused
multiply-adds are rounded once. Only the activations are nncore's own, whose float32 kernels have
oracles elsewhere.
"""

from __future__ import annotations

import itertools

import numpy as np

from nncore import activations
from nncore._arrays import samples
from nncore.layers import Normalization, Rescaling
from nncore.quantized import QuantizedDense, QuantizedNetwork

F32 = np.float32


def fma(x, y, z):
    """x * y + z in float32, rounded once.

    The product of two float32 is exact in float64. The sum with z is rounded to odd there: if it is
    inexact, the last bit is set, so that the rounding to float32 sees on which side of a tie it is.
    """
    x, y, z = (np.asarray(each, F32).astype(np.float64) for each in (x, y, z))
    with np.errstate(all="ignore"):
        product = x * y
        total = product + z
        back = total - product
        error = (product - (total - back)) + (z - back)  # Knuth's: exactly what was rounded away
        bits = np.array(total).view(np.int64)
        inexact = np.isfinite(total) & (error != 0) & (bits & 1 == 0)
        outwards = np.where(np.signbit(error) == np.signbit(total), 1, -1)
        return (bits + inexact * outwards).view(np.float64).astype(F32)


def codes_of(x, inverse, zero):
    """The codes of float32 numbers: uint8, 0 for NaN."""
    with np.errstate(all="ignore"):
        rounded = np.rint(fma(x, F32(inverse), F32(zero)))
        return np.where(np.isnan(rounded), 0, np.clip(rounded, 0, 255)).astype(np.uint8)


def layer_sums(x, weights, scale, bias, inverse, zero):
    """The weighted sums (n, m) of inputs x (n, k), float32."""
    codes = codes_of(x, inverse, zero).astype(np.float64)
    sums = ((codes - zero) @ weights.astype(np.float64)).astype(np.int64)
    assert np.abs(sums).max(initial=0) < 2**31
    z = fma(sums.astype(F32), scale, bias)
    z[np.isnan(x).any(axis=1)] = np.nan
    return z


def activate(z, name, alpha=None, beta=None):
    """nncore's own activation of float32 sums."""
    parameters = {"alpha": alpha, "beta": beta}
    given = {key: value for key, value in parameters.items() if value is not None}
    return np.asarray(activations.get(name)(z, **given))


def first_inputs(net, x):
    """What the first layer of `net` makes codes of: x (n, k) as float32, normalised if it is."""
    front = net.layers[0]
    plain = samples(x, net.in_features, isinstance(front, Normalization))
    plain = plain.reshape(-1, net.in_features)
    with np.errstate(all="ignore"):
        if isinstance(front, Normalization):
            return ((plain.astype(np.float64) - front.mean) / front.std).astype(F32)
        return plain.astype(F32)


def folded(net):
    """Weights, scale, bias, inverse and zero point of each layer, as the kernels have them."""
    front = net.layers[0]
    rescaled = isinstance(front, Rescaling)
    factor, offset = (front.scale, front.offset) if rescaled else (1.0, 0.0)
    for layer in (layer for layer in net.layers if layer.is_dense):
        scale = layer.scale.astype(np.float64)
        columns = layer.weights.astype(np.int64).sum(axis=0)
        bias = layer.bias.astype(np.float64) + offset * (scale * columns)
        yield (
            layer.weights, (scale * (layer.step * factor)).astype(F32), bias.astype(F32),
            F32(1 / layer.step), layer.zero_point,
        )  # fmt: skip
        factor, offset = 1.0, 0.0


def trace(net, x):
    """(sums, activations) of each layer, as floats; the last activations are the outputs."""
    y = first_inputs(net, x)
    found = []
    dense = [layer for layer in net.layers if layer.is_dense]
    for layer, numbers in zip(dense, folded(net), strict=True):
        z = layer_sums(y, *numbers)
        y = activate(z, layer.activation, layer.alpha, layer.beta)
        found.append((z, y))
    return found


def run(net, x):
    """The outputs (n, m) for samples x (n, k)."""
    return trace(net, x)[-1][1]


def logits(net, x):
    """The last weighted sums (n, m)."""
    return trace(net, x)[-1][0]


def make(sizes, last="softmax", hidden="relu", front=None, seed=0, **codes):
    """A quantized network of random numbers, whose sums are of the order of 1.

    codes: step and zero_point of the first layer; the others have zero points of every kind.
    """
    rng = np.random.default_rng(seed)
    layers = [] if front is None else [front]
    names = hidden if isinstance(hidden, list) else [hidden] * len(sizes)
    codes = {"step": 1.0, "zero_point": 0} | codes
    for i, (k, m) in enumerate(itertools.pairwise(sizes)):
        weights = rng.integers(-127, 128, (k, m))
        weights[:, 0] = rng.choice([-127, 127])  # and sums as large as there are
        scale = rng.uniform(0.5, 2, m) / (codes["step"] * 127 * 100 * np.sqrt(k))
        name = last if i == len(sizes) - 2 else names[i]
        layers.append(QuantizedDense(weights, scale, rng.standard_normal(m), name, **codes))
        codes = {
            "step": float(rng.uniform(0.002, 0.02)),
            "zero_point": int(rng.choice([0, 3, 128])),
        }
    return QuantizedNetwork(layers)
