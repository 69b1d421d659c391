"""Tests of what tests/test_growth.py adds to a copy of the sources, run there only."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from helpers import run_python
from reference import assert_same_bits

import nncore
from nncore import Dense, Network, _table, layers, losses, optimizers

RANDOM = np.random.default_rng(0)
GAINS = np.resize([0.5, -2, 1.25, 0, 3, -0.75, 1e-3, 7, 1, 1, 2], 75)  # some panels
K, H, M = 6, len(GAINS), 3


def gain(gains=GAINS):
    return layers.Gain(gains)  # made in the copy only


def make_net(dtype="float32", *, front=False, middle="squareplus", last="identity"):
    """A Gain between two Dense layers; with front, another one before the first."""
    first = [gain(np.linspace(-1, 2, K))] if front else []
    return Network(
        [*first, Dense(K, H, middle), gain(), Dense(H, 9, "relu"), gain(np.arange(9.0)),
         Dense(9, M, last)], seed=1, dtype=dtype,
    )  # fmt: skip


def make_data(n, dtype="float64"):
    x = np.random.default_rng(2).normal(size=(n, K)) * (np.random.default_rng(3).random(K) < 0.8)
    return x.astype(dtype), np.sign(np.random.default_rng(4).normal(size=(n, M)))


def squareplus(x, alpha=4.0):
    return (x + np.sqrt(x * x + alpha)) / 2


# ---- the activation


def test_the_activation_is_a_function(dtype):
    assert "squareplus" in nncore.activations.REGISTRY
    assert "squareplus" in nncore.__all__
    f, x = nncore.squareplus, np.linspace(-5, 5, 101).astype(dtype)
    exact = x.astype(np.float64)
    size = 4 * np.finfo(dtype).eps  # before the subtraction, x and the root are up to 8
    np.testing.assert_allclose(f(x), squareplus(exact), rtol=0, atol=2 * size)
    np.testing.assert_allclose(f(x, alpha=1.0), squareplus(exact, 1.0), rtol=0, atol=2 * size)
    slope = (1 + exact / np.sqrt(exact * exact + 4)) / 2
    np.testing.assert_allclose(f.derivative(x), slope, rtol=0, atol=size)
    with pytest.raises(ValueError, match="squareplus"):  # the list of names has it
        Dense(2, 2, "no such activation")


def test_the_activation_is_in_a_network(tmp_path):
    layer = Dense(K, 2, "squareplus", alpha=1.5)
    assert layer.init == "he"
    net, (x, _) = Network([layer], seed=0, dtype="float64"), make_data(40)
    wanted = squareplus(net.logits(x), 1.5)
    np.testing.assert_allclose(net(x), wanted, rtol=1e-14)
    net.save(tmp_path / "net.npz")
    assert_same_bits(nncore.load(tmp_path / "net.npz")(x), net(x))
    assert_same_bits(net.trace(x)[0].activation, net(x))


# ---- the loss and the optimizer


def test_the_loss_and_the_optimizer_train(dtype):
    assert losses.REGISTRY["squared_hinge"].formula.startswith("max(0, 1 - t y)^2")
    assert list(optimizers.OPTIMIZERS) == [row[0] for row in _table.optimizer_rows()]
    x, _ = make_data(200)
    t = np.sign(x @ np.ones((K, 1)))
    net = Network([Dense(K, 8, "squareplus"), gain(np.arange(8.0)), Dense(8, 1)],
                  seed=0, dtype=dtype)  # fmt: skip
    optimizer = optimizers.Signum(0.01)
    history = net.fit(x, t, epochs=20, batch_size=20, loss="squared_hinge", optimizer=optimizer)
    assert history.loss[-1] < history.loss[0] / 4
    assert optimizer.steps == 200
    assert np.mean(np.sign(net(x)) == t) > 0.9


def test_a_step_of_the_optimizer():
    x, t = make_data(5)
    for decay in (0.0, 0.5):
        net = Network([Dense(K, M)], seed=0, dtype="float64")
        before = net.layers[0].weights.copy()
        _, [(gradient, _)] = net.gradients(x, t, loss="mse")
        net.fit(x, t, epochs=1, batch_size=5, loss="mse",
                optimizer=optimizers.Signum(0.25, weight_decay=decay))  # fmt: skip
        assert_same_bits(net.layers[0].weights, before - 0.25 * np.sign(gradient + decay * before))


# ---- the layer


def by_hand(net, x):
    for layer in net.layers:
        if isinstance(layer, Dense):
            x = nncore.affine(x, layer.weights, layer.bias, activation=layer.activation)
        else:
            x = x * layer.gains.astype(x.dtype)
    return x


@pytest.mark.parametrize("front", [False, True])
def test_rows_tiles_and_threads_give_the_same_bits(dtype, front, threads):
    net = make_net(dtype, front=front)
    x, _ = make_data(300, dtype)
    wanted = by_hand(net, x)
    threads(1)
    assert_same_bits(net(x), wanted)
    for n in (1, 2, 3, 7, 16, 31, 33, 130):
        assert_same_bits(net(x[:n]), wanted[:n])
    assert_same_bits(np.array([net(row) for row in x]), wanted)
    assert_same_bits(net(np.asfortranarray(x)), wanted)
    assert_same_bits(net.logits(x), wanted)  # the last activation is the identity
    steps = net.trace(x)
    assert len(steps) == 3
    assert_same_bits(steps[-1].activation, wanted)
    assert_same_bits(net.predict(x), wanted)


SHARED = """
import hashlib
import numpy as np, nncore
from grown import make_data, make_net
from reference import bits
found = []
for dtype in ("float32", "float64"):
    for front in (False, True):
        net = make_net(dtype, front=front)
        x, t = make_data(200, dtype)
        found += [net(x), *(net(x[:n]) for n in (1, 2, 3, 5, 17)), net.logits(x[:2])]
        net.fit(x, t, epochs=2, batch_size=50, loss="squared_hinge", dropout=0.25, seed=0,
                optimizer=nncore.optimizers.Signum(0.01))
        found += [layer.weights for layer in net.layers if isinstance(layer, nncore.Dense)]
digest = hashlib.sha256()
for array in found:
    digest.update(np.ascontiguousarray(bits(array)))
print(digest.hexdigest())
"""


def test_threads_and_instruction_sets_give_the_same_bits():
    """Samples shared by threads, outputs shared by threads, and every instruction set there is."""
    wanted = run_python(SHARED, NNCORE_NUM_THREADS="1").stdout
    for name in _table.available_instruction_sets():
        for threads in ("1", "3"):
            assert (
                wanted
                == run_python(
                    SHARED, NNCORE_ISA=name, NNCORE_NUM_THREADS=threads, NNCORE_PARALLEL_MIN="0"
                ).stdout
            ), (name, threads)


def test_it_is_saved_and_copied(tmp_path, dtype):
    net, (x, _) = make_net(dtype), make_data(20)
    net.save(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz") as archive:
        assert {"gains1", "gains2"} <= set(archive)
    for twin in (nncore.load(tmp_path / "net.npz"), copy.deepcopy(net),
                 pickle.loads(pickle.dumps(net))):  # fmt: skip
        assert_same_bits(twin(x), net(x))
        assert repr(twin) == repr(net)


@pytest.mark.parametrize("front", [False, True])
@pytest.mark.parametrize("loss", ["mse", "squared_hinge"])
def test_gradients_agree_with_central_differences(front, loss):
    """Through the activation, the loss and the layer, at the front and in the middle."""
    net = make_net("float64", front=front)
    x, t = make_data(30)

    def loss_of():
        y = net(x)
        each = (y - t) ** 2 if loss == "mse" else np.maximum(0, 1 - t * y) ** 2
        return each.mean()

    found, gradients = net.gradients(x, t, loss=loss)
    assert found == pytest.approx(loss_of(), rel=1e-12)
    dense = [layer for layer in net.layers if isinstance(layer, Dense)]
    step = 1e-6
    for layer, (dw, _) in zip(dense, gradients, strict=True):
        kept = layer.weights.copy()
        for i, j in zip(RANDOM.integers(0, kept.shape[0], 8), RANDOM.integers(0, kept.shape[1], 8),
                        strict=True):  # fmt: skip
            sides = []
            for sign in (1, -1):
                moved = kept.copy()
                moved[i, j] += sign * step
                layer.weights = moved
                sides.append(loss_of())
            layer.weights = kept
            # The rounding of two losses, over twice the step, and what is of third order.
            assert dw[i, j] == pytest.approx(
                (sides[0] - sides[1]) / (2 * step), rel=1e-6, abs=1e-7 * max(1, found)
            )


def test_it_is_refused_where_it_does_not_fit():
    with pytest.raises(
        ValueError, match=r"layers\[1\] takes 75 features, expected 6: layers\[0\] gives so many"
    ):
        Network([Dense(K, K), gain(), Dense(H, M)])
    with pytest.raises(
        ValueError, match=r"layers\[1\] is a Gain, expected a Dense layer as the last one"
    ):
        Network([Dense(K, H), gain()])
    with pytest.raises(TypeError, match="expected Dense, Gain, Normalization or Rescaling"):
        Network(["gain"])


def test_a_page_has_the_activation_and_refuses_the_layer():
    assert '"squareplus": {"alpha": 4.0' in Network([Dense(2, 2, "squareplus")], seed=0).to_html()
    with pytest.raises(
        ValueError,
        match="layer 2 is a Gain, expected Dense, Normalization or Rescaling: a page computes no",
    ):
        make_net().to_html()


def test_the_command_line_knows_them(tmp_path):
    net, path = make_net(last="softmax"), tmp_path / "net.npz"
    net.save(path)
    run = "from nncore.cli import main; raise SystemExit(main({!r}))".format
    assert "75, squareplus, alpha 4" in run_python(run(["inspect", str(path)])).stdout
    assert "signum" in run_python(run(["train", "--help"])).stdout
