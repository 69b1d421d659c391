"""Where weights begin: seeded, and the same bits on every machine."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nncore._random import Random

# He et al. (2015) derived 2 / k for rectifiers; Glorot and Bengio (2010) 2 / (k + m) for functions
# that are about linear around zero; LeCun et al. (1998) 1 / k.
_VARIANCE = {
    "he": lambda k, m: 2 / k,
    "xavier": lambda k, m: 2 / (k + m),
    "lecun": lambda k, m: 1 / k,
    "zeros": lambda k, m: 0.0,
}
NAMES = tuple(_VARIANCE)
_RECTIFIERS = {"relu", "leaky_relu", "elu", "gelu", "silu", "softplus"}


def default_for(activation: object) -> str:
    """The initialiser that follows an activation: He for rectifiers, else Xavier."""
    return "he" if activation in _RECTIFIERS else "xavier"


def draw(name: str, k: int, m: int, seed: Any) -> NDArray[np.float64]:
    """Weights (k, m), normally distributed with the named variance."""
    if name not in _VARIANCE:
        raise ValueError(f"unknown init {name!r}, expected one of {', '.join(NAMES)}")
    deviation = math.sqrt(_VARIANCE[name](k, m))
    if deviation == 0:
        return np.zeros((k, m))
    return Random(seed).normal((k, m)) * deviation
