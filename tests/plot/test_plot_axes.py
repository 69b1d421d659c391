"""What every function of nncore.plot does with `ax`, and what an import of it costs."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from helpers import run_python

pytest.importorskip("matplotlib", reason="nncore.plot draws with matplotlib")

import nncore
from nncore import plot

IMAGES = np.arange(6 * 16).reshape(6, 4, 4)
NET = nncore.Network([nncore.Dense(4, 3, "tanh"), nncore.Dense(3, 2, "softmax")], seed=0)
X = np.linspace(-1, 1, 20).reshape(5, 4)
T = np.array([0, 1, 0, 1, 1])


def made_history():
    history = nncore.History()
    history.loss, history.accuracy = [2.0, 1.0], [0.5, 0.75]
    return history


CALLS = {
    "activation_functions": lambda **given: plot.activation_functions(["relu", "tanh"], **given),
    "batch_sizes": lambda **given: plot.batch_sizes(NET, X, sizes=[1, 4], **given),
    "confusion_matrix": lambda **given: plot.confusion_matrix(T, T, **given),
    "digits": lambda **given: plot.digits(IMAGES, [0, 1, 2, 3, 4, 5], **given),
    "history": lambda **given: plot.history(made_history(), **given),
    "latency": lambda **given: plot.latency({"mine": {1: 2e-6, 10: 1e-6}}, **given),
    "layer_activations": lambda **given: plot.layer_activations(NET, X, **given),
    "layer_gradients": lambda **given: plot.layer_gradients(NET, X, T, **given),
    "line_and_curve": lambda **given: plot.line_and_curve(nodes=3, **given),
    "loss_surface": lambda **given: plot.loss_surface(steps=2, **given),
    "softmax": lambda **given: plot.softmax(**given),
    "step_and_sigmoid": lambda **given: plot.step_and_sigmoid(**given),
    "weights": lambda **given: plot.weights(NET, **given),
    "xor_regions": lambda **given: plot.xor_regions(**given),
}
every = pytest.mark.parametrize("draw", CALLS.values(), ids=CALLS)
COLOUR_BARS = {"loss_surface", "weights"}


def test_every_function_is_tried_here():
    assert set(CALLS) == set(plot.__all__)
    for name in plot.__all__:
        function = getattr(plot, name)
        ax = inspect.signature(function).parameters["ax"]
        assert (ax.kind, ax.default) == (inspect.Parameter.KEYWORD_ONLY, None)
        documentation = inspect.getdoc(function)
        for part in ("Parameters", "Returns", "Examples", f">>> nncore.plot.{name}("):
            assert part in documentation


@pytest.mark.parametrize("name", CALLS)
def test_it_draws_to_the_axes_that_are_given_and_to_nothing_else(name, figure):
    left, right = figure.subplots(1, 2)
    before = [len(right.get_children()), right.get_title(), figure.get_size_inches().tolist()]
    drawn = len(left.get_children())
    assert CALLS[name](ax=left) is left
    assert len(left.get_children()) > drawn
    after = [len(right.get_children()), right.get_title(), figure.get_size_inches().tolist()]
    assert after == before
    assert len(figure.axes) == 2 + (name in COLOUR_BARS)
    figure.draw_without_rendering()


@every
def test_without_axes_it_makes_a_figure_of_pyplots(draw, pyplot):
    ax = draw()
    assert pyplot.get_fignums() == [ax.figure.number]
    assert ax.get_subplotspec() is not None
    pyplot.close(ax.figure)


@every
def test_an_empty_figure_gets_axes_and_a_size(draw, figure):
    ax = draw(ax=figure)
    assert ax.figure is figure
    assert figure.axes[0] is ax
    width, height = figure.get_size_inches()
    assert 3 < width <= 12
    assert 2 < height <= 12


@every
def test_what_is_no_axes_is_refused(draw, figure):
    with pytest.raises(TypeError, match=r"^ax is of type str, expected Axes of matplotlib's$"):
        draw(ax="left")
    figure.add_subplot()
    with pytest.raises(ValueError, match=r"^ax is a figure that has axes already, expected one"):
        draw(ax=figure)


@every
def test_without_matplotlib_the_error_says_what_to_install(draw, no_matplotlib):
    with pytest.raises(ImportError, match=r"^plot needs matplotlib: pip install matplotlib$"):
        draw()


def test_matplotlib_is_imported_when_something_is_drawn():
    code = """
import sys, nncore
print("nncore.plot" in sys.modules)
nncore.plot.digits
print("nncore.plot" in sys.modules, "matplotlib" in sys.modules)
"""
    assert run_python(code).stdout.split() == ["False", "True", "False"]


def test_a_figure_of_ones_own_needs_no_pyplot():
    code = """
import sys, nncore
from matplotlib.figure import Figure
nncore.plot.softmax(ax=Figure())
print("matplotlib.pyplot" in sys.modules)
"""
    assert run_python(code).stdout.strip() == "False"
