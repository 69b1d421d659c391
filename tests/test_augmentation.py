"""Augmentation: the warp that is documented, the same bits everywhere, nothing but images."""

import hashlib
import re

import numpy as np
import pytest

import nncore
from nncore import _table
from nncore._augmentation import Warping
from nncore.augmentation import Augment

NOTHING = {"shift": 0, "rotate": 0, "scale": 0, "shear": 0, "elastic": 0}
EVERYTHING = {"shift": 28, "rotate": 180, "scale": 0.5, "shear": 1, "elastic": 8}
LIMITS = (
    3.0,
    0.2,
    0.3,
    0.4,
    4.0,
)  # as the kernel takes them: with a quarter of the angle, and knots


@pytest.fixture(scope="module")
def x():
    return nncore.datasets.make_digits(300, seed=5)[0]


@pytest.fixture
def threads(monkeypatch):
    """Sets how many threads there are, and lets even small calls use them."""
    monkeypatch.setattr(_table, "parallel_min", lambda: 0.0)
    before = nncore.get_num_threads()
    yield nncore.set_num_threads
    nncore.set_num_threads(before)


MASK = 2**64 - 1


def mixed(z):
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def word(stream, i):
    return mixed(stream + (i + 1) * 0x9E3779B97F4A7C15 & MASK)


def spline(position, knots):
    """(n,) -> (n, knots): each knot's share, from the cubic B-spline's own formula."""
    distance = np.abs(position[:, None] / 7 - (np.arange(knots) - 1)[None, :])
    near, far = 2 / 3 - distance**2 + distance**3 / 2, (2 - distance) ** 3 / 6
    return np.where(distance < 1, near, np.where(distance < 2, far, 0))


def warp_in_float64(image, i, limits, key):
    """What ext/augmentation.pyx does in integers, as formulas: (h, w) -> (h, w)."""
    height, width = image.shape
    stream = word(key, i)
    z, shear, wider, higher, right, down = (
        limit * ((word(stream, n) >> 11) * 2.0**-52 - 1)
        for n, limit in enumerate(np.array(limits)[[1, 3, 2, 2, 0, 0]])
    )
    c, s = np.cos(4 * z), np.sin(4 * z)
    turn, slant = np.array([[c, -s], [s, c]]), np.array([[1, shear], [0, 1]])
    back = np.linalg.inv(turn @ slant @ np.diag([1 + wider, 1 + higher]))
    middle = np.array([width - 1, height - 1])[:, None, None] / 2
    places = np.stack(np.meshgrid(np.arange(width), np.arange(height))) - middle  # x, y of a pixel
    places = np.tensordot(back, places, 1) + middle - np.array([right, down])[:, None, None]

    rows, columns = (height - 1) // 7 + 4, 4 * -(-width // 28) + 4
    count = rows * 2 * columns
    knots = [(word(stream, 6 + k // 4) >> 16 * (k % 4) & 0xFFFF) / 32768 - 1 for k in range(count)]
    grids = np.array(knots).reshape(rows, 2, columns) * limits[4]
    places += np.einsum(
        "yk,kfl,xl->fyx",
        spline(np.arange(height) + 0.5, rows), grids, spline(np.arange(width) + 0.5, columns),
    )  # fmt: skip

    padded = np.pad(image.astype(float), 2)
    places = np.clip(places, -1, np.array([width, height])[:, None, None]) + 2
    x, y = np.floor(places).astype(int)
    dx, dy = places - [x, y]
    above = padded[y, x] * (1 - dx) + padded[y, x + 1] * dx
    below = padded[y + 1, x] * (1 - dx) + padded[y + 1, x + 1] * dx
    return above * (1 - dy) + below * dy


SIZES = [(28, 28), (1, 1), (1, 40), (40, 1), (13, 17), (27, 29), (28, 56), (57, 28), (64, 30),
         (90, 130)]  # fmt: skip


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_kernel_agrees_with_the_formulas(x, height, width):
    whole = np.concatenate(x.reshape(-1, 28, 28)[:100], axis=1)  # digits in a row, many times
    tall = np.concatenate([np.roll(whole, 28 * row, axis=1) for row in range(4)])
    index = np.arange(0, 30, 3)
    images = np.stack([tall[:height, 7 * i : 7 * i + width] for i in range(30)])
    key = 0x0123456789ABCDEF
    out = np.empty((10, height * width), np.uint8)
    rows = np.ascontiguousarray(images.reshape(30, -1))
    Warping(rows, out, (height, width), index, LIMITS, key).run(1)
    expected = np.array([warp_in_float64(images[i], int(i), LIMITS, key).ravel() for i in index])
    # A place is rounded to 1/128 of a pixel in each of six terms, and from one pixel to the next an
    # image may rise by 255. In larger images the map's own rounding counts as well.
    error = np.abs(out - expected)
    assert error.max() <= 255 * 6 / 128 + 1
    assert error.mean() < 0.5
    if min(height, width) > 20:  # it was no small warp
        assert np.abs(out - rows[index].astype(float)).mean() > 20


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_images_of_every_size_and_form(height, width):
    random = np.random.default_rng(height)
    images = random.integers(0, 256, (70, height, width)).astype(np.uint8)
    rows = images.reshape(70, -1)
    for limits in (EVERYTHING, NOTHING, {}):
        augment = Augment(**limits, shape=(height, width))
        warped = augment.apply(images, 1, 2)
        assert warped.shape == images.shape
        assert np.array_equal(augment.apply(rows, 1, 2), warped.reshape(70, -1))
        assert np.array_equal(augment.apply(images[:, None], 1, 2), warped[:, None])
        assert np.array_equal(Augment(**limits).apply(images, 1, 2), warped)
        assert np.array_equal(augment.apply(images, 1, 2, index=[69, 3]), warped[[69, 3]])
        if limits == NOTHING:
            assert np.array_equal(warped, images)
        room = np.full((72, height * width), 7, np.uint8)
        augment.apply(rows, 1, 2, out=room[1:71])
        assert np.array_equal(room[1:71], warped.reshape(70, -1))
        assert (room[[0, 71]] == 7).all()
    assert np.array_equal(
        augment.apply(images / 255, 1, 2), augment.apply(images, 1, 2).astype(float) / 255
    )


def test_fit_knows_the_size_of_images_that_are_not_square(threads):
    images, t = nncore.datasets.make_digits(60, seed=1)
    images = images.reshape(60, 14, 56)  # as many pixels as 28x28

    def weights(x, augment):
        net = nncore.Network([nncore.Dense(784, 10, "softmax")], seed=0)
        net.fit(x / np.float32(255), t, epochs=2, augment=augment)
        return net.layers[0].weights.tobytes()

    expected = weights(images, Augment())
    assert weights(images[:, None], Augment()) == expected
    assert weights(images.reshape(60, -1), Augment(shape=(14, 56))) == expected
    assert weights(images.reshape(60, -1), Augment()) != expected


def test_another_thread_may_write_to_the_index(x, monkeypatch):
    """The kernel reads a copy: what it fetches images by was checked and stays as it was."""
    index = np.arange(10)
    augment = Augment()
    expected = augment.apply(x, 0, 0, index=index)
    real = nncore._augmentation.Warping

    def warping(*arguments):
        index[:] = 10**9  # after the check, before the kernel reads it
        return real(*arguments)

    monkeypatch.setattr(nncore._augmentation, "Warping", warping)
    assert np.array_equal(augment.apply(x, 0, 0, index=index), expected)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, "cd67785a3a95ff390416bb2b11359512da3cca7cb7d02d2d55c40831d1dbf256"),
        (EVERYTHING, "0529ad86a5980b2ae07d40f7fcf29a4bcebe2f6d7ff14f1954596e38e2556815"),
    ],
    ids=["default", "everything"],
)
def test_a_seed_means_the_same_pixels_for_ever(x, limits, expected):
    warped = Augment(**limits).apply(x, epoch=2, seed=11)
    assert hashlib.sha256(warped.tobytes()).hexdigest() == expected


def test_without_limits_images_stay_as_they_are(x):
    for epoch in range(3):
        assert np.array_equal(Augment(**NOTHING).apply(x, epoch, seed=0), x)


@pytest.mark.parametrize("name", NOTHING)
def test_each_limit_alone_changes_images_and_more_of_it_more(x, name):
    def change(limit):
        warped = Augment(**{**NOTHING, name: limit}).apply(x, 0, 0)
        return np.abs(warped - x.astype(float)).mean()

    assert 0 < change(EVERYTHING[name] / 40) < change(EVERYTHING[name] / 10)


def test_elastic_is_the_standard_deviation_of_the_displacement():
    # A ramp's brightness tells where a pixel came from: 9 levels a pixel.
    row = np.arange(28, dtype=np.uint8) * 9
    for ramp in np.tile(row, (28, 1)), np.tile(row[:, None], 28):
        x = np.tile(ramp.ravel(), (500, 1))
        warped = Augment(**{**NOTHING, "elastic": 1.5}).apply(x, 0, seed=1)
        moved = (warped.astype(float) - x).reshape(-1, 28, 28)[:, 6:22, 6:22] / 9
        assert abs(moved.std() - 1.5) < 0.06
        assert abs(moved.mean()) < 0.06
        neighbours = np.corrcoef(moved[:, :, 1:].ravel(), moved[:, :, :-1].ravel())[0, 1]
        assert neighbours > 0.95


def test_a_warp_depends_on_seed_epoch_and_index_alone(x):
    augment = Augment()
    whole = augment.apply(x, epoch=1, seed=2)
    order = np.random.default_rng(0).permutation(300)
    parts = [augment.apply(x, 1, 2, index=part) for part in np.split(order, [1, 64, 65, 190])]
    assert np.array_equal(np.concatenate(parts), whole[order])
    assert np.array_equal(augment.apply(x[:7], 1, 2), whole[:7])

    same = np.tile(x[0], (4, 1))  # one image four times: four warps
    warps = [
        *augment.apply(same, 1, 2),
        augment.apply(same, 1, 3)[0],
        augment.apply(same, 2, 2)[0],
        augment.apply(same, 2, 1)[0],
        augment.apply(same, 1, [2, 0])[0],
    ]
    assert len({warp.tobytes() for warp in warps}) == len(warps)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_threads_change_nothing(x, threads, count):
    threads(1)
    alone = Augment().apply(x, 0, 0)
    threads(count)
    for _ in range(5):
        assert np.array_equal(Augment().apply(x, 0, 0), alone)


def test_fit_with_augmentation_gives_the_same_bits_whatever_the_threads(threads):
    x, t = nncore.datasets.make_digits(200, seed=1)

    def weights(augment):
        layers = [nncore.Dense(784, 10, "relu"), nncore.Dense(10, 10, "softmax")]
        net = nncore.Network([nncore.Rescaling(1 / 255), *layers], seed=0)
        net.fit(x, t, epochs=2, batch_size=50, seed=0, augment=augment)
        return net.layers[1].weights.tobytes()

    threads(1)
    alone = weights(Augment())
    threads(2)
    assert weights(Augment()) == alone
    assert weights(Augment(shift=1)) != alone
    assert weights(None) != alone
    assert weights(Augment(**NOTHING)) == weights(None)


def test_nothing_is_written_beside_the_images(x):
    room = np.full((302, 784), 7, np.uint8)
    for epoch in range(20):
        Augment(**EVERYTHING).apply(x, epoch, 0, out=room[1:301])
    assert (room[[0, 301]] == 7).all()


def test_white_stays_white_and_black_comes_in():
    white = np.full((50, 28, 28), 255, np.uint8)
    warped = Augment(shift=3).apply(white, 0, 0)
    assert (warped[:, 9:19, 9:19] == 255).all()
    assert (warped[:, 0, 0] < 255).any()
    assert not Augment(**EVERYTHING).apply(np.zeros_like(white), 0, 0).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_images_are_bytes_divided_by_255(x, dtype):
    images = x.astype(dtype) / dtype(255)
    warped = Augment().apply(images, 0, 0)
    assert warped.dtype == dtype
    assert np.array_equal(warped, Augment().apply(x, 0, 0).astype(dtype) / dtype(255))


@pytest.mark.parametrize("shape", [(300, 28, 28), (300, 1, 28, 28)])
def test_other_shapes_and_layouts(x, shape):
    expected = Augment().apply(x, 0, 0)
    images = x.reshape(shape)
    warped = Augment().apply(images, 0, 0)
    assert warped.shape == shape
    assert np.array_equal(warped.reshape(300, 784), expected)
    for layout in (
        np.asfortranarray(images),
        np.repeat(images, 2, axis=0)[::2],
        np.concatenate([images, images])[:300],
    ):
        layout.flags.writeable = False
        assert np.array_equal(Augment().apply(layout, 0, 0), warped)
    swapped = (images / 255).astype(">f8")
    again = Augment().apply(swapped, 0, 0)
    assert again.dtype == np.float64
    assert again.dtype.isnative
    assert np.array_equal(np.rint(again * 255).astype(np.uint8), warped)


def test_out_is_filled_and_returned(x):
    expected = Augment().apply(x, 0, 0, index=[4, 4, 9])
    out = np.zeros((3, 784), np.uint8)
    assert Augment().apply(x, 0, 0, index=np.array([4, 4, 9], np.uint8), out=out) is out
    assert np.array_equal(out, expected)
    assert np.array_equal(out[0], out[1])


def test_zero_images(x):
    assert Augment().apply(x[:0], 0, 0).shape == (0, 784)
    assert Augment().apply(x, 0, 0, index=[]).shape == (0, 784)


def test_repr():
    assert repr(Augment(shift=2, elastic=0)) == (
        "Augment(shift=2, rotate=8, scale=0.1, shear=0.1, elastic=0)"
    )
    assert repr(Augment(shape=[20, 30])).endswith(", elastic=0.8, shape=(20, 30))")


@pytest.mark.parametrize("shape", [(3, 784), (3, 28, 28), (3, 1, 28, 28)])
def test_images_of_another_size_than_the_shape_are_refused(shape):
    expected = "expected (N, h * w), (N, h, w) or (N, 1, h, w) with h = 20, w = 39"
    with pytest.raises(ValueError, match=re.escape(f"x has shape {shape}, {expected}")):
        Augment(shape=(20, 39)).apply(np.zeros(shape), 0, 0)


@pytest.mark.parametrize(
    ("limits", "error", "text"),
    [
        ({"shift": 5000}, ValueError, "shift is 5000, expected a number from 0 to 4096"),
        ({"rotate": -1}, ValueError, "rotate is -1, expected a number from 0 to 180"),
        ({"scale": 0.6}, ValueError, "scale is 0.6, expected a number from 0 to 0.5"),
        ({"shear": float("nan")}, ValueError, "shear is nan, expected a number from 0 to 1"),
        ({"elastic": float("inf")}, ValueError, "elastic is inf, expected a number from 0 to 8"),
        ({"elastic": "1"}, TypeError, "elastic is '1', expected a number from 0 to 8"),
        ({"shift": None}, TypeError, "shift is None, expected a number from 0 to 4096"),
        ({"shift": True}, TypeError, "shift is True, expected"),
        ({"shape": 28}, TypeError, "shape is 28, expected a height and a width from 1 to 4096"),
        ({"shape": (28, 2.5)}, TypeError, r"shape is \(28, 2.5\), expected a height and a width"),
        ({"shape": (0, 28)}, ValueError, r"shape is \(0, 28\), expected a height and a width from"),
        ({"shape": (28, 4097)}, ValueError, r"shape is \(28, 4097\), expected a height and a wid"),
    ],
)
def test_limits_out_of_range_are_refused(limits, error, text):
    with pytest.raises(error, match=text):
        Augment(**limits)


IMAGES = np.zeros((3, 784), np.uint8)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"x": np.zeros((3, 784), np.int64)}, TypeError, "x has dtype int64, expected uint8, flo"),
        ({"x": np.zeros((3, 105), np.uint8)}, ValueError, "x has 105 features, expected the pixel"),
        ({"x": np.zeros(784, np.uint8)}, ValueError, r"x has shape \(784,\), expected \(N, h \* w"),
        ({"x": np.zeros((3, 2, 4, 4), np.uint8)}, ValueError, r"x has shape \(3, 2, 4, 4\), expec"),
        ({"x": np.zeros((3, 5000, 1), np.uint8)}, ValueError, "x has images of 5000x1 pixels, exp"),
        ({"x": np.zeros((3, 0), np.uint8)}, ValueError, "x has images of 0x0 pixels, expected a h"),
        ({"x": np.full((3, 784), 1.01)}, ValueError, r"NaN or outside \[0, 1\], expected 0 to 1"),
        ({"x": np.full((3, 784), -1e-9)}, ValueError, r"NaN or outside \[0, 1\], expected 0 to 1"),
        ({"x": np.full((3, 784), np.nan, np.float32)}, ValueError, "NaN or outside"),
        ({"epoch": 1.5}, TypeError, "epoch is 1.5, expected a whole number"),
        ({"epoch": -1}, ValueError, "epoch is -1, expected at least 0"),
        ({"seed": None}, TypeError, "seed is None, expected a whole number or a sequence of them"),
        ({"seed": 1.5}, TypeError, "seed has 1.5, expected None, a whole number"),
        ({"seed": -1}, ValueError, "seed has -1, expected None, a whole number of at least 0"),
        ({"index": [0, 3]}, ValueError, "index has 3, expected 0 to 2"),
        ({"index": [-1]}, ValueError, "index has -1, expected 0 to 2"),
        ({"index": [0.0]}, TypeError, "index has dtype float64, expected whole numbers"),
        ({"index": [[0]]}, ValueError, r"index has shape \(1, 1\), expected \(n,\)"),
        ({"out": np.zeros((2, 784), np.uint8)}, ValueError, r"out has shape \(2, 784\), expected"),
        ({"out": np.zeros((3, 784))}, TypeError, "out has dtype float64, expected uint8"),
        (
            {"out": np.zeros((784, 3), np.uint8).T},
            ValueError,
            "out is not C-contiguous, expected a C-contiguous array",
        ),
        ({"out": IMAGES}, ValueError, "out overlaps x in memory"),
    ],
)
def test_bad_calls_are_refused(change, error, text):
    with pytest.raises(error, match=text):
        Augment().apply(**{"x": IMAGES, "epoch": 0, "seed": 0, **change})
