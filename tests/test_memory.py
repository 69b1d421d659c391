"""No kernel touches memory beside its arrays: the pages there may not be read or written."""

from __future__ import annotations

import mmap
import sys

import pytest
from helpers import run_python

GUARDED = """
import ctypes, mmap
import numpy as np, nncore
libc = ctypes.CDLL(None)
PAGE, SPAN = mmap.PAGESIZE, 40 * 4096
memory = []
for _ in range(2):
    block = mmap.mmap(-1, SPAN + 2 * PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(block))
    for guard in (address, address + PAGE + SPAN):
        assert libc.mprotect(ctypes.c_void_p(guard), PAGE, 0) == 0
    memory.append(np.frombuffer(block, np.uint8, SPAN, PAGE))
def guarded(which, dtype, shape, at_end):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = memory[which][SPAN - size :] if at_end else memory[which][:size]
    return raw.view(dtype).reshape(shape)
for kind in ("uint8", "float16", "int32", "float32", "float64"):
    for dtype in ("float32", "float64"):
        for k in (1, 3, 16, 19, 64, 65, 130):
            layers = [nncore.Rescaling(0.5), nncore.Dense(k, 5, "softmax")][k % 2 :]
            net = nncore.Network(layers, seed=0, dtype=dtype)
            for n in (1, 2, 5, 8, 15, 16, 17, 33, 47, 48, 49, 65):
                for at_end in (False, True):
                    x = guarded(0, kind, (n, k), at_end)
                    x[:] = (np.arange(n * k) % 7 % 3).reshape(n, k)
                    out = guarded(1, dtype, (n, 5), at_end)
                    for each in (x, x[::-1], x[:, ::-1], x[::2], x[1:]):
                        net(each, out=out[: len(each)])
                    net(x, out=out[::-1])
                    net(x[-1], out=out[-1])
                    net(x, out=guarded(1, dtype, (5, n), at_end).T)
                    columns = guarded(0, kind, (k, n), at_end).T
                    net(columns)
                    nncore.gelu(columns.T), nncore.log_softmax(columns.T)
print("untouched")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
def test_no_kernel_reads_or_writes_beside_its_arrays():
    if mmap.PAGESIZE != 4096:
        pytest.skip(f"laid out for pages of 4,096 bytes, here they have {mmap.PAGESIZE}")
    assert run_python(GUARDED).stdout.strip() == "untouched"


@pytest.mark.parametrize("k", [5, 17, 100, 784])
def test_sparse_batches_stay_in_their_scratch(k):
    """Batches of mostly zeros take tiles of another width."""
    code = f"""
import numpy as np, nncore
from reference import assert_same_bits
for dtype in ("float32", "float64"):
    net = nncore.Network([nncore.Dense({k}, 33, "relu"), nncore.Dense(33, 4)], seed=0, dtype=dtype)
    x = np.zeros((300, {k}), dtype)
    x[::7, 0] = 1
    for n in (16, 17, 40, 100, 300):
        assert_same_bits(net(x[:n]), np.array([net(row) for row in x[:n]]))
print("well")
"""
    assert run_python(code).stdout.strip() == "well"
