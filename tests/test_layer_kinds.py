"""A kind of layer is a class and a row: one is added here, and used wherever layers are used."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from network_files import header_of, refused, set_header
from reference import assert_same_bits

import nncore
from nncore import Dense, Network, Rescaling, layers
from nncore.layers._layer import Layer, check_keys, check_size


class Halving(Layer):
    """x / 2 of a certain number of features, with an array that a file must keep."""

    first_only = True

    def __init__(self, features):
        self.in_features_ = features
        self.marks = np.arange(features, dtype=np.float64)

    @property
    def in_features(self):
        return self.in_features_

    def compile(self, program):
        program.rescale(0.5, 0.0)

    def describe(self, where):
        return {"features": self.in_features_}

    @classmethod
    def from_description(cls, described, where):
        check_keys(described, {"features"}, where)
        layer = cls.__new__(cls)
        layer.in_features_ = check_size(described, "features", where)
        return layer

    def array_types(self, dtype):
        return {"marks": ("float64", (self.in_features_,))}

    def arrays(self, record):
        return {"marks": self.marks}

    def set_arrays(self, arrays):
        self.marks = arrays["marks"]

    def __repr__(self):
        return f"Halving({self.in_features_})"


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(layers.KINDS, "Halving", Halving)


def make():
    return Network([Halving(3), Dense(3, 2, "softmax")], seed=0)


def test_it_runs_and_learns():
    net = make()
    plain = Network([Rescaling(0.5), Dense(3, 2, "softmax")], seed=0)
    x = np.random.default_rng(0).normal(size=(50, 3))
    assert_same_bits(net(x), plain(x))
    assert_same_bits(net.trace(x)[0].activation, net(x))
    for each in (net, plain):
        each.fit(x, (x[:, 0] > 0).astype(int), epochs=2, batch_size=8)
    assert_same_bits(net.layers[1].weights, plain.layers[1].weights)
    assert repr(net).splitlines()[1].split() == ["0", "Halving(3)", "0"]


def test_it_is_copied_and_saved(tmp_path):
    net, x = make(), [[1, 2, 3]]
    net.save(tmp_path / "net.npz")
    for twin in (nncore.load(tmp_path / "net.npz"), copy.deepcopy(net),
                 pickle.loads(pickle.dumps(net))):  # fmt: skip
        assert_same_bits(twin(x), net(x))
        assert_same_bits(twin.layers[0].marks, net.layers[0].marks)
    with np.load(tmp_path / "net.npz") as archive:
        assert list(archive) == ["header", "marks1", "W1", "b1"]
    header = header_of(tmp_path / "net.npz")
    assert header["layers"][0] == {"type": "Halving", "features": 3}
    header["layers"][0]["features"] = 0
    set_header(tmp_path / "net.npz", header)
    refused(tmp_path / "net.npz", "layer 1: features is 0, expected a whole number of at least 1")


def test_it_is_checked():
    with pytest.raises(ValueError, match=r"layers\[1\] is a Halving, expected it as the first"):
        Network([Dense(3, 3), Halving(3)])
    with pytest.raises(
        ValueError, match=r"layers\[1\] takes 4 features, expected 3: layers\[0\] gi"
    ):
        Network([Halving(3), Dense(4, 3)])


def test_a_class_without_a_row_cannot_be_saved(tmp_path, monkeypatch):
    monkeypatch.delitem(layers.KINDS, "Halving")
    with pytest.raises(ValueError, match="layer 1 is a Halving, expected Dense, Normalization or"):
        make().save(tmp_path / "net.npz")
    assert not list(tmp_path.iterdir())
