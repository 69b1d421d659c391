"""Which loss goes with which activation, and what targets become or are refused for."""

from __future__ import annotations

import re

import numpy as np
import pytest

import nncore
from nncore import _table, losses
from nncore.losses import REGISTRY, choose_loss, infer_loss, prepare_targets

FLOAT = np.dtype(np.float32)
N, M = 4, 3


def prepare(name, t, n=N, m=M, dtype=FLOAT):
    return prepare_targets(REGISTRY[name], t, n, m, dtype)


def test_codes_are_those_of_the_kernels():
    names = _table.loss_names()
    assert [loss.code for loss in REGISTRY.values()] == list(range(len(names)))
    assert list(REGISTRY) == names
    assert sorted(losses._ROWS) == sorted(names)  # no row that the kernels do not know


@pytest.mark.parametrize("activation", list(nncore.activations.REGISTRY))
def test_the_loss_that_is_inferred(activation):
    expected = {
        "softmax": "cross_entropy",
        "log_softmax": "cross_entropy",
        "sigmoid": "binary_cross_entropy",
    }.get(activation, "mse")
    assert infer_loss(activation).name == expected
    assert choose_loss(None, activation) is infer_loss(activation)


@pytest.mark.parametrize("activation", list(nncore.activations.REGISTRY))
@pytest.mark.parametrize("name", list(REGISTRY))
def test_every_pair_is_taken_or_refused(name, activation):
    softmax = activation in ("softmax", "log_softmax")
    if name == "cross_entropy":
        good = softmax
        text = "expected softmax or log_softmax with the loss cross_entropy"
    elif name == "binary_cross_entropy":
        good, text = activation == "sigmoid", "expected sigmoid with the loss binary_cross_entropy"
    else:
        good, text = not softmax, f"weighted sum with the loss {name}: take the loss cross_entropy"
    if good:
        assert choose_loss(name, activation).name == name
    else:
        with pytest.raises(ValueError, match=text):
            choose_loss(name, activation)


def test_an_unknown_loss():
    with pytest.raises(ValueError, match="loss is 'l2', expected one of cross_entropy, "):
        choose_loss("l2", "identity")


@pytest.mark.parametrize("dtype", ["b", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8",
                                   ">i4", ">f8"])  # fmt: skip
def test_labels_of_any_dtype(dtype):
    result = prepare("cross_entropy", np.array([2, 0, 1, 2]).astype(dtype))
    assert result.dtype == np.int32
    assert result.tolist() == [2, 0, 1, 2]


def test_labels_in_lists_booleans_and_strides():
    assert prepare("cross_entropy", [2, 0, 1, 2]).tolist() == [2, 0, 1, 2]
    assert prepare("cross_entropy", [True, False, True, True]).tolist() == [1, 0, 1, 1]
    strided = prepare("cross_entropy", np.array([2, 9, 0, 9, 1, 9, 2, 9])[::2])
    assert strided.tolist() == [2, 0, 1, 2]
    assert strided.flags.c_contiguous


@pytest.mark.parametrize("dtype", ["?", "u1", "i8", "f2", "f4", "f8"])
def test_one_hot_rows_become_labels(dtype):
    rows = np.eye(M)[[2, 0, 1, 2]].astype(dtype)
    for form in (rows, np.asfortranarray(rows), rows.tolist()):
        result = prepare("cross_entropy", form)
        assert result.dtype == np.int32
        assert result.tolist() == [2, 0, 1, 2]


def test_probabilities_stay_rows():
    rows = np.array([[0.5, 0.25, 0.25], [1, 0, 0], [0, 1, 0], [0.2, 0.3, 0.5]])
    result = prepare("cross_entropy", rows)
    assert result.dtype == FLOAT
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, rows.astype(np.float32))
    # Two ones and an empty row are as many ones as samples, but no one-hot rows.
    with pytest.raises(ValueError, match=re.escape("t[0] sums to 2, expected a row of prob")):
        prepare("cross_entropy", [[1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]])


def test_rows_of_numbers():
    rows = np.arange(12.0).reshape(4, 3) - 6
    for name in ("mse", "mae", "huber"):
        for form in (rows, np.asfortranarray(rows), rows.tolist(), rows.astype(">f4")):
            result = prepare(name, form)
            assert result.dtype == FLOAT
            np.testing.assert_array_equal(result, rows)
    assert prepare("mse", np.arange(4), m=1).shape == (4, 1)
    assert prepare("binary_cross_entropy", [0, 1, 1, 0], m=1).tolist() == [[0], [1], [1], [0]]


@pytest.mark.parametrize(
    ("name", "t", "error", "text"),
    [
        ("cross_entropy", [0, 1, 2, 3], ValueError,
         "t[3] is the label 3, expected 0 to 2: the network has 3 outputs"),
        ("cross_entropy", [0, -1, 2, 0], ValueError, "t[1] is the label -1, expected 0 to 2"),
        ("cross_entropy", [0, 1.5, 2, 0], ValueError,
         "t[1] is 1.5, expected a class label, a whole number from 0 to 2"),
        ("cross_entropy", [0, 1, np.nan, 0], ValueError, "t[2] is nan, expected a class label"),
        ("cross_entropy", [0, 1, np.inf, 0], ValueError, "t[2] is inf, expected a class label"),
        ("cross_entropy", np.array([0, 2**40, 0, 0]), ValueError, "t[1] is the label 10995116277"),
        ("cross_entropy", np.array([0, 2**64 - 1, 0, 0], np.uint64), ValueError,
         "t[1] is the label 18446744073709551615"),
        ("cross_entropy", [0, 1, 2], ValueError,
         "t has 3 targets, expected one for each of the 4 samples of x"),
        ("cross_entropy", 1, ValueError, "t has shape (), expected one for each of the 4 samples"),
        ("cross_entropy", np.zeros((4, 2)), ValueError,
         "t has shape (4, 2), expected class labels (4,) or rows (4, 3)"),
        ("cross_entropy", [[0], [1], [3], [0]], ValueError, "t[2] is the label 3, expected 0 to 2"),
        ("cross_entropy", np.zeros((4, 1, 1), int), ValueError, "t has shape (4, 1, 1), expected"),
        ("cross_entropy", [[1, 0, 0]] * 3 + [[0.7, 0.4, 0]], ValueError, "t[3] sums to 1.1, exp"),
        ("cross_entropy", [[1, 0, 0]] * 3 + [[1.5, -0.5, 0]], ValueError,
         "t[3, 0] is 1.5, expected between 0 and 1 for probabilities"),
        ("cross_entropy", [[1, 0, 0]] * 3 + [[1, np.nan, 0]], ValueError,
         "t[3, 1] is nan, expected finite numbers in float32"),
        ("binary_cross_entropy", np.full((4, 3), 1.01), ValueError,
         "t[0, 0] is 1.01"),
        ("binary_cross_entropy", [0, 1, 1, 0], ValueError,
         "t has shape (4,), expected (4, 3), a row of 3 outputs for each sample (class labels go "
         "with a softmax layer)"),
        ("mse", np.zeros((4, 4)), ValueError, "t has shape (4, 4), expected (4, 3)"),
        ("mse", np.full((4, 3), 1e300), ValueError,
         "t[0, 0] is 1e+300, expected finite numbers in float32"),
        ("mse", [[1, 2, 3]] * 3 + [[1, np.nan, 3]], ValueError, "t[3, 1] is nan, expected finite"),
        ("mse", [["a"] * 3] * 4, TypeError, "t has dtype <U1, expected real numbers"),
        ("mse", [[1, 2, 3]] * 3 + [[1]], ValueError, "t is no rectangular array of numbers"),
        ("mse", np.ma.masked_array(np.zeros((4, 3))), TypeError, "t is a masked array"),
    ],
)  # fmt: skip
def test_targets_that_are_refused(name, t, error, text):
    with pytest.raises(error, match=re.escape(text)):
        prepare(name, t)
