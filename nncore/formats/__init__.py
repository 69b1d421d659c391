"""Files that hold networks: which format a file has is decided by what is in it, not by its name.

One module for each format and one row here. The modules have the same two functions,
``read(path, activations)`` and ``write(path, layers, dtype, classes)``; one that cannot do the one
or the other says so in its error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

from nncore.formats._contents import Contents
from nncore.formats._files import Path, file_name, open_regular

__all__ = ["FORMATS", "Contents", "Format", "find_format", "read", "write"]


class Format(NamedTuple):
    """A format: its name, which is its module's too, and how its files are known."""

    name: str
    begins: bytes  # a regular expression that the file's first 64 bytes match
    suffixes: tuple[str, ...]  # of a path to write to; reading goes by the content
    what: str  # for error messages: "expected ..."
    package: str = "nncore.formats"  # that the module is in

    def module(self) -> Any:
        """Import and return the module with the two functions."""
        return import_module(f"{self.package}.{self.name}")


# Pickles of protocols 2 to 5 begin with \x80 and their number; those of 0 and 1 with a dict, a list
# or a name, of which the reader makes better errors than "unknown".
# A zip file's first member has its name at the 30th byte.
FORMATS = (
    Format(
        "keras",
        rb"(?s)PK\x03\x04.{26}(metadata\.json|config\.json|model\.weights\.h5)|\x89HDF\r\n\x1a\n",
        (".keras", ".h5", ".hdf5"), "a .keras or .h5 file of a whole Keras model", "nncore.interop",
    ),
    Format("npz", rb"PK(\x03\x04|\x05\x06)", (".npz",), "an .npz file that nncore saved"),
    Format(
        "pickles", rb"\x80|\(d|\(l|\}q|\}\.|\]q|\(?[ci][\w.]+\n", (".pkl", ".pickle"),
        "a pickled dict of W1, b1, W2, b2, ...",
    ),
)  # fmt: skip

# Files that people try, by their first bytes, and what to do with them instead.
_OTHERS = {
    b"\x93NUMPY": "is a single array (.npy), but a network needs its layers too: see "
    "nncore.Network.from_arrays",
    b"\x1f\x8b": "is compressed with gzip: unpack it first",
    b"\x00\x00\x08\x01": "is an IDX file of labels, not a network",
    b"\x00\x00\x08\x03": "is an IDX file of images, not a network",
}


def read(path: Path, activations: Sequence[Any] | None = None) -> Contents:
    """Read the layers of a network, with their weights, from a file of any known format.

    Parameters
    ----------
    path : str or os.PathLike
        An .npz that ``Network.save`` wrote, or a pickled dict of W1, b1, W2, b2, ...
    activations : sequence of str or callable, optional
        One for each layer. Needed for a pickle, which does not hold them; refused for an .npz,
        which does.

    Returns
    -------
    Contents
        The layers, the dtype (float32 or float64), and the names of the classes if there are any.

    Raises
    ------
    ValueError
        The file is broken or of another kind, would take far more memory than its length, or
        `activations` are missing or not wanted. The text begins with the file's name.
    OSError
        The file is missing, a folder, or cannot be read.

    Examples
    --------
    >>> read("no such file.npz")
    Traceback (most recent call last):
        ...
    FileNotFoundError: [Errno 2] No such file or directory: 'no such file.npz'
    """
    found: Contents = find_format(path).module().read(path, activations)
    return found


def write(path: Path, layers: Sequence[Any], dtype: Any, classes: Any = None) -> None:
    """Write layers with their weights, in the format that the path's ending names.

    Parameters
    ----------
    path : str or os.PathLike
        Ends in ``.npz``.
    layers, dtype, classes
        As for `nncore.formats.npz.write`.

    Raises
    ------
    ValueError
        The ending is of no format that is written, or the layers cannot be saved.
    OSError
        The file cannot be written.
    """
    name = file_name(path)
    wanted = [kind for kind in FORMATS if name.endswith(kind.suffixes)]
    native = [kind for kind in FORMATS if kind.name == "npz"]
    (wanted or native)[0].module().write(path, layers, dtype, classes)


def find_format(path: Path) -> Format:
    """Return the format of a file, by its first bytes.

    Raises
    ------
    ValueError
        It is none of the known ones, or empty.
    OSError
        The file is missing, a folder, or cannot be read.
    """
    name = file_name(path)
    with open_regular(name) as (file, _):
        start = file.read(64)
    for kind in FORMATS:
        if re.match(kind.begins, start):
            return kind
    for magic, hint in _OTHERS.items():
        if start.startswith(magic):
            raise ValueError(f"{name}: {hint}")
    expected = ", or ".join(kind.what for kind in FORMATS)
    raise ValueError(f"{name}: begins with {start[:8]!r}, expected {expected}")
