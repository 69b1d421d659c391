"""`python -m benchmarks.serve`, in short: all servers answer, and every answer is compared."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

for package in ("starlette", "uvicorn", "onnx", "onnxruntime"):
    pytest.importorskip(package)


def test_a_short_race():
    done = subprocess.run(
        [
            sys.executable, "-m", "benchmarks.serve", "--nets", "784-50-100-10",
            "--clients", "1", "8", "--rounds", "1", "--seconds", "0.2",
        ],
        cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if "|" in line][2:]
    assert [row[0] for row in rows] == ["1"] * 4 + ["8"] * 4
    for _, server, rate, p50, p99, answers in rows:
        assert float(rate.replace(",", "")) > 0
        assert 0 < float(p50) <= float(p99)
        assert answers == "1" or server.startswith("onnxruntime")
