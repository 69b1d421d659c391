"""Arrays and one JSON header in an .npz file: written the same everywhere, read without trust.

Networks (`npz`) and the checkpoints of ``nncore train`` are such files. All members are stored
without compression: weights hardly compress, and a file without compression cannot claim to hold
more than its own length. That is the whole defence against zip bombs, and why a compressed file is
refused. What a header may say is the caller's business; that the members agree with it is checked
here, and nothing large is allocated before all of them do.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, Any, TypeVar

import numpy as np

from nncore._validation import excerpt
from nncore.formats import _npy
from nncore.formats._files import Path, file_name, named_errors, open_regular, replacing

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo

# The header of a thousand layers takes about 500 kB as UTF-32; both bounds leave ample room.
MAX_HEADER = 1 << 23
_MAX_DIRECTORY = 1 << 21

# Name of an array -> its dtype ("float32", "uint16", ...) and shape; None in a shape: any size.
Members = dict[str, tuple[str, tuple[int | None, ...]]]
Header = TypeVar("Header")


def write(path: Path, header: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a header and arrays, in place of what `path` held before, all of it or nothing.

    Parameters
    ----------
    path : str or os.PathLike
    header : str
        JSON.
    arrays : mapping
        C-contiguous, of float32, float64, int8 or uint16; written little-endian on every machine,
        so that the same arrays are the same file.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    from zipfile import ZIP_STORED, ZipFile, ZipInfo

    text = np.frombuffer(header.encode("utf-32-le"), dtype=np.uint8)
    with replacing(file_name(path)) as file, ZipFile(file, "w", ZIP_STORED) as archive:
        _add(archive, ZipInfo, "header", f"<U{len(header)}", (), text)
        for key, array in arrays.items():
            little = array if array.dtype.newbyteorder("<") == array.dtype else array.byteswap()
            _add(archive, ZipInfo, key, _type_text(array.dtype), array.shape, little)


def read(
    path: Path,
    parse: Callable[[str], tuple[Header, Members]],
    strangers: Callable[[set[str]], str],
    max_header: int = MAX_HEADER,
) -> tuple[Header, dict[str, np.ndarray]]:
    """Read what `write` wrote; no file runs code or takes more memory than its length.

    Parameters
    ----------
    path : str or os.PathLike
    parse : callable
        Takes the header's text, of which nothing is known but its length; returns the header, all
        of it checked, and what arrays the file must have then. It refuses by ValueError.
    strangers : callable
        Takes the names of the members of an .npz file without a header; returns what to say of it.
    max_header : int, optional
        Bytes that the header may take: 4 for each character.

    Returns
    -------
    header
        As `parse` made it.
    arrays : dict
        By name, exactly those that `parse` asked for; read-only views of the file's bytes, of the
        dtype asked for but in the file's byte order.

    Raises
    ------
    ValueError
        The file is broken, hostile or another one; the text begins with its name.
    OSError
        It cannot be opened or read.
    """
    from zipfile import BadZipFile, ZipFile

    name = file_name(path)
    with open_regular(name) as (file, size), named_errors(name):
        check_directory(file, size)
        try:
            with ZipFile(file) as archive:
                members = _members_of(archive)
                if "header.npy" not in members:
                    raise ValueError(strangers(set(members)))
                _check_stored(members, size)
                header, expected = parse(_read_text(archive, members["header.npy"], max_header))
                return header, _read_arrays(archive, members, expected)
        except (BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
            raise ValueError(f"is not a whole .npz file: {excerpt(str(error))}") from error


def names_in(file: IO[bytes], size: int) -> set[str]:
    """Return the names of a zip file's members; none of a file that is no whole zip file."""
    from zipfile import BadZipFile, ZipFile

    file.seek(0)
    try:
        check_directory(file, size)
        with ZipFile(file) as archive:
            return set(archive.namelist())
    except (BadZipFile, ValueError, RuntimeError, NotImplementedError, struct.error):
        return set()


def check_members(file: IO[bytes], size: int) -> None:
    """Refuse a zip file that is broken, or whose members would take more memory than its length.

    For readers that take the file themselves afterwards.

    Raises
    ------
    ValueError
    """
    from zipfile import BadZipFile, ZipFile

    file.seek(0)
    try:
        check_directory(file, size)
        with ZipFile(file) as archive:
            _check_stored(_members_of(archive), size)
    except (BadZipFile, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"is not a whole zip file: {excerpt(str(error))}") from error


def read_bare(path: Path, wanted: Callable[[list[str]], bool]) -> dict[str, np.ndarray] | None:
    """Read all arrays of an .npz file without a header; None where their names are not `wanted`.

    Raises as `read` does; None also stands for a file in which `read` will find what is wrong.
    """
    from zipfile import BadZipFile, ZipFile

    name = file_name(path)
    with open_regular(name) as (file, size), named_errors(name):
        check_directory(file, size)
        try:
            with ZipFile(file) as archive:
                names = [each.removesuffix(".npy") for each in archive.namelist()]
                if len(set(names)) != len(names) or not wanted(names):
                    return None
                members = _members_of(archive)
                _check_stored(members, size)
                return {key: _read_bare(archive, members[f"{key}.npy"]) for key in names}
        except (BadZipFile, EOFError, RuntimeError, NotImplementedError, KeyError) as error:
            raise ValueError(f"is not a whole .npz file: {excerpt(str(error))}") from error


def _read_bare(archive: ZipFile, info: ZipInfo) -> np.ndarray:
    """Return the array of a member, numbers of any type, whose length fits its shape."""
    with archive.open(info) as stream:
        descr, _, shape, rest = _npy.read_header(stream, info.filename, info.file_size)
    if descr[1] not in "biuf" or not descr[2:].isdigit() or int(descr[2:]) > 16:
        raise ValueError(f"'{excerpt(info.filename)}' has dtype {descr}, expected real numbers")
    if rest != math.prod(shape) * int(descr[2:]):
        raise ValueError(f"'{excerpt(info.filename)}' has {rest} bytes for the shape {shape}")
    return _read_array(archive, info)


def parse_json(text: str, what: str = "the header") -> Any:
    """Return what a header says: JSON of finite numbers, no key twice; refuse all else."""
    import json

    try:
        return json.loads(text, object_pairs_hook=_without_twins, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError(f"{what} is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{what} is not JSON: {error}") from error


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse equal keys: two readers could each take another one of them."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the header has a key twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"the header holds {name}, expected finite numbers")


def _add(
    archive: ZipFile,
    info_type: type[ZipInfo],
    key: str,
    descr: str,
    shape: tuple[int, ...],
    data: np.ndarray,
) -> None:
    """Add one array as a .npy member; nothing in it depends on the day or the machine."""
    head = _npy.header(descr, shape)
    info = info_type(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system = 3  # "Unix", also where Windows writes it
    info.external_attr = 0o644 << 16
    info.file_size = len(head) + data.nbytes  # known beforehand, so zip64 only where it must be
    with archive.open(info, "w", force_zip64=info.file_size >= 1 << 31) as member:
        member.write(head)
        member.write(data.data.cast("B"))


def check_directory(file: IO[bytes], size: int) -> None:
    """Look at the zip file's end before `zipfile` does, which believes every length it finds."""
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
        raise ValueError(
            f"declares a directory of {directory} bytes, expected at most {_MAX_DIRECTORY}"
        )
    if start + directory != end:
        raise ValueError("has a gap before its end, or bytes before its beginning")
    file.seek(0)


def _type_text(dtype: np.dtype) -> str:
    """Return a dtype as the header of an array that is written names it: "<f4", "|i1"."""
    return f"{'|' if dtype.itemsize == 1 else '<'}{dtype.kind}{dtype.itemsize}"


def _read_at(file: IO[bytes], position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)


def _members_of(archive: ZipFile) -> dict[str, ZipInfo]:
    """Return the members by name."""
    members: dict[str, ZipInfo] = {}
    for info in archive.infolist():
        if info.filename in members:
            raise ValueError(f"holds '{excerpt(info.filename)}' twice")
        members[info.filename] = info
    return members


def _check_stored(members: dict[str, ZipInfo], size: int) -> None:
    """Refuse members that are not plain, or together longer than the file."""
    for info in members.values():
        if not 0 <= info.header_offset < size:
            raise ValueError(f"'{excerpt(info.filename)}' lies outside of the file")
        if info.flag_bits & 1:
            raise ValueError(f"'{excerpt(info.filename)}' is encrypted, expected plain members")
        if info.compress_type != 0 or info.compress_size != info.file_size:
            hint = ", as np.savez (not np.savez_compressed) writes them"
            raise ValueError(
                f"'{excerpt(info.filename)}' is compressed, expected stored members"
                + hint * info.filename.endswith(".npy")
            )
    # Members may lie on top of each other in a hostile file; their sum may not exceed it then.
    declared = sum(info.file_size for info in members.values())
    if declared > size:
        raise ValueError(
            f"declares {declared} bytes of arrays, expected at most its length, {size}"
        )


def _read_text(archive: ZipFile, info: ZipInfo, max_header: int) -> str:
    """Return the header's text, from a zero-dimensional string array."""
    if info.file_size > max_header:
        raise ValueError(
            f"declares a header of {info.file_size} bytes, expected at most {max_header}"
        )
    with archive.open(info) as stream:
        descr, _, shape, rest = _npy.read_header(stream, info.filename, info.file_size)
        if descr[1] != "U" or shape != () or rest != 4 * int(descr[2:]):
            raise ValueError(
                f"'header.npy' has dtype {descr}, shape {shape} and {rest} bytes, "
                "expected one string"
            )
        text = stream.read().decode("utf-32-be" if descr[0] == ">" else "utf-32-le")
    return text.rstrip("\0")


def _read_arrays(
    archive: ZipFile, members: dict[str, ZipInfo], expected: Members
) -> dict[str, np.ndarray]:
    names = {"header.npy"} | {f"{key}.npy" for key in expected}
    if names != set(members):
        odd = min(names ^ set(members))
        state = "is missing" if odd in names else "is not in the header"
        raise ValueError(f"the array '{excerpt(odd)}' {state}")
    # Two rounds: nothing is allocated before the sizes of all arrays agree with the header.
    for key, (dtype, shape) in expected.items():
        _check_array(archive, members[f"{key}.npy"], dtype, shape)
    return {key: _read_array(archive, members[f"{key}.npy"]) for key in expected}


def _check_array(
    archive: ZipFile, info: ZipInfo, dtype: str, shape: tuple[int | None, ...]
) -> None:
    """Compare what a member says about itself, and its length, with the header."""
    key = info.filename.removesuffix(".npy")
    wanted_type = _type_text(np.dtype(dtype))
    itemsize = np.dtype(dtype).itemsize
    with archive.open(info) as stream:
        descr, _, found, rest = _npy.read_header(stream, info.filename, info.file_size)
    if descr[1:] != wanted_type[1:] or (descr[0] == "|") != (itemsize == 1):
        raise ValueError(f"{key} has dtype {descr}, expected {dtype}, as the header says")
    if len(found) != len(shape) or any(
        size not in (None, here) for size, here in zip(shape, found, strict=True)
    ):
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        wanted = f"({sizes},)" if len(shape) == 1 else f"({sizes})"
        raise ValueError(f"{key} has shape {found}, expected {wanted}, as the header says")
    if rest != math.prod(found) * itemsize:
        raise ValueError(f"{key} has {rest} bytes, expected {math.prod(found) * itemsize}")


def _read_array(archive: ZipFile, info: ZipInfo) -> np.ndarray:
    """Return the array of a checked member."""
    with archive.open(info) as stream:
        descr, fortran, shape, _ = _npy.read_header(stream, info.filename, info.file_size)
        data = stream.read()  # to the end, where zipfile compares the checksum
    return np.frombuffer(data, dtype=descr).reshape(shape, order="F" if fortran else "C")
