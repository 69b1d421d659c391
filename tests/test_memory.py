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
            nets = [net]
            if dtype == "float32":  # this one reads bytes where they lie
                nets.append(nncore.quantize(net, np.arange(9 * k, dtype="u1").reshape(9, k) % 3))
            for n in (1, 2, 5, 8, 15, 16, 17, 33, 47, 48, 49, 65):
                for at_end in (False, True):
                    x = guarded(0, kind, (n, k), at_end)
                    x[:] = (np.arange(n * k) % 7 % 3).reshape(n, k)
                    out = guarded(1, dtype, (n, 5), at_end)
                    for net in nets:
                        for each in (x, x[::-1], x[:, ::-1], x[::2], x[1:]):
                            net(each, out=out[: len(each)])
                        net(x, out=out[::-1])
                        net(x[-1], out=out[-1])
                        net(x, out=guarded(1, dtype, (5, n), at_end).T)
                    columns = guarded(0, kind, (k, n), at_end).T
                    for net in nets:
                        net(columns)
                    nncore.gelu(columns.T), nncore.log_softmax(columns.T)
print("untouched")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
def test_no_kernel_reads_or_writes_beside_its_arrays():
    if mmap.PAGESIZE != 4096:
        pytest.skip(f"laid out for pages of 4,096 bytes, here they have {mmap.PAGESIZE}")
    assert run_python(GUARDED).stdout.strip() == "untouched"


# Every other page may be read, and each row lies in one of these alone, at its start or its end.
GAPS = """
import ctypes, mmap
import numpy as np, nncore
libc = ctypes.CDLL(None)
PAGE, MOST = mmap.PAGESIZE, 49
block = mmap.mmap(-1, (2 * MOST + 1) * PAGE)
address = ctypes.addressof(ctypes.c_char.from_buffer(block))
memory = np.frombuffer(block, np.uint8)
cases = []
for kind in ("uint8", "float32", "float64", "float16", "bool"):
    for k in (3, 64, 65, 200):
        cases.append((np.dtype(kind), k))
def rows_of(kind, k, n, at_end):
    start = PAGE + (PAGE - k * kind.itemsize if at_end else 0)
    return np.ndarray((n, k), kind, memory, start, (2 * PAGE, kind.itemsize))
for page in range(0, 2 * MOST + 1, 2):
    assert libc.mprotect(ctypes.c_void_p(address + page * PAGE), PAGE, 0) == 0
nets = 0
for kind, k in cases:
    for dtype in ("float32", "float64"):
        layers = [nncore.Rescaling(0.5), nncore.Dense(k, 5, "softmax")][k % 2 :]
        net = nncore.Network(layers, seed=0, dtype=dtype)
        quantized = nncore.quantize(net, np.arange(9 * k, dtype="u1").reshape(9, k) % 3)
        for at_end in (False, True):
            for n in (1, 5, 17, 49):
                x = rows_of(kind, k, n, at_end)
                x[:] = (np.arange(n * k) % 7 % 3).reshape(n, k)
                plain, t = x.copy(), np.arange(n) % 5
                for a, b in ((x, plain), (x[::-1], plain[::-1]), (x[:, ::-1], plain[:, ::-1]),
                             (x[::2], plain[::2]), (x[-1], plain[-1])):
                    assert (net(a) == net(b)).all()
                    assert (quantized(a) == quantized(b)).all()
                assert net.gradients(x, t)[0] == net.gradients(plain, t)[0]
                assert net.gradients(x[::-1], t)[0] == net.gradients(plain[::-1], t)[0]
        nets += 1
print(nets)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
def test_no_kernel_reads_across_a_gap_between_rows():
    """A view with a large stride between its rows, each of which ends at an unmapped page."""
    assert run_python(GAPS).stdout.strip() == "40"


SMALL_STACK = """
import threading
import numpy as np, nncore
def work():
    for dtype in ("float64", "float32"):
        net = nncore.Network([nncore.Dense(70, 20, "relu"), nncore.Dense(20, 3, "softmax")],
                             seed=0, dtype=dtype)
        for n in (1, 7, 48, 200):
            for kind in ("f8", "f4", "u1", "f2"):
                x = np.ones((n, 70), kind)
                done.append(net(x).shape == (n, 3))
            done.append(len(net.gradients(x, np.zeros(n, np.int32))) == 2)
            net.fit(x, np.zeros(n, np.int32), epochs=1, batch_size=128)
done = []
work()  # what Python does once, it does here
threading.stack_size(65536)
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(len(done), all(done))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="stacks there grow as needed")
def test_a_thread_with_a_small_stack_can_run_and_train_a_network():
    assert run_python(SMALL_STACK, NNCORE_NUM_THREADS="1").stdout.split() == ["80", "True"]


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
