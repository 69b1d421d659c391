"""nncore given float32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

import nncore

from . import Model

DISTRIBUTION = "nncore-dense"
INPUT = "float32"


def settings(threads: int) -> tuple[str, ...]:
    """`call` returns a new array, `out` fills one that is there."""
    return ("call", "out")


def save(
    folder: Path,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    batch: int,
) -> None:
    """Write the native .npz."""
    nncore.Network.from_arrays(weights, biases, activations, dtype="float32").save(
        folder / "model.npz"
    )


def load(folder: Path, threads: int, batch: int, setting: str) -> Model:
    """Load the network; one sample goes in as a vector (k,), as the classic loop does it."""
    return open_file(folder / "model.npz", threads, batch, setting)


def open_file(path: Path, threads: int, batch: int, setting: str) -> Model:
    """Load any network that nncore has saved."""
    nncore.set_num_threads(threads)
    net = nncore.load(path)

    def prepare(x: np.ndarray) -> np.ndarray:
        return x[0] if batch == 1 else x

    if setting == "call":
        return Model(net, prepare)
    m = net.out_features
    out = np.empty(m if batch == 1 else (batch, m), np.float32)
    return Model(lambda x: net(x, out=out), prepare)
