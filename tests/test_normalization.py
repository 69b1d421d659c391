"""The layers at the front, Normalization and Rescaling with an offset: values, refusals, files."""

from __future__ import annotations

import copy
import pickle
from fractions import Fraction

import numpy as np
import pytest
from network_files import header_of, refused, set_header
from reference import assert_same_bits

import nncore
from nncore import Dense, Network, Normalization, Rescaling, formats
from nncore.formats import npz
from nncore.layers import KINDS, Layer

MEAN, STD = np.array([1.0, -2.5, 1e6]), np.array([2.0, 0.1, 0.5])


def dense(dtype="float32"):
    layer = Dense(3, 2, "softmax")
    layer.set_weights(np.arange(6).reshape(3, 2).astype(dtype) / 7, np.ones(2, dtype))
    return layer


def computed(front, x, dtype):
    """In double, rounded once: Normalization of the original element, Rescaling of the element in
    the network's dtype, with a multiply-add that is a single operation."""
    x = np.asarray(x)
    if isinstance(front, Normalization):
        return ((x.astype(np.float64) - front.mean) / front.std).astype(dtype)
    x = x.astype(dtype).astype(np.float64)
    scale, offset = Fraction(front.scale), Fraction(front.offset)
    exact = [float(Fraction(value) * scale + offset) for value in x.ravel().tolist()]
    return np.array(exact).reshape(x.shape).astype(dtype)


FRONTS = [Normalization(MEAN, STD), Rescaling(1 / 127.5, offset=-1), Rescaling(0.5, offset=1e6)]


WRONG = [
    (lambda: Normalization([1.0], [0.0]), ValueError,
     r"std\[0\] is 0.0, expected a positive number: take 1 for a feature that is the same in all"),
    (lambda: Normalization([1.0, 1], [1, -2]), ValueError, r"std\[1\] is -2.0, expected"),
    (lambda: Normalization([np.nan], [1]), ValueError, r"mean\[0\] is nan, expected a finite"),
    (lambda: Normalization([1, 1], [1, np.inf]), ValueError, r"std\[1\] is inf, expected"),
    (lambda: Normalization([1.0, 2.0], [1.0]), ValueError,
     r"std has shape \(1,\), expected \(2,\), the shape of mean"),
    (lambda: Normalization(1.0, 1.0), ValueError, r"mean has shape \(\), expected \(in_"),
    (lambda: Normalization([], []), ValueError, r"mean has shape \(0,\), expected \(in_"),
    (lambda: Normalization([[1.0]], [[1.0]]), ValueError, r"mean has shape \(1, 1\), expected"),
    (lambda: Normalization(["1"], [1]), TypeError, "mean has dtype <U1, expected real numbers"),
    (lambda: Normalization([1j], [1]), TypeError, "mean has dtype complex128, expected real"),
    (lambda: Network([Dense(3, 3), Normalization(MEAN, STD)]), ValueError,
     r"layers\[1\] is a Normalization, expected it as the first layer only"),
    (lambda: Network([Rescaling(1), Normalization(MEAN, STD), Dense(3, 1)]), ValueError,
     r"layers\[1\] is a Normalization, expected it as the first layer only"),
    (lambda: Network([Normalization(MEAN, STD), Dense(4, 1)]), ValueError,
     r"layers\[1\] takes 4 features, expected 3: layers\[0\] gives so many"),
    (lambda: Network([Normalization(MEAN, STD)]), ValueError,
     "layers has no Dense layer, expected at least one"),
    (lambda: Rescaling(1, "1"), TypeError, "offset is '1', expected a number"),
    (lambda: Rescaling(1, np.nan), ValueError, "offset is nan, expected a finite number"),
    (lambda: Rescaling(10**400), ValueError,
     "scale is an integer of 1329 bits, expected a finite number"),
    (lambda: Rescaling(1, -(10**5000)), ValueError,
     "offset is an integer of 16610 bits, expected a finite number"),
    (lambda: Rescaling([1.0]), TypeError, r"scale is \[1.0\], expected a number"),
    (lambda: Dense(10**400, 1), ValueError,
     f"in_features is an integer of 1329 bits, expected at most {2**60}"),
    (lambda: Dense(-(10**400), 1), ValueError,
     "in_features is an integer of 1329 bits, expected at least 1"),
    (lambda: Dense(1, 1, "leaky_relu", alpha=10**400), ValueError,
     "alpha is an integer of 1329 bits, expected a finite number"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "text"), WRONG)
def test_what_is_refused(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_attributes_are_copies_and_read_only():
    mean = np.array([1, 2])
    layer = Normalization(mean, [1, np.float32(0.1)])
    mean[:] = 9
    assert layer.mean.tolist() == [1, 2]
    assert layer.std.tolist() == [1, float(np.float32(0.1))]
    assert layer.mean.dtype == layer.std.dtype == np.float64
    assert (layer.in_features, layer.out_features, layer.parameters) == (2, 2, 0)
    assert repr(layer) == "Normalization(2 features)"
    for twin in (layer, pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        assert_same_bits(twin.mean, layer.mean)
        for array in (twin.mean, twin.std):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1
        with pytest.raises(AttributeError):
            twin.mean = [1, 2]


def test_every_kind_fulfils_the_contract():
    examples = [Dense(3, 2), *FRONTS]
    assert {type(layer) for layer in examples} == set(KINDS.values())
    names = [set(layer.array_types("float32")) for layer in examples[:2]]
    assert not names[0] & names[1]
    for layer in examples:
        assert isinstance(layer, Layer)
        assert layer.first_only == (not isinstance(layer, Dense))
        described = layer.describe("layer 1")
        again = type(layer).from_description(described, "layer 1")
        assert again.describe("layer 1") == described
        assert again.array_types("float32") == layer.array_types("float32")


# ---- files


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("front", FRONTS, ids=repr)
def test_files(front, dtype, tmp_path):
    path = tmp_path / "net.npz"
    npz.write(path, [front, dense(dtype)], dtype)
    assert header_of(path)["version"] == 2
    (twin, layer), found, *_ = formats.read(path)
    assert found == np.dtype(dtype)
    assert repr(twin) == repr(front)
    assert_same_bits(layer.weights, dense(dtype).weights)
    if isinstance(front, Normalization):
        assert_same_bits(twin.mean, MEAN)
        assert_same_bits(twin.std, STD)
        with np.load(path) as archive:
            assert list(archive) == ["header", "mean1", "std1", "W1", "b1"]
            assert archive["mean1"].dtype == np.float64


def test_what_older_versions_can_read_stays_version_1(tmp_path):
    path = tmp_path / "net.npz"
    for front in ([Rescaling(0.5)], [Rescaling(0.5, offset=-0.0)], []):
        npz.write(path, [*front, dense()], "float32")
        header = header_of(path)
        assert header["version"] == 1
        assert "offset" not in header["layers"][0]


HOSTILE = [
    (0, {"in_features": 4}, "layer 2 takes 3 features, expected 4: layer 1 gives so many"),
    (0, {"in_features": 0}, "layer 1: in_features is 0, expected a whole number of at least 1"),
    (0, {"in_features": True}, "layer 1: in_features is True"),
    (0, {"mean": [1.0]}, "layer 1 has the unknown key 'mean'"),
    (0, {"type": "Rescaling", "scale": 1}, "layer 1 has the unknown key 'in_features'"),
    (1, {"in_features": 4}, "layer 2 takes 4 features, expected 3: layer 1 gives so many"),
]


@pytest.mark.parametrize(("layer", "changes", "text"), HOSTILE)
def test_hostile_headers(layer, changes, text, tmp_path):
    path = tmp_path / "net.npz"
    npz.write(path, [FRONTS[0], dense()], "float32")
    header = header_of(path)
    header["layers"][layer] |= changes
    set_header(path, header)
    refused(path, text)


@pytest.mark.parametrize("features", [4, 2**59])
def test_a_header_of_longer_arrays(features, tmp_path):
    path = tmp_path / "net.npz"
    npz.write(path, [FRONTS[0], dense()], "float32")
    header = header_of(path)
    for layer in header["layers"]:
        layer["in_features"] = features
    set_header(path, header)
    refused(path, f"mean1 has shape (3,), expected ({features},), as the header says")


def test_a_hostile_offset(tmp_path):
    path = tmp_path / "net.npz"
    npz.write(path, [FRONTS[1], dense()], "float32")
    header = header_of(path)
    set_header(path, header | {"version": 1})
    refused(path, "the header's version is 1, expected 2: layer 1 is "
                  "Rescaling(0.00784313725490196, offset=-1.0)")  # fmt: skip
    header["layers"][0]["offset"] = "1"
    set_header(path, header)
    refused(path, "layer 1: offset is '1', expected a finite number")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.0, 1, 1], "std[0] is 0.0, expected a positive number"),
        ([1, np.nan, 1], "std[1] is nan, expected a finite number"),
    ],
)
def test_hostile_arrays(values, text, tmp_path):
    path = tmp_path / "net.npz"
    npz.write(path, [FRONTS[0], dense()], "float32")
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **arrays | {"std1": np.array(values, np.float64)})
    refused(path, text)
    np.savez(path, **arrays | {"std1": np.ones(3, np.float32)})
    refused(path, "std1 has dtype <f4, expected float64, as the header says")


# ---- arithmetic


def layouts(x):
    wide = np.zeros((2 * len(x), 2 * x.shape[1]), x.dtype)
    wide[::2, ::2] = x
    return [
        x,
        np.asfortranarray(x),
        wide[::2, ::2],
        x[::-1].copy()[::-1],
        x.astype(x.dtype.newbyteorder()),
    ]


@pytest.mark.parametrize("kind", ["u1", "i2", "f2", "f4", "f8", "?", "i8"])
@pytest.mark.parametrize("front", FRONTS, ids=repr)
def test_the_same_bits_as_numpy(front, kind, dtype):
    rng = np.random.default_rng(0)
    x = (rng.integers(0, 256, (70, 3)) * (rng.random((70, 3)) < 0.5)).astype(kind)
    layer = Dense(3, 3)
    layer.set_weights(np.eye(3), np.zeros(3))
    net = Network([front, layer], dtype=dtype)
    wanted = computed(front, x, dtype) + 0.0
    for same in layouts(x):
        assert_same_bits(net(same), wanted)
    fine = (rng.normal(size=(70, 3)) * 9).astype(kind)  # fractions, where the dtype has them
    assert_same_bits(net(fine), computed(front, fine, dtype) + 0.0)
    for n in (0, 1, 2, 7, 33):
        assert_same_bits(net(x[:n]), wanted[:n])
    assert_same_bits(net(x[5]), wanted[5])
    assert_same_bits(net.trace(x)[0].activation, wanted)


@pytest.mark.parametrize("front", FRONTS, ids=repr)
def test_with_threads(front, dtype, threads, monkeypatch):
    net = Network([front, Dense(3, 50, "relu"), Dense(50, 2, "softmax")], seed=0, dtype=dtype)
    x = np.random.default_rng(0).normal(size=(3000, 3))
    threads(1)
    y = net(x)
    threads(3)
    assert_same_bits(net(x), y)
    assert_same_bits(np.array([net(row) for row in x[:50]]), y[:50])


@pytest.mark.parametrize("front", FRONTS, ids=repr)
def test_a_whole_network(front, dtype, tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 3)) * 3
    net = Network([front, dense(dtype)], dtype=dtype)
    plain = Network([dense(dtype)], dtype=dtype)
    y = plain(computed(front, x, dtype))
    net.save(tmp_path / "net.npz")
    for twin in (net, nncore.load(tmp_path / "net.npz"), copy.deepcopy(net),
                 pickle.loads(pickle.dumps(net))):  # fmt: skip
        assert_same_bits(twin(x), y)
        assert repr(twin) == repr(net)
    assert (net.in_features, net.out_features) == (3, 2)


@pytest.mark.parametrize("front", FRONTS, ids=repr)
def test_training(front, dtype):
    """As with inputs that were computed beforehand."""
    x = np.random.default_rng(0).normal(size=(100, 3)) * 3
    t = (x[:, 0] > 0).astype(int)
    weights = []
    for layers, samples in [([front], x), ([], computed(front, x, dtype))]:
        net = Network([*layers, Dense(3, 8, "relu"), Dense(8, 2, "softmax")], seed=0, dtype=dtype)
        net.fit(samples, t, epochs=2, batch_size=7)
        weights.append(net.layers[-1].weights)
    assert_same_bits(*weights)
