"""A kind of layer is a class and a row: one is added here, and used wherever layers are used."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from helpers import run_python
from network_files import header_of, refused, set_header
from reference import assert_same_bits

import nncore
from nncore import Dense, Network, Rescaling, activations, layers
from nncore._plan import Program
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


class Silu(Layer):
    """An activation of its own, anywhere before the last Dense layer."""

    def compile(self, program):
        program.add("activate", activations.CODES["silu"])


def silu_twice(dtype, front):
    """The same network with silu as layers, and as activations of Dense layers."""
    first = [Dense(5, 70, "silu"), Dense(70, 40, "silu"), Dense(40, 3, "softmax")]
    net = Network(first, seed=1, dtype=dtype)
    arrays = [(layer.weights, layer.bias) for layer in first]
    made = [Dense(5, 70), Silu(), Dense(70, 40), Silu(), Dense(40, 3, "softmax")]
    other = Network([Silu(), *made] if front else made, seed=2, dtype=dtype)
    layers.assign([layer for layer in made if isinstance(layer, Dense)], arrays)
    return net, other


@pytest.mark.parametrize("front", [False, True])
def test_one_in_the_middle_runs_and_learns(dtype, front, threads):
    net, other = silu_twice(dtype, front)
    x = np.random.default_rng(0).normal(size=(200, 5)).astype(dtype)
    given = x
    if front:
        x = nncore.silu(x)
    for count in (1, 3):
        threads(count)
        for n in (1, 2, 5, 33, 200):
            assert_same_bits(other(given[:n]), net(x[:n]))
            assert_same_bits(other.logits(given[:n]), net.logits(x[:n]))
        assert_same_bits(other.trace(given)[-1].activation, net(x))
        assert other.predict(given).tolist() == net.predict(x).tolist()
        t = np.arange(200) % 3
        for (dw, db), (other_dw, other_db) in zip(
            net.gradients(x, t)[1], other.gradients(given, t)[1], strict=True
        ):
            assert_same_bits(other_dw, dw)
            assert_same_bits(other_db, db)
        for each, samples in ((net, x), (other, given)):
            each.fit(samples, t, epochs=2, batch_size=30, seed=3)
        assert_same_bits(other(given), net(x))


def test_outputs_shared_by_threads_with_one_in_the_middle():
    run_python("""
import numpy as np
from reference import assert_same_bits
from test_layer_kinds import silu_twice
for dtype in ("float32", "float64"):
    net, other = silu_twice(dtype, False)
    x = np.ones((200, 5), dtype)
    for n in (1, 2, 3, 200):
        assert_same_bits(other(x[:n]), net(x[:n]))
""", NNCORE_PARALLEL_MIN="0", NNCORE_NUM_THREADS="3")  # fmt: skip


def test_the_last_layer_is_dense():
    with pytest.raises(
        ValueError, match=r"layers\[1\] is a Silu, expected a Dense layer as the last one: its act"
    ):
        Network([Dense(3, 3), Silu()])


def test_a_program_checks_an_operation():
    program = Program({}, 3, False)
    for kind in ("dropout", "dense", "no such"):
        with pytest.raises(ValueError, match=f"kind is '{kind}', expected another operation"):
            program.add(kind)
    for wrong in ([1.0, 2.0], 1.0, np.ones((3, 1))):
        with pytest.raises(ValueError, match=r"of activate have shape .*, expected \(..., 3\)"):
            program.add("activate", parameters=wrong)
    given = np.array([[1.0, 2, 3]])
    program.add("activate", parameters=given)
    kept = program.entries[0][3]
    given[:] = 0
    assert_same_bits(kept, np.array([[1, 2, 3]], np.float32))
