"""Steps of the Trainer whose settings differ: from step to step, or for the biases."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import run_python

import nncore
from nncore.fit.trainer import Trainer
from nncore.losses import REGISTRY

N, K, M, SIZE = 70, 23, 19, 20  # batches of 20, 20, 20 and 10
STEPS = -(-N // SIZE)
KINDS = {
    "sgd": {"momentum": 0.9, "dampening": 0.0, "nesterov": 1.0, "weight_decay": 0.0},
    "adam": {"beta1": 0.9, "beta2": 0.99, "eps": 1e-3, "weight_decay": 0.0},
}


def make_trainer(kind, dtype, **options):
    net = nncore.Network([nncore.Dense(K, 11, "tanh"), nncore.Dense(11, M)], seed=0, dtype=dtype)
    rng = np.random.default_rng(1)
    for layer in net.layers:
        layer.bias = rng.standard_normal(layer.out_features)
    settings = None if kind is None else {"kind": kind, **KINDS[kind]}
    return Trainer(net._program(), REGISTRY["mse"].code, settings, **options)


def data(dtype):
    rng = np.random.default_rng(2)
    return rng.standard_normal((N, K)).astype(dtype), rng.standard_normal((N, M)).astype(dtype)


def run(trainer, dtype, rates, *, settings=None, biases=None, size=SIZE):
    x, t = data(dtype)
    squares = np.empty(-(-N // size))
    order = np.arange(N, dtype=np.int64)
    trainer.run(x, t, None, order, size, rates, settings, biases, squares)
    return trainer.arrays(), squares


def flat(pairs):
    return np.hstack([array.ravel() for pair in pairs for array in pair])


@pytest.mark.parametrize("kind", KINDS)
def test_steps_with_settings_of_their_own_are_the_formulas(kind):
    """Each step with another decay, of the weights alone, and Adam with another epsilon."""
    rates = np.linspace(0.1, 0.2, STEPS)
    settings = {"weight_decay": np.linspace(0, 0.3, STEPS)}
    if kind == "adam":
        settings["eps"] = np.geomspace(1e-4, 1e-1, STEPS)
    trainer = make_trainer(kind, "float64")
    oracle = make_trainer(None, "float64")
    x, t = data("float64")
    got, squares = run(
        trainer, "float64", rates, settings=settings, biases={"weight_decay": np.zeros(STEPS)}
    )
    pairs = oracle.arrays()
    state = [[(np.zeros_like(w), np.zeros_like(b)) for w, b in pairs] for _ in range(2)]
    for step, rate in enumerate(rates):
        place = slice(step * SIZE, (step + 1) * SIZE)
        assert squares[step] == pytest.approx(sum((w * w).sum() for w, _ in pairs), rel=1e-14)
        oracle.set_arrays(pairs)
        _, gradients = oracle.gradients(x[place], t[place], None)
        for layer, pair in enumerate(zip(pairs, gradients, strict=True)):
            for i, (p, g) in enumerate(zip(*pair, strict=True)):
                first, second = state[0][layer][i], state[1][layer][i]
                g = g + (settings["weight_decay"][step] * p if i == 0 else 0)
                if kind == "sgd":
                    first[...] = 0.9 * first + g
                    p -= rate * (g + 0.9 * first)
                else:
                    first[...] = 0.9 * first + 0.1 * g
                    second[...] = 0.99 * second + 0.01 * g * g
                    root = np.sqrt(second / (1 - 0.99 ** (step + 1)))
                    p -= rate / (1 - 0.9 ** (step + 1)) * first / (root + settings["eps"][step])
    np.testing.assert_allclose(flat(got), flat(pairs), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_settings_given_for_every_step_are_those_of_the_trainer(kind, dtype):
    rates = np.full(STEPS, 0.05)
    usual, _ = run(make_trainer(kind, dtype), dtype, rates)
    settings = {name: np.full(STEPS, value) for name, value in KINDS[kind].items()}
    given, _ = run(make_trainer(kind, dtype), dtype, rates, settings=settings, biases={})
    assert flat(usual).tobytes() == flat(given).tobytes()


@pytest.mark.parametrize("clip", [{}, {"clip_norm": 0.5}, {"clip_value": 0.01}])
@pytest.mark.parametrize("size", [20, 150])
def test_any_number_of_threads(clip, size):
    code = f"import test_steps; print(test_steps.run_with_decay({clip}, {size}))"
    for count in "123":
        process = run_python(code, NNCORE_PARALLEL_MIN="0", NNCORE_NUM_THREADS=count)
        assert process.stdout.strip() == run_with_decay(clip, size)


def run_with_decay(clip, size):
    """Steps of `size` samples with weight decay: all bits of the weights and of their squares."""
    steps = -(-N // size)
    got, squares = run(
        make_trainer("adam", "float32", **clip), "float32", np.full(steps, 0.05), size=size,
        settings={"weight_decay": np.full(steps, 0.1)}, biases={"weight_decay": np.zeros(steps)},
    )  # fmt: skip
    return (flat(got).tobytes() + squares.tobytes()).hex()


@pytest.mark.parametrize("clip", [{"clip_norm": 1e30}, {"clip_value": 1e30}])
def test_a_limit_that_nothing_reaches_changes_nothing(clip):
    rates, decay = np.full(STEPS, 0.05), {"weight_decay": np.full(STEPS, 0.1)}
    none = {"weight_decay": np.zeros(STEPS)}
    free, _ = run(make_trainer("adam", "float32"), "float32", rates, settings=decay, biases=none)
    limited, _ = run(
        make_trainer("adam", "float32", **clip), "float32", rates, settings=decay, biases=none
    )
    assert flat(free).tobytes() == flat(limited).tobytes()


def test_other_parameters_are_taken_whole(dtype):
    trainer, other = make_trainer("sgd", dtype), make_trainer("sgd", dtype)
    run(trainer, dtype, np.full(STEPS, 0.05))
    other.set_arrays(trainer.arrays())
    x, t = data(dtype)
    loss, gradients = trainer.gradients(x, t, None)
    other_loss, other_gradients = other.gradients(x, t, None)
    assert loss == other_loss
    assert flat(gradients).tobytes() == flat(other_gradients).tobytes()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"decay": np.zeros(STEPS)}, "no setting 'decay'"),
        ({"weight_decay": np.zeros(STEPS + 1)}, r"weight_decay has shape \(5,\), expected \(4,\)"),
        ({"weight_decay": np.zeros(STEPS, "f4")}, "expected .* of float64"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, text):
    trainer = make_trainer("sgd", "float32")
    before = flat(trainer.arrays()).tobytes()
    with pytest.raises(ValueError, match=text):
        run(trainer, "float32", np.full(STEPS, 0.05), settings=settings)
    assert flat(trainer.arrays()).tobytes() == before


ORDER = np.arange(N, dtype=np.int64)


@pytest.mark.parametrize(
    "wrong",
    [
        {"x": np.zeros((N, K, 1), "f4")},
        {"targets": np.zeros((N, M))},
        {"targets": np.zeros((N - 1, M), "f4")},
        {"targets": np.zeros((M, N), "f4").T},
        {"weights": np.ones(N)},
        {"weights": np.ones(N + 1, "f4")},
        {"order": ORDER.astype(np.int32)},
        {"order": ORDER + 1},
        {"order": ORDER - 1},
        {"squares": np.zeros(2 * STEPS)[::2]},
    ],
    ids=lambda wrong: "-".join(wrong),
)
def test_what_would_break_memory_is_refused(wrong):
    trainer = make_trainer("sgd", "float32")
    before = flat(trainer.arrays()).tobytes()
    x, t = data("float32")
    given = {"x": x, "targets": t, "weights": None, "order": ORDER, "squares": None, **wrong}
    with pytest.raises(ValueError, match="mistake in nncore"):
        trainer.run(batch_size=SIZE, rates=np.full(STEPS, 0.1), **given)
    assert flat(trainer.arrays()).tobytes() == before
    assert trainer.steps == 0


@pytest.mark.parametrize("label", [-1, M])
def test_a_label_that_is_no_class_is_refused(label):
    net = nncore.Network([nncore.Dense(K, M, "softmax")], seed=0)
    trainer = Trainer(net._program(), REGISTRY["cross_entropy"].code)
    labels = np.zeros(N, np.int32)
    trainer.evaluate(data("float32")[0], labels, None)
    labels[-1] = label
    with pytest.raises(ValueError, match="mistake in nncore"):
        trainer.evaluate(data("float32")[0], labels, None)


@pytest.mark.parametrize("z", [-800.0, -20.0, -0.5, 0.0, 1e-3, 3.0, 60.0, 800.0, np.nan])
def test_poisson(z, dtype):
    """exp(z) - t z and its slope: within a few ULP, infinite where they are, NaN for NaN."""
    net = nncore.Network.from_arrays([[[1.0]]], [[z]], ["identity"], dtype=dtype)
    trainer = Trainer(net._program(), REGISTRY["poisson"].code)
    target = np.array([[2.0]], dtype)
    loss, [(_, slope)] = trainer.gradients(np.zeros((1, 1), dtype), target, None)
    with np.errstate(over="ignore"):
        y = np.exp(np.array(z, dtype))
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(loss, float(y) - 2 * float(np.array(z, dtype)), rtol=tolerance)
    np.testing.assert_allclose(slope[0], y - 2, rtol=tolerance)
