"""nncore: dense neural networks on the CPU at the speed of the hardware.

``Network`` assembles and runs them, ``load`` reads them; the kernels stand alone as ``affine``,
``softmax`` and the other activations; ``datasets`` has MNIST and digits drawn by the package.
"""

from typing import TYPE_CHECKING

try:
    from nncore import _engine, _table  # noqa: F401
except ImportError:
    from importlib.util import find_spec

    # The text of the error depends on Python's version; whether the files are there does not.
    if all(find_spec(f"nncore._{name}") for name in ("cpus", "table", "arrays", "plan", "engine")):
        raise
    raise ImportError(
        "nncore is not built here: run  pip install -e .  in the checkout, or leave its folder"
    ) from None

from nncore import _named, activations, initializers
from nncore._info import __version__, info, warn_of_namesakes
from nncore._named import *  # noqa: F403
from nncore._table import get_num_threads, set_num_threads
from nncore.functions import affine
from nncore.layers import Dense, Normalization, Rescaling
from nncore.network import LayerTrace, Network, load

if TYPE_CHECKING:
    from nncore import datasets, losses, plot
    from nncore._pixels import ScalingWarning
    from nncore.augmentation import Augment
    from nncore.history import EarlyStopping, Evaluation, History
    from nncore.importers import from_keras, from_onnx, from_sklearn, from_torch
    from nncore.optimizers import SGD, AdaGrad, Adam, AdamW, RMSProp
    from nncore.pretrained import load_pretrained
    from nncore.quantized import QuantizedDense, QuantizedNetwork, quantize
    from nncore.schedules import Constant, Cosine, Exponential, OneCycle, StepDecay

# Imported when they are first asked for: a process that only runs networks need not wait for them.
_LATER = {
    "datasets": "nncore.datasets",
    "losses": "nncore.losses",
    "plot": "nncore.plot",
    "Augment": "nncore.augmentation",
    "load_pretrained": "nncore.pretrained",
    "SGD": "nncore.optimizers",
    "AdaGrad": "nncore.optimizers",
    "RMSProp": "nncore.optimizers",
    "Adam": "nncore.optimizers",
    "AdamW": "nncore.optimizers",
    "Constant": "nncore.schedules",
    "StepDecay": "nncore.schedules",
    "Exponential": "nncore.schedules",
    "Cosine": "nncore.schedules",
    "OneCycle": "nncore.schedules",
    "History": "nncore.history",
    "EarlyStopping": "nncore.history",
    "Evaluation": "nncore.history",
    "ScalingWarning": "nncore._pixels",
    "quantize": "nncore.quantized",
    "QuantizedDense": "nncore.quantized",
    "QuantizedNetwork": "nncore.quantized",
    "from_keras": "nncore.importers",
    "from_onnx": "nncore.importers",
    "from_sklearn": "nncore.importers",
    "from_torch": "nncore.importers",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module 'nncore' has no attribute {name!r}")
    from importlib import import_module

    module = import_module(_LATER[name])
    value = module if _LATER[name] == f"nncore.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


__all__ = [
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Augment",
    "Constant",
    "Cosine",
    "Dense",
    "EarlyStopping",
    "Evaluation",
    "Exponential",
    "History",
    "LayerTrace",
    "Network",
    "Normalization",
    "OneCycle",
    "QuantizedDense",
    "QuantizedNetwork",
    "RMSProp",
    "Rescaling",
    "ScalingWarning",
    "StepDecay",
    "__version__",
    "activations",
    "affine",
    "datasets",
    "from_keras",
    "from_onnx",
    "from_sklearn",
    "from_torch",
    "get_num_threads",
    "info",
    "initializers",
    "load",
    "load_pretrained",
    "losses",
    "plot",
    "quantize",
    "set_num_threads",
]
__all__ += _named.__all__

warn_of_namesakes()
