"""Network.fit: what it learns, what it is told and tells, where it stops."""

from __future__ import annotations

import os
import re
import signal

import numpy as np
import pytest
from fits import K, M, N, fitted, make_data, make_net, weights

import nncore
from nncore.fit.best_epoch import BestEpoch


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", [nncore.SGD(0.1, momentum=0.9), nncore.AdaGrad(0.1),
                                       nncore.RMSProp(), nncore.Adam(1e-2), nncore.AdamW(1e-2)],
                         ids=lambda optimizer: optimizer.kind)  # fmt: skip
def test_every_optimizer_learns(optimizer, dtype):
    net = make_net(dtype=dtype)
    x, t = make_data(300)
    history = net.fit(x, t, epochs=15, optimizer=optimizer)
    assert (net.predict(x) == t).mean() > 0.97
    assert history.loss[-1] < history.loss[0] / 2
    optimizer._state = None  # the parameters of a test are shared


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", None])
def test_a_line_is_found_again(loss):
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 2))
    net = nncore.Network([nncore.Dense(2, 1)], seed=0, dtype="float64")
    t = x @ [2.0, -3.0] + 0.5
    net.fit(x, t, epochs=60, loss=loss, optimizer=nncore.Adam(nncore.Cosine(0.2)))
    np.testing.assert_allclose(net.layers[0].weights.ravel(), [2, -3], atol=0.02)
    np.testing.assert_allclose(net.layers[0].bias, [0.5], atol=0.02)


def test_xor_is_learned():
    x, t = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    net = nncore.Network([nncore.Dense(2, 8, "tanh"), nncore.Dense(8, 1, "sigmoid")], seed=0)
    history = net.fit(x, t, epochs=300, batch_size=4, optimizer=nncore.Adam(0.05))
    assert (net(x).ravel() > 0.5).tolist() == [False, True, True, False]
    assert history.accuracy[-1] == 1.0


def test_a_step_is_gradient_descent():
    x, t = make_data(5)
    net = make_net()
    loss, pairs = net.gradients(x, t)
    expected = [
        (layer.weights - 0.1 * dw, layer.bias - 0.1 * db)
        for layer, (dw, db) in zip(net.layers, pairs, strict=True)
    ]
    history = net.fit(x, t, epochs=1, batch_size=5, shuffle=False, optimizer=nncore.SGD(0.1))
    assert history.loss == [loss]
    for layer, (w, b) in zip(net.layers, expected, strict=True):
        np.testing.assert_allclose(layer.weights, w, rtol=1e-13)
        np.testing.assert_allclose(layer.bias, b, rtol=1e-13)


def test_history_is_what_was_measured():
    x, t = make_data()
    xv, tv = make_data(33, seed=9)
    net = make_net()
    history = net.fit(x, t, epochs=3, batch_size=7, validation=(xv, tv),
                      optimizer=nncore.Adam(nncore.Cosine(0.01)))  # fmt: skip
    assert history.epochs == 3
    assert set(history.to_dict()) == {
        "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "time",
    }  # fmt: skip
    assert all(len(values) == 3 for values in history.to_dict().values())
    assert history.val_loss[-1] == pytest.approx(net.gradients(xv, tv)[0], rel=1e-12)
    assert history.val_accuracy[-1] == (net.predict(xv) == tv).mean()
    assert history.learning_rate[-1] == nncore.Cosine(0.01)(26, 27)
    assert all(seconds > 0 for seconds in history.time)
    lines = repr(history).splitlines()
    assert lines[0] == "History of 3 epochs"
    assert lines[1].split() == ["epoch", *history.to_dict()]
    assert len(lines) == 5


def test_the_loss_of_an_epoch_is_the_mean_over_its_samples():
    x, t = make_data()
    history = make_net().fit(x, t, epochs=1, batch_size=32, optimizer=nncore.SGD(0.0))
    assert history.loss[0] == pytest.approx(make_net().gradients(x, t)[0], rel=1e-12)
    assert history.accuracy[0] == (make_net().predict(x) == t).mean()
    weight = np.linspace(0.1, 2, N)
    history = make_net().fit(x, t, epochs=1, optimizer=nncore.SGD(0.0), sample_weight=weight)
    expected = make_net().gradients(x, t, sample_weight=weight)[0]
    assert history.loss[0] == pytest.approx(expected, rel=1e-12)


def test_a_regression_has_no_accuracy():
    x, _ = make_data()
    history = make_net("identity").fit(x, np.zeros((N, M)), epochs=1, validation=0.5)
    assert history.accuracy == history.val_accuracy == []
    assert "accuracy" not in repr(history)


def test_forms_of_the_same_data_give_the_same_bits():
    x, t = make_data()
    x = x.astype(np.float32)
    expected = weights(fitted(x, t, dtype="float32"))
    for other in (np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], x.astype(">f4"),
                  x.astype("f8"), x.astype(np.longdouble), x.tolist()):  # fmt: skip
        assert weights(fitted(other, t, dtype="float32")) == expected
    for labels in (t.astype("u1"), t.astype(float), t.tolist(), np.eye(M)[t]):
        assert weights(fitted(x, labels, dtype="float32")) == expected


def test_pixels_as_bytes_and_as_images():
    x, t = nncore.datasets.make_digits(50, seed=0)
    results = []
    for form in (x, x.astype(np.float32), x.reshape(50, 28, 28), x.reshape(50, 1, 28, 28)):
        net = nncore.Network([nncore.Rescaling(1 / 255), nncore.Dense(784, 10, "softmax")], seed=0)
        net.fit(form, t, epochs=2)
        results.append(net.layers[1].weights.tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize("batch_size", [1, 2, 59, 60, 61, 1000, 10**30])
def test_any_batch_size(batch_size):
    x, t = make_data()
    optimizer = nncore.Adam()
    history = make_net().fit(x, t, epochs=2, batch_size=batch_size, optimizer=optimizer)
    assert optimizer.steps == 2 * -(-N // batch_size)
    assert history.epochs == 2


def test_a_layer_without_bias_gets_none():
    x, t = make_data()
    net = make_net(bias=False)
    net.fit(x, t, epochs=1)
    assert [layer.bias for layer in net.layers] == [None, None]


def test_seed_and_shuffle():
    assert weights(fitted(seed=0)) == weights(fitted(seed=0)) == weights(fitted())
    assert weights(fitted(seed=[0, 1])) == weights(fitted(seed=(0, 1)))
    different = [fitted(seed=s) for s in (0, 1, [0, 1], None, None)] + [fitted(shuffle=False)]
    assert len({weights(net) for net in different}) == len(different)
    assert weights(fitted(shuffle=False)) == weights(fitted(shuffle=False, seed=3))


def test_validation_by_share():
    x, t = make_data()
    seen = []

    def look(data, epoch):
        seen.append(epoch)
        return data

    net, optimizer = make_net(), nncore.Adam()
    history = net.fit(x, t, validation=0.25, epochs=2, batch_size=15, optimizer=optimizer,
                      augment=look)  # fmt: skip
    assert optimizer.steps == 2 * 3
    assert len(history.val_loss) == 2
    assert seen == [0, 1]
    # Without shuffling it is the end that is put aside.
    last = fitted(x, t, validation=0.25, shuffle=False)
    assert weights(last) == weights(fitted(x[:45], t[:45], shuffle=False))
    # With it, it is drawn: by the seed, and never learned from.
    x[np.random.default_rng(5).permutation(N)[:5]] = 1e3
    assert fitted(x, t, validation=0.25, seed=1).layers[0].weights.shape == (K, 8)


def test_validation_data_change_nothing():
    assert weights(fitted(validation=make_data(9))) == weights(fitted())


def test_class_weights_are_sample_weights():
    _, t = make_data()
    by_class = {0: 0.5, 2: 3.0}
    explicit = np.array([0.5, 1.0, 3.0])[t]
    assert weights(fitted(class_weight=by_class)) == weights(fitted(sample_weight=explicit))
    assert weights(fitted(class_weight=by_class)) != weights(fitted())


def test_samples_that_weigh_nothing_are_left_out():
    x, t = make_data()
    keep = np.arange(N) % 3 > 0
    with_zeros = fitted(x, t, sample_weight=keep, shuffle=False)
    assert weights(with_zeros) == weights(fitted(x[keep], t[keep], shuffle=False))


def test_label_smoothing_keeps_outputs_away_from_one():
    sharp, smooth = (
        fitted(epochs=100, label_smoothing=s, optimizer=nncore.Adam(0.02)) for s in (0.0, 0.3)
    )
    x, _ = make_data()
    assert sharp(x).max() > 0.99
    assert smooth(x).max() < 0.9


def test_dropout_zeroes_hidden_activations_while_learning_only():
    x, t = make_data()
    assert weights(fitted(dropout=0.5)) == weights(fitted(dropout=[0.5]))
    assert weights(fitted(dropout=0.5)) != weights(fitted())
    assert weights(fitted(dropout=0.0)) == weights(fitted())
    assert weights(fitted(dropout=0.5, seed=1)) != weights(fitted(dropout=0.5))
    net = make_net()
    # All but nothing is dropped: only the last bias learns in most steps.
    before = net.layers[0].weights.copy()
    net.fit(x, t, epochs=1, batch_size=N, dropout=0.999999, optimizer=nncore.SGD(0.1))
    assert np.array_equal(net.layers[0].weights, before)
    history = make_net().fit(x, t, epochs=30, dropout=0.3, validation=(x, t),
                             optimizer=nncore.Adam(1e-2))  # fmt: skip
    assert history.val_accuracy[-1] > 0.9


def test_augment_by_function():
    x, t = make_data()
    epochs = []

    def shift(data, epoch):
        epochs.append(epoch)
        return data + epoch

    net = fitted(x, t, augment=shift, epochs=1)
    assert weights(net) == weights(fitted(x, t, epochs=1))
    assert weights(fitted(x, t, augment=shift, epochs=2)) != weights(fitted(x, t, epochs=2))
    assert epochs == [0, 0, 1]


@pytest.mark.parametrize("dtype", ["f4", ">f8", "g"])
def test_augment_may_give_any_real_dtype(dtype):
    x, t = make_data()
    x = x.astype("f4")
    assert weights(fitted(x, t, augment=lambda x, epoch: x.astype(dtype))) == weights(fitted(x, t))


def test_epochs_without_end_take_no_memory():
    x, t = make_data()
    history = make_net().fit(x, t, epochs=10**15, callbacks=[lambda net, history: True])
    assert history.epochs == 1


def test_augment_images():
    x, t = nncore.datasets.make_digits(60, seed=0)

    def run(**options):
        net = nncore.Network([nncore.Rescaling(1 / 255), nncore.Dense(784, 10, "softmax")], seed=0)
        net.fit(x, t, epochs=2, **options)
        return net.layers[1].weights.tobytes()

    augment = nncore.Augment(shift=1, rotate=5)
    assert run(augment=augment) == run(augment=augment) != run()
    nothing = nncore.Augment(shift=0, rotate=0, scale=0, shear=0, elastic=0)
    assert run(augment=nothing) == run()


def test_early_stopping_restores_the_best_weights():
    x, t = make_data()
    xv, tv = make_data(40, seed=8)
    kept = []
    net = make_net()
    history = net.fit(
        x, np.random.default_rng(0).permutation(t), epochs=500, validation=(xv, tv),
        optimizer=nncore.Adam(0.05), early_stopping=nncore.EarlyStopping(4),
        callbacks=[lambda net, history: kept.append(weights(net))],
    )  # fmt: skip
    best = history.best_epoch
    assert history.epochs == best + 4 < 500
    assert history.val_loss[best - 1] == min(history.val_loss)
    assert weights(net) == kept[best - 1] != kept[-1]
    assert [line.split()[0] for line in repr(history).splitlines() if "best" in line] == [str(best)]


def test_early_stopping_may_keep_the_last_weights_and_watch_anything():
    x, t = make_data()
    for monitor in ("loss", "accuracy", "val_loss", "val_accuracy"):
        stopping = nncore.EarlyStopping(2, monitor, min_delta=10.0, restore_best=False)
        net = make_net()
        history = net.fit(x, t, epochs=9, validation=0.2, early_stopping=stopping)
        assert (history.epochs, history.best_epoch) == (3, 1)  # nothing gets better by so much
    assert weights(net) == weights(fitted(x, t, epochs=3, validation=0.2, batch_size=32))


def test_early_stopping_takes_a_loss_that_is_no_number_for_the_worst():
    history = nncore.History()
    best = BestEpoch(nncore.EarlyStopping(2), True, False)
    for loss in (np.nan, 3.0, 2.0, np.nan, np.inf):
        history.loss.append(1.0)
        history.val_loss.append(loss)
        stop = best.look(history, list)
    assert stop
    assert history.best_epoch == 3


def test_callbacks_see_the_weights_and_may_stop():
    x, t = make_data()
    seen = []

    def callback(net, history):
        seen.append((weights(net), history.epochs))
        return history.epochs == 3

    calls = []
    net = make_net()
    history = net.fit(
        x, t, epochs=9, batch_size=7, callbacks=[callback, lambda *_: calls.append(1)]
    )
    assert history.epochs == len(seen) == len(calls) == 3
    assert [count for _, count in seen] == [1, 2, 3]
    assert seen[-1][0] == weights(net) == weights(fitted(epochs=3))
    assert len({bits for bits, _ in seen}) == 3


def test_progress_is_told():
    x, t = make_data()
    told = []
    history = make_net().fit(x, t, epochs=2, batch_size=7, progress=told.append)
    assert all(p.epochs == 2 and p.batches == 9 for p in told)
    assert [p.epoch for p in told if p.batch == 9] == [1, 2]
    last = told[-1]
    assert (last.loss, last.accuracy) == (history.loss[-1], history.accuracy[-1])


@pytest.mark.parametrize("batches", [1, 2, 5])
@pytest.mark.parametrize("options", [{}, {"dropout": 0.4}, {"sample_weight": np.arange(N) + 1.0}],
                         ids=["", "dropout", "weights"])  # fmt: skip
def test_how_many_batches_a_call_takes_does_not_show(monkeypatch, batches, options):
    from nncore.fit import loop

    def run(seconds, first):
        monkeypatch.setattr(loop, "_CALL_SECONDS", seconds)
        monkeypatch.setattr(loop, "_FIRST_CALL_BATCHES", first)
        x, t = make_data()
        net, optimizer = make_net(), nncore.Adam()
        history = net.fit(x, t, epochs=3, batch_size=7, optimizer=optimizer, **options)
        return weights(net), history.loss, history.accuracy

    assert run(0.0, batches) == run(100.0, 1000)


def test_an_interrupt_keeps_what_was_learned():
    x, t = make_data(200)
    net, optimizer = make_net(), nncore.Adam(1e-2)
    start = weights(net)
    counts = []

    def interrupt(progress):
        counts.append(progress.batch)
        if progress.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        net.fit(x, t, epochs=10**6, optimizer=optimizer, progress=interrupt)
    assert weights(net) != start
    assert optimizer.steps == 7 + counts[-1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_inside_a_call_waits_for_its_end(monkeypatch):
    from nncore.fit import settings

    x, t = make_data(200)
    net, optimizer = make_net(), nncore.Adam(1e-2)
    real = settings.make_trainer

    class Interrupting:
        def __init__(self, trainer):
            self._trainer = trainer

        def __getattr__(self, name):
            return getattr(self._trainer, name)

        def run(self, *arguments, **options):
            os.kill(os.getpid(), signal.SIGINT)
            return self._trainer.run(*arguments, **options)

    monkeypatch.setattr(
        settings, "make_trainer", lambda *a, **options: Interrupting(real(*a, **options))
    )
    with pytest.raises(KeyboardInterrupt):
        net.fit(x, t, epochs=3, optimizer=optimizer)
    assert optimizer.steps == 7
    monkeypatch.undo()
    assert weights(net) == weights(fitted(x, t, epochs=1, batch_size=32,
                                          optimizer=nncore.Adam(1e-2)))  # fmt: skip


def test_an_error_in_a_callback_keeps_what_was_learned():
    x, t = make_data()
    net = make_net()

    def fail(net, history):
        raise RuntimeError("out of disk")

    with pytest.raises(RuntimeError, match="out of disk"):
        net.fit(x, t, epochs=3, batch_size=7, callbacks=[fail])
    assert weights(net) == weights(fitted(x, t, epochs=1))


def blow_up(*, at, epochs=3, **options):
    """A fit whose rate is sane until step `at`, and then such that the weights overflow."""
    x, t = make_data()
    net = make_net("identity", dtype="float32")
    optimizer = nncore.SGD(lambda step, total: 1e300 if step >= at else 0.01)
    with pytest.raises(FloatingPointError) as caught:
        net.fit(x, np.eye(M)[t] * 5, epochs=epochs, batch_size=7, optimizer=optimizer, **options)
    return net, optimizer, str(caught.value)


@pytest.mark.parametrize("batches", [1, 4, 1000])
@pytest.mark.parametrize("at", [0, 1, 4, 8, 9, 12, 17, 18, 25, 26])
def test_a_loss_that_turns_nan_stops_and_keeps_the_last_good_weights(monkeypatch, at, batches):
    from nncore.fit import loop

    monkeypatch.setattr(loop, "_CALL_SECONDS", 0.0)
    monkeypatch.setattr(loop, "_FIRST_CALL_BATCHES", batches)
    net, optimizer, text = blow_up(at=at)
    match = re.fullmatch(
        r"the (loss is not finite in|weights are not finite after) epoch (\d), batch (\d) of 9; "
        r"the network keeps the last weights whose loss was finite: take a smaller learning rate, "
        r"or clip_norm", text
    )  # fmt: skip
    assert match
    named = (int(match[2]) - 1) * 9 + int(match[3]) - 1
    if at % 9 == 8:  # of an epoch's last step there is no batch to tell: the weights are looked at
        assert (match[1], named) == ("weights are not finite after", at)
    else:
        assert (match[1], named) == ("loss is not finite in", at + 1)
    # Step `at` made the weights bad, and there are `at` good ones before.
    assert optimizer.steps == at
    x, t = make_data()
    assert np.isfinite(net.gradients(x, np.eye(M)[t] * 5)[0])
    if at % 9 == 0:  # whole epochs: the same as a fit that ends there
        expected = make_net("identity", dtype="float32")
        if at:
            expected.fit(x, np.eye(M)[t] * 5, epochs=at // 9, batch_size=7,
                         optimizer=nncore.SGD(0.01))  # fmt: skip
        assert weights(net) == weights(expected)


def test_a_loss_that_is_nan_from_the_beginning_leaves_the_network_alone():
    net = make_net("identity", dtype="float32")
    net.layers[0].weights = np.full((K, 8), 1e38)
    net.layers[1].weights = np.full((8, M), 1e38)
    before = weights(net)
    x, _ = make_data()
    with pytest.raises(FloatingPointError, match="not finite in epoch 1, batch 1 of 2;"):
        net.fit(x, np.zeros((N, M)))
    assert weights(net) == before


@pytest.mark.parametrize("batches", [1, 5])
@pytest.mark.parametrize("validation", [False, True])
def test_labels_written_to_during_a_fit_change_nothing(monkeypatch, batches, validation):
    """The kernels use labels as indices: what they read is a copy, made before the check."""
    from nncore.fit import loop

    monkeypatch.setattr(loop, "_CALL_SECONDS", 0.0)
    monkeypatch.setattr(loop, "_FIRST_CALL_BATCHES", batches)

    def run(spoil):
        x, t = make_data()
        labels = np.ascontiguousarray(t, dtype=np.int32)  # the dtype of the kernels
        sample_weight, class_weight = np.ones(N, np.float64), np.ones(M)

        def write(progress):
            if spoil:
                labels[:] = 10**9
                sample_weight[:], class_weight[:] = -1, np.nan

        net = make_net()
        history = net.fit(
            x, labels, epochs=3, batch_size=7, progress=write, sample_weight=sample_weight,
            class_weight=class_weight, validation=(x, labels) if validation else None,
        )  # fmt: skip
        return weights(net), history.loss, history.val_loss

    assert run(spoil=True) == run(spoil=False)
