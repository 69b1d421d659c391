"""The native format: an .npz file of arrays and one JSON header.

Members, in this order, all stored without compression:

``header.npy``
    A zero-dimensional string array: JSON with format, version, dtype and the layers in order.
``W1.npy``, ``b1.npy``, ``W2.npy``, ...
    Weights (inputs, outputs) and bias (outputs,) of each Dense layer, little-endian. bfloat16
    weights are the uint16 of their bits, the upper half of a float32's.
``mean1.npy``, ``std1.npy``
    Of a Normalization, always float64.
``weights1.npy``, ``scale1.npy``, ``bias1.npy``
    Of a quantized layer: int8 (inputs, outputs), and float32 (outputs,) twice.

``np.load`` reads it and ``np.savez`` writes it back: ``d = dict(np.load(path)); ...;
np.savez(path, **d)``. The same network gives the same bytes. Weights hardly compress, and a file
without compression cannot claim to hold more than its own length: that is the whole defence
against zip bombs, and why a compressed file is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nncore._plan import Parameters, Slot
from nncore.formats import _archive
from nncore.formats._contents import Contents
from nncore.formats._files import Path, file_name, named_errors
from nncore.formats._header import members_of, name_of, numbers_of, parse, render
from nncore.formats.arrays import convert, is_classic, read_classic
from nncore.layers import Layer, snapshot_of

_WORDS = {"W": "weights", "b": "bias"}  # for messages


def write(path: Path, layers: Sequence[Any], dtype: Any, classes: Any = None) -> None:
    """Write layers, in place of what `path` held before, all of it or nothing.

    Parameters
    ----------
    path : str or os.PathLike
        Must end in ``.npz``.
    layers : sequence of Layer
        Every Dense has its weights; float32 and float64 are kept bit for bit.
    dtype : numpy.dtype or str
        float32 or float64, the network's.
    classes : ndarray, optional
        The names of the classes, as `Network.classes` has them.

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
    >>> from nncore import Dense
    >>> layer = Dense(2, 1, "relu")
    >>> layer.weights, layer.bias = np.ones((2, 1), "f4"), np.zeros(1, "f4")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "net.npz")
    ...     write(path, [layer], "float32")
    ...     (copy,), dtype, classes, _ = read(path)
    ...     with np.load(path) as members:
    ...         print(sorted(members))
    ['W1', 'b1', 'header']
    >>> copy.activation, copy.weights.tolist(), dtype, classes
    ('relu', [[1.0], [1.0]], dtype('float32'), None)
    """
    name = file_name(path)
    if not name.lower().endswith(".npz"):
        raise ValueError(f"{name}: a network is saved as .npz: give a path that ends in .npz")
    _archive.write(name, *described(layers, np.dtype(dtype), classes))


def described(
    layers: Sequence[Any], dtype: np.dtype, classes: Any = None
) -> tuple[str, dict[str, np.ndarray]]:
    """Return the header and the arrays of a network's file, all arrays read in one step."""
    # The header reads the layers, too, but only what of them never changes.
    records = snapshot_of([layer for layer in layers if isinstance(layer, Layer)])
    return render(layers, dtype, classes), _collect(layers, records, dtype)


def read(path: Path, activations: Sequence[Any] | None = None) -> Contents:
    """Read what `write` wrote; no file, whatever it holds, runs code or takes more than its size.

    Parameters
    ----------
    path : str or os.PathLike
    activations : sequence of str or callable, optional
        Refused for a file that nncore saved, which names them itself. Arrays W1, b1, ... that
        ``np.savez`` wrote, without a header, are taken as those of a pickle are.

    Returns
    -------
    Contents
        The layers with their weights, the dtype (float32 or float64), the names of the classes.

    Raises
    ------
    ValueError
        The file is broken, is no network's, or was written by a newer version of the format.
    OSError
        The file cannot be opened or read.
    """
    name = file_name(path)
    bare = _archive.read_bare(path, is_classic)
    if bare is not None:
        return read_classic(name, bare, activations)
    contents, arrays = _archive.read(path, _parse, _about_strangers)
    # Checked last: if the file holds no network, that is what the error should say.
    if activations is not None:
        raise ValueError(
            f"{name}: names its activations itself, activations= is for files that do not, "
            "such as pickles"
        )
    layers = contents.layers
    with named_errors(name):
        for layer, number in zip(layers, numbers_of(layers), strict=True):
            types = layer.array_types(contents.dtype.name)
            layer.set_arrays(
                {
                    key: convert(key + number, arrays.pop(key + number), np.dtype(wanted))
                    for key, (wanted, _) in types.items()
                }
            )
    return contents


def _parse(text: str) -> tuple[Contents, _archive.Members]:
    contents = parse(text)
    return contents, members_of(contents.layers, contents.dtype)


def _collect(
    layers: Sequence[Layer], records: Mapping[Slot, Parameters], dtype: np.dtype
) -> dict[str, np.ndarray]:
    arrays = {}
    for i, (layer, number) in enumerate(zip(layers, numbers_of(layers), strict=True)):
        found = layer.arrays(None if layer.slot is None else records[layer.slot])
        for key, (wanted, _) in layer.array_types(dtype.name).items():
            array = found[key]
            if array is None:
                raise ValueError(f"{name_of(i)} has no {_WORDS.get(key, key)} yet")
            arrays[key + number] = convert(key + number, array, np.dtype(wanted))
    return arrays


def _about_strangers(members: set[str]) -> str:
    """Return what to say of other people's zip files, and what to do about them."""
    if any(name.endswith("data.pkl") for name in members):  # deeper than PyTorch itself writes
        return "is like a PyTorch file, expected a state_dict that torch.save wrote"
    if members and all(name.endswith(".npy") for name in members):
        return (
            "holds arrays but no nncore header, and not W1, b1, W2, b2, ... alone: build the "
            "network with nncore.Network.from_dict or from_arrays"
        )
    return "is a zip file, but not one that nncore saved (it has no header.npy)"
