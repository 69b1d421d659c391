"""Those operations of a pickle that only carry data: numbers, text, bytes, tuples, the memo.

The tables say what stands behind the byte of an operation; `_unpickler.py` follows them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from nncore._validation import excerpt

# What repr() of a Python 2 string may hold; anything else is not from an honest writer.
_REPR = re.compile(
    rb"""'(?:[^\\']++|\\[\\'"tnr]|\\x[0-9a-f]{2})*+'"""
    rb"""|"(?:[^\\"]++|\\[\\'"tnr]|\\x[0-9a-f]{2})*+\""""
)


class Counted(NamedTuple):
    """An operation with its data behind it: the count's layout and what becomes of the bytes."""

    layout: str
    decode: Callable[[bytes], Any]


def utf8(data: bytes) -> str:
    """Return text of protocol 1 and later; lone surrogates pass, as a pickle may have them."""
    return data.decode("utf-8", "surrogatepass")


def latin1(data: bytes) -> str:
    """Return text of Python 2, each byte a character."""
    return data.decode("latin-1")


def integer(data: bytes) -> int:
    """Return a whole number in two's complement, 8 bytes at most."""
    if len(data) > 8:
        raise ValueError("has a whole number of more than 64 bits, expected the size of an array")
    return int.from_bytes(data, "little", signed=True)


COUNTED = {
    b"B": Counted("<I", bytes),  # BINBYTES
    b"C": Counted("<B", bytes),  # SHORT_BINBYTES
    b"\x8e": Counted("<Q", bytes),  # BINBYTES8
    b"\x96": Counted("<Q", bytes),  # BYTEARRAY8, given as bytes: nobody writes to it here
    b"X": Counted("<I", utf8),  # BINUNICODE
    b"\x8c": Counted("<B", utf8),  # SHORT_BINUNICODE
    b"\x8d": Counted("<Q", utf8),  # BINUNICODE8
    b"T": Counted("<i", latin1),  # BINSTRING
    b"U": Counted("<B", latin1),  # SHORT_BINSTRING
    b"\x8a": Counted("<B", integer),  # LONG1
}
FIXED = {b"J": "<i", b"K": "<B", b"M": "<H", b"G": ">d"}  # BININT BININT1 BININT2 BINFLOAT
CONSTANTS: dict[bytes, Any] = {b"N": None, b"\x88": True, b"\x89": False, b")": ()}
TUPLES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}
PUT = {b"q": "<B", b"r": "<I"}
GET = {b"h": "<B", b"j": "<I"}


def unrepr(line: bytes) -> str:
    """Return text of Python 2's protocol 0: what its repr() wrote, with the quotation marks."""
    from codecs import escape_decode

    # Checked first, as an unknown escape would only draw a warning.
    if _REPR.fullmatch(line) is None:
        raise ValueError("is broken: a string that Python 2 would not write")
    return latin1(escape_decode(line[1:-1])[0])


def decimal(line: bytes) -> int:
    """Return a whole number in digits, 64 bits or little more."""
    if not re.fullmatch(rb"-?[0-9]{1,19}", line):
        raise ValueError(f"is broken: {excerpt(repr(line))} is not a whole number")
    return int(line)
