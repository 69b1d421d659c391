"""What the page computes has the bits that nncore computes: sums, activations, whole networks."""

from __future__ import annotations

import json
import re
from fractions import Fraction

import numpy as np
import pytest
from helpers import sampled, special_values
from reference import assert_same_bits

import nncore
from nncore import Dense, Network, Normalization, Rescaling, activations

ROWWISE = [name for name in activations.REGISTRY if activations.last_layer_only(name)]
ELEMENTWISE = [name for name in activations.REGISTRY if name not in ROWWISE]


def data_of(net, x=None):
    """The data that Python writes into a page."""
    data = re.search(r'id="data">(.*?)</script>', net.to_html(x), re.DOTALL)
    return json.loads(data[1])


class Browser:
    """Runs the page's functions. Arrays go to it and come back as their bits."""

    DEFINITIONS = """
        const { readNetwork, run, terms, prepared, activate, curve, ARITHMETIC } = window.nncore;
        const list = (dtype, words) => new ARITHMETIC[dtype].List(Uint32Array.from(words).buffer);
        const words = (values) => Array.from(new Uint32Array(values.buffer));
    """

    def __init__(self, page):
        self.page = page

    def __call__(self, code, argument):
        return self.page.evaluate(f"(given) => {{ {self.DEFINITIONS} {code} }}", argument)


@pytest.fixture
def browse(show):
    return Browser(show(Network([Dense(1, 1)], seed=0).to_html()))


def to_words(array):
    return np.ascontiguousarray(array).view("u4").tolist()


def from_words(words, dtype):
    return np.array(words, "u4").view(dtype)


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
    exact = Fraction(a) * Fraction(b) + Fraction(c) if np.isfinite(c) else 0
    if not np.isfinite(c):
        return c
    if exact:
        return nearest(exact, dtype)
    return a * b + c if a * b == 0 else 0.0


def hard_cases(dtype, count=1500):
    """Triples (a, b, c) whose fused multiply-add is easy to get wrong."""
    limits, rng = np.finfo(dtype), np.random.default_rng(5)
    whole = np.dtype(f"u{limits.bits // 8}")

    def near(exponents):  # of either sign, with exponents from a list
        mantissas = rng.choice([1, 1 + limits.eps, 1 + 2 * limits.eps, 1 - limits.epsneg,
                                1.5, 1.5 + limits.eps, rng.uniform(1, 2)], count)  # fmt: skip
        signs = rng.choice([-1, 1], count)
        return np.ldexp((mantissas * signs).astype(dtype), rng.choice(exponents, count))

    def anything(size):
        return rng.integers(0, 2**limits.bits, size, dtype=whole, endpoint=False).view(dtype)

    digits, small, large = limits.nmant, limits.minexp, limits.maxexp
    with np.errstate(all="ignore"):
        a, b = near(range(-3, 4)), near(range(-3, 4))
        yield a, b, -(a * b)  # cancellation: the rounding error remains
        yield a, b, np.nextafter(-(a * b), dtype(0))
        # The product is half a unit of c, and a little more or less.
        yield near(range(-4, 1)), near([0]), near(range(digits - 4, digits + 2))
        yield near([-digits - 1]), near([0]), near([0])
        yield near([0]), near([0]), near(range(-2 * digits - 4, -2 * digits + 3))
        # The same at the ends of the range: half of the least subnormal, and the greatest number.
        half = (small - digits - 1) // 2
        yield near([half]), near([small - digits - 1 - half]), anything(count) % limits.tiny
        yield near([half]), near([small - half]), near([small - 1]) % limits.tiny
        yield near([half - 9]), near([half + 9]), near(range(small - digits, small + 1))
        yield near([large // 2]), near([large - 1 - digits - large // 2]), np.copysign(
            np.full(count, limits.max), rng.choice([-1, 1], count).astype(dtype)
        )
        yield near([large // 2]), near([large - large // 2]), near([large - 1])
        yield near([large - 1]), near([0, 1]), near([large - 1])
        yield near([large - 1]), near([-9, 9]), near([large - 9])
        yield anything(count), anything(count), anything(count)
        yield sparse_bits(rng, dtype, count), sparse_bits(rng, dtype, count), near(range(-9, 9))
    values = special_values(dtype)
    a, b, c = np.meshgrid(values[::2], values[1::2], values)
    yield a.ravel(), b.ravel(), c.ravel()


def sparse_bits(rng, dtype, count):
    """Sums of three powers of two: their products have long runs of equal bits."""
    digits = np.finfo(dtype).nmant
    return sum(np.ldexp(dtype(1), -rng.integers(0, digits, count)) for _ in range(3)).astype(dtype)


FMA = """
    const [a, b, c] = given.numbers.map((numbers) => list(given.dtype, numbers));
    return words(a.map((_, i) => ARITHMETIC[given.dtype].fma(a[i], b[i], c[i])));
"""


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fma_against_fractions(browse, dtype):
    twice_rounded = 0
    for numbers in hard_cases(dtype):
        wanted = np.array([exact_fma(*triple, dtype) for triple in zip(*numbers, strict=True)], dtype)
        found = browse(FMA, {"dtype": np.dtype(dtype).name, "numbers": list(map(to_words, numbers))})
        assert_same_bits(from_words(found, dtype), wanted)
        with np.errstate(all="ignore"):
            a, b, c = (each.astype(np.float64) for each in numbers)
            twice_rounded += np.count_nonzero((a * b + c).astype(dtype) != wanted)
    assert twice_rounded > 1000  # so often multiplying and adding in double is wrong


# ---- the activations


def test_a_page_offers_every_activation_of_nncore(browse):
    offered = data_of(Network([Dense(1, 1)], seed=0))["activations"]
    assert list(offered) == list(activations.REGISTRY)
    for name, function in activations.REGISTRY.items():
        assert offered[name] == {
            "alpha": function.alpha, "beta": function.beta, "formula": function.formula,
            "rowwise": name in ROWWISE,
        }  # fmt: skip
    assert browse("return window.nncore.ACTIVATIONS", None) == offered


ACTIVATE = """
    return words(activate({ dtype: given.dtype }, given.layer, list(given.dtype, given.sums)));
"""


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_an_activation_of_numbers_of_every_kind(browse, name, dtype):
    function = activations.get(name)
    rng = np.random.default_rng(0)
    sums = np.concatenate([
        sampled(dtype, 20 if dtype == "float32" else 3), rng.normal(0, 4, 4000),
        rng.uniform(-800, 800, 2000), np.linspace(-20, 20, 1001),
    ]).astype(dtype)  # fmt: skip
    for factor in (1, -0.3):
        given = {
            key: value * factor
            for key, value in (("alpha", function.alpha), ("beta", function.beta))
            if value is not None
        }
        layer = {"activation": name, "alpha": None, "beta": None}
        layer |= given if factor != 1 else {}  # null is the default
        found = browse(ACTIVATE, {"dtype": dtype, "layer": layer, "sums": to_words(sums)})
        assert_same_bits(from_words(found, dtype), function(sums, **given))


@pytest.mark.parametrize("name", ROWWISE)
def test_softmax_adds_in_the_kernels_order(browse, name, dtype):
    rng = np.random.default_rng(1)
    rows = [rng.normal(0, scale, m) for m in (*range(1, 35), 100, 1000) for scale in (0.1, 3, 200)]
    rows += [[-np.inf, 0, 1], [-np.inf, -np.inf], [np.inf, 0], [np.nan, 0, 1], [88, 1e38, -1e38]]
    for row in rows:
        sums = np.array(row, dtype)
        layer = {"activation": name}
        found = browse(ACTIVATE, {"dtype": dtype, "layer": layer, "sums": to_words(sums)})
        assert_same_bits(from_words(found, dtype), activations.get(name)(sums))


def test_a_point_of_the_curve_is_what_the_function_gives(browse, dtype):
    code = "return words(list(given.dtype, given.sums).map((x) => curve(given, given.layer, x)));"
    sums = np.linspace(-4, 4, 101).astype(dtype)
    layer = {"activation": "elu", "alpha": 0.25, "beta": None}
    found = browse(code, {"dtype": dtype, "layer": layer, "sums": to_words(sums)})
    assert_same_bits(from_words(found, dtype), nncore.elu(sums, alpha=0.25))


# ---- networks

RUN = """
    const model = readNetwork(given), { inputs, layers } = run(model, given.input);
    const chains = model.layers.map((layer, i) => {
        const values = i === 0 ? inputs : layers[i - 1].outputs;
        return [0, layer.outputs - 1].map((node) => terms(model, layer, values, node));
    });
    return { inputs: words(inputs), chains,
             layers: layers.map(({ sums, outputs }) => [words(sums), words(outputs)]) };
"""


def check_network(browse, net, x):
    """Every number on the way through the network has the bits of its trace."""
    found = browse(RUN, data_of(net, x))
    for step, numbers, chains in zip(net.trace(x), found["layers"], found["chains"], strict=True):
        sums, outputs = (from_words(words, net.dtype) for words in numbers)
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


def test_every_byte_is_rescaled_as_nncore_does_it(browse, dtype):
    for offset in (0.0, -0.5):
        net = Network([Rescaling(1 / 255, offset), Dense(256, 3)], seed=0, dtype=dtype)
        x = np.arange(256)
        check_network(browse, net, x)
        only = Network([Rescaling(1 / 255, offset), Dense(256, 256)], seed=0, dtype=dtype)
        only.layers[1].weights = np.eye(256)
        wanted = only(x) if offset else only(x)
        found = browse(RUN, data_of(only, x))
        assert_same_bits(from_words(found["inputs"], net.dtype), wanted)


def test_the_classic_network(browse):
    net = Network.from_arrays(
        [[[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]], [[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]],
         [[0.1, 0.3], [0.2, 0.4]]],
        [[0.1, 0.2, 0.3], [0.1, 0.2], [0.1, 0.2]], ["sigmoid", "sigmoid", "identity"],
    )  # fmt: skip
    layers = browse(RUN, data_of(net, [1.0, 0.5]))["layers"]
    steps = [[from_words(words, net.dtype) for words in layer] for layer in layers]
    (first, _), (second, _), (last, outputs) = steps
    np.testing.assert_allclose(first, [0.3, 0.7, 1.1], atol=1e-7)
    np.testing.assert_allclose(steps[0][1], [0.57444252, 0.66818777, 0.75026011], atol=1e-7)
    np.testing.assert_allclose(second, [0.51615984, 1.21402696], atol=1e-7)
    np.testing.assert_allclose(steps[1][1], [0.62624937, 0.7710107], atol=1e-7)
    np.testing.assert_allclose(outputs, [0.31682708, 0.69627909], atol=1e-7)
    assert_same_bits(last, outputs)


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
    with pytest.raises(ValueError, match=r"layers\[0\] has a custom activation"):
        net.to_html()


def test_an_activation_that_the_page_lacks_is_refused(monkeypatch):
    asset = nncore.page._asset
    monkeypatch.setattr(
        nncore.page, "_asset", lambda name: asset(name).replace("      mish: (", "      other: (")
    )
    net = Network([Dense(2, 3, "mish"), Dense(3, 1)], seed=0)
    with pytest.raises(
        ValueError,
        match=r"layers\[0\] has the activation mish, expected one that a page computes: identity, ",
    ):
        net.to_html()
    assert "mish" not in data_of(Network([Dense(1, 1)], seed=0))["activations"]
