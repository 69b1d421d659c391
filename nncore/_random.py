"""Random numbers that are the same on every machine and with every NumPy.

NumPy promises that the raw bits of a ``BitGenerator`` never change. What its ``Generator`` makes of
them may change, and ``log`` or ``cos`` may differ in the last bit from one processor to the next.
So this file takes the raw bits and goes on with + - * / and square root alone, element by element:
IEEE 754 rounds each of these correctly, everywhere. (A sum over an array would not do: the order
in which NumPy adds depends on the machine.)

This is internal: initial weights, the order of training samples and the drawn digits use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from nncore import _table

if TYPE_CHECKING:
    from numpy.typing import NDArray

Seed: TypeAlias = "int | Sequence[int] | None"
Shape: TypeAlias = "int | tuple[int, ...]"

_LN2 = 0.6931471805599453
_SQRT_HALF = 0.7071067811865476

# log(m) = 2 artanh(z) with z = (m - 1) / (m + 1).  For m in [sqrt(1/2), sqrt(2)) z*z is below
# 0.0295, and the first term left out, 0.0295**12 / 25, is far below 2**-53.
_ARTANH_TERMS = 11


class Random:
    """A stream of random numbers, fixed by its seed.

    Parameters
    ----------
    seed : int, sequence of ints, or None
        Zero or positive, of any size, as ``numpy.random.SeedSequence`` takes them.  None takes
        fresh entropy from the operating system: another stream each time.

    Raises
    ------
    TypeError
        If `seed` is anything else than an int, a sequence of ints or None.
    ValueError
        If a number in it is negative, or the sequence is empty.

    Examples
    --------
    >>> Random(0).integers(10, 5)
    array([1, 7, 4, 3, 1])
    >>> Random(0).uniform((2, 2)).shape
    (2, 2)
    """

    def __init__(self, seed: Seed = None) -> None:
        from numpy.random import PCG64  # newer NumPys load numpy.random on first use only

        self._bits = PCG64(_check_seed(seed))

    def raw(self, shape: Shape) -> NDArray[np.uint64]:
        """Return uniform 64-bit words: uint64 of the given shape."""
        shape = _check_shape(shape)
        return np.asarray(self._bits.random_raw(_size(shape)), dtype=np.uint64).reshape(shape)

    def uniform(self, shape: Shape) -> NDArray[np.float64]:
        """Return uniform numbers in [0, 1): float64, multiples of 2**-53, never 1 itself."""
        # Both steps are exact: 53 bits fit into a double, and so does a power of two times them.
        return (self.raw(shape) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def normal(self, shape: Shape) -> NDArray[np.float64]:
        """Return normal numbers with mean 0 and standard deviation 1: float64.

        This is Marsaglia's polar method. A point drawn uniformly from the unit disc, at the squared
        distance d from its middle, gives two independent normal numbers: its coordinates times
        sqrt(-2 log(d) / d).
        """
        shape = _check_shape(shape)
        size = _size(shape)
        out = np.empty(size + size % 2)
        filled = 0
        while filled < out.size:
            # A point of the square lies in the disc with probability pi / 4. A few more than are
            # needed on average make a second round unlikely.
            pairs = (out.size - filled) // 2
            points = self.uniform((pairs + pairs // 3 + 8, 2)) * 2.0 - 1.0
            squares = points[:, 0] * points[:, 0] + points[:, 1] * points[:, 1]
            inside = (squares < 1.0) & (squares > 0.0)
            points, squares = points[inside][:pairs], squares[inside][:pairs]
            normals = points * np.sqrt(-2.0 * log(squares) / squares)[:, None]
            out[filled : filled + normals.size] = normals.ravel()
            filled += normals.size
        return out[:size].reshape(shape)

    def integers(self, bound: int, shape: Shape) -> NDArray[np.int64]:
        """Return integers from 0 to `bound` - 1, each as likely as any other: int64.

        Raises
        ------
        ValueError
            If `bound` is not between 1 and 2**63.
        """
        bound = index(bound)
        if not 1 <= bound <= 2**63:
            raise ValueError(f"bound is {bound}, expected 1 to 2**63")
        # 2**64 words do not divide evenly among `bound` numbers. Words below the remainder are
        # drawn again, so that as many words are left for each number.
        surplus = 2**64 % bound
        words = self.raw(shape)
        flat = words.reshape(-1)
        again = np.flatnonzero(flat < np.uint64(surplus))
        while again.size:
            flat[again] = self.raw(again.size)
            again = again[flat[again] < np.uint64(surplus)]
        return (words % np.uint64(bound)).astype(np.int64)

    def permutation(self, n: int) -> NDArray[np.int64]:
        """Return the numbers 0 to `n` - 1 in random order: int64, shape (n,)."""
        # It is the order of n random words; of two equal words the first comes first.
        return _table.order_of(self.raw(n))


def log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the natural logarithm of positive finite numbers, the same bits on every machine.

    The result is within 3 ULP of the true value. Other input is not checked.
    """
    mantissa, exponent = np.frexp(x)  # exact, mantissa in [1/2, 1)
    low = mantissa < _SQRT_HALF
    mantissa = np.where(low, mantissa * 2.0, mantissa)
    z = (mantissa - 1.0) / (mantissa + 1.0)
    zz = z * z
    series = np.full_like(z, 1.0 / (2 * _ARTANH_TERMS + 1))
    for k in range(_ARTANH_TERMS - 1, -1, -1):
        series = series * zz + 1.0 / (2 * k + 1)
    return (exponent - low).astype(np.float64) * _LN2 + 2.0 * z * series


def _check_seed(seed: object) -> int | list[int] | None:
    expected = "expected None, a whole number of at least 0 or a sequence of these"
    if seed is None:
        return None
    if isinstance(seed, (bool, np.bool_, str, bytes)):
        raise TypeError(f"seed is {seed!r}, {expected}")
    if isinstance(seed, (Sequence, np.ndarray)) and getattr(seed, "ndim", 1) == 1:
        if len(seed) == 0:
            raise ValueError(f"seed is an empty sequence, {expected}")
        return [_check_word(word, "has", expected) for word in seed]
    return _check_word(seed, "is", expected)


def _check_word(word: object, verb: str, expected: str) -> int:
    try:
        if isinstance(word, (bool, np.bool_)):
            raise TypeError
        number = index(word)  # type: ignore[arg-type]  # that it may not be an index is the point
    except TypeError:
        raise TypeError(f"seed {verb} {word!r}, {expected}") from None
    if number < 0:
        raise ValueError(f"seed {verb} {number}, {expected}")
    return number


def _check_shape(shape: Shape) -> tuple[int, ...]:
    dimensions = tuple(index(d) for d in shape) if isinstance(shape, tuple) else (index(shape),)
    if any(d < 0 for d in dimensions):
        raise ValueError(f"shape is {shape!r}, expected dimensions of at least 0")
    return dimensions


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for d in shape:
        size *= d
    return size
