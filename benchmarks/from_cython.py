"""Prints what a call costs from Python and from Cython without the GIL, one sample at a time.

Usage: python -m benchmarks.from_cython [ROUNDS]

Needs Cython and a C compiler: a module with the loops is compiled first, in a temporary folder.
Each round times both ways in turn; printed are the medians over the rounds, in microseconds.
"""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import nncore
from nncore.kernels import Runner, activation_code, pack

CALLS = 2000
LOOPS = """
from nncore.kernels cimport Runner, Weights, affine, run, softmax

def run_many(Runner runner, const float[:, ::1] x, float[:, ::1] y, int calls):
    cdef int i
    with nogil:
        for i in range(calls):
            run(runner, x, y)

def affine_many(Weights weights, int code, const float[:, ::1] x, float[:, ::1] y, int calls):
    cdef int i
    with nogil:
        for i in range(calls):
            affine(weights, code, 0, 0, x, y)

def softmax_many(const float[:, ::1] x, float[:, ::1] y, int calls):
    cdef int i
    with nogil:
        for i in range(calls):
            softmax(False, x, y)
"""


def compiled_loops() -> Any:
    """The module of LOOPS."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "loops.pyx").write_text(LOOPS)
        subprocess.run(
            [sys.executable, "-m", "Cython.Build.Cythonize", "-i", "-q", "loops.pyx"],
            cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
        spec = importlib.util.spec_from_file_location(
            "loops", next(Path(folder).glob("loops.*.so"))
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def repeated(call: Callable[[], object]) -> Callable[[], None]:
    """CALLS calls from Python."""

    def loop() -> None:
        for _ in range(CALLS):
            call()

    return loop


def cases(loops: Any) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
    """What is timed, by name: CALLS calls from Python, and as many from Cython."""
    made = {}
    rng = np.random.default_rng(0)
    for sizes in ((2, 3, 2), (4, 32, 4), (784, 50, 100, 10)):
        net = nncore.Network([nncore.Dense(k, m, "relu") for k, m in pairwise(sizes)], seed=0)
        x = rng.random((1, sizes[0]), np.float32)
        y = np.empty((1, sizes[-1]), np.float32)
        runner = Runner(net)
        made["network " + "-".join(map(str, sizes))] = (
            repeated(lambda net=net, x=x, y=y: net(x, out=y)),
            lambda runner=runner, x=x, y=y: loops.run_many(runner, x, y, CALLS),
        )
    w, b = rng.random((32, 32), np.float32), rng.random(32, np.float32)
    x, y = rng.random((1, 32), np.float32), np.empty((1, 32), np.float32)
    weights, code = pack(w, b), activation_code("relu")
    made["affine 32-32 (from Python it packs, too)"] = (
        repeated(lambda: nncore.affine(x, w, b, "relu", out=y)),
        lambda: loops.affine_many(weights, code, x, y, CALLS),
    )
    made["softmax of 32"] = (
        repeated(lambda: nncore.softmax(x, out=y)),
        lambda: loops.softmax_many(x, y, CALLS),
    )
    return made


def main(rounds: int) -> None:
    """Time every case and print a table."""
    print(
        f"nncore {nncore.__version__}, {nncore.info()['instruction_set']}, float32, one sample, hot"
    )
    print(f"{'microseconds a call':<42}{'Python':>9}{'Cython':>9}{'less':>9}")
    for name, ways in cases(compiled_loops()).items():
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds + 1):
            for way, readings in zip(ways, times, strict=True):
                began = perf_counter()
                way()
                readings.append((perf_counter() - began) / CALLS * 1e6)
        python, cython = (statistics.median(readings[1:]) for readings in times)
        print(f"{name:<42}{python:>9.3f}{cython:>9.3f}{python - cython:>9.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 21)
