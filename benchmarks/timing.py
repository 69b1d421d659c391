"""Times one callable over a pool of prepared inputs."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

# One reading of the clock covers at least this long, so that the clock's own cost vanishes.
SAMPLE_SECONDS = 200e-6
# Long enough for caches, branch predictors and clock frequency to settle after a pause.
WARM_SECONDS = 5e-3
# A cold call comes after reading this many bytes: more than the caches of one core and, with
# what other processes keep there, than most shared ones.
EVICT_BYTES = 64 * 2**20


def samples(
    call: Callable[[Any], Any], inputs: Sequence[Any], seconds: float, cold: bool = False
) -> list[float]:
    """Return seconds per call, one number a sample, measured for about `seconds`.

    The inputs take turns, so that no branch predictor learns one of them. Hot: calls follow each
    other, so the weights stay in the caches. Cold: before each call a large buffer is read, which
    leaves neither weights nor inputs nor the caller's own data in the caches.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _cold(call, inputs, seconds) if cold else _hot(call, inputs, seconds)
    finally:
        if collecting:
            gc.enable()


def _hot(call: Callable[[Any], Any], inputs: Sequence[Any], seconds: float) -> list[float]:
    turn = itertools.cycle(inputs)
    calls, start = 0, perf_counter()
    while calls < 2 or perf_counter() - start < min(WARM_SECONDS, seconds / 2):
        call(next(turn))
        calls += 1
    size = max(1, round(SAMPLE_SECONDS * calls / (perf_counter() - start)))
    # Prepared lists: the timed loop does nothing but call.
    chunks = itertools.cycle(
        [list(itertools.islice(turn, size)) for _ in range(max(1, -(-len(inputs) // size)))]
    )
    results: list[float] = []
    end = perf_counter() + seconds
    while not results or perf_counter() < end:
        chunk = next(chunks)
        before = perf_counter()
        for x in chunk:
            call(x)
        results.append((perf_counter() - before) / size)
    return results


def _cold(call: Callable[[Any], Any], inputs: Sequence[Any], seconds: float) -> list[float]:
    buffer = np.ones(EVICT_BYTES // 8)
    results: list[float] = []
    turn = itertools.cycle(inputs)
    call(next(turn))
    end = perf_counter() + seconds
    while not results or perf_counter() < end:
        x = next(turn)
        buffer.sum()
        before = perf_counter()
        call(x)
        results.append(perf_counter() - before)
    return results
