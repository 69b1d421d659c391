"""nncore with its weights in bfloat16, widened to float32 while they are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

import nncore

from .nncore_float import DISTRIBUTION, INPUT, load, settings

__all__ = ["DISTRIBUTION", "INPUT", "load", "save", "settings"]


def save(
    folder: Path,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    batch: int,
) -> None:
    """Write the native .npz of the network with two bytes a weight."""
    net = nncore.Network.from_arrays(weights, biases, activations, dtype="float32")
    net.with_weights("bfloat16").save(folder / "model.npz")
