"""A network copied, pickled, saved and loaded is the same, bit for bit, and a thing of its own."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from reference import assert_same_bits

import nncore
from nncore import Dense, Network, Rescaling


@pytest.mark.parametrize("scale", [None, 0.25])
def test_copies_are_equal_and_apart(scale, dtype):
    layers = [
        Dense(3, 5, "leaky_relu", alpha=0.3),
        Dense(5, 5, "clip", alpha=-0.5, beta=2.5),
        Dense(5, 2, "softmax", bias=False),
    ]
    net = Network([Rescaling(scale), *layers] if scale else layers, seed=0, dtype=dtype)
    x = np.random.default_rng(0).standard_normal((40, 3))
    y = net(x)
    made = [copy.deepcopy(net)]
    made += [pickle.loads(pickle.dumps(net, protocol)) for protocol in range(2, 6)]
    for twin in made:
        assert repr(twin) == repr(net)
        assert twin.dtype == net.dtype
        assert_same_bits(twin(x), y)
        for ours, theirs in zip(net.layers, twin.layers, strict=True):
            assert ours is not theirs
        twin.layers[-1].weights = np.zeros((5, 2))
        assert_same_bits(net(x), y)
        assert (twin(x) != y).any()
        with pytest.raises(ValueError, match="read-only"):
            twin.layers[-2].weights[0, 0] = 1
    assert_same_bits(copy.copy(net)(x), y)


def test_a_layer_can_be_copied():
    layer = Network([Dense(3, 5, "relu")], seed=0).layers[0]
    twin = pickle.loads(pickle.dumps(layer))
    assert_same_bits(twin.weights, layer.weights)
    twin.weights = np.zeros((3, 5))
    assert (layer.weights != 0).any()


@pytest.mark.parametrize("scale", [None, 1 / 255])
def test_saved_and_loaded_bit_for_bit(scale, dtype, tmp_path):
    layers = [Dense(6, 5, "leaky_relu", alpha=0.3), Dense(5, 4, bias=False), Dense(4, 3, "softmax")]
    net = Network([Rescaling(scale), *layers] if scale else layers, seed=3, dtype=dtype)
    strange = np.array([np.nan, np.inf, -0.0, np.finfo(dtype).smallest_subnormal], dtype)
    net.layers[-2].weights = np.resize(strange, (5, 4))
    net.save(tmp_path / "net.npz")
    again = nncore.load(tmp_path / "net.npz")
    assert repr(again) == repr(net)
    for ours, theirs in zip(net.layers[-3:], again.layers[-3:], strict=True):
        assert_same_bits(theirs.weights, ours.weights)
        if ours.use_bias:
            assert_same_bits(theirs.bias, ours.bias)
    x = np.random.default_rng(0).integers(0, 256, (33, 6), np.uint8)
    assert_same_bits(again(x), net(x))
