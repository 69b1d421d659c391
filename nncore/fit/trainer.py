"""The compiled Trainer: made of a network here and nowhere else, and its weights given back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nncore import activations
from nncore._training import Trainer

if TYPE_CHECKING:
    from nncore.fit.methods import Trainable
    from nncore.losses import Loss
    from nncore.optimizers import Optimizer


def make_trainer(
    net: Trainable, loss: Loss, optimizer: Optimizer | None = None, **options: Any
) -> Trainer:
    """Make the compiled Trainer, which begins with the network's present weights."""
    entries = []
    for layer in net._dense:
        assert isinstance(layer.activation, str)
        assert layer.weights is not None
        code = activations.CODES[layer.activation]
        entries.append((layer.weights, layer.bias, code, layer.alpha or 0.0))
    settings = None
    if optimizer is not None:
        settings = optimizer.options()
        options |= {"clip_norm": optimizer.clip_norm, "clip_value": optimizer.clip_value}
    return Trainer(entries, net._scale, loss.code, settings, **options)


def shapes_of(net: Trainable) -> tuple[Any, ...]:
    """Return (in_features, out_features, has a bias) of each layer; a state fits these alone."""
    return tuple((layer.in_features, layer.out_features, layer.use_bias) for layer in net._dense)


def set_arrays(net: Trainable, arrays: Sequence[tuple[Any, Any]]) -> None:
    """Assign weights and biases to every layer.

    A call of the network in another thread runs all of the old ones or all of the new ones.
    """
    stale = {net}
    for layer, (weights, bias) in zip(net._dense, arrays, strict=True):
        stale.update(layer._store(weights, bias))
    for network in stale:
        network._make_plan()
