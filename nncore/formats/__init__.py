"""Files that hold networks: which format a file has is decided by what is in it, not by its name.

One module for each format, and in each of them the same two functions, ``read`` and ``write``:
`npz`, the native one, and `pickles`, which is only read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from nncore.formats import npz
from nncore.formats._files import Path, file_name, open_regular

__all__ = ["find_format", "read", "write"]

# Files that people try, by their first bytes, and what to do with them instead.
_OTHERS = {
    b"\x93NUMPY": "is a single array (.npy); a network needs its layers too, see "
    "nncore.Network.from_arrays",
    b"\x89HDF\r\n": "is an HDF5 file (Keras, perhaps); read its arrays with h5py and give them to "
    "nncore.Network.from_arrays",
    b"\x1f\x8b": "is compressed with gzip; unpack it first",
    b"\x00\x00\x08\x01": "is an IDX file of labels, not a network",
    b"\x00\x00\x08\x03": "is an IDX file of images, not a network",
}

# Protocols 2 to 5 begin with \x80 and their number; 0 and 1 with a dict, a list or a name, of
# which the reader makes better errors than "unknown".
_OLD_PICKLE = rb"\(d|\(l|\}q|\}\.|\]q|\(?[ci][\w.]+\n"


def read(path: Path, activations: Sequence[Any] | None = None) -> tuple[list[Any], np.dtype]:
    """Reads the layers of a network, with their weights, from a file of any known format.

    Parameters
    ----------
    path : str or os.PathLike
        An .npz that ``Network.save`` wrote, or a pickled dict of W1, b1, W2, b2, ...
    activations : sequence of str or callable, optional
        One for each layer. Needed for a pickle, which does not hold them; refused for an .npz,
        which does.

    Returns
    -------
    layers : list of Rescaling and Dense
    dtype : numpy.dtype
        float32 or float64.

    Raises
    ------
    ValueError
        The file is broken or of another kind, or `activations` are missing or not wanted. The
        text begins with the file's name.
    OSError
        The file is missing, a folder, or cannot be read.

    Examples
    --------
    >>> read("no such file.npz")
    Traceback (most recent call last):
        ...
    FileNotFoundError: [Errno 2] No such file or directory: 'no such file.npz'
    """
    if find_format(path) == "pickle":
        from nncore.formats import pickles

        return pickles.read(path, activations)
    found = npz.read(path)
    # Only now: of a file that is no network's, that is the news.
    if activations is not None:
        raise ValueError(
            f"{file_name(path)}: names its activations itself; activations= is for files that "
            "do not, such as pickles"
        )
    return found


def write(path: Path, layers: Sequence[Any], dtype: Any) -> None:
    """Writes layers with their weights as an .npz file; see `nncore.formats.npz.write`."""
    npz.write(path, layers, dtype)


def find_format(path: Path) -> str:
    """The format of a file by its first bytes, "npz" or "pickle".

    Raises
    ------
    ValueError
        It is neither, or empty.
    OSError
        The file is missing, a folder, or cannot be read.
    """
    name = file_name(path)
    with open_regular(name) as (file, _):
        start = file.read(64)
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "npz"
    if start[:1] == b"\x80" or re.match(_OLD_PICKLE, start):
        return "pickle"
    for magic, hint in _OTHERS.items():
        if start.startswith(magic):
            raise ValueError(f"{name}: {hint}")
    raise ValueError(
        f"{name}: begins with {start[:8]!r}, expected an .npz file that nncore saved, or a pickled "
        "dict of W1, b1, W2, b2, ..."
    )
