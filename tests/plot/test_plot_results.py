"""Confusion matrix, the course of a training, times by batch size."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="nncore.plot draws with matplotlib")

import nncore
from nncore import plot
from nncore.cli import main

CLASSES = ["cat", "dog", "a bird"]


def test_the_cells_of_a_confusion_matrix_count_samples(figure):
    rng = np.random.default_rng(1)
    t, predictions = rng.integers(0, 4, 3000), rng.integers(0, 4, 3000)
    predictions[t == 2] = 2
    ax = plot.confusion_matrix(t, predictions, ax=figure)
    counts = Counter(zip(t.tolist(), predictions.tolist(), strict=True))
    drawn = {
        (round(text.get_position()[1]), round(text.get_position()[0])): text.get_text()
        for text in ax.texts
    }
    assert drawn == {cell: f"{count:,}" for cell, count in counts.items()}
    right = sum(count for (i, j), count in counts.items() if i == j)
    assert ax.get_title() == f"{right:,} of 3,000 right ({right / 3000:.2%})"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("prediction", "label")
    assert ax.yaxis_inverted()  # the first class on top


def test_mistakes_have_another_colour_and_stronger_where_there_are_more(figure):
    t = [0] * 10 + [1] * 10 + [2] * 10
    read = [0] * 10 + [1] * 7 + [2] * 2 + [0] + [2] * 10
    colors = plot.confusion_matrix(t, read, ax=figure).images[0].get_array()
    red, blue = colors[..., 0], colors[..., 2]
    assert blue[0, 0] > red[0, 0]
    assert red[1, 2] > blue[1, 2]
    assert blue[1, 2] < blue[1, 0] < blue[0, 1]
    assert colors.min() > 0.25  # black is readable on all of them
    np.testing.assert_allclose(colors[0, 1], 0.97)


def test_names_of_classes_and_a_class_that_never_occurs(figure):
    ax = plot.confusion_matrix([0, 1], [0, 0], classes=CLASSES, ax=figure)
    assert [label.get_text() for label in ax.get_xticklabels()] == CLASSES
    assert [label.get_text() for label in ax.get_yticklabels()] == CLASSES


@pytest.mark.parametrize(
    ("t", "read", "given", "message"),
    [
        ([0, 1], [0], {}, r"predictions has shape \(1,\), expected \(2,\): one class each"),
        ([[0, 1]], [0], {}, r"t has shape \(1, 2\), expected \(n,\)"),
        (np.zeros(0, int), np.zeros(0, int), {}, "t is empty, expected one sample at least"),
        ([0, 5], [0, 0], {"classes": CLASSES}, "there is a class 5, expected 0 to 2"),
        ([0, 60], [0, 0], {}, "there are 61 classes, expected at most 40"),
        ([0, 10**15], [0, 0], {}, "there are 1000000000000001 classes, expected at most 40"),
    ],
)
def test_confusion_matrix_refuses(t, read, given, message, figure):
    with pytest.raises(ValueError, match=message):
        plot.confusion_matrix(t, read, **given, ax=figure)


def made_history(**lists):
    history = nncore.History()
    history.loss = [3.0, 2.0, 1.5]
    for name, values in lists.items():
        setattr(history, name, values)
    return history


def test_a_history_has_a_panel_for_each_measure(figure):
    history = made_history(
        accuracy=[0.2, 0.5, 0.7], val_loss=[2.5, 1.0, 1.2], val_accuracy=[0.3, 0.6, 0.5],
        best_epoch=2, learning_rate=[0.1] * 3,
    )  # fmt: skip
    ax = plot.history(history, ax=figure)
    assert ax.get_title() == "Training, 3 epochs"
    assert [panel.get_ylabel() for panel in ax.child_axes] == ["loss", "accuracy"]
    for panel, measure in zip(ax.child_axes, ("loss", "accuracy"), strict=True):
        training, validation, best = panel.get_lines()
        assert list(training.get_xdata()) == [1, 2, 3]
        assert list(training.get_ydata()) == history[measure]
        assert list(validation.get_ydata()) == history[f"val_{measure}"]
        assert set(best.get_xdata()) == {2}
        styles = {line.get_linestyle() for line in (training, validation, best)}
        assert len(styles) == 3  # not told apart by colour alone
        names = [text.get_text() for text in panel.get_legend().get_texts()]
        assert names == ["training", "validation", "best epoch"]
    assert ax.child_axes[1].yaxis.get_major_formatter()(0.5, 0) == "50 %"


def test_a_history_of_a_loss_alone(figure):
    ax = plot.history(made_history(), ax=figure)
    (panel,) = ax.child_axes
    assert len(panel.get_lines()) == 1
    assert panel.get_legend() is None
    assert panel.get_xlabel() == "epoch"


def test_what_is_no_history_is_refused(figure):
    with pytest.raises(TypeError, match=r"history is of type dict, expected nncore\.History"):
        plot.history({"loss": [1.0]}, ax=figure)
    with pytest.raises(ValueError, match="history has no epochs, expected one at least"):
        plot.history(nncore.History(), ax=figure)


def curves_of(ax):
    """The points of each solid or dashed line, and the height of each dotted one."""
    lines = {line.get_label(): line for line in ax.get_lines()}
    return {
        name: line.get_ydata()[0]
        if name.endswith("one by one")
        else dict(zip(line.get_xdata(), line.get_ydata(), strict=True))
        for name, line in lines.items()
    }


def test_latency_of_curves(figure):
    ax = plot.latency({"a": {100: 1e-6, 1: 4e-6}, "b": {None: 9e-6, 10: 2e-6}}, ax=figure)
    assert curves_of(ax) == {
        "a": {1: pytest.approx(4), 100: pytest.approx(1)},
        "b": {10: pytest.approx(2)},
        "b, one by one": pytest.approx(9),
    }
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("samples in a call", "time a sample (µs)")
    markers = [line.get_marker() for line in ax.get_lines() if line.get_marker() != "None"]
    assert len(set(markers)) == 2


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What nncore bench --json and nncore mnist --json print of a few samples."""
    import contextlib
    import io
    from unittest import mock

    from nncore.cli import bench
    from nncore.datasets.idx import write_idx

    folder = tmp_path_factory.mktemp("data")
    images, labels = nncore.datasets.make_digits(30, seed=3)
    write_idx(folder / "t10k-images-idx3-ubyte", np.asarray(images).reshape(30, 28, 28))
    write_idx(folder / "t10k-labels-idx1-ubyte", labels)
    found = {}
    with (
        mock.patch.dict("os.environ", NNCORE_DATA_HOME=str(folder)),
        mock.patch.object(bench, "TIME_BUDGET", 0.0),
    ):
        for command in ("bench", "mnist"):
            with contextlib.redirect_stdout(io.StringIO()) as out:
                assert main([command, "--json", "--threads", "1"]) == 0
            found[command] = json.loads(out.getvalue())
    return found


def test_latency_of_a_benchmark_run(runs, figure):
    run = runs["bench"]
    ax = plot.latency(run, ax=figure)
    expected = {}
    for entry in run["inputs"]:
        times = {row["batch_size"]: 1e6 * row["seconds_per_sample"] for row in entry["timings"]}
        expected[f"{entry['dtype']}, one by one"] = pytest.approx(times.pop(None))
        expected[entry["dtype"]] = pytest.approx(times)
    assert curves_of(ax) == expected
    assert ax.get_title() == "784-50-100-10, 1 thread"


def test_latency_of_a_run_over_mnist(runs, figure):
    run = runs["mnist"]
    times = {row["batch_size"]: 1e6 * row["seconds_per_sample"] for row in run["timings"]}
    one_by_one = pytest.approx(times.pop(None))
    expected = {"nncore": pytest.approx(times), "nncore, one by one": one_by_one}
    assert curves_of(plot.latency(run, ax=figure)) == expected


@pytest.mark.parametrize(
    "run",
    [
        {"command": "info", "threads": 2}, {"a": 3}, {"a": {0: 1.0}}, {"a": {1: -1.0}}, {"a": {}},
        {"a": {None: 1.0}}, {"a": {1: float("inf")}}, {"a": {"1": 1.0}},
    ],
)  # fmt: skip
def test_latency_refuses_what_is_no_run(run, figure):
    keys = ", ".join(run)
    message = f"run has the keys {keys}, expected what nncore bench --json or nncore mnist --json"
    with pytest.raises(ValueError, match=message):
        plot.latency(run, ax=figure)


def test_latency_refuses_no_curves_and_other_types(figure):
    with pytest.raises(ValueError, match="run is empty, expected what nncore bench"):
        plot.latency({}, ax=figure)
    with pytest.raises(TypeError, match="run is of type list, expected a dict"):
        plot.latency([], ax=figure)


def test_batch_sizes_measures_each_size(figure, monkeypatch):
    """With a clock of its own: each call costs 3, and 1 for each of its samples."""
    calls = []

    class Net(nncore.Network):
        def __call__(self, x, out=None):
            calls.append(1 if np.ndim(x) == 1 else len(x))
            return super().__call__(x)

    def clock():
        return sum(3 + n for n in calls) * 1e-6

    monkeypatch.setattr("time.perf_counter", clock)
    net = Net([nncore.Dense(4, 3)], seed=0)
    ax = plot.batch_sizes(net, np.zeros((20, 4)), sizes=[8, 1, 2], ax=figure)
    assert curves_of(ax) == {
        "4 to 3": {1: pytest.approx(4), 2: pytest.approx(5 / 2), 8: pytest.approx(11 / 8)},
        "4 to 3, one by one": pytest.approx(4),
    }
    assert ax.get_title() == "A sample in a batch: up to 2.9 times as fast"
    assert set(calls) == {1, 2, 8}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sizes": []}, "sizes is empty, expected one batch size at least"),
        ({"sizes": [0]}, "a batch size is 0, expected at least 1"),
        ({"x": np.zeros((3, 4))}, r"x has shape \(3, 4\), expected 5 samples or more"),
        ({"x": np.zeros(4)}, r"x has shape \(4,\), expected 5 samples or more"),
        ({"x": np.zeros((5, 3))}, "x has 3 features, this network takes 4"),
    ],
)
def test_batch_sizes_refuses(given, message, figure):
    net = nncore.Network([nncore.Dense(4, 3)], seed=0)
    with pytest.raises(ValueError, match=message):
        plot.batch_sizes(net, **{"sizes": [1, 5], **given}, ax=figure)
    assert figure.axes == []
