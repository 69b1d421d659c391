"""The JSON header of the native format: what it says, and whether it may say so.

::

    {"format": "nncore network", "version": 1, "dtype": "float32", "layers": [
      {"type": "Rescaling", "scale": 0.00392156862745098},
      {"type": "Dense", "in_features": 784, "out_features": 50, "activation": "sigmoid",
       "alpha": null, "use_bias": true}, ...]}

Where the activation has a second parameter there is a "beta" too. Every key must be there and no
other may: a reader that skipped what it does not know would run
a different network from the one that was saved.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nncore import activations
from nncore.formats._files import excerpt
from nncore.formats.arrays import check_chain
from nncore.layers import Dense, Rescaling

FORMAT = "nncore network"
CHECKPOINT_FORMAT = "nncore checkpoint"  # written by `nncore train` when it is stopped
VERSION = 1
MAX_LAYERS = 10_000  # what the bounds of the reader leave room for

Shapes = dict[str, tuple[int, ...]]

_TOP_KEYS = {"format", "version", "dtype", "layers"}
_LAYER_KEYS = {
    "Rescaling": {"type", "scale"},
    "Dense": {"type", "in_features", "out_features", "activation", "alpha", "use_bias"},
}


def render(layers: Sequence[Any], dtype: np.dtype) -> str:
    """The header's text for these layers.

    Examples
    --------
    >>> render([Rescaling(0.5)], np.dtype("float32"))
    '{"format": "nncore network", "version": 1, "dtype": "float32", "layers": [{"type": \
"Rescaling", "scale": 0.5}]}'
    """
    import json

    if dtype not in (np.float32, np.float64):
        raise ValueError(f"dtype is {dtype}; expected float32 or float64")
    if not 1 <= len(layers) <= MAX_LAYERS:
        raise ValueError(f"{len(layers)} layers; a file holds 1 to {MAX_LAYERS}")
    described: list[dict[str, Any]] = []
    for i, layer in enumerate(layers, 1):
        if isinstance(layer, Rescaling):
            described.append({"type": "Rescaling", "scale": float(layer.scale)})
            continue
        if not isinstance(layer, Dense):
            raise ValueError(f"layer {i} is a {type(layer).__name__}; expected Dense or Rescaling")
        if not isinstance(layer.activation, str):
            raise ValueError(
                f"layer {i} has a custom activation ({layer.activation!r}), which cannot be "
                "saved: a file holds numbers and names, never code"
            )
        parameters: dict[str, float | None] = {"alpha": layer.alpha}
        if layer.activation == "elu" and layer.alpha == activations.get("elu").alpha:
            parameters["alpha"] = None  # as in files written when elu had no alpha
        if layer.beta is not None:
            parameters["beta"] = layer.beta
        described.append(
            {
                "type": "Dense",
                "in_features": int(layer.in_features),
                "out_features": int(layer.out_features),
                "activation": layer.activation,
                **parameters,
                "use_bias": bool(layer.use_bias),
            }
        )
    header = {"format": FORMAT, "version": VERSION, "dtype": dtype.name, "layers": described}
    return json.dumps(header, allow_nan=False)


def parse(text: str) -> dict[str, Any]:
    """The header as a dict, every key and value of it checked; it allocates nothing large.

    Raises
    ------
    ValueError
        Not JSON, another format or version, a key too many or missing, a value of the wrong
        type or range, an unknown activation, layers that do not fit together.
    """
    import json

    try:
        header = json.loads(text, object_pairs_hook=_without_twins, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("the header is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"the header is not JSON: {error}") from error
    if isinstance(header, dict) and header.get("format") == CHECKPOINT_FORMAT:
        raise ValueError(
            "is a checkpoint of nncore train, not a network: go on with nncore train --resume"
        )
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f'the header does not say "format": "{FORMAT}"')
    version = header.get("version")
    if type(version) is not int or version < 1:
        raise ValueError(f"the header's version is {excerpt(repr(version))}; expected {VERSION}")
    if version > VERSION:
        raise ValueError(
            f"has format version {excerpt(repr(version))}, this nncore reads up to {VERSION}; "
            "a newer nncore will read it"
        )
    _check_keys("the header", header, _TOP_KEYS)
    if header["dtype"] not in ("float32", "float64"):
        raise ValueError(
            f"the header's dtype is {excerpt(repr(header['dtype']))}; expected float32 or float64"
        )
    if not isinstance(header["layers"], list) or not header["layers"]:
        raise ValueError("the header's layers are not a list of one layer or more")
    for i, layer in enumerate(header["layers"], 1):
        _check_layer(f"layer {i}", layer)
    dense = _dense(header)
    if not dense:
        raise ValueError("the header names no Dense layer")
    if any(layer["type"] != "Dense" for layer in header["layers"][1:]):
        raise ValueError("the header has a Rescaling that is not the first layer")
    check_chain(
        [(layer["in_features"], layer["out_features"]) for layer in dense],
        [layer["activation"] for layer in dense],
    )
    return header


def member_shapes(header: dict[str, Any]) -> Shapes:
    """The shape of every array that a checked header announces: W1 (k, m), b1 (m,), ..."""
    shapes: Shapes = {}
    for i, layer in enumerate(_dense(header), 1):
        shapes[f"W{i}"] = (layer["in_features"], layer["out_features"])
        if layer["use_bias"]:
            shapes[f"b{i}"] = (layer["out_features"],)
    return shapes


def layers_of(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[Any]:
    """The layers of a checked header, with their arrays."""
    layers: list[Any] = []
    number = 0
    for described in header["layers"]:
        if described["type"] == "Rescaling":
            layers.append(Rescaling(described["scale"]))
            continue
        number += 1
        layer = Dense(
            described["in_features"],
            described["out_features"],
            described["activation"],
            bias=described["use_bias"],
            alpha=described["alpha"],
            beta=described.get("beta"),
        )
        layer.set_weights(arrays[f"W{number}"], arrays.get(f"b{number}"))
        layers.append(layer)
    return layers


def _dense(header: dict[str, Any]) -> list[dict[str, Any]]:
    return [layer for layer in header["layers"] if layer["type"] == "Dense"]


def _check_layer(where: str, layer: Any) -> None:
    kind = layer.get("type") if isinstance(layer, dict) else None
    if not isinstance(kind, str) or kind not in _LAYER_KEYS:
        raise ValueError(f"{where} has the type {excerpt(repr(kind))}; expected Dense or Rescaling")
    keys = _LAYER_KEYS[kind]
    if kind == "Dense" and _has_beta(layer.get("activation")):
        keys = keys | {"beta"}
    _check_keys(where, layer, keys)
    if kind == "Rescaling":
        _check_number(where, "scale", layer["scale"])
        return
    for key in ("in_features", "out_features"):
        # bool is an int to isinstance(), and true is no size.
        if type(layer[key]) is not int or not 1 <= layer[key] < 1 << 60:
            raise ValueError(
                f"{where}: {key} is {excerpt(repr(layer[key]))}; expected a whole number, 1 or more"
            )
    if not isinstance(layer["activation"], str):
        raise ValueError(f"{where}: the activation is not a name")
    activations.get(layer["activation"])
    for key in ("alpha", "beta"):
        if layer.get(key) is not None:
            _check_number(where, key, layer[key])
    if not isinstance(layer["use_bias"], bool):
        raise ValueError(
            f"{where}: use_bias is {excerpt(repr(layer['use_bias']))}; expected a bool"
        )


def _has_beta(name: Any) -> bool:
    known = activations.REGISTRY.get(name) if isinstance(name, str) else None
    return known is not None and known.beta is not None


def _check_number(where: str, key: str, value: Any) -> None:
    # An integer too large for a double is refused like an infinity: 1e999 is read as one.
    finite = isinstance(value, float) and math.isfinite(value)
    small = type(value) is int and abs(value) <= 1 << 53
    if not finite and not small:
        raise ValueError(f"{where}: {key} is {excerpt(repr(value))}; expected a finite number")


def _check_keys(where: str, found: dict[str, Any], expected: set[str]) -> None:
    if set(found) != expected:
        odd = min(set(found) ^ expected)
        state = "lacks" if odd in expected else "has the unknown key"
        raise ValueError(f"{where} {state} '{excerpt(odd)}'")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers may each take another one of two equal keys, so there may not be two."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the header has a key twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"the header holds {name}; expected finite numbers")
