"""Activations and their slopes, step beside sigmoid, a line and a curve, softmax."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="nncore.plot draws with matplotlib")

import nncore
from nncore import plot

ELEMENTWISE = [
    name
    for name, function in nncore.activations.REGISTRY.items()
    if not nncore.activations.last_layer_only(name)
]


def lines_of(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def test_the_classic_sheet(figure):
    ax = plot.activation_functions(ax=figure)
    titles = [panel.get_title() for panel in ax.child_axes]
    assert titles == ["step", "sigmoid", "tanh", "relu", "leaky_relu, alpha=0.1"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["function", "derivative"]
    assert [bool(panel.get_xlabel()) for panel in ax.child_axes] == [False, False, True, True, True]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_every_activation_is_drawn_as_nncore_computes_it(name, figure):
    (panel,) = plot.activation_functions([name], low=-3, high=5, ax=figure).child_axes
    lines = lines_of(panel)
    x = lines["function"].get_xdata()
    assert (x[0], x[-1]) == (-3, 5)
    function = nncore.activations.get(name)
    np.testing.assert_array_equal(lines["function"].get_ydata(), function(x))
    np.testing.assert_array_equal(lines["derivative"].get_ydata(), function.derivative(x))
    assert lines["function"].get_linestyle() != lines["derivative"].get_linestyle()
    assert panel.get_title().split(",")[0] == name


def test_parameters_of_ones_own(figure):
    names = [("elu", {"alpha": 0.5}), ("clip", {"alpha": 0, "beta": 2})]
    left, right = plot.activation_functions(names, ax=figure).child_axes
    assert left.get_title() == "elu, alpha=0.5"
    assert right.get_title() == "clip,\nalpha=0, beta=2"
    x = lines_of(left)["function"].get_xdata()
    np.testing.assert_array_equal(lines_of(left)["function"].get_ydata(), nncore.elu(x, alpha=0.5))
    drawn = lines_of(right)["derivative"].get_ydata()
    np.testing.assert_array_equal(drawn, nncore.clip.derivative(x, alpha=0, beta=2))


def test_one_name_may_stand_alone(figure):
    assert len(plot.activation_functions("gelu", ax=figure).child_axes) == 1


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["rely"], "activation is 'rely', expected one of identity, step"),
        (["softmax"], "activation is 'softmax', expected an elementwise one: each output of"),
        ([("relu", {"alpha": 1})], "activation is 'relu', which has no alpha, expected one of"),
        ([("elu", {"gamma": 1})], "elu has no parameter 'gamma', expected alpha or beta"),
        ([], "names is empty, expected one activation at least"),
    ],
)
def test_names_that_have_no_curve_are_refused(names, message, figure):
    with pytest.raises(ValueError, match=message):
        plot.activation_functions(names, ax=figure)
    assert figure.axes == []


def test_an_empty_range_is_refused(figure):
    with pytest.raises(ValueError, match="low is 1 and high is 1, expected low to be less"):
        plot.activation_functions(low=1, high=1, ax=figure)
    with pytest.raises(ValueError, match="low is -inf, expected a finite number"):
        plot.activation_functions(low=-np.inf, ax=figure)


def test_step_and_sigmoid(figure):
    ax = plot.step_and_sigmoid(ax=figure)
    lines = lines_of(ax)
    assert list(lines) == ["step", "sigmoid"]
    x = lines["step"].get_xdata()
    assert 0.0 in x
    np.testing.assert_array_equal(lines["step"].get_ydata(), x > 0)
    np.testing.assert_array_equal(lines["sigmoid"].get_ydata(), nncore.sigmoid(x))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("weighted sum", "activation")


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_a_line_becomes_a_curve(activation, figure):
    ax = plot.line_and_curve(activation, ax=figure)
    samples, line, curve = ax.get_lines()
    assert line.get_label() == "two linear layers: a line"
    assert curve.get_label() == f"{activation} between them: a curve"
    x, y = line.get_xdata(), line.get_ydata()
    np.testing.assert_allclose(np.diff(y, 2), 0, atol=1e-12)
    # The best line through the samples, by a formula that knows of no network.
    slope, offset = np.polyfit(samples.get_xdata(), np.sin(samples.get_xdata()), 1)
    np.testing.assert_allclose(y, slope * x + offset, atol=0.02)
    assert np.abs(np.diff(curve.get_ydata(), 2)).max() > 1e-4
    assert np.abs(curve.get_ydata() - np.sin(x)).max() < 0.2
    np.testing.assert_array_equal(samples.get_ydata(), np.sin(samples.get_xdata()))


def test_a_curve_of_no_activation_is_refused(figure):
    with pytest.raises(ValueError, match="activation is 'bend', expected one of"):
        plot.line_and_curve("bend", ax=figure)
    with pytest.raises(ValueError, match="expected at least 1"):
        plot.line_and_curve(nodes=0, ax=figure)


def test_softmax_sums_to_one_and_the_naive_formula_overflows(figure):
    left, right = plot.softmax([1.0, 3.0, 2.0], most=2000, ax=figure).child_axes
    bars = sorted(left.patches, key=lambda bar: bar.get_x())
    heights = [bar.get_height() for bar in bars]
    expected = nncore.softmax([1.0, 3.0, 2.0])
    np.testing.assert_array_equal(heights[:3], expected)
    np.testing.assert_allclose(sorted(heights[3:]), sorted(expected), rtol=1e-12)
    top = max(bar.get_y() + bar.get_height() for bar in bars[3:])
    assert top == pytest.approx(1, abs=1e-15)
    assert [label.get_text() for label in left.get_xticklabels()] == ["1", "3", "2", "sum"]

    ours, naive, mark = right.get_lines()
    assert ours.get_label() == "nncore.softmax"
    np.testing.assert_allclose(ours.get_ydata(), expected[1], rtol=1e-12)
    y, added = naive.get_ydata(), naive.get_xdata()
    largest = np.log(np.finfo(np.float64).max) - 3  # where exp(3 + added) leaves the range
    assert np.isfinite(y[added < largest]).all()
    assert np.isnan(y[added > largest]).all()
    assert mark.get_xdata() == added[added < largest][-1]
    assert "NaN" in right.texts[0].get_text()
    assert f"{added[added > largest][0]:.0f}" in right.texts[0].get_text()


def test_a_formula_that_overflows_at_once_is_marked_where_it_would_begin(figure):
    right = plot.softmax([800.0, 790.0], ax=figure).child_axes[1]
    (mark,) = [line for line in right.get_lines() if line.get_marker() == "X"]
    expected = nncore.softmax([800.0, 790.0])[0]
    assert (mark.get_xdata(), mark.get_ydata()) == (0, pytest.approx(expected))
    assert right.texts[0].get_text().startswith("from 0 on")
    assert right.texts[0].xy == (0, pytest.approx(expected))


def test_softmax_marks_nothing_where_nothing_overflows(figure):
    right = plot.softmax(most=100, ax=figure).child_axes[1]
    assert len(right.get_lines()) == 2
    assert len(right.texts) == 0


@pytest.mark.parametrize("logits", [[1.0], [[1.0, 2.0]], [1.0, np.inf]])
def test_softmax_refuses_what_are_no_logits(logits, figure):
    with pytest.raises(ValueError, match=r"logits are .*, expected two finite numbers or more"):
        plot.softmax(logits, ax=figure)
