"""Pickles of a dict of arrays, W1, b1, W2, b2, ..., as the classic texts hand out their weights.

Read only, and without running anything: unpickling calls whatever a file names, so these files
are read by a machine of our own that knows NumPy's arrays and nothing else. There is no way to
turn that off, and pickles are not written: one can run code when others load it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nncore._table import packed_size
from nncore._validation import excerpt
from nncore.formats._contents import Contents
from nncore.formats._files import Path, file_name, named_errors, open_regular
from nncore.formats._stand_ins import Array
from nncore.formats._unpickler import Machine
from nncore.formats.arrays import layers_from_dict

# Several keys may share one array, but not so many that the layers' copies become a bomb.
_MAX_SHARING = 4
# Packed, each line of a panel of outputs takes a cache line: a float32 layer with one output takes
# 17 times its weights in all. What is small may take more, as the 0 and 1 of an int8 array do.
_MAX_GROWTH, _SMALL = 20, 1 << 24


def read(path: Path, activations: Sequence[Any] | None = None) -> Contents:
    """Read the layers of a network whose weights were pickled as a dict.

    Parameters
    ----------
    path : str or os.PathLike
        Any pickle protocol, from Python 2 and NumPy 1 on.
    activations : sequence of str or callable
        One for each layer; the file does not hold them.

    Returns
    -------
    Contents
        The layers with their weights and the dtype, as of
        `nncore.formats.arrays.layers_from_dict`.

    Raises
    ------
    ValueError
        `activations` is None, or the file is broken, asks for anything but NumPy's array types,
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
    ...     (layer,), dtype, _ = read(path, ["softmax"])
    >>> layer.weights.shape, layer.activation, dtype
    ((2, 3), 'softmax', dtype('float64'))
    """
    arrays = read_arrays(path)
    name = file_name(path)
    _check_memory(name, arrays)
    if activations is None:
        count = sum(key.startswith("W") for key in arrays)
        raise ValueError(
            f"{name}: does not name its activations: pass one for each of its {count} layers, "
            'such as activations=["sigmoid", ..., "softmax"]'
        )
    try:
        return Contents(*layers_from_dict(arrays, activations))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _check_memory(name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse a file whose network would take many times the file's length.

    Such a network has layers that share arrays, or few outputs and small numbers.
    """
    size = os.stat(name).st_size
    itemsize = 8 if all(array.dtype == np.float64 for array in arrays.values()) else 4
    needed = sum(
        array.size * itemsize + packed_size(array.shape[0], array.shape[1], itemsize == 8)
        for key, array in arrays.items()
        if key.startswith("W") and array.ndim == 2
    )
    if needed > _MAX_GROWTH * size + _SMALL:
        raise ValueError(
            f"{name}: holds a network that takes {needed} bytes of memory in a file of {size} "
            f"bytes, expected at most {_MAX_GROWTH} times as many (if you trust the file, unpickle "
            "it yourself and give the arrays to nncore.Network.from_dict)"
        )


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
