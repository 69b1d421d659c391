"""How far apart two ways to compute one network may be, from the number of terms of each sum."""

from __future__ import annotations

import numpy as np

import nncore

# The largest slopes, where they are more than 1.
SLOPES = {
    "selu": 1.7581, "gelu": 1.13, "gelu_tanh": 1.13, "silu": 1.1, "mish": 1.09, "hard_swish": 1.5,
    "log_softmax": 2.0,
}  # fmt: skip


def bound(net, x, unit, folded=0.0):
    """The outputs in double precision, and how far from each of them another library may be.

    A sum of k terms in any order is off by at most (k + 8) units of rounding, times the sum of its
    terms' magnitudes, with some room for what is done before and after it; errors of a layer's
    inputs grow by its weights and by its activation's slope. `unit` is that of the less precise of
    the two, doubled here because both are off.

    `folded` is the size of what batch normalisation adds and takes away again: the sum of both is
    in the folded bias, the rounding of each is not.
    """
    unit = 2 * unit
    y = np.asarray(x, dtype=np.float64).reshape(len(x), -1)
    error = np.zeros_like(y)
    for layer in net.layers:
        if isinstance(layer, nncore.Rescaling):
            error = 4 * unit * (np.abs(y * layer.scale) + abs(layer.offset))
            y = y * layer.scale + layer.offset
        elif isinstance(layer, nncore.Normalization):
            error = 4 * unit * (np.abs(y) + np.abs(layer.mean)) / layer.std
            y = (y - layer.mean) / layer.std
        else:
            w = layer.weights.astype(np.float64)
            b = layer.bias.astype(np.float64) if layer.use_bias else np.zeros(w.shape[1])
            size = np.abs(y) @ np.abs(w) + np.abs(b) + folded
            error = unit * (len(w) + 8) * size + error @ np.abs(w)
            given = {"alpha": layer.alpha, "beta": layer.beta}
            given = {key: value for key, value in given.items() if value is not None}
            y = nncore.activations.get(layer.activation)(y @ w + b, **given)
            slope = SLOPES.get(layer.activation, 1.0)
            if layer.activation in ("leaky_relu", "elu"):
                slope = max(1.0, abs(layer.alpha))
            # A softmax moves by no more than the largest error of its row.
            if layer.activation in ("softmax", "log_softmax"):
                error = np.broadcast_to(error.max(axis=-1, keepdims=True), error.shape)
            error = slope * error + 8 * unit * (1 + np.abs(y))
    return y, error
