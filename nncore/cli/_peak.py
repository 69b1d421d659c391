"""Measure how many multiply-adds a core of this machine can do: the yardstick of `nncore bench`.

The multiply-adds stay in registers, in the instruction set that the networks run in. Nothing that
reads memory can be faster, unless it leaves multiplications by zero out.
"""

from __future__ import annotations

from time import perf_counter

SLICE = 5e-4  # seconds: short enough to fall between two disturbances, long for the clock
SLICES = 3  # at a time


class Peak:
    """The most multiply-adds a second seen so far on one core, for float32 or float64.

    Examples
    --------
    >>> peak = Peak(is_double=False)
    >>> peak.run()
    >>> peak.multiply_adds_per_second > 0
    True
    """

    def __init__(self, is_double: bool) -> None:
        self._is_double = is_double
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
        from nncore import _table

        begin = perf_counter()
        count = _table.fma_probe(self._is_double, self._rounds)
        took = max(perf_counter() - begin, 1e-9)
        self.multiply_adds_per_second = max(self.multiply_adds_per_second, count / took)
        return took
