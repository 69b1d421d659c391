"""Starts worker processes, wakes one at a time, and puts the others to sleep.

Why processes, and why stopped ones: several peers keep pools of threads that spin for a while
after each call (ONNX Runtime, OpenVINO, OpenMP under PyTorch), which slows down whoever is
measured next in the same process or beside it. So each peer lives in a process of its own,
and every process but the one at work is stopped by SIGSTOP, threads and all. Models stay loaded,
so peers can take turns every few milliseconds: a phase in which a shared machine is slow then
hits all of them, and the ratio of two medians survives it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

# Building a wide network with a slow compiler takes this long at worst.
PATIENCE_SECONDS = 300.0

# What keeps the libraries that have a switch to AVX2. ONNX Runtime, LiteRT and fbgemm, which
# PyTorch uses in int8, have none.
AVX2 = {
    "NNCORE_ISA": "avx2",
    "NNCORE_INT8": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # OpenVINO and PyTorch
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "NUMBA_CPU_NAME": "haswell",
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
}


def cpus() -> list[int]:
    """The CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def environment(threads: int) -> dict[str, str]:
    """The environment that limits every library's pool to `threads`."""
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA", "NNCORE", "VECLIB_MAXIMUM")
    limited = {f"{name}_NUM_THREADS": str(threads) for name in names}
    multi = "true" if threads > 1 else "false"
    # NPROC and the flag are the ways XLA's CPU backend can be told.
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen={multi}".strip()
    limited |= {"NPROC": str(threads), "XLA_FLAGS": flags}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}
    return dict(os.environ) | limited | quiet


def command(module: str, threads: int) -> list[str]:
    """The command line of a module of this package; one thread means one CPU, the last one.

    Pinning is by an option of Python's own start, so that pools created on import see it.
    """
    pin = ""
    if threads == 1 and hasattr(os, "sched_setaffinity"):
        pin = f"import os; os.sched_setaffinity(0, {{{cpus()[-1]}}}); "
    start = f"import runpy; runpy.run_module('benchmarks.{module}', run_name='__main__')"
    return [sys.executable, "-c", pin + start]


class Worker:
    """A process that runs one peer; stopped except while it answers."""

    def __init__(self, peer: str, threads: int) -> None:
        self.peer, self.threads = peer, threads
        self._process: subprocess.Popen[str] | None = None

    def ask(self, **order: Any) -> dict[str, Any]:
        """Send an order and return the answer; a dead or silent process gives `error`."""
        if self._process is None:
            self._start()
        process: Any = self._process
        process.send_signal(signal.SIGCONT)
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], PATIENCE_SECONDS)
            line = process.stdout.readline() if ready else ""
        except BrokenPipeError:
            line, ready = "", [None]
        if not line:
            self.stop()
            return {"error": "the process died" if ready else f"silent for {PATIENCE_SECONDS} s"}
        process.send_signal(signal.SIGSTOP)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """End the process; the next order starts a new one."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> None:
        debug = os.environ.get("NNCORE_BENCH_DEBUG")
        self._process = subprocess.Popen(
            [*command("worker", self.threads), self.peer, str(self.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if debug else subprocess.DEVNULL,
            text=True,
            cwd=Path(__file__).parents[1],
            env=environment(self.threads),
        )
