"""A network's arrays under the names that they have in a PyTorch ``nn.Sequential``, and back.

The Sequential has a Linear for each Dense, then a module for its activation unless that is the
identity, so the arrays are ``0.weight``, ``0.bias``, ``2.weight``, ... with weights as
(out_features, in_features). A layer at the front is a BatchNorm1d with eps 0. Its running_var is
std * std in float64, whose square root is std again, bit for bit.

What the arrays do not say (activations, scales, classes) is in a description, the JSON header of
nncore's own files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nncore._validation import excerpt
from nncore.formats._contents import Contents
from nncore.formats._header import name_of, parse
from nncore.formats.arrays import convert
from nncore.layers import Dense, Layer, Normalization, Rescaling, snapshot_of

KEY = "nncore"  # of the description, among whatever else a file says about itself


def positions(layers: Sequence[Layer]) -> list[int]:
    """Return the place that each layer has in the Sequential.

    Examples
    --------
    >>> positions([Rescaling(0.5), Dense(3, 4, "relu"), Dense(4, 4), Dense(4, 1)])
    [0, 1, 3, 4]
    """
    places, place = [], 0
    for layer in layers:
        places.append(place)
        place += 2 if isinstance(layer, Dense) and layer.activation != "identity" else 1
    return places


def tensors_of(layers: Sequence[Layer]) -> dict[str, NDArray[Any]]:
    """Return copies of all arrays, in the order of the Sequential's state_dict.

    Raises
    ------
    ValueError
        A layer has no weights yet, or is none that a Sequential can have.
    """
    records = snapshot_of(layers)
    found = {}
    for i, (layer, place) in enumerate(zip(layers, positions(layers), strict=True)):
        if isinstance(layer, Dense):
            record = records[layer.slot]
            if record.weights is None:
                raise ValueError(f"{name_of(i)} has no weights yet")
            arrays = {"weight": np.array(record.weights.T, order="C")}
            if record.bias is not None:
                arrays["bias"] = record.bias.copy()
        else:
            arrays = _front(layer, _features(layers), name_of(i))
        found.update({f"{place}.{name}": array for name, array in arrays.items()})
    return found


def contents_of(description: str, tensors: Mapping[str, NDArray[Any]]) -> Contents:
    """Return the network that was described, with the arrays that `tensors_of` named.

    Raises
    ------
    ValueError
        The description is broken, or does not fit the arrays.
    """
    contents = parse(description)
    layers = contents.layers
    features = _features(layers)
    found = dict(tensors)
    for i, (layer, place) in enumerate(zip(layers, positions(layers), strict=True)):
        where = name_of(i)
        if isinstance(layer, Dense):
            shape = (layer.out_features, layer.in_features)
            w = _take(found, f"{place}.weight", shape, contents.dtype)
            b = _take(found, f"{place}.bias", shape[:1], contents.dtype) if layer.use_bias else None
            layer.set_weights(w.T, b)
            continue
        double = np.dtype(np.float64)
        # Before anything else is made of that size: the array has as many numbers as it claims.
        mean = _take(found, f"{place}.running_mean", (features,), double)
        found[f"{place}.running_mean"] = mean
        if isinstance(layer, Normalization):
            var = _take(found, f"{place}.running_var", (features,), double)
            if not (var > 0).all():
                raise ValueError(f"{place}.running_var holds numbers that are not above 0")
            layer.set_arrays({"mean": mean, "std": np.sqrt(var)})
            found[f"{place}.running_var"] = var
        for name, wanted in _front(layer, features, where).items():
            array = _take(found, f"{place}.{name}", wanted.shape, wanted.dtype)
            if not np.array_equal(array, wanted):
                raise ValueError(f"{place}.{name} is not what its description says: {layer!r}")
    if found:
        raise ValueError(f"'{excerpt(min(found))}' is not in its description")
    return contents


def _features(layers: Sequence[Layer]) -> int:
    return next(layer.in_features for layer in layers if layer.in_features is not None)


def _front(layer: Layer, features: int, where: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of the BatchNorm1d that computes what a layer at the front does."""
    arrays: dict[str, NDArray[Any]] = {}
    if isinstance(layer, Rescaling):
        arrays["weight"] = np.full(features, layer.scale)
        arrays["bias"] = np.full(features, layer.offset)
        arrays["running_mean"], arrays["running_var"] = np.zeros(features), np.ones(features)
    elif isinstance(layer, Normalization):
        with np.errstate(over="ignore", under="ignore"):
            var = layer.std * layer.std
            exact = np.sqrt(var) == layer.std
        if not exact.all():
            raise ValueError(
                f"{where}: std is {layer.std[~exact][0]}, whose square no variance of a "
                "BatchNorm1d can be"
            )
        arrays["running_mean"], arrays["running_var"] = layer.mean.copy(), var
    else:
        raise ValueError(f"{where} is {layer!r}, which no PyTorch module stands for")
    return arrays | {"num_batches_tracked": np.zeros((), np.int64)}


def _take(
    found: dict[str, NDArray[Any]], name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    array = found.pop(name, None)
    if array is None:
        raise ValueError(f"'{name}' is missing, which its description names")
    if array.shape != shape:
        raise ValueError(f"'{name}' has shape {array.shape}, expected {shape}, as its description")
    return convert(name, array, dtype)
