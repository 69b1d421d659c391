"""Arrays in an HDF5 file, read without trust: no other file is opened, nothing grows.

HDF5 has links to other files, data that lie in other files, data sets composed of others, filters
that are loaded as plugins, and arrays of any size that take no room as long as nobody has written
to them. A file of weights needs none of that: every link here is a hard one, and every array lies
in the file as one piece of exactly its size, so that all of them together are no longer than it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from typing import IO, Any

import numpy as np

from nncore._validation import excerpt

_MAX_DEPTH = 64  # groups inside groups
_MAX_OBJECTS = 100_000


def need_h5py(name: str) -> Any:
    """Import h5py, or say what to install to read the file `name`."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            f"{name}: Keras keeps weights in HDF5, which needs h5py, expected it to be installed: "
            "pip install h5py"
        ) from error
    return h5py


class File:
    """An HDF5 file that is open for reading.

    Parameters
    ----------
    h5py : module
    file : h5py.File
    stream : file object
        What it is read through.
    size : int
        Its length in bytes, which all arrays together may not exceed.
    """

    def __init__(self, h5py: Any, file: Any, stream: IO[bytes], size: int) -> None:
        self._h5py = h5py
        self.root = file
        self._stream = stream
        self._left = size

    def group(self, path: str) -> Any:
        """Return a group, or None if there is none; refuse links on the way."""
        found = self.root
        parts = path.split("/")
        if "" in parts or "." in parts:
            raise ValueError(f"'{excerpt(path)}' is no name of a group")
        for part in parts:
            found = self._child(found, part)
            if found is None:
                return None
            if not isinstance(found, self._h5py.Group):
                raise ValueError(f"'{excerpt(path)}' is an array, expected a group")
        return found

    def arrays(self, group: Any) -> dict[str, Any]:
        """Return the data sets in a group and in the groups below it, by their paths in it."""
        found: dict[str, Any] = {}
        waiting = [("", group, 0)]
        seen = 0
        while waiting:
            path, here, depth = waiting.pop()
            for name in here:
                seen += 1
                if seen > _MAX_OBJECTS or depth > _MAX_DEPTH:
                    raise ValueError("holds too many groups, or groups inside each other")
                child = self._child(here, name)
                if isinstance(child, self._h5py.Group):
                    waiting.append((f"{path}{name}/", child, depth + 1))
                elif isinstance(child, self._h5py.Dataset):
                    found[path + name] = child
        return found

    def read(self, dataset: Any, where: str) -> np.ndarray:
        """Return a data set's numbers, after a look at all that it says of itself."""
        h5d = self._h5py.h5d
        plan = dataset.id.get_create_plist()
        if plan.get_layout() == h5d.VIRTUAL or plan.get_external_count():
            raise ValueError(f"{where} lies in another file, expected it in this one")
        if plan.get_layout() not in (h5d.CONTIGUOUS, h5d.COMPACT) or plan.get_nfilters():
            raise ValueError(
                f"{where} is stored in chunks or compressed, expected one piece, as Keras writes it"
            )
        dtype = dataset.dtype
        plain = dtype.kind in "fiu" or dtype.str == "|V2"  # two bytes: how Keras keeps bfloat16
        if not plain or dtype.fields is not None or dtype.metadata:
            raise ValueError(f"{where} has dtype {excerpt(str(dtype))}, expected numbers")
        if dataset.shape is None:
            raise ValueError(f"{where} is empty")
        size = math.prod(dataset.shape) * dtype.itemsize
        if dataset.id.get_storage_size() != size:
            raise ValueError(
                f"{where} has shape {dataset.shape}, which takes {size} bytes, but the file has "
                f"{dataset.id.get_storage_size()}"
            )
        self._left -= size
        if self._left < 0:
            raise ValueError(f"{where}: the arrays together are longer than the file")
        numbers: np.ndarray = np.asarray(dataset[()])
        return numbers

    def text(self, name: str, most: int) -> str | None:
        """Return an attribute of the root that is one text, or None if it has no such one."""
        attributes = self.root.attrs
        if name not in attributes:
            return None
        identifier = attributes.get_id(name)
        kind = identifier.get_type()
        if identifier.shape != () or kind.get_class() != self._h5py.h5t.STRING:
            raise ValueError(f"the attribute {name} is not one text")
        if kind.is_variable_str():
            with mmap(self._stream.fileno(), 0, access=ACCESS_READ) as data:
                return _text(data, name, most).decode()
        if kind.get_size() > most:
            raise ValueError(_too_long(name, kind.get_size(), most))
        value = attributes[name]
        return value.decode() if isinstance(value, bytes) else str(value)

    def _child(self, group: Any, name: str) -> Any:
        link = group.get(name, getlink=True)
        if link is None:
            return None
        if not isinstance(link, self._h5py.HardLink):
            raise ValueError(f"'{excerpt(name)}' is a link, expected everything in its own place")
        return group[name]


# Texts of any length lie apart from their attribute, in a heap. The HDF5 library allocates whatever
# length the attribute declares, and walks a damaged heap without end, so they are read here.

_MAX_REFERENCES = 4  # where an attribute was written again, the old message may still be there
_MAX_IN_HEAP = 1 << 16  # texts, which have numbers of 16 bits
_ATTRIBUTE = 12  # the type of a message in an object's header


def _text(data: Any, name: str, most: int) -> bytes:
    """Return the text of the attributes of a name, which all have the same one."""
    version = data[8]
    sizes = (data[13:15] if version < 2 else data[9:11]) if version < 4 else b""
    if sizes != b"\x08\x08":
        raise ValueError("has addresses or a version that Keras does not write")
    wanted = name.encode() + b"\0"
    references = set()
    place = data.find(wanted)
    while place >= 0:
        for start in (place - 8, place - 9):
            reference = _reference(data, place, start, len(wanted))
            if reference is not None:
                references.add(reference)
        if len(references) > _MAX_REFERENCES:
            raise ValueError(f"has more than {_MAX_REFERENCES} texts as {name}, expected one")
        place = data.find(wanted, place + 1)
    found = {_from_heap(data, *reference, name, most) for reference in references}
    if len(found) != 1:
        raise ValueError(f"has {len(found)} different texts as {name}, expected one")
    return found.pop()


def _reference(data: Any, name: int, start: int, name_size: int) -> tuple[int, int, int] | None:
    """Return what an attribute's message says of its text: length, the heap's place, number.

    The message has its version, the sizes of its parts, its name, type and shape, and then this.
    None: there is no such message at `start`.
    """
    if start < 8 or data[start] not in ((1, 2) if name - start == 8 else (3,)):
        return None
    # A header of version 1 says the type 8 bytes before, one of version 2 4 or 6 bytes.
    if data[start - 8] != _ATTRIBUTE and _ATTRIBUTE not in (data[start - 4], data[start - 6]):
        return None
    sizes = struct.unpack_from("<3H", data, start + 2)
    if sizes[0] != name_size or (data[start] > 1 and data[start + 1] & 3):
        return None
    step = 8 if data[start] == 1 else 1  # version 1 pads each part to a multiple of 8 bytes
    place = name + sum(-(-size // step) * step for size in sizes)
    if place + 16 > len(data):
        return None
    length, heap, number = struct.unpack_from("<IQI", data, place)
    return length, heap, number


def _from_heap(data: Any, length: int, heap: int, number: int, name: str, most: int) -> bytes:
    if length > most:
        raise ValueError(_too_long(name, length, most))
    if heap + 16 > len(data) or data[heap : heap + 4] != b"GCOL":
        raise ValueError(f"has no text as {name}, where it says that it is")
    (size,) = struct.unpack_from("<Q", data, heap + 8)
    place, end = heap + 16, min(heap + size, len(data))
    for _ in range(_MAX_IN_HEAP):
        if place + 16 > end:
            break
        index, _, _, size = struct.unpack_from("<HHIQ", data, place)
        place += 16
        if index == number and length <= size <= end - place:
            found: bytes = data[place : place + length]
            return found
        if index == 0:  # the rest is free
            break
        place += -(-size // 8) * 8
    raise ValueError(f"has no text as {name}, where it says that it is")


def _too_long(name: str, length: int, most: int) -> str:
    return f"{name} has {length} characters, expected at most {most}"


@contextmanager
def open_file(h5py: Any, stream: IO[bytes], size: int) -> Iterator[File]:
    """Open an HDF5 file that is read through a stream, so that no path is involved."""
    try:
        with h5py.File(stream, "r") as file:
            yield File(h5py, file, stream, size)
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(f"is not a whole HDF5 file ({excerpt(str(error))})") from error
