"""The machine's own limits, measured: FMA peak and the bandwidth of reading a given footprint.

The probe is C, compiled once a process with the compiler that building nncore needs anyway.
`NNCORE_ISA=avx2` keeps the probe, like nncore, to AVX2.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

SOURCE = Path(__file__).with_name("probe.c")
# No single reading is shorter: the clock and the start of threads vanish in it.
READING_SECONDS = 2e-3


class Unavailable(Exception):
    """The probe could not be built; the text says why."""


class Probe:
    """The compiled probe, ready to measure with a number of threads."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        # Once it is loaded, the file may go.
        with tempfile.TemporaryDirectory() as folder:
            self._library = ctypes.CDLL(str(_compile(Path(folder))))
        self._library.probe_fma.argtypes = [ctypes.c_size_t]
        self._library.probe_fma.restype = ctypes.c_float
        self._library.probe_read.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
        self._library.probe_read.restype = ctypes.c_float
        self.lanes = int(self._library.probe_lanes())

    def fma_peak(self) -> float:
        """Return FLOP/s of independent float32 FMAs, all threads together."""
        per_round = 12 * self.lanes * 2
        return per_round * self._rate(self._library.probe_fma)

    def read_bandwidth(self, size: int) -> float:
        """Return bytes/s of reading `size` bytes again and again, each thread its share."""
        step = 8 * self.lanes
        n = max(step, size // 4 // self.threads // step * step)
        shares = [_aligned_ones(n) for _ in range(self.threads)]
        turn = iter(range(10**9))

        def read(times: int) -> None:
            mine = shares[next(turn) % self.threads]
            self._library.probe_read(mine.ctypes.data, n, times)

        return 4 * n * self._rate(read)

    def _rate(self, work: Callable[[int], object]) -> float:
        """Return units a second of `work(units)`, summed over the threads; the best of three."""
        units = 1
        while self._time(work, units) < READING_SECONDS:
            units *= 2
        return max(self.threads * units / self._time(work, units) for _ in range(3))

    def _time(self, work: Callable[[int], object], units: int) -> float:
        if self.threads == 1:
            before = perf_counter()
            work(units)
            return perf_counter() - before
        # ctypes lets go of the GIL, so Python threads run side by side.
        barrier = threading.Barrier(self.threads + 1)

        def run() -> None:
            barrier.wait()
            work(units)

        workers = [threading.Thread(target=run) for _ in range(self.threads)]
        for worker in workers:
            worker.start()
        barrier.wait()
        before = perf_counter()
        for worker in workers:
            worker.join()
        return perf_counter() - before


def _aligned_ones(n: int) -> np.ndarray:
    """Return n float32 that start on a cache line: a load across two of them counts twice."""
    buffer = np.ones(n + 16, np.float32)
    skip = -buffer.ctypes.data % 64 // 4
    return buffer[skip : skip + n]


def _compile(folder: Path) -> Path:
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise Unavailable("no C compiler found, so the machine's limits are not measured")
    flags = ["-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC"]
    if os.environ.get("NNCORE_ISA") == "avx2":
        flags.append("-mno-avx512f")
    target = folder / "probe.so"
    result = subprocess.run(
        [compiler, *flags, str(SOURCE), "-o", str(target)], capture_output=True, text=True
    )
    if result.returncode:
        raise Unavailable(f"{compiler} could not compile {SOURCE.name}: {result.stderr[:300]}")
    return target


def floor_seconds(
    multiply_adds: int, weight_bytes: int, batch: int, peak: float, bandwidth: float
) -> tuple[float, str]:
    """Return the least time a batch can take, and the limit that binds it.

    `peak` in FLOP/s, `bandwidth` in bytes/s of reading the weights where they lie. Each batch
    reads the weights at least once and does two operations a multiply-add.
    """
    arithmetic = 2 * multiply_adds * batch / peak
    reading = weight_bytes / bandwidth
    return (arithmetic, "FMA peak") if arithmetic >= reading else (reading, "weight bandwidth")
