"""Weights in one .npz: the file of the peers that have no model format of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def save(
    folder: Path,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    batch: int,
) -> None:
    """Write w0, b0, w1, b1, ... and the activations; `batch` plays no part here."""
    arrays = {f"w{i}": w for i, w in enumerate(weights)}
    arrays |= {f"b{i}": b for i, b in enumerate(biases)}
    np.savez(folder / "net.npz", activations=np.array(activations), **arrays)


def load(folder: Path) -> tuple[list[np.ndarray], list[np.ndarray], list[str]]:
    """Read what `save` wrote."""
    with np.load(folder / "net.npz", allow_pickle=False) as file:
        activations = [str(name) for name in file["activations"]]
        layers = range(len(activations))
        return [file[f"w{i}"] for i in layers], [file[f"b{i}"] for i in layers], activations
