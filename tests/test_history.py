"""What a fit reports: History as a mapping, its repr and its plot, and fit(verbose=True)."""

from __future__ import annotations

import builtins
import copy
import io
import pickle
import sys
from collections.abc import Mapping

import numpy as np
import pytest
from fits import make_data, make_net, weights

import nncore
from nncore import EarlyStopping, History


def made(epochs, best=None, **columns):
    history = History()
    history.loss = [1 / (i + 1) for i in range(epochs)]
    history.time = [0.5] * epochs
    history.best_epoch = best
    for name, values in columns.items():
        setattr(history, name, values)
    return history


# ---- a mapping


def test_history_is_a_mapping_of_its_lists():
    x, t = make_data()
    history = make_net().fit(x, t, epochs=3)
    assert isinstance(history, Mapping)
    assert list(history) == list(history.keys()) == ["loss", "accuracy", "learning_rate", "time"]
    assert history["loss"] is history.loss
    assert "loss" in history
    assert "val_loss" not in history
    assert history.get("val_loss") is None
    assert history.val_loss == []
    assert len(history) == len(dict(history)) == 4
    assert history.epochs == len(history["loss"]) == 3
    assert dict(history) == history.to_dict()
    with pytest.raises(KeyError, match="val_loss"):
        history["val_loss"]
    with pytest.raises(KeyError, match="epochs"):
        history["epochs"]


def test_an_empty_history():
    history = History()
    assert (len(history), list(history), history.epochs) == (0, [], 0)
    assert repr(history) == "History of 0 epochs"


def test_copies_and_pickles_are_equal():
    history = make_net().fit(*make_data(), epochs=2)
    for twin in (copy.deepcopy(history), pickle.loads(pickle.dumps(history))):
        assert twin == history
        assert twin is not history
    assert history != made(2)


def test_a_data_frame_of_it():
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    frame = pandas.DataFrame(dict(make_net().fit(*make_data(), epochs=3)))
    assert frame.shape == (3, 4)


def test_all_numbers_are_floats():
    x, t = make_data()
    history = make_net().fit(x, t, epochs=2, validation=0.2)
    assert len(history) == 6
    assert {type(value) for values in history.values() for value in values} == {float}


def test_best_epoch_counts_as_the_printed_table_does():
    x, t = make_data()
    kept = []
    net = make_net()
    history = net.fit(
        x, np.random.default_rng(0).permutation(t), epochs=500, validation=make_data(40, seed=8),
        optimizer=nncore.Adam(0.05), early_stopping=EarlyStopping(4),
        callbacks=[lambda net, history: kept.append((history.epochs, weights(net)))],
    )  # fmt: skip
    best = history.best_epoch
    assert history["val_loss"][best - 1] == min(history["val_loss"])
    assert dict(kept)[best] == weights(net)
    (row,) = [line for line in repr(history).splitlines() if line.endswith("best")]
    assert int(row.split()[0]) == best


# ---- repr


def test_repr_of_a_short_fit_has_every_epoch():
    lines = repr(made(10, best=3)).splitlines()
    assert lines[0] == "History of 10 epochs"
    assert [line.split()[0] for line in lines[2:]] == [str(i) for i in range(1, 11)]
    assert lines[4].endswith("best")
    assert repr(made(1)).startswith("History of 1 epoch\n")


@pytest.mark.parametrize(
    ("best", "rows"),
    [
        (None, "1 2 3 4 5 ... 996 997 998 999 1000"),
        (3, "1 2 3 4 5 ... 996 997 998 999 1000"),
        (6, "1 2 3 4 5 6 ... 996 997 998 999 1000"),
        (500, "1 2 3 4 5 ... 500 ... 996 997 998 999 1000"),
        (995, "1 2 3 4 5 ... 995 996 997 998 999 1000"),
        (1000, "1 2 3 4 5 ... 996 997 998 999 1000"),
    ],
)
def test_repr_of_a_long_fit_stays_short(best, rows):
    lines = repr(made(1000, best)).splitlines()
    assert [line.split()[0] for line in lines[2:]] == rows.split()
    assert sum(line.endswith("best") for line in lines) == (best is not None)


# ---- plot


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib", reason="needs matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def test_plot_draws_training_and_validation(pyplot):
    history = made(3, best=2, val_loss=[3.0, 1.0, 2.0], accuracy=[0.1, 0.2, 0.3])
    ax = history.plot()
    curves = {line.get_label(): line for line in ax.get_lines()}
    assert list(curves) == ["training", "validation", "best epoch"]
    assert list(curves["training"].get_xdata()) == [1, 2, 3]
    assert list(curves["training"].get_ydata()) == history.loss
    assert list(curves["validation"].get_ydata()) == [3.0, 1.0, 2.0]
    assert set(curves["best epoch"].get_xdata()) == {2}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")
    assert ax.get_legend() is not None


def test_plot_into_axes_of_ones_own(pyplot):
    figure, (left, right) = pyplot.subplots(1, 2)
    history = made(60, accuracy=[0.5] * 60)
    assert history.plot(left) is left
    assert history.plot(ax=right, measure="accuracy") is right
    assert right.get_ylabel() == "accuracy"
    assert list(right.get_lines()[0].get_ydata()) == [0.5] * 60
    assert right.get_legend() is None
    assert pyplot.get_fignums() == [figure.number]


@pytest.mark.parametrize("measure", ["accuracy", "val_loss", "nothing"])
def test_plot_refuses_what_was_not_measured(measure):
    with pytest.raises(ValueError, match=f"measure is '{measure}', expected .* has: loss, time"):
        made(2, val_loss=[1.0, 2.0]).plot(measure=measure)
    with pytest.raises(ValueError, match="expected one that this fit has: a fit"):
        History().plot()


def test_plot_without_matplotlib_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"plot needs matplotlib: pip install matplotlib$"):
        made(2).plot()


# ---- verbose


def test_a_fit_is_silent_unless_told(capfd):
    make_net().fit(*make_data(), epochs=2)
    assert capfd.readouterr() == ("", "")


def test_verbose_prints_a_line_for_each_epoch(capfd):
    x, t = make_data()
    net, silent = make_net(), make_net()
    history = net.fit(x, t, epochs=10, validation=0.2, verbose=True)
    out, err = capfd.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert len(lines) == 10
    assert lines[0] == (
        f"epoch  1 of 10: loss {history.loss[0]:.4g}, accuracy {history.accuracy[0]:.2%}, "
        f"val_loss {history.val_loss[0]:.4g}, val_accuracy {history.val_accuracy[0]:.2%}"
    )
    assert lines[9].startswith("epoch 10 of 10: loss ")
    silent.fit(x, t, epochs=10, validation=0.2)
    assert weights(net) == weights(silent)


def test_verbose_tells_of_early_stopping(capfd):
    x, t = make_data()
    for restore, words in ((True, "its weights are restored"), (False, "are those of the last")):
        stopping = EarlyStopping(2, min_delta=10.0, restore_best=restore)
        make_net().fit(x, t, epochs=9, early_stopping=stopping, verbose=True)
        last = capfd.readouterr().out.splitlines()[-1]
        assert last.startswith("stopped after epoch 3: epoch 1 was the best")
        assert words in last


def test_verbose_of_a_loss_without_accuracy(capfd):
    x, _ = make_data()
    make_net("identity").fit(x, x[:, :3], epochs=1, verbose=True)
    assert "accuracy" not in capfd.readouterr().out


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_verbose_shows_a_bar_in_a_terminal(monkeypatch, capsys):
    tqdm = pytest.importorskip("tqdm", reason="needs tqdm")
    bars = []

    class Bar(tqdm.tqdm):
        def __init__(self, *args, **options):
            super().__init__(*args, **options | {"delay": 0, "mininterval": 0})
            bars.append(self)

        def close(self):
            self.closed_at = self.n
            super().close()

    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    monkeypatch.setattr(sys, "stderr", Terminal())
    calls = []
    x, t = make_data()
    make_net().fit(x, t, epochs=3, batch_size=7, verbose=True, progress=calls.append)
    assert [bar.total for bar in bars] == [27]
    assert bars[0].closed_at == 27
    assert "loss " in sys.stderr.getvalue()
    assert "accuracy " in sys.stderr.getvalue()
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert calls[-1].epoch == 3

    with pytest.raises(FloatingPointError):
        make_net("identity").fit(x, x[:, :3], optimizer=nncore.SGD(1e300), verbose=True)
    assert hasattr(bars[1], "closed_at"), "the bar goes whatever happens"


def test_verbose_without_tqdm(monkeypatch, capfd):
    real = builtins.__import__

    def no_tqdm(name, *args, **options):
        if name.startswith("tqdm"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", no_tqdm)
    monkeypatch.setattr(sys, "stderr", Terminal())
    make_net().fit(*make_data(), epochs=2, verbose=True)
    assert len(capfd.readouterr().out.splitlines()) == 2
    assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize("verbose", [2, "yes", None])
def test_verbose_is_true_or_false(verbose):
    with pytest.raises(TypeError, match=r"verbose is .*, expected True or False"):
        make_net().fit(*make_data(), verbose=verbose)
