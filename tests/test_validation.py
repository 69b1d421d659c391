"""What a network and `affine` refuse to take as x and out, and in which words."""

from __future__ import annotations

import numpy as np
import pytest
from reference import assert_same_bits

import nncore
from nncore import _validation

SHAPES = r"expected \(4,\), \(n, 4\), or images \(n, h, w\) or \(n, 1, h, w\) with h \* w = 4"


class Quantity:
    """Something that NumPy cannot make numbers of."""

    def __float__(self):
        raise AssertionError("nobody should ask")


BAD_X = [
    (np.zeros(3), ValueError, "x has 3 features, this network takes 4"),
    (np.zeros(1), ValueError, "x has 1 feature, this network takes 4"),
    (np.zeros((2, 5)), ValueError, "x has 5 features, this network takes 4"),
    (np.zeros((4, 2)), ValueError, "x has 2 features, this network takes 4"),
    (np.zeros((0, 3)), ValueError, "x has 3 features, this network takes 4"),
    (np.zeros((2, 2)), ValueError, "x has 2 features, this network takes 4"),
    ([], ValueError, "x has 0 features, this network takes 4"),
    ([[]], ValueError, "x has 0 features, this network takes 4"),
    (1.0, ValueError, r"x has shape \(\), " + SHAPES),
    (np.zeros((2, 3, 4)), ValueError, r"x has shape \(2, 3, 4\), " + SHAPES),
    (np.zeros((2, 4, 3)), ValueError, r"x has shape \(2, 4, 3\), " + SHAPES),
    (np.zeros((1, 2, 1, 4)), ValueError, r"x has shape \(1, 2, 1, 4\), " + SHAPES),
    (np.zeros((3, 2, 2, 1)), ValueError, r"x has shape \(3, 2, 2, 1\), " + SHAPES),
    (np.zeros((1, 1, 1, 2, 2)), ValueError, r"x has shape \(1, 1, 1, 2, 2\), " + SHAPES),
    (np.zeros(4, complex), TypeError, "x has dtype complex128, expected real numbers: floating "),
    (np.zeros(4, np.complex64), TypeError, "x has dtype complex64, expected real numbers"),
    (np.zeros(4, object), TypeError, r"x has dtype object \(a ragged or mixed list becomes one\)"),
    (None, TypeError, "x has dtype object"),
    (Quantity(), TypeError, "x has dtype object"),
    ([1, 2, 3, None], TypeError, "x has dtype object"),
    ({1, 2, 3, 4}, TypeError, "x has dtype object"),
    ("abcd", TypeError, "x has dtype <U4, expected real numbers"),
    (b"abcd", TypeError, r"x has dtype \|S4, expected real numbers"),
    (["1", "2", "3", "4"], TypeError, "x has dtype <U1, expected real numbers"),
    (np.zeros(4, "M8[s]"), TypeError, r"x has dtype datetime64\[s\], expected real numbers"),
    (np.zeros(4, "m8[s]"), TypeError, r"x has dtype timedelta64\[s\], expected real numbers"),
    (np.zeros(4, "f4,f4"), TypeError, "x has dtype .*, expected real numbers"),
    ([[1, 2, 3, 4], [1, 2]], ValueError, "x is no rectangular array of numbers: "),
    ([[1, 2], 3, 4, 5], ValueError, "x is no rectangular array of numbers: "),
    (np.ma.zeros(4), TypeError, r"x is a masked array, .* for example with x\.filled\(0\)"),
]


def make(activation="identity"):
    return nncore.Network([nncore.Dense(4, 2, activation)], seed=0)


def custom(z):
    return z


@pytest.mark.parametrize("activation", ["softmax", custom], ids=["compiled", "layer by layer"])
@pytest.mark.parametrize(("x", "error", "text"), BAD_X)
def test_x_is_refused(x, error, text, activation):
    net = make(activation)
    for use in (net, net.logits, net.predict, net.trace):
        with pytest.raises(error, match=text):
            use(x)


@pytest.mark.parametrize(("x", "error", "text"), BAD_X)
def test_affine_refuses_the_same(x, error, text):
    with pytest.raises(error, match=text):
        nncore.affine(x, np.zeros((4, 2)))


BAD_OUT = [
    ([0.0, 0.0], TypeError, "out is of type list, expected a numpy.ndarray"),
    (np.ma.zeros((3, 2), "f4"), TypeError, "out is of type MaskedArray, expected a numpy.ndarray"),
    (np.zeros((3, 2)), TypeError, "out has dtype float64, expected float32"),
    (np.zeros((3, 2), ">f4"), TypeError, "out has dtype >f4, expected float32"),
    (np.zeros((3, 2), "i4"), TypeError, "out has dtype int32, expected float32"),
    (np.zeros((2, 3), "f4"), ValueError, r"out has shape \(2, 3\), expected \(3, 2\)"),
    (np.zeros((4, 2), "f4"), ValueError, r"out has shape \(4, 2\), expected \(3, 2\)"),
    (np.zeros(6, "f4"), ValueError, r"out has shape \(6,\), expected \(3, 2\)"),
    (np.zeros((3, 2, 1), "f4"), ValueError, r"out has shape \(3, 2, 1\), expected \(3, 2\)"),
    (np.broadcast_to(np.zeros(2, "f4"), (3, 2)), ValueError, "out is read-only, expected a writ"),
    (
        np.lib.stride_tricks.as_strided(np.zeros(2, "f4"), (3, 2), (0, 4), writeable=True),
        ValueError, r"out overlaps itself \(a broadcast array\), expected one place an element",
    ),
    (
        np.zeros(25, "u1")[1:].view("f4").reshape(3, 2),
        ValueError, "out is not aligned to its dtype, expected an aligned array",
    ),
]  # fmt: skip


@pytest.mark.parametrize("activation", ["softmax", custom], ids=["compiled", "layer by layer"])
@pytest.mark.parametrize(("out", "error", "text"), BAD_OUT)
def test_out_is_refused(out, error, text, activation):
    net = make(activation)
    for use in (net, net.logits):
        with pytest.raises(error, match=text):
            use(np.zeros((3, 4), "f4"), out=out)


def test_a_sample_needs_a_one_dimensional_out():
    net = make()
    with pytest.raises(ValueError, match=r"out has shape \(1, 2\), expected \(2,\)"):
        net(np.zeros(4), out=np.zeros((1, 2), "f4"))


@pytest.mark.parametrize("activation", ["softmax", custom], ids=["compiled", "layer by layer"])
def test_out_may_not_overlap_x(activation):
    net = nncore.Network([nncore.Dense(4, 4, activation)], seed=0)
    memory = np.arange(40, dtype=np.float32)
    x = memory[:12].reshape(3, 4)
    kept = memory.copy()
    for out in (x, x[::-1], memory[4:16].reshape(3, 4), memory[11:23].reshape(3, 4)):
        with pytest.raises(ValueError, match="out overlaps x in memory, expected memory of its o"):
            net(x, out=out)
    np.testing.assert_array_equal(memory, kept)
    beside = memory[12:24].reshape(3, 4)
    assert_same_bits(net(x, out=beside), net(x))


def test_out_may_interleave_with_x():
    """Overlap is of elements, not of address ranges."""
    net = nncore.Network([nncore.Dense(4, 4)], seed=0)
    memory = np.random.default_rng(0).random((20, 8)).astype(np.float32)
    wanted = net(memory[:, ::2].copy())
    assert_same_bits(net(memory[:, ::2], out=memory[:, 1::2]), wanted)


@pytest.mark.parametrize("n", [None, 0, 1, 3, 40])
def test_out_of_every_layout(n, dtype):
    net = nncore.Network([nncore.Dense(4, 5, "softmax")], seed=0, dtype=dtype)
    x = np.random.default_rng(1).random((4,) if n is None else (n, 4))
    wanted = net(x)
    shape = wanted.shape
    wide = np.full([3 * s for s in shape], 7, dtype)
    strided = wide[tuple([slice(None, None, 3)] * len(shape))]
    backwards = np.full(shape, 7, dtype)[tuple([slice(None, None, -1)] * len(shape))]
    for out in (np.empty(shape, dtype), np.empty(shape, dtype, order="F"), strided, backwards):
        assert net(x, out=out) is out
        assert_same_bits(out, wanted)
    assert (wide == 7).sum() == wide.size - strided.size, "written beside the elements of out"


@pytest.mark.parametrize("activation", ["softmax", custom], ids=["compiled", "layer by layer"])
def test_out_without_samples(activation):
    """Its strides are (0, 0) on recent NumPy: it does not overlap itself for that."""
    net = make(activation)
    for x in (np.zeros((0, 4), "f4"), np.zeros((4, 0), "f4").T, np.zeros((3, 4), "f4")[:0, ::-1]):
        for out in (
            np.zeros((0, 2), "f4"),
            np.zeros((2, 0), "f4").T,
            np.zeros((3, 2), "f4")[:0],
            np.zeros((3, 4), "f4")[:0, ::2],
        ):
            assert net(x, out=out) is out
            assert net.logits(x, out=out) is out


def test_what_is_accepted():
    net = make()
    row = [1.0, 2.0, 3.0, 4.0]
    wanted = net(np.array(row, np.float32))
    assert wanted.shape == (2,)
    for x in (row, tuple(row), range(1, 5), np.array(row), memoryview(np.array(row))):
        assert_same_bits(net(x), wanted)
    images = np.arange(24, dtype=np.uint8).reshape(6, 2, 2)
    wanted = net(images.reshape(6, 4))
    assert_same_bits(net(images), wanted)
    assert_same_bits(net(images[:, None]), wanted)
    assert_same_bits(net(images.transpose(0, 2, 1)), net(images.transpose(0, 2, 1).reshape(6, 4)))
    assert net(images[:0]).shape == (0, 2)
    assert net(np.zeros((0, 4))).shape == (0, 2)


def test_after_a_refusal_all_goes_on():
    net = make()
    x = np.ones((3, 4), np.float32)
    wanted = net(x)
    for bad, error, _ in BAD_X:
        with pytest.raises(error):
            net(bad)
        assert_same_bits(net(x), wanted)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0, ValueError, "in_features is 0, expected at least 1"),
        (-3, ValueError, "in_features is -3, expected at least 1"),
        (2.0, TypeError, "in_features is 2.0 of type float, expected a whole number"),
        (True, TypeError, "in_features is True of type bool, expected a whole number"),
        ("2", TypeError, "in_features is '2' of type str, expected a whole number"),
        (None, TypeError, "in_features is None of type NoneType, expected a whole number"),
    ],
)
def test_sizes(value, error, text):
    with pytest.raises(error, match=text):
        nncore.Dense(value, 2)
    with pytest.raises(error, match=text.replace("in_features", "out_features")):
        nncore.Dense(2, value)
    assert nncore.Dense(np.int64(3), np.uint8(2)).in_features == 3


@pytest.mark.parametrize("value", ["float16", "int32", "float", "f", complex, object(), "nonsense"])
def test_dtypes(value):
    if value in ("float", "f"):  # other names of the two there are
        assert _validation.dtype(value) in (np.dtype("f4"), np.dtype("f8"))
        return
    with pytest.raises(ValueError, match="expected 'float32' or 'float64'"):
        nncore.Network([nncore.Dense(1, 1)], dtype=value)


BAD_AFFINE = [
    (([1.0], [1.0]), ValueError, r"w has shape \(1,\), expected \(k, m\), both at least 1"),
    (([1.0], np.zeros((1, 0))), ValueError, r"w has shape \(1, 0\), expected \(k, m\)"),
    (([], np.zeros((0, 1))), ValueError, r"w has shape \(0, 1\), expected \(k, m\)"),
    (([1.0], [[1.0]], [1.0, 2.0]), ValueError, r"b has shape \(2,\), expected \(1,\)"),
    (([1.0], [[1.0]], 1.0), ValueError, r"b has shape \(\), expected \(1,\)"),
    (([1.0], [[1j]]), TypeError, "w has dtype complex128, expected real numbers"),
    (([1.0], [[1.0]], ["a"]), TypeError, "b has dtype <U1, expected real numbers"),
    (([1.0], [[1.0]], None, "rleu"), ValueError, "activation is 'rleu', expected one of "),
    (([1.0], [[1.0]], None, custom), TypeError, "activation"),
]


@pytest.mark.parametrize(("arguments", "error", "text"), BAD_AFFINE)
def test_affine_refuses(arguments, error, text):
    with pytest.raises(error, match=text):
        nncore.affine(*arguments)


def test_affine_out():
    x, w = np.ones((3, 4)), np.ones((4, 2))
    out = np.zeros((3, 2))
    assert nncore.affine(x, w, out=out) is out
    assert (out == 4).all()
    with pytest.raises(ValueError, match="out overlaps x"):
        nncore.affine(x, w, out=x[:, :2])
    with pytest.raises(TypeError, match="out has dtype float32, expected float64"):
        nncore.affine(x, w, out=np.zeros((3, 2), "f4"))
    for name, argument in (("w", w), ("b", np.zeros(2))):
        out = argument if name == "w" else np.zeros((1, 2))
        b = out[0] if name == "b" else None
        with pytest.raises(ValueError, match=f"out overlaps {name}"):
            nncore.affine(np.ones((len(out), 4)), w, b, out=out)
