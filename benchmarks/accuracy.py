"""The largest error of every vectorised function, over all 2^32 float32 inputs.

Run: python -m benchmarks.accuracy [--functions sigmoid tanh ...] [--every N] [--output FILE]

Errors are in ULP: the distance to the true value in units of the float32 spacing at that value (at
the smallest normal number below it). The true value is the float64 kernel's, which
tests/test_activations.py holds against exact arithmetic to a few float64 ULP, 2^-29 of what is
measured here. Both get the default parameters rounded to float32. Slopes that pass through zero
have no relative error there: their unit is that at 1/8 or more, and the table says so. All
instruction sets give the same bits, so one of them measures for all. Needs a C compiler; takes
about half a minute a function.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nncore
from nncore.activations import REGISTRY, Softmax

BLOCK = 1 << 16
SMALLEST_NORMAL, AN_EIGHTH = -126, -3  # exponents


def functions() -> dict[str, Callable[[Any], Any]]:
    """Name -> function; the derivative of f is called f'."""
    named: dict[str, Callable[[Any], Any]] = {}
    for name, f in REGISTRY.items():
        if not isinstance(f, Softmax):
            given = {"alpha": f.alpha, "beta": f.beta}
            rounded = {key: float(np.float32(v)) for key, v in given.items() if v is not None}
            named[name] = functools.partial(f, **rounded)
            named[name + "'"] = functools.partial(f.derivative, **rounded)
    return named


def crosses_zero(name: str) -> bool:
    """Whether a slope has both signs."""
    slopes = functions()[name](np.linspace(-10, 10, 1001))
    return name.endswith("'") and bool(slopes.min() < 0 < slopes.max())


def compile_comparison() -> Any:
    """The C function that compares a block."""
    source = Path(__file__).with_name("ulp.c")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "ulp.so")
        command = [os.environ.get("CC", "cc"), "-O3", "-shared", "-fPIC", str(source), "-o"]
        subprocess.run([*command, str(library), "-lm"], check=True)
        compare = ctypes.CDLL(str(library)).largest_error
    compare.restype = ctypes.c_double
    pointer, size = ctypes.c_void_p, ctypes.c_ssize_t
    compare.argtypes = [pointer, pointer, size, ctypes.c_int, pointer]
    return compare


def largest_error(
    name: str, f: Callable[[Any], Any], every: int, compare: Any
) -> tuple[float, float]:
    """(ULP, the input where it is) over every `every`-th bit pattern."""
    worst, where = -1.0, 0.0
    least = AN_EIGHTH if crosses_zero(name) else SMALLEST_NORMAL
    offsets = np.arange(0, BLOCK * every, every, dtype=np.uint32)
    at = ctypes.c_ssize_t()
    for start in range(0, (1 << 32) - BLOCK * every + 1, BLOCK * every):
        x = (offsets + np.uint32(start)).view(np.float32)
        with np.errstate(invalid="ignore"):  # signalling NaNs
            wide = x.astype(np.float64)
        y, true = f(x), f(wide)
        error = compare(y.ctypes.data, true.ctypes.data, BLOCK, least, ctypes.byref(at))
        if error > worst:
            worst, where = error, float(x[at.value])
    return worst, where


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--functions", nargs="*", default=list(functions()))
    parser.add_argument("--every", type=int, default=1, help="only every N-th float32")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    lines = [
        f"float32, every {options.every}. of 2^32 inputs; nncore {nncore.__version__}, "
        f"{nncore.info()['instruction_set']}",
        "",
        "| function | largest error, ULP | at x = |",
        "|---|---|---|",
    ]
    print("\n".join(lines))
    compare = compile_comparison()
    for name in options.functions:
        worst, where = largest_error(name, functions()[name], options.every, compare)
        note = " (of the ULP at 1/8 or more)" if crosses_zero(name) else ""
        lines.append(f"| {name} | {worst:.2f}{note} | {where:.9g} |")
        print(lines[-1], flush=True)
    if options.output:
        options.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
