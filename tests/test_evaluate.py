"""Network.evaluate and predict_proba."""

from __future__ import annotations

import numpy as np
import pytest
from fits import M, N, make_data, make_net
from reference import assert_same_bits

import nncore
from nncore import Dense, Evaluation, Network

# ---- evaluate


@pytest.mark.parametrize("last", ["softmax", "log_softmax", "sigmoid", "identity"])
@pytest.mark.parametrize("n", [1, 7, 33, 1000])
@pytest.mark.parametrize("options", [{}, {"dropout": 0.4}, {"batch_size": 5}])
def test_the_numbers_are_those_of_the_validation_of_fit(last, n, options, dtype):
    x, t = make_data()
    xv, tv = make_data(n, seed=9)
    if last in ("sigmoid", "identity"):
        t, tv = np.eye(M)[t], np.eye(M)[tv]
    net = make_net(last, dtype=dtype)
    history = net.fit(x, t, epochs=2, validation=(xv, tv), **options)
    loss, accuracy = result = net.evaluate(xv, tv)
    assert isinstance(result, Evaluation)
    assert loss == history.val_loss[-1]  # every bit
    assert type(loss) is float
    if last == "identity":
        assert accuracy is None
    else:
        assert accuracy == history.val_accuracy[-1]
        assert type(accuracy) is float


def test_the_loss_by_hand():
    net = Network.from_arrays([[[2.0]], [[1.0]]], [[1.0], [0.0]], ["identity", "identity"])
    assert net.evaluate([[3.0], [0.0]], [[5.0], [0.0]]) == ((4.0 + 1.0) / 2, None)
    assert net.evaluate([[3.0], [0.0]], [5.0, 0.0], loss="mae").loss == (2.0 + 1.0) / 2
    weighted = net.evaluate([[3.0], [0.0]], [5.0, 0.0], sample_weight=[3, 1])
    assert weighted.loss == (3 * 4.0 + 1.0) / 4


def test_weights_of_samples_and_classes():
    net, (x, t) = make_net(), make_data()
    weight = np.random.default_rng(0).integers(0, 3, N)
    by_class = {0: 2.0, 2: 0.5}
    explicit = weight * np.array([2.0, 1.0, 0.5])[t]
    found = net.evaluate(x, t, sample_weight=weight, class_weight=by_class)
    assert found == net.evaluate(x, t, sample_weight=explicit)
    seen = weight > 0
    assert found.accuracy == (net.predict(x) == t)[seen].mean()
    assert found.loss == pytest.approx(net.gradients(x, t, sample_weight=explicit)[0], rel=1e-12)
    smooth = net.evaluate(x, t, label_smoothing=0.1).loss
    assert smooth == pytest.approx(net.gradients(x, t, label_smoothing=0.1)[0], rel=1e-12)


def test_nothing_of_the_network_changes():
    net, (x, t) = make_net(), make_data()
    before = [layer.weights for layer in net.layers]
    assert net.evaluate(x, t) == net.evaluate(x, t)
    assert all(layer.weights is w for layer, w in zip(net.layers, before, strict=True))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_same_for_any_number_of_threads(threads):
    net, (x, t) = make_net(), make_data(3000)
    before = nncore.get_num_threads()
    expected = net.evaluate(x, t)
    nncore.set_num_threads(threads)
    try:
        assert net.evaluate(x, t) == expected
    finally:
        nncore.set_num_threads(before)


@pytest.mark.parametrize("form", [list, np.asfortranarray, lambda x: np.repeat(x, 2, 0)[::2]])
def test_any_form_of_samples(form):
    net, (x, t) = make_net(), make_data()
    assert net.evaluate(form(x), t) == net.evaluate(x, t) == net.evaluate(x, t[:, None])


def test_samples_on_disk(tmp_path):
    x, t = nncore.datasets.make_digits(500, seed=1)
    x.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", np.uint8, "r", shape=x.shape)
    digits = nncore.load_pretrained("digits")
    assert digits.evaluate(mapped, t) == digits.evaluate(x, t)
    assert digits.evaluate(mapped, t).accuracy == (digits.predict(x) == t).mean()


@pytest.mark.parametrize(
    ("x", "t", "options", "text"),
    [
        (np.zeros((0, 6)), [], {}, "x has zero samples, expected at least one"),
        (np.full((2, 6), np.nan), [0, 1], {}, "x[0, 0] is nan, expected finite numbers"),
        (np.zeros((2, 6)), [0, 3], {}, "t[1] is the label 3, expected 0 to 2"),
        (np.zeros((2, 5)), [0, 1], {}, "x has 5 features, this network takes 6"),
        (np.zeros((2, 6)), [0, 1], {"loss": "mse"}, "the last activation is 'softmax'"),
        (np.zeros((2, 6)), [0, 1], {"sample_weight": [0, 0]}, "the weights of all samples are 0"),
    ],
)
def test_what_is_refused(x, t, options, text):
    with pytest.raises(ValueError, match="^" + text.replace("[", r"\[").replace("'", ".")):
        make_net().evaluate(x, t, **options)


def test_an_activation_of_ones_own_is_refused():
    net = Network([Dense(6, 3, np.sin), Dense(3, 3, "softmax")], seed=0)
    with pytest.raises(ValueError, match=r"this needs an activation of nncore.activations"):
        net.evaluate(*make_data())


# ---- predict_proba


@pytest.mark.parametrize("last", ["softmax", "log_softmax"])
def test_probabilities_of_classes(last, dtype):
    net, (x, _) = make_net(last, dtype=dtype), make_data()
    p = net.predict_proba(x)
    assert (p.shape, p.dtype) == ((N, M), net.dtype)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-6)
    assert_same_bits(p, make_net("softmax", dtype=dtype)(x))
    assert_same_bits(p[4], net.predict_proba(x[4]))
    assert (p.argmax(1) == net.predict(x)).all()
    if last == "log_softmax":
        np.testing.assert_allclose(p, np.exp(net(x)), rtol=1e-6)


def test_one_sigmoid_gives_two_columns(dtype):
    net = Network([Dense(6, 1, "sigmoid")], seed=0, dtype=dtype, classes=["no", "yes"])
    x, _ = make_data()
    p = net.predict_proba(x)
    assert (p.shape, p.dtype) == ((N, 2), net.dtype)
    assert_same_bits(p[:, 1], net(x)[:, 0])
    np.testing.assert_allclose(p[:, 0], 1 - net(x)[:, 0], rtol=1e-5)
    assert_same_bits(p[4], net.predict_proba(x[4]))
    assert p[4].shape == (2,)
    assert (p.argmax(1) == net.predict(x).ravel()).all()
    assert len(net.classes) == p.shape[1]
    sure = 200.0 if dtype == "float64" else 50.0
    net.layers[0].weights, net.layers[0].bias = np.zeros((6, 1)), [sure]
    assert 0 < net.predict_proba(x[0])[0] < 1e-20  # 1 - p would give 0


def test_several_sigmoids_are_labels_of_their_own():
    net, (x, _) = make_net("sigmoid"), make_data()
    assert_same_bits(net.predict_proba(x), net(x))


@pytest.mark.parametrize("last", ["identity", "relu", "tanh", np.sin])
def test_other_outputs_are_no_probabilities(last):
    with pytest.raises(
        ValueError, match=r"last activation is .*, expected softmax, log_softmax or"
    ):
        make_net(last).predict_proba(make_data()[0])
