"""Which real numbers the 256 codes of a layer's inputs stand for: their step and zero point.

The real number 0 always has a code of its own, so that what is zero stays zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore.functions import affine
from nncore.layers.quantized_dense import MOST_CODE

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHODS = ("minmax", "percentile", "mse")

_OUTSIDE = 1e-4  # the share of the numbers at either end that "percentile" leaves out
_SHARES = np.linspace(1, 0.3, 29)  # of the whole range at either end, which "mse" tries
_SEARCHED = 512, 256  # the most samples, and the most outputs, that it tries them with
# Steps below this have an inverse that is infinite in float32.
_LEAST_STEP = 2.0**-126


class Grid(NamedTuple):
    """Code q stands for (q - zero_point) * step."""

    step: float
    zero_point: int

    @property
    def ends(self) -> tuple[float, float]:
        """The numbers that the least and the largest code stand for."""
        return -self.zero_point * self.step, (MOST_CODE - self.zero_point) * self.step


# What these functions give lies between -1 and 1, whatever their inputs. A range that does not
# depend on the samples loses nothing on other samples.
_KNOWN = {
    "sigmoid": Grid(1 / 255, 0),
    "hard_sigmoid": Grid(1 / 255, 0),
    "step": Grid(1 / 255, 0),
    "tanh": Grid(1 / 127, 128),
}
_LEAST_KNOWN = 0.25  # the largest output has to reach this, or the known range would waste codes


def of_activations(y: NDArray[Any], activation: str, weights: NDArray[Any], method: str) -> Grid:
    """Return the grid for the outputs `y` of a layer, which are multiplied by `weights` next."""
    known = _KNOWN.get(activation)
    if known is not None and np.abs(y).max() >= _LEAST_KNOWN:
        return known
    return of_numbers(y, weights, method)


def of_samples(x: NDArray[Any], weights: NDArray[Any], method: str) -> Grid:
    """Return the grid for the samples of a network.

    Whole numbers of 8 bits, and bytes that were divided by 255, lose nothing.

    Examples
    --------
    >>> of_samples(np.array([[0.0, 7.0, 200.0]]), np.ones((3, 1)), "mse")
    Grid(step=1.0, zero_point=0)
    >>> of_samples(np.array([[-3.0, 9.0]]), np.ones((2, 1)), "mse")
    Grid(step=1.0, zero_point=128)
    """
    low, high = float(x.min()), float(x.max())
    whole = (x == np.rint(x)).all()
    # Numbers of 0 and 1 alone may be labels or shares: 255 steps between them fit both.
    if low >= 0 and 1 / MOST_CODE - 1e-5 < high <= 1:
        bytes_ = x * np.float32(MOST_CODE)
        if (np.abs(bytes_ - np.rint(bytes_)) < 1e-3).all():
            return Grid(1 / MOST_CODE, 0)
    if whole and low >= 0 and high <= MOST_CODE:
        return Grid(1.0, 0)
    if whole and low >= -128 and high <= 127:
        return Grid(1.0, 128)
    return of_numbers(x, weights, method)


def of_numbers(y: NDArray[Any], weights: NDArray[Any], method: str) -> Grid:
    """Return the grid for inputs y (n, k) of any finite numbers and weights (k, m).

    Examples
    --------
    >>> of_numbers(np.array([[-1.0, 4.1]]), np.ones((2, 1)), "minmax")
    Grid(step=0.02, zero_point=50)
    """
    low, high = min(0.0, float(y.min())), max(0.0, float(y.max()))
    if low == high or method == "minmax":
        return _grid(low, high)
    if method == "percentile":
        ends = np.percentile(y, [100 * _OUTSIDE, 100 - 100 * _OUTSIDE])
        return _grid(min(0.0, float(ends[0])), max(0.0, float(ends[1])))
    samples, outputs = (
        -(-length // most)
        for length, most in zip((len(y), weights.shape[1]), _SEARCHED, strict=True)
    )
    return _least_error(y[::samples], weights[:, ::outputs], low, high)


def _grid(low: float, high: float) -> Grid:
    """Return the grid from low, at most 0, to high, at least 0."""
    step = (high - low) / MOST_CODE
    if step == 0:
        return Grid(1.0, 0)
    zero = round(-low / step)
    # Rounding the zero point has moved both ends: the step grows until they are inside again.
    ends = [
        -low / zero if zero > 0 else 0.0,
        high / (MOST_CODE - zero) if zero < MOST_CODE else 0.0,
    ]
    return Grid(max(*ends, _LEAST_STEP), zero)


def _least_error(y: NDArray[Any], weights: NDArray[Any], low: float, high: float) -> Grid:
    """Return the grid with the least error of the sums: first the upper end, then the lower.

    The mean error does not count, as the bias makes up for it. The sums are made by nncore's own
    kernels, which add in the same order on every machine.
    """

    @np.errstate(all="ignore")  # numbers may be so large that the sums are infinite
    def error(grid: Grid) -> float:
        codes = np.clip(np.rint(y / grid.step) + grid.zero_point, 0, MOST_CODE)
        lost = ((codes - grid.zero_point) * grid.step - y).astype(np.float32)
        return float(affine(lost, weights).var(axis=0).sum())

    best = min((_grid(low, high * share) for share in _SHARES), key=error)
    if low == 0:
        return best
    high = (MOST_CODE - best.zero_point) * best.step
    return min((best, *(_grid(low * share, high) for share in _SHARES)), key=error)
