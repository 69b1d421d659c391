"""How far rounding alone may take two runs of the same network apart, from the length of its sums.

Each rounding errs by at most eps / 2 of a number, in either direction, with a variance of
eps^2 / 12 of its square. A sum of K products has K of them, so its error grows as the square root
of K (Higham and Mary, A new approach to probabilistic rounding error analysis, 2019). These
variances are carried from layer to layer, beside the numbers themselves, in double precision. Ten
standard deviations are the bound: what is beyond that is no rounding. The bound that holds in the
worst case grows as K in each layer, and would accept almost anything after three of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore import Normalization, Rescaling, activations
from nncore.cli._common import dense_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nncore import Network

DEVIATIONS = 10
# Beside the K additions: weights may have been rounded, or something folded into them.
_MORE = 4
_BFLOAT16_EPS = 2.0**-7
# Made of straight lines: their only error is that of a product. All others are computed from
# exponentials or polynomials, which other libraries have to a few eps of 1, not of the result.
_LINES = ("identity", "step", "relu", "leaky_relu", "relu6", "clip")


class Expected(NamedTuple):
    """Logits and outputs, (n, m) float64, and how far apart two runs of them may be."""

    logits: np.ndarray
    logits_apart: np.ndarray
    outputs: np.ndarray
    outputs_apart: np.ndarray


def expected(net: Network, x: np.ndarray, dtypes: Sequence[Any], rounded: bool = False) -> Expected:
    """Run a network in double precision, with bounds.

    Parameters
    ----------
    net : Network
    x : ndarray, (n, k)
        Numbers that both runs take without rounding them.
    dtypes : sequence of two dtypes
        In which the two runs that are compared compute.
    rounded : bool
        Whether one of them has the weights of `net` rounded to bfloat16.

    Examples
    --------
    >>> import nncore
    >>> net = nncore.Network.from_arrays([np.ones((96, 1), "f4")], None, ["identity"])
    >>> found = expected(net, np.ones((1, 96)), ["f4", "f8"])
    >>> float(found.outputs[0, 0])
    96.0
    >>> one = 2**-23 / 12**0.5 * (96 + 96**2) ** 0.5  # of a single rounding
    >>> bool(np.isclose(found.outputs_apart[0, 0], 10 * (96 + 4) ** 0.5 * one))
    True
    """
    eps = float(np.hypot(*(np.finfo(dtype).eps for dtype in dtypes)))
    tiny = max(float(np.finfo(dtype).tiny) for dtype in dtypes)  # below it some flush to zero
    with np.errstate(all="ignore"):
        y, error = _first(net.layers[0], x.astype(np.float64), eps)
        for layer in dense_layers(net):
            z, z_error = _sums(layer, y, error, eps, _BFLOAT16_EPS * rounded)
            y, error = _activated(layer, z, z_error, eps)
    return Expected(z, DEVIATIONS * z_error + tiny, y, DEVIATIONS * error + tiny)


def has_bfloat16(net: Network) -> bool:
    """Return whether a network keeps weights as bfloat16."""
    return any(layer.weight_type == "bfloat16" for layer in dense_layers(net))


def longest_sum(net: Network) -> int:
    """Return the largest K of a network's sums."""
    return max(int(layer.in_features) for layer in dense_layers(net))


def _first(layer: Any, x: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """Scale the inputs; other libraries may do so in two roundings of large numbers."""
    if isinstance(layer, Rescaling):
        scaled = x * layer.scale
        return scaled + layer.offset, eps * (np.abs(scaled) + abs(layer.offset))
    if isinstance(layer, Normalization):
        size = (np.abs(x) + np.abs(layer.mean)) / layer.std
        return (x - layer.mean) / layer.std, eps * size
    return x, np.zeros_like(x)


def _sums(
    layer: Any, x: np.ndarray, error: np.ndarray, eps: float, weight_eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return x @ w + b and its standard deviation, from that of x; weight_eps: of rounded weights.

    The sums on the way are as large as random signs make them, or as the result. A bias may be what
    is left of larger numbers that were folded, so it counts as no less than others of its layer.
    """
    w = layer.weights.astype(np.float64)
    b = 0.0 if layer.bias is None else layer.bias.astype(np.float64)
    z = x @ w + b
    roundings = (len(w) + _MORE) * eps * eps / 12
    size = np.maximum(b**2, np.mean(b**2)) + z**2
    products = roundings + weight_eps * weight_eps / 12
    return z, np.sqrt((error**2 + products * x**2) @ w**2 + roundings * size)


def _activated(
    layer: Any, z: np.ndarray, error: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    name = layer.activation
    if name == "identity":
        return z, error
    function: Any = activations.get(name)
    if activations.last_layer_only(name):
        return _softmax(name, function(z), z, error, eps)

    def run(numbers: np.ndarray) -> np.ndarray:
        return np.asarray(function(numbers, alpha=layer.alpha, beta=layer.beta))

    # From the ends of the bound instead of from slopes: it holds for steps and corners as well.
    y, wide = run(z), DEVIATIONS * error
    rise = np.maximum(np.abs(run(z + wide) - y), np.abs(run(z - wide) - y)) / DEVIATIONS
    return y, rise + eps * (np.abs(y) + (name not in _LINES))


def _softmax(
    name: str, y: np.ndarray, z: np.ndarray, error: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Every logit may be off, by as much as the worst of the row: so may the row's sum."""
    below = z.max(axis=-1, keepdims=True) - z
    rise = 2 * error.max(axis=-1, keepdims=True) + eps * (below + z.shape[1] ** 0.5)
    if name == "softmax":  # of two, other libraries give 1 - p and p
        alone = eps * (z.shape[1] == 2)
        return y, y * np.expm1(DEVIATIONS * rise) / DEVIATIONS + alone
    return y, rise + eps * np.abs(y)
