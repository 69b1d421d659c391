"""What Network.fit refuses, naming what was expected and what came."""

from __future__ import annotations

import re

import numpy as np
import pytest
from fits import K, M, N, make_data, make_net, weights

import nncore
import nncore.optimizers

X, T = make_data()


def spoiled(value):
    x = X.copy()
    x[3, 2] = value
    return x


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"x": X[:, :5]}, ValueError, "x has 5 features, this network takes 6"),
        ({"x": X[:0], "t": T[:0]}, ValueError, "x has zero samples, expected at least one"),
        ({"x": spoiled(np.nan)}, ValueError,
         "x[3, 2] is nan, expected finite numbers"),
        ({"x": spoiled(-np.inf)}, ValueError, "x[3, 2] is -inf, expected"),
        ({"x": spoiled(np.inf).astype("f4")}, ValueError, "x[3, 2] is inf, expected"),
        ({"x": X.astype(complex)}, TypeError, "x has dtype complex128, expected real numbers"),
        ({"t": T[:9]}, ValueError, "t has 9 targets, expected one for each of the 60 samples"),
        ({"t": T + 1}, ValueError, "is the label 3, expected 0 to 2: the network has 3 outputs"),
        ({"t": T + 0.5}, ValueError, "expected a class label, a whole number from 0 to 2"),
        ({"epochs": 0}, ValueError, "epochs is 0, expected at least 1"),
        ({"epochs": 1.5}, TypeError, "epochs is 1.5 of type float, expected a whole number"),
        ({"batch_size": 0}, ValueError, "batch_size is 0, expected at least 1"),
        ({"loss": "mse"}, ValueError,
         "the last activation is 'softmax', expected one with a derivative of each output"),
        ({"loss": "best"}, ValueError, "loss is 'best', expected one of cross_entropy"),
        ({"seed": -1}, ValueError, "seed is -1, expected None, a whole number of at least 0"),
        ({"validation": 1.0}, ValueError, "validation is 1.0, expected (x, t), or a share"),
        ({"validation": 0.999}, ValueError, "validation=0.999 leaves no samples of 60"),
        ({"validation": "some"}, TypeError, "validation is of type str, expected (x, t), or"),
        ({"validation": (X,)}, ValueError, "validation has 1 part, expected (x, t) or a share"),
        ({"validation": (X, T + 3)}, ValueError, "validation: t["),
        ({"sample_weight": np.ones(5)}, ValueError,
         "sample_weight has shape (5,), expected (60,)"),
        ({"sample_weight": -np.ones(N)}, ValueError,
         "sample_weight[0] is -1.0, expected finite numbers of at least 0"),
        ({"sample_weight": np.zeros(N)}, ValueError, "the weights of all samples are 0"),
        ({"class_weight": [1, 2]}, ValueError, "class_weight has shape (2,), expected (3,)"),
        ({"class_weight": {3: 1.0}}, ValueError, "class_weight has the class 3, expected 0 to 2"),
        ({"class_weight": {0: np.nan}}, ValueError, "class_weight[0] is nan, expected finite"),
        ({"class_weight": {1: "x"}}, TypeError, "class_weight[1] is 'x', expected a finite number"),
        ({"class_weight": {1: [1, 2]}}, TypeError, "class_weight[1] is [1, 2], expected a finite"),
        ({"sample_weight": np.full(N, 1e-300), "dtype": "float32"}, ValueError,
         "the weights of all samples are 0 in float32, expected some above 0"),
        ({"epochs": 10**30}, ValueError, "expected at most 1152921504606846976 steps in all"),
        ({"shuffle": "no"}, TypeError, "shuffle is 'no', expected True or False"),
        ({"shuffle": np.array([1, 2])}, TypeError, "expected True or False"),
        ({"optimizer": nncore.optimizers.Optimizer(0.1, None, None)}, TypeError,
         "optimizer is Optimizer(0.1), expected an object such as nncore.Adam(1e-3)"),
        ({"optimizer": nncore.SGD(lambda step, total: 10**400)}, ValueError,
         "the learning rate of step 0 is 1000"),
        ({"callbacks": None}, TypeError, "callbacks is None, expected a sequence of callables"),
        ({"callbacks": [lambda net: 0]}, TypeError, ", expected a callable(net, history)"),
        ({"progress": lambda: 0}, TypeError, ", expected a callable(progress) or None"),
        ({"augment": nncore.Augment}, TypeError, "expected nncore.Augment(...) or a callable(x,"),
        ({"augment": lambda x: x}, TypeError, "expected nncore.Augment(...) or a callable(x,"),
        ({"class_weight": [1, 1, 1], "t": np.full((N, M), 1 / 3)}, ValueError,
         "class_weight needs one class for each sample"),
        ({"dropout": 1.0}, ValueError, "dropout is 1.0, expected a number from 0 to below 1"),
        ({"dropout": [0.1, 0.2]}, ValueError,
         "dropout has 2 rates, expected 1, one for each hidden layer"),
        ({"dropout": "half"}, TypeError, "dropout is 'half', expected a number"),
        ({"label_smoothing": 1.0}, ValueError, "label_smoothing is 1.0, expected"),
        ({"early_stopping": 3}, TypeError, "early_stopping is 3, expected nncore.EarlyStopping"),
        ({"early_stopping": nncore.EarlyStopping(3, "val_loss")}, ValueError,
         "validation is None, expected data: early_stopping monitors val_loss"),
        ({"callbacks": print}, TypeError, "callbacks is a single callable, expected a sequence"),
        ({"callbacks": [3]}, TypeError, "callbacks[0] is 3, expected a callable(net, history)"),
        ({"progress": True}, TypeError, "progress is True, expected a callable(progress)"),
        ({"augment": 3}, TypeError, "augment is 3, expected nncore.Augment(...) or a callable"),
        ({"augment": nncore.Augment()}, ValueError,
         "x has 6 features, expected the pixels of square images"),
        ({"augment": lambda x, epoch: x[:3]}, ValueError,
         "augment's result has shape (3, 6), expected (60, 6)"),
        ({"augment": lambda x, epoch: x * np.nan}, ValueError, "augment: x[0, 0] is nan, expected"),
    ],
)  # fmt: skip
def test_what_is_refused_leaves_the_network_alone(change, error, text):
    net = make_net(dtype=change.get("dtype", "float64"))
    before = weights(net)
    arguments = {"x": X, "t": T, "epochs": 1} | change
    arguments.pop("dtype", None)
    with pytest.raises(error, match=re.escape(text)):
        net.fit(arguments.pop("x"), arguments.pop("t"), **arguments)
    assert weights(net) == before


def test_x_that_overflows_the_dtype_is_refused():
    text = re.escape("x[3, 2] is 1e+300, expected finite numbers in float32")
    net = make_net(dtype="float32")
    before = weights(net)
    for call in (net.fit, net.gradients):
        with pytest.raises(ValueError, match=text):
            call(spoiled(1e300), T)
    with pytest.raises(ValueError, match="validation: " + text):
        net.fit(X, T, validation=(spoiled(1e300), T))
    with pytest.raises(ValueError, match=text):
        net.fit(X, T, augment=lambda x, epoch: spoiled(1e300))
    assert weights(net) == before
    make_net(dtype="float64").fit(spoiled(1e300), T, epochs=1, optimizer=nncore.SGD(0.0))
    largest = np.finfo("f4").max
    net.fit(spoiled(float(largest)), T, epochs=1, optimizer=nncore.SGD(0.0))


def test_settings_of_early_stopping_are_checked_when_they_are_used():
    stopping = nncore.EarlyStopping(2)
    for name, value, text in (("monitor", "x", "monitor is 'x', exp"), ("patience", "x", "patience "
                              "is 'x'")):  # fmt: skip
        changed = nncore.EarlyStopping(2)
        setattr(changed, name, value)
        with pytest.raises((TypeError, ValueError), match=text):
            make_net().fit(X, T, early_stopping=changed)
    make_net().fit(X, T, epochs=1, early_stopping=stopping)


def test_a_fit_inside_a_callback_is_lost():
    def again(net, history):
        net.fit(X, T, epochs=1, optimizer=nncore.SGD(1.0))

    net = make_net()
    net.fit(X, T, epochs=2, callbacks=[again])
    alone = make_net()
    alone.fit(X, T, epochs=2)
    # The callback of the last epoch ends before the fit does.
    assert weights(net) == weights(alone)


def test_losses_and_options_that_do_not_go_together():
    x, _ = make_data()
    rows = np.zeros((N, M))
    with pytest.raises(ValueError, match=r"label_smoothing is 0\.1 with the loss mse, expected 0"):
        make_net("identity").fit(x, rows, label_smoothing=0.1)
    with pytest.raises(ValueError, match="monitors accuracy, expected a loss: only"):
        make_net("identity").fit(x, rows, early_stopping=nncore.EarlyStopping(3, "accuracy"))
    with pytest.raises(
        ValueError, match="expected softmax or log_softmax with the loss cross_entropy"
    ):
        make_net("identity").fit(x, rows, loss="cross_entropy")


def test_an_activation_without_a_derivative_is_refused():
    net = nncore.Network([nncore.Dense(K, 4, lambda a: a * a), nncore.Dense(4, M, "softmax")])
    with pytest.raises(ValueError, match=r"Dense layer 0 has the activation <function.*whose"):
        net.fit(X, T)
    with pytest.raises(ValueError, match="this needs an activation of nncore"):
        net.gradients(X, T)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: nncore.EarlyStopping(0), ValueError, "patience is 0, expected at least 1"),
        (lambda: nncore.EarlyStopping(2.5), TypeError, "patience is 2.5 of type float"),
        (lambda: nncore.EarlyStopping(2, "speed"), ValueError, "monitor is 'speed', expected"),
        (lambda: nncore.EarlyStopping(2, min_delta=-1), ValueError, "min_delta is -1.0, expected"),
    ],
)
def test_early_stopping_that_makes_no_sense(make, error, text):
    with pytest.raises(error, match=re.escape(text)):
        make()
