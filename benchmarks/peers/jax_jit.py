"""JAX on the CPU: the forward pass under `jit`, arrays put on the device beforehand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

# Before the first import: the CPU only, and no word about a missing accelerator.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np

from . import Model
from ._arrays import load as load_arrays
from ._arrays import save

__all__ = ["DISTRIBUTION", "INPUT", "load", "save", "settings"]

DISTRIBUTION = "jax"
INPUT = "float32"
ACTIVATIONS = {
    "identity": lambda x: x,
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "softmax": jax.nn.softmax,
}


def settings(threads: int) -> tuple[str, ...]:
    """Weights as arguments of the compiled function, or as constants inside it."""
    return ("arguments", "constants")


def load(folder: Path, threads: int, batch: int, setting: str) -> Model:
    """Compile for exactly this batch, ahead of the first call."""
    weights, biases, names = load_arrays(folder)
    layers = [(jnp.asarray(w), jnp.asarray(b)) for w, b in zip(weights, biases, strict=True)]

    def forward(layers: Any, x: Any) -> Any:
        for (w, b), name in zip(layers, names, strict=True):
            x = ACTIVATIONS[name](x @ w + b)
        return x

    shape = jax.ShapeDtypeStruct((batch, weights[0].shape[0]), jnp.float32)
    if setting == "arguments":
        compiled = jax.jit(forward).lower(layers, shape).compile()
        return Model(lambda x: compiled(layers, x).block_until_ready(), jnp.asarray, np.asarray)
    compiled = jax.jit(lambda x: forward(layers, x)).lower(shape).compile()
    return Model(lambda x: compiled(x).block_until_ready(), jnp.asarray, np.asarray)
