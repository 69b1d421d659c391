"""PyTorch on the CPU, int8: quantised by FX graphs (static) or as it runs (dynamic)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.ao import quantization
from torch.ao.quantization import quantize_fx

from . import Model, _arrays, torch_module

__all__ = ["DISTRIBUTION", "INPUT", "load", "save", "settings"]

DISTRIBUTION = "torch"
INPUT = "float32"


def settings(threads: int) -> tuple[str, ...]:
    """Static and dynamic, two engines, eager and frozen."""
    return tuple(
        f"{kind}, {engine}, {way}"
        for kind in ("static", "dynamic")
        for engine in ("x86", "onednn")
        for way in ("eager", "frozen")
    )


def save(
    folder: Path,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    batch: int,
    samples: np.ndarray,
) -> None:
    """Write weights and samples; it quantises when it loads."""
    _arrays.save(folder, weights, biases, activations, batch)
    np.save(folder / "samples.npy", samples)


def load(folder: Path, threads: int, batch: int, setting: str) -> Model:
    """Quantise the module for the engine that the setting names."""
    torch.set_num_threads(threads)
    kind, engine, way = setting.split(", ")
    torch.backends.quantized.engine = engine
    net: Any = torch_module.sequential(*_arrays.load(folder))
    samples = torch.from_numpy(np.load(folder / "samples.npy"))
    with warnings.catch_warnings():
        # torch.ao.quantization is deprecated in favour of torchao, which needs torch.compile.
        warnings.simplefilter("ignore")
        if kind == "static":
            mapping = quantization.get_default_qconfig_mapping(engine)
            net = quantize_fx.prepare_fx(net, mapping, (samples[:1],))
            net(samples)
            net = quantize_fx.convert_fx(net)
        else:
            net = quantization.quantize_dynamic(net, {torch.nn.Linear}, torch.qint8)
        if way == "frozen":
            net = torch.jit.freeze(torch.jit.trace(net, samples[:1].expand(batch, -1)))
    return Model(net, torch.from_numpy, lambda y: y.numpy())
