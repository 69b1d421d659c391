"""nncore: dense neural networks on the CPU at the speed of the hardware.

``Network`` assembles and runs them, ``load`` reads them; the kernels stand alone as ``affine``,
``softmax`` and the other activations; ``datasets`` has MNIST and digits drawn by the package.
"""

from typing import TYPE_CHECKING

try:
    from nncore import _engine, _kernels  # noqa: F401
except ImportError as error:
    if "nncore._" not in str(error) and "from partially" not in str(error):
        raise
    raise ImportError(
        "nncore is not built here: run  pip install -e .  in the checkout, or leave its folder"
    ) from None

from nncore import activations
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
from nncore.augmentation import Augment
from nncore.layers import Dense, Rescaling
from nncore.network import Network, Step, affine, load
from nncore.pretrained import load_pretrained

if TYPE_CHECKING:
    from nncore import datasets

# Imported when they are first asked for: who only runs a network does not wait for the rest.
_LATER = {"datasets": "nncore.datasets"}


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
    "Augment",
    "Dense",
    "Network",
    "Rescaling",
    "Step",
    "__version__",
    "activations",
    "affine",
    "datasets",
    "elu",
    "gelu",
    "get_num_threads",
    "identity",
    "info",
    "leaky_relu",
    "load",
    "load_pretrained",
    "log_softmax",
    "relu",
    "set_num_threads",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "step",
    "tanh",
]
