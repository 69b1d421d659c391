"""The network and the inputs of `nncore bench`, from its options.

The same weights are run twice: given floats, and given bytes with a Rescaling in front.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore.cli._common import (
    CommandError,
    LoadedNetwork,
    check_float,
    dense_layers,
    load_network,
    rescaling_of,
    split_activations,
)
from nncore.cli._dtype import in_dtype
from nncore.cli._layers import LAYERS, PIXELS, check_activation, sizes_of

if TYPE_CHECKING:
    import argparse

    from nncore import Network
    from nncore.cli._digits import TestSet

ACTIVATION = "sigmoid"
MOST = 10_000  # samples
DRAWN = 2**22 - 3  # weights; more repeat these (odd, so that no row is like the next)
CALIBRATION = 100  # samples that a network is quantized with
PASS_SECONDS = 0.25  # for all samples one by one; fewer samples for networks that need longer


class Work(NamedTuple):
    """A network, the samples (n, k) it is given, and what they are."""

    net: Any  # a Network or a QuantizedNetwork
    x: np.ndarray


def network_of(options: argparse.Namespace) -> LoadedNetwork:
    """Return the float network that the options describe; nothing is put in front of it."""
    if options.int8 and options.dtype is not None:
        raise CommandError("--int8 and --dtype exclude each other: int8 is another type of numbers")
    if options.weights is None:
        if options.activations is not None:
            raise CommandError("--activations needs a file of weights; --layers has --activation")
        layers = _new_layers(options.layers or LAYERS, options.activation or ACTIVATION)
        net = _network(layers, options.dtype or "float32")
        return LoadedNetwork(net, "random weights (seed 0)", None, False)
    for name in ("layers", "activation"):
        if getattr(options, name) is not None:
            raise CommandError(f"--{name} and --weights exclude each other: the file has its own")
    loaded = load_network(options.weights, split_activations(options.activations))
    check_float(loaded.net.layers, loaded.title)
    dtype = "float32" if options.int8 else options.dtype
    return loaded if dtype is None else loaded._replace(net=in_dtype(loaded.net, dtype))


def works_of(net: Network, pixels: np.ndarray, int8: bool) -> list[Work]:
    """Return `net` with `pixels` (n, k) uint8 scaled to floats, and with the bytes themselves.

    int8: both networks are quantized.
    """
    import nncore

    scale = rescaling_of(net) or 1 / 255
    dense = dense_layers(net)
    dtype = net.dtype.type
    floats = nncore.Network(dense, dtype=net.dtype)
    scaled = nncore.Network([nncore.Rescaling(scale), *dense], dtype=net.dtype)
    works = [Work(floats, pixels.astype(dtype) * dtype(scale)), Work(scaled, pixels)]
    if not int8:
        return works
    # The simplest method: the choice of the ranges changes the answers, not the time they take.
    return [
        Work(nncore.quantize(work.net, work.x[:CALIBRATION], method="minmax"), work.x)
        for work in works
    ]


def pixels_of(features: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Return up to 10,000 samples (n, features) uint8, and what `--json` says about them.

    Digits where a sample has as many features as they have pixels, else random bytes.
    """
    if features == PIXELS:
        from nncore.cli._digits import load_test_set

        data: TestSet = load_test_set(None, None, download=False)
        return data.images, data.facts()
    from nncore._random import Random

    n = max(1, min(MOST, 2**24 // features))
    pixels = Random(0).integers(256, (n, features)).astype(np.uint8)
    why = f"random bytes, as digits have {PIXELS} features and this network takes {features}"
    return pixels, {"source": "random", "is_mnist": False, "folder": None, "why": why}


def samples_for(work: Work) -> int:
    """Return how many samples a pass can have without keeping anybody waiting."""
    from time import perf_counter

    took = []
    for sample in work.x[:4]:
        begin = perf_counter()
        work.net(sample)
        took.append(perf_counter() - begin)
    return max(1, min(len(work.x), int(PASS_SECONDS / max(min(took), 1e-9))))


def multiply_adds_of(net: Network) -> int:
    """Return the multiply-adds of one dense sample, without biases and activations."""
    return sum(layer.in_features * layer.out_features for layer in dense_layers(net))


def _new_layers(text: str, activation: str) -> list[Any]:
    import nncore

    check_activation(activation)
    pairs = list(itertools.pairwise(sizes_of(text)))
    hidden = [nncore.Dense(k, m, activation) for k, m in pairs[:-1]]
    layers = [*hidden, nncore.Dense(*pairs[-1], "softmax")]
    if sum(k * m for k, m in pairs) > DRAWN:
        _repeat_weights(layers)
    return layers


def _repeat_weights(layers: list[Any]) -> None:
    """Set weights of variance 1 / k in no time: drawing ten million of them takes a second."""
    from nncore._random import Random

    drawn = ((2 * Random(0).uniform(DRAWN) - 1) * 3**0.5).astype(np.float32)
    for layer in layers:
        k, m = layer.in_features, layer.out_features
        layer.set_weights(np.resize(drawn, (k, m)) * np.float32(k**-0.5), np.zeros(m, np.float32))


def _network(layers: list[Any], dtype: str) -> Network:
    import nncore

    return nncore.Network(layers, seed=0, dtype=dtype)
