"""How far a network may be from another runtime's outputs: a bound derived from K, in float64."""

from __future__ import annotations

import numpy as np

import nncore

# The steepest slope of each activation that has one above 1.
STEEPEST = {
    "selu": 1.7581, "gelu": 1.1290, "gelu_tanh": 1.1290, "silu": 1.0999, "mish": 1.0886,
    "hard_swish": 1.5,
}  # fmt: skip
# Errors of both sides' activations, in units of rounding: those of nncore are below 8 (README), and
# onnxruntime's sigmoid and tanh are of about that size.
FUNCTION = 32


def error_bound(net, x, unit, folded=0.0):
    """The outputs in double, and the largest error of two computations in arithmetic of `unit`.

    A dot product of k terms, added in any order, has an error of at most k units times the sum of
    the terms' magnitudes (Higham 2002, section 3.1). The error of the inputs goes through the
    weights' magnitudes and through the activation's steepest slope, and each function adds its
    own. `folded` is the largest sum of magnitudes of what the model adds, subtracts and multiplies
    by beyond the layers, as batch normalisation does.
    """
    y = np.asarray(x, np.float64)
    error = np.zeros_like(y)
    for layer in net.layers:
        if isinstance(layer, nncore.Rescaling):
            error = 8 * unit * (np.abs(y * layer.scale) + abs(layer.offset))
            y = y * layer.scale + layer.offset
        elif isinstance(layer, nncore.Normalization):
            error = 8 * unit * (np.abs(y) + np.abs(layer.mean)) / layer.std
            y = (y - layer.mean) / layer.std
        else:
            w = layer.weights.astype(np.float64)
            b = 0.0 if layer.bias is None else layer.bias.astype(np.float64)
            magnitude = np.abs(y) @ np.abs(w) + np.abs(b) + folded
            error = 2 * (len(w) + 4) * unit * magnitude + error @ np.abs(w)
            y = y @ w + b
            error, y = through(layer, error, y, unit)
    return y, error


def through(layer, error, y, unit):
    """Error and outputs of an activation."""
    given = {key: getattr(layer, key) for key in ("alpha", "beta")}
    given = {key: value for key, value in given.items() if value is not None}
    y = getattr(nncore, layer.activation)(y, **given)
    if layer.activation in ("softmax", "log_softmax"):
        # Neither moves further than the largest change of a row's sums, twice.
        error = np.broadcast_to(2 * error.max(axis=1, keepdims=True), error.shape)
    slope = STEEPEST.get(layer.activation, 1.0)
    if layer.activation in ("leaky_relu", "elu", "hard_sigmoid"):
        slope = max(1.0, abs(layer.alpha))
    return slope * error + FUNCTION * unit * (1 + np.abs(y)), y


def assert_agree(net, x, theirs, unit, folded=0.0):
    """Outputs within the bound of the other runtime's, and the same labels where it can tell."""
    y, error = error_bound(net, x, unit, folded)
    ours = net(x)
    theirs = np.asarray(theirs, np.float64).reshape(len(x), -1)
    assert ours.shape == theirs.shape
    distance = np.abs(ours - theirs)
    assert (distance <= error).all(), f"{(distance / error).max()} times the bound"
    assert (np.abs(ours - y) <= error).all()
    says = error.max() / max(1.0, np.abs(y).max())
    assert says < (0.05 if unit < 1e-4 else 0.5), f"the bound, {says}, says nothing"
    if y.shape[1] > 1:
        top = np.sort(y, axis=1)
        clear = top[:, -1] - top[:, -2] > 2 * error.max(axis=1)
        np.testing.assert_array_equal(ours.argmax(axis=1)[clear], theirs.argmax(axis=1)[clear])
