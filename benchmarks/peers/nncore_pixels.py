"""nncore given uint8 pixels straight from the file; the network rescales while it packs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import nncore

from .nncore_float import DISTRIBUTION, load, settings

__all__ = ["DISTRIBUTION", "INPUT", "load", "save", "settings"]

INPUT = "uint8"


def save(
    folder: Path,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    batch: int,
) -> None:
    """Write the native .npz of the network behind `Rescaling(1 / 255)`."""
    layers: list[Any] = [nncore.Rescaling(1 / 255)]
    layers += nncore.Network.from_arrays(weights, biases, activations, dtype="float32").layers
    nncore.Network(layers, dtype="float32").save(folder / "model.npz")
