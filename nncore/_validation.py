"""Checks of what users pass in. Every refusal says what was expected and what came."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

REAL_KINDS = "biuf"
MAX_SIZE = 1 << 60  # features of a layer: more than any memory holds, and a ptrdiff_t does


def array(x: object, name: str) -> NDArray[Any]:
    """`x` as an array of real numbers, without a copy where it is one.

    Raises
    ------
    TypeError
        Masked arrays; dtypes that are not real numbers.
    ValueError
        Nested lists of unequal lengths.
    """
    if _is_masked(x):
        raise TypeError(
            f"{name} is a masked array, expected a plain one: fill the masked elements first, "
            "for example with x.filled(0)"
        )
    try:
        plain = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} is no rectangular array of numbers: {error}") from None
    if plain.dtype.kind not in REAL_KINDS:
        hint = " (a ragged or mixed list becomes one)" if plain.dtype.kind == "O" else ""
        raise TypeError(
            f"{name} has dtype {plain.dtype}{hint}, expected real numbers: "
            "floating point, integer or bool"
        )
    return plain


def _is_masked(x: object) -> bool:
    # Naming numpy.ma loads it, which takes longer than all of nncore: only a subclass is asked.
    return (
        isinstance(x, np.ndarray) and type(x) is not np.ndarray and isinstance(x, np.ma.MaskedArray)
    )


def samples(x: object, features: int, is_double: bool) -> NDArray[Any]:
    """`x` as (features,) or (n, features), of a dtype the kernels read.

    Images (n, h, w) and (n, 1, h, w) with h * w = features are flattened. Byte-swapped arrays and
    long doubles are converted to the network's dtype here; all else the kernels convert.
    """
    plain = array(x, "x")
    shape = plain.shape
    images = shape[1:] if plain.ndim == 3 else shape[2:] if shape[1:2] == (1,) else ()
    if len(images) == 2 and images[0] * images[1] == features:
        plain = plain.reshape(shape[0], features)
    elif plain.ndim not in (1, 2):
        _refuse_shape(shape, features)
    if plain.shape[-1] != features:
        raise ValueError(f"x has {plain.shape[-1]} features, this network takes {features}")
    if plain.dtype.itemsize > 8 or not plain.dtype.isnative:
        with np.errstate(all="ignore"):  # an overflow becomes infinity, as in every conversion
            plain = plain.astype(np.float64 if is_double else np.float32)
    return plain


def _refuse_shape(shape: tuple[int, ...], features: int) -> NoReturn:
    raise ValueError(
        f"x has shape {shape}, expected ({features},), (n, {features}), or images (n, h, w) or "
        f"(n, 1, h, w) with h * w = {features}"
    )


def output(out: object, x: NDArray[Any], m: int, is_double: bool) -> None:
    """Check that `out` can be filled as it is with the outputs for samples `x`."""
    fits(out, (*x.shape[:-1], m), np.dtype(np.float64 if is_double else np.float32))
    assert isinstance(out, np.ndarray)
    if overlap(out, x):
        raise ValueError("out overlaps x in memory, expected memory of its own")


def fits(out: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Check that `out` is a writable array of just this shape and dtype."""
    if not isinstance(out, np.ndarray) or _is_masked(out):
        raise TypeError(f"out is of type {type(out).__name__}, expected a numpy.ndarray")
    if out.dtype != dtype or not out.dtype.isnative:
        raise TypeError(f"out has dtype {out.dtype}, expected {dtype}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, expected {shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only, expected a writable array")
    if not out.flags.aligned or any(stride % out.itemsize for stride in out.strides):
        raise ValueError("out is not aligned to its dtype, expected an aligned array")
    if any(step == 0 and size > 1 for step, size in zip(out.strides, out.shape, strict=True)):
        raise ValueError("out overlaps itself (a broadcast array), expected one place an element")


def overlap(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two arrays share an element; True too where finding out would take long."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=100_000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def size(value: object, name: str) -> int:
    """Return `value` as a whole number of at least 1."""
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
    if number >= MAX_SIZE:
        raise ValueError(f"{name} is {_shown(number)}, expected less than 2**60")
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
    """A number for a message; Python refuses to write very long integers out."""
    if isinstance(value, int) and value.bit_length() > 80:
        return f"an integer of {value.bit_length()} bits"
    return repr(value) if isinstance(value, int) else f"too large a {type(value).__name__}"


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
