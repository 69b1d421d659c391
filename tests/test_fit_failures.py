"""A fit that ends badly: weights that overflow, Ctrl-C at a bad moment; what is kept then."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

import nncore
from nncore.fit import loop

N, K, M = 60, 6, 3
STEPS = 9  # of an epoch, batches of 7


def make_net(dtype="float32"):
    return nncore.Network(
        [nncore.Dense(K, 8, "tanh"), nncore.Dense(8, M, "identity")], seed=0, dtype=dtype
    )


def make_data():
    random = np.random.default_rng(1)
    return random.normal(size=(N, K)), random.normal(size=(N, M))


def weights(net):
    return b"".join(a.tobytes() for layer in net.layers for a in (layer.weights, layer.bias))


def all_finite(net):
    return all(np.isfinite(a).all() for layer in net.layers for a in (layer.weights, layer.bias))


def overflowing_at(step):
    return nncore.SGD(lambda at, total: 1e300 if at >= step else 0.01)


def good(epochs):
    net = make_net()
    net.fit(*make_data(), epochs=epochs, batch_size=7, optimizer=nncore.SGD(0.01))
    return weights(net)


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_very_last_update_is_looked_at(epochs):
    net, optimizer = make_net(), overflowing_at(epochs * STEPS - 1)
    text = f"the weights are not finite after epoch {epochs}, batch 9 of 9; the network keeps the "
    with pytest.raises(FloatingPointError, match=text):
        net.fit(*make_data(), epochs=epochs, batch_size=7, optimizer=optimizer)
    assert all_finite(net)
    assert optimizer.steps == epochs * STEPS - 1


def test_callbacks_and_validation_never_see_weights_that_are_not_finite():
    seen = []
    net = make_net()
    with pytest.raises(FloatingPointError, match="after epoch 2, batch 9 of 9"):
        net.fit(
            *make_data(), epochs=5, batch_size=7, optimizer=overflowing_at(2 * STEPS - 1),
            validation=make_data(),
            callbacks=[lambda net, history: seen.append((all_finite(net), history.val_loss[-1]))],
        )  # fmt: skip
    assert len(seen) == 1
    assert seen[0][0]
    assert np.isfinite(seen[0][1])


def silently_infinite(**options):
    """A fit in which step 3 makes a weight infinite that only sample 21 has an input for."""
    x, t = make_data()
    x[:, 0] = 0
    x[21, 0] = 1e38
    net = nncore.Network([nncore.Dense(K, M)], seed=0)
    net.layers[0].weights = np.vstack([np.zeros((1, M)), np.full((K - 1, M), 0.1)])
    optimizer = nncore.SGD(lambda step, total: 1e3 if step == 3 else 0.01)
    return (
        net,
        optimizer,
        lambda: net.fit(
            x, t, epochs=2, batch_size=7, optimizer=optimizer, shuffle=False, loss="mae", **options
        ),
    )


def test_a_weight_that_is_infinite_while_the_loss_is_not_is_found_where_it_began():
    net, optimizer, fit = silently_infinite()
    with pytest.raises(FloatingPointError, match="not finite after epoch 1, batch 9 of 9"):
        fit()
    assert all_finite(net)
    assert optimizer.steps == 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_fit_that_is_stopped_keeps_no_infinite_weights(monkeypatch, error):
    monkeypatch.setattr(loop, "_CALL_SECONDS", 0.0)
    monkeypatch.setattr(loop, "_FIRST_CALL_BATCHES", 1)

    def stop(progress):
        if progress.batch == 6:
            raise error

    net, optimizer, fit = silently_infinite(progress=stop)
    with pytest.raises(error):
        fit()
    assert all_finite(net)
    assert optimizer.steps == 3


def test_weights_that_are_not_finite_to_begin_with_are_refused():
    for name in ("weights", "bias"):
        net = make_net()
        array = getattr(net.layers[1], name).copy()
        array.flat[0] = np.inf
        setattr(net.layers[1], name, array)
        with pytest.raises(ValueError, match=f"Dense layer 1 has {name} that are not finite"):
            net.fit(*make_data())


def test_going_back_ends_even_where_the_way_there_is_another_one():
    """An augmentation that is no function of the epoch: running the epoch again goes elsewhere."""
    calls = []

    def worse_each_time(x, epoch):
        calls.append(epoch)
        return x * 1e37 if len(calls) > 1 else x

    net, optimizer = nncore.Network([nncore.Dense(K, M)], seed=0), overflowing_at(5)
    before = weights(net)
    with pytest.raises(FloatingPointError, match="not finite in epoch 1, batch 7 of 9"):
        net.fit(*make_data(), epochs=1, batch_size=7, optimizer=optimizer, augment=worse_each_time)
    assert calls == [0, 0]
    assert weights(net) == before


def test_an_interrupt_while_the_best_weights_are_restored_waits(monkeypatch):
    real = loop.set_arrays
    x, t = make_data()
    stopping = nncore.EarlyStopping(1, "loss", min_delta=1e9)  # the first epoch is the best
    interrupted = []

    def set_arrays(net, arrays):
        interrupted.append(1)
        os.kill(os.getpid(), signal.SIGINT)
        real(net, arrays)

    net = make_net()
    monkeypatch.setattr(loop, "set_arrays", set_arrays)
    with pytest.raises(KeyboardInterrupt):
        net.fit(x, t, epochs=5, batch_size=7, optimizer=nncore.SGD(0.01), early_stopping=stopping)
    monkeypatch.undo()
    assert interrupted
    assert weights(net) == good(1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
