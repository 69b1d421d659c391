"""The JSON header of the native format: what it says, and whether it may say so.

::

    {"format": "nncore network", "version": 1, "dtype": "float32", "layers": [
      {"type": "Rescaling", "scale": 0.00392156862745098},
      {"type": "Dense", "in_features": 784, "out_features": 50, "activation": "sigmoid",
       "alpha": null, "use_bias": true}, ...]}

Every key must be there and no other may: a reader that skipped what it does not know would run
a different network from the one that was saved. Each layer's class knows what its entry holds.
The names of classes, ``"classes": ["cat", "dog"]``, are there if the network has any. The version
is the oldest that can hold all of it: 2 knows Normalization and the offset of Rescaling, 3 names of
classes, 4 quantized layers and bfloat16 weights (``"weights": "bfloat16"`` of a Dense layer), and a
file that needs none of these stays readable for every nncore.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from nncore._classes import from_description as class_names
from nncore._validation import excerpt
from nncore.formats._archive import Members, parse_json
from nncore.formats._contents import Contents
from nncore.layers import KIND_NAMES, Layer, check_chain, check_classes, find_kind, kind_of

FORMAT = "nncore network"
CHECKPOINT_FORMAT = "nncore checkpoint"  # written by `nncore train` when it is stopped
VERSION = 4
MAX_LAYERS = 10_000  # what the bounds of the reader leave room for

_TOP_KEYS = {"format", "version", "dtype", "layers"}


def name_of(i: int) -> str:
    """Return what a message calls layer i: people count the arrays W1, W2, ... from 1."""
    return f"layer {i + 1}"


def render(layers: Sequence[Any], dtype: np.dtype, classes: Any = None) -> str:
    """Return the header's text for these layers.

    Examples
    --------
    >>> from nncore.layers import Rescaling
    >>> render([Rescaling(0.5)], np.dtype("float32"))
    '{"format": "nncore network", "version": 1, "dtype": "float32", "layers": [{"type": \
"Rescaling", "scale": 0.5}]}'
    """
    import json

    if dtype not in (np.float32, np.float64):
        raise ValueError(f"dtype is {dtype}, expected float32 or float64")
    if not 1 <= len(layers) <= MAX_LAYERS:
        raise ValueError(f"{len(layers)} layers, expected 1 to {MAX_LAYERS} in a file")
    described = []
    for i, layer in enumerate(layers):
        kind = kind_of(layer)
        if kind is None:
            raise ValueError(f"{name_of(i)} is a {type(layer).__name__}, expected {KIND_NAMES}")
        described.append({"type": kind, **layer.describe(name_of(i))})
    version = max(layer.format_version for layer in layers)
    named = {} if classes is None else {"classes": classes.tolist()}
    version = max(version, 3) if named else version
    header = {"format": FORMAT, "version": version, "dtype": dtype.name, "layers": described}
    header |= named
    return json.dumps(header, allow_nan=False)


def parse(text: str) -> Contents:
    """Return the layers of a header, still without their arrays, and the dtype.

    Every key and value is checked, and nothing large is allocated. The names of the classes come
    along.

    Raises
    ------
    ValueError
        Not JSON, another format or version, a key too many or missing, a value of the wrong
        type or range, an unknown activation, layers that do not fit together.
    """
    header = parse_json(text)
    if isinstance(header, dict) and header.get("format") == CHECKPOINT_FORMAT:
        raise ValueError(
            "is a checkpoint of nncore train, not a network: go on with nncore train --resume"
        )
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f'the header does not say "format": "{FORMAT}"')
    version = header.get("version")
    if type(version) is not int or version < 1:
        raise ValueError(
            f"the header's version is {excerpt(repr(version))}, expected 1 to {VERSION}"
        )
    if version > VERSION:
        raise ValueError(
            f"has format version {excerpt(repr(version))}, expected at most {VERSION}: "
            "a newer nncore will read it"
        )
    known = _TOP_KEYS | {"classes"} if version >= 3 and "classes" in header else _TOP_KEYS
    if set(header) != known:
        odd = min(set(header) ^ known)
        state = "lacks" if odd in known else "has the unknown key"
        raise ValueError(f"the header {state} '{excerpt(odd)}'")
    if header["dtype"] not in ("float32", "float64"):
        raise ValueError(
            f"the header's dtype is {excerpt(repr(header['dtype']))}, expected float32 or float64"
        )
    entries = header["layers"]
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_LAYERS:
        raise ValueError(f"the header's layers are not a list of 1 to {MAX_LAYERS} layers")
    layers = [_layer_of(entry, name_of(i), version) for i, entry in enumerate(entries)]
    check_chain(layers, name_of)
    if layers[-1].is_quantized and header["dtype"] != "float32":
        raise ValueError(
            f"the header's dtype is {header['dtype']}, expected float32 with quantized layers"
        )
    for layer in layers:
        if layer.slot is not None:
            layer.check_dtype(layer.slot.current, np.dtype(header["dtype"]))
    classes = None
    if "classes" in header:
        classes = check_classes(class_names(header["classes"]), layers)
    return Contents(layers, np.dtype(header["dtype"]), classes)


def _layer_of(entry: Any, where: str, version: int) -> Layer:
    named = entry.get("type") if isinstance(entry, dict) else None
    kind = find_kind(named)
    if kind is None:
        raise ValueError(f"{where} has the type {excerpt(repr(named))}, expected {KIND_NAMES}")
    described = {key: value for key, value in entry.items() if key != "type"}
    layer = kind.from_description(described, where)
    if layer.format_version > version:
        raise ValueError(
            f"the header's version is {version}, expected {layer.format_version}: {where} is "
            f"{layer!r}"
        )
    return layer


def numbers_of(layers: Sequence[Layer]) -> list[str]:
    """Return the numbers in the names of each layer's arrays: W1 is of the first Dense, ...

    Layers are counted by their kind.

    Examples
    --------
    >>> from nncore.layers import Dense, Rescaling
    >>> numbers_of([Rescaling(0.5), Dense(2, 2), Dense(2, 1)])
    ['1', '1', '2']
    """
    counts: Counter[str | None] = Counter()
    numbers = []
    for layer in layers:
        kind = kind_of(layer)
        counts[kind] += 1
        numbers.append(str(counts[kind]))
    return numbers


def members_of(layers: Sequence[Layer], dtype: np.dtype) -> Members:
    """Return dtype and shape of every array of a file with these layers: W1 (k, m), ..."""
    return {
        name + number: array_type
        for layer, number in zip(layers, numbers_of(layers), strict=True)
        for name, array_type in layer.array_types(dtype.name).items()
    }
