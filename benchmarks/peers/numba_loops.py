"""Numba: the forward pass compiled, as explicit loops and with BLAS for the products."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numba
import numpy as np

from . import Model
from ._arrays import load as load_arrays
from ._arrays import save

__all__ = ["DISTRIBUTION", "INPUT", "load", "save", "settings"]

DISTRIBUTION = "numba"
INPUT = "float32"
CODES = {"identity": 0, "relu": 1, "tanh": 2, "sigmoid": 3, "softmax": 4}

# Contraction gives the loops FMA, as a C compiler would; every other rule of IEEE 754 stays.
jit = numba.njit(fastmath={"contract"}, error_model="numpy", nogil=True)
parallel = numba.njit(fastmath={"contract"}, error_model="numpy", nogil=True, parallel=True)


def settings(threads: int) -> tuple[str, ...]:
    """Explicit loops, or `np.dot` (BLAS); rows shared out with `prange` if there are threads."""
    return ("loops", "dot") if threads == 1 else ("loops", "dot", "parallel loops")


@jit
def _activate(row: np.ndarray, code: int) -> None:
    """Apply one activation to a row (m,) in place."""
    one = np.float32(1)
    if code == 1:
        for j in range(row.size):
            row[j] = max(row[j], np.float32(0))
    elif code == 2:
        for j in range(row.size):
            row[j] = np.tanh(row[j])
    elif code == 3:
        for j in range(row.size):
            row[j] = one / (one + np.exp(-row[j]))
    elif code == 4:
        top = row.max()
        total = np.float32(0)
        for j in range(row.size):
            row[j] = np.exp(row[j] - top)
            total += row[j]
        for j in range(row.size):
            row[j] /= total


@jit
def _row(x: np.ndarray, w: np.ndarray, b: np.ndarray, code: int, y: np.ndarray) -> None:
    """x (k,), w (k, m), b (m,) -> y (m,); the inner loop runs over outputs, so it vectorises."""
    y[:] = b
    for k in range(x.size):
        for j in range(y.size):
            y[j] += x[k] * w[k, j]
    _activate(y, code)


@jit
def _loops(layers: Any, codes: Any, x: np.ndarray) -> np.ndarray:
    for layer in range(len(layers)):
        w, b = layers[layer]
        y = np.empty((x.shape[0], b.size), np.float32)
        for i in range(x.shape[0]):
            _row(x[i], w, b, codes[layer], y[i])
        x = y
    return x


@parallel
def _parallel_loops(layers: Any, codes: Any, x: np.ndarray) -> np.ndarray:
    for layer in range(len(layers)):
        w, b = layers[layer]
        y = np.empty((x.shape[0], b.size), np.float32)
        for i in numba.prange(x.shape[0]):
            _row(x[i], w, b, codes[layer], y[i])
        x = y
    return x


@jit
def _dot(layers: Any, codes: Any, x: np.ndarray) -> np.ndarray:
    for layer in range(len(layers)):
        w, b = layers[layer]
        y = np.dot(x, w)
        for i in range(y.shape[0]):
            for j in range(b.size):
                y[i, j] += b[j]
            _activate(y[i], codes[layer])
        x = y
    return x


FUNCTIONS = {"loops": _loops, "dot": _dot, "parallel loops": _parallel_loops}


def load(folder: Path, threads: int, batch: int, setting: str) -> Model:
    """Return the compiled pass; compilation happens in its first call, before any timing."""
    numba.set_num_threads(threads)
    weights, biases, names = load_arrays(folder)
    layers = tuple(zip(weights, biases, strict=True))
    codes = tuple(CODES[name] for name in names)
    forward = FUNCTIONS[setting]
    return Model(lambda x: forward(layers, codes, x))
