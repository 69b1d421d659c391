"""The header of an .npy array: written the same on every machine, read without evaluating it.

NumPy's own reader evaluates the header as a Python literal and builds whatever dtype it names;
here it has to look as NumPy writes it, letter by letter.
"""

from __future__ import annotations

import re
import struct
from typing import IO

from nncore._validation import excerpt

# NumPy's own are 118 bytes long.
_MAX_LENGTH = 1 << 12

# Exactly what every NumPy writes since 1.0; the dtype's letters are checked by whoever asked.
_ARRAY_HEADER = re.compile(
    rb"\{'descr': '([<>|][a-zA-Z][0-9]{1,9})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,18}, ?)*(?:[0-9]{1,18})?)\), \} *\n"
)


def header(descr: str, shape: tuple[int, ...]) -> bytes:
    """Return what stands before the data of a C-contiguous array.

    Examples
    --------
    >>> header("<f4", (784, 50))[10:70]
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (784, 50),"
    """
    sizes = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}"
    # The whole header is a multiple of 64 bytes long and ends in a newline, as NumPy wants it.
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("ascii")


def read_header(stream: IO[bytes], name: str, size: int) -> tuple[str, bool, tuple[int, ...], int]:
    """Read up to the data: return dtype, whether in Fortran order, shape, and bytes to follow.

    Parameters
    ----------
    stream : binary file
        At the beginning of the array.
    name : str
        Of the array, for errors.
    size : int
        Length of header and data in bytes.
    """
    key = excerpt(name)
    start = stream.read(8)
    width = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}.get(start[6:], 0)
    if start[:6] != b"\x93NUMPY" or not width:
        raise ValueError(f"'{key}' is not an array in the .npy format, version 1 to 3")
    length = int.from_bytes(stream.read(width), "little")
    if length > _MAX_LENGTH:
        raise ValueError(f"'{key}' declares an array header of {length} bytes")
    text = stream.read(length)
    match = _ARRAY_HEADER.fullmatch(text)
    if len(text) != length or match is None:
        raise ValueError(f"'{key}' has an array header that NumPy would not write")
    shape = tuple(int(number) for number in match[3].split(b",") if number.strip())
    rest = size - 8 - width - length
    return match[1].decode("ascii"), match[2] == b"True", shape, rest
