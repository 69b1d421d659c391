"""An ONNX file as a message, and its tensors as arrays: everything that believes no length.

The `onnx` package parses the protobuf. What is checked here: that a small file does not become a
large message, that a tensor holds as many numbers as its shape says, and where numbers outside of
the file may lie: in the same folder, in a file named without any path.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore._validation import excerpt
from nncore.formats._files import open_regular

if TYPE_CHECKING:
    from numpy.typing import NDArray

# An empty message takes two bytes in a file and a hundred in memory. The largest dense networks
# that exporters write have some ten thousand messages and texts, their comments included.
_MAX_MESSAGES = 500_000
# Of TensorProto.data_type: the type of its bytes, and the field that holds it if raw_data does not.
_TYPES = {
    1: ("<f4", "float_data"), 10: ("<f2", "int32_data"), 11: ("<f8", "double_data"),
    16: ("<u2", "int32_data"),  # bfloat16: the upper half of a float32
    2: ("u1", "int32_data"), 3: ("i1", "int32_data"), 4: ("<u2", "int32_data"),
    5: ("<i2", "int32_data"), 6: ("<i4", "int32_data"), 7: ("<i8", "int64_data"),
    9: ("?", "int32_data"), 12: ("<u4", "uint64_data"), 13: ("<u8", "uint64_data"),
}  # fmt: skip
_BFLOAT16, _STRING = 16, 8
_MAX_DIMENSIONS = 16


def package() -> Any:
    """Import and return the onnx package."""
    try:
        import onnx
    except ImportError:
        raise ImportError("ONNX files need the onnx package: pip install onnx") from None
    return onnx


def parse(data: bytes) -> Any:
    """Return the ModelProto that the bytes hold.

    Raises
    ------
    ValueError
        They are damaged, cut short, or hold more messages than any dense network.
    """
    onnx = package()
    model = onnx.ModelProto()
    _Scan(memoryview(data)).message(model.DESCRIPTOR, 0, len(data), 0)
    try:
        model.ParseFromString(data)
    except Exception as error:  # DecodeError, of whichever protobuf is installed
        raise ValueError(f"is no whole ONNX model: {excerpt(str(error))}") from error
    return model


class _Scan:
    """Walks through a protobuf without making anything of it, and counts."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.count = 0

    def message(self, descriptor: Any, start: int, end: int, depth: int) -> None:
        if depth > 32:
            raise ValueError("nests messages more than 32 deep, expected a plain graph")
        fields = descriptor.fields_by_number
        while start < end:
            tag, start = self.number(start, end)
            kind = tag & 7
            if kind == 0:
                _, start = self.number(start, end)
            elif kind in (1, 5):
                start += 8 if kind == 1 else 4
            elif kind == 2:
                length, start = self.number(start, end)
                field = fields.get(tag >> 3)
                if start + length <= end and field is not None and self._counts(field):
                    self.count += 1
                    if field.message_type is not None:
                        self.message(field.message_type, start, start + length, depth + 1)
                start += length
            else:
                raise ValueError(f"is no whole ONNX model: byte {start} is not protobuf")
            if start > end:
                raise ValueError("is no whole ONNX model: it is cut short")
            if self.count > _MAX_MESSAGES:
                raise ValueError(
                    f"holds more than {_MAX_MESSAGES} messages, expected a dense network's"
                )

    def number(self, start: int, end: int) -> tuple[int, int]:
        """Return a varint, and where it ends."""
        value = 0
        for shift in range(0, 70, 7):
            if start >= end:
                raise ValueError("is no whole ONNX model: it is cut short")
            byte = self.data[start]
            start += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, start
        raise ValueError(f"is no whole ONNX model: byte {start} is not protobuf")

    @staticmethod
    def _counts(field: Any) -> bool:
        return field.message_type is not None or field.cpp_type == field.CPPTYPE_STRING


class Tensors:
    """Makes arrays of a model's tensors, together no larger than the files that hold them.

    Parameters
    ----------
    path : str or None
        Of the file that the model is from: numbers outside of it lie in its folder. None: there
        must not be any.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._left: dict[str, int] = {}  # bytes that each file outside may still be read for

    def size_outside(self, model: Any) -> int:
        """Return how many bytes the files in the same folder have that a model names."""
        if self._path is None:
            return 0
        paths = set()
        for tensor in model.graph.initializer:
            if tensor.data_location == tensor.EXTERNAL:
                entries = {entry.key: entry.value for entry in tensor.external_data}
                name = f"the tensor '{excerpt(tensor.name)}'"
                paths.add(_beside(self._path, entries.get("location", ""), name))
        return sum(os.stat(path).st_size for path in paths)

    def array(self, tensor: Any, what: str) -> NDArray[Any]:
        """Return the tensor's numbers, or texts; `what` is what to call it in messages."""
        shape = tuple(tensor.dims[: _MAX_DIMENSIONS + 1])
        if len(shape) > _MAX_DIMENSIONS or any(size < 0 for size in shape):
            raise ValueError(
                f"{what} has shape {_shown(shape)}, expected at most {_MAX_DIMENSIONS} sizes of at "
                "least 0"
            )
        if tensor.HasField("segment"):
            raise ValueError(f"{what} is a segment of a tensor, expected a whole one")
        count = math.prod(shape)
        if tensor.data_type == _STRING:
            texts = [text.decode() for text in tensor.string_data]
            self._check(len(texts), count, what, shape)
            return np.array(texts, dtype=object).reshape(shape)
        if tensor.data_type not in _TYPES:
            name = _type_name(tensor.data_type)
            raise ValueError(f"{what} is of type {name}, expected numbers of 8 to 64 bits")
        code, field = _TYPES[tensor.data_type]
        values = self._numbers(tensor, code, field, count, what, shape)
        if tensor.data_type == _BFLOAT16:
            values = (values.astype(np.uint32) << 16).view(np.float32)
        return values.astype(values.dtype.newbyteorder("="), copy=False).reshape(shape)

    def _numbers(
        self, tensor: Any, code: str, field: str, count: int, what: str, shape: tuple[int, ...]
    ) -> NDArray[Any]:
        dtype = np.dtype(code)
        if tensor.data_location == tensor.EXTERNAL:
            return np.frombuffer(self._outside(tensor, count * dtype.itemsize, what), dtype)
        if tensor.HasField("raw_data"):
            self._check(len(tensor.raw_data), count * dtype.itemsize, what, shape, "bytes")
            return np.frombuffer(tensor.raw_data, dtype)
        stored = getattr(tensor, field)
        self._check(len(stored), count, what, shape)
        if tensor.data_type in (10, _BFLOAT16):  # their bits, as integers
            return np.array(stored, np.int64).astype("<u2").view(dtype)
        return np.array(stored, dtype)

    @staticmethod
    def _check(
        found: int, expected: int, what: str, shape: tuple[int, ...], unit: str = "elements"
    ) -> None:
        if found != expected:
            raise ValueError(
                f"{what} holds {found} {unit}, expected {expected}, as its shape {_shown(shape)} "
                "says"
            )

    def _outside(self, tensor: Any, length: int, what: str) -> bytes:
        """Return the bytes of a tensor that lies in another file of the same folder."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if self._path is None:
            raise ValueError(
                f"{what} lies in the file '{excerpt(location)}', expected it in the model: "
                "give the path of the .onnx file instead"
            )
        path = _beside(self._path, location, what)
        offset = _whole(entries.get("offset", "0"), f"{what}: offset")
        declared = _whole(entries.get("length", str(length)), f"{what}: length")
        if declared != length:
            raise ValueError(f"{what} declares {declared} bytes, expected {length}, as its shape")
        with open_regular(path) as (file, size):
            # What overlaps would take more memory than there are bytes.
            left = self._left.setdefault(path, size)
            if offset + length > size or length > left:
                raise ValueError(
                    f"{what} takes {length} bytes at {offset} of '{excerpt(location)}', which has "
                    f"{size} bytes, {left} of them not yet taken"
                )
            self._left[path] = left - length
            file.seek(offset)
            data = file.read(length)
        if len(data) != length:
            raise ValueError(f"{what}: '{excerpt(location)}' is cut short")
        return data


def _beside(path: str, location: str, what: str) -> str:
    """Return the path of a file in the same folder; refuse whatever leads out of it."""
    plain = location not in ("", ".", "..") and not any(c in location for c in "/\\:\0")
    folder = os.path.realpath(os.path.dirname(os.path.abspath(path)))
    target = os.path.join(folder, location)
    if not plain or os.path.dirname(os.path.realpath(target)) != folder:
        raise ValueError(
            f"{what} lies in '{excerpt(location)}', expected a file in the model's own folder, "
            "named without a path"
        )
    return target


def _whole(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError(f"{what} is '{excerpt(text)}', expected a whole number")
    return int(text)


def _type_name(code: int) -> str:
    names: Callable[[int], str] = package().TensorProto.DataType.Name
    try:
        return names(code)
    except ValueError:
        return str(code)


def _shown(shape: tuple[int, ...]) -> str:
    return excerpt(str(shape[:8]))
