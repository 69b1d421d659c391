"""Small networks and data for the tests of Network.fit."""

from __future__ import annotations

import numpy as np

import nncore

N, K, M = 60, 6, 3


def make_net(last="softmax", *, seed=0, dtype="float64", hidden=8, **options):
    return nncore.Network(
        [nncore.Dense(K, hidden, "tanh", **options), nncore.Dense(hidden, M, last, **options)],
        seed=seed, dtype=dtype,
    )  # fmt: skip


def make_data(n=N, seed=1):
    """Three clouds, one a class."""
    random = np.random.default_rng(seed)
    t = random.integers(0, M, n)
    x = random.normal(size=(n, K)) / 2
    x[np.arange(n), t] += 2
    return x, t


def weights(net):
    return b"".join(
        np.asarray(a).tobytes()
        for layer in net.layers if isinstance(layer, nncore.Dense)
        for a in (layer.weights, layer.bias) if a is not None
    )  # fmt: skip


def fitted(x=None, t=None, *, last="softmax", dtype="float64", **options):
    net = make_net(last, dtype=dtype)
    if x is None:
        x, t = make_data()
    net.fit(x, t, **({"epochs": 2, "batch_size": 7} | options))
    return net
