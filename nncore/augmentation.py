"""Augmentation: in each epoch every image comes a little moved, turned, stretched and bent.

The arithmetic is in ext/augmentation.pyx.
"""

from __future__ import annotations

import math
from operator import index as whole
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import _table, _validation
from nncore._random import Random

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

_SHAPES = "(N, h * w), (N, h, w) or (N, 1, h, w)"

_MOST_SIDE = 4096  # so that a place in the image, counted in 1/128 of a pixel, fits into 32 bits

# The largest values taken. A knot, counted in 1/512 of a pixel, fits into 16 bits with them.
_MOST = {"shift": 4096.0, "rotate": 180.0, "scale": 0.5, "shear": 1.0, "elastic": 8.0}

_RADIANS = 0.017453292519943295  # in a degree

# A pixel's displacement is a weighted mean of 4 x 4 knots, each uniform within some limit. Over the
# pixels the squares of the weights add up to 0.4794 along each axis on average, and a uniform
# number has a standard deviation of limit / sqrt(3): so the limit is the displacement's times this.
_KNOT = 1.7320508075688772 / 0.4794

# The elementwise operations of a pixel, in the multiply-adds by which work is shared among threads.
_WORK = 16

_STREAM = 0x617567  # sets our random numbers apart from others made of the same seed and epoch


class Augment:
    """Random small changes of images, for training.

    A network that never sees an image twice learns what makes a digit rather than the digits it was
    shown.

    Each image is moved, scaled, sheared and turned about its middle, and bent elastically, each by
    a random amount within the limits given. What comes in from outside the image is 0. A limit of 0
    leaves that change out; with all of them 0, images come out as they were, byte for byte. Images
    have one channel and may have any size up to 4096x4096.

    Parameters
    ----------
    shift : float, optional
        Pixels, up and down, left and right: 0 to 4096.
    rotate : float, optional
        Degrees, either way round: 0 to 180.
    scale : float, optional
        Width and height are each multiplied by a number from 1 - scale to 1 + scale: 0 to 0.5.
    shear : float, optional
        Slant: so many pixels to the side for each pixel up or down: 0 to 1.
    elastic : float, optional
        Displacement of each pixel along each axis, its standard deviation in pixels: 0 to 8.
        Neighbouring pixels move together: the displacements are smooth over about 4 pixels, as
        if noise had been blurred by a Gaussian of sigma 4; about 1.4 is what [1]_ used (alpha 34).

    shape : (int, int), optional
        Height and width of the images. They are needed for rows (N, h * w) of images that are not
        square; by default rows are taken for square images.

    Raises
    ------
    TypeError, ValueError
        A limit is no number, or not within its range; `shape` is no pair of whole numbers.

    Notes
    -----
    An image of 28x28 pixels takes about 2 microseconds; the work is shared among `get_num_threads`
    threads.

    The defaults suit digits of 28x28 pixels and the 20 to 30 epochs of a short training. Larger
    values make learning slower, and pay in longer trainings.

    References
    ----------
    .. [1] P. Y. Simard, D. Steinkraus, J. C. Platt, "Best practices for convolutional neural
       networks applied to visual document analysis", ICDAR 2003.

    Examples
    --------
    >>> import nncore
    >>> x, t = nncore.datasets.make_digits(100, seed=0)
    >>> augment = nncore.Augment(shift=2, rotate=10)
    >>> warped = augment.apply(x, epoch=0, seed=0)
    >>> warped.shape, warped.dtype
    ((100, 784), dtype('uint8'))
    """

    def __init__(
        self,
        *,
        shift: float = 1.5,
        rotate: float = 8.0,
        scale: float = 0.1,
        shear: float = 0.1,
        elastic: float = 0.8,
        shape: tuple[int, int] | None = None,
    ) -> None:
        self.shift = _limit("shift", shift)
        self.rotate = _limit("rotate", rotate)
        self.scale = _limit("scale", scale)
        self.shear = _limit("shear", shear)
        self.elastic = _limit("elastic", elastic)
        self.shape = None if shape is None else _shape(shape)

    def __repr__(self) -> str:
        settings = [f"{name}={getattr(self, name):g}" for name in _MOST]
        if self.shape is not None:
            settings.append(f"shape={self.shape}")
        return f"Augment({', '.join(settings)})"

    def apply(
        self,
        x: ArrayLike,
        epoch: int,
        seed: int | Sequence[int],
        index: ArrayLike | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Return warped copies of images.

        Image i of `x` is warped by a function of `seed`, `epoch` and i alone: the same whatever
        the other images, their order, the threads and the machine.

        Parameters
        ----------
        x : array_like
            (N, h * w), (N, h, w) or (N, 1, h, w): uint8, or float32 or float64 in [0, 1], whose
            pixels are rounded to the 256 levels of a byte. If it is not C-contiguous, all of it is
            copied first.
        epoch : int
            Another epoch, other warps; not negative.
        seed : int or sequence of ints
            Not negative.
        index : array_like of ints, optional
            (n,): the images to warp, in this order; None: all N of them.
        out : ndarray, optional
            For the result, of its shape and dtype, C-contiguous, not overlapping `x`.

        Returns
        -------
        ndarray
            (n, h * w), (n, h, w) or (n, 1, h, w) as `x` is, of x's dtype. A float image becomes
            what the same image in bytes becomes, divided by 255.

        Raises
        ------
        TypeError
            A dtype is none of these; `seed`, `epoch` or `index` are no whole numbers.
        ValueError
            A shape is none of these; a pixel is not in [0, 1]; an index, `seed` or `epoch` is out
            of range; `out` does not fit.

        Examples
        --------
        >>> import numpy as np, nncore
        >>> x, _ = nncore.datasets.make_digits(10, seed=0)
        >>> augment = nncore.Augment()
        >>> some = augment.apply(x, epoch=3, seed=7, index=[5, 2])
        >>> np.array_equal(some, augment.apply(x, epoch=3, seed=7)[[5, 2]])
        True
        """
        from nncore import _augmentation

        images = _images(x)
        size = self._size_of(images.shape)
        chosen = _chosen(index, len(images))
        shape = (len(chosen), *images.shape[1:])
        if out is None:
            out = np.empty(shape, images.dtype)
        else:
            _validation.fits(out, shape, images.dtype)
            if not out.flags.c_contiguous:
                raise ValueError("out is not C-contiguous, expected a C-contiguous array")
            if _validation.overlap(out, images):
                raise ValueError("out overlaps x in memory, expected memory of its own")
        limits = (
            self.shift,
            self.rotate * _RADIANS / 4,
            self.scale,
            self.shear,
            self.elastic * _KNOT,
        )
        warping = _augmentation.Warping(images, out, size, chosen, limits, _key(seed, epoch))
        work = len(chosen) * size[0] * size[1] * _WORK
        shared = work >= _table.URGENT * _table.parallel_min()
        warping.run(_table.get_num_threads() if shared else 1)
        if warping.bad:
            raise ValueError(
                "x has pixels that are NaN or outside [0, 1], expected 0 to 1 in a floating-point "
                "array (and 0 to 255 in uint8)"
            )
        return out

    def _size_of(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return height and width of the images in an array of this shape."""
        if len(shape) == 2:
            side = math.isqrt(shape[1])
            if self.shape is None and side * side != shape[1]:
                raise ValueError(
                    f"x has {shape[1]} features, expected the pixels of square images: "
                    "nncore.Augment(shape=(h, w)) takes others"
                )
            size = (side, side) if self.shape is None else self.shape
            fits = size[0] * size[1] == shape[1]
        else:
            fits = len(shape) == 3 or (len(shape) == 4 and shape[1] == 1)
            size = (shape[-2], shape[-1]) if fits else (0, 0)
            fits = fits and self.shape in (None, size)
        if not fits:
            images = "" if self.shape is None else f" with h = {self.shape[0]}, w = {self.shape[1]}"
            raise ValueError(f"x has shape {shape}, expected {_SHAPES}{images}")
        return _shape(size, "x")


def _limit(name: str, value: object) -> float:
    most = _MOST[name]
    if isinstance(value, (bool, str, bytes)):
        raise TypeError(f"{name} is {value!r}, expected a number from 0 to {most:g}")
    try:
        number = float(value)  # type: ignore[arg-type]  # that it may be none is the point
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}, expected a number from 0 to {most:g}") from None
    if not 0 <= number <= most or not math.isfinite(number):
        raise ValueError(f"{name} is {number:g}, expected a number from 0 to {most:g}")
    return number


def _shape(shape: object, name: str = "shape") -> tuple[int, int]:
    """Return height and width, checked."""
    expected = f"expected a height and a width from 1 to {_MOST_SIDE}"
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        raise TypeError(f"{name} is {shape!r}, {expected}")
    try:
        if any(isinstance(side, bool) for side in shape):
            raise TypeError
        h, w = (whole(side) for side in shape)
    except TypeError:
        raise TypeError(f"{name} is {shape!r}, {expected}") from None
    if not (1 <= h <= _MOST_SIDE and 1 <= w <= _MOST_SIDE):
        what = f"shape is {h, w}" if name == "shape" else f"{name} has images of {h}x{w} pixels"
        raise ValueError(f"{what}, {expected}")
    return h, w


def _images(x: object) -> NDArray[Any]:
    """Return `x` as an array that the kernel reads: native, aligned, C-contiguous."""
    images = _validation.array(x, "x")
    native = images.dtype.newbyteorder("=")
    if native not in (np.uint8, np.float32, np.float64):
        raise TypeError(f"x has dtype {images.dtype}, expected uint8, float32 or float64")
    return np.require(images, native, ["C", "A"])


def _chosen(index: ArrayLike | None, n: int) -> NDArray[np.int64]:
    """Return a checked copy: another thread may write to `index` while images are fetched by it."""
    if index is None:
        return np.arange(n, dtype=np.int64)
    chosen = np.array(index)
    if chosen.ndim != 1:
        raise ValueError(f"index has shape {chosen.shape}, expected (n,)")
    if chosen.size == 0:
        return np.empty(0, np.int64)
    if chosen.dtype.kind not in "iu":
        raise TypeError(f"index has dtype {chosen.dtype}, expected whole numbers")
    low, high = int(chosen.min()), int(chosen.max())
    if low < 0 or high >= n:
        raise ValueError(f"index has {low if low < 0 else high}, expected 0 to {n - 1}")
    return np.require(chosen, np.dtype(np.int64), ["C", "A"])


def _key(seed: object, epoch: object) -> int:
    """Return 64 random bits that belong to the seed and the epoch."""
    if seed is None:
        raise TypeError("seed is None, expected a whole number or a sequence of them")
    try:
        number = whole(epoch)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"epoch is {epoch!r}, expected a whole number") from None
    if number < 0:
        raise ValueError(f"epoch is {number}, expected at least 0")
    words: list[int] = (
        [*seed] if isinstance(seed, (list, tuple, np.ndarray)) else [seed]  # type: ignore[list-item]
    )
    return int(Random([*words, number, _STREAM]).raw(1)[0])
