"""From a dict of arrays, W1, b1, W2, b2, ... as the classic texts write it, to layers.

Shared by ``Network.from_dict`` and by the formats that hold such a dict and nothing else.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from nncore import _validation
from nncore._table import packed_size
from nncore._validation import counted, excerpt
from nncore.formats._contents import Contents
from nncore.layers import Dense, check_chain
from nncore.layers.dense import transposed_hint

# Packed, each line of a panel of outputs takes a cache line: a float32 layer with one output takes
# 17 times its weights in all. What is small may take more, as the 0 and 1 of an int8 array do.
_MAX_GROWTH, _SMALL = 20, 1 << 24

_KEY = r"(W|b|B)([1-9][0-9]{0,5})"


class ActivationsAssumed(UserWarning):
    """A file names no activations, and none were given."""


class ActivationsMissing(ValueError):
    """A file or state_dict names no activations, none were given, and none can be assumed."""


def is_classic(keys: Iterable[object]) -> bool:
    """Return whether there are keys, and all of them are of the kind of W1 and b1.

    Examples
    --------
    >>> is_classic(["W1", "b1"]), is_classic(["W1", "labels"]), is_classic([])
    (True, False, False)
    """
    keys = list(keys)
    return bool(keys) and all(isinstance(key, str) and re.fullmatch(_KEY, key) for key in keys)


def read_classic(
    name: str, arrays: Mapping[str, np.ndarray], activations: Sequence[Any] | None
) -> Contents:
    """Return what `layers_from_dict` makes of the arrays of the file `name`.

    Without activations, those of the classic texts are assumed: sigmoid for the hidden layers and
    softmax for the last; a warning says so.

    Raises
    ------
    ValueError
        As `layers_from_dict`, or the network would take far more memory than the file; the text
        begins with the file's name.
    """
    _check_memory(name, arrays)
    assumed = activations is None
    if activations is None:
        count = sum(str(key).startswith("W") for key in arrays)
        activations = ["sigmoid"] * (count - 1) + ["softmax"] * (count > 0)
    try:
        contents = Contents(*layers_from_dict(arrays, activations))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if assumed:
        warnings.warn(
            f"{name}: names no activations: sigmoid for the hidden layers and softmax for the last "
            "are assumed; if that is wrong, give them as activations=[...]",
            ActivationsAssumed,
            stacklevel=5,  # the caller of nncore.load
        )
    return contents


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
            f"bytes, expected at most {_MAX_GROWTH} times as many (if you trust the file, read "
            "it yourself and give the arrays to nncore.Network.from_dict)"
        )


def layers_from_dict(
    arrays: Mapping[str, Any], activations: Sequence[Any]
) -> tuple[list[Dense], np.dtype]:
    """Return the layers that a dict of W1, b1, W2, b2, ... describes.

    Parameters
    ----------
    arrays : mapping of str to array_like
        For each layer i = 1, 2, ... a key ``Wi``, a matrix (k, m) of k inputs and m outputs, and
        a key ``bi`` or ``Bi``, a vector (m,). Either every layer has its bias, or none has one.
        The order of the keys does not matter; any other key is an error.
    activations : sequence of str or callable
        One for each layer, in order.

    Returns
    -------
    layers : list of Dense
        They hold copies of the arrays.
    dtype : numpy.dtype
        float64 if every array is float64, else float32.

    Raises
    ------
    ValueError
        A key is missing, unknown or there twice, an array has the wrong shape, holds a number
        that is too large for float32, two layers do not fit together, or there are not as many
        activations as layers.
    TypeError
        An array does not hold real numbers, `arrays` is not a mapping, or `activations` is not a
        sequence.

    Examples
    --------
    >>> import numpy as np
    >>> layers, dtype = layers_from_dict({"W1": np.eye(2), "b1": np.zeros(2)}, ["sigmoid"])
    >>> layers[0].in_features, layers[0].out_features, layers[0].activation, dtype
    (2, 2, 'sigmoid', dtype('float64'))
    """
    if not isinstance(arrays, Mapping):
        raise TypeError(
            f"arrays is of type {type(arrays).__name__}, expected a dict of W1, b1, W2, ..."
        )
    weights, biases = _sort_keys(arrays)
    activations = _check_activations(activations, len(weights))
    pairs = [
        _check_pair(f"W{i}", w, f"b{i}", b)
        for i, (w, b) in enumerate(zip(weights, biases, strict=True), 1)
    ]
    every = [array for pair in pairs for array in pair if array is not None]
    double = all(array.dtype == np.float64 for array in every)
    dtype = np.dtype(np.float64 if double else np.float32)

    check_orientation([w for w, _ in pairs], lambda i: f"W{i + 1}")
    layers = [
        Dense(w.shape[0], w.shape[1], activation, bias=b is not None)
        for (w, b), activation in zip(pairs, activations, strict=True)
    ]
    check_chain(layers, lambda i: f"layer {i + 1}")
    for i, (layer, (w, b)) in enumerate(zip(layers, pairs, strict=True), 1):
        layer.set_weights(
            convert(f"W{i}", w, dtype), None if b is None else convert(f"b{i}", b, dtype)
        )
    return layers, dtype


def convert(name: str, array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return a C-contiguous copy in native byte order; float to the same float keeps all bits.

    Raises
    ------
    ValueError
        A finite number is too large for `dtype`.
    """
    if array.dtype.kind == dtype.kind and array.dtype.itemsize == dtype.itemsize:
        # byteswap() moves bytes; a conversion by value might touch the payload of a NaN.
        native = array if array.dtype.isnative else array.byteswap().view(dtype)
        return np.array(native, order="C", subok=False)
    with np.errstate(over="ignore"):
        converted = array.astype(dtype, order="C")
    lost = np.isinf(converted) & np.isfinite(array)
    if lost.any():
        raise ValueError(f"{name} holds {array[lost][0]!s}, which is too large for {dtype}")
    return converted


def _sort_keys(arrays: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """Return weights and biases in order; either all biases are None, or none is."""
    weights: dict[int, Any] = {}
    biases: dict[int, Any] = {}
    for key in arrays:
        match = re.fullmatch(_KEY, key) if isinstance(key, str) else None
        if match is None:
            shown = f"'{excerpt(key)}'" if isinstance(key, str) else f"of type {type(key).__name__}"
            raise ValueError(f"unexpected key {shown}, expected only W1, b1, W2, b2, ...")
        number = int(match[2])
        group = weights if match[1] == "W" else biases
        if number in group:
            raise ValueError(f"both b{number} and B{number} are given, expected one of them")
        group[number] = arrays[key]
    count = max(max(weights, default=0), max(biases, default=0))
    if count == 0:
        raise ValueError("there are no arrays, expected W1, b1, W2, b2, ...")
    for number in range(1, count + 1):
        if number not in weights:
            raise ValueError(f"W{number} is missing (the highest number is {count})")
        if biases and number not in biases:
            raise ValueError(f"b{number} is missing, expected a bias for every layer or for none")
    order = range(1, count + 1)
    return [weights[i] for i in order], [biases.get(i) for i in order]


def _check_activations(activations: Sequence[Any], layers: int) -> list[Any]:
    if isinstance(activations, str) or not isinstance(activations, Sequence):
        raise TypeError(
            f"activations is of type {type(activations).__name__}, expected a list, one for each "
            "layer"
        )
    if len(activations) != layers:
        raise ValueError(
            f"activations has length {len(activations)}, expected {layers}, one for each layer"
        )
    return list(activations)


def _check_pair(w_name: str, w: Any, b_name: str, b: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a layer's two arrays, of real numbers and of fitting shapes."""
    w = _validation.array(w, w_name)
    if w.ndim != 2 or 0 in w.shape:
        raise ValueError(
            f"{w_name} has shape {w.shape}, expected (inputs, outputs), both 1 or more"
        )
    if b is None:
        return w, None
    b = _validation.array(b, b_name)
    check_bias(w_name, w, b_name, b)
    return w, b


def check_bias(w_name: str, w: np.ndarray, b_name: str, b: np.ndarray) -> None:
    """Refuse a bias that does not have one number for each column of the weights."""
    if b.shape != (w.shape[1],):
        hint = transposed_hint(f"{w_name}.T") if b.shape == w.shape[:1] else ""
        raise ValueError(
            f"{b_name} has shape {b.shape}, expected ({w.shape[1]},), one for each column of "
            f"{w_name} {w.shape}{hint}"
        )


def check_orientation(weights: Sequence[np.ndarray], name: Callable[[int], str]) -> None:
    """Refuse weights that fit together only if some are transposed; others are left to others.

    Examples
    --------
    >>> check_orientation([np.ones((50, 784)), np.ones((10, 50))], lambda i: f"weights[{i}]")
    Traceback (most recent call last):
        ...
    ValueError: weights[1] takes 10 features, expected 784: weights[0] gives so many; transposed, \
weights[0].T and so on, they fit (PyTorch keeps weights as (out_features, in_features))
    """
    pairs = list(pairwise(weights))
    odd = next((i for i, (w, after) in enumerate(pairs) if w.shape[1] != after.shape[0]), None)
    if odd is None:
        return
    w, after = pairs[odd]
    if all(one.shape[0] == other.shape[1] for one, other in pairs):
        hint = transposed_hint(f"{name(0)}.T and so on", "they fit")
    elif w.shape[1] == after.shape[1]:
        hint = transposed_hint(f"{name(odd + 1)}.T")
    else:
        return
    raise ValueError(
        f"{name(odd + 1)} takes {counted(after.shape[0], 'feature')}, expected {w.shape[1]}: "
        f"{name(odd)} gives so many{hint}"
    )
