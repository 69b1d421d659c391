"""PyTorch on the CPU: an nn.Sequential, eager and frozen."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import Model
from ._arrays import load as load_arrays
from ._arrays import save

__all__ = ["DISTRIBUTION", "INPUT", "load", "save", "settings"]

DISTRIBUTION = "torch"
INPUT = "float32"
MODULES = {
    "relu": torch.nn.ReLU,
    "tanh": torch.nn.Tanh,
    "sigmoid": torch.nn.Sigmoid,
    "softmax": lambda: torch.nn.Softmax(1),
}


# Left on for the life of the process, so that no call pays for entering it; kept, because it
# ends when the object goes.
INFERENCE = torch.inference_mode()
INFERENCE.__enter__()


def settings(threads: int) -> tuple[str, ...]:
    """Eager; TorchScript frozen, plain and optimised (oneDNN); if asked for, `torch.compile`.

    `torch.compile` takes 5 to 25 s a network and batch, so it is tried only with
    `NNCORE_BENCH_COMPILE=1`.
    """
    names = ("eager", "frozen", "frozen, optimised")
    return (*names, "compile") if os.environ.get("NNCORE_BENCH_COMPILE") == "1" else names


def sequential(
    weights: Sequence[np.ndarray], biases: Sequence[np.ndarray], names: Sequence[str]
) -> torch.nn.Sequential:
    modules: list[torch.nn.Module] = []
    for w, b, name in zip(weights, biases, names, strict=True):
        linear = torch.nn.Linear(*w.shape)
        linear.load_state_dict(
            {"weight": torch.from_numpy(w.T.copy()), "bias": torch.from_numpy(b)}
        )
        modules.append(linear)
        if name != "identity":
            modules.append(MODULES[name]())
    return torch.nn.Sequential(*modules).eval()


def load(folder: Path, threads: int, batch: int, setting: str) -> Model:
    """Build the module under `inference_mode`; float32 stays float32."""
    net = build(folder, threads, batch, setting, torch.float32)
    return Model(net, torch.from_numpy, lambda y: y.numpy())


def build(folder: Path, threads: int, batch: int, setting: str, dtype: torch.dtype) -> Any:
    """Return the module as the setting names it, with weights of this dtype."""
    torch.set_num_threads(threads)
    weights, biases, names = load_arrays(folder)
    net: Any = sequential(weights, biases, names).to(dtype)
    example = torch.zeros(batch, weights[0].shape[0], dtype=dtype)
    if setting.startswith("frozen"):
        with warnings.catch_warnings():
            # TorchScript is deprecated in favour of torch.compile, which is slower here.
            warnings.simplefilter("ignore", DeprecationWarning)
            net = torch.jit.freeze(torch.jit.trace(net, example))
            if setting.endswith("optimised"):
                net = torch.jit.optimize_for_inference(net)
    elif setting == "compile":
        from torch._inductor import config

        config.freezing = True
        torch._dynamo.reset()
        net = torch.compile(net)
    return net
