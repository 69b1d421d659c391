"""What a network's outputs mean: a class for each sample, or a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nncore.cli._common import CommandError, LoadedNetwork, dense_layers

if TYPE_CHECKING:
    import numpy as np

    from nncore import Network


def gives_values(net: Network) -> bool:
    """Return whether a network gives a value for each sample, not a class."""
    return net.out_features == 1 and dense_layers(net)[-1].activation != "sigmoid"


def check_has_answers(loaded: LoadedNetwork) -> None:
    """Refuse a network that has the same answer for all samples."""
    if gives_values(loaded.net) and "softmax" in str(dense_layers(loaded.net)[-1].activation):
        raise CommandError(
            f"{loaded.name}: the network has 1 output, expected two or more, one for each class"
        )


def labels_of(net: Network, x: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Return one label (n,) for each sample of x (n, k): that of `predict`, where it gives one.

    By the logits, as there: two that differ may be rounded to outputs that are equal.
    """
    last = dense_layers(net)[-1].activation
    if last in ("softmax", "log_softmax") or (last == "sigmoid" and net.out_features == 1):
        return net.predict(x)
    largest: np.ndarray = (net.logits(x) if last == "sigmoid" else outputs).argmax(axis=1)
    return largest
