"""Rounding modes and flushing that others have set change no bit, and are found as they were."""

from __future__ import annotations

import platform
import sys

import pytest
from helpers import SETUP, run_python

ENVIRONMENT = (
    SETUP
    + """
import ctypes, ctypes.util
libm = ctypes.CDLL(ctypes.util.find_library("m"))
UPWARD, TO_ZERO = {rounding}
functions = list(nncore.activations.REGISTRY.values())
numbers = np.concatenate([np.linspace(-90, 90, 997), [1e-310, -1e-310, 1e-40, -1e-40]])
layers = [nncore.Dense(3, 3), nncore.Dense(3, 3, "gelu")]
pixels = nncore.Network([nncore.Rescaling(0.1), *layers], seed=0)
bytes_ = np.arange(255, dtype=np.uint8).reshape(-1, 3)
def inputs(dtype):
    least = np.finfo(dtype).smallest_subnormal
    tiny = nncore.Network.from_arrays([np.eye(30)], None, ["relu"], dtype=dtype)
    return numbers.astype(dtype), tiny, (least * np.arange(60)).reshape(2, 30)
prepared = [inputs(dtype) for dtype in ("float32", "float64")]
def results(values, tiny, small):
    made = nncore.Network([nncore.Rescaling(0.1), *pixels.layers[1:]])
    yield from [f(values) for f in functions]
    yield from [tiny(small), tiny(small[0]), net(x), net(x[0]), net(x[:50])]
    yield from [pixels(bytes_), pixels(bytes_[1]), made(bytes_)]
normal = [list(results(*each)) for each in prepared]
for mode in (UPWARD, TO_ZERO):
    assert libm.fesetround(mode) == 0
    strange = [list(results(*each)) for each in prepared]
    kept = libm.fegetround()
    libm.fesetround(0)
    assert kept == mode
    for a, b in zip(sum(normal, []), sum(strange, []), strict=True):
        assert_same_bits(a, b)
print("same")
"""
)


def rounding_modes():
    """FE_UPWARD and FE_TOWARDZERO, as the C library of this machine numbers them."""
    modes = {"x86_64": (0x800, 0xC00), "AMD64": (0x800, 0xC00), "aarch64": (0x400000, 0xC00000)}
    machine = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
    if machine not in modes or sys.platform == "win32":
        pytest.skip(f"how {platform.machine()} numbers its rounding modes is not known here")
    return modes[machine]


@pytest.mark.parametrize("least", ["0", "1e18"])
def test_a_rounding_mode_set_by_others_changes_no_bit(least):
    code = ENVIRONMENT.replace("{rounding}", str(rounding_modes()))
    assert run_python(code, NNCORE_PARALLEL_MIN=least).stdout.strip() == "same"


LEARNING = (
    SETUP
    + """
import ctypes, ctypes.util
libm = ctypes.CDLL(ctypes.util.find_library("m"))
t = np.arange(3000) % 9
def learned(mode, optimizer, dtype):
    net = nncore.Network(
        [nncore.Dense(30, 8, "tanh"), nncore.Dense(8, 9, "softmax")], seed=0, dtype=dtype)
    trainer = make_trainer(net, choose_loss(None, "softmax"), optimizer)
    order, rates = np.arange(3000), np.full(30, 1e-2)
    libm.fesetround(mode)
    trainer.run(x, t.astype(np.int32), None, order, 100, rates)
    kept = libm.fegetround()
    libm.fesetround(0)
    assert kept == mode
    return b"".join(a.tobytes() for pair in trainer.arrays() for a in pair)
from nncore.fit.trainer import make_trainer
from nncore.losses import choose_loss
for name, kind in nncore.optimizers.OPTIMIZERS.items():
    for dtype in ("float32", "float64"):
        settings = {} if name.startswith("ada") else {"momentum": 0.9}
        results = {learned(mode, kind(1e-2, weight_decay=0.01, **settings), dtype)
                   for mode in (0, *{rounding})}
        assert len(results) == 1, (name, dtype)
print("same")
"""
)


def test_a_rounding_mode_set_by_others_changes_no_update():
    code = LEARNING.replace("{rounding}", str(rounding_modes()))
    code = code.replace("import ctypes, ", "import nncore.optimizers, ctypes, ", 1)
    assert run_python(code).stdout.strip() == "same"


FLUSHING = (
    SETUP
    + """
import ctypes, ctypes.util, platform
libm = ctypes.CDLL(ctypes.util.find_library("m"))
environment = (ctypes.c_uint * 16)()
assert libm.fegetenv(environment) == 0
found = environment[7]  # the 28 bytes of the x87 state come before MXCSR
assert found & ~0x3f == 0x1f80, hex(found)
least = np.finfo(np.float32).smallest_subnormal
small = (least * np.arange(1, 301)).reshape(10, 30).astype(np.float32)
tiny = nncore.Network.from_arrays([np.eye(30)], None, ["identity"], dtype="float32")
halves = np.arange(300, dtype=np.uint16).reshape(10, 30).view(np.float16)
doubles = small.astype(np.float64)
far = np.linspace(-110, -80, 301).astype(np.float32)
def results():
    return [tiny(small), tiny(small[0]), tiny(small[:, ::-1]), tiny(halves), tiny(doubles), net(x),
            nncore.tanh(small), nncore.gelu(small), nncore.sigmoid(far), nncore.softmax(far)]
normal = results()
environment[7] = found | 0x8040  # flush to zero, denormals are zero
libm.fesetenv(environment)
probe = np.array([1e-40], np.float32) * np.float32(1)
strange = results()
libm.fegetenv(environment)
kept = environment[7]
environment[7] = found
libm.fesetenv(environment)
assert probe[0] == 0, "the processor was not set to flush"
assert kept & 0x8040 == 0x8040, hex(kept)
for i, (a, b) in enumerate(zip(normal, strange, strict=True)):
    try:
        assert_same_bits(a, b)
    except AssertionError as error:
        raise AssertionError(i) from error
assert (normal[0] == small).all()
print("same")
"""
)


@pytest.mark.parametrize("least", ["0", "1e18"])
def test_flushing_set_by_others_changes_no_bit(least):
    if platform.machine() != "x86_64" or not sys.platform.startswith("linux"):
        pytest.skip("where the flags are is known here for x86-64 Linux only")
    assert run_python(FLUSHING, NNCORE_PARALLEL_MIN=least).stdout.strip() == "same"
