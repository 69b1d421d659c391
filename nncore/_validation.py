"""Checks of what users pass in. Every refusal says what was expected and what came.

The checks of arrays are in ext/arrays.py: the compiled modules use them, too.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from nncore._arrays import array, fits, output, overlap, samples

__all__ = ["array", "dtype", "excerpt", "fits", "number", "output", "overlap", "samples", "size"]

MAX_SIZE = 1 << 60  # features of a layer: more than any memory holds, and a ptrdiff_t does


def size(value: object, name: str, most: int | None = None) -> int:
    """Return `value` as a whole number of at least 1 and at most `most`."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(
            f"{name} is {value!r} of type {type(value).__name__}, expected a whole number"
        )
    if number < 1:
        raise ValueError(f"{name} is {_shown(number)}, expected at least 1")
    if most is not None and number > most:
        raise ValueError(f"{name} is {_shown(number)}, expected at most {most}")
    return number


def number(value: Any, name: str) -> float:
    """Return `value` as a finite number.

    Examples
    --------
    >>> number(10**400, "scale")
    Traceback (most recent call last):
        ...
    ValueError: scale is an integer of 1329 bits, expected a finite number
    """
    try:
        if isinstance(value, (str, bytes, bool)) or np.ndim(value) > 0:
            raise TypeError
        plain = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {excerpt(repr(value))}, expected a number") from None
    except OverflowError:
        raise ValueError(f"{name} is {_shown(value)}, expected a finite number") from None
    if not math.isfinite(plain):
        raise ValueError(f"{name} is {plain}, expected a finite number")
    return plain


def _shown(value: object) -> str:
    """Return a number for a message; Python refuses to write very long integers out."""
    if isinstance(value, int) and value.bit_length() > 80:
        return f"an integer of {value.bit_length()} bits"
    return repr(value) if isinstance(value, int) else f"too large a {type(value).__name__}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, which takes an s unless the number is 1.

    Examples
    --------
    >>> counted(1, "feature"), counted(1200, "feature")
    ('1 feature', '1200 features')
    """
    return f"{number} {noun}{'s' if number != 1 else ''}"


def excerpt(text: object, limit: int = 80) -> str:
    """Return what a file says, fit for an error message: one line, ASCII, short.

    Examples
    --------
    >>> excerpt("os.system")
    'os.system'
    >>> excerpt("two\\nlines " + 200 * "x", limit=20)
    'two\\\\nlines xxxxxxxxx...'
    """
    # Slicing before ascii(): a hostile string may be as long as the file.
    shown = ascii(text[:limit])[1:-1] if isinstance(text, str) else ascii(text)
    whole = not isinstance(text, str) or len(text) <= limit
    return shown if whole and len(shown) <= limit else shown[:limit] + "..."


def dtype(value: object) -> np.dtype[Any]:
    """Return `value` as float32 or float64."""
    wanted: np.dtype[Any] | None
    try:
        wanted = np.dtype(value)  # type: ignore[call-overload]
    except TypeError:
        wanted = None
    # None == np.dtype("float64") in NumPy: ask for it first
    if value is None or wanted is None or wanted not in (np.float32, np.float64):
        raise ValueError(f"dtype is {value!r}, expected 'float32' or 'float64'")
    return wanted
