"""Run one network over the same samples in several ways: check the bits, take the time.

The first pass of each way keeps every output, and they are compared byte by byte; further
passes only take the time. They go round by round, so that a busy moment of the machine does
not fall on one way alone.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore.cli._terminal import ProgressLine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nncore import Network

TIME_BUDGET = 1.5  # seconds for the passes that only take the time, all ways together
MAX_ROUNDS = 21  # the median of 21 passes moves little; more would only keep people waiting
SLICES = 20  # steps of the progress bar in each way


class Way(NamedTuple):
    """One way of running the samples; `batch_size` None means one by one, as 1-D arrays."""

    name: str
    batch_size: int | None
    seconds_per_sample: float
    best_seconds_per_sample: float
    passes: int
    right: int  # 0 where no labels were given
    same_bits: bool


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether two float arrays have the same bytes, every NaN equal to every NaN.

    Examples
    --------
    >>> same_bits(np.float32([0.5, np.nan]), np.float32([0.5, -np.nan]))
    True
    >>> same_bits(np.float32([0.0]), np.float32([-0.0]))
    False
    """
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    bits = np.dtype(f"u{a.dtype.itemsize}")
    different = np.ascontiguousarray(a).view(bits) != np.ascontiguousarray(b).view(bits)
    return not bool((different & ~(np.isnan(a) & np.isnan(b))).any())


def batch_sizes_for(
    n: int, extra: int | None, usual: Sequence[int] = (1, 10, 100, 1000)
) -> list[int]:
    """Return the batch sizes to run for `n` samples: the usual ones, all, and `extra`."""
    sizes = {*usual, n} | ({extra} if extra is not None else set())
    return sorted({min(size, n) for size in sizes})


def measure(
    net: Network,
    x: np.ndarray,
    labels: np.ndarray | None,
    batch_sizes: Sequence[int],
    time_budget: float = TIME_BUDGET,
    between: Callable[[], None] | None = None,
) -> list[Way]:
    """Run `net` over all of `x` one by one and in batches of each size.

    Parameters
    ----------
    net : Network
        Takes k features and gives m outputs.
    x : ndarray, (n, k)
        The samples, n >= 1.
    labels : ndarray, (n,), or None
        The right class of each; None counts no right ones.
    batch_sizes : sequence of int
        Samples in a call; the last batch may be smaller.
    time_budget : float
        Seconds for the passes that only take the time; 0 for the first pass alone.
    between : callable, optional
        Called between the passes, outside the time taken.

    Returns
    -------
    list of Way
        One by one first, then a row for each of `batch_sizes`.
    """
    n = len(x)
    names = ["one by one"] + [
        f"all {n:,} in one batch" if size == n > 1 else f"batches of {size:,}"
        for size in batch_sizes
    ]
    # Views, made beforehand: what is timed is the call and nothing else.
    calls = [list(x)] + [[x[i : i + size] for i in range(0, n, size)] for size in batch_sizes]
    sizes = [None, *batch_sizes]

    seconds: list[list[float]] = []
    right: list[int] = []
    same: list[bool] = []
    one_by_one = np.empty((0, 0))
    with ProgressLine(total=n * len(calls), unit=" samples") as bar:
        for way, batch_size in zip(calls, sizes, strict=True):
            outputs = np.empty((n, net.out_features), dtype=net.dtype)
            seconds.append([_first_pass(net, way, batch_size or 1, outputs, bar)])
            right.append(0 if labels is None else int((outputs.argmax(axis=1) == labels).sum()))
            if batch_size is None:
                one_by_one = outputs
            same.append(same_bits(outputs, one_by_one))
            if between is not None:
                between()

    if sum(first for (first,) in seconds) < time_budget:
        timed = _timed_rounds(net, calls, time_budget, between)
        seconds = timed or seconds  # the first passes also met cold caches and kept the outputs
    return [
        Way(name, size, float(np.median(took)) / n, min(took) / n, len(took), count, equal)
        for name, size, took, count, equal in zip(names, sizes, seconds, right, same, strict=True)
    ]


def _first_pass(
    net: Network, calls: list[np.ndarray], batch_size: int, outputs: np.ndarray, bar: Any
) -> float:
    """Fill `outputs` (n, m) call by call; return the seconds it took."""
    took = 0.0
    step = -(-len(calls) // SLICES)
    for first in range(0, len(calls), step):
        begin = perf_counter()
        for number, batch in enumerate(calls[first : first + step], start=first):
            outputs[number * batch_size : (number + 1) * batch_size] = net(batch)
        took += perf_counter() - begin
        bar.update(min(step, len(calls) - first) * batch_size)
    return took


def _timed_rounds(
    net: Network,
    calls: list[list[np.ndarray]],
    time_budget: float,
    between: Callable[[], None] | None,
) -> list[list[float]]:
    """Return the seconds of each pass, a list for each way; empty with a budget of 0."""
    seconds: list[list[float]] = [[] for _ in calls]
    end = perf_counter() + time_budget
    while perf_counter() < end and len(seconds[0]) < MAX_ROUNDS:
        for way, took in zip(calls, seconds, strict=True):
            begin = perf_counter()
            for batch in way:
                net(batch)
            took.append(perf_counter() - begin)
            if between is not None:
                between()
    return seconds if seconds[0] else []
