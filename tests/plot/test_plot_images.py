"""Digits with what was read in them, and weights as images."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="nncore.plot draws with matplotlib")

import nncore
from nncore import plot

N, HEIGHT, WIDTH = 11, 5, 7


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(1, 256, (N, HEIGHT, WIDTH)).astype(np.uint8)


def corners_of(sheet, height, width):
    """The left top corners of the tiles: where blocks of numbers begin."""
    drawn = ~np.ma.getmaskarray(sheet)
    rows = [i for i in range(len(drawn)) if drawn[i].any() and not (i and drawn[i - 1].any())]
    starts = [
        j for j in range(drawn.shape[1]) if drawn[:, j].any() and not (j and drawn[:, j - 1].any())
    ]
    return [(j, i) for i in rows for j in starts if drawn[i, j]]


def test_every_image_is_there_in_order(images, figure):
    ax = plot.digits(images, columns=4, ax=figure)
    sheet = ax.images[0].get_array()
    corners = corners_of(sheet, HEIGHT, WIDTH)
    assert len(corners) == N
    assert len({top for _, top in corners}) == 3
    for image, (left, top) in zip(images, corners, strict=True):
        np.testing.assert_array_equal(sheet[top : top + HEIGHT, left : left + WIDTH], image)
    assert int((~sheet.mask).sum()) == N * HEIGHT * WIDTH
    assert ax.get_title() == "11 images"
    assert ax.images[0].get_clim() == (images.min(), images.max())
    assert not ax.patches


def test_wrong_ones_are_marked_and_no_others(images, figure):
    labels = np.arange(N) % 3
    predictions = labels.copy()
    predictions[[2, 7]] = [0, 2]
    ax = plot.digits(images, labels, predictions, columns=4, ax=figure)
    captions = [text.get_text() for text in ax.texts]
    expected = [str(label) for label in labels]
    expected[2], expected[7] = "✗ 0, is 2", "✗ 2, is 1"
    assert captions == expected
    assert [text.get_weight() for text in ax.texts].count("bold") == 2
    corners = corners_of(ax.images[0].get_array(), HEIGHT, WIDTH)
    frames = [(frame.get_x() + 0.5, frame.get_y() + 0.5) for frame in ax.patches]
    assert frames == [corners[2], corners[7]]
    assert {(frame.get_width(), frame.get_height()) for frame in ax.patches} == {(WIDTH, HEIGHT)}
    assert ax.get_title() == "9 of 11 right"
    for text, (left, top) in zip(ax.texts, corners, strict=True):
        x, y = text.get_position()
        assert left < x < left + WIDTH
        assert y < top


def test_predictions_alone_and_names(images, figure):
    ax = plot.digits(images[:2], predictions=[1, 0], classes=["a $x$ cat", "dog"], ax=figure)
    assert [text.get_text() for text in ax.texts] == ["dog", r"a \$x\$ cat"]
    assert not ax.patches


def test_rows_of_pixels(figure):
    x, t = nncore.datasets.make_digits(3, seed=1)
    sheet = plot.digits(x, t, ax=figure).images[0].get_array()
    for image, (left, top) in zip(x, corners_of(sheet, 28, 28), strict=True):
        np.testing.assert_array_equal(sheet[top : top + 28, left : left + 28].ravel(), image)


def test_rows_of_pixels_of_a_shape_of_ones_own(images, figure):
    ax = plot.digits(images.reshape(N, -1), shape=(HEIGHT, WIDTH), columns=N, ax=figure)
    left, top = corners_of(ax.images[0].get_array(), HEIGHT, WIDTH)[0]
    sheet = ax.images[0].get_array()
    np.testing.assert_array_equal(sheet[top : top + HEIGHT, left : left + WIDTH], images[0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"images": np.zeros((2, 35))}, "images have 35 pixels, expected a square number where"),
        ({"images": np.zeros((2, 35)), "shape": (6, 6)}, "images have 35 pixels, expected 6 x 6"),
        ({"images": np.zeros((0, 16))}, "images have shape .*, expected .n, height, width. or"),
        ({"images": np.zeros(16)}, "images have shape .16,., expected .n, height, width. or"),
        ({"labels": [1]}, "labels has shape .1,., expected .2,.: one class each"),
        ({"predictions": [0, -1]}, "predictions has the class -1, expected 0, 1, 2, ..."),
        ({"labels": [0, 2], "classes": ["a", "b"]}, "there is a class 2, expected 0 to 1"),
        ({"columns": 0}, "columns is 0, expected at least 1"),
    ],
)
def test_digits_refuses(given, message, figure):
    with pytest.raises(ValueError, match=message):
        plot.digits(**{"images": np.zeros((2, 4, 4)), **given}, ax=figure)


def test_labels_that_are_no_whole_numbers_are_refused(images, figure):
    with pytest.raises(TypeError, match="labels has dtype float64, expected whole numbers: 0, 1,"):
        plot.digits(images, np.zeros(N), ax=figure)


def test_the_weights_of_each_node(figure):
    net = nncore.Network([nncore.Dense(12, 5, "relu"), nncore.Dense(5, 2)], seed=3)
    ax = plot.weights(net, shape=(3, 4), ax=figure)
    image = ax.images[0]
    sheet = image.get_array()
    corners = corners_of(sheet, 3, 4)
    w = net.layers[0].weights
    for node, (left, top) in enumerate(corners):
        np.testing.assert_array_equal(
            sheet[top : top + 3, left : left + 4], w[:, node].reshape(3, 4)
        )
    low, high = image.get_clim()
    assert low == -high  # so that zero is white
    assert high == pytest.approx(np.quantile(np.abs(w), 0.995))
    assert ax.get_title() == "5 nodes of the first layer, row by row"
    assert figure.axes[1].get_ylabel() == "weight"


def test_weights_of_a_wide_layer_behind_a_rescaling(figure):
    net = nncore.Network([nncore.Rescaling(0.5), nncore.Dense(9, 40)], seed=3)
    ax = plot.weights(net, count=7, ax=figure)
    assert ax.get_title() == "the first 7 of 40 nodes of the first layer, row by row"
    assert len(corners_of(ax.images[0].get_array(), 3, 3)) == 7


def test_weights_refuses_inputs_that_are_no_image(figure):
    net = nncore.Network([nncore.Dense(12, 5)], seed=3)
    with pytest.raises(ValueError, match="the weights have 12 pixels, expected a square number"):
        plot.weights(net, ax=figure)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_white_and_changes_no_colour(odd, figure):
    images = np.linspace(0, 1, 2 * 16).reshape(2, 4, 4)
    images[0, 1, 1] = odd
    ax = plot.digits(images, ax=figure)
    figure.draw_without_rendering()
    assert ax.images[0].get_clim() == (0, 1)
    assert np.ma.getmaskarray(ax.images[0].get_array())[2 + 1, 1]


@pytest.mark.parametrize("bad", [0.01, 1.0])
def test_weights_of_a_training_that_diverged(bad, figure):
    net = nncore.Network([nncore.Dense(100, 2)], seed=0)
    weights = np.where(np.arange(200) < 200 * bad, np.nan, 2.0).reshape(100, 2)
    net.layers[0].weights = weights
    ax = plot.weights(net, ax=figure)
    figure.draw_without_rendering()
    assert ax.images[0].get_clim() == ((-2, 2) if bad < 1 else (-1, 1))
