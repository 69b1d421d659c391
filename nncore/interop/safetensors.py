""".safetensors files, by the `safetensors` package: nncore's own, and those of PyTorch's modules.

The arrays have the names and orientation of a PyTorch ``nn.Sequential`` (`_sequential`), so that
``load_state_dict`` takes them. What they do not say stands in the file's ``__metadata__``, under
"nncore": a file that nncore wrote needs no ``activations=`` and gives back the same bits.

The package checks types, shapes and offsets of the tensors, and that these cover the file without
gap or overlap. Before that, the header's length is bounded here, and a key that stands in it twice
is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nncore._validation import excerpt
from nncore.formats._archive import MAX_HEADER, parse_json
from nncore.formats._contents import Contents
from nncore.formats._files import Path, file_name, named_errors, open_regular, replacing
from nncore.formats._header import render
from nncore.interop import _sequential, _state_dict

# bfloat16 is the upper half of a float32.
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8"}


def read(path: Path, activations: Sequence[Any] | None = None) -> Contents:
    """Read a network.

    Parameters
    ----------
    path : str or os.PathLike
    activations : sequence of str, optional
        As for `nncore.from_torch`; not for a file that nncore wrote.

    Raises
    ------
    ImportError
        The package safetensors is not installed.
    ValueError
        The file is broken, hostile, or holds something else than dense layers.
    OSError
        The file cannot be opened or read.
    """
    name = file_name(path)
    package = _import()
    with open_regular(name) as (file, size), named_errors(name):
        length = int.from_bytes(file.read(8), "little")
        if length > min(MAX_HEADER, size - 8):
            raise ValueError(
                f"declares a header of {length} bytes, expected at most {min(MAX_HEADER, size - 8)}"
            )
        header = parse_json(file.read(length).decode("utf-8"))
        file.seek(0)
        try:
            tensors = package.deserialize(file.read())
        except package.SafetensorError as error:
            raise ValueError(f"is not a whole .safetensors file: {excerpt(str(error))}") from error
        arrays = {key: _array(key, tensor) for key, tensor in tensors}
        description = (header.get("__metadata__") or {}).get(_sequential.KEY)
        if description is None:
            return _state_dict.contents_of(arrays, activations, in_order=False)
        if activations is not None:
            raise ValueError("names its activations itself, expected no activations=")
        return _sequential.contents_of(description, arrays)


def write(path: Path, layers: Sequence[Any], dtype: Any, classes: Any = None) -> None:
    """Write a network, all of it or nothing.

    Parameters
    ----------
    path, layers, dtype, classes
        As for `nncore.formats.npz.write`.

    Raises
    ------
    ImportError
        The package safetensors is not installed.
    ValueError
        The layers cannot be saved.
    OSError
        The file cannot be written.
    """
    _import()
    from safetensors.numpy import save

    # The description first: it refuses what has none. One entry only: the package writes several in
    # any order, and the same network is to be the same file.
    metadata = {_sequential.KEY: render(layers, np.dtype(dtype), classes)}
    data = save(_sequential.tensors_of(layers), metadata)
    with replacing(file_name(path)) as file:
        file.write(data)


def _import() -> Any:
    try:
        import safetensors
    except ImportError as error:
        raise ImportError(
            "the package safetensors is needed for .safetensors files, expected it installed: "
            "pip install safetensors"
        ) from error
    return safetensors


def _array(key: str, tensor: Mapping[str, Any]) -> NDArray[Any]:
    kind = tensor["dtype"]
    if kind not in _TYPES:
        raise ValueError(
            f"'{excerpt(key)}' has dtype {excerpt(kind)}, expected one of {', '.join(_TYPES)}"
        )
    array = np.frombuffer(tensor["data"], _TYPES[kind]).reshape(tensor["shape"])
    return (array.astype("<u4") << 16).view("<f4") if kind == "BF16" else array
