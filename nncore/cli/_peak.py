"""Measure how many multiply-adds a core of this machine can do: the yardstick of `nncore bench`.

The multiply-adds stay in registers, in the instructions that the networks run in. Nothing that
reads memory can be faster, unless it leaves multiplications by zero out.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SLICE = 5e-4  # seconds: short enough to fall between two disturbances, long for the clock
SLICES = 3  # at a time


class Peak:
    """The most multiply-adds a second seen so far on one core.

    Parameters
    ----------
    probe : callable
        Takes a number of rounds and returns how many multiply-adds it did in them.

    Examples
    --------
    >>> from nncore import _table
    >>> peak = Peak(_table.int8_probe)
    >>> peak.run()
    >>> peak.multiply_adds_per_second > 0
    True
    """

    def __init__(self, probe: Callable[[int], float]) -> None:
        self._probe = probe
        self._rounds = 1000
        self.multiply_adds_per_second = 0.0
        # An instruction set without fused multiply-adds needs far more time for a round.
        while self._slice() < SLICE:
            self._rounds *= 2

    def run(self) -> None:
        """Measure a few slices more; the best of all counts."""
        for _ in range(SLICES):
            self._slice()

    def _slice(self) -> float:
        begin = perf_counter()
        count = self._probe(self._rounds)
        took = max(perf_counter() - begin, 1e-9)
        self.multiply_adds_per_second = max(self.multiply_adds_per_second, count / took)
        return took
