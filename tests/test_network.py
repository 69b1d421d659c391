"""A network as its users meet it: run, looked into, asked for labels; custom activations."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import reference
from helpers import CLASSIC, CLASSIC_ACTIVATIONS
from reference import assert_same_bits

import nncore
from nncore import Dense, Network, Rescaling


def classic(dtype):
    arrays = {name: np.array(value, dtype) for name, value in CLASSIC.items()}
    return Network.from_dict(arrays, CLASSIC_ACTIVATIONS)


def test_the_classic_example(dtype):
    net = classic(dtype)
    assert net.dtype == np.dtype(dtype)
    np.testing.assert_allclose(net([1.0, 0.5]), [0.31682708, 0.69627909], atol=1e-7)
    first = net.trace([1.0, 0.5])[0]
    np.testing.assert_allclose(first.weighted_sum, [0.3, 0.7, 1.1], atol=1e-7)
    np.testing.assert_allclose(first.activation, [0.57444252, 0.66818777, 0.75026011], atol=1e-7)


@pytest.mark.parametrize("k", [1, 5, 64, 784, 3000])
@pytest.mark.parametrize("m", [1, 10, 50])
def test_sums_against_the_oracle(k, m, dtype):
    rng = np.random.default_rng(k + m)
    w, b = rng.standard_normal((k, m)).astype(dtype), rng.standard_normal(m).astype(dtype)
    x = rng.standard_normal((50, k)).astype(dtype)
    wanted = reference.affine(x, w, b)
    bound = reference.affine_bound(x, w, b, dtype)
    net = Network.from_arrays([w], [b], ["identity"])
    for y in (net(x), nncore.affine(x, w, b), np.array([net(row) for row in x])):
        assert y.dtype == np.dtype(dtype)
        assert (abs(y - wanted) / bound).max() <= 1


@pytest.mark.parametrize("name", list(nncore.activations.REGISTRY))
def test_each_activation_in_a_network_is_the_function(name, dtype):
    rng = np.random.default_rng(1)
    w, b, x = rng.standard_normal((7, 19)), rng.standard_normal(19), rng.standard_normal((40, 7))
    net = Network.from_arrays([w], [b], [name], dtype=dtype)
    sums = Network.from_arrays([w], [b], ["identity"], dtype=dtype)(x)
    function = nncore.activations.get(name)
    assert_same_bits(net(x), function(sums))
    assert_same_bits(net(x[0]), function(sums[0]))
    if dtype == "float64":
        assert_same_bits(nncore.affine(x, w, b, name), net(x))
    else:
        assert_same_bits(
            nncore.affine(x.astype("f4"), w.astype("f4"), b.astype("f4"), activation=name), net(x)
        )


@pytest.mark.parametrize(
    "name", [name for name, f in nncore.activations.REGISTRY.items() if f.alpha is not None]
)
@pytest.mark.parametrize("alpha", [0.5, -0.25, 0.0])
def test_the_parameters_of_an_activation(name, alpha, dtype):
    function = nncore.activations.get(name)
    parameters = {"alpha": alpha} if function.beta is None else {"alpha": alpha, "beta": 0.75}
    net = Network([Dense(1, 1, name, **parameters)], seed=0, dtype=dtype)
    net.layers[0].weights = [[1.0]]
    x = np.linspace(-3, 3, 41).reshape(-1, 1).astype(dtype)
    wanted = function(x, **parameters)
    assert not np.array_equal(wanted, function(x))
    assert_same_bits(net(x) + 0, wanted + 0)
    assert_same_bits(np.array([net(row) for row in x]) + 0, wanted + 0)
    assert_same_bits(net.trace(x)[0].activation, net(x))


def test_no_bias_is_a_bias_of_zeros(dtype):
    w, x = np.random.default_rng(0).standard_normal((5, 4)), np.ones((30, 5))
    without = Network.from_arrays([w], None, ["tanh"], dtype=dtype)
    assert_same_bits(without(x), Network.from_arrays([w], [np.zeros(4)], ["tanh"], dtype=dtype)(x))
    with pytest.raises(ValueError, match="this layer has no bias: it was made with bias=False"):
        without.layers[0].bias = np.zeros(4)


def test_attributes_and_repr():
    layers = [Dense(1000, 50, "relu", bias=False), Dense(50, 3, "leaky_relu", alpha=0.2)]
    net = Network([Rescaling(0.5), *layers], seed=0)
    assert (net.in_features, net.out_features, net.dtype) == (1000, 3, np.float32)
    assert net.parameters == 50_000 + 153
    assert repr(net).splitlines() == [
        "Network of 3 layers, 1,000 -> 3, float32",
        "  0  Rescaling(0.5)                                0",
        "  1  Dense(1000, 50, relu, bias=False)        50,000",
        "  2  Dense(50, 3, leaky_relu, alpha=0.2)         153",
        "50,153 parameters",
    ]
    one = repr(Network([Dense(1, 1)], seed=0))
    assert one.startswith("Network of 1 layer, 1 -> 1, float32")
    assert net.layers[1].bias is None
    assert isinstance(net.layers, tuple)  # so that nobody appends to it in vain
    assert len(net.layers) == 3


def test_logits_and_predict():
    w = np.array([[1.0, -1.0, 0.5], [0.0, 2.0, 0.5]])
    x = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [-1.0, -1.0]])
    for last in ("softmax", "log_softmax"):
        net = Network.from_arrays([w], None, [last])
        assert_same_bits(net.logits(x), x @ w + 0)
        labels = net.predict(x)
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(labels, [0, 1, 0, 0])
        assert net.predict(x[1]) == 1
        assert np.ndim(net.predict(x[1])) == 0
        out = np.zeros((4, 3))
        assert net.logits(x, out=out) is out
        assert_same_bits(out, net.logits(x))
    for last in ("identity", "relu", "tanh"):
        net = Network.from_arrays([w], None, [last])
        assert_same_bits(net.predict(x), net(x))


def test_predict_of_a_sigmoid_says_which_outputs_are_on(dtype):
    net = Network.from_arrays([np.eye(3)], None, ["sigmoid"], dtype=dtype)
    x = np.array([[-1.0, 0.0, 1.0], [1e-30, -1e-30, -1000.0]])
    labels = net.predict(x)
    np.testing.assert_array_equal(labels, [[0, 0, 1], [1, 0, 0]])
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(net.predict(x[0]), [0, 0, 1])


def test_predict_of_one_sigmoid_gives_one_label_a_sample(dtype):
    net = Network.from_arrays([[[1.0], [0.0]]], None, ["sigmoid"], dtype=dtype)
    x, y = np.array([[-1.0, 0.0], [2.0, 1.0], [0.0, 0.0]]), np.array([0, 1, 0])
    labels = net.predict(x)
    assert labels.shape == (3,)
    assert labels.dtype == np.int64
    assert (labels == y).mean() == 1  # (3, 1) would make this a comparison of all with all
    assert isinstance(net.predict(x[1]), np.int64)
    assert net.predict(x[1]) == 1
    assert net.predict(np.zeros((0, 2))).shape == (0,)


@pytest.mark.parametrize("last", ["softmax", "log_softmax", "sigmoid"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_no_label_follows_from_nan(last, outputs, dtype):
    net = Network.from_arrays([np.eye(3)[:, :outputs]], None, [last], dtype=dtype)
    x = np.zeros((9, 3))
    x[[2, 5], 0] = np.nan
    with pytest.raises(ValueError, match=r"^x\[2, 5\] give NaN as a weighted sum of the last"):
        net.predict(x)
    with pytest.raises(ValueError, match=r"^x gives NaN"):
        net.predict(x[2])
    x[:] = np.nan
    with pytest.raises(ValueError, match=r"^x\[0, 1, 2, 3, 4, \.\.\.\] give"):
        net.predict(x)
    with pytest.raises(ValueError, match=r"^x\[0\] gives"):
        net.predict(x[:1])


def test_outputs_that_are_no_labels_may_be_nan():
    net = Network.from_arrays([np.ones((1, 2))], None, ["identity"])
    assert np.isnan(net.predict([np.nan])).all()


def test_an_infinite_logit_is_the_largest():
    net = Network.from_arrays([[[0.0, 1.0, -1.0]]], [np.zeros(3)], ["softmax"])
    net.layers[0].bias = [5.0, 0.0, 0.0]
    assert net.predict([1e308]) == 1
    net.layers[0].bias = [5.0, np.inf, 0.0]
    assert net.predict([0.0]) == 1


def test_predict_with_a_callable_before_the_last_layer():
    net = Network([Dense(3, 4, np.tanh), Dense(4, 1, "sigmoid")], seed=0)
    x = np.random.default_rng(0).standard_normal((5, 3))
    np.testing.assert_array_equal(net.predict(x), (net.logits(x) > 0).ravel())


@pytest.mark.parametrize("last", ["softmax", "log_softmax", "sigmoid", "tanh", "identity"])
def test_logits_are_the_last_weighted_sum(last, dtype):
    net = Network([Dense(3, 5, "relu"), Dense(5, 2, last)], seed=0, dtype=dtype)
    x = np.random.default_rng(0).standard_normal((40, 3))
    assert_same_bits(net.logits(x), net.trace(x)[-1].weighted_sum)
    assert_same_bits(net.logits(x[0]), net.logits(x)[0])


def test_predict_does_not_lose_what_the_exponential_would():
    net = Network.from_arrays([np.eye(2)], None, ["softmax"])
    x = [[1.0, 1.0 + 2**-52], [-1e6, -1e6 + 1e-9], [800.0, 900.0]]
    np.testing.assert_array_equal(net.predict(x), [1, 1, 1])


@pytest.mark.parametrize("scale", [None, 1 / 255])
def test_trace_is_what_the_network_does(scale, dtype):
    layers = [Dense(6, 5, "gelu"), Dense(5, 4, "leaky_relu", alpha=0.3), Dense(4, 3, "softmax")]
    net = Network([Rescaling(scale), *layers] if scale else layers, seed=3, dtype=dtype)
    x = np.random.default_rng(0).integers(0, 256, (33, 6), np.uint8)
    steps = net.trace(x)
    assert [step.layer for step in steps] == layers
    assert [step.activation.shape for step in steps] == [(33, 5), (33, 4), (33, 3)]
    assert_same_bits(steps[-1].activation, net(x))
    assert_same_bits(steps[-1].weighted_sum, net.logits(x))
    for step in net.trace(x[0]):
        assert step.weighted_sum.shape == (step.layer.out_features,)


def cube(z):
    return z**3


def test_callables_as_activations(dtype, tmp_path):
    layers = [Dense(3, 5, cube), Dense(5, 4, np.tanh), Dense(4, 2, "softmax")]
    net = Network([Rescaling(0.5), *layers], seed=0, dtype=dtype)
    x = np.random.default_rng(0).standard_normal((40, 3))
    steps = net.trace(x)
    assert_same_bits(steps[0].activation, steps[0].weighted_sum ** 3)
    assert_same_bits(net(x), steps[-1].activation)
    assert_same_bits(net.logits(x), steps[-1].weighted_sum)
    np.testing.assert_array_equal(net.predict(x), net.logits(x).argmax(axis=1))
    assert net(x).dtype == np.dtype(dtype)
    assert net(x[0]).shape == (2,)
    out = np.zeros((2, 40), dtype).T
    assert net(x, out=out) is out
    assert_same_bits(out, net(x))
    net.layers[1].weights = np.zeros((3, 5))
    assert_same_bits(net(x), np.broadcast_to(net(x)[0], (40, 2)))
    assert "cube" in repr(net)
    assert_same_bits(pickle.loads(pickle.dumps(net))(x), net(x))
    with pytest.raises(ValueError, match="activation"):
        net.save(tmp_path / "net.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("function", "error", "text"),
    [
        (lambda z: z[..., :1], ValueError, r"turned shape \(2, 2\) into \(2, 1\), expected"),
        (lambda z: 1.0, ValueError, r"turned shape \(2, 2\) into \(\), expected the same shape"),
        (lambda z: z * 1j, TypeError, "the activation's result has dtype complex128|complex64"),
        (lambda z: None, TypeError, "the activation's result has dtype object"),
        (lambda z: 1 / 0, ZeroDivisionError, "division by zero"),
    ],
)
def test_callables_that_go_wrong(function, error, text):
    net = Network([Dense(2, 2, function)], seed=0)
    with pytest.raises(error, match=text):
        net([[1, 2], [3, 4]])


def test_registered_activations_may_be_given_as_objects():
    assert Dense(1, 1, nncore.relu).activation == "relu"
    assert Dense(1, 1, nncore.softmax).activation == "softmax"


def test_affine_chooses_the_dtype():
    single, double, whole = np.ones(2, "f4"), np.ones(2), np.ones(2, int)
    w = np.eye(2, dtype="f4")
    for x, wanted in [(single, "f4"), (double, "f8"), (whole, "f8"), (np.ones(2, "f2"), "f4")]:
        assert nncore.affine(x, w).dtype == np.dtype(wanted)
    assert nncore.affine(single, w, double).dtype == np.float64
