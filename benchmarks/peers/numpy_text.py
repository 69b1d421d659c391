"""NumPy, as the classic text writes it: dot, add, activation, layer by layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import Model
from ._arrays import load as load_arrays
from ._arrays import save

__all__ = ["DISTRIBUTION", "INPUT", "load", "save", "settings"]

DISTRIBUTION = "numpy"
INPUT = "float32"


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(0, x)


def _softmax(x: np.ndarray) -> np.ndarray:
    x = x - np.max(x, axis=-1, keepdims=True)
    e = np.exp(x)
    return e / np.sum(e, axis=-1, keepdims=True)


ACTIVATIONS = {
    "identity": lambda x: x,
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "relu": _relu,
    "softmax": _softmax,
}


def settings(threads: int) -> tuple[str, ...]:
    """`plain` is the text's version; BLAS gets its threads from the environment of the process."""
    return ("plain",)


def load(folder: Path, threads: int, batch: int, setting: str) -> Model:
    """Return the forward pass; one sample goes in as a vector (k,), as the text's loop does it."""
    weights, biases, names = load_arrays(folder)
    layers = [(w, b, ACTIVATIONS[name]) for w, b, name in zip(weights, biases, names, strict=True)]

    def predict(x: np.ndarray) -> np.ndarray:
        for w, b, activation in layers:
            x = activation(np.dot(x, w) + b)
        return x

    return Model(predict, lambda x: x[0] if batch == 1 else x)
