"""nncore, int8: a network that `nncore.quantize` made from the float one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import nncore

from . import Missing, Model
from .nncore_float import DISTRIBUTION, open_file

if not hasattr(nncore, "quantize"):
    raise Missing("this nncore has no `quantize`")

__all__ = ["DISTRIBUTION", "INPUT", "load", "save", "settings"]

INPUT = "either"


def settings(threads: int) -> tuple[str, ...]:
    """Given float32 or pixels; `call` returns a new array, `out` fills one that is there."""
    return ("call", "out", "pixels, call", "pixels, out")


def save(
    folder: Path,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    batch: int,
    samples: np.ndarray,
) -> None:
    """Calibrate with `samples` (n, k); write one .npz for float32 and one for pixels."""
    net: Any = nncore.Network.from_arrays(weights, biases, activations, dtype="float32")
    nncore.quantize(net, samples).save(folder / "float32.npz")
    net = nncore.Network([nncore.Rescaling(1 / 255), *net.layers], dtype="float32")
    nncore.quantize(net, samples * np.float32(255)).save(folder / "pixels.npz")


def load(folder: Path, threads: int, batch: int, setting: str) -> Model:
    """Load the file that the setting names."""
    given, _, way = setting.rpartition(", ")
    return open_file(folder / f"{given or 'float32'}.npz", threads, batch, way)
