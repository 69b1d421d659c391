"""Pickles of a dict of arrays, W1, b1, W2, b2, ..., as the classic texts hand out their weights.

Read only, and without running anything: unpickling calls whatever a file names, so these files
are read by a machine of our own that knows NumPy's arrays and nothing else. There is no way to
turn that off, and pickles are not written: one can run code when others load it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nncore._validation import excerpt
from nncore.formats._contents import Contents
from nncore.formats._files import Path, file_name, named_errors, open_regular
from nncore.formats._stand_ins import Array
from nncore.formats._unpickler import Machine
from nncore.formats.arrays import read_classic

# Several keys may share one array, but not so many that the layers' copies become a bomb.
_MAX_SHARING = 4


def read(path: Path, activations: Sequence[Any] | None = None) -> Contents:
    """Read the layers of a network whose weights were pickled as a dict.

    Parameters
    ----------
    path : str or os.PathLike
        Any pickle protocol, from Python 2 and NumPy 1 on.
    activations : sequence of str or callable, optional
        One for each layer; the file does not hold them. Without, see `arrays.read_classic`.

    Returns
    -------
    Contents
        The layers with their weights and the dtype, as of
        `nncore.formats.arrays.layers_from_dict`.

    Raises
    ------
    ValueError
        The file is broken, asks for anything but NumPy's array types,
        or does not hold W1, b1, W2, b2, ... that fit together.
    OSError
        The file cannot be opened or read.

    Examples
    --------
    >>> import os, pickle, tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "weights.pkl")
    ...     with open(path, "wb") as file:
    ...         pickle.dump({"W1": np.ones((2, 3)), "b1": np.zeros(3)}, file)
    ...     (layer,), dtype, *_ = read(path, ["softmax"])
    >>> layer.weights.shape, layer.activation, dtype
    ((2, 3), 'softmax', dtype('float64'))
    """
    return read_classic(file_name(path), read_arrays(path), activations)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the dict of arrays as it stands in the file, read-only and in the file's byte order.

    Keys and shapes are not checked here; what is wrong with the pickle itself raises as in `read`.
    """
    name = file_name(path)
    with open_regular(name) as (file, size), named_errors(name):
        found = Machine(file, size).run()
        if type(found) is not dict:
            kind = "array" if isinstance(found, Array) else type(found).__name__
            raise ValueError(f"holds one {kind}, expected a dict of W1, b1, W2, b2, ...")
        for key, value in found.items():
            if not isinstance(value, Array):
                raise ValueError(
                    f"holds a {type(value).__name__} under '{excerpt(key)}', expected arrays only"
                )
        total = sum(value.nbytes for value in found.values())
        if total > _MAX_SHARING * size:
            raise ValueError(
                f"holds {total} bytes of arrays in a file of {size} bytes, expected at most "
                f"{_MAX_SHARING} times as many"
            )
        return {key: value.value for key, value in found.items()}
