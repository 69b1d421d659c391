"""Stand-ins for the NumPy functions that the pickle of an array calls.

NumPy's own would allocate whatever a hostile file asks for and build dtypes from its strings.
These only write down what was asked and compare it with the bytes that are there; the array is a
view of those bytes, made when all of the pickle has been read.

Values of a hostile pickle may be tuples nested without end or sharing their parts, so nothing here
hashes, compares or prints a value before it is known to be text or a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nncore._validation import excerpt

# float, signed and unsigned integers: no objects, no records, no text, no dates.
_CODES = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"}


class StandIn:
    """A function that a pickle may call, under the name that it has there."""

    def __init__(self, name: str, call: Callable[[tuple[Any, ...]], Any] | None) -> None:
        self.name = name
        self._call = call

    def __call__(self, arguments: tuple[Any, ...]) -> Any:
        """Return the stand-in's answer; refuse arguments that NumPy never writes."""
        if self._call is None:
            raise ValueError(f"calls {self.name}, which the pickle of an array only mentions")
        return self._call(arguments)


class FillsIn:
    """Something that a pickle creates first and fills in with a BUILD operation later."""

    def fill(self, state: Any) -> None:
        """Take the state, once."""
        raise ValueError("is broken: this cannot be filled in")


class DType(FillsIn):
    """A dtype: one of the plain real numbers, in either byte order."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._order: str | None = None

    @property
    def value(self) -> np.dtype:
        """Return the dtype as NumPy has it."""
        return np.dtype((self._order or "<") + self._code)

    def fill(self, state: Any) -> None:
        """State is (3, byte order, no subarray, no names, no fields, -1, -1, 0)."""
        if type(state) is not tuple or len(state) not in (8, 9) or self._order is not None:
            raise ValueError("is broken: the state of a dtype is not one that NumPy writes")
        if any(part is not None for part in state[2:5]):
            raise ValueError("holds an array with fields or subarrays, expected plain numbers")
        order = state[1]
        if type(order) is not str or order not in ("<", ">", "|"):
            raise ValueError("is broken: the byte order of a dtype is neither '<' nor '>'")
        self._order = "<" if order == "|" else order


class Array(FillsIn):
    """An array: its bytes, dtype, shape and order, once they are filled in and agree."""

    def __init__(self) -> None:
        self._data: bytes | str | None = None
        self._dtype = np.dtype("u1")
        self._shape: tuple[int, ...] = ()
        self._order = "C"

    @property
    def nbytes(self) -> int:
        """The bytes of its elements."""
        return math.prod(self._shape) * self._dtype.itemsize

    @property
    def value(self) -> np.ndarray:
        """Return the array as NumPy has it: read-only, in the file's byte order."""
        if self._data is None:
            raise ValueError("is broken: an array was never filled in")
        data = _latin1(self._data) if isinstance(self._data, str) else self._data
        flat = np.frombuffer(data, self._dtype)
        return flat.reshape(self._shape, order="F" if self._order == "F" else "C")

    def fill(self, state: Any) -> None:
        """State is (1, shape, dtype, whether in Fortran order, data)."""
        if type(state) is not tuple or len(state) != 5 or self._data is not None:
            raise ValueError("is broken: the state of an array is not one that NumPy writes")
        _, shape, dtype, fortran, data = state
        if type(fortran) not in (bool, int):
            raise ValueError("is broken: the order of an array is neither C nor Fortran")
        self.set(data, dtype, shape, "F" if fortran else "C")

    def set(self, data: Any, dtype: Any, shape: Any, order: str) -> Array:
        """Check that the bytes are exactly as many as the shape needs, and keep all four."""
        if type(dtype) is not DType:
            raise ValueError("is broken: the dtype of an array is not a dtype")
        if type(shape) is not tuple or any(type(n) is not int for n in shape):
            raise ValueError("is broken: the shape of an array is not a tuple of whole numbers")
        if len(shape) > 8 or any(not 1 <= n < 1 << 60 for n in shape):
            raise ValueError(
                f"holds an array of shape {excerpt(repr(shape[:9]))}, expected at most 8 "
                "dimensions of 1 or more"
            )
        if type(data) not in (bytes, str):
            raise ValueError(f"is broken: an array's data is a {type(data).__name__}, not bytes")
        self._dtype, self._shape, self._order = dtype.value, shape, order
        if len(data) != self.nbytes:
            raise ValueError(
                f"holds an array of shape {shape} and {self._dtype} that has {len(data)} bytes, "
                f"expected {self.nbytes}"
            )
        self._data = data
        return self


def known(module: str, name: str) -> StandIn:
    """Return the stand-in for a name; raise ``ValueError`` for names that no array needs."""
    found = _KNOWN.get((module, name))
    if found is None:
        raise ValueError(
            f"asks for {excerpt(module)}.{excerpt(name)}, which is none of the names that NumPy "
            "arrays need; nothing was run (if you trust the file, unpickle it yourself and give "
            "the arrays to nncore.Network.from_dict)"
        )
    return found


def _reconstruct(arguments: tuple[Any, ...]) -> Array:
    """_reconstruct(ndarray, (0,), b'b'): an empty array, to be filled in."""
    if len(arguments) != 3 or arguments[0] is not _NDARRAY:
        raise ValueError("is broken: it reconstructs something other than a numpy.ndarray")
    return Array()


def _frombuffer(arguments: tuple[Any, ...]) -> Array:
    """_frombuffer(data, dtype, shape, order), as protocol 5 has it."""
    if len(arguments) != 4 or type(arguments[3]) is not str or arguments[3] not in ("C", "F"):
        raise ValueError("is broken: the arguments of _frombuffer are not those NumPy writes")
    return Array().set(*arguments)


def _scalar(arguments: tuple[Any, ...]) -> Array:
    """scalar(dtype, data): one number, as an array without dimensions."""
    if len(arguments) != 2:
        raise ValueError("is broken: the arguments of scalar are not those NumPy writes")
    return Array().set(arguments[1], arguments[0], (), "C")


def _dtype(arguments: tuple[Any, ...]) -> DType:
    """dtype('f4', False, True)."""
    code = arguments[0] if len(arguments) in (1, 3) else None
    if type(code) is not str:
        raise ValueError("is broken: the arguments of dtype are not those NumPy writes")
    if code not in _CODES:
        raise ValueError(f"holds an array of dtype '{excerpt(code)}', expected real numbers")
    return DType(code)


def _encode(arguments: tuple[Any, ...]) -> str:
    """encode(text, 'latin1'): how protocols 0 to 2 write bytes.

    It gives the text back as it is: encoding the same long text again and again would be a bomb.
    """
    if [type(argument) for argument in arguments] != [str, str] or arguments[1] != "latin1":
        raise ValueError("calls _codecs.encode with something other than text and 'latin1'")
    text: str = arguments[0]
    return text


def _latin1(text: str) -> bytes:
    """Bytes that protocols 0 to 2, or Python 2, have written as text."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError("is broken: an array's data is text beyond latin1") from error


_NDARRAY = StandIn("numpy.ndarray", None)
_KNOWN = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): StandIn("numpy.dtype", _dtype),
    ("_codecs", "encode"): StandIn("_codecs.encode", _encode),
}
for _core in ("numpy.core", "numpy._core"):  # before and since NumPy 2
    for _module, _name, _call in (
        ("multiarray", "_reconstruct", _reconstruct),
        ("multiarray", "scalar", _scalar),
        ("numeric", "_frombuffer", _frombuffer),
    ):
        _KNOWN[f"{_core}.{_module}", _name] = StandIn(f"{_core}.{_module}.{_name}", _call)
