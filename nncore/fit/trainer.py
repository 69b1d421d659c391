"""The compiled Trainer: made of a network here and nowhere else, and its weights given back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nncore._training import Trainer
from nncore.layers import assign

if TYPE_CHECKING:
    from nncore._inference import Inference
    from nncore.losses import Loss
    from nncore.optimizers import Optimizer


def make_trainer(
    net: Inference, loss: Loss, optimizer: Optimizer | None = None, **options: Any
) -> Trainer:
    """Make the compiled Trainer, which begins with the network's present weights."""
    settings = None
    if optimizer is not None:
        settings = optimizer.options()
        options |= {"clip_norm": optimizer.clip_norm, "clip_value": optimizer.clip_value}
    return Trainer(net._program(), loss.code, settings, **options)


def shapes_of(net: Inference) -> tuple[Any, ...]:
    """Return (in_features, out_features, has a bias) of each layer; a state fits these alone."""
    return tuple((layer.in_features, layer.out_features, layer.use_bias) for layer in net._dense)


def set_arrays(net: Inference, arrays: Sequence[tuple[Any, Any]]) -> None:
    """Assign weights and biases to every layer.

    A call of the network in another thread runs all of the old ones or all of the new ones.
    """
    assign(net._dense, arrays)
