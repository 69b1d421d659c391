"""The native format: an .npz file of arrays and one JSON header.

Members, in this order, all stored without compression:

``header.npy``
    A zero-dimensional string array: JSON with format, version, dtype and the layers in order.
``W1.npy``, ``b1.npy``, ``W2.npy``, ...
    Weights (inputs, outputs) and bias (outputs,) of each Dense layer, little-endian.

``np.load`` reads it and ``np.savez`` writes it back: ``d = dict(np.load(path)); ...;
np.savez(path, **d)``. The same network gives the same bytes. Weights hardly compress, and a file
without compression cannot claim to hold more than its own length: that is the whole defence
against zip bombs, and why a compressed file is refused.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from nncore.formats import _npy
from nncore.formats._files import Path, excerpt, file_name, named_errors, open_regular, replacing
from nncore.formats._header import layers_of, member_shapes, parse, render
from nncore.formats.arrays import convert
from nncore.layers import Dense

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo

# The header of a thousand layers takes about 500 kB as UTF-32; both bounds leave ample room.
_MAX_HEADER = 1 << 23
_MAX_DIRECTORY = 1 << 21


def write(path: Path, layers: Sequence[Any], dtype: Any) -> None:
    """Writes layers, in place of what `path` held before, all of it or nothing.

    Parameters
    ----------
    path : str or os.PathLike
        Must end in ``.npz``.
    layers : sequence of Rescaling and Dense
        Every Dense has its weights; float32 and float64 are kept bit for bit.
    dtype : numpy.dtype or str
        float32 or float64, the network's.

    Raises
    ------
    ValueError
        The path does not end in .npz, a layer has no weights yet or a callable as activation,
        `dtype` is neither float32 nor float64, or a weight does not fit into it.
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile, os
    >>> import numpy as np
    >>> layer = Dense(2, 1, "relu")
    >>> layer.weights, layer.bias = np.ones((2, 1), "f4"), np.zeros(1, "f4")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "net.npz")
    ...     write(path, [layer], "float32")
    ...     (copy,), dtype = read(path)
    ...     with np.load(path) as members:
    ...         print(sorted(members))
    ['W1', 'b1', 'header']
    >>> copy.activation, copy.weights.tolist(), dtype
    ('relu', [[1.0], [1.0]], dtype('float32'))
    """
    from zipfile import ZIP_STORED, ZipFile, ZipInfo

    name = file_name(path)
    if not name.endswith(".npz"):
        raise ValueError(f"{name}: a network is saved as .npz; give a path that ends in .npz")
    dtype = np.dtype(dtype)
    header = render(layers, dtype)
    arrays = _collect(layers, dtype)
    text = np.frombuffer(header.encode("utf-32-le"), dtype=np.uint8)
    with replacing(name) as file, ZipFile(file, "w", ZIP_STORED) as archive:
        _add(archive, ZipInfo, "header", f"<U{len(header)}", (), text)
        for key, array in arrays.items():
            # Little-endian on every machine, so that the same network is the same file.
            little = array if array.dtype.newbyteorder("<") == array.dtype else array.byteswap()
            _add(archive, ZipInfo, key, f"<f{dtype.itemsize}", array.shape, little)


def read(path: Path) -> tuple[list[Any], np.dtype]:
    """Reads what `write` wrote; no file, whatever it holds, runs code or takes more than its size.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    layers : list of Rescaling and Dense
        With their weights.
    dtype : numpy.dtype
        float32 or float64.

    Raises
    ------
    ValueError
        The file is broken, is no network's, or was written by a newer version of the format.
    OSError
        The file cannot be opened or read.
    """
    from zipfile import BadZipFile, ZipFile

    name = file_name(path)
    with open_regular(name) as (file, size), named_errors(name):
        _check_directory(file, size)
        try:
            with ZipFile(file) as archive:
                return _read_members(archive, size)
        except (BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
            raise ValueError(f"is not a whole .npz file: {excerpt(str(error))}") from error


def _collect(layers: Sequence[Any], dtype: np.dtype) -> dict[str, np.ndarray]:
    arrays = {}
    dense = [layer for layer in layers if isinstance(layer, Dense)]
    for i, layer in enumerate(dense, 1):
        for key, array in ((f"W{i}", layer.weights), (f"b{i}", layer.bias)):
            if array is None and (key[0] == "W" or layer.use_bias):
                raise ValueError(f"layer {i} has no {'weights' if key[0] == 'W' else 'bias'} yet")
            if array is not None:
                arrays[key] = convert(key, array, dtype)
    return arrays


def _add(
    archive: ZipFile,
    info_type: type[ZipInfo],
    key: str,
    descr: str,
    shape: tuple[int, ...],
    data: np.ndarray,
) -> None:
    """Adds one array as a .npy member; nothing in it depends on the day or the machine."""
    head = _npy.header(descr, shape)
    info = info_type(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system = 3  # "Unix", also where Windows writes it
    info.external_attr = 0o644 << 16
    info.file_size = len(head) + data.nbytes  # known beforehand, so zip64 only where it must be
    with archive.open(info, "w", force_zip64=info.file_size >= 1 << 31) as member:
        member.write(head)
        member.write(data.data.cast("B"))


def _check_directory(file: IO[bytes], size: int) -> None:
    """Looks at the zip file's end before `zipfile` does, which believes every length it finds."""
    if file.read(4) != b"PK\x03\x04":
        raise ValueError("is not an .npz file (it does not begin with PK\\x03\\x04)")
    tail = _read_at(file, max(0, size - 22), 22)
    if len(tail) < 22 or tail[:4] != b"PK\x05\x06":
        raise ValueError("is cut short, or has other bytes after its end")
    directory, start, comment = struct.unpack_from("<IIH", tail, 12)
    if comment:  # zipfile would go and look for another end further up
        raise ValueError("has a zip comment, or is cut short")
    end = size - 22
    if _read_at(file, max(0, end - 20), 4) == b"PK\x06\x07":
        # A zip64 file repeats its sizes in a record of 56 bytes, then says where that is in 20.
        end -= 20 + 56
        record = _read_at(file, max(0, end), 56)
        if record[:4] != b"PK\x06\x06":
            raise ValueError("has a broken zip64 end record")
        directory, start = struct.unpack_from("<QQ", record, 40)
    if directory > _MAX_DIRECTORY:
        raise ValueError(f"declares a directory of {directory} bytes; a network's is small")
    if start + directory != end:
        raise ValueError("has a gap before its end, or bytes before its beginning")
    file.seek(0)


def _read_at(file: IO[bytes], position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)


def _read_members(archive: ZipFile, size: int) -> tuple[list[Any], np.dtype]:
    members: dict[str, ZipInfo] = {}
    for info in archive.infolist():
        if info.filename in members:
            raise ValueError(f"holds '{excerpt(info.filename)}' twice")
        members[info.filename] = info
    _refuse_strangers(members)
    for info in members.values():
        if not 0 <= info.header_offset < size:
            raise ValueError(f"'{excerpt(info.filename)}' lies outside of the file")
        if info.flag_bits & 1:
            raise ValueError(f"'{excerpt(info.filename)}' is encrypted; expected plain members")
        if info.compress_type != 0 or info.compress_size != info.file_size:
            raise ValueError(
                f"'{excerpt(info.filename)}' is compressed; expected stored members, "
                "as np.savez (not np.savez_compressed) writes them"
            )
    # Members may lie on top of each other in a hostile file; their sum may not exceed it then.
    declared = sum(info.file_size for info in members.values())
    if declared > size:
        raise ValueError(f"declares {declared} bytes of arrays, but is {size} bytes long")

    header = parse(_read_text(archive, members["header.npy"]))
    shapes = member_shapes(header)
    expected = {"header.npy"} | {f"{key}.npy" for key in shapes}
    if expected != set(members):
        odd = min(expected ^ set(members))
        state = "is missing" if odd in expected else "is not in the header"
        raise ValueError(f"the array '{excerpt(odd)}' {state}")
    # Two rounds: nothing is allocated before the sizes of all arrays agree with the header.
    for key, shape in shapes.items():
        _check_array(archive, members[f"{key}.npy"], shape, header["dtype"])
    arrays = {key: _read_array(archive, members[f"{key}.npy"], header["dtype"]) for key in shapes}
    return layers_of(header, arrays), np.dtype(header["dtype"])


def _refuse_strangers(members: dict[str, ZipInfo]) -> None:
    """Other people's zip files, with a word on what to do about them."""
    if "header.npy" in members:
        return
    if any(name.endswith("data.pkl") for name in members):
        raise ValueError(
            "is a PyTorch file, not an nncore network; save its weights (transposed) "
            "with np.savez and use Network.from_arrays"
        )
    if members and all(name.endswith(".npy") for name in members):
        raise ValueError(
            "holds arrays but no nncore header; build the network with "
            "nncore.Network.from_dict(dict(np.load(path)), activations)"
        )
    raise ValueError("is a zip file, but not one that nncore saved (it has no header.npy)")


def _read_text(archive: ZipFile, info: ZipInfo) -> str:
    """The header's text, from a zero-dimensional string array."""
    if info.file_size > _MAX_HEADER:
        raise ValueError(f"declares a header of {info.file_size} bytes; a network's is small")
    with archive.open(info) as stream:
        descr, _, shape, rest = _npy.read_header(stream, info.filename, info.file_size)
        if descr[1] != "U" or shape != () or rest != 4 * int(descr[2:]):
            raise ValueError(
                f"'header.npy' has dtype {descr}, shape {shape} and {rest} bytes; "
                "expected one string"
            )
        text = stream.read().decode("utf-32-be" if descr[0] == ">" else "utf-32-le")
    return text.rstrip("\0")


def _check_array(archive: ZipFile, info: ZipInfo, shape: tuple[int, ...], dtype: str) -> None:
    """Compares what a member says about itself, and its length, with the header."""
    key = info.filename.removesuffix(".npy")
    itemsize = np.dtype(dtype).itemsize
    with archive.open(info) as stream:
        descr, _, found, rest = _npy.read_header(stream, info.filename, info.file_size)
    if descr[0] == "|" or descr[1:] != f"f{itemsize}":
        raise ValueError(f"{key} has dtype {descr}; the header says {dtype}")
    if found != shape:
        raise ValueError(f"{key} has shape {found}; the header says {shape}")
    if rest != math.prod(shape) * itemsize:
        raise ValueError(f"{key} takes {math.prod(shape) * itemsize} bytes, but has {rest}")


def _read_array(archive: ZipFile, info: ZipInfo, dtype: str) -> np.ndarray:
    """The array of a checked member."""
    with archive.open(info) as stream:
        descr, fortran, shape, _ = _npy.read_header(stream, info.filename, info.file_size)
        data = stream.read()  # to the end, where zipfile compares the checksum
    array = np.frombuffer(data, dtype=descr).reshape(shape, order="F" if fortran else "C")
    return convert(info.filename, array, np.dtype(dtype))
