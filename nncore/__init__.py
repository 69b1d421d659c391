"""nncore: dense neural networks on the CPU at the speed of the hardware.

``Network`` assembles and runs them, ``load`` reads them; the kernels stand alone as ``affine``,
``softmax`` and the other activations; ``datasets`` has MNIST and digits drawn by the package.
"""

from typing import TYPE_CHECKING

try:
    from nncore import _execute, kernels  # noqa: F401
except ImportError as error:
    if "nncore._" not in str(error) and "from partially" not in str(error):
        raise
    raise ImportError(
        "nncore is not built here: run  pip install -e .  in the checkout, or leave its folder"
    ) from None

from nncore import activations, initializers
from nncore._info import __version__, info
from nncore._threads import get_num_threads, set_num_threads
from nncore.activations import (
    elu,
    gelu,
    identity,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    step,
    tanh,
)
from nncore.layers import Dense, Rescaling
from nncore.network import Network, Step, affine, load

if TYPE_CHECKING:
    from nncore import datasets, losses
    from nncore.augmentation import Augment
    from nncore.history import EarlyStopping, History
    from nncore.optimizers import SGD, AdaGrad, Adam, AdamW, RMSProp
    from nncore.pretrained import load_pretrained
    from nncore.schedules import Constant, Cosine, Exponential, OneCycle, StepDecay

# Imported when they are first asked for: who only runs a network does not wait for the rest.
_LATER = {
    "datasets": "nncore.datasets",
    "losses": "nncore.losses",
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
    "Exponential",
    "History",
    "Network",
    "OneCycle",
    "RMSProp",
    "Rescaling",
    "Step",
    "StepDecay",
    "__version__",
    "activations",
    "affine",
    "datasets",
    "elu",
    "gelu",
    "get_num_threads",
    "identity",
    "info",
    "initializers",
    "leaky_relu",
    "load",
    "load_pretrained",
    "log_softmax",
    "losses",
    "relu",
    "set_num_threads",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "step",
    "tanh",
]
