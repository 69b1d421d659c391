"""What several test files share: code run in a process of its own, numbers of every kind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nncore

TESTS = Path(__file__).parent
PACKAGE = Path(nncore.__file__).parent
# Variables that decide how nncore runs: a test sets those it means, and inherits none but the
# instruction set that the whole suite is run under.
OURS = ("NNCORE_NUM_THREADS", "OMP_NUM_THREADS", "NNCORE_PARALLEL_MIN")
# Seconds that run_python waits: an emulator (tools/aarch64.sh) needs more.
TIMEOUT = float(os.environ.get("NNCORE_TEST_TIMEOUT", "120"))


def run_python(code, check=True, cwd=None, **environment):
    """Run Python code in a new process that finds nncore and the helpers of the tests.

    Returns the finished process; with `check`, a failure there is a failure here, shown whole.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in OURS}
    paths = [str(PACKAGE.parent), str(TESTS), *filter(None, [inherited.get("PYTHONPATH")])]
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=inherited | {"PYTHONPATH": os.pathsep.join(paths)} | environment,
        capture_output=True, text=True, timeout=TIMEOUT, cwd=cwd, check=False,
    )  # fmt: skip
    if check and process.returncode:
        pytest.fail(f"exit code {process.returncode}\n{process.stdout}{process.stderr}")
    return process


def special_values(dtype):
    """Every kind of number there is: zeros, subnormals, ties, the least and greatest, NaN."""
    limits = np.finfo(dtype)
    positive = np.array([
        0, limits.smallest_subnormal, 3 * limits.smallest_subnormal, limits.tiny / 2, limits.tiny,
        limits.eps, 0.25, 0.5, 1 - limits.epsneg, 1, 1 + limits.eps, 1.5, 2, 2.5, 3, 10, 87.5,
        88.8, 103.97, 708.5, 745.2, 1e4, 2.0**30, limits.max / 2, limits.max, np.inf,
    ], dtype)  # fmt: skip
    return np.concatenate([positive, -positive, [np.array(np.nan, dtype)]]).astype(dtype)


def sampled(dtype, per_exponent=200, seed=0):
    """Random numbers of every exponent, subnormals included, both signs; and the special ones."""
    limits = np.finfo(dtype)
    whole = np.dtype(f"u{limits.bits // 8}")
    rng = np.random.default_rng(seed)
    exponents = np.repeat(np.arange((1 << limits.nexp) - 1, dtype=whole), per_exponent)
    mantissas = rng.integers(0, 1 << limits.nmant, exponents.size, dtype=whole)
    numbers = (exponents << np.array(limits.nmant, whole) | mantissas).view(dtype)
    return np.concatenate([numbers, -numbers, special_values(dtype)])


# The weights of the classic three-layer example.
CLASSIC = {
    "W1": [[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]], "b1": [0.1, 0.2, 0.3],
    "W2": [[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]], "b2": [0.1, 0.2],
    "W3": [[0.1, 0.3], [0.2, 0.4]], "b3": [0.1, 0.2],
}  # fmt: skip
CLASSIC_ACTIVATIONS = ["sigmoid", "sigmoid", "identity"]

# A network and samples enough for every thread; needs NNCORE_PARALLEL_MIN=0.
SETUP = """
import os, sys, threading, time
import numpy as np, nncore
from reference import assert_same_bits
from nncore._table import pool_threads
net = nncore.Network([nncore.Dense(30, 40, "relu"), nncore.Dense(40, 9, "softmax")], seed=0)
x = np.random.default_rng(0).standard_normal((3000, 30)).astype(np.float32)
nncore.set_num_threads(1)
wanted = net(x)
assert pool_threads() == 0
nncore.set_num_threads(4)
"""
