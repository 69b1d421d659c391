"""The networks that are timed, their weights, and the float64 reference they must agree with.

Weights are drawn from raw bits of a bit generator, so every run of every machine times the same
numbers. They play the part of trained weights: scaled so that no layer saturates.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Array = np.ndarray


class Net(NamedTuple):
    """A dense network: its layer sizes and the activations of hidden layers and output."""

    sizes: tuple[int, ...]
    hidden: str
    output: str
    batches: tuple[int, ...] = (1, 8, 32, 100, 1000)

    @property
    def name(self) -> str:
        """Layer sizes and the hidden activation, `784-50-100-10 sigmoid`."""
        return "-".join(map(str, self.sizes)) + " " + self.hidden

    @property
    def activations(self) -> list[str]:
        """One name a layer, the output's last."""
        return [self.hidden] * (len(self.sizes) - 2) + [self.output]

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one sample."""
        return sum(k * m for k, m in zip(self.sizes, self.sizes[1:], strict=False))

    @property
    def weight_bytes(self) -> int:
        """Bytes of the float32 weights and biases: what one sample has to read."""
        return 4 * (self.multiply_adds + sum(self.sizes[1:]))


# Who runs them: a CartPole Q-network, a locomotion policy, a tabular classifier, the network of
# the classic text, a larger digit reader, and one that no cache holds.
CLASSIC = Net((784, 50, 100, 10), "sigmoid", "softmax")
GRID = (
    Net((4, 120, 84, 2), "relu", "identity"),
    Net((17, 64, 64, 6), "tanh", "identity"),
    Net((80, 256, 256, 10), "relu", "softmax"),
    CLASSIC,
    Net((784, 512, 512, 10), "relu", "softmax"),
    Net((1024, 4096, 4096, 1000), "relu", "softmax", (1, 8, 32, 100, 256)),
)


def uniform(shape: tuple[int, ...], seed: int) -> Array:
    """Uniform float32 in [0, 1) from 24 raw bits a number; no distribution code, no libm."""
    raw = np.random.PCG64(seed).random_raw(int(np.prod(shape)))
    return ((raw >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)).reshape(shape)


def draw_weights(net: Net, seed: int = 1) -> tuple[list[Array], list[Array]]:
    """Return weights (k, m) and biases (m,), float32, uniform with variance 2 / k."""
    weights, biases = [], []
    for i, (k, m) in enumerate(zip(net.sizes, net.sizes[1:], strict=False)):
        limit = np.float32(np.sqrt(6.0 / k))
        weights.append((2 * uniform((k, m), seed + 2 * i) - 1) * limit)
        biases.append((2 * uniform((m,), seed + 2 * i + 1) - 1) * np.float32(0.1))
    return weights, biases


def dense_inputs(net: Net, n: int, seed: int = 99) -> Array:
    """Return inputs (n, k), float32, uniform in [-1, 1): no zeros to skip."""
    return 2 * uniform((n, net.sizes[0]), seed) - 1


def reference(weights: list[Array], biases: list[Array], activations: list[str], x: Array) -> Array:
    """The forward pass in float64, written for reading: x (n, k) -> (n, m)."""
    a = x.astype(np.float64)
    for w, b, activation in zip(weights, biases, activations, strict=True):
        z = a @ w.astype(np.float64) + b.astype(np.float64)
        if activation == "identity":
            a = z
        elif activation == "relu":
            a = np.maximum(z, 0)
        elif activation == "tanh":
            a = np.tanh(z)
        elif activation == "sigmoid":
            e = np.exp(-np.abs(z))
            a = np.where(z >= 0, 1, e) / (1 + e)
        elif activation == "softmax":
            e = np.exp(z - z.max(axis=1, keepdims=True))
            a = e / e.sum(axis=1, keepdims=True)
        else:
            raise ValueError(
                f"activation must be identity, relu, tanh, sigmoid or softmax, got {activation!r}"
            )
    return a


def tolerance(weights: list[Array], y: Array) -> float:
    """The largest absolute difference from the reference `y` (n, m) that float32 may show.

    Every order of addition is allowed, so the bound follows the statistics of rounding: errors
    of k roundings grow like sqrt(k); twice that, of the largest output, leaves room for
    approximated activations. Arithmetic in bfloat16, which some engines choose unasked, is far
    outside it.
    """
    roundings = sum(w.shape[0] for w in weights)
    return float(2 * np.finfo(np.float32).eps * np.sqrt(roundings) * np.abs(y).max())


def check(y: Array, expected: Array, atol: float) -> float:
    """Return the largest difference of `y` from `expected`; `ValueError` if beyond `atol`."""
    y = np.asarray(y)
    if y.size != expected.size:
        raise ValueError(f"output has shape {y.shape}, expected {expected.shape}")
    difference = float(np.abs(y.reshape(expected.shape).astype(np.float64) - expected).max())
    if not difference <= atol:
        raise ValueError(
            f"output differs from the reference by {difference:.3g}, allowed {atol:.3g}"
        )
    return difference


# Root mean square of the difference from the reference, as a share of the outputs' own deviation:
# the least and the most of a peer that computes in fewer bits. Peers reach 0.035 in int8 and 0.008
# in bfloat16; float32 stays below 1e-6.
NARROW = {"int8": (1e-4, 0.1), "bfloat16": (1e-4, 0.02)}


def check_narrow(y: Array, expected: Array, precision: str) -> float:
    """Return the share of the outputs' deviation that is error; `ValueError` if out of range.

    Too little error is refused as well: such a peer computes in float32, whatever it was told.
    """
    if y.shape != expected.shape:
        raise ValueError(f"output has shape {y.shape}, expected {expected.shape}")
    error = float(np.sqrt(np.mean((y.astype(np.float64) - expected) ** 2)) / expected.std())
    least, most = NARROW[precision]
    if not least <= error <= most:
        raise ValueError(f"error of {error:.3g}, expected {least:g} to {most:g} of {precision}")
    return error
