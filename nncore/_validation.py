"""Checks of what users pass in. Every refusal says what was expected and what came.

Those of arrays are the engine's own, in ext/source.pyx.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from nncore._source import array, fits, output, overlap, samples

__all__ = ["array", "dtype", "fits", "number", "output", "overlap", "samples", "size"]


def size(value: object, name: str) -> int:
    """`value` as a whole number of at least 1."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(
            f"{name} is {value!r} of type {type(value).__name__}, expected a whole number"
        )
    if number < 1:
        raise ValueError(f"{name} is {number}, expected at least 1")
    return number


def number(value: Any, name: str) -> float:
    """`value` as a finite number."""
    try:
        if isinstance(value, (str, bytes, bool)):
            raise TypeError
        plain = float(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}, expected a number") from None
    if not math.isfinite(plain):
        raise ValueError(f"{name} is {plain}, expected a finite number")
    return plain


def dtype(value: object) -> np.dtype[Any]:
    """`value` as float32 or float64."""
    wanted: np.dtype[Any] | None
    try:
        wanted = np.dtype(value)  # type: ignore[call-overload]
    except TypeError:
        wanted = None
    # None == np.dtype("float64") in NumPy: ask for it first
    if value is None or wanted is None or wanted not in (np.float32, np.float64):
        raise ValueError(f"dtype is {value!r}, expected 'float32' or 'float64'")
    return wanted
