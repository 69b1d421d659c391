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


TRAINING = (
    SETUP
    + """
import ctypes, ctypes.util
from nncore import optimizers as module
libm = ctypes.CDLL(ctypes.util.find_library("m"))
rng = np.random.default_rng(0)
x, t = rng.standard_normal((64, 30)), rng.integers(0, 5, 64)
def trained(make, mode, dtype):
    layers = [nncore.Dense(30, 7, "tanh"), nncore.Dense(7, 5, "softmax")]
    net = nncore.Network(layers, seed=0, dtype=dtype)
    libm.fesetround(mode)
    net.fit(x, t, epochs=3, batch_size=16, optimizer=make(1e-3))
    assert libm.fegetround() == mode
    libm.fesetround(0)
    return [array for layer in layers for array in (layer.weights, layer.bias)]
optimizers = [kind for kind in vars(module).values()
              if isinstance(kind, type) and getattr(kind, "kind", "")]
assert nncore.AdamW in optimizers and len(optimizers) > 3, optimizers
for make in optimizers:
    for dtype in ("float32", "float64"):
        normal = trained(make, 0, dtype)
        for mode in {rounding}:
            for a, b in zip(normal, trained(make, mode, dtype), strict=True):
                assert_same_bits(a, b)
print("same")
"""
)


def test_a_rounding_mode_set_by_others_changes_nothing_that_is_learned():
    """The constants of an optimiser, too, are computed with round-to-nearest."""
    code = TRAINING.replace("{rounding}", str(rounding_modes()))
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
