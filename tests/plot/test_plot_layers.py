"""How activations and gradients are spread, layer by layer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="nncore.plot draws with matplotlib")

import nncore
from nncore import plot

X = np.random.default_rng(0).normal(size=(50, 6))
T = np.arange(50) % 3


@pytest.fixture
def net():
    layers = [nncore.Dense(6, 9, "relu"), nncore.Dense(9, 8, "tanh"), nncore.Dense(8, 3, "softmax")]
    return nncore.Network(layers, seed=4, dtype="float64")


def drawn(panel, number=0):
    """The heights of a histogram's edges, and how far it reaches to both sides of its place."""
    (path,) = panel.collections[2 * number].get_paths()
    median = panel.collections[2 * number + 1].get_segments()[0][0][1]
    return path.vertices, median


def test_each_layer_has_a_histogram_of_what_is_not_zero(net, figure):
    ax = plot.layer_activations(net, X, ax=figure)
    steps = net.trace(X)
    assert len(ax.child_axes) == 3
    for panel, step, (number, name) in zip(
        ax.child_axes, steps, enumerate(("relu", "tanh", "softmax"), 1), strict=True
    ):
        values = step.activation[step.activation != 0]
        vertices, median = drawn(panel)
        assert median == np.median(values)
        assert vertices[:, 1].min() == values.min()
        assert vertices[:, 1].max() == values.max()
        counts, edges = np.histogram(values, 60)
        widest = vertices[:, 0].max() == vertices[:, 0]
        fullest = edges[counts.argmax()]
        assert np.isclose(vertices[widest][:, 1], fullest).any()
        np.testing.assert_allclose(vertices[:, 0].max(), -vertices[:, 0].min())
        zeros = float((step.activation == 0).mean())
        label = f"{number}: {name}" + (f"\n{zeros:.1%} are 0" if zeros else "")
        assert [text.get_text() for text in panel.get_xticklabels()] == [label]
    assert "are 0" in ax.child_axes[0].get_xticklabels()[0].get_text()
    assert ax.get_title() == "Activations, layer by layer"


def test_gradients_are_on_one_logarithmic_scale(net, figure):
    ax = plot.layer_gradients(net, X, T, ax=figure)
    assert ax.get_yscale() == "log"
    _, gradients = net.gradients(X, T)
    assert len(gradients) == len(ax.get_xticks()) == 3
    for i, (dw, _) in enumerate(gradients):
        sizes = np.abs(dw[dw != 0])
        kept = sizes[sizes >= np.quantile(sizes, 0.02)]
        vertices, median = drawn(ax, i)
        assert median == pytest.approx(10 ** np.median(np.log10(kept)))
        np.testing.assert_allclose(vertices[:, 1].max(), sizes.max())
        np.testing.assert_allclose(vertices[:, 1].min(), kept.min())
        np.testing.assert_allclose((vertices[:, 0].max() + vertices[:, 0].min()) / 2, i)
    assert ax.get_ylabel() == "size of a weight's gradient"


def test_the_picture_shows_vanishing_gradients(figure):
    sizes = [6, 20, 20, 20, 20, 3]
    layers = [nncore.Dense(k, m, "sigmoid") for k, m in itertools.pairwise(sizes[:-1])]
    net = nncore.Network([*layers, nncore.Dense(20, 3, "softmax")], seed=0)
    ax = plot.layer_gradients(net, X, T, ax=figure)
    medians = [drawn(ax, i)[1] for i in range(5)]
    assert medians == sorted(medians)
    assert medians[0] < medians[-1] / 100


def test_a_layer_without_any_gradient_is_said_to_be_zero(figure):
    net = nncore.Network([nncore.Dense(6, 4, "step"), nncore.Dense(4, 3, "softmax")], seed=0)
    ax = plot.layer_gradients(net, X, T, ax=figure)
    labels = [text.get_text() for text in ax.get_xticklabels()]
    assert labels[0] == "1: step\n100.0% are 0"
    assert len(ax.collections) == 2  # of the second layer alone


def test_a_loss_of_ones_own(figure):
    net = nncore.Network([nncore.Dense(6, 1)], seed=0, dtype="float64")
    t = X[:, :1]
    medians = []
    for loss in ("mse", "mae"):
        figure.clear()
        medians.append(drawn(plot.layer_gradients(net, X, t, loss=loss, ax=figure))[1])
        dw = np.abs(net.gradients(X, t, loss=loss)[1][0][0])
        assert medians[-1] == pytest.approx(np.median(dw[dw >= np.quantile(dw, 0.02)]), rel=0.01)
    assert medians[0] != medians[1]


def test_what_is_not_finite_is_refused(net, figure):
    x = X.copy()
    x[3, 2] = np.nan
    with pytest.raises(ValueError, match="layer 1 has 9 activations that are NaN or infinite, exp"):
        plot.layer_activations(net, x, ax=figure)
    with pytest.raises(ValueError, match="x has 5 features, this network takes 6"):
        plot.layer_activations(net, X[:, :5], ax=figure)
    assert figure.axes == []


def test_no_samples_are_refused(net, figure):
    with pytest.raises(ValueError, match=r"^x is empty, expected one sample at least$"):
        plot.layer_activations(net, np.zeros((0, net.in_features)), ax=figure)
