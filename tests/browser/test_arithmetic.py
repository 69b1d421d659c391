"""What the page computes has the bits that nncore computes: sums, activations, whole networks."""

from __future__ import annotations

import base64
import json
import re
from fractions import Fraction

import numpy as np
import pytest
from helpers import CLASSIC, CLASSIC_ACTIVATIONS, sampled, special_values
from reference import assert_same_bits, bits

import nncore
from nncore import Dense, Network, Normalization, Rescaling, activations
from nncore.page import encoded

ROWWISE = [name for name in activations.REGISTRY if activations.last_layer_only(name)]
ELEMENTWISE = [name for name in activations.REGISTRY if name not in ROWWISE]


def data_of(net, x=None):
    """The data that Python writes into a page."""
    data = re.search(r'id="data">(.*?)</script>', net.to_html(x), re.DOTALL)
    return json.loads(data[1])


class Browser:
    """Runs the page's functions. Arrays go to it and come back as their bytes, in base64."""

    DEFINITIONS = """
        const { readNetwork, run, terms, prepared, activate, curve, ARITHMETIC } = window.nncore;
        const list = (dtype, text) => new ARITHMETIC[dtype].List(
            Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer);
        const characters = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte));
        const text = (values) => btoa(characters(new Uint8Array(values.buffer)).join(""));
    """

    def __init__(self, page):
        self.page = page

    def __call__(self, code, argument):
        return self.page.evaluate(f"(given) => {{ {self.DEFINITIONS} {code} }}", argument)


@pytest.fixture
def browse(show):
    return Browser(show(Network([Dense(1, 1)], seed=0).to_html()))


def array_of(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


# ---- the fused multiply-add


def nearest(exact, dtype):
    """The number of the dtype that is nearest to a fraction other than zero, ties to even."""
    limits, size = np.finfo(dtype), abs(exact)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= size < Fraction(2) ** exponent
    unit = Fraction(2) ** max(exponent - limits.nmant, limits.minexp - limits.nmant)
    rounded = round(size / unit) * unit  # of fractions Python rounds ties to even
    value = np.inf if rounded > Fraction(float(limits.max)) else float(rounded)
    return -value if exact < 0 else value


def exact_fma(a, b, c, dtype):
    a, b, c = float(a), float(b), float(c)
    if not (np.isfinite(a) and np.isfinite(b)):
        return a * b + c
    if not np.isfinite(c):
        return c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact:
        return nearest(exact, dtype)
    return a * b + c if 0 in (a, b) else 0.0  # the sum of two zeros has a sign


def hard_cases(dtype, count=1500):
    """Triples (a, b, c) whose fused multiply-add is easy to get wrong."""
    limits, rng = np.finfo(dtype), np.random.default_rng(5)
    digits, least, most = limits.nmant, limits.minexp, limits.maxexp - 1

    def near(*exponents):  # 1 or 1.5 times a power of two, or a neighbour of these; any sign
        near_one = 1 + limits.eps * np.array([-1, -0.5, 0, 1, 2])
        numbers = rng.choice([*near_one, 1.5, 1.5 + limits.eps], count) * rng.choice([-1, 1], count)
        return np.ldexp(numbers.astype(dtype), rng.choice(exponents, count))

    def almost(exponent):  # two numbers whose product is 2^exponent, less a last bit of the product
        delta = rng.integers(-3, 4, count) * limits.eps
        factors = (1 + delta) * rng.choice([-1, 1], count), 1 - delta
        parts = exponent // 2, exponent - exponent // 2
        return [np.ldexp(f.astype(dtype), e) for f, e in zip(factors, parts, strict=True)]

    def few_ones():  # products of sums of three powers of two have long runs of equal bits
        return sum(np.ldexp(dtype(1), -rng.integers(0, digits, count)) for _ in range(3))

    def anything():
        whole = np.dtype(f"u{limits.bits // 8}")
        return rng.integers(0, 1 << limits.bits, count, dtype=whole).view(dtype)

    a, b = near(-1, 0, 1), near(-2, 0, 3)
    yield a, b, -(a * b)  # the rounding error of the product is left
    yield a, b, np.nextafter(-(a * b), dtype(0))
    yield few_ones(), few_ones(), near(-2, -1, 0, 1, 2)
    # The product is half of the last bit of c, or a little less or more; or the other way round.
    for exponent in (-digits - 2, -digits - 1, 2 * digits + 1, 2 * digits + 2):
        yield *almost(exponent), near(0)
        yield near(exponent), near(0), near(0)
    # The same at both ends of the range.
    for exponent in (0, -1, -3, -digits):
        yield *almost(least - digits - 1), near(least + exponent)
        yield *almost(least), near(least + exponent)
    for exponent in (most - digits - 1, most - 1, most):
        yield *almost(exponent), near(most, most - 1)
        yield *almost(exponent), np.copysign(limits.max, near(0))
    yield anything(), anything(), anything()
    values = special_values(dtype)
    yield tuple(each.ravel() for each in np.meshgrid(values[::2], values[1::2], values))


FMA = """
    const [a, b, c] = given.numbers.map((numbers) => list(given.dtype, numbers));
    return text(a.map((_, i) => ARITHMETIC[given.dtype].fma(a[i], b[i], c[i])));
"""


@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_fma_against_fractions(browse, real):
    wrong = 0
    with np.errstate(all="ignore"):
        for numbers in hard_cases(real):
            triples = zip(*numbers, strict=True)
            wanted = np.array([exact_fma(*triple, real) for triple in triples], real)
            given = {"dtype": real.__name__, "numbers": [encoded(each) for each in numbers]}
            assert_same_bits(array_of(browse(FMA, given), real), wanted)
            a, b, c = (each.astype(np.float64) for each in numbers)
            wrong += np.count_nonzero(bits((a * b + c).astype(real)) != bits(wanted))
    assert wrong > 1000  # so often the plain multiplication and addition of JavaScript is wrong


# ---- the activations


def test_a_page_offers_every_activation(browse):
    offered = data_of(Network([Dense(1, 1)], seed=0))["activations"]
    assert list(offered) == list(activations.REGISTRY)
    for name, function in activations.REGISTRY.items():
        assert offered[name] == {
            "alpha": function.alpha, "beta": function.beta, "formula": function.formula,
            "rowwise": name in ROWWISE,
        }  # fmt: skip
    assert browse("return window.nncore.ACTIVATIONS", None) == offered


ACTIVATE = """
    return text(activate({ dtype: given.dtype }, given.layer, list(given.dtype, given.sums)));
"""


def test_elementwise_activations_of_numbers_of_every_kind(browse, dtype):
    rng = np.random.default_rng(0)
    sums = np.concatenate([
        sampled(dtype, 20 if dtype == "float32" else 3), rng.normal(0, 4, 4000),
        rng.uniform(-800, 800, 2000), np.linspace(-20, 20, 1001),
    ]).astype(dtype)  # fmt: skip
    for name in ELEMENTWISE:
        function = activations.get(name)
        defaults = {"alpha": function.alpha, "beta": function.beta}
        others = {key: -0.3 * value for key, value in defaults.items() if value is not None}
        for given in ({}, others):
            layer = {"activation": name, "alpha": None, "beta": None} | given  # null: the default
            found = browse(ACTIVATE, {"dtype": dtype, "layer": layer, "sums": encoded(sums)})
            wanted = function(sums, **given)
            assert np.array_equal(bits(array_of(found, dtype)), bits(wanted)), (name, given)


@pytest.mark.parametrize("name", ROWWISE)
def test_softmax_adds_in_the_kernels_order(browse, name, dtype):
    rng = np.random.default_rng(1)
    rows = [rng.normal(0, scale, m) for m in (*range(1, 35), 100, 1000) for scale in (0.1, 3, 200)]
    rows += [[-np.inf, 0, 1], [-np.inf, -np.inf], [np.inf, 0], [np.nan, 0, 1], [88, 1e38, -1e38]]
    for row in rows:
        sums = np.array(row, dtype)
        layer = {"activation": name}
        found = browse(ACTIVATE, {"dtype": dtype, "layer": layer, "sums": encoded(sums)})
        assert_same_bits(array_of(found, dtype), activations.get(name)(sums))


def test_a_point_of_the_curve_is_what_the_function_gives(browse, dtype):
    code = "return text(list(given.dtype, given.sums).map((x) => curve(given, given.layer, x)));"
    sums = np.linspace(-4, 4, 101).astype(dtype)
    layer = {"activation": "elu", "alpha": 0.25, "beta": None}
    found = browse(code, {"dtype": dtype, "layer": layer, "sums": encoded(sums)})
    assert_same_bits(array_of(found, dtype), nncore.elu(sums, alpha=0.25))


# ---- networks

RUN = """
    const model = readNetwork(given), { inputs, layers } = run(model, given.input);
    const chains = model.layers.map((layer, i) => {
        const values = i === 0 ? inputs : layers[i - 1].outputs;
        return [0, layer.outputs - 1].map((node) => terms(model, layer, values, node));
    });
    return { inputs: text(inputs), chains,
             layers: layers.map(({ sums, outputs }) => [text(sums), text(outputs)]) };
"""


def check_network(browse, net, x):
    """Every number on the way through the network has the bits of its trace."""
    found = browse(RUN, data_of(net, x))
    for step, numbers, chains in zip(net.trace(x), found["layers"], found["chains"], strict=True):
        sums, outputs = (array_of(array, net.dtype) for array in numbers)
        assert_same_bits(sums, step.weighted_sum)
        assert_same_bits(outputs, step.activation)
        for node, chain in zip((0, -1), chains, strict=True):
            assert len(chain) == step.layer.in_features
            last = np.array(chain[-1]["sum"], net.dtype)
            assert_same_bits(last, step.weighted_sum[node])
            weights = np.array([term["weight"] for term in chain], net.dtype)
            assert_same_bits(weights, step.layer.weights[:, node])


def first_layers(k):
    rng = np.random.default_rng(k)
    return [
        [],
        [Rescaling(1 / 255)],
        [Rescaling(0.1, offset=-1 / 3)],
        [Normalization(rng.normal(1e3, 1, k), rng.uniform(0.1, 3, k))],
    ]


def random_networks(dtype, scale=1.0):
    """Of one to three layers and of odd sizes, with every activation and every first layer."""
    rng = np.random.default_rng(7)
    sizes = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33)
    names = [*ELEMENTWISE, *ROWWISE, *ELEMENTWISE]
    for i, last in enumerate(names):
        k, *widths = rng.choice(sizes, i % 3 + 2)
        front = first_layers(k)[i % 4]
        chosen = [*rng.choice(ELEMENTWISE, len(widths) - 1), last]
        layers = [
            Dense(int(a), int(b), str(name), bias=i % 5 != 0)
            for a, b, name in zip([k, *widths], widths, chosen, strict=False)
        ]
        net = Network([*front, *layers], seed=i, dtype=dtype)
        for layer in layers:
            layer.weights = layer.weights * scale
            if layer.use_bias:
                layer.bias = rng.normal(size=layer.out_features) * scale
        yield net, rng


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_random_networks(browse, dtype, share):
    for net, rng in random_networks(dtype):
        x = rng.normal(0, 2, net.in_features) * (rng.random(net.in_features) < share)
        check_network(browse, net, x)


@pytest.mark.parametrize("size", ["subnormal", "tiny", "huge", "infinite"])
def test_networks_at_the_ends_of_the_range(browse, dtype, size):
    limits = np.finfo(dtype)
    input_size, scale = {
        "subnormal": (float(limits.tiny) / 64, 0.5),
        "tiny": (float(limits.tiny) ** 0.5, float(limits.tiny) ** 0.5),
        "huge": (float(limits.max) ** 0.4, float(limits.max) ** 0.55),
        "infinite": (float(limits.max) ** 0.6, float(limits.max) ** 0.6),
    }[size]
    for net, rng in random_networks(dtype, scale):
        check_network(browse, net, rng.normal(size=net.in_features) * input_size)


def test_zeros_are_not_left_out_where_a_weight_is_not_finite(browse, dtype):
    net = Network([Dense(3, 4, "relu"), Dense(4, 2)], seed=0, dtype=dtype)
    net.layers[0].weights = [[np.inf, 1, 2, -np.inf], [1, np.nan, 3, 1], [1, 1, 1, 1]]
    for x in ([0.0, 0.0, 1.0], [1.0, 0.0, -0.0], [0.0, 1.0, 2.0]):
        check_network(browse, net, x)


@pytest.mark.parametrize("offset", [0.0, -0.5])
def test_every_byte_is_rescaled_as_nncore_does_it(browse, dtype, offset):
    net = Network([Rescaling(1 / 255, offset), Dense(256, 256)], seed=0, dtype=dtype)
    net.layers[1].weights = np.eye(256)
    x = np.arange(256)
    check_network(browse, net, x)
    assert_same_bits(array_of(browse(RUN, data_of(net, x))["inputs"], net.dtype), net(x))


def test_the_classic_network(browse):
    arrays = {name: np.array(value, "f4") for name, value in CLASSIC.items()}
    net = Network.from_dict(arrays, CLASSIC_ACTIVATIONS)
    layers = browse(RUN, data_of(net, [1.0, 0.5]))["layers"]
    found = [[array_of(array, net.dtype) for array in layer] for layer in layers]
    wanted = [
        [[0.3, 0.7, 1.1], [0.57444252, 0.66818777, 0.75026011]],
        [[0.51615984, 1.21402696], [0.62624937, 0.7710107]],
        [[0.31682708, 0.69627909], [0.31682708, 0.69627909]],
    ]
    for layer, figures in zip(found, wanted, strict=True):
        for values, numbers in zip(layer, figures, strict=True):
            np.testing.assert_allclose(values, numbers, atol=1e-7)


def test_the_digits_network_is_fast(browse):
    """It is run again while a digit is drawn, for which 100 ms would be too slow."""
    net = nncore.load_pretrained("digits")
    x = np.random.default_rng(0).integers(0, 256, net.in_features)
    check_network(browse, net, x)
    code = """
        const model = readNetwork(given), start = performance.now();
        for (let i = 0; i < 20; i++) run(model, given.input);
        return (performance.now() - start) / 20;
    """
    assert browse(code, data_of(net, x)) < 100


# ---- what a page does not compute


def test_a_callable_is_refused():
    net = Network([Dense(2, 2, np.sin)], seed=0)
    with pytest.raises(ValueError, match=r"layer 1 has a custom activation"):
        net.to_html()


def test_an_activation_that_the_page_lacks_is_refused(monkeypatch):
    without = nncore.page._template().replace("\n mish: (", "\n other: (")
    monkeypatch.setattr(nncore.page, "_template", lambda: without)
    net = Network([Dense(2, 3, "mish"), Dense(3, 1)], seed=0)
    with pytest.raises(
        ValueError,
        match=r"layer 1 has the activation mish, expected one that a page computes: identity, ",
    ):
        net.to_html()
    assert "mish" not in data_of(Network([Dense(1, 1)], seed=0))["activations"]
