"""Trials of quantized networks: every way to ask for their outputs gives the bits of the rule."""

from __future__ import annotations

import copy
import itertools
import pickle
from pathlib import Path

import draw
import files
import numpy as np
import quantized_reference as oracle
from forward import THREADS, check_prediction, into_given_memory, rows_of
from reference import assert_same_bits

import nncore
from nncore.activations import REGISTRY

ZEROS = [0, 0, 0, 1, 127, 128, 255]


def network(rng):
    """A random network of whole numbers, often with sums as large as there are."""
    depth = int(rng.integers(1, 5))
    sizes = [draw.size(rng) for _ in range(depth + 1)]
    if draw.chance(rng, 0.1):
        sizes[0] = int(rng.integers(300, 3000))
    layers = [draw.front(rng, sizes[0])] if draw.chance(rng, 0.4) else []
    for i, (k, m) in enumerate(itertools.pairwise(sizes)):
        most = int(rng.choice([1, 127]))
        weights = rng.integers(-most, most + 1, (k, m))
        if draw.chance(rng, 0.3):
            weights[rng.random((k, m)) < rng.choice([0.5, 1.0])] = rng.choice([0, 127, -127])
        step = 1.0 if i == 0 and draw.chance(rng, 0.5) else float(10 ** rng.uniform(-4, 1))
        scale = rng.uniform(0.1, 2, m) * 10 ** rng.uniform(-3, 1) / (step * 5000 * np.sqrt(k))
        names = list(REGISTRY) if i == depth - 1 else draw.HIDDEN
        layers.append(
            nncore.QuantizedDense(
                weights, scale, rng.standard_normal(m), str(rng.choice(names)),
                step=step, zero_point=int(rng.choice(ZEROS)),
            )
        )  # fmt: skip
    return nncore.QuantizedNetwork(layers)


def attack_quantized(rng):
    """One network, one set of samples, and every way to ask for its outputs."""
    net = network(rng)
    n, k = draw.batch(rng), net.in_features
    x = draw.numbers(rng, (n, k), rng.choice(["uint8", "uint8", "float32", *draw.INPUT_DTYPES]))
    if n and draw.chance(rng, 0.1):
        x = np.broadcast_to(x[:1], x.shape)
    steps = oracle.trace(net, x)
    logits, wanted = steps[-1]
    for _ in range(3):
        nncore.set_num_threads(int(rng.choice(THREADS)))
        laid, _ = draw.layout(rng, x)
        assert_same_bits(net(laid), wanted)
        assert_same_bits(net.logits(laid), logits)
        for row in rows_of(rng, n):
            assert_same_bits(net(laid[row]), wanted[row])
        cuts = np.sort(rng.integers(0, n + 1, 3)).tolist()
        for first, end in zip([0, *cuts], [*cuts, n], strict=True):
            assert_same_bits(net(laid[first:end]), wanted[first:end])
        if n:
            some = slice(None, None, int(rng.choice([-2, -1, 2, 3])))
            assert_same_bits(net(laid[some]), wanted[some])
        into_given_memory(rng, lambda out, laid=laid: net(laid, out=out), wanted)
    check_prediction(net, x, logits, wanted)
    for found, (sums, _) in zip(net.trace(x), steps, strict=True):
        assert_same_bits(found.weighted_sum, sums)
    path = Path(files.FOLDER.name, "quantized.npz")
    net.save(path)
    for other in (nncore.load(path), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert_same_bits(other(x), wanted)
        assert repr(other) == repr(net)
    return draw.digest(wanted)
