"""IDX files, the format in which MNIST is published: a type, the dimensions, then the numbers.

::

    byte 0, 1    zero
    byte 2       what the numbers are (see _TYPES)
    byte 3       how many dimensions there are
    4 bytes each the dimensions, big-endian
    the rest     the numbers, big-endian, the last dimension running fastest

The file may be compressed with gzip; its first two bytes tell, whatever its name is.  Nothing is
allocated before the header has been checked against the length of the file.
"""

from __future__ import annotations

import math
import os
import sys
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_CODES = {dtype.newbyteorder("="): code for code, dtype in _TYPES.items()}

_GZIP_MAGIC = b"\x1f\x8b"
# Deflate makes at most 258 bytes out of 2 bits, 1032 to 1: a header that promises more is lying.
_GZIP_LARGEST_RATIO = 1032
_MAX_DIMENSIONS = 32  # as many as every NumPy knows


def read_idx(path: str | os.PathLike[str], *, max_bytes: int = 2**30) -> NDArray[Any]:
    """Read an IDX file, compressed with gzip or not.

    Parameters
    ----------
    path : str or path-like
        The file.
    max_bytes : int, default 2**30
        The most bytes of numbers, uncompressed, that the file may hold.

    Returns
    -------
    ndarray
        Of the file's shape and type (uint8, int8, int16, int32, float32 or float64), in the
        machine's byte order, C-contiguous, writeable.

    Raises
    ------
    OSError
        If the file cannot be opened or read.
    ValueError
        If it is not an IDX file, is damaged, shorter or longer than its header says, or larger than
        `max_bytes`.  The message begins with the file's name.

    Examples
    --------
    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "labels-idx1-ubyte.gz")
    >>> write_idx(path, np.array([7, 2, 1], dtype=np.uint8))
    >>> read_idx(path)
    array([7, 2, 1], dtype=uint8)
    >>> folder.cleanup()
    """
    import gzip
    import zlib

    from nncore.formats._files import file_name, open_regular

    name = file_name(path)
    with open_regular(name) as (file, length):
        compressed = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        try:
            if not compressed:
                return _read(file, name, length, max_bytes, exact=True)
            with gzip.GzipFile(fileobj=file) as unzipped:
                largest = length * _GZIP_LARGEST_RATIO
                return _read(cast(IO[bytes], unzipped), name, largest, max_bytes, exact=False)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{name}: is a damaged gzip file ({error})") from error


def write_idx(path: str | os.PathLike[str], array: ArrayLike) -> None:
    """Write an array as an IDX file, compressed with gzip if the name ends in ``.gz``.

    The file appears under its name only when it is complete, in place of one that was there.

    Parameters
    ----------
    path : str or path-like
        The file.
    array : array_like
        uint8, int8, int16, int32, float32 or float64, of 1 to 32 dimensions.

    Raises
    ------
    OSError
        If the file cannot be written.
    TypeError
        If the array's type is none of these.
    ValueError
        If it has no dimensions, or too many, or one of 2**32 elements or more.
    """
    import gzip
    import struct

    from nncore.formats._files import file_name, replacing

    array = np.asarray(array)
    code = _CODES.get(array.dtype.newbyteorder("="))
    if code is None:
        known = ", ".join(dtype.name for dtype in _TYPES.values())
        raise TypeError(f"array has dtype {array.dtype}, expected one of {known}")
    if not 1 <= array.ndim <= _MAX_DIMENSIONS:
        raise ValueError(f"array has {array.ndim} dimensions, expected 1 to {_MAX_DIMENSIONS}")
    if max(array.shape) >= 2**32:
        raise ValueError(f"array has shape {array.shape}, expected dimensions below 2**32")
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    content = header + array.astype(_TYPES[code]).tobytes()
    name = file_name(path)
    if name.endswith(".gz"):
        content = gzip.compress(content, mtime=0)  # the same content, the same file
    with replacing(name) as file:
        file.write(content)


def _read(file: IO[bytes], name: str, length: int, max_bytes: int, *, exact: bool) -> NDArray[Any]:
    """Read from an opened file of `length` bytes: exactly so many, or at most."""
    dtype, shape = _read_header(file, name)
    size = dtype.itemsize * math.prod(shape)
    promise = f"its header promises {'x'.join(map(str, shape))} numbers, {size} bytes"
    if size > max_bytes:
        raise ValueError(f"{name}: {promise}, expected at most {max_bytes}")
    # NumPy multiplies the dimensions other than 0, also where there is nothing to be held.
    if dtype.itemsize * math.prod(d for d in shape if d) > sys.maxsize:
        raise ValueError(f"{name}: {promise}; no array has dimensions so large")
    there = length - 4 - 4 * len(shape)
    if exact and there != size:
        raise ValueError(f"{name}: {promise}; {there} are there")
    if size > length:
        raise ValueError(f"{name}: {promise}; the compressed file is too short for that")

    array = np.empty(shape, dtype)
    view = array.reshape(-1).view(np.uint8)
    filled = 0
    while filled < size:
        got = file.readinto(view[filled : filled + 2**20])  # type: ignore[attr-defined]
        if not got:
            raise ValueError(f"{name}: {promise}; only {filled} are there")
        filled += got
    if file.read(1):
        raise ValueError(f"{name}: {promise}; there are more")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _read_header(file: IO[bytes], name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    import struct

    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise ValueError(
            f"{name}: is not an IDX file: it begins with {magic.hex(' ') or 'nothing'}, "
            "expected 00 00, a type and a number of dimensions"
        )
    dtype = _TYPES.get(magic[2])
    if dtype is None:
        known = ", ".join(f"{code:02x}" for code in _TYPES)
        raise ValueError(
            f"{name}: is not an IDX file: type {magic[2]:02x}, expected one of {known}"
        )
    if not 1 <= magic[3] <= _MAX_DIMENSIONS:
        raise ValueError(f"{name}: has {magic[3]} dimensions, expected 1 to {_MAX_DIMENSIONS}")
    dimensions = file.read(4 * magic[3])
    if len(dimensions) < 4 * magic[3]:
        raise ValueError(f"{name}: ends within its header")
    return dtype, struct.unpack(f">{magic[3]}I", dimensions)
