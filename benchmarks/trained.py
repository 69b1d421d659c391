"""The two trained networks whose right labels are counted: classic weights and the shipped ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

NAMES = ("classic", "shipped")
CLASSIC_FILE = "sample_weight.pkl"
Arrays = tuple[list[np.ndarray], list[np.ndarray], list[str]]


def load(name: str) -> Arrays | None:
    """Return weights, biases and activations, float32; None if they are not on this machine.

    The classic weights, `sample_weight.pkl`, are looked for where MNIST is. Both networks take
    pixels scaled to [0, 1]; that layer is left out here. nncore reads them: a run without it has no
    trained networks.
    """
    try:
        import nncore
    except ImportError:
        return None
    if name == "shipped":
        return _arrays(nncore.load_pretrained())
    path = Path(os.environ.get("NNCORE_DATA_HOME", ""), CLASSIC_FILE)
    if not path.is_file():
        return None
    return _arrays(nncore.load(path, activations=["sigmoid", "sigmoid", "softmax"]))


def _arrays(net: Any) -> Arrays:
    dense = [layer for layer in net.layers if hasattr(layer, "weights")]
    return (
        [np.array(layer.weights, np.float32) for layer in dense],
        [np.array(layer.bias, np.float32) for layer in dense],
        [layer.activation for layer in dense],
    )
