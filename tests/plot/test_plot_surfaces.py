"""XOR's regions and the loss surface."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="nncore.plot draws with matplotlib")

import nncore
from nncore import plot

CORNERS = [(0, 0), (1, 0), (0, 1), (1, 1)]
XOR = [0, 1, 1, 0]


def region_at(panel, point):
    """What the picture says at a place: 0 or 1."""
    image = panel.images[0]
    left, right, bottom, top = image.get_extent()
    values = image.get_array()
    rows, columns = values.shape
    column = int((point[0] - left) / (right - left) * columns)
    row = int((point[1] - bottom) / (top - bottom) * rows)
    return int(values[row, column])


def places_of(panel):
    """The four samples: place, marker."""
    return [
        (tuple(line.get_xydata()[0]), line.get_marker())
        for line in panel.get_lines()
        if line.get_marker() != "x"
    ]


def test_regions_before_and_after_the_hidden_layer(figure):
    plain, deep, inside = plot.xor_regions(ax=figure).child_axes
    assert [panel.get_title().split("\n")[1] for panel in (plain, deep, inside)] == [
        "1 of 4 wrong", "none of 4 wrong", "none of 4 wrong",
    ]  # fmt: skip
    assert [region_at(plain, corner) for corner in CORNERS] == [0, 1, 1, 1]
    assert [region_at(deep, corner) for corner in CORNERS] == XOR
    # As the hidden layer sees it: OR and NAND of the four samples.
    moved = [(0, 1), (1, 1), (1, 1), (1, 0)]
    assert [region_at(inside, place) for place in moved] == XOR
    for panel, places in ((plain, CORNERS), (deep, CORNERS), (inside, moved)):
        markers = ["s" if one else "o" for one in XOR]
        assert places_of(panel) == list(zip(places, markers, strict=True))
    crosses = [
        [tuple(line.get_xydata()[0]) for line in panel.get_lines() if line.get_marker() == "x"]
        for panel in (plain, deep, inside)
    ]
    assert crosses == [[(1, 1)], [], []]
    names = {text.get_text() for text in inside.texts}
    assert names == {"0, 0", "1, 0\n0, 1", "1, 1"}


def test_labels_do_not_reach_the_panel_beside_in_a_figure_of_the_usual_size(figure):
    figure.set_size_inches(6.4, 4.8)
    panels = plot.xor_regions(ax=figure.add_subplot()).child_axes
    figure.canvas.draw()
    for left, right in itertools.pairwise(panels):
        assert right.get_tightbbox().x0 > left.get_window_extent().x1


def test_regions_of_networks_of_ones_own(figure):
    """The regions are those of the networks, wherever they are asked."""
    net = nncore.Network([nncore.Dense(2, 2, "tanh"), nncore.Dense(2, 1, "sigmoid")], seed=5)
    single = nncore.Network([nncore.Dense(2, 1, "sigmoid")], seed=5)
    plain, deep, inside = plot.xor_regions(net, perceptron=single, ax=figure).child_axes
    rng = np.random.default_rng(0)
    for panel, run in (
        (plain, single), (deep, net), (inside, nncore.Network([net.layers[1].__class__(2, 1)])),
    ):  # fmt: skip
        if panel is inside:
            run = nncore.Network.from_arrays(
                [net.layers[1].weights], [net.layers[1].bias], ["sigmoid"]
            )
        left, right, bottom, top = panel.images[0].get_extent()
        points = rng.uniform([left, bottom], [right, top], (200, 2))
        y = run(points)[:, 0]
        clear = np.abs(y - 0.5) > 0.01  # away from the border, which has the width of a cell
        found = np.array([region_at(panel, point) for point in points])
        np.testing.assert_array_equal(found[clear], y[clear] > 0.5)
    hidden = net.trace(np.array(CORNERS, float))[0].activation
    np.testing.assert_allclose([place for place, _ in places_of(inside)], hidden)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"net": [2, 3, 1]}, "net is 2-3-1, expected 2-2-1"),
        ({"net": [2, 1]}, "net is 2-1, expected 2-2-1"),
        ({"perceptron": [2, 2, 1]}, "perceptron is 2-2-1, expected 2-1"),
    ],
)
def test_regions_of_other_sizes_are_refused(given, message, figure):
    ((name, sizes),) = given.items()
    layers = [nncore.Dense(k, m) for k, m in itertools.pairwise(sizes)]
    with pytest.raises(ValueError, match=message):
        plot.xor_regions(**{name: nncore.Network(layers, seed=0)}, ax=figure)


def paths_of(ax):
    return [line.get_xydata() for line in ax.get_lines() if line.get_linestyle() == "-"]


def test_descent_goes_down_into_both_valleys(figure):
    ax = plot.loss_surface(ax=figure)
    x = np.linspace(-2, 2, 21)

    def loss(w1, w2):
        return np.mean((w2 * np.tanh(w1 * x) - 1.2 * np.tanh(1.5 * x)) ** 2)

    paths = paths_of(ax)
    assert len(paths) == 3
    for path in paths:
        assert len(path) == 26
        losses = [loss(*point) for point in path]
        assert losses == sorted(losses, reverse=True)
        # Each step goes against the slope, which differences tell as well.
        for (w1, w2), after in itertools.pairwise(path[:4]):
            h = 1e-6
            slope = (
                (loss(w1 + h, w2) - loss(w1 - h, w2)) / (2 * h),
                (loss(w1, w2 + h) - loss(w1, w2 - h)) / (2 * h),
            )
            np.testing.assert_allclose(after, (w1, w2) - 0.3 * np.array(slope), atol=1e-6)
    ends = [path[-1] for path in paths]
    assert {bool(np.sign(end[0]) > 0) for end in ends} == {True, False}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "25 steps at rate 0.3", "start", "end",
    ]  # fmt: skip
    low, high = figure.axes[1].get_ylim()
    assert low < 0.01
    assert high > 1
    names = ("weight of layer 1, input 1, node 1", "weight of layer 2, input 1, node 1")
    assert (ax.get_xlabel(), ax.get_ylabel()) == names


def test_a_network_of_ones_own_is_not_changed(figure):
    net = nncore.Network([nncore.Dense(2, 3, "sigmoid"), nncore.Dense(3, 2, "softmax")], seed=1)
    x, t = np.array([[1.0, 0.5], [-0.3, 2.0]]), np.array([0, 1])
    before = [layer.weights.tobytes() for layer in net.layers]
    ax = plot.loss_surface(net, x, t, weights=((0, 1, 2), (1, 0, 1)), steps=4, ax=figure)
    assert [layer.weights.tobytes() for layer in net.layers] == before
    (path,) = paths_of(ax)
    start = (net.layers[0].weights[1, 2], net.layers[1].weights[0, 1])
    np.testing.assert_array_equal(path[0], start)
    _, gradients = net.gradients(x, t)
    slope = (gradients[0][0][1, 2], gradients[1][0][0, 1])
    np.testing.assert_allclose(path[1], np.array(start) - 0.3 * np.array(slope), rtol=1e-6)
    assert ax.get_xlabel() == "weight of layer 1, input 2, node 3"
    left, right = ax.get_xlim()
    assert left < path[:, 0].min() < path[:, 0].max() < right


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x": [[1.0]]}, "x and t are given without net, expected all three or none"),
        ({"net": None, "rate": 1e9}, "rate is 1e.09, expected less: the descent leaves all bounds"),
        ({"steps": 0}, "steps is 0, expected at least 1"),
        ({"starts": []}, r"starts are \[\], expected a pair of weights for each descent"),
        ({"starts": np.ones((2, 3))}, r"starts are \[\[1\. 1\. 1\.\]"),
        ({"weights": ((0, 0, 0), (1, 1, 0))}, r"weights has \(1, 1, 0\), expected layer, input"),
        ({"weights": ((0, 0, 0),)}, "weights has length 1, expected 2"),
        ({"weights": ((0, 0, 0), (1, 0))}, r"weights has \(1, 0\), expected layer, input and"),
    ],
)
def test_loss_surface_refuses(given, message, figure):
    with pytest.raises(ValueError, match=message):
        plot.loss_surface(**given, ax=figure)
    assert figure.axes == []


def test_loss_surface_refuses_a_network_without_samples(figure):
    net = nncore.Network([nncore.Dense(1, 1)], seed=0)
    with pytest.raises(ValueError, match="x or t is missing, expected both with a net of your own"):
        plot.loss_surface(net, [[1.0]], ax=figure)
