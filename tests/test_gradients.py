"""Backpropagation against central differences in double precision and PyTorch's autograd."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import nncore
from nncore.losses import REGISTRY

ELEMENTWISE = [
    name for name in nncore.activations.REGISTRY if not nncore.activations.last_layer_only(name)
]
SOFTMAX = ["softmax", "log_softmax"]
N, K, HIDDEN, M = 7, 5, 6, 4


def last_activations(loss):
    """Every last activation that a loss goes with."""
    return list(loss.last) or ELEMENTWISE


PAIRS = [(loss.name, last) for loss in REGISTRY.values() for last in last_activations(loss)]


def make_net(hidden="tanh", last="identity", *, bias=True, dtype="float64", scale=None, seed=1):
    layers = [] if scale is None else [nncore.Rescaling(scale)]
    has_alpha = nncore.activations.get(hidden).alpha is not None
    alpha = {"alpha": 0.3} if has_alpha and hidden != "clip" else {}
    layers += [
        nncore.Dense(K, HIDDEN, hidden, bias=bias, **alpha),
        nncore.Dense(HIDDEN, HIDDEN, hidden, bias=bias, **alpha),
        nncore.Dense(HIDDEN, M, last, bias=bias),
    ]
    net = nncore.Network(layers, seed=seed, dtype=dtype)
    random = np.random.default_rng(seed)
    for layer in net.layers[-3:]:
        if bias:
            layer.bias = random.normal(size=layer.out_features) / 3
    return net


def make_data(loss, *, seed=2, rows=False):
    random = np.random.default_rng(seed)
    x = random.normal(size=(N, K))
    if loss == "cross_entropy":
        t = random.integers(0, M, N)
        if rows:
            t = random.random((N, M))
            t /= t.sum(axis=1, keepdims=True)
    elif loss == "binary_cross_entropy":
        t = random.random((N, M))
    else:
        t = random.normal(size=(N, M))
    return x, t


def oracle_loss(net, loss, x, t, weights=None, smoothing=0.0):
    """The loss as its definition says, from the outputs of the forward kernels."""
    weights = np.ones(len(x)) if weights is None else weights
    a = net.trace(x)[-1].weighted_sum
    y = net(x)
    if loss == "cross_entropy":
        logs = a - a.max(axis=1, keepdims=True)
        logs = logs - np.log(np.exp(logs).sum(axis=1, keepdims=True))
        p = np.eye(M)[t] if t.ndim == 1 else t
        p = (1 - smoothing) * p + smoothing / M
        each = -(p * logs).sum(axis=1)
    elif loss == "binary_cross_entropy":
        each = (np.logaddexp(0, a) - a * t).mean(axis=1)
    else:
        d = np.abs(y - t)
        terms = {
            "mse": d * d, "mae": d, "huber": np.where(d < 1, d * d / 2, d - 0.5),
            "poisson": np.exp(y) - t * y,
        }[loss]  # fmt: skip
        each = terms.mean(axis=1)
    return (weights * each).sum() / weights.sum()


def numeric_gradients(net, function, h=2e-4):
    """Of every weight and bias: a difference of fourth order, its error about h^4."""
    pairs = []
    for layer in (layer for layer in net.layers if isinstance(layer, nncore.Dense)):
        pair = []
        for name in ("weights", "bias"):
            start = getattr(layer, name)
            if start is None:
                pair.append(None)
                continue
            result = np.empty_like(start)
            for place in np.ndindex(start.shape):
                values = []
                for step in (-2, -1, 1, 2):
                    moved = start.copy()
                    moved[place] += step * h
                    setattr(layer, name, moved)
                    values.append(function())
                result[place] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
            setattr(layer, name, start)
            pair.append(result)
        pairs.append(tuple(pair))
    return pairs


def check(net, loss, x, t, *, weights=None, smoothing=0.0):
    value, pairs = net.gradients(x, t, loss=loss, sample_weight=weights, label_smoothing=smoothing)

    def oracle():
        return oracle_loss(net, loss, x, t, weights, smoothing)

    assert value == pytest.approx(oracle(), rel=1e-12)
    expected = numeric_gradients(net, oracle)
    assert len(pairs) == len(expected) == 3
    for pair, wanted in zip(pairs, expected, strict=True):
        for array, right in zip(pair, wanted, strict=True):
            if right is None:
                assert array is None
                continue
            assert array.shape == right.shape
            assert array.dtype == net.dtype
            # Relative to the array's largest: what a tiny element lacks is lost in its sum.
            assert np.abs(array - right).max() <= 1e-7 * np.abs(right).max() + 1e-12


@pytest.mark.parametrize(("loss", "last"), PAIRS)
def test_every_last_activation_and_loss(loss, last):
    check(make_net("tanh", last), loss, *make_data(loss))


@pytest.mark.parametrize("hidden", ELEMENTWISE)
@pytest.mark.parametrize("loss", list(REGISTRY))
def test_every_hidden_activation_and_loss(hidden, loss):
    last = last_activations(REGISTRY[loss])[0]
    check(make_net(hidden, last), loss, *make_data(loss))


@pytest.mark.parametrize(("loss", "last"), [(name, last_activations(row)[0])
                                            for name, row in REGISTRY.items()])  # fmt: skip
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_every_loss_with_weights_and_without_bias(loss, last, weighted, bias):
    weights = np.array([1.0, 0.5, 0.0, 2.0, 3.0, 0.25, 1.5]) if weighted else None
    check(make_net("silu", last, bias=bias), loss, *make_data(loss), weights=weights)


@pytest.mark.parametrize("last", SOFTMAX)
@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("smoothing", [0.1, 0.9])
def test_label_smoothing_of_labels_and_rows(last, rows, smoothing):
    x, t = make_data("cross_entropy", rows=rows)
    check(make_net("gelu", last), "cross_entropy", x, t, smoothing=smoothing)


def test_rescaling_and_zeros_in_the_input():
    x, t = make_data("mse")
    x = np.where(np.random.default_rng(3).random(x.shape) < 0.6, 0.0, np.rint(x * 40 + 100))
    net = make_net("tanh", "identity", scale=1 / 255)
    check(net, "mse", x, t)
    assert_same_bits(net, x, x.astype(np.uint8), t)


def assert_same_bits(net, x, other, t):
    value, pairs = net.gradients(x, t)
    value2, pairs2 = net.gradients(other, t)
    assert value == value2
    for pair, pair2 in zip(pairs, pairs2, strict=True):
        for a, b in zip(pair, pair2, strict=True):
            assert a.tobytes() == b.tobytes()


def test_layouts_of_x_and_one_hot_rows_give_the_same_bits():
    net = make_net("relu", "softmax", dtype="float32")
    x, t = make_data("cross_entropy")
    x = x.astype(np.float32)
    for other in (np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], x.astype(np.float64)):
        assert_same_bits(net, x, other, t)
    one_hot = np.eye(M)[t]
    a, b = net.gradients(x, t)[1], net.gradients(x, one_hot)[1]
    assert all(np.array_equal(p, q) for u, v in zip(a, b, strict=True)
               for p, q in zip(u, v, strict=True))  # fmt: skip


def test_a_sample_alone_is_a_batch_of_one():
    net = make_net("tanh", "softmax")
    x, t = make_data("cross_entropy")
    assert net.gradients(x[0], t[0])[0] == net.gradients(x[:1], t[:1])[0]
    one_hot = np.eye(M)[t]
    assert net.gradients(x[0], one_hot[0])[0] == net.gradients(x[:1], t[:1])[0]


def test_class_weights_are_multiplied_into_sample_weights():
    net = make_net("tanh", "softmax")
    x, t = make_data("cross_entropy")
    by_class = np.array([1.0, 2.0, 0.5, 3.0])
    weights = np.linspace(0.5, 1.5, N)
    expected = net.gradients(x, t, sample_weight=weights * by_class[t])
    for form in (by_class, list(by_class), dict(enumerate(by_class))):
        assert net.gradients(x, t, sample_weight=weights, class_weight=form)[0] == expected[0]


def test_large_logits_overflow_in_no_loss():
    x, t = make_data("cross_entropy")
    net = make_net("identity", "softmax", dtype="float32")
    net.layers[-1].weights = net.layers[-1].weights * 1e4
    value, pairs = net.gradients(x, t)
    assert np.isfinite(value)
    assert all(np.isfinite(a).all() for pair in pairs for a in pair)
    net = make_net("identity", "sigmoid", dtype="float32")
    net.layers[-1].weights = net.layers[-1].weights * 1e4
    assert np.isfinite(net.gradients(*make_data("binary_cross_entropy"))[0])


# Each with the alpha that make_net gives it.
TORCH_ACTIVATIONS = {
    "identity": lambda a: a,
    "sigmoid": lambda a: a.sigmoid(),
    "tanh": lambda a: a.tanh(),
    "relu": lambda a: a.relu(),
    "elu": lambda a: torch_functional().elu(a, 0.3),
    "gelu": lambda a: torch_functional().gelu(a),
    "silu": lambda a: torch_functional().silu(a),
    "softplus": lambda a: torch_functional().softplus(a),
    "leaky_relu": lambda a: torch_functional().leaky_relu(a, 0.3),
    "selu": lambda a: torch_functional().selu(a),
    "relu6": lambda a: torch_functional().relu6(a),
    "clip": lambda a: torch_functional().hardtanh(a),
    "hard_sigmoid": lambda a: (0.3 * a + 0.5).clamp(0, 1),
    "hard_swish": lambda a: torch_functional().hardswish(a),
    "softsign": lambda a: torch_functional().softsign(a),
    "mish": lambda a: torch_functional().mish(a),
    "gelu_tanh": lambda a: torch_functional().gelu(a, approximate="tanh"),
}


def torch_functional():
    import torch

    return torch.nn.functional


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("hidden", "loss"), list(itertools.product(TORCH_ACTIVATIONS, REGISTRY)))
def test_agrees_with_autograd(dtype, hidden, loss):
    torch = pytest.importorskip("torch", reason="PyTorch, to compare with, is not installed")
    functional = torch.nn.functional
    last = last_activations(REGISTRY[loss])[0]
    net = make_net(hidden, last, dtype=dtype)
    x, t = make_data(loss)
    x = x.astype(dtype)
    parameters = [
        tuple(torch.tensor(np.array(a), requires_grad=True) for a in (layer.weights, layer.bias))
        for layer in net.layers
    ]
    y = torch.tensor(x)
    for i, (w, b) in enumerate(parameters):
        y = y @ w + b
        y = TORCH_ACTIVATIONS[hidden](y) if i < 2 else y
    target = torch.tensor(t if loss == "cross_entropy" else t.astype(dtype))
    expected = {
        "cross_entropy": functional.cross_entropy,
        "binary_cross_entropy": functional.binary_cross_entropy_with_logits,
        "mse": functional.mse_loss,
        "mae": functional.l1_loss,
        "huber": functional.huber_loss,
        "poisson": functional.poisson_nll_loss,
    }[loss](y, target)
    expected.backward()
    value, pairs = net.gradients(x, t, loss=loss)
    # A few ULP for each link of the chain: sums over inputs, outputs and samples, three layers.
    tolerance = 4 * float(np.finfo(dtype).eps) * (K + 2 * HIDDEN + M + N)
    assert value == pytest.approx(expected.item(), rel=tolerance)
    for pair, theirs in zip(pairs, parameters, strict=True):
        for array, parameter in zip(pair, theirs, strict=True):
            right = parameter.grad.numpy()
            assert np.abs(array - right).max() <= tolerance * np.abs(right).max()


@pytest.mark.parametrize(
    ("weights", "text"),
    [([1e39, 1.0], "weights overflow float32"), ([1e-60, 1e-60], "weights of all samples are 0")],
)
def test_weights_that_the_dtype_cannot_hold_are_refused(weights, text):
    net = nncore.Network([nncore.Dense(2, 2, "softmax")], seed=0)
    with pytest.raises(ValueError, match=text):
        net.gradients([[1.0, 2.0], [3.0, 4.0]], [0, 1], sample_weight=weights)
