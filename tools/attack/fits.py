"""Trials of training: the same bits for any number of threads, gradients that are slopes."""

from __future__ import annotations

import draw
import numpy as np
from reference import assert_same_bits

import nncore
from nncore.losses import REGISTRY as LOSSES

# Without jumps and corners, so that a difference quotient is a slope.
SMOOTH = ["identity", "sigmoid", "tanh", "silu", "softplus", "gelu"]
BOUNDED = ["sigmoid", "tanh", "relu", "softplus", "identity", "elu", "leaky_relu"]


def optimizer(rng):
    clip = {}
    if draw.chance(rng, 0.3):
        clip["clip_norm"] = float(rng.choice([0.1, 1.0]))
    if draw.chance(rng, 0.2):
        clip["clip_value"] = 0.05
    rate = 10.0 ** -int(rng.integers(2, 5))
    if draw.chance(rng, 0.2):
        rate = nncore.OneCycle(rate)
    decay = {"weight_decay": 0.01} if draw.chance(rng, 0.3) else {}
    momentum = float(rng.choice([0.0, 0.9]))
    nesterov = momentum > 0 and draw.chance(rng, 0.5)
    return [
        lambda: nncore.SGD(rate, momentum=momentum, nesterov=nesterov, **clip, **decay),
        lambda: nncore.AdaGrad(rate, **clip, **decay),
        lambda: nncore.RMSProp(rate, momentum=momentum, **clip, **decay),
        lambda: nncore.Adam(rate, **clip, **decay),
        lambda: nncore.AdamW(rate, **clip, **decay),
    ][int(rng.integers(5))]


def task(rng, hidden, dtype=None, losses=None):
    """A network, samples, targets, and the options that both `fit` and `gradients` take."""
    loss = str(rng.choice(losses or list(LOSSES)))
    last = list(LOSSES[loss].last) or hidden
    net = draw.network(rng, hidden=hidden, last=last, dtype=dtype, plain=True)
    n, m = int(rng.integers(1, 150)), net.out_features
    x = rng.standard_normal((n, net.in_features)).astype(net.dtype)
    x[rng.random(x.shape) < rng.choice([0.0, 0.5])] = 0
    options = {"loss": loss}
    if loss == "cross_entropy":
        t = rng.integers(0, m, n)
        if draw.chance(rng, 0.3):
            t = rng.random((n, m))
            t /= t.sum(axis=1, keepdims=True)
        if draw.chance(rng, 0.3):
            options["label_smoothing"] = 0.1
    else:
        t = rng.random((n, m))
    if draw.chance(rng, 0.3):
        options["sample_weight"] = rng.random(n) + 0.1
    return net, x, t, options


def parameters(net):
    layers = [layer for layer in net.layers if isinstance(layer, nncore.Dense)]
    return [a for layer in layers for a in (layer.weights, layer.bias) if a is not None]


def attack_fit(rng):
    """A short fit gives the same weights with any number of threads, and from any layout."""
    net, x, t, options = task(rng, BOUNDED)
    start = [(layer, layer.weights.copy(), None if layer.bias is None else layer.bias.copy())
             for layer in net.layers if isinstance(layer, nncore.Dense)]  # fmt: skip
    make = optimizer(rng)
    options["batch_size"] = int(rng.choice([1, 3, 16, 37, 100, 1000]))
    options["epochs"] = int(rng.integers(1, 3))
    options["seed"] = int(rng.integers(100))
    if len(start) > 1 and draw.chance(rng, 0.3):
        options["dropout"] = 0.3
    results, endings = [], []
    for threads in (1, int(rng.choice([2, 3, 5]))):
        for layer, w, b in start:
            layer.set_weights(w, b)
        nncore.set_num_threads(threads)
        try:
            history = net.fit(draw.layout(rng, x)[0], t, optimizer=make(), **options)
            results.append([*parameters(net), np.array(history.loss)])
            endings.append("finished")
        except FloatingPointError as error:  # a random task may diverge, but always in the same way
            results.append(parameters(net))
            endings.append(str(error))
    assert endings[0] == endings[1], f"two endings of one fit: {endings}"
    for a, b in zip(*results, strict=True):
        assert_same_bits(a, b)
    assert all(np.isfinite(array).all() for array in results[0]), "fit left numbers not finite"
    nncore.set_num_threads(1)
    assert_same_bits(
        net(x[:5]), np.array([net(row) for row in x[:5]]).reshape(-1, net.out_features)
    )
    return draw.digest(*results[0])


def attack_gradients(rng):
    """Gradients are the slopes of the loss: central differences along a random direction."""
    losses = ["cross_entropy", "binary_cross_entropy", "mse"]
    net, x, t, options = task(rng, SMOOTH, "float64", losses)
    nncore.set_num_threads(int(rng.choice([1, 2, 3])))
    loss, pairs = net.gradients(x, t, **options)
    nncore.set_num_threads(1)
    again, same = net.gradients(draw.layout(rng, x)[0], t, **options)
    gradients = [g for pair in pairs for g in pair if g is not None]
    for a, b in zip(gradients, [g for pair in same for g in pair if g is not None], strict=True):
        assert_same_bits(a, b)
    assert loss == again
    dense = [layer for layer in net.layers if isinstance(layer, nncore.Dense)]
    start = [(layer.weights.copy(), None if layer.bias is None else layer.bias.copy())
             for layer in dense]  # fmt: skip
    directions = [tuple(None if a is None else rng.standard_normal(a.shape) for a in pair)
                  for pair in start]  # fmt: skip
    flat = [d for pair in directions for d in pair if d is not None]
    length = np.sqrt(sum((d * d).sum() for d in flat))
    slope = sum((g * d).sum() for g, d in zip(gradients, flat, strict=True)) / length
    h = 1e-5
    losses = []
    for sign in (1, -1):
        for layer, pair, direction in zip(dense, start, directions, strict=True):
            w, b = (None if a is None else a + sign * h / length * d
                    for a, d in zip(pair, direction, strict=True))  # fmt: skip
            layer.set_weights(w, b)
        losses.append(net.gradients(x, t, **options)[0])
    quotient = (losses[0] - losses[1]) / (2 * h)
    size = max(np.sqrt(sum((g * g).sum() for g in gradients)), abs(loss))
    # h * h of a third derivative, and rounding of the loss over h.
    assert abs(quotient - slope) <= 1e-6 + 1e-5 * size, f"slope {slope}, differences {quotient}"
    return draw.digest(np.array(loss), *gradients)
