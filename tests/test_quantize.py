"""`nncore.quantize`: what it makes of a network and samples, what it refuses, what is lost."""

from __future__ import annotations

import copy
import importlib.util
import inspect
import itertools
import os
import pickle

import numpy as np
import pytest
import quantized_reference as oracle
from reference import assert_same_bits

import nncore
from nncore.datasets.mnist import find_mnist, read_split
from nncore.quantized import ranges

PIXELS = nncore.Rescaling(1 / 255)


@pytest.fixture(scope="module")
def digits():
    return nncore.datasets.make_digits(400, seed=0)


@pytest.fixture(scope="module")
def net():
    return nncore.load_pretrained("digits")


@pytest.fixture(scope="module")
def quantized(net, digits):
    return nncore.quantize(net, digits[0])


def network(sizes, activations, front=None, seed=0, dtype="float32"):
    dense = [
        nncore.Dense(k, m, name)
        for (k, m), name in zip(itertools.pairwise(sizes), activations, strict=True)
    ]
    net = nncore.Network([*([front] if front else []), *dense], seed=seed, dtype=dtype)
    rng = np.random.default_rng(seed)
    for layer in dense:
        layer.bias = rng.standard_normal(layer.out_features) / 4
    return net


def error(net, quantized, x):
    """Of the logits, root mean square, in standard deviations of the float ones."""
    wanted, found = net.logits(x), quantized.logits(x)
    return float(np.sqrt(((wanted - found) ** 2).mean() / (wanted - wanted.mean(axis=0)).var()))


# ---- what it is


def test_it_looks_like_a_network(net, quantized, digits):
    assert isinstance(quantized, nncore.QuantizedNetwork)
    assert not isinstance(quantized, nncore.Network)
    assert (quantized.in_features, quantized.out_features) == (784, 10)
    assert quantized.dtype == np.float32
    assert quantized.parameters == net.parameters
    assert isinstance(quantized.layers, tuple)
    assert quantized.layers[0] is net.layers[0]
    assert str(inspect.signature(quantized)) == str(inspect.signature(net))
    assert repr(quantized).splitlines()[:3] == [
        "QuantizedNetwork of 4 layers, 784 -> 10, int8",
        "  0  Rescaling(0.00392156862745098)" + repr(quantized).splitlines()[1][35:],
        "  1  QuantizedDense(784, 50, relu, inputs 0 to 255)"
        + repr(quantized).splitlines()[2][51:],
    ]
    x, t = digits
    assert_same_bits(quantized(x), oracle.run(quantized, x))
    assert_same_bits(quantized.predict_proba(x), quantized(x))
    assert (quantized.predict(x) == t).mean() > 0.98
    evaluation = quantized.evaluate(x, t)
    assert evaluation.accuracy == (quantized.predict(x) == t).mean()
    assert evaluation.loss == pytest.approx(net.evaluate(x, t).loss, abs=0.01)


def test_its_layers_say_what_they_do(net, quantized):
    for layer, old in zip(quantized.layers[1:], net.layers[1:], strict=True):
        assert isinstance(layer, nncore.QuantizedDense)
        assert (layer.in_features, layer.out_features) == (old.in_features, old.out_features)
        assert (layer.activation, layer.alpha, layer.beta) == (old.activation, None, None)
        assert layer.weights.dtype == np.int8
        assert layer.scale.dtype == layer.bias.dtype == np.float32
        assert (np.abs(layer.weights).max(axis=0) == 127).all()
        half = layer.scale / 2 * np.float32(1 + 1e-5)
        assert (np.abs(layer.dequantized - old.weights) <= half).all()
        for array in (layer.weights, layer.scale, layer.bias):
            assert not array.flags.writeable
        for name in ("weights", "scale", "bias", "step", "zero_point", "activation"):
            with pytest.raises(AttributeError):
                setattr(layer, name, getattr(layer, name))
    with pytest.raises(AttributeError, match="has no attribute 'weigths', did you mean 'weights'"):
        quantized.layers[1].weigths = 1


def test_the_float_network_stays_as_it_is(net, digits):
    before = [layer.weights.tobytes() for layer in net.layers[1:]]
    outputs = net(digits[0]).tobytes()
    nncore.quantize(net, digits[0][:50])
    assert [layer.weights.tobytes() for layer in net.layers[1:]] == before
    assert net(digits[0]).tobytes() == outputs


def test_the_same_samples_give_the_same_network(net, quantized, digits):
    again = nncore.quantize(net, digits[0])
    for a, b in zip(quantized.layers[1:], again.layers[1:], strict=True):
        assert (a.step, a.zero_point) == (b.step, b.zero_point)
        for name in ("weights", "scale", "bias"):
            assert np.array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("name", ["fit", "gradients"])
def test_it_does_not_learn(quantized, name):
    with pytest.raises(AttributeError, match=f"no attribute '{name}': .* quantize it again"):
        getattr(quantized, name)
    assert not hasattr(quantized, name)


@pytest.mark.parametrize("name", ["to_onnx", "to_torch", "to_state_dict", "to_dict", "to_html"])
def test_it_has_no_other_form(quantized, name):
    with pytest.raises(AttributeError, match=f"no attribute '{name}': .*float network"):
        getattr(quantized, name)


def test_unknown_attributes(quantized):
    with pytest.raises(AttributeError, match=r"has no attribute 'layer'$"):
        quantized.layer  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'clases', did you mean 'classes'"):
        quantized.clases = []


def test_copies(quantized, digits):
    x = digits[0]
    wanted = quantized(x)
    copies = [
        copy.copy(quantized), copy.deepcopy(quantized), pickle.loads(pickle.dumps(quantized)),
        *(pickle.loads(pickle.dumps(quantized, protocol)) for protocol in (2, 5)),
    ]  # fmt: skip
    assert copies[0].layers[1] is quantized.layers[1]
    for each in copies:
        assert_same_bits(each(x), wanted)
        assert not each.layers[1].weights.flags.writeable
        assert repr(each) == repr(quantized)


def test_classes(net, digits):
    named = copy.copy(net)
    named.classes = [f"digit {i}" for i in range(10)]
    quantized = nncore.quantize(named, digits[0])
    assert quantized.classes.tolist() == named.classes.tolist()
    assert repr(quantized).endswith("10 classes: digit 0, digit 1, digit 2, digit 3, digit 4, "
                                    "digit 5, digit 6, digit 7, digit 8, digit 9")  # fmt: skip
    x, t = digits
    names = named.classes[t]
    assert quantized.evaluate(x, names).accuracy == quantized.evaluate(x, t).accuracy
    assert nncore.quantize(named, x, max_drop=0.02, labels=names).classes is not None
    quantized.classes = None
    assert quantized.classes is None
    with pytest.raises(ValueError, match="classes has 2 names, expected 10"):
        quantized.classes = ["a", "b"]


def test_it_warns_of_pixels_that_are_scaled_already(quantized, net, digits):
    scaled = digits[0] / np.float32(255)
    with pytest.warns(nncore.ScalingWarning):
        copy.copy(quantized)(scaled)
    with pytest.warns(nncore.ScalingWarning):
        nncore.quantize(copy.copy(net), scaled)


# ---- codes


def test_pixels_lose_nothing(digits):
    """Bytes are codes as they are, in any dtype; the rest of a Rescaling is in scale and bias."""
    images = digits[0]
    for front in (None, PIXELS, nncore.Rescaling(1 / 127.5, offset=-1)):
        net = network((784, 20, 10), ["tanh", "softmax"], front)
        for given in (images, images.astype(np.float64), images.tolist()):
            first = nncore.quantize(net, given).layers[-2]
            assert (first.step, first.zero_point) == (1.0, 0)
    net = network((784, 10), ["softmax"])
    first = nncore.quantize(net, images / np.float32(255)).layers[0]
    assert (first.step, first.zero_point) == (1 / 255, 0)
    first = nncore.quantize(net, images / 255).layers[0]
    assert (first.step, first.zero_point) == (1 / 255, 0)
    first = nncore.quantize(net, images.astype(int) - 128).layers[0]
    assert (first.step, first.zero_point) == (1.0, 128)
    first = nncore.quantize(net, images * 1.5).layers[0]
    assert first.step == pytest.approx(1.5)
    first = nncore.quantize(net, images.astype(int) * 2).layers[0]
    assert first.step == pytest.approx(2.0)


def test_a_rescaling_computes_what_it_says(digits):
    """The linear network with these weights, in double precision, of the same inputs."""
    images = digits[0]
    for front in (PIXELS, nncore.Rescaling(1 / 127.5, offset=-1), nncore.Rescaling(-0.5, 3)):
        net = network((784, 10), ["identity"], front)
        quantized = nncore.quantize(net, images)
        layer = quantized.layers[1]
        x = images.astype(np.float64) * front.scale + front.offset
        wanted = x @ (layer.weights * layer.scale.astype(np.float64)) + layer.bias
        assert np.abs(quantized(images) - wanted).max() < 2e-6 * np.abs(x).sum(axis=1).max()
        assert error(net, quantized, images) < 0.02


@pytest.mark.parametrize(
    ("name", "expected"),
    [("sigmoid", (1 / 255, 0)), ("hard_sigmoid", (1 / 255, 0)), ("tanh", (1 / 127, 128)),
     ("step", (1 / 255, 0))],
)  # fmt: skip
def test_known_ranges(name, expected):
    net = network((30, 20, 3), [name, "identity"])
    x = np.random.default_rng(0).normal(0, 1, (200, 30))
    for method in ranges.METHODS:
        layer = nncore.quantize(net, x, method=method).layers[1]
        assert (layer.step, layer.zero_point) == expected
    weak = network((30, 20, 3), [name, "identity"])
    bias = np.full(20, 0.0 if name == "tanh" else -4.0)
    weak.layers[0].set_weights(weak.layers[0].weights / 1000, bias)
    step = nncore.quantize(weak, x).layers[1].step  # of outputs below 1/4 most codes were wasted
    assert step < expected[0] / 4 if name in ("sigmoid", "tanh") else step in (1.0, expected[0])


@pytest.mark.parametrize("method", ranges.METHODS)
@pytest.mark.parametrize(
    "name",
    ["relu", "leaky_relu", "elu", "gelu", "silu", "selu", "softplus", "softsign", "identity"],
)
def test_zero_has_a_code_and_most_numbers_do(name, method):
    net = network((30, 40, 20, 3), [name, name, "identity"])
    x = np.random.default_rng(0).normal(0, 1, (300, 30))
    quantized = nncore.quantize(net, x, method=method)
    for layer, step in zip(quantized.layers[1:], net.trace(x), strict=False):
        y = step.activation
        low, high = ((code - layer.zero_point) * layer.step for code in (0, 255))
        assert low <= 0 <= high
        inside = ((y >= low - layer.step) & (y <= high + layer.step)).mean()
        assert inside == 1 if method == "minmax" else inside > 0.99
        if name == "relu":
            assert layer.zero_point == 0
    assert error(net, quantized, x) < 0.04


def test_minmax_is_the_range_and_percentile_leaves_out_the_ends():
    y = np.zeros((100, 200))
    y[:, 0] = np.linspace(-1, 1, 100)
    y[0, 1:3] = (-50.0, 100.0)
    weights = np.ones((200, 1), np.float32)
    widest = ranges.of_numbers(y, weights, "minmax")
    assert widest.step == pytest.approx(150 / 255, rel=0.01)
    assert (255 - widest.zero_point) * widest.step >= 100
    assert -widest.zero_point * widest.step <= -50
    narrow = ranges.of_numbers(y, weights, "percentile")
    assert narrow.step < 0.5


def test_the_range_with_the_least_error_leaves_out_what_is_rare():
    rng = np.random.default_rng(0)
    y = np.abs(rng.normal(0, 1, (400, 500)))
    y[7, 3] = 9
    weights = rng.normal(0, 1, (500, 4)).astype(np.float32)
    least = ranges.of_numbers(y, weights, "mse")
    assert least.zero_point == 0
    assert 3.5 < least.step * 255 < 8.9


def test_numbers_that_are_all_alike_or_tiny():
    weights = np.ones((3, 1), np.float32)
    for method in ranges.METHODS:
        assert ranges.of_numbers(np.zeros((5, 3)), weights, method) == (1.0, 0)
        for value in (1e-44, 5.0, -2.0, 3e38):
            step, zero = ranges.of_numbers(np.full((5, 3), value), weights, method)
            assert 0 < np.float32(1 / step) < np.inf
            assert zero == (0 if value > 0 else 255)


def test_outputs_without_weights_and_weights_that_are_tiny():
    net = network((6, 4, 3), ["relu", "identity"])
    weights = net.layers[0].weights.copy()
    weights[:, 1] = 0
    weights[:, 2] *= 1e-42
    net.layers[0].weights = weights
    x = np.random.default_rng(0).normal(0, 1, (100, 6))
    quantized = nncore.quantize(net, x)
    assert (quantized.layers[0].scale > 0).all()
    assert (quantized.layers[0].weights[:, 1] == 0).all()
    assert error(net, quantized, x) < 0.03


def test_a_network_of_doubles_and_one_without_bias():
    x = np.random.default_rng(0).normal(0, 1, (300, 8))
    net = network((8, 16, 3), ["silu", "softmax"], dtype="float64")
    quantized = nncore.quantize(net, x)
    assert quantized.dtype == quantized(x).dtype == np.float32
    assert error(net, quantized, x) < 0.03
    plain = nncore.Network([nncore.Dense(8, 3, bias=False)], seed=0)
    quantized = nncore.quantize(plain, x)
    assert quantized.layers[0].bias.shape == (3,)
    assert error(plain, quantized, x) < 0.03


def test_a_normalization_stays_in_front():
    rng = np.random.default_rng(0)
    x = rng.normal(1e6, 100, (300, 8)) * np.arange(1, 9)
    front = nncore.Normalization(x.mean(axis=0), x.std(axis=0))
    net = network((8, 16, 3), ["elu", "softmax"], front)
    quantized = nncore.quantize(net, x)
    assert quantized.layers[0] is front
    assert error(net, quantized, x) < 0.03
    whole = np.rint(x)
    assert nncore.quantize(net, whole).layers[1].step < 0.1  # standardised, no bytes any more


# ---- what calibration is given


def test_every_form_of_samples(net, quantized, digits):
    x = digits[0]
    forms = [x.reshape(-1, 28, 28), x.astype(np.float32), x.astype(">f8"), x[::-1][::-1],
             np.asfortranarray(x)]  # fmt: skip
    if importlib.util.find_spec("scipy"):
        from scipy.sparse import csr_matrix

        forms.append(csr_matrix(x))
    for given in forms:
        again = nncore.quantize(net, given)
        for a, b in zip(again.layers[1:], quantized.layers[1:], strict=True):
            assert (a.step, a.zero_point) == (b.step, b.zero_point)
            assert_same_bits(a.bias, b.bias)


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_few_samples_are_enough_for_something(net, digits, count):
    x, t = digits
    quantized = nncore.quantize(net, x[0] if count == 1 else x[:count])
    assert (quantized.predict(x) == t).mean() > 0.9


def test_the_bias_makes_up_for_what_rounding_shifts(net, digits):
    x = nncore.datasets.make_digits(300, seed=5)[0]
    quantized = nncore.quantize(net, digits[0])
    plain = [
        nncore.QuantizedDense(new.weights, new.scale, old.bias, new.activation, step=new.step,
                              zero_point=new.zero_point)
        for new, old in zip(quantized.layers[1:], net.layers[1:], strict=True)
    ]  # fmt: skip
    uncorrected = nncore.QuantizedNetwork([net.layers[0], *plain])
    assert error(net, quantized, x) < error(net, uncorrected, x)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (np.zeros((0, 4)), "x has no samples, expected some to calibrate with"),
        ([[1, 2, 3, 4], [1, 2, np.nan, 4]], r"x\[1\] has a number that is NaN, infinite or too"),
        ([[1, 2, 3, np.inf]], r"x\[0\] has a number that is NaN, infinite"),
        ([[1, 2, 3, 1e300]], r"x\[0\] has a number that is NaN, infinite or too large for float32"),
        ([[1, 2, 3]], "x has 3 features, this network takes 4"),
        ([["a", "b", "c", "d"]], "x has dtype <U1"),
    ],
)
def test_samples_that_are_refused(x, text):
    with pytest.raises((ValueError, TypeError), match=text):
        nncore.quantize(network((4, 3), ["softmax"]), x)


# ---- what is refused


def test_networks_that_are_refused(quantized):
    x = np.ones((5, 4))
    with pytest.raises(TypeError, match="net is quantized already, expected the float network"):
        nncore.quantize(quantized, x)
    with pytest.raises(TypeError, match="net is of type list, expected a Network"):
        nncore.quantize([nncore.Dense(4, 2)], x)
    custom = nncore.Network([nncore.Dense(4, 3, np.sin), nncore.Dense(3, 2)], seed=0)
    with pytest.raises(ValueError, match=r"layers\[0\] has a custom activation \(<ufunc 'sin'>\)"):
        nncore.quantize(custom, x)
    for value in (np.nan, np.inf):
        net = network((4, 3, 2), ["relu", "softmax"], PIXELS)
        weights = net.layers[2].weights.copy()
        weights[1, 1] = value
        net.layers[2].weights = weights
        with pytest.raises(ValueError, match=r"layers\[2\] "), np.errstate(all="ignore"):
            nncore.quantize(net, x)
    big = network((4, 2), ["identity"], dtype="float64")
    big.layers[0].weights = np.full((4, 2), 1e300)
    with pytest.raises(ValueError, match=r"layers\[0\] has weights .* too large for float32"):
        nncore.quantize(big, x)
    big.layers[0].weights = np.full((4, 2), 3e38)
    with pytest.raises(ValueError, match=r"layers\[0\] makes sums of x that are .* too large"):
        nncore.quantize(big, x * 1e3 + 0.5)
    small = network((4, 2), ["identity"], nncore.Rescaling(1e38))
    small.layers[1].weights = np.full((4, 2), 1e5)
    with pytest.raises(ValueError, match=r"QuantizedDense\(4, 2, .* sums that are too large"):
        nncore.quantize(small, x * 0)
    wide = nncore.Network([nncore.Dense(66_312, 1)], seed=0)
    with pytest.raises(ValueError, match=r"layers\[0\] has 66,312 inputs, expected at most 66,311"):
        nncore.quantize(wide, np.ones((1, 66_312)))
    nncore.quantize(nncore.Network([nncore.Dense(66_311, 1)], seed=0), np.ones((1, 66_311)))


def test_layers_that_do_not_fit(quantized, net):
    first, last = quantized.layers[1], quantized.layers[-1]
    with pytest.raises(TypeError, match=r"layers\[0\] is of type Dense, expected a QuantizedDense"):
        nncore.QuantizedNetwork([net.layers[1]])
    with pytest.raises(TypeError, match=r"layers\[1\] is of type Rescaling"):
        nncore.QuantizedNetwork([last, PIXELS])
    with pytest.raises(ValueError, match=r"layers\[1\] takes 100 features, expected 50"):
        nncore.QuantizedNetwork([first, last])
    with pytest.raises(ValueError, match="layers has no Dense layer"):
        nncore.QuantizedNetwork([])
    with pytest.raises(TypeError, match=r"layers\[0\] is of type QuantizedDense, expected Dense"):
        nncore.Network([first])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"weights": [[1, 2]]}, r"scale has shape \(1,\), expected \(2,\)"),
        ({"weights": [1]}, r"weights has shape \(1,\), expected \(in_features, out_features\)"),
        ({"weights": [[128]]}, "weights has other numbers, expected whole ones from -127 to 127"),
        ({"weights": [[-128]]}, "weights has other numbers"),
        ({"weights": [[0.5]]}, "weights has other numbers"),
        ({"scale": [0.0]}, "scale has a number that is not positive"),
        ({"scale": [-1.0]}, "scale has a number that is not positive"),
        ({"scale": [np.nan]}, "scale has NaN or infinity"),
        ({"scale": [1e300]}, "scale has NaN or infinity"),
        ({"bias": [np.inf]}, "bias has NaN or infinity"),
        ({"step": 0.0}, "step is 0.0, expected a positive number"),
        ({"step": -1.0}, "step is -1.0, expected a positive number"),
        ({"step": np.inf}, "step is inf, expected a finite number"),
        ({"step": 1e-60}, "step is 1e-60, expected a positive number of float32"),
        ({"step": 1e60}, r"step is 1e\+60, expected a positive number of float32"),
        ({"zero_point": 256}, "zero_point is 256, expected a whole number from 0 to 255"),
        ({"zero_point": -1}, "zero_point is -1, expected a whole number from 0 to 255"),
        ({"zero_point": 0.5}, "zero_point is 0.5, expected a whole number"),
        ({"zero_point": True}, "zero_point is True, expected a whole number"),
        ({"activation": "sine"}, "activation is 'sine', expected one of"),
        ({"alpha": 1.0}, "which has no alpha"),
    ],
)
def test_a_layer_of_other_numbers(change, text):
    given = {"weights": [[1]], "scale": [1.0], "bias": [0.0], "step": 1.0} | change
    with pytest.raises(ValueError, match=text):
        nncore.QuantizedDense(**given)


# ---- what is lost


def test_the_most_that_may_be_lost_of_the_accuracy(net, digits):
    x, t = digits
    assert nncore.quantize(net, x, max_drop=0.01, labels=t).evaluate(x, t).accuracy > 0.98
    blind = network((784, 300, 300, 10), ["relu", "relu", "softmax"], PIXELS)
    truth = blind.predict(x)  # which it gets right, all of them
    found = nncore.quantize(blind, x)
    drop = 1 - (found.predict(x) == truth).mean()
    assert drop > 0
    nncore.quantize(blind, x, max_drop=drop + 1e-9, labels=truth)
    nncore.quantize(blind, x, max_drop=drop + 1e-9)
    with pytest.raises(ValueError, match=r"accuracy drops from 100.00% to 9\d.\d\d%, by .* at most "
                       r"0% \(max_drop\): calibrate with more samples"):  # fmt: skip
        nncore.quantize(blind, x, max_drop=0, labels=truth)
    with pytest.raises(
        ValueError, match="labels: t has 3 targets, expected one for each of the 400"
    ):
        nncore.quantize(blind, x, max_drop=0, labels=truth[:3])
    with pytest.raises(ValueError, match=r"\d+ of 400 labels change, \d.\d\d%, expected at most"):
        nncore.quantize(blind, x, max_drop=0)
    wrong = (truth + 1) % 10
    nncore.quantize(blind, x, max_drop=0, labels=wrong)  # nothing right that could be lost


def test_labels_of_other_kinds(digits):
    x, t = digits
    even = network((784, 10, 1), ["relu", "sigmoid"], PIXELS)
    nncore.quantize(even, x, max_drop=1, labels=(t % 2).astype(float))
    several = network((784, 10, 3), ["relu", "sigmoid"], PIXELS)
    rows = (t[:, None] >> np.arange(3)) & 1
    nncore.quantize(several, x, max_drop=1, labels=rows)
    nncore.quantize(several, x, max_drop=1)
    one_hot = np.eye(10)[t]
    nncore.quantize(nncore.load_pretrained(), x, max_drop=0.02, labels=one_hot)
    logits = network((784, 10), ["identity"], PIXELS)
    logits.classes = list("abcdefghij")
    nncore.quantize(logits, x, max_drop=1, labels=t)
    with pytest.raises(ValueError, match="max_drop is given, but the network predicts numbers"):
        nncore.quantize(network((784, 1), ["identity"], PIXELS), x, max_drop=0.1)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"method": "best"}, "method is 'best', expected one of minmax, percentile, mse"),
        ({"method": None}, "method is None"),
        ({"max_drop": 1}, None),
        ({"max_drop": 2}, "max_drop is 2.0, expected a share from 0 to 1"),
        ({"max_drop": -0.1}, "max_drop is -0.1, expected a share"),
        ({"max_drop": np.nan}, "max_drop is nan, expected a finite number"),
        ({"labels": [0]}, "labels are given without max_drop"),
    ],
)
def test_options(net, digits, options, text):
    if text is None:
        nncore.quantize(net, digits[0], **options)
        return
    with pytest.raises(ValueError, match=text):
        nncore.quantize(net, digits[0], **options)


# ---- how well

REAL = find_mnist(os.environ["NNCORE_DATA_HOME"]) if os.environ.get("NNCORE_DATA_HOME") else None


@pytest.mark.skipif(REAL is None, reason="NNCORE_DATA_HOME names no folder with MNIST")
@pytest.mark.parametrize("method", ranges.METHODS)
def test_mnist(net, method):
    x, t = read_split(REAL, "test")
    quantized = nncore.quantize(net, read_split(REAL, "train")[0][:500], method=method)
    assert np.count_nonzero(quantized.predict(x) == t) >= 9910


@pytest.mark.parametrize("method", ranges.METHODS)
def test_drawn_digits(net, quantized, method):
    x, t = nncore.datasets.make_digits(5000, seed=11)
    few = nncore.datasets.make_digits(300, seed=12)[0]
    found = nncore.quantize(net, few, method=method)
    lost = np.count_nonzero(net.predict(x) == t) - np.count_nonzero(found.predict(x) == t)
    assert lost <= 5
    assert error(net, found, x) < 0.05


def test_inputs_that_the_codes_cannot_show_are_warned_of():
    rng = np.random.default_rng(0)
    ages, incomes = rng.integers(18, 90, 300), rng.normal(5e4, 2e4, 300)
    net = nncore.Network([nncore.Dense(2, 2)], seed=0)
    with pytest.warns(UserWarning, match="1 of 2 inputs vary by less than"):
        nncore.quantize(net, np.c_[ages, incomes])
    with pytest.warns(UserWarning, match="2 of 2 inputs"):  # a range that reaches from 0 to them
        nncore.quantize(net, rng.normal(1e6, 1, (300, 2)))
    nncore.quantize(net, np.c_[ages / 90, incomes / 5e4])


def test_zeros_and_ones_leave_room_for_what_is_between():
    net = nncore.Network([nncore.Dense(3, 2)], seed=0)
    x = np.random.default_rng(0).random((50, 3)).astype(np.float32)
    quantized = nncore.quantize(net, (x > 0.5).astype(float))
    assert np.abs(quantized(x) - net(x)).max() < 0.02


def test_small_inputs_have_a_range_of_their_own():
    net = nncore.Network([nncore.Dense(3, 2)], seed=0)
    x = np.random.default_rng(0).random((50, 3)).astype(np.float32) * 3e-6
    assert np.abs(nncore.quantize(net, x)(x) - net(x)).max() < 1e-7
