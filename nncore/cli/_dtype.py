"""A network in another dtype, for commands that have `--dtype`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nncore.cli._common import check_float, dense_layers

if TYPE_CHECKING:
    from nncore import Network


def in_dtype(net: Network, dtype: Any) -> Network:
    """Return the same network in `dtype`, in layers of its own if that is another one."""
    import nncore

    if net.dtype == dtype:
        return net
    check_float(net.layers, "--dtype")
    layers: list[Any] = [layer for layer in net.layers if layer.first_only]
    for old in dense_layers(net):
        new = nncore.Dense(
            old.in_features,
            old.out_features,
            old.activation,
            bias=old.use_bias,
            alpha=old.alpha,
            beta=old.beta,
        )
        new.set_weights(old.weights, old.bias)
        layers.append(new)
    return nncore.Network(layers, dtype=dtype, classes=net.classes)
