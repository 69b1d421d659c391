"""The warning of pixels that are scaled twice: when it comes, and when it must not."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest

import nncore
from nncore import Dense, Network, Rescaling, ScalingWarning, _pixels

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 16)).astype(np.uint8)
SCALED = PIXELS / np.float32(255)
LABELS = np.arange(20) % 3


def make_net(scale=1 / 255, offset=0.0, dtype="float32"):
    layers = [Rescaling(scale, offset), Dense(16, 5, "relu"), Dense(5, 3, "softmax")]
    return Network(layers, seed=0, dtype=dtype)


def test_the_two_defaults_that_do_not_fit_together_say_so():
    digits = nncore.load_pretrained("digits")
    x, t = nncore.datasets.make_digits(100, seed=1, normalize=True)
    with pytest.warns(ScalingWarning, match="normalize=False") as caught:
        labels = digits.predict(x)
    assert (labels == t).mean() < 0.5  # what it warns of
    assert caught[0].filename == __file__, "the warning names the user's line"
    assert issubclass(ScalingWarning, UserWarning)


@pytest.mark.parametrize(
    "use",
    [
        lambda net, x: net(x),
        lambda net, x: net(x[0]),
        lambda net, x: net(x.reshape(-1, 4, 4)),
        lambda net, x: net(x.tolist()),
        lambda net, x: net(x.astype(np.float16)),
        lambda net, x: net(x.astype(">f8")),
        lambda net, x: net(np.asfortranarray(x)),
        lambda net, x: net(x, out=np.empty((20, 3), np.float32)),
        lambda net, x: net(2 * x - 1),  # another way to scale them
        lambda net, x: net.logits(x),
        lambda net, x: net.predict(x),
        lambda net, x: net.predict_proba(x),
        lambda net, x: net.trace(x),
        lambda net, x: net.evaluate(x, LABELS),
        lambda net, x: net.gradients(x, LABELS),
        lambda net, x: net.fit(x, LABELS, epochs=1),
        lambda net, x: net.fit(PIXELS, LABELS, epochs=1, validation=(x, LABELS)),
    ],
)
def test_every_way_in_warns_once_a_network(use):
    net = make_net()
    with pytest.warns(ScalingWarning) as caught:
        use(net, SCALED)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        use(net, SCALED)
        net.layers[1].weights = np.ones((16, 5))  # a new plan, the same network
        use(net, SCALED)
    for copied in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        with pytest.warns(ScalingWarning):
            use(copied, SCALED)


@pytest.mark.parametrize(
    ("scale", "offset"), [(1 / 255, 0), (1 / 256, 0), (1 / 127.5, -1), (0.003921569, 0)]
)
def test_scales_of_bytes(scale, offset, dtype):
    net = make_net(scale, offset, dtype)
    with pytest.warns(ScalingWarning):
        net(SCALED)


@pytest.mark.parametrize("scale", [1.0, 0.5, 1 / 16, 1 / 100, 1 / 65535])
def test_other_scales_do_not_warn(scale):
    make_net(scale)(SCALED)


def test_networks_that_begin_otherwise_do_not_warn():
    Network([Dense(16, 3, "softmax")], seed=0)(SCALED)
    Network([nncore.Normalization(np.zeros(16), np.ones(16)), Dense(16, 3)], seed=0)(SCALED)


def no_false_alarms():
    sharp = np.zeros((4, 16))
    sharp[:, 3] = 1
    yield "bytes", PIXELS
    yield "bytes as floats", PIXELS.astype(np.float64)
    yield "bytes made smaller by interpolation", (PIXELS[::2] / 2 + PIXELS[1::2] / 2)
    yield "bytes of 0 and 1", (PIXELS > 128).astype(np.uint8)
    yield "booleans", PIXELS > 128
    yield "black and white, as floats", sharp
    yield "black", np.zeros((4, 16))
    yield "white", np.ones(16)
    yield "dark, whole numbers", np.minimum(PIXELS, 1).astype(np.float32)
    yield "almost black, blurred", np.full((4, 16), 0.2)
    yield "tiny", np.full((4, 16), 1e-30)
    yield "one grey pixel", np.eye(16)[0] * 0.7
    yield "zero rows", np.zeros((0, 16))
    yield "NaN", np.full((4, 16), np.nan)
    yield "infinite", np.where(sharp == 1, np.inf, 0.3)
    yield "standardized", np.random.default_rng(0).normal(size=(20, 16))
    yield "one bright image among dark ones", np.vstack([SCALED] * 100 + [PIXELS[:2]])


@pytest.mark.parametrize("x", [pytest.param(x, id=name) for name, x in no_false_alarms()])
def test_no_false_alarms(x):
    net = make_net()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net(x)


def test_what_shows_nothing_does_not_silence_the_warning():
    net = make_net()
    for _ in range(50):
        net(np.zeros(16, np.float32))  # a first call to warm up
        net(PIXELS)
    with pytest.warns(ScalingWarning):
        net(SCALED)


def test_sparse_samples_are_looked_at_too():
    sparse = pytest.importorskip("scipy.sparse", reason="needs scipy")
    net = make_net()
    net(sparse.csr_matrix(PIXELS))
    with pytest.warns(ScalingWarning):
        net(sparse.csr_matrix(np.where(SCALED > 0.7, SCALED, 0)))


def test_after_pixels_of_255_nothing_is_looked_at_any_more():
    net = make_net()
    net(PIXELS.astype(np.float32))
    assert net._plan.watch is None
    net(SCALED)


def test_bytes_are_never_looked_at():
    net = make_net()
    net._plan.watch = None if net._plan.watch is None else FailingWatch()
    net(PIXELS)
    net(PIXELS.astype(np.int16))
    net(PIXELS > 3)
    with pytest.raises(AssertionError, match="looked"):
        net(SCALED)


class FailingWatch:
    def look(self, x):
        raise AssertionError("looked")


def test_networks_of_which_nothing_is_known_are_given_up():
    net = make_net()
    for _ in range(200):
        net(np.zeros(16))
    assert net._plan.watch is None


@pytest.mark.parametrize("n", [1, 255, 256, 257, 511, 513, 10_000])
def test_of_many_samples_some_hundreds_are_looked_at(n, monkeypatch):
    """From the first to nearly the last, so that the look costs the same for every batch."""
    looked = []
    count = np.count_nonzero
    monkeypatch.setattr(np, "count_nonzero", lambda rows: looked.append(rows) or count(rows))
    x = np.zeros((n, 3), np.float32)
    assert _pixels.looks_scaled(x) is None
    assert min(n, 128) <= sum(len(rows) for rows in looked) <= 256
    x[n // 2 :] = [0.3, 0.6, 1.0]
    assert _pixels.looks_scaled(x) is (True if n > 16 else None)
    assert _pixels.looks_scaled(x * 9) is (False if n > 0 else None)
