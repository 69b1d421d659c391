"""Which real numbers the 256 codes of a layer's inputs stand for: their step and zero point.

The real number 0 always has a code of its own, so that what is zero stays zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore.layers.quantized_dense import MOST_CODE

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHODS = ("mse", "minmax", "percentile")

_OUTSIDE = 1e-4  # the share of the numbers at either end that "percentile" leaves out
_BINS = 4096  # of a histogram of the inputs: 16 for each code
_SHARES = np.linspace(0.3, 1, 71)[::-1]  # of the whole range at either end, which "mse" tries
# Steps below this have an inverse that is infinite in float32.
_LEAST_STEP = 2.0**-126


class Grid(NamedTuple):
    """Code q stands for (q - zero_point) * step."""

    step: float
    zero_point: int


# What these functions give lies between -1 and 1, whatever their inputs. A range that does not
# depend on the samples loses nothing on other samples.
_KNOWN = {
    "sigmoid": Grid(1 / 255, 0),
    "hard_sigmoid": Grid(1 / 255, 0),
    "step": Grid(1 / 255, 0),
    "tanh": Grid(1 / 127, 128),
}
_LEAST_KNOWN = 0.25  # the largest output has to reach this, or the known range would waste codes


def of_activations(y: NDArray[Any], activation: str, method: str) -> Grid:
    """Return the grid for the outputs `y` of a layer, which are the inputs of the next."""
    known = _KNOWN.get(activation)
    if known is not None and np.abs(y).max() >= _LEAST_KNOWN:
        return known
    return of_numbers(y, method)


def of_samples(x: NDArray[Any], method: str) -> Grid:
    """Return the grid for the samples of a network.

    Whole numbers of 8 bits, and bytes that were divided by 255, lose nothing.

    Examples
    --------
    >>> of_samples(np.array([0.0, 7.0, 200.0]), "mse"), of_samples(np.array([-3.0, 9.0]), "mse")
    (Grid(step=1.0, zero_point=0), Grid(step=1.0, zero_point=128))
    """
    low, high = float(x.min()), float(x.max())
    if -128 <= low and high <= MOST_CODE and (x == np.rint(x)).all():
        if low >= 0:
            return Grid(1.0, 0)
        if high <= 127:
            return Grid(1.0, 128)
    if low >= 0 and high <= 1:
        bytes_ = x * np.float32(MOST_CODE)
        if (np.abs(bytes_ - np.rint(bytes_)) < 1e-3).all():
            return Grid(1 / MOST_CODE, 0)
    return of_numbers(x, method)


def of_numbers(y: NDArray[Any], method: str) -> Grid:
    """Return the grid for any numbers that are finite.

    Examples
    --------
    >>> of_numbers(np.array([-1.0, 4.1]), "minmax")
    Grid(step=0.02, zero_point=50)
    """
    low, high = min(0.0, float(y.min())), max(0.0, float(y.max()))
    if method == "minmax" or low == high:
        return _grid(low, high)
    counts, edges = np.histogram(y, _BINS, (low, high))
    if method == "percentile":
        return _grid(*_percentiles(counts, edges))
    return _least_error(counts, (edges[1:] + edges[:-1]) / 2, low, high)


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


def _percentiles(counts: NDArray[Any], edges: NDArray[Any]) -> tuple[float, float]:
    """Return the ends between which all but a small share of the numbers lie at either end."""
    below = np.cumsum(counts)
    outside = _OUTSIDE * below[-1]
    first = int(np.searchsorted(below, outside, "right"))
    last = int(np.searchsorted(below, below[-1] - outside, "left"))
    return min(0.0, float(edges[first])), max(0.0, float(edges[last + 1]))


def _least_error(counts: NDArray[Any], centres: NDArray[Any], low: float, high: float) -> Grid:
    """Return the grid with the least mean squared error: first the upper end, then the lower."""
    used = counts > 0
    counts, centres = counts[used], centres[used]

    def error(grid: Grid) -> float:
        codes = np.clip(np.rint(centres / grid.step) + grid.zero_point, 0, MOST_CODE)
        return float((counts * (centres - (codes - grid.zero_point) * grid.step) ** 2).sum())

    best = min((_grid(low, high * share) for share in _SHARES), key=error)
    if low == 0:
        return best
    high = (MOST_CODE - best.zero_point) * best.step
    return min((best, *(_grid(low * share, high) for share in _SHARES)), key=error)
