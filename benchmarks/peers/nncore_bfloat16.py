"""nncore with its weights in bfloat16, widened to float32 while they are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import nncore

from . import Missing
from .nncore_float import DISTRIBUTION, INPUT, load, settings

if not hasattr(nncore.Network, "with_weights"):
    raise Missing("this nncore has no `with_weights`")

__all__ = ["DISTRIBUTION", "INPUT", "load", "save", "settings"]


def save(
    folder: Path,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    batch: int,
) -> None:
    """Write the native .npz of the network with two bytes a weight."""
    net: Any = nncore.Network.from_arrays(weights, biases, activations, dtype="float32")
    net.with_weights("bfloat16").save(folder / "model.npz")
