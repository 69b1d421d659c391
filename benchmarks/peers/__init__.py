"""One small module a peer, all with one interface; this one loads them and names the missing.

A peer module has

- `DISTRIBUTION`: the distribution that `pip` knows, for the version and the size on disk;
- `INPUT`: `"float32"`, `"uint8"` or `"either"`, what it is given;
- `settings(threads)`: names of the settings that its own docs suggest, the plainest first; where
  either input will do, those with `pixels` in their name are given uint8 pixels;
- `save(folder, weights, biases, activations, batch)`: the network as a file in its usual format;
  those whose name ends in `int8` take float32 samples (n, k) as well, to calibrate with;
- `load(folder, threads, batch, setting)`: that file as a `Model`, ready to run.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

# Display name -> module. nncore first: every ratio is taken against it.
MODULES = {
    "nncore": "nncore_float",
    "nncore uint8": "nncore_pixels",
    "numpy": "numpy_text",
    "onnxruntime": "onnxruntime_session",
    "openvino": "openvino_request",
    "litert": "litert_interpreter",
    "torch": "torch_module",
    "scikit-learn": "sklearn_mlp",
    "numba": "numba_loops",
    "jax": "jax_jit",
    "nncore int8": "nncore_int8",
    "nncore bfloat16": "nncore_bfloat16",
    "onnxruntime int8": "onnxruntime_int8",
    "openvino int8": "openvino_int8",
    "openvino bfloat16": "openvino_bfloat16",
    "litert int8": "litert_int8",
    "torch int8": "torch_int8",
    "torch bfloat16": "torch_bfloat16",
}
OURS = ("nncore", "nncore uint8", "nncore int8", "nncore bfloat16")


class Missing(Exception):
    """A peer that is not installed or cannot run on this machine; the text says why."""


def _as_is(x: Any) -> Any:
    return x


class Model(NamedTuple):
    """A network ready to run; only `call` is timed."""

    call: Callable[[Any], Any]
    # A NumPy array (n, k) as the input object the peer likes best.
    prepare: Callable[[np.ndarray], Any] = _as_is
    to_numpy: Callable[[Any], np.ndarray] = np.asarray


def get(name: str) -> ModuleType:
    """Return the module of a peer; `Missing` if the peer is not installed or cannot run here."""
    if name not in MODULES:
        raise ValueError(f"peer must be one of {', '.join(MODULES)}; got {name!r}")
    try:
        return importlib.import_module(f"{__name__}.{MODULES[name]}")
    except ImportError as error:
        raise Missing(f"{name} is not installed ({error})") from error


def precision(name: str) -> str:
    """Return what a peer computes in: the end of its name, `float32` where that says nothing."""
    last = name.rpartition(" ")[2]
    return last if last in ("int8", "bfloat16") else "float32"


def takes(name: str, setting: str) -> str:
    """Return what a peer is given in a setting, `float32` or `uint8`."""
    given = str(get(name).INPUT)
    if given == "either":
        return "uint8" if "pixels" in setting else "float32"
    return given


def save(
    name: str,
    folder: Path,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    batch: int,
    samples: np.ndarray | None,
) -> None:
    """Write a peer's file; `samples` (n, k), float32, are for those that calibrate."""
    if precision(name) == "int8" and samples is None:
        raise ValueError(f"{name} has no samples to calibrate with")
    calibrating = (samples,) if precision(name) == "int8" else ()
    get(name).save(folder, weights, biases, activations, batch, *calibrating)


def require_nncore() -> None:
    """`Missing`, with what to do about it, if nncore cannot be imported.

    In a checkout its own folder comes before whatever is installed, so it has to be built there.
    """
    try:
        importlib.import_module("nncore")
    except ImportError as error:
        raise Missing(
            f"nncore, with which all is compared, cannot be imported ({error}); "
            'for the benchmarks: pip install -e ".[bench]"'
        ) from error


def version(name: str) -> str:
    """Return the installed version of a peer; `Missing` if it is not installed."""
    import importlib.metadata  # here and not above: it takes longer than a first prediction

    peer = get(name)
    try:
        return importlib.metadata.version(peer.DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        # An nncore built in place, without `pip install -e .`, has no metadata.
        return str(getattr(importlib.import_module("nncore"), "__version__", "unknown"))


def build(
    name: str,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    threads: int = 1,
    batch: int = 1,
    setting: str | None = None,
    samples: np.ndarray | None = None,
) -> Model:
    """Save a network in the peer's format and load it again; `setting` None: the plainest.

    `weights` are (k, m), `biases` (m,), float32. Inputs will have exactly `batch` rows, which
    the formats that know fixed shapes are told. `samples` (n, k) are what int8 peers need.
    """
    import tempfile

    peer = get(name)
    with tempfile.TemporaryDirectory() as folder:
        save(name, Path(folder), weights, biases, activations, batch, samples)
        chosen = peer.settings(threads)[0] if setting is None else setting
        return peer.load(Path(folder), threads, batch, chosen)
