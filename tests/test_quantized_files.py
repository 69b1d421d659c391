"""Files of quantized networks: what they hold, and every damage ends in an error with the name."""

from __future__ import annotations

import numpy as np
import pytest
from network_files import header_of, members_of, npy, rebuild, refused, set_header
from quantized_reference import make
from reference import assert_same_bits

import nncore
from nncore import formats


@pytest.fixture
def net():
    net = make((6, 5, 3), hidden="leaky_relu", front=nncore.Rescaling(1 / 255))
    net.classes = ["a", "b", "c"]
    return net


@pytest.fixture
def saved(net, tmp_path):
    path = tmp_path / "net.npz"
    net.save(path)
    return path


def load_refused(path, text):
    with pytest.raises(ValueError, match=text) as caught:
        nncore.load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_gives_back_the_same_network(net, saved):
    again = nncore.load(saved)
    assert type(again) is nncore.QuantizedNetwork
    assert repr(again) == repr(net)
    for a, b in zip(again.layers[1:], net.layers[1:], strict=True):
        assert (a.step, a.zero_point, a.alpha) == (b.step, b.zero_point, b.alpha)
        for name in ("weights", "scale", "bias"):
            assert np.array_equal(getattr(a, name), getattr(b, name))
            assert not getattr(a, name).flags.writeable
    x = np.random.default_rng(0).integers(0, 256, (50, 6))
    assert_same_bits(again(x), net(x))
    again.save(saved.with_name("again.npz"))
    assert saved.read_bytes() == saved.with_name("again.npz").read_bytes()


@pytest.mark.parametrize(
    "front", [None, nncore.Rescaling(0.5, 3), nncore.Normalization([1.0] * 4, [2.0] * 4)]
)
def test_what_is_in_front_is_kept(front, tmp_path):
    net = make((4, 3, 2), front=front)
    net.save(tmp_path / "net.npz")
    again = nncore.load(tmp_path / "net.npz")
    assert repr(again.layers[0]) == repr(net.layers[0])
    x = np.random.default_rng(0).normal(0, 100, (20, 4))
    assert_same_bits(again(x), net(x))


def test_a_file_is_a_quarter_of_the_float_one(tmp_path):
    net = nncore.Network([nncore.Dense(784, 300, "relu"), nncore.Dense(300, 10)], seed=0)
    x = nncore.datasets.make_digits(20, seed=0)[0]
    net.save(tmp_path / "float.npz")
    nncore.quantize(net, x).save(tmp_path / "int8.npz")
    sizes = [(tmp_path / name).stat().st_size for name in ("int8.npz", "float.npz")]
    assert sizes[0] < 0.26 * sizes[1]


def test_what_a_file_holds(saved):
    header = header_of(saved)
    assert (header["format"], header["version"]) == ("nncore network", 4)
    assert header["dtype"] == "float32"
    assert header["layers"][1] == {
        "type": "QuantizedDense", "in_features": 6, "out_features": 5, "activation": "leaky_relu",
        "alpha": 0.01, "step": 1.0, "zero_point": 0,
    }  # fmt: skip
    with np.load(saved) as members:
        types = {name: members[name].dtype.str for name in members if name != "header"}
    assert types == {
        "weights1": "|i1", "scale1": "<f4", "bias1": "<f4",
        "weights2": "|i1", "scale2": "<f4", "bias2": "<f4",
    }  # fmt: skip


def test_a_float_network_is_written_as_before(tmp_path):
    nncore.Network([nncore.Dense(2, 2)], seed=0).save(tmp_path / "net.npz")
    assert header_of(tmp_path / "net.npz")["version"] == 1


@pytest.mark.parametrize("ending", ["onnx", "safetensors", "pt", "pth"])
def test_other_formats_are_refused(net, tmp_path, ending):
    path = tmp_path / f"net.{ending}"
    with pytest.raises(ValueError, match=r"a quantized network is saved as \.npz"):
        net.save(path)
    assert not path.exists()
    with pytest.raises(ValueError, match=r"saved as \.npz only"):
        net.save(tmp_path / "net.txt")


def test_activations_are_in_the_file(saved):
    with pytest.raises(ValueError, match="names its activations itself"):
        nncore.load(saved, ["relu", "softmax"])


# ---- hostile files


@pytest.mark.parametrize("version", [1, 2, 3])
def test_an_older_version_does_not_hold_it(saved, version):
    header = header_of(saved) | {"version": version}
    if version < 3:
        del header["classes"]
    set_header(saved, header)
    refused(saved, f"the header's version is {version}, expected 4: layer 2 is QuantizedDense")


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("step", 0, "layer 2: step is 0.0, expected a positive number of float32"),
        ("step", -0.5, "layer 2: step is -0.5, expected a positive number of float32"),
        ("step", 1e-50, "layer 2: step is 1e-50, expected a positive number of float32"),
        ("step", 1e50, "layer 2: step is 1e+50, expected a positive number of float32"),
        ("step", "1", "layer 2: step is '1', expected a finite number"),
        ("step", True, "layer 2: step is True, expected a finite number"),
        ("zero_point", 256, "layer 2: zero_point is 256, expected a whole number from 0 to 255"),
        ("zero_point", -1, "layer 2: zero_point is -1, expected a whole number from 0 to 255"),
        ("zero_point", 3.0, "layer 2: zero_point is 3.0, expected a whole number from 0 to 255"),
        ("zero_point", False, "layer 2: zero_point is False, expected a whole number"),
        ("zero_point", None, "layer 2: zero_point is None, expected a whole number"),
        ("zero_point", [0], "layer 2: zero_point is [0], expected a whole number"),
        ("zero_point", "x" * 10_000, "layer 2: zero_point is 'xxx"),
        ("in_features", 66_312, "layer 2 has 66,312 inputs, expected at most 66,311 in 8 bits"),
        ("in_features", 7, "weights1 has shape (6, 5), expected (7, 5), as the header says"),
        ("in_features", 2**31, "layer 2 has 2,147,483,648 inputs, expected at most 66,311"),
        ("in_features", 2**62, "layer 2: in_features is 4611686018427387904"),
        ("in_features", 2.0, "layer 2: in_features is 2.0"),
        ("out_features", 4, "layer 3 takes 5 features, expected 4: layer 2 gives so many"),
        ("activation", "sine", "sine"),
        ("activation", ["relu"], "layer 2: the activation is not text"),
        ("activation", "softmax", "activation is 'softmax', which has no alpha"),
        ("alpha", 1e300, "alpha is 1e+300, expected at most 3.4028235e+38 in float32"),
        ("alpha", "0.1", "layer 2: alpha is '0.1', expected a finite number"),
        ("beta", 0.1, "layer 2 has the unknown key 'beta'"),
        ("use_bias", True, "layer 2 has the unknown key 'use_bias'"),
        ("type", "Dense", "layer 2 has the unknown key 'step'"),
        ("type", "quantizeddense", "layer 2 has the type 'quantizeddense', expected Dense"),
    ],
)
def test_layer_keys(saved, key, value, text):
    header = header_of(saved)
    header["layers"][1][key] = value
    set_header(saved, header)
    refused(saved, text)


@pytest.mark.parametrize("key", ["step", "zero_point", "alpha", "in_features", "activation"])
def test_missing_keys(saved, key):
    header = header_of(saved)
    del header["layers"][1][key]
    set_header(saved, header)
    refused(saved, "layer 2 lacks '")


def test_another_dtype(saved):
    set_header(saved, header_of(saved) | {"dtype": "float64"})
    refused(saved, "the header's dtype is float64, expected float32 with quantized layers")


def test_layers_of_both_kinds(saved):
    header = header_of(saved)
    header["layers"].append(
        {"type": "Dense", "in_features": 3, "out_features": 3, "activation": "relu",
         "alpha": None, "use_bias": True}
    )  # fmt: skip
    header["layers"][2]["activation"] = "relu"
    set_header(saved, header)
    refused(saved, "layer 4 is a Dense, expected a QuantizedDense as before")
    header["layers"] = header["layers"][:1]
    set_header(saved, header)
    refused(saved, "layers has no Dense layer, expected at least one")


@pytest.mark.parametrize(
    ("name", "array", "text"),
    [
        ("weights1", np.full((6, 5), -128, np.int8), "weights has -128, expected whole numbers"),
        ("weights1", np.ones((6, 5), np.uint8), "weights1 has dtype |u1, expected int8"),
        ("weights1", np.ones((6, 5), np.float32), "weights1 has dtype <f4, expected int8"),
        ("weights1", np.ones((6, 5), bool), "weights1 has dtype |b1, expected int8"),
        ("weights1", np.ones((5, 6), np.int8), "weights1 has shape (5, 6), expected (6, 5)"),
        ("scale1", np.zeros(5, np.float32), "scale has a number that is not positive"),
        ("scale1", np.full(5, np.nan, np.float32), "scale has NaN or infinity"),
        ("scale1", np.full(5, np.inf, np.float32), "scale has NaN or infinity"),
        ("scale1", np.ones(5), "scale1 has dtype <f8, expected float32"),
        ("scale1", np.ones(4, np.float32), "scale1 has shape (4,), expected (5,)"),
        ("bias1", np.full(5, np.nan, np.float32), "bias has NaN or infinity"),
    ],
)
def test_arrays(saved, name, array, text):
    rebuild(saved, members_of(saved) | {f"{name}.npy": npy(array)})
    refused(saved, text)


def test_arrays_of_other_layouts(saved, net):
    """What np.savez of another machine writes: big-endian, in Fortran order."""
    with np.load(saved) as members:
        arrays = dict(members)
    arrays["weights1"] = np.asfortranarray(arrays["weights1"])
    arrays["scale1"] = arrays["scale1"].astype(">f4")
    np.savez(saved, **arrays)
    x = np.random.default_rng(0).integers(0, 256, (50, 6))
    assert_same_bits(nncore.load(saved)(x), net(x))


def test_missing_and_other_arrays(saved):
    members = members_of(saved)
    rebuild(saved, {name: data for name, data in members.items() if name != "scale2.npy"})
    refused(saved, "the array 'scale2.npy' is missing")
    rebuild(saved, members | {"W1.npy": npy(np.ones(3))})
    refused(saved, "the array 'W1.npy' is not in the header")


def test_sums_that_are_too_large_are_refused_with_the_name_of_the_file(saved):
    scale = np.full(5, 3e38, np.float32)
    rebuild(saved, members_of(saved) | {"scale1.npy": npy(scale)})
    header = header_of(saved)
    header["layers"][0]["scale"] = 10.0
    set_header(saved, header)
    formats.read(saved)
    load_refused(saved, "sums that are too large for float32")


def test_every_truncation_and_every_byte(saved, tmp_path):
    """A file that is cut short, or has one byte changed, is refused or is a network."""
    data = saved.read_bytes()
    damaged = tmp_path / "damaged.npz"
    for end in range(0, len(data), 37):
        damaged.write_bytes(data[:end])
        with pytest.raises(ValueError, match=r"damaged\.npz"):
            nncore.load(damaged)
    for place in range(0, len(data), 5):
        damaged.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            assert isinstance(nncore.load(damaged), nncore.QuantizedNetwork)
        except ValueError as error:
            assert str(error).startswith(f"{damaged}: ")  # noqa: PT017
