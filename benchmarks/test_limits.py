"""The machine's limits: FMA peak, and the bandwidth of reading the weights of each network."""

from __future__ import annotations

from typing import Any

import pytest

from . import limits, nets


@pytest.fixture(scope="module")
def probe(threads: int) -> limits.Probe:
    """The compiled probe; a skip if there is no compiler."""
    try:
        return limits.Probe(threads)
    except limits.Unavailable as error:
        pytest.skip(str(error))


def test_fma_peak(benchmark: Any, probe: limits.Probe) -> None:
    """The reading is in `extra_info`; the time is that of taking it."""
    benchmark.group = "limits"
    peak = benchmark.pedantic(probe.fma_peak, rounds=3)
    benchmark.extra_info["GFLOP/s"] = round(peak / 1e9, 1)
    assert peak > 0


@pytest.mark.parametrize("net", nets.GRID, ids=lambda net: net.name)
def test_read_bandwidth(benchmark: Any, probe: limits.Probe, net: nets.Net) -> None:
    """The reading is in `extra_info`; the time is that of taking it."""
    benchmark.group = "limits"
    rate = benchmark.pedantic(probe.read_bandwidth, args=(net.weight_bytes,), rounds=3)
    benchmark.extra_info |= {"GB/s": round(rate / 1e9, 1), "bytes": net.weight_bytes}
    assert rate > 0


def test_the_floor_is_set_by_the_slower_of_two_limits() -> None:
    """2e9 operations at 1e9 FLOP/s take 2 s; 3e9 bytes at 1e9 bytes/s take 3 s."""
    assert limits.floor_seconds(10**9, 10, 1, 1e9, 1e9) == (2.0, "FMA peak")
    assert limits.floor_seconds(10, 3 * 10**9, 1, 1e9, 1e9) == (3.0, "weight bandwidth")
