"""The layers a network is made of: one file for each kind, and here their registry.

A layer's class says itself what the layer computes, how it is written to a file and where it may
stand: see `nncore.layers._layer.Layer`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nncore import _classes
from nncore._plan import Parameters, Slot, publish, snapshot
from nncore._validation import counted
from nncore.layers._layer import ArrayType, Layer
from nncore.layers.dense import Dense
from nncore.layers.normalization import Normalization
from nncore.layers.rescaling import Rescaling

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "KINDS",
    "ArrayType",
    "Dense",
    "Layer",
    "Normalization",
    "Rescaling",
    "assign",
    "check_chain",
    "check_classes",
    "find_kind",
    "kind_of",
    "slots_of",
    "snapshot_of",
]

# Every kind of layer by the name that it has in a file.
KINDS: dict[str, type[Layer]] = {
    "Rescaling": Rescaling,
    "Normalization": Normalization,
    "Dense": Dense,
}
_QUANTIZED = "QuantizedDense"  # likewise, but imported only where one is read
KIND_NAMES = f"{', '.join(sorted(KINDS)[:-1])} or {max(KINDS)}"  # for error messages


def kind_of(layer: object) -> str | None:
    """Return the name of a layer's kind; None for an object of no known kind.

    Examples
    --------
    >>> kind_of(Dense(2, 1)), kind_of("relu")
    ('Dense', None)
    """
    if isinstance(layer, Layer) and layer.is_quantized:
        return _QUANTIZED
    return next((name for name, kind in KINDS.items() if isinstance(layer, kind)), None)


def find_kind(name: object) -> type[Layer] | None:
    """Return the class of the layers that have this name in a file; None: none has it."""
    if name == _QUANTIZED:
        from nncore.layers.quantized_dense import QuantizedDense

        return QuantizedDense
    return KINDS.get(name) if isinstance(name, str) else None


def check_chain(layers: Sequence[Layer], name: Callable[[int], str]) -> None:
    """Refuse layers that do not make a network; `name` says what a message calls layer i.

    Examples
    --------
    >>> check_chain([Dense(784, 50), Dense(60, 10)], lambda i: f"layer {i + 1}")
    Traceback (most recent call last):
        ...
    ValueError: layer 2 takes 60 features, expected 50: layer 1 gives so many
    """
    features, giver = None, 0
    for i, layer in enumerate(layers):
        if layer.first_only and i > 0:
            raise ValueError(
                f"{name(i)} is a {kind_of(layer) or type(layer).__name__}, expected it as the "
                "first layer only"
            )
        if layer.last_only and i < len(layers) - 1:
            raise ValueError(f"{name(i)} is {layer!r}, expected it as the last layer only")
        if features is not None and layer.in_features not in (None, features):
            raise ValueError(
                f"{name(i)} takes {counted(layer.in_features, 'feature')}, expected {features}: "
                f"{name(giver)} gives so many"
            )
        if layer.out_features is not None:
            features, giver = layer.out_features, i
    dense = [(i, layer) for i, layer in enumerate(layers) if layer.is_dense]
    if not dense:
        raise ValueError("layers has no Dense layer, expected at least one")
    for i, layer in dense:
        if layer.is_quantized != dense[0][1].is_quantized:
            raise ValueError(
                f"{name(i)} is a {kind_of(layer)}, expected a {kind_of(dense[0][1])} as before: "
                "all layers of a network are quantized, or none"
            )
    if not layers[-1].is_dense:
        raise ValueError(
            f"{name(len(layers) - 1)} is a {kind_of(layers[-1]) or type(layers[-1]).__name__}, "
            "expected a Dense layer as the last one: its activation says what a network predicts"
        )


def check_classes(classes: Any, layers: Sequence[Layer]) -> NDArray[Any]:
    """Return the names of a network's classes as `nncore._classes.check` wants them."""
    last: Any = layers[-1]  # Dense or quantized, as check_chain has seen to
    return _classes.check(classes, last.out_features, last.activation == "sigmoid")


def slots_of(layers: Sequence[Layer]) -> list[Slot]:
    """Return the slots of those layers that have one, in order."""
    return [layer.slot for layer in layers if layer.slot is not None]


def snapshot_of(layers: Sequence[Layer]) -> dict[Slot, Parameters]:
    """Return what each layer has learned, all of it read in one step."""
    slots = slots_of(layers)
    return dict(zip(slots, snapshot(slots), strict=True))


def assign(layers: Sequence[Dense], arrays: Sequence[tuple[Any, Any]]) -> None:
    """Assign weights and bias to every layer, to all of them in one step.

    Another thread that calls or saves the network meanwhile has all the old ones or all the new
    ones. If something is refused or goes wrong, nothing has changed.
    """
    slots = slots_of(layers)
    records = [
        layer.renewed(record, weights, bias)
        for layer, record, (weights, bias) in zip(layers, snapshot(slots), arrays, strict=True)
    ]
    publish(slots, records)
