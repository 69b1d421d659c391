"""Training takes short ways where it can: they give the bits of the long ones."""

from __future__ import annotations

import numpy as np
import pytest
from test_optimizers import IDS, SETTINGS

import nncore
from nncore.fit.trainer import make_trainer
from nncore.losses import REGISTRY

DENSITIES = [0.05, 0.3, 0.9]


def make_inputs(n, k, density, dtype, neighbours=False):
    """Samples (n, k) of which this share is not zero; as bytes for dtype uint8."""
    random = np.random.default_rng(1)
    used = random.random((n, k)) < density
    if neighbours:  # alike, as in images
        used[:, 1::2] = used[:, : k // 2 * 2 : 2]
    x = random.integers(1, 256, (n, k)) * used
    return x.astype(np.uint8) if dtype == "uint8" else (x / 255).astype(dtype)


def weights_after(cls, settings, x, t, batch_size, dtype, **clipping):
    net = nncore.Network(
        [
            nncore.Dense(x.shape[1], 37, "relu", bias=False),
            nncore.Dense(37, 19, "tanh"),
            nncore.Dense(19, 5, "softmax"),
        ],
        seed=2,
        dtype=dtype,
    )
    optimizer = cls(**settings, **clipping)
    net.fit(x, t, epochs=2, batch_size=batch_size, optimizer=optimizer, seed=3)
    return b"".join(layer.weights.tobytes() for layer in net.layers)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("cls", "settings"), SETTINGS, ids=IDS)
def test_a_step_at_once_is_the_step_of_a_gradient_that_was_kept(cls, settings, dtype):
    """A limit that nothing reaches changes nothing but the way: clipping keeps the gradient."""
    for density in DENSITIES:
        x = make_inputs(130, 61, density, dtype, neighbours=density < 0.5)
        t = np.arange(len(x)) % 5
        for batch_size in (1, 100, 128) if density == 0.3 else (50,):
            run = cls, settings, x, t, batch_size, dtype
            assert weights_after(*run) == weights_after(*run, clip_value=1e30)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m", [1, 16, 50, 150])
def test_the_first_layer_gives_what_the_network_gives(m, dtype):
    """Sample by sample where there are many zeros, else in tiles; the loss is 0 for equal bits."""
    net = nncore.Network([nncore.Dense(300, m, "identity")], seed=4, dtype=dtype)
    trainer = make_trainer(net, REGISTRY["mse"])
    for density in (0.0, *DENSITIES, 1.0):
        for n in (1, 100, 257):
            for kind in (dtype, "uint8"):
                x = make_inputs(n, 300, density, kind)
                loss, _ = trainer.evaluate(x, np.ascontiguousarray(net(x)), None)
                assert loss == 0
                # ... and for no others
                if kind == dtype and density == 0.3:
                    assert trainer.evaluate(x, np.nextafter(net(x), np.inf), None)[0] > 0
