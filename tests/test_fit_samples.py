"""Samples that are not finite: `fit` comes upon them in its first epoch and undoes what it did."""

from __future__ import annotations

import re

import numpy as np
import pytest
from fits import weights
from helpers import run_python

import nncore

N, K = 300, 70  # three chunks of up to 128 samples, two words of flags for each sample
PLACES = [(0, 0), (127, 63), (128, 64), (N - 1, K - 1)]


def make_net(*first, dtype="float32"):
    """Return a network that has a finite loss for -inf: ReLU makes all hidden sums 0."""
    dense = nncore.Dense(K, 40, "relu")
    net = nncore.Network([*first, dense, nncore.Dense(40, 3, "softmax")], seed=0, dtype=dtype)
    dense.weights = np.abs(dense.weights) + dense.weights.dtype.type(0.01)
    return net


def make_data(dtype="float32"):
    random = np.random.default_rng(5)
    return random.random((N, K)).astype(dtype), random.integers(0, 3, N)


def spoil(x, place, value):
    """Return the error that names this number."""
    x[place] = value
    return re.escape(f"x[{place[0]}, {place[1]}] is {value}, expected finite numbers in ")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
def test_a_fit_with_one_bad_number_changes_nothing(value, place, dtype):
    x, t = make_data(dtype)
    net, optimizer = make_net(), nncore.Adam()
    net.fit(x, t, epochs=1, optimizer=optimizer)
    before, state = weights(net), repr(optimizer._state)
    text = spoil(x, place, value)
    for size in (1, 32, 200, N):
        with pytest.raises(ValueError, match=text):
            net.fit(x, t, epochs=2, batch_size=size, optimizer=optimizer)
        assert weights(net) == before
        assert repr(optimizer._state) == state
    for call in (net.evaluate, net.gradients):
        with pytest.raises(ValueError, match=text):
            call(x, t)


@pytest.mark.parametrize(
    "first",
    [
        [nncore.Rescaling(0.5)],
        [nncore.Normalization(np.zeros(K), np.ones(K))],
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_behind_a_layer_that_is_not_dense(first, dtype):
    net = make_net(*first, dtype=dtype)
    before = weights(net)
    for place in PLACES:
        x, t = make_data()
        text = spoil(x, place, -np.inf)
        for options in ({}, {"dropout": 0.5}, {"validation": 0.1, "shuffle": False}):
            with pytest.raises(ValueError, match=text):
                net.fit(x, t, epochs=2, **options)
        assert weights(net) == before


def test_a_large_number_that_the_dtype_cannot_hold():
    x, t = make_data("float64")
    text = spoil(x, (128, 64), -1e300)
    with pytest.raises(ValueError, match=text + "float32"):
        make_net().fit(x, t, epochs=1)
    make_net(dtype="float64").fit(x, t, epochs=1, optimizer=nncore.SGD(0.0))


def test_any_number_of_threads_comes_upon_it():
    code = """
import numpy as np, nncore
from test_fit_samples import PLACES, make_data, make_net, spoil, weights
for threads in (1, 2, 3, 5):
    nncore.set_num_threads(threads)
    for place in PLACES:
        net, (x, t) = make_net(), make_data()
        before = weights(net)
        text = spoil(x, place, -np.inf)
        for size in (40, 128, 300):
            try:
                net.fit(x, t, epochs=2, batch_size=size)
            except ValueError as error:
                assert str(error).startswith(f"x[{place[0]}, {place[1]}] is -inf"), error
            else:
                raise AssertionError(f"{threads} threads, batches of {size}: not refused")
            assert weights(net) == before
print("refused")
"""
    assert run_python(code, NNCORE_PARALLEL_MIN="0").stdout.strip() == "refused"


def test_a_refused_fit_leaves_the_optimizer_to_any_network():
    x, t = make_data()
    optimizer = nncore.Adam()
    text = spoil(x, (7, 7), np.nan)
    with pytest.raises(ValueError, match=text):
        make_net().fit(x, t, optimizer=optimizer)
    assert optimizer.steps == 0
    other = nncore.Network([nncore.Dense(K, 3, "softmax")], seed=0)
    other.fit(*make_data(), epochs=1, optimizer=optimizer)


def test_samples_put_aside_are_named_by_their_own_numbers():
    x, t = make_data()
    text = spoil(x, (N - 2, 1), np.nan)
    with pytest.raises(ValueError, match=text):
        make_net().fit(x, t, validation=0.1, shuffle=False)
    for seed in range(8):  # aside, or among those to learn from
        with pytest.raises(ValueError, match=text):
            make_net().fit(x, t, validation=0.5, seed=seed, epochs=1)


def test_a_loss_that_overflows_is_not_blamed_on_the_samples():
    x, t = make_data()
    with pytest.raises(FloatingPointError, match="not finite"):
        make_net().fit(x, t, optimizer=nncore.SGD(1e38), epochs=2)


def test_samples_without_weight_are_refused_as_well():
    x, t = make_data()
    text = spoil(x, (7, 7), np.nan)
    weight = np.ones(N)
    weight[[3, 7, 200]] = 0
    net = make_net()
    for call in (net.fit, net.evaluate, net.gradients):
        with pytest.raises(ValueError, match=text):
            call(x, t, sample_weight=weight)


def test_a_refused_fit_leaves_an_optimizer_with_another_momentum_alone():
    x, t = make_data()
    net, optimizer = make_net(), nncore.SGD(0.1, momentum=0.9)
    net.fit(x, t, epochs=1, optimizer=optimizer)
    before = repr(optimizer._state)
    optimizer.momentum = 0
    text = spoil(x, (7, 7), np.nan)
    with pytest.raises(ValueError, match=text):
        net.fit(x, t, epochs=1, optimizer=optimizer)
    assert repr(optimizer._state) == before


@pytest.mark.parametrize("front", [nncore.Rescaling(1e30), nncore.Normalization([0] * K, [1] * K)])
def test_finite_samples_that_overflow_in_a_layer_have_a_loss(front):
    """The numbers are finite, so nothing is refused; sigmoid makes 1 of infinity."""
    x, t = make_data("float64")
    x[5, 5] = 1e300
    if isinstance(front, nncore.Rescaling):
        x = np.minimum(x, 1e20).astype("f4")
    layers = [front, nncore.Dense(K, 8, "sigmoid"), nncore.Dense(8, 3, "softmax")]
    net = nncore.Network(layers, seed=0)
    assert np.isfinite(net(x)).all()
    loss = net.evaluate(x, t).loss
    assert np.isfinite(loss)
    assert net.gradients(x, t)[0] == loss
    with pytest.raises(
        FloatingPointError, match="the loss is not finite in epoch 1, batch 2 of 10"
    ):
        net.fit(x, t, epochs=1, shuffle=False)
