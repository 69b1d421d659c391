"""Layers: how they are put together, filled, seeded and changed; what cannot be assembled."""

from __future__ import annotations

import gc
import hashlib
import weakref

import numpy as np
import pytest
from helpers import CLASSIC, CLASSIC_ACTIVATIONS
from reference import assert_same_bits

from nncore import Dense, Network, Rescaling


def small(**keywords):
    return Network([Dense(3, 5, "relu"), Dense(5, 2, "softmax")], seed=0, **keywords)


WRONG = [
    (lambda: Network([]), ValueError, "layers has no Dense layer, expected at least"),
    (lambda: Network([Rescaling(1)]), ValueError, "layers has no Dense layer, expected at least"),
    (lambda: Network(Dense(1, 1)), TypeError, "layers is a single layer, expected a list of them"),
    (lambda: Network(None), TypeError, "'NoneType' object is not iterable"),
    (lambda: Network([Dense(1, 1), "relu"]), TypeError,
     r"layers\[1\] is of type str, expected Dense, Normalization or Rescaling"),
    (lambda: Network([Dense(1, 1), Rescaling(2)]), ValueError,
     r"layers\[1\] is a Rescaling, expected it as the first layer only"),
    (lambda: Network([Dense(2, 3), Dense(4, 1)]), ValueError,
     r"layers\[1\] takes 4 features, expected 3: layers\[0\] gives so many"),
    (lambda: Network([Dense(2, 3, "softmax"), Dense(3, 1)]), ValueError,
     r"layers\[0\] is Dense\(2, 3, softmax\), expected it as the last layer only"),
    (lambda: Network([Rescaling(1), Dense(2, 3, "log_softmax"), Dense(3, 1)]), ValueError,
     r"layers\[1\] is Dense\(2, 3, log_softmax\), expected it as the last layer only"),
    (lambda: Network([Dense(2, 2)] * 2), ValueError,
     r"layers\[1\] is in the network already, expected a layer of its own"),
    (lambda: Dense(1, 1, "rleu"), ValueError, "activation is 'rleu', expected one of identit"),
    (lambda: Dense(1, 1, None), ValueError, "activation is None, expected one of identity"),
    (lambda: Dense(1, 1, "relu", alpha=0.1), ValueError,
     "activation is 'relu', which has no alpha, expected one of leaky_relu, elu, clip"),
    (lambda: Dense(1, 1, "elu", beta=0.1), ValueError,
     "activation is 'elu', which has no beta, expected one of clip, hard_sigmoid"),
    (lambda: Dense(1, 1, np.cos, alpha=0.1), ValueError,
     "activation is <ufunc 'cos'>, which has no alpha, expected one of leaky_relu, elu, clip"),
    (lambda: Dense(1, 1, "leaky_relu", alpha=np.nan), ValueError,
     "alpha is nan, expected a finite number"),
    (lambda: Dense(1, 1, init="random"), ValueError,
     "init is 'random', expected one of zeros"),
    (lambda: Rescaling("1"), TypeError, "scale is '1', expected a number"),
    (lambda: Rescaling(np.inf), ValueError, "scale is inf, expected a finite number"),
    (lambda: small(seed=1), TypeError, "seed"),
    (lambda: Network([Dense(1, 1)], seed=-1), ValueError, "seed has -1, expected"),
    (lambda: Network([Dense(1, 1)], seed=1.5), TypeError, "seed has 1.5, expected"),
    (lambda: Network.from_arrays([np.eye(2)], [], ["relu"]), ValueError,
     "the numbers of weights, biases and activations are 1, 0 and 1, expected as many of each"),
    (lambda: Network.from_arrays([np.eye(2)], None, []), ValueError,
     "the numbers of weights, biases and activations are 1, 1 and 0, expected as many of each"),
    (lambda: Network.from_arrays([np.eye(2)], None, "relu"), TypeError,
     "activations is a str, expected a sequence with one for each layer"),
    (lambda: Network.from_arrays([np.ones(2)], None, ["relu"]), ValueError,
     r"weights\[0\] has shape \(2,\), expected \(in_features, out_features\)"),
    (lambda: Network.from_arrays([np.ones((2, 0))], None, ["relu"]), ValueError,
     "out_features is 0, expected at least 1"),
    (lambda: Network.from_arrays([np.eye(2)], [np.ones(3)], ["relu"]), ValueError,
     r"biases\[0\] has shape \(3,\), expected \(2,\)"),
    (lambda: Network.from_arrays([np.ones((5, 4))], [np.ones(5)], ["relu"]), ValueError,
     r"column of weights\[0\] \(5, 4\); transposed, weights\[0\]\.T, it fits \(PyTorch"),
    (lambda: Network.from_arrays([np.eye(4, 5), np.eye(3, 5)], None, ["relu"] * 2), ValueError,
     r"weights\[1\] takes 3 features, expected 5: .*; transposed, weights\[1\]\.T, it fits"),
    (lambda: Network.from_arrays([np.eye(5, 4), np.eye(3, 5)], None, ["relu"] * 2), ValueError,
     r"weights\[1\] takes 3 .*; transposed, weights\[0\]\.T and so on, they fit \(PyTorch"),
    (lambda: Dense(4, 5).set_weights(np.ones((5, 4))), ValueError,
     r"weights has shape \(5, 4\), expected \(4, 5\); transposed, weights\.T, it fits"),
    (lambda: Network.from_arrays([np.eye(2) * 1j], None, ["relu"]), TypeError,
     r"weights\[0\] has dtype complex128, expected real numbers"),
    (lambda: Network.from_arrays([], [], []), ValueError, "layers has no Dense layer"),
    (lambda: Network.from_dict({"W1": np.eye(2), "b2": [0, 0]}, ["relu"]), ValueError,
     "b1 is missing, expected a bias for every layer or for none"),
    (lambda: Network.from_dict({**CLASSIC, "W5": np.eye(2)}, CLASSIC_ACTIVATIONS), ValueError,
     "W4 is missing"),
    (lambda: Network.from_dict({**CLASSIC, "scale": 1}, CLASSIC_ACTIVATIONS), ValueError,
     "unexpected key 'scale', expected only W1, b1, W2, b2"),
    (lambda: Network.from_dict(CLASSIC, ["relu"]), ValueError,
     "activations has length 1, expected 3, one for each layer"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "text"), WRONG)
def test_what_cannot_be_assembled(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_a_network_that_failed_leaves_its_layers_alone():
    mine = Network([Dense(2, 2)], seed=0, dtype="float32").layers[0]
    fresh = Dense(2, 2)
    with pytest.raises(ValueError, match="a layer is in a float32 network, expected a float64 one"):
        Network([fresh, mine], dtype="float64")
    assert fresh.weights is None
    assert Network([fresh, mine], dtype="float32").dtype == np.float32


def test_layers_of_another_dtype_cannot_join():
    for ours, theirs in (("float32", "float64"), ("float64", "float32")):
        net = Network([Dense(1, 1)], seed=0, dtype=ours)
        net.layers[0].weights = [[1 / 3]]
        y = net([1.0])
        text = f"a layer is in a {ours} network, expected a {theirs} one"
        with pytest.raises(ValueError, match=text):
            Network(net.layers, dtype=theirs)
        assert net([1.0]).dtype == np.dtype(ours)
        assert_same_bits(net([1.0]), y)


def test_weights_are_copied_and_read_only():
    w, b = np.eye(2, dtype=np.float32), np.zeros(2, np.float32)
    net = Network.from_arrays([w], [b], ["identity"])
    w[:], b[:] = 5, 5
    np.testing.assert_array_equal(net([1.0, 2.0]), [1, 2])
    layer = net.layers[0]
    with pytest.raises(ValueError, match="read-only"):
        layer.weights[0, 0] = 3
    with pytest.raises(ValueError, match="read-only"):
        layer.bias[0] = 3


def test_assigning_weights_repacks(dtype):
    net = small(dtype=dtype)
    x = np.ones((40, 3))
    before = net(x)
    net.layers[0].weights = np.full((3, 5), 0.5, np.float16)
    net.layers[1].bias = [1, 2]
    w = [layer.weights for layer in net.layers]
    b = [layer.bias for layer in net.layers]
    assert all(array.dtype == np.dtype(dtype) for array in w + b)
    assert_same_bits(net(x), Network.from_arrays(w, b, ["relu", "softmax"])(x))
    assert (net(x) != before).any()
    assert_same_bits(net(x[0]), net(x)[0])
    net.layers[1].bias = None
    np.testing.assert_array_equal(net.layers[1].bias, [0, 0])


def test_a_layer_without_bias_takes_none():
    layer = Dense(2, 3, bias=False)
    for _ in range(2):  # before it is in a network, and in one
        for assign in (
            lambda: layer.set_weights(np.ones((2, 3)), np.ones(3)),
            lambda: setattr(layer, "bias", np.ones(3)),
        ):
            with pytest.raises(ValueError, match="this layer has no bias: it was made with"):
                assign()
        assert layer.bias is None
        layer.set_weights(np.ones((2, 3)))
        assert Network([layer])([1, 1]).tolist() == [2, 2, 2]


BAD_WEIGHTS = [
    (np.zeros((2, 3)), ValueError, r"weights has shape \(2, 3\), expected \(3, 5\)"),
    (np.zeros(15), ValueError, r"weights has shape \(15,\), expected \(3, 5\)"),
    (np.zeros((3, 5), complex), TypeError, "weights has dtype complex128, expected real numbers"),
    ("text", TypeError, "weights has dtype <U4, expected real numbers"),
    (np.ma.zeros((3, 5)), TypeError, "weights is a masked array"),
    (None, (TypeError, ValueError), "weights"),
]


@pytest.mark.parametrize(("value", "error", "text"), BAD_WEIGHTS)
def test_a_refused_assignment_changes_nothing(value, error, text):
    net = small()
    layer, y = net.layers[0], net([1, 2, 3])
    kept = layer.weights
    with pytest.raises(error, match=text):
        layer.weights = value
    assert layer.weights is kept
    assert_same_bits(net([1, 2, 3]), y)


def test_what_a_layer_is_cannot_be_changed_unnoticed():
    """Either it takes effect, or it is refused."""
    net = small()
    layer = net.layers[0]
    x = np.array([[-5.0, 3.0, 1.0]])
    for name, value in [("activation", "sigmoid"), ("alpha", 0.5), ("in_features", 4)]:
        y = net(x)
        try:
            setattr(layer, name, value)
        except AttributeError:
            assert_same_bits(net(x), y)
        else:
            assert name == "activation", f"{name} was assigned and did nothing"
            assert_same_bits(net(x), net.trace(x)[-1].activation)


def test_a_layer_may_belong_to_two_networks():
    first = Dense(2, 2)
    a = Network([first], seed=0)
    b = Network([first, Dense(2, 1)], seed=1)
    assert b.layers[0].weights is a.layers[0].weights
    first.weights = [[1, 2], [3, 4]]
    np.testing.assert_array_equal(a([1, 1]), [4, 6])
    assert_same_bits(b.trace([1, 1])[0].activation, a([1, 1]))
    last = b.layers[1].weights
    np.testing.assert_allclose(b([1, 1]), [4 * last[0, 0] + 6 * last[1, 0]], atol=1e-5)


def test_a_layer_does_not_keep_its_networks_alive():
    layer = Dense(2, 2)
    net = weakref.ref(Network([layer], seed=0))
    gc.collect()
    assert net() is None
    layer.weights = np.eye(2)


def test_layers_given_weights_keep_them(dtype):
    given = Dense(2, 2)
    given.weights = [[1 / 3, 2], [3, 4]]
    net = Network([given, Dense(2, 2)], seed=0, dtype=dtype)
    assert_same_bits(net.layers[0].weights, np.array([[1 / 3, 2], [3, 4]], dtype))
    np.testing.assert_array_equal(net.layers[0].bias, [0, 0])
    assert (net.layers[1].weights != 0).all()


SEEDED = {
    ("float32", 0): "b237a554b450424c",
    ("float64", 0): "744b32de1f6f24d0",
    ("float32", (1, 2)): "a26572a81eeda9a6",
}


def seeded(dtype, seed):
    layers = [Dense(9, 7, "relu"), Dense(7, 5, "tanh", init="lecun"), Dense(5, 4, init="zeros")]
    net = Network(layers, seed=seed, dtype=dtype)
    return hashlib.sha256(b"".join(layer.weights.tobytes() for layer in net.layers)).hexdigest()


@pytest.mark.parametrize(("dtype", "seed"), SEEDED)
def test_a_seed_means_these_weights_everywhere(dtype, seed):
    assert seeded(dtype, seed)[:16] == SEEDED[dtype, seed]


def test_seeds_differ_and_layers_differ():
    def weights(seed):
        return Network([Dense(3, 3), Dense(3, 3)], seed=seed).layers[0].weights

    assert (weights(0) == weights(0)).all()
    assert (weights(0) != weights(1)).any()
    assert (weights(None) != weights(None)).any()
    net = Network([Dense(3, 3), Dense(3, 3)], seed=0)
    assert (net.layers[0].weights != net.layers[1].weights).any()


@pytest.mark.parametrize(
    ("activation", "init", "variance"),
    [("relu", None, 2 / 400), ("tanh", None, 2 / 700), ("tanh", "lecun", 1 / 400),
     ("relu", "xavier", 2 / 700), ("gelu", "zeros", 0)],
)  # fmt: skip
def test_initializers_have_their_variance(activation, init, variance):
    w = Network([Dense(400, 300, activation, init=init)], seed=0, dtype="float64").layers[0].weights
    # Four standard deviations of the variance of n normal numbers, sqrt(2 / n).
    assert abs(w.var() - variance) <= 4 * variance * np.sqrt(2 / w.size)
    assert abs(w.mean()) <= 4 * np.sqrt(variance / w.size)


def test_from_arrays_chooses_the_dtype():
    double, single = np.eye(2), np.eye(2, dtype=np.float32)
    for weights, biases, wanted in [
        ([double], None, "f8"), ([single], None, "f4"), ([double, single], None, "f4"),
        ([double], [np.zeros(2, "f4")], "f4"), ([double], [[0.0, 0.0]], "f8"),
        ([np.eye(2, dtype=int)], None, "f4"), ([np.eye(2, dtype="f2")], None, "f4"),
    ]:  # fmt: skip
        names = ["identity"] * len(weights)
        assert Network.from_arrays(weights, biases, names).dtype == np.dtype(wanted)
        assert Network.from_arrays(weights, biases, names, dtype="float64").dtype == np.float64


def test_from_dict_takes_both_spellings_of_the_bias():
    capital = {name.replace("b", "B"): value for name, value in CLASSIC.items()}
    a = Network.from_dict(CLASSIC, CLASSIC_ACTIVATIONS)
    assert_same_bits(Network.from_dict(capital, CLASSIC_ACTIVATIONS)([1, 2]), a([1, 2]))
