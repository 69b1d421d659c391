"""PyTorch on the CPU, bfloat16: weights, activations and the samples themselves."""

from __future__ import annotations

from pathlib import Path

import torch

from . import Model
from . import torch_module as plain
from ._arrays import save

__all__ = ["DISTRIBUTION", "INPUT", "load", "save", "settings"]

DISTRIBUTION = "torch"
INPUT = "float32"
settings = plain.settings


def load(folder: Path, threads: int, batch: int, setting: str) -> Model:
    """Build the module in bfloat16; the samples are rounded before the call."""
    net = plain.build(folder, threads, batch, setting, torch.bfloat16)
    return Model(net, lambda x: torch.from_numpy(x).to(torch.bfloat16), lambda y: y.float().numpy())
