"""Pickled dicts of W1, b1, W2, ...: every honest way to write one is read, bit for bit."""

from __future__ import annotations

import pathlib
import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from network_files import bits, refused

import nncore
from nncore import formats
from nncore.formats import arrays, pickles


def classic(dtype="float32"):
    """A dict as the classic texts have it, 3-2-2."""
    rng = np.random.default_rng(5)
    shapes = {"W1": (3, 2), "b1": (2,), "W2": (2, 2), "b2": (2,)}
    return {key: rng.standard_normal(shape).astype(dtype) for key, shape in shapes.items()}


def dump(path, value, protocol=4):
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pkl"


# ---- read as it was written


@pytest.mark.parametrize("core", [b"numpy._core", b"numpy.core"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_protocol_and_numpy(path, dtype, protocol, core):
    expected = classic(dtype)
    data = pickle.dumps(expected, protocol)
    if protocol < 4:  # there a name is a line of text, which needs no length before it
        data = re.sub(rb"numpy\._?core", core, data)
    path.write_bytes(data)
    layers, found, *_ = formats.read(path, ["sigmoid", "softmax"])
    assert found == np.dtype(dtype)
    assert [layer.activation for layer in layers] == ["sigmoid", "softmax"]
    for i, layer in enumerate(layers, 1):
        assert bits(layer.weights) == bits(expected[f"W{i}"])
        assert bits(layer.bias) == bits(expected[f"b{i}"])


def test_names_of_numpy_1_with_a_length_before_them(path):
    data = pickle.dumps(classic(), 4)
    frame = data[:2] + data[11:]  # without the frame, whose length would not fit any more
    old = frame.replace(b"\x8c\x16numpy._core.multiarray", b"\x8c\x15numpy.core.multiarray")
    assert b"\x8c\x15numpy.core.multiarray" in old  # NumPy 1 wrote it so itself
    path.write_bytes(old)
    assert len(formats.read(path, ["relu", "identity"])[0]) == 2


# What Python 2 wrote for {"W1": np.array([[1.5]], "f4")}: bytes and text were one type there.
PYTHON_2 = {
    0: b"(dp0\nS'W1'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\n"
    b"tp4\nS'b'\np5\ntp6\nRp7\n(I1\n(I1\nL1L\ntp8\ncnumpy\ndtype\np9\n(S'f4'\np10\nI0\nI1\n"
    b"tp11\nRp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\ntp14\nbI00\nS'\\x00\\x00\\xc0?'\np15\n"
    b"tp16\nbs.",
    2: b"\x80\x02}q\x00U\x02W1q\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\n"
    b"q\x03K\x00\x85q\x04U\x01bq\x05\x87q\x06Rq\x07(K\x01K\x01\x8a\x01\x01\x86q\x08cnumpy\n"
    b"dtype\nq\tU\x02f4q\nK\x00K\x01\x87q\x0bRq\x0c(K\x03U\x01<q\rNNNJ\xff\xff\xff\xff"
    b"J\xff\xff\xff\xffK\x00tq\x0eb\x89T\x04\x00\x00\x00\x00\x00\xc0?q\x0ftq\x10bs.",
}


@pytest.mark.parametrize("protocol", PYTHON_2)
def test_python_2(path, protocol):
    path.write_bytes(PYTHON_2[protocol])
    assert pickle.loads(PYTHON_2[protocol], encoding="latin1")["W1"] == 1.5  # it is a real one
    (layer,), dtype, *_ = formats.read(path, ["identity"])
    assert (layer.weights.tolist(), layer.use_bias, dtype) == ([[1.5]], False, np.float32)


@pytest.mark.parametrize("protocol", [0, 2, 3, 5])
@given(
    array=hnp.arrays(
        st.sampled_from(["<f2", "<f4", ">f4", "<f8", ">f8", "|i1", ">i4", "<u8"]),
        hnp.array_shapes(max_dims=3, max_side=4),
    ),
    fortran=st.booleans(),
)
def test_any_array_as_pickle_reads_it(tmp_path_factory, protocol, array, fortran):
    array = np.asfortranarray(array) if fortran else array
    path = dump(tmp_path_factory.mktemp("any") / "weights.pkl", {"a": array}, protocol)
    found = pickles.read_arrays(path)["a"]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()


def test_byte_order_and_memory_order_do_not_matter(path):
    expected = classic()
    turned = {key: np.asfortranarray(value).astype(">f4") for key, value in expected.items()}
    payload = np.array([0x7F800001, 0x7FC12345], dtype="u4").view("f4")  # NaN, one signalling
    expected["b2"], turned["b2"] = payload, payload.byteswap().view(">f4")
    layers, dtype, *_ = formats.read(dump(path, turned), ["relu", "relu"])
    assert dtype == np.dtype("float32")
    assert layers[0].weights.flags.c_contiguous
    assert bits(layers[0].weights) == bits(expected["W1"])
    assert bits(layers[1].bias) == [0x7F800001, 0x7FC12345]


def test_one_array_under_two_keys(path):
    shared = np.eye(2)
    layers, *_ = formats.read(dump(path, {"W1": shared, "W2": shared}), ["relu", "relu"])
    assert layers[0].weights.tolist() == layers[1].weights.tolist() == shared.tolist()


@pytest.mark.parametrize("kind", ["pickle", "npz"])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_activations_that_are_missing_are_assumed_and_said(path, kind, layers):
    arrays = {f"W{i + 1}": np.full((2, 2), i + 0.5) for i in range(layers)}
    arrays |= {f"b{i + 1}": np.ones(2) for i in range(layers)}
    if kind == "pickle":
        dump(path, arrays)
    else:
        with open(path, "wb") as file:
            np.savez(file, **arrays)
    with pytest.warns(UserWarning, match="names no activations: sigmoid for the hidden") as caught:
        net = nncore.load(path)
    assert caught[0].filename == __file__  # it points to the call
    given = ["sigmoid"] * (layers - 1) + ["softmax"]
    assert [layer.activation for layer in net.layers] == given
    again = nncore.load(path, activations=given)  # no warning: they are errors in these tests
    assert again([0.3, 0.4]).tobytes() == net([0.3, 0.4]).tobytes()
    assert again.dtype == "float64"


def test_an_npz_of_other_arrays_is_no_network(path):
    for members, text in (
        ({"W1": np.eye(2), "labels": np.ones(2)}, "holds arrays but no nncore header, and not W1"),
        ({"W1": np.array(["text"])}, "'W1.npy' has dtype <U4, expected real numbers"),
        ({"b1": np.ones(2)}, "W1 is missing"),
        ({"W2": np.eye(2)}, "W1 is missing"),
        ({"W1": np.ones(2)}, r"W1 has shape (2,), expected (inputs, outputs)"),
    ):
        with open(path, "wb") as file:
            np.savez(file, **members)
        refused(path, text)


def test_a_path_and_a_missing_list(path):
    dump(path, classic())
    assert len(formats.read(str(path), ("relu", "relu"))[0]) == 2
    with pytest.raises(FileNotFoundError, match=r"no\.pkl"):
        pickles.read(pathlib.Path("no.pkl"), [])
    with pytest.raises(
        TypeError, match="activations is of type str, expected a list, one for each layer"
    ):
        formats.read(path, "relu")


# ---- the dict


def without(key, **others):
    return {k: v for k, v in (classic() | others).items() if k != key}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "there are no arrays, expected W1, b1, W2, b2, ..."),
        (without("b1"), "b1 is missing, expected a bias for every layer or for none"),
        (without("W1"), "W1 is missing (the highest number is 2)"),
        (without(None, W9=np.eye(2)), "W3 is missing (the highest number is 9)"),
        (without(None, B1=np.ones(2)), "both b1 and B1 are given"),
        (without(None, gamma=np.ones(2)), "unexpected key 'gamma', expected only W1, b1"),
        (without(None, W03=np.ones(2)), "unexpected key 'W03'"),
        (
            without(None, W2=np.ones((3, 2))),
            "W2 takes 3 features, expected 2: W1 gives so many; transposed, W2.T, it fits",
        ),
        (
            without(None, W2=np.ones((3, 4)), b2=np.ones(4)),
            "layer 2 takes 3 features, expected 2: layer 1 gives so many",
        ),
        (
            {"W1": np.ones((3, 2)), "b1": np.ones(3), "W2": np.ones((4, 3)), "b2": np.ones(4)},
            "one for each column of W1 (3, 2); transposed, W1.T, it fits (PyTorch",
        ),
        (
            {"W1": np.ones((3, 2)), "W2": np.ones((4, 3))},
            "expected 2: W1 gives so many; transposed, W1.T and so on, they fit (PyTorch",
        ),
        (without(None, W2=np.ones(2)), "W2 has shape (2,), expected (inputs, outputs)"),
        (without(None, W1=np.ones((2, 1, 3, 3))), "W1 has shape (2, 1, 3, 3)"),
        (without(None, b2=np.ones((1, 2))), "b2 has shape (1, 2), expected (2,), one for each"),
        (without(None, b2=np.ones(3)), "b2 has shape (3,), expected (2,)"),
        (without(None, b2=np.array([0, 1e300])), "b2 holds 1e+300, which is too large for float32"),
    ],
)
def test_dicts_that_are_no_network(path, value, text):
    refused(dump(path, value), text, ["relu", "softmax"])
    with pytest.raises(ValueError, match=re.escape(text)):
        arrays.layers_from_dict(value, ["relu", "softmax"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"W1": None}, "W1 has dtype object"),
        ({"W1": [[1, 2], [3]]}, "W1 is no rectangular array of numbers"),
        ({"W1": "text"}, "W1 has dtype <U4, expected real numbers"),
        ({"W1": np.ones((2, 2), complex)}, "W1 has dtype complex128, expected real numbers"),
        ({"W1": np.ones((2, 2), object)}, "W1 has dtype object"),
        ({"W1": np.ma.ones((2, 2))}, "W1 is a masked array"),
        ({"W1": np.ones((0, 2))}, "W1 has shape (0, 2), expected (inputs, outputs), both 1 or"),
        ({1: np.eye(2)}, "unexpected key of type int"),
        ({"W" + "9" * 99: np.eye(2)}, "unexpected key 'W999"),
    ],
)
def test_values_that_are_no_weights(value, text):
    with pytest.raises((TypeError, ValueError), match=re.escape(text)):
        arrays.layers_from_dict(value, ["relu"])


def test_activations_of_a_dict():
    for activations, text in [
        (["relu"], "activations has length 1, expected 2, one for each layer"),
        (
            ["softmax", "relu"],
            "layer 1 is Dense\\(3, 2, softmax\\), expected it as the last layer only",
        ),
        (["relu", "tahn"], "tahn"),
    ]:
        with pytest.raises(ValueError, match=text):
            arrays.layers_from_dict(classic(), activations)
    with pytest.raises(
        TypeError, match=r"arrays is of type list, expected a dict of W1, b1, W2, \.\.\."
    ):
        arrays.layers_from_dict([np.eye(2)], ["relu"])


def test_dtype_is_float64_only_if_every_array_is():
    double, single = classic("float64"), classic()
    assert arrays.layers_from_dict(double, ["relu", "relu"])[1] == np.float64
    for mixed in (double | {"b2": single["b2"]}, single, {"W1": [[1, 2]], "W2": [[0.5], [1.0]]}):
        layers, dtype = arrays.layers_from_dict(mixed, ["relu", "relu"])
        assert dtype == np.float32
        assert layers[0].weights.dtype == layers[1].weights.dtype == np.float32


def test_layers_hold_copies_and_callables():
    given = classic("float64")
    layers, _ = arrays.layers_from_dict(given, [np.tanh, "relu"])
    before = layers[0].weights.tolist()
    given["W1"][:] = 0
    assert layers[0].weights.tolist() == before
    assert layers[0].activation is np.tanh
