"""The largest error of every vectorised function, over all 2^32 float32 inputs.

Run: python -m benchmarks.accuracy [--functions sigmoid tanh ...] [--every N] [--output FILE]

Errors are in ULP: the distance to the true value in units of the float32 spacing at that value
(of the smallest normal number's spacing below it, so that subnormal results count fairly). The true
value is the float64 kernel's, which tests/test_activations.py holds against exact arithmetic to a
few float64 ULP, 2^-29 of what is measured here. Slopes that pass through zero have no relative
error there: for these the error is in ULP of at least 1/8, and the table says so.
All instruction sets give the same bits, so one measurement holds for all.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

import nncore
from nncore.activations import REGISTRY, Softmax

BLOCK = 1 << 18
CROSSING = {"gelu'", "silu'"}


def functions() -> dict[str, tuple]:
    """Name -> (function, whether its value crosses zero away from x = 0)."""
    named = {}
    for name, f in REGISTRY.items():
        if isinstance(f, Softmax):
            continue
        named[name] = f
        named[name + "'"] = f.derivative
    return named


def largest_error(name: str, f, every: int) -> tuple[float, float]:
    """(ULP, the input where it is) over every `every`-th bit pattern."""
    worst, where = 0.0, 0.0
    least = np.spacing(np.float32(0.125)) if name in CROSSING else 0.0
    offsets = np.arange(0, BLOCK * every, every, dtype=np.uint64)
    for start in range(0, 1 << 32, BLOCK * every):
        x = (offsets + np.uint64(start)).astype(np.uint32).view(np.float32)
        true = f(x.astype(np.float64))
        y = f(x).astype(np.float64)
        with np.errstate(all="ignore"):
            unit = np.spacing(np.abs(true).astype(np.float32)).astype(np.float64)
            error = np.abs(y - true) / np.maximum(unit, max(least, 2.0**-149))
        # inf - inf and NaN - NaN: right where both are the same
        same = (y == true) | (np.isnan(y) & np.isnan(true))
        # The true value may round to infinity in float32: that is no error either.
        same |= np.isinf(y) & (np.abs(true) > 3.4028235677973366e38)
        error[same] = 0
        error[np.isnan(error)] = np.inf
        at = int(error.argmax())
        if error[at] > worst:
            worst, where = float(error[at]), float(x[at])
    return worst, where


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--functions", nargs="*", default=list(functions()))
    parser.add_argument("--every", type=int, default=1, help="only every N-th float32")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    lines = [
        f"float32, every {options.every}. of 2^32 inputs, nncore {nncore.__version__}, "
        f"{nncore.info()['instruction_set']}",
        "",
        "| function | largest error, ULP | at x = |",
        "|---|---|---|",
    ]
    print("\n".join(lines))
    for name in options.functions:
        worst, where = largest_error(name, functions()[name], options.every)
        note = " (of ULP of 1/8 or more)" if name in CROSSING else ""
        lines.append(f"| {name} | {worst:.2f}{note} | {where:.9g} |")
        print(lines[-1], flush=True)
    if options.output:
        options.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
