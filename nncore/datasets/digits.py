"""Handwritten-looking digits, drawn here and now in MNIST's format: no file is needed.

A digit is one of several skeletons (_strokes.py).  Its points are moved a little, the pen goes
through them on smooth curves, the whole is bent, slanted, turned and fitted into MNIST's box of
20x20 pixels, its centre of mass where MNIST has it in the 28x28 ones; then each pixel takes its
brightness from its distance to the pen's line.

Everything is + - * / and square root on arrays, element by element, from random numbers that are
the same everywhere: so a seed means the same pixels on every machine.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from .._random import Random
from ._arrays import arrange
from ._strokes import SKELETONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .._random import Seed

    Curves: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]  # x and y, each (p, n)

_SIDE = 28  # pixels
_BOX = 20.0  # the pixels that the ink spans, as in MNIST
_CENTRE = 14.0  # where MNIST has the centre of mass, counted from the first pixel's middle
_MIDDLE = (35.0, 50.0)  # of the skeletons
_PIECE = 8.0  # the longest straight piece of a curve, in units of the skeletons (here 1.6 pixels)
_CHUNK = 5000  # images drawn together: a multiple of ten; more would only take more memory

# Each image uses up one row of so many random numbers, whatever they are needed for; hence an image
# does not depend on how many are drawn.
_NUMBERS = 64
_FIRST_JITTER = 20

# The largest change of each kind, in either direction.
_JITTER = 5.0  # of a skeleton's points, in its units
_HALF_TURN = 0.11  # the tangent of half the angle: 12.6 degrees
_SLANT = 0.35
_SLANT_MEAN = 0.12  # most people's writing leans to the right
_WIDTH = 0.27
_WIDTH_MEAN = 1.14
_BEND = 0.28
_TAPER = 0.22
_SHIFT = 0.4  # pixels


def make_digits(
    n: int,
    *,
    seed: Seed = 0,
    normalize: bool = False,
    flatten: bool = True,
    one_hot_label: bool = False,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Draw handwritten-looking digits, white on black, 28x28 pixels, as MNIST has them.

    Every ten images in a row hold each digit once, in random order.  The first images of a seed are
    the same however many are drawn, and on every machine.

    Parameters
    ----------
    n : int
        How many.
    seed : int, sequence of ints, or None, default 0
        Another seed, other digits; None: others each time.
    normalize : bool, default False
        Pixels as float32 in [0, 1], that is divided by 255; if False, uint8 from 0 to 255.
    flatten : bool, default True
        Images as rows (n, 784); if False, as (n, 1, 28, 28).
    one_hot_label : bool, default False
        Labels as rows (n, 10) of zeros and a one, float64; if False, uint8 numbers (n,).

    Returns
    -------
    x : ndarray
        The images: uint8 (n, 784) unless the options say otherwise.
    t : ndarray
        Their labels: uint8 (n,) unless `one_hot_label`.

    Raises
    ------
    TypeError
        If `n` is not a whole number, or `seed` none of the above.
    ValueError
        If `n` or a number in `seed` is negative.

    Examples
    --------
    >>> x, t = make_digits(1000, seed=0)
    >>> x.shape, x.dtype, t.shape
    ((1000, 784), dtype('uint8'), (1000,))
    >>> np.bincount(t)
    array([100, 100, 100, 100, 100, 100, 100, 100, 100, 100])
    """
    try:
        n = index(n)
    except TypeError:
        raise TypeError(f"n is {n!r}, expected a whole number") from None
    if n < 0:
        raise ValueError(f"n is {n}, expected at least 0")
    random = Random(seed)
    images = np.empty((n, _SIDE, _SIDE), np.uint8)
    labels = np.empty(n, np.uint8)
    for start in range(0, n, _CHUNK):
        stop = min(start + _CHUNK, n)
        numbers = random.uniform((-(-(stop - start) // 10) * 10, _NUMBERS))
        # Ten rows, ten digits: in the order of the rows' first numbers.
        order = np.argsort(numbers[:, 0].reshape(-1, 10), axis=1, kind="stable")
        labels[start:stop] = order.reshape(-1)[: stop - start]
        _draw(labels[start:stop], numbers[: stop - start], images[start:stop])
    return arrange(
        images, labels, normalize=normalize, flatten=flatten, one_hot_label=one_hot_label
    )


class _Skeleton(NamedTuple):
    """A skeleton made ready: how to get from its c points to the p points of its pieces."""

    points: NDArray[np.float64]  # (c, 2)
    neighbours: NDArray[np.intp]  # (p, 4): the points that a point of a curve is made of
    shares: NDArray[np.float64]  # (p, 4): and how much of each
    pieces: NDArray[np.intp]  # (s,): the pieces go from point i to point i + 1 for each i in here


def _draw(
    labels: NDArray[np.uint8], numbers: NDArray[np.float64], images: NDArray[np.uint8]
) -> None:
    """Draw into images (n, 28, 28) the digits (n,) that the random numbers (n, 64) call for."""
    for digit, skeletons in enumerate(_skeletons()):
        for number, skeleton in enumerate(skeletons):
            chosen = (numbers[:, 1] * len(skeletons)).astype(np.intp) == number
            rows = np.flatnonzero(chosen & (labels == digit))
            if rows.size:
                u = numbers[rows].T
                radius = 0.8 + 0.5 * (u[10] + u[11])
                x, y = _bend(*_move(skeleton, u), u)
                x, y = _place(x, y, skeleton.pieces, radius, u)
                images[rows] = _render(x, y, skeleton.pieces, radius, u)


@cache
def _skeletons() -> list[list[_Skeleton]]:
    return [[_prepare(strokes) for strokes in skeletons] for skeletons in SKELETONS]


def _prepare(written: list[str]) -> _Skeleton:
    """Lay Catmull-Rom splines through the strokes, cut into pieces that are nearly straight."""
    strokes = [[_point(point) for point in stroke.split()] for stroke in written]
    points = list(dict.fromkeys(point for stroke in strokes for point in stroke))
    assert _FIRST_JITTER + 2 * len(points) <= _NUMBERS
    neighbours: list[list[int]] = []
    shares: list[list[float]] = []
    pieces: list[int] = []
    for stroke in strokes:
        for i, (a, b) in enumerate(pairwise(stroke)):
            around = [stroke[max(i - 1, 0)], a, b, stroke[min(i + 2, len(stroke) - 1)]]
            squared = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
            parts = 1
            while (parts * _PIECE) ** 2 < squared:
                parts += 1
            for part in range(parts + 1):
                if part < parts:
                    pieces.append(len(neighbours))
                neighbours.append([points.index(point) for point in around])
                shares.append(_spline(part / parts))
    return _Skeleton(
        np.array(points, dtype=np.float64),
        np.array(neighbours, dtype=np.intp),
        np.array(shares),
        np.array(pieces, dtype=np.intp),
    )


def _point(written: str) -> tuple[int, int]:
    x, y = written.split(",")
    return int(x), int(y)


def _spline(t: float) -> list[float]:
    """Return the shares of four points in the Catmull-Rom spline at t, between the middle two."""
    return [
        ((2.0 - t) * t - 1.0) * t * 0.5,
        ((3.0 * t - 5.0) * t * t + 2.0) * 0.5,
        ((4.0 - 3.0 * t) * t + 1.0) * t * 0.5,
        (t - 1.0) * t * t * 0.5,
    ]


def _signed(u: NDArray[np.float64]) -> NDArray[np.float64]:
    return 2.0 * u - 1.0


def _move(skeleton: _Skeleton, u: NDArray[np.float64]) -> Curves:
    """Return the pen's x and y, (p, n) each, after each point (c, 2) has moved a little."""
    coordinates = []
    for axis, middle in enumerate(_MIDDLE):
        jitter = _signed(u[_FIRST_JITTER + axis :: 2][: len(skeleton.points)]) * _JITTER
        moved = skeleton.points[:, axis, None] + jitter
        parts = [moved[skeleton.neighbours[:, j]] * skeleton.shares[:, j, None] for j in range(4)]
        whole = ((parts[0] + parts[1]) + parts[2]) + parts[3]
        coordinates.append((whole - middle) / 100.0)
    return coordinates[0], coordinates[1]


def _bend(x: NDArray[np.float64], y: NDArray[np.float64], u: NDArray[np.float64]) -> Curves:
    """Bend, taper, widen, slant and turn each image in its own way; shapes (p, n)."""
    x, y = (
        x * (1.0 + _signed(u[15]) * _TAPER * 2.0 * y) + _signed(u[5]) * _BEND * (y * y),
        y + _signed(u[6]) * _BEND * (x * x),
    )
    x = x * (_WIDTH_MEAN + _signed(u[4]) * _WIDTH) - (_SLANT_MEAN + _signed(u[3]) * _SLANT) * y
    tangent = _signed(u[2]) * _HALF_TURN
    cosine = (1.0 - tangent * tangent) / (1.0 + tangent * tangent)
    sine = 2.0 * tangent / (1.0 + tangent * tangent)
    return x * cosine - y * sine, x * sine + y * cosine


def _place(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    pieces: NDArray[np.intp],
    radius: NDArray[np.float64],
    u: NDArray[np.float64],
) -> Curves:
    """Fit each curve into the box, and bring its centre of mass to where MNIST has it."""
    span = np.maximum(x.max(axis=0) - x.min(axis=0), y.max(axis=0) - y.min(axis=0))
    scale = (_BOX - 2.5 * u[7] - 2.0 * radius) / span
    x, y = x * scale, y * scale
    mass = moment_x = moment_y = np.zeros_like(radius)
    for i in pieces:  # one after the other: np.sum would add in an order of its own
        dx, dy = x[i + 1] - x[i], y[i + 1] - y[i]
        length = np.sqrt(dx * dx + dy * dy)
        mass = mass + length
        moment_x = moment_x + length * (x[i] + x[i + 1])
        moment_y = moment_y + length * (y[i] + y[i + 1])
    x = x - 0.5 * moment_x / mass + (_CENTRE + _signed(u[8]) * _SHIFT)
    y = y - 0.5 * moment_y / mass + (_CENTRE + _signed(u[9]) * _SHIFT)
    return x, y


def _render(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    pieces: NDArray[np.intp],
    radius: NDArray[np.float64],
    u: NDArray[np.float64],
) -> NDArray[np.uint8]:
    """Return the images (n, 28, 28) of curves (p, n); a piece changes only pixels near it."""
    softness = 0.45 + 0.4 * u[14]
    dx, dy = x[pieces + 1] - x[pieces], y[pieces + 1] - y[pieces]
    squared = np.maximum(dx * dx + dy * dy, 1e-12)
    # The pen is pressed harder or lighter towards the end of the writing.
    along = (np.arange(len(pieces)) / max(len(pieces) - 1, 1))[:, None]
    radii = radius * (1.0 + 0.3 * (_signed(u[12]) * (1.0 - along) + _signed(u[13]) * along))
    # Whatever is farther than this from a piece's middle stays black.
    reach = float((0.5 * np.sqrt(squared) + radii + softness).max())
    side = 2 * int(reach + 1.0) + 1
    margin = side  # curves that leave the image are cut off
    width = _SIDE + 2 * margin
    left = np.floor(0.5 * (x[pieces] + x[pieces + 1]) + 0.5).astype(np.intp) - side // 2
    top = np.floor(0.5 * (y[pieces] + y[pieces + 1]) + 0.5).astype(np.intp) - side // 2
    left = np.clip(left, -margin, _SIDE)
    top = np.clip(top, -margin, _SIDE)

    n = radius.size
    inside = np.full((n, width * width), -np.inf, np.float32)  # how far a pixel is inside the line
    first = np.arange(n)[:, None, None] * (width * width)
    offsets = np.arange(side)
    patch = (offsets[:, None] * width + offsets)[None]
    flat = inside.reshape(-1)
    single = np.float32
    for s, i in enumerate(pieces):
        ux, uy = (v.astype(single)[:, None, None] for v in (dx[s], dy[s]))
        gx, gy = ((v[s] / squared[s]).astype(single)[:, None, None] for v in (dx, dy))
        px = (left[s] - x[i]).astype(single)[:, None, None] + offsets.astype(single)[None, None, :]
        py = (top[s] - y[i]).astype(single)[:, None, None] + offsets.astype(single)[None, :, None]
        t = px * gx + py * gy
        np.clip(t, single(0), single(1), out=t)
        ex, ey = px - t * ux, py - t * uy
        ex *= ex
        ey *= ey
        ex += ey
        np.sqrt(ex, out=ex)
        np.subtract(radii[s].astype(single)[:, None, None], ex, out=ex)
        where = ((top[s] + margin) * width + left[s] + margin)[:, None, None] + first + patch
        flat[where] = np.maximum(flat[where], ex)
    inner = inside.reshape(n, width, width)[:, margin : margin + _SIDE, margin : margin + _SIDE]
    half = softness.astype(single)[:, None, None]
    ink: NDArray[np.float32] = np.clip((inner + half) / (half + half), single(0), single(1))
    return (ink * single(255) + single(0.5)).astype(np.uint8)
