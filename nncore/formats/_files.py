"""Opening, bounding and replacing files: what every format needs and none should write twice.

A reader here sees only a regular file whose length is known, and whatever goes wrong inside
ends in a ``ValueError`` that starts with the file's name. A writer never leaves half a file.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from nncore._validation import excerpt

# A temporary file of `replacing`: the process that writes it, and a random part.
_TEMPORARY = re.compile(r"\.nncore-(?:([1-9][0-9]{0,18})-)?[0-9a-f]{16}\.tmp")
_STALE_SECONDS = 3600

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def file_name(path: Path) -> str:
    """Return the path as text; raise ``TypeError`` for anything that is not a path.

    Examples
    --------
    >>> import pathlib
    >>> file_name(pathlib.PurePosixPath("nets") / "digits.npz")
    'nets/digits.npz'
    """
    # Integers would be taken for file descriptors by open(), and closed behind their owner's back.
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(
            f"path is of type {type(path).__name__}, expected a str or an os.PathLike: "
            "networks are kept in files, not in open streams"
        )
    name = os.fsdecode(path)
    if not name:
        raise ValueError("path is empty, expected the name of a file")
    if "\0" in name:
        raise ValueError(f"path is {name!r}, expected no null character in it")
    return name


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Turn whatever a broken file provokes into ``ValueError: <name>: <what is wrong>``.

    A kind of ``ValueError`` made of a text alone keeps its kind. ``OSError`` passes, with
    the file's name put in where it has none; ``KeyboardInterrupt`` and the like pass as they are.
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
        raise ValueError(f"{name}: takes more memory than this process may have") from error
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise ValueError(f"{name}: holds text that cannot be decoded ({error.reason})") from error
    except ValueError as error:
        kind = type(error) if type(error).__init__ is ValueError.__init__ else ValueError
        raise kind(f"{name}: {error}") from error
    except Exception as error:
        # The texts of other libraries may quote the whole file.
        what = f"{type(error).__name__}: {excerpt(str(error))}"
        raise ValueError(f"{name}: is damaged ({what})") from error


@contextmanager
def open_regular(name: str) -> Iterator[tuple[IO[bytes], int]]:
    """Open a regular file for reading; give it and its length in bytes.

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
    """Give a new binary file that takes the place of `name` if, and only if, the block succeeds.

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
    folder = os.path.dirname(target)
    remove_stale(folder)
    temporary = os.path.join(folder, f".nncore-{os.getpid()}-{os.urandom(8).hex()}.tmp")
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
        with suppress(OSError):  # report the first error, not that of the clean-up
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, error.strerror, name) from error
        raise


def remove_stale(folder: str) -> None:
    """Remove the temporary files of processes that were killed while they saved into a folder.

    A file is removed if its name has the number of a process that no longer runs here, and if
    nobody has written to it for an hour: on a shared disk the process may run on another machine.
    """
    try:
        with os.scandir(folder or ".") as entries:
            found = [entry for entry in entries if _TEMPORARY.fullmatch(entry.name)]
    except OSError:
        return  # saving will say what is wrong with the folder
    for entry in found:
        with suppress(OSError):  # somebody else may be removing it, or may own it
            old = time.time() - entry.stat(follow_symlinks=False).st_mtime > _STALE_SECONDS
            if old and not _runs(entry.name):
                os.unlink(entry.path)


def _runs(name: str) -> bool:
    """Return whether the process that a temporary file is named after may still be at work."""
    match = _TEMPORARY.fullmatch(name)
    if match is None or match[1] is None:
        return False  # without a process's number, as nncore once named them: its age decides
    if sys.platform == "win32":
        return True  # where os.kill would end it
    try:
        os.kill(int(match[1]), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # it runs, but is another user's
    return True


def permissions_of(target: str, name: str) -> int | None:
    """Return the permission bits of the file to be replaced, None if there is none.

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
    # A rename needs no permission to write to the file itself, but a write-protected file stays.
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
    return stat.S_IMODE(mode)
