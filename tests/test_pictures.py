"""Pictures of digits, prepared as MNIST's images: most of them are read right, whatever the paper.

The shares that are asked for are some below what was measured (100 of 100 in nearly all of them).
"""

from __future__ import annotations

import numpy as np
import pytest

import nncore
from nncore.datasets.pictures import as_text, grey_of, prepare, prepare_digit, resize

DIGITS = 30


@pytest.fixture(scope="module")
def digits():
    images, labels = nncore.datasets.make_digits(DIGITS, seed=77)
    return images.reshape(DIGITS, 28, 28), labels


def enlarged(image, side):
    """A digit (28, 28) as ink from 0 to 1, (side, side), with straight lines between its pixels."""
    at = np.clip((np.arange(side) + 0.5) * 28 / side - 0.5, 0, 27)
    low = np.minimum(at.astype(int), 26)
    share = at - low
    weights = np.zeros((side, 28))
    weights[np.arange(side), low] = 1 - share
    weights[np.arange(side), low + 1] += share
    return weights @ (image / 255) @ weights.T


def on_paper(
    image, size=(300, 400), side=160, at=(60, 110), ink=60, ground=220, shade=0.0, noise=0.0,
    turn=0.0, seed=0,
):  # fmt: skip
    """A picture of a digit that lies somewhere on a sheet, in uneven light, with noise."""
    random = np.random.default_rng(seed)
    pen = np.zeros(size)
    digit = enlarged(image, side)
    if turn:  # nearest pixel: the digit is large
        y, x = np.mgrid[:side, :side] - (side - 1) / 2
        sources = (
            np.rint(np.cos(turn) * y - np.sin(turn) * x + (side - 1) / 2).astype(int),
            np.rint(np.sin(turn) * y + np.cos(turn) * x + (side - 1) / 2).astype(int),
        )
        inside = np.all([(s >= 0) & (s < side) for s in sources], axis=0)
        digit = np.where(inside, digit[tuple(np.clip(s, 0, side - 1) for s in sources)], 0)
    pen[at[0] : at[0] + side, at[1] : at[1] + side] = digit
    y, x = np.mgrid[0 : 1 : size[0] * 1j, 0 : 1 : size[1] * 1j]
    light = 1 - shade * (0.6 * x + 0.4 * y) - 0.3 * shade * (x - 0.5) ** 2
    sheet = (ground * (1 - pen) + ink * pen) * light + random.normal(0, noise, size)
    return np.clip(sheet, 0, 255).astype(np.uint8)


def dusty(image):
    sheet = on_paper(image, noise=4, shade=0.2)
    random = np.random.default_rng(2)
    for y, x in random.integers(5, 290, (10, 2)):
        sheet[y : y + 4, x : x + 4] = 60
    return sheet


def beside_a_table(image):
    sheet = on_paper(image, noise=4, shade=0.2)
    sheet[:, :30] = 40
    return sheet


SHEETS = {
    "as it is": lambda image: image,
    "inverted": lambda image: 255 - image,
    "large": lambda image: on_paper(image, (280, 280), 280, (0, 0), 0, 255),
    "paper": on_paper,
    "turned": lambda image: on_paper(image, turn=0.12, noise=4),
    "shaded and noisy": lambda image: on_paper(image, shade=0.5, noise=10),
    "very noisy": lambda image: on_paper(image, shade=0.3, noise=25),
    "small on a large sheet": lambda image: on_paper(
        image, (900, 1000), 120, (300, 700), 40, 225, 0.3, 6
    ),
    "pencil": lambda image: on_paper(image, ink=150, noise=5, shade=0.2),
    "blackboard": lambda image: on_paper(image, ink=220, ground=50, noise=6, shade=0.3),
    "tiny": lambda image: on_paper(image, (64, 64), 32, (16, 16), noise=4, shade=0.3),
    "dust": dusty,
    "beside a table": beside_a_table,
    "in colour": lambda image: np.stack([on_paper(image, noise=5, seed=s) for s in range(3)], 2),
}


@pytest.mark.parametrize("sheet", SHEETS)
def test_the_shipped_network_reads_it(digits, sheet):
    images, labels = digits
    net = nncore.load_pretrained("digits")
    prepared = np.array([prepare_digit(SHEETS[sheet](image)) for image in images])
    assert prepared.shape == (DIGITS, 28, 28)
    assert prepared.dtype == np.uint8
    share = (net.predict(prepared.reshape(DIGITS, 784)) == labels).mean()
    assert share >= 0.95


def test_the_form_is_that_of_mnist(digits):
    for image in digits[0][:20]:
        found = prepare_digit(on_paper(image, noise=5, shade=0.3)).astype(float)
        rows, columns = (np.flatnonzero(found.max(axis=axis) > 0) for axis in (1, 0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20)
        for axis in (0, 1):
            mass = found.sum(axis=1 - axis)
            middle = (mass * np.arange(28)).sum() / mass.sum()
            at_the_edge = found.take([0, 27], axis=axis).any()
            assert abs(middle - 13.5) <= 0.5 or at_the_edge
        assert found.max() == 255


def test_what_can_be_switched_off(digits):
    image = digits[0][0]
    sheet = on_paper(image)
    assert prepare(sheet).done[0] == "inverted (the ground is light)"
    assert prepare(sheet, invert=True).done[0] == "inverted"
    dark = prepare(255 - sheet)
    assert not any("invert" in each for each in dark.done)
    np.testing.assert_array_equal(prepare_digit(255 - sheet, invert=False), dark.image)
    whole = prepare(sheet, center=False)
    assert not any("centred" in each for each in whole.done)
    rows = np.flatnonzero(whole.image.max(axis=1))
    assert abs((rows[0] + rows[-1]) / 2 - 13.5) <= 0.5


def test_thin_lines_are_drawn_thicker():
    sheet = np.full((400, 400), 240, np.uint8)
    sheet[50:350, 199:202] = 20  # a one, three pixels of three hundred wide
    found = prepare(sheet)
    assert "lines drawn thicker" in found.done
    net = nncore.load_pretrained("digits")
    assert net.predict(found.image.reshape(1, 784)).tolist() == [1]
    assert found.image[14].max() > 200


def test_kinds_of_arrays_mean_the_same(digits):
    sheet = on_paper(digits[0][3])
    expected = prepare_digit(sheet)
    for same in (
        sheet / 255,
        sheet[:, :, None],
        np.repeat(sheet[:, :, None], 3, 2),
        sheet.tolist(),
    ):
        np.testing.assert_array_equal(prepare_digit(same), expected)
    ink = enlarged(digits[0][3], 160) > 0.5
    np.testing.assert_array_equal(prepare_digit(ink), prepare_digit(ink * np.uint8(255)))


@pytest.mark.parametrize("ink", [0, 255])
def test_what_is_transparent_becomes_a_ground_that_shows_the_ink(digits, ink):
    images, labels = digits
    net = nncore.load_pretrained("digits")
    right = 0
    for image, label in zip(images[:20], labels, strict=False):
        picture = np.full((200, 200, 4), ink, np.uint8)
        picture[:, :, 3] = 255 * enlarged(image, 200)
        right += int(net.predict(prepare_digit(picture).reshape(1, 784))[0] == label)
    assert right >= 19


@pytest.mark.parametrize(
    ("image", "error", "text"),
    [
        (np.full((50, 50), 200, np.uint8), ValueError, "image has the same brightness everywhere"),
        (np.zeros((0, 5)), ValueError, "expected at least one pixel"),
        (np.zeros(784), ValueError, "image has shape (784,), expected (h, w), (h, w, 3) or"),
        (np.zeros((5, 5, 2)), ValueError, "image has shape (5, 5, 2), expected"),
        (np.full((5, 5), np.nan), ValueError, "image has values outside of 0 to 255"),
        (np.full((5, 5), -1.0), ValueError, "image has values outside of 0 to 255"),
        (np.full((5, 5), 70000), ValueError, "image has values outside of 0 to 255"),
        (np.array([["a"]]), TypeError, "image has dtype <U1, expected uint8, or floats"),
        ("seven.png", TypeError, "image has dtype <U9, expected uint8, or floats"),
    ],
)
def test_what_is_refused(image, error, text):
    with pytest.raises(error) as caught:
        prepare_digit(image)
    assert text in str(caught.value)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (3, 1000), (28, 28), (257, 31)])
def test_any_size_and_any_content_ends_well(shape):
    random = np.random.default_rng(1)
    for image in (random.integers(0, 256, shape), np.eye(*shape) * 255, np.tri(*shape) * 255):
        try:
            found = prepare_digit(image.astype(np.uint8))
        except ValueError as error:
            assert "image has" in str(error)  # noqa: PT017
        else:
            assert found.shape == (28, 28)
            assert found.max() > 0


def test_resize_keeps_the_mean():
    image = np.random.default_rng(0).random((37, 101))
    for size in ((5, 7), (37, 101), (50, 200)):
        assert resize(image, size).mean() == pytest.approx(image.mean())
    np.testing.assert_allclose(resize(image, (37, 101)), image)
    np.testing.assert_allclose(resize(image[:36, :100], (18, 50))[0, 0], image[:2, :2].mean())


def test_a_large_picture_is_made_smaller():
    grey, _ = grey_of(np.zeros((1000, 300), np.uint8))
    assert grey.shape == (256, 76)


def test_as_text():
    lines = as_text(np.eye(28, dtype=np.uint8) * 255)
    assert [len(line) for line in lines] == [28] * 14
    assert all(line[2 * i] != " " and line[2 * i - 2] == " " for i, line in enumerate(lines) if i)


def small_pictures():
    """Pictures of one to 33 pixels a side, most of them of nothing, and larger ones with a dot."""
    random = np.random.default_rng(0)
    for number in range(300):
        h, w = random.integers(1, 34, 2) if number % 10 else random.integers(65, 140, 2)
        grey, ink = random.integers(0, 256, 2)
        picture = np.full((h, w), grey, np.uint8)
        y, x = random.integers(h), random.integers(w)
        if number % 5 == 0:
            picture[y, x] = ink
        elif number % 5 == 1:
            picture[: y + 1, : x + 1] = ink
        elif number % 5 == 2:
            picture = random.integers(0, 256, (h, w)).astype(np.uint8)
        elif number % 5 == 3:
            picture = (random.random((h, w)) < 0.1) * np.uint8(255)
        yield picture


@pytest.mark.filterwarnings("error")
def test_any_small_picture_is_prepared_or_refused_in_words():
    outcomes = set()
    for picture in small_pictures():
        for invert in (None, True, False):
            try:
                image = prepare_digit(picture, invert=invert)
            except ValueError as error:
                outcomes.add(str(error))
            else:
                assert image.max() > 0
                outcomes.add("prepared")
    assert outcomes == {
        "prepared",
        "image has the same brightness everywhere, expected ink on a ground",
        "image has no ink that stands out from its ground",
    }


def test_ink_that_is_not_where_invert_says_is_no_ink():
    picture = np.full((30, 30), 200, np.uint8)
    picture[15, 15] = 20
    assert prepare_digit(picture).max() == 255
    with pytest.raises(ValueError, match="image has no ink that stands out from its ground"):
        prepare_digit(picture, invert=False)
