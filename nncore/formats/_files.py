"""Opening, bounding and replacing files: what every format needs and none should write twice.

A reader here sees only a regular file whose length is known, and whatever goes wrong inside
ends in a ``ValueError`` that starts with the file's name. A writer never leaves half a file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from nncore._validation import excerpt

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def file_name(path: Path) -> str:
    """The path as text; a ``TypeError`` for anything that is not a path.

    Examples
    --------
    >>> import pathlib
    >>> file_name(pathlib.PurePosixPath("nets") / "digits.npz")
    'nets/digits.npz'
    """
    # Integers would be taken for file descriptors by open(), and closed behind their owner's back.
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(
            f"path must be a str or an os.PathLike, not {type(path).__name__}: "
            "networks are kept in files, not in open streams"
        )
    name = os.fsdecode(path)
    if not name:
        raise ValueError("path must name a file, not be empty")
    if "\0" in name:
        raise ValueError(f"path must not hold a null character: {name!r}")
    return name


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Turns whatever a broken file provokes into ``ValueError: <name>: <what is wrong>``.

    ``OSError`` passes, with the file's name put in where it has none; ``KeyboardInterrupt`` and
    the like pass as they are.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        if error.errno is None:
            raise OSError(f"{name}: {error}") from error
        raise OSError(error.errno, error.strerror, name) from error
    except MemoryError as error:
        raise ValueError(f"{name}: needs more memory than this process may have") from error
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise ValueError(f"{name}: holds text that cannot be decoded ({error.reason})") from error
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    except Exception as error:
        # The texts of other libraries may quote the whole file.
        what = f"{type(error).__name__}: {excerpt(str(error))}"
        raise ValueError(f"{name}: is damaged ({what})") from error


@contextmanager
def open_regular(name: str) -> Iterator[tuple[IO[bytes], int]]:
    """Opens a regular file for reading; gives it and its length in bytes.

    Raises
    ------
    OSError
        The file is missing, a folder, or may not be read.
    ValueError
        It is empty, or a device or pipe, whose length nobody knows.
    """
    import errno

    # Asked before opening, because opening a named pipe waits for somebody to write to it.
    mode = os.stat(name).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not stat.S_ISREG(mode):
        raise ValueError(f"{name}: is not a regular file (a device, pipe or socket cannot be read)")
    with open(name, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise ValueError(f"{name}: is empty (0 bytes)")
        yield file, size


@contextmanager
def replacing(name: str) -> Iterator[IO[bytes]]:
    """Gives a new binary file that takes the place of `name` if, and only if, the block succeeds.

    The bytes go to a temporary file in the same folder, which is flushed to the disk and then
    renamed: whoever reads `name` meanwhile sees the old file or the new one, whole. A file that
    existed keeps its permissions, a new one has those that the umask gives; a symbolic link stays
    one, and the file that it points to is replaced.

    Raises
    ------
    OSError
        The folder is missing or may not be written to, `name` is a folder or write-protected,
        the disk is full. What stood there before is untouched.
    ValueError
        `name` is a device, pipe or socket, which a rename would destroy.
    """
    target = os.path.realpath(name)
    mode = permissions_of(target, name)
    temporary = os.path.join(os.path.dirname(target), f".nncore-{os.urandom(8).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        # 0o666 and not the 0o600 of the standard library's temporary files: the umask decides.
        descriptor = os.open(temporary, flags, 0o666)
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error
    try:
        with open(descriptor, "wb") as file:
            if mode is not None:
                os.chmod(temporary, mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        # BaseException: Ctrl-C in the middle of a large network must leave nothing behind either.
        with suppress(OSError):  # the first error is the one worth hearing
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, error.strerror, name) from error
        raise


def permissions_of(target: str, name: str) -> int | None:
    """Permission bits of the file to be replaced, None if there is none.

    Raises
    ------
    OSError
        It is a folder, or write-protected; the error names `name`.
    ValueError
        It is a device, pipe or socket.
    """
    import errno

    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not stat.S_ISREG(mode):
        raise ValueError(f"{name}: is not a regular file, and saving would replace it by one")
    # A rename needs no right to write the file itself; who took that right away meant it.
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
    return stat.S_IMODE(mode)
