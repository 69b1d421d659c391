"""From the steps of other libraries' models to layers: against the same steps in double."""

from __future__ import annotations

import numpy as np
import pytest

from nncore import Dense, Network, Normalization, Rescaling
from nncore.interop._assembler import Assembler


def made(steps, **options):
    layers, dtype, classes, _ = steps.contents(**options)
    return Network(layers, dtype=dtype, classes=classes)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def random_steps(rng, steps, k, depth):
    """Give the assembler random steps; return the same as a function in double."""
    stages = []

    def scale(m):
        a, b = rng.uniform(0.5, 2, m), rng.standard_normal(m)
        steps.scale(a, b, "a batch normalisation")
        stages.append(lambda x: x * a + b)

    def activation():
        steps.activation("tanh", "a tanh")
        stages.append(np.tanh)

    def dense(k, m):
        w, b = rng.standard_normal((k, m)), rng.standard_normal(m)
        steps.dense(w, b, "a dense layer")
        stages.append(lambda x: x @ w + b)

    if rng.random() < 0.5:
        mean, std = rng.standard_normal(k), rng.uniform(0.5, 2, k)
        steps.normalize(mean, std, "a scaler")
        stages.append(lambda x: (x - mean) / std)
    if rng.random() < 0.5:
        steps.rescale(0.5, 0.25, "a factor")
        stages.append(lambda x: x * 0.5 + 0.25)
    for _ in range(depth):
        m = int(rng.integers(1, 9))
        if rng.random() < 0.4:
            scale(k)
        dense(k, m)
        k = m
        for _ in range(int(rng.integers(0, 4))):
            scale(k) if rng.random() < 0.5 else activation()

    def reference(x):
        for stage in stages:
            x = stage(x)
        return x

    return reference


@pytest.mark.parametrize("seed", range(60))
def test_any_order_of_steps(seed):
    rng = np.random.default_rng(seed)
    steps, k = Assembler(), int(rng.integers(1, 9))
    reference = random_steps(rng, steps, k, int(rng.integers(1, 5)))
    x = rng.standard_normal((20, k))
    np.testing.assert_allclose(made(steps)(x), reference(x), rtol=1e-9, atol=1e-9)


def test_weights_that_nothing_is_folded_into_keep_their_bits(rng):
    w, b = rng.standard_normal((5, 3)).astype("f4"), rng.standard_normal(3).astype("f4")
    steps = Assembler()
    steps.dense(w, b, "fc")
    steps.activation("relu", "act")
    (layer,) = made(steps).layers
    assert layer.weights.tobytes() == w.tobytes()
    assert layer.bias.tobytes() == b.tobytes()


def test_folding_rounds_once(rng):
    w = rng.standard_normal((5, 3)).astype("f4")
    steps = Assembler()
    steps.dense(w, None, "fc")
    steps.scale(1 / 3, 0.0, "first")
    steps.scale(3.0, 0.0, "second")
    (layer,) = made(steps).layers
    assert layer.weights.dtype == np.float32
    np.testing.assert_array_equal(layer.weights, w)


def test_a_scaler_at_the_front_is_kept_as_it_is():
    mean, std = np.array([1e6, 0.1]), np.array([3.0, 1e-3])
    steps = Assembler()
    steps.normalize(mean, std, "scaler")
    steps.dense(np.eye(2), None, "fc")
    front, _ = made(steps).layers
    np.testing.assert_array_equal(front.mean, mean)
    np.testing.assert_array_equal(front.std, std)


def test_several_scalers_become_one():
    steps = Assembler()
    steps.rescale(1 / 255, 0.0, "pixels")
    steps.normalize([0.5, 0.25], [0.5, 2.0], "scaler")
    steps.dense(np.eye(2), None, "fc")
    net = made(steps)
    assert [type(layer) for layer in net.layers] == [Normalization, Dense]
    np.testing.assert_allclose(net([255.0, 0.0]), [1.0, -0.125])
    steps = Assembler()
    steps.rescale(2.0, 0.0, "a")
    steps.rescale(0.5, 1.0, "b")
    steps.dense(np.eye(2), None, "fc")
    assert repr(made(steps).layers[0]) == repr(Rescaling(1.0, 1.0))


def test_an_activation_before_any_dense_layer():
    steps = Assembler()
    steps.activation("relu", "act")
    steps.dense(np.ones((2, 1)), None, "fc")
    assert made(steps)([-5.0, 2.0]) == [2.0]


def test_two_activations_in_a_row():
    steps = Assembler()
    steps.dense(np.eye(2), None, "fc")
    steps.activation("relu", "act")
    steps.activation("softmax", "probabilities")
    net = made(steps, classes=["no", "yes"])
    assert [layer.activation for layer in net.layers] == ["relu", "softmax"]
    np.testing.assert_allclose(net([-1.0, 0.0]), [0.5, 0.5])
    assert net.classes.tolist() == ["no", "yes"]


def test_double_stays_double_and_anything_else_is_single():
    for dtypes, expected in (("dd", "float64"), ("df", "float32"), ("ee", "float32")):
        steps = Assembler()
        for dtype in dtypes:
            steps.dense(np.eye(2, dtype=dtype), None, "fc")
        assert made(steps).dtype == expected


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda s: None, "the model has no dense layer"),
        (lambda s: s.dense(np.ones(3), None, "fc"), r"^fc: the weights have shape \(3,\)"),
        (lambda s: s.dense(np.ones((3, 2)), np.ones(3), "fc"), r"^fc: the bias has shape \(3,\)"),
        (lambda s: s.dense(np.ones((3, 2), int), None, "fc"), "^fc: the weights have dtype int64"),
        (lambda s: s.scale([1.0, np.nan], 0.0, "bn"), "^bn: scale holds a number that is not fin"),
        (lambda s: s.scale(np.ones((2, 2)), 0.0, "bn"), r"^bn: scale has shape \(2, 2\)"),
        (lambda s: s.normalize([1.0], [0.0], "norm"), "^norm: std holds 0"),
        (lambda s: (s.normalize([0], [1], "norm"), s.activation("swoosh", "act")), "^act: "),
    ],
)
def test_refusals(build, message):
    def whole():
        steps = Assembler()
        build(steps)
        steps.contents()

    with pytest.raises(ValueError, match=message):
        whole()


def test_sizes_that_do_not_fit_together():
    steps = Assembler()
    steps.dense(np.ones((4, 3)), None, "fc1")
    with pytest.raises(ValueError, match=r"^fc2 takes 4 features, expected 3"):
        steps.dense(np.ones((4, 3)), None, "fc2")
    with pytest.raises(ValueError, match=r"^bn takes 2 features, expected 3"):
        steps.scale([1.0, 2.0], 0.0, "bn")


def test_softmax_before_the_end():
    steps = Assembler()
    steps.dense(np.eye(3), None, "fc1")
    steps.activation("softmax", "node 7")
    steps.dense(np.eye(3), None, "fc2")
    with pytest.raises(ValueError, match=r"^node 7: softmax stands before the end"):
        steps.contents()
    steps = Assembler()
    steps.dense(np.eye(3), None, "fc1")
    steps.activation("softmax", "node 7")
    steps.scale(2.0, 0.0, "node 8")
    with pytest.raises(ValueError, match=r"^node 7: softmax stands before the end"):
        steps.contents()


def test_a_diagonal_that_would_be_huge():
    steps = Assembler()
    steps.dense(np.ones((1, 5000)), None, "fc")
    steps.activation("relu", "act1")
    with pytest.raises(ValueError, match=r"^act2 cannot be folded .* has 5000 features"):
        steps.activation("tanh", "act2")


def test_many_diagonals_that_would_be_huge_together():
    steps = Assembler()
    steps.dense(np.ones((1, 4096), "f4"), None, "fc")
    steps.activation("relu", "act")
    for i in range(4):
        steps.activation("tanh", f"act{i}")
    with pytest.raises(ValueError, match=r"^act4 cannot be folded .*, nor could many steps"):
        steps.activation("tanh", "act4")


def test_an_activation_behind_a_scaler_of_any_number_of_features():
    steps = Assembler()
    steps.rescale(2.0, 1.0, "scaler")
    steps.activation("relu", "act1")
    steps.activation("step", "act2")
    steps.dense(np.array([[1.0], [2.0]]), None, "fc")
    assert made(steps)([-1.0, 0.25]) == [2.0]
    steps = Assembler()
    steps.scale(-2.0, 1.0, "scaler")
    steps.activation("relu", "act1")
    steps.dense(np.array([[1.0], [2.0]]), None, "fc")
    assert made(steps)([-1.0, 1.0]) == [3.0]
