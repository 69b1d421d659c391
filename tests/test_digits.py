"""The drawn digits: the same pixels everywhere, in MNIST's form, and like handwriting."""

import hashlib

import numpy as np
import pytest

from nncore.datasets import make_digits


def test_a_seed_means_the_same_pixels_for_ever():
    x, t = make_digits(1000, seed=0)
    assert hashlib.sha256(x.tobytes()).hexdigest() == X_HASH
    assert hashlib.sha256(t.tobytes()).hexdigest() == T_HASH


X_HASH = "ba8953bb27592550bdfaa468a65d291cd29e03cd4288525d9f6f9ac8290f7415"
T_HASH = "52ce0e6c8d07139e6663b2c7dbfe04aa4a020383a156d0e79917561855941275"


def test_the_form_is_that_of_mnist():
    x, t = make_digits(20)
    assert x.shape == (20, 784)
    assert t.shape == (20,)
    assert x.dtype == t.dtype == np.uint8
    assert x.flags.c_contiguous
    assert x.flags.writeable


def test_the_options_mean_what_they_mean_for_mnist():
    x, t = make_digits(30, seed=3)
    y, u = make_digits(30, seed=3, normalize=True, flatten=False, one_hot_label=True)
    assert y.shape == (30, 1, 28, 28)
    assert y.dtype == np.float32
    assert np.array_equal(y.reshape(30, 784), x.astype(np.float32) / np.float32(255))
    assert u.dtype == np.float64
    assert np.array_equal(u, np.eye(10)[t])


def test_seeds():
    assert np.array_equal(make_digits(10)[0], make_digits(10, seed=0)[0])
    assert not np.array_equal(make_digits(10, seed=0)[0], make_digits(10, seed=1)[0])
    assert not np.array_equal(make_digits(10, seed=None)[0], make_digits(10, seed=None)[0])
    assert np.array_equal(make_digits(10, seed=[1, 2])[0], make_digits(10, seed=(1, 2))[0])


@pytest.mark.parametrize("n", [0, 1, 9, 10, 11, 997])
def test_the_first_ones_do_not_depend_on_how_many_follow(n):
    x, t = make_digits(1000, seed=5)
    x_first, t_first = make_digits(n, seed=5)
    assert len(x_first) == len(t_first) == n
    assert np.array_equal(x[:n], x_first)
    assert np.array_equal(t[:n], t_first)


def test_nor_on_the_chunks_in_which_they_are_drawn():
    x, t = make_digits(5030, seed=6)  # two chunks
    assert np.array_equal(x[:40], make_digits(40, seed=6)[0])
    assert x[5000:].max(axis=1).min() > 100  # the last ones are drawn as well
    assert not np.array_equal(x[5000:], x[:30])
    assert np.array_equal(np.sort(t[5020:]), np.arange(10))


def test_every_ten_hold_each_digit_once_in_an_order_that_changes():
    _, t = make_digits(500, seed=7)
    tens = t.reshape(50, 10)
    assert (np.sort(tens, axis=1) == np.arange(10)).all()
    assert len({tuple(ten) for ten in tens.tolist()}) == 50


def test_ink_lies_where_mnist_has_it():
    x, _ = make_digits(2000, seed=8)
    images = x.reshape(-1, 28, 28).astype(np.float64)
    assert (x.max(axis=1) >= 200).all()
    # MNIST: a mean of 0.131, 19 % of the pixels not black.
    assert 0.11 < x.mean() / 255 < 0.15
    assert 0.16 < (x > 0).mean() < 0.22
    # The outermost pixels are black in 96 images of 100 (in MNIST in 99).
    frame = images.copy()
    frame[:, 1:-1, 1:-1] = 0
    assert (frame.sum(axis=(1, 2)) > 0).mean() < 0.06
    mass = images.sum(axis=(1, 2))
    places = np.arange(28)
    for axis in (1, 2):
        centre = (images.sum(axis=3 - axis) * places).sum(axis=1) / mass
        assert abs(centre.mean() - 14) < 0.1  # MNIST: 14.0, and 0.5 at most away from it
        assert np.abs(centre - 14).max() < 2


def test_strokes_are_antialiased_and_no_two_digits_are_alike():
    x, _ = make_digits(1000, seed=9)
    grey = ((x > 0) & (x < 255)).sum() / (x > 0).sum()
    assert 0.3 < grey < 0.9
    assert len(np.unique(x, axis=0)) == 1000


def test_the_classes_can_be_told_apart_but_not_by_their_means_alone():
    # The nearest mean finds 82 % in MNIST itself; it would find all in print, and 10 % in noise.
    x, t = make_digits(3000, seed=10)
    y, u = make_digits(1000, seed=11)
    means = np.stack([x[t == digit].mean(axis=0) for digit in range(10)])
    nearest = ((y[:, None, :] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert 0.75 < (nearest == u).mean() < 0.97


@pytest.mark.parametrize(
    ("n", "seed", "error", "text"),
    [
        (-1, 0, ValueError, "n is -1, expected at least 0"),
        (1.5, 0, TypeError, "n is 1.5, expected a whole number"),
        ("10", 0, TypeError, "n is '10', expected a whole number"),
        (None, 0, TypeError, "n is None, expected a whole number"),
        (1, -2, ValueError, "seed is -2, expected None"),
        (1, 0.5, TypeError, "seed is 0.5, expected None"),
    ],
)
def test_what_is_no_number_of_digits_or_no_seed_is_refused(n, seed, error, text):
    with pytest.raises(error, match=text):
        make_digits(n, seed=seed)


def test_every_skeleton_is_drawn():
    from nncore.datasets import digits

    drawn = []
    for skeletons in digits._skeletons():
        for skeleton in skeletons:
            ends = np.stack([skeleton.pieces, skeleton.pieces + 1])
            assert ends.max() < len(skeleton.neighbours)
            assert np.allclose(skeleton.shares.sum(axis=1), 1)  # a spline through equal points
            drawn.append(len(skeleton.pieces))
    assert len(drawn) >= 30
    assert min(drawn) >= 12
