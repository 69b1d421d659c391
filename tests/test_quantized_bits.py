"""Every bit of a quantized network is that of the rule: any shape, layout, thread, kernel."""

from __future__ import annotations

import threading
from fractions import Fraction

import numpy as np
import pytest
import quantized_reference as oracle
from helpers import run_python, sampled, special_values
from quantized_reference import make
from reference import assert_same_bits

import nncore
from nncore._table import int8_kernels, to_codes

BATCHES = [0, 1, 2, 3, 5, 6, 7, 12, 13, 31, 32, 33, 63, 64, 65, 95, 96, 97, 130]
ACTIVATIONS = [name for name in nncore.activations.REGISTRY if not name.endswith("softmax")]
INPUT_DTYPES = [
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16",
    "float32", "float64", "longdouble",
]  # fmt: skip


def pixels(n, k, seed=0, share=0.6):
    """Bytes, of which many are zero, with groups and columns that are zero throughout."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (n, k), dtype=np.uint8)
    x[rng.random((n, k)) < share] = 0
    x[:, rng.random(k) < share / 2] = 0
    return x


def check(net, x):
    """Compare all that a network gives for x with the rule."""
    steps = oracle.trace(net, x)
    sums, outputs = steps[-1]
    assert_same_bits(net(x), outputs)
    assert_same_bits(net.logits(x), sums)
    return outputs


# ---- the oracle itself


def test_the_fused_multiply_add_of_the_oracle_is_rounded_once():
    rng = np.random.default_rng(0)
    x, y, z = rng.standard_normal((3, 20_000)).astype(np.float32)
    z[::2] *= np.float32(1e-8)  # so that it decides ties
    x[::5] = np.float32(1 + 2**-12)
    y[::5] = np.float32(1 + 2**-12)
    z[::5] = np.ldexp(rng.choice([-1.0, 1.0], 4000), rng.integers(-60, -20, 4000))
    found = oracle.fma(x, y, z)
    twice = (x.astype(np.float64) * y + z).astype(np.float32)
    assert (found != twice).any(), "there should be cases that double precision rounds wrongly"
    for a, b, c, got in zip(x, y, z, found, strict=True):
        exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
        error = abs(Fraction(float(got)) - exact)
        for neighbour in (np.nextafter(got, np.float32(-9)), np.nextafter(got, np.float32(9))):
            other = abs(Fraction(float(neighbour)) - exact)
            assert error < other or (error == other and not int(got.view(np.int32)) & 1)


# ---- codes


@pytest.mark.parametrize("zero", [0, 1, 127, 128, 254, 255])
@pytest.mark.parametrize("inverse", [1.0, 255.0, 127.0, 0.1, 3.7e-5, 1e30, 1e-30])
def test_codes(inverse, zero):
    every = [
        sampled(np.float32, per_exponent=20, seed=zero),
        (np.arange(-600, 600) / np.float32(2 * inverse)).astype(np.float32),  # ties
        np.random.default_rng(0).uniform(-300 / inverse, 300 / inverse, 2000).astype(np.float32),
    ]
    x = np.concatenate(every)
    inverse = float(np.float32(inverse))
    codes = to_codes(x, inverse, zero)
    assert codes.dtype == np.uint8
    assert np.array_equal(codes, oracle.codes_of(x, inverse, zero))
    assert codes.min() == 0
    assert codes.max() == 255
    assert to_codes(x[:6].reshape(2, 3), inverse, zero).shape == (2, 3)
    assert to_codes(x[:0], inverse, zero).shape == (0,)


# ---- shapes


@pytest.mark.parametrize("sizes", [(1, 1), (4, 120, 84, 2), (17, 64, 64, 6), (784, 50, 100, 10)])
def test_every_batch_size(sizes):
    net = make(sizes, hidden=["relu", "sigmoid", "tanh"])
    x = pixels(max(BATCHES), sizes[0])
    wanted = check(net, x)
    for n in BATCHES:
        assert_same_bits(net(x[:n]), wanted[:n])
        assert_same_bits(net(x[:n].astype(np.float32)), wanted[:n])
    for start in (1, 5, 17):
        assert_same_bits(net(x[start : start + 50]), wanted[start : start + 50])
    for row in (0, 1, 77):
        assert_same_bits(net(x[row]), wanted[row])
        assert_same_bits(net(x[row].astype(np.float64)), wanted[row])


@pytest.mark.parametrize(
    "ks", [range(1, 24), range(24, 47), range(47, 71), [127, 128, 129, 130], [255, 256, 257, 258],
           [784], [1023, 1024, 1025], [4099]],
    ids=lambda ks: f"{ks[0]}..{ks[-1]}",
)  # fmt: skip
def test_every_depth_of_sum(ks):
    for k in ks:
        for zero in (0, 128):
            net = make((k, 11), "identity", seed=k, zero_point=zero)
            x = pixels(37, k, seed=k)
            wanted = check(net, x)
            floats = np.random.default_rng(k).normal(0, 100, (37, k))
            check(net, floats)
            for n in (1, 2, 5, 33):
                assert_same_bits(net(x[:n]), wanted[:n])


@pytest.mark.parametrize(
    "m", [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 79, 80, 81, 127, 128, 129]
)
def test_every_width(m):
    net = make((9, m, 3), seed=m)
    x = pixels(67, 9, seed=m)
    wanted = check(net, x)
    for n in (1, 3, 33):
        assert_same_bits(net(x[:n]), wanted[:n])
    check(make((70, m), "identity", seed=m), pixels(5, 70, seed=m))


def test_a_thousand_samples():
    net = make((100, 64, 48, 10), hidden=["gelu", "silu"])
    check(net, pixels(1000, 100))
    check(net, np.random.default_rng(1).normal(60, 90, (1000, 100)).astype(np.float32))


def test_the_most_inputs_there_may_be():
    k = 66_311
    for sign in (-127, 127):
        weights = np.full((k, 3), sign)
        layer = nncore.QuantizedDense(weights, [1e-6] * 3, [0.0] * 3, step=1.0)
        net = nncore.QuantizedNetwork([layer])
        assert_same_bits(
            net(np.full((2, k), 255, np.uint8)), oracle.run(net, np.full((2, k), 255, np.uint8))
        )
        layer = nncore.QuantizedDense(weights, [1e-6] * 3, [0.0] * 3, step=1.0, zero_point=255)
        net = nncore.QuantizedNetwork([layer])
        for value in (-255, 0):
            x = np.full((3, k), value, np.float32)
            assert_same_bits(net(x), oracle.run(net, x))


# ---- functions


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(name):
    for last in (name, "softmax"):
        net = make((20, 33, 17, 5), last, [name, name])
        x = pixels(40, 20)
        wanted = check(net, x)
        assert_same_bits(net(x[3]), wanted[3])


@pytest.mark.parametrize("last", ["softmax", "log_softmax", "sigmoid", "identity", "relu"])
@pytest.mark.parametrize("m", [1, 2, 10, 17])
def test_every_last_layer(last, m):
    net = make((30, 20, m), last)
    x = pixels(50, 30)
    check(net, x)
    logits = oracle.logits(net, x)
    if "softmax" in last:
        assert np.array_equal(net.predict(x), logits.argmax(axis=1))
    elif last == "sigmoid":
        labels = (logits > 0).astype(np.int64)
        assert np.array_equal(net.predict(x), labels[:, 0] if m == 1 else labels)
    else:
        assert_same_bits(net.predict(x), net(x))


def test_activations_with_parameters():
    layers = [
        nncore.QuantizedDense(np.eye(3, dtype=int) * 100, [0.01] * 3, [0.0, -1.0, 1.0], "clip",
                              step=0.05, zero_point=128, alpha=-0.3, beta=0.7),
        nncore.QuantizedDense(np.eye(3, dtype=int) * 100, [0.01] * 3, [0.0] * 3, "leaky_relu",
                              step=0.01, zero_point=100, alpha=0.2),
    ]  # fmt: skip
    net = nncore.QuantizedNetwork(layers)
    check(net, np.random.default_rng(0).normal(0, 2, (50, 3)))


# ---- inputs


@pytest.mark.parametrize("dtype", INPUT_DTYPES)
@pytest.mark.parametrize("k", [3, 64, 70])
def test_every_dtype_and_layout(dtype, k):
    front = nncore.Rescaling(1 / 127.5, offset=-1)
    nets = [make((k, 20, 4)), make((k, 20, 4), front=front), make((k, 4), step=0.5, zero_point=77)]
    rng = np.random.default_rng(k)
    whole = rng.integers(0, 2 if dtype == "bool" else 120, (2 * 34, 3 * k))
    x = whole.astype(dtype)
    x[rng.random(x.shape) < 0.5] = 0
    if np.dtype(dtype).kind == "f":
        x[::3] -= x.dtype.type(60.25)
    unaligned = np.zeros(34 * k * x.itemsize + 1, np.uint8)[1:].view(dtype).reshape(34, k)
    unaligned[...] = x[:34, :k]
    layouts = {
        "plain": np.ascontiguousarray(x[:34, :k]),
        "rows apart": x[:34, :k],
        "strided": x[::2, ::3],
        "reversed": x[:34, :k][::-1, ::-1],
        "Fortran": np.asfortranarray(x[:34, :k]),
        "broadcast": np.broadcast_to(x[0, :k], (34, k)),
        "unaligned": unaligned,
        "byte-swapped": x[:34, :k].astype(x.dtype.newbyteorder()),
    }
    for layout in layouts.values():
        layout.flags.writeable = False
        for net in nets:
            wanted = oracle.run(net, layout)
            assert_same_bits(net(layout), wanted)
            assert_same_bits(net(layout[7]), wanted[7])
            assert_same_bits(net(layout[:3]), wanted[:3])


def test_a_normalization_reads_doubles():
    rng = np.random.default_rng(0)
    front = nncore.Normalization(rng.normal(1e6, 10, 30), rng.uniform(0.5, 2, 30))
    net = make((30, 16, 3), front=front, step=0.03, zero_point=120)
    x = rng.normal(1e6, 10, (70, 30))
    wanted = check(net, x)
    for n in (1, 2, 33):
        assert_same_bits(net(x[:n]), wanted[:n])
    check(net, x.astype(np.float32))
    check(net, x.astype(np.int64))
    assert len(np.unique(net(x))) > 20


def test_images_and_lists():
    net = make((16, 8, 3))
    x = pixels(6, 16)
    wanted = oracle.run(net, x)
    assert_same_bits(net(x.reshape(6, 4, 4)), wanted)
    assert_same_bits(net(x.reshape(6, 1, 4, 4)), wanted)
    assert_same_bits(net(x.tolist()), wanted)


@pytest.mark.parametrize("zero", [0, 128])
def test_sparse_matrices(zero):
    sparse = pytest.importorskip("scipy.sparse", reason="scipy is not installed")
    net = make((200, 30, 4), zero_point=zero, step=0.5)
    for share in (0.98, 0.5):
        x = pixels(60, 200, share=share).astype(np.float32)
        for form in (sparse.csr_matrix, sparse.csc_array, sparse.coo_array):
            assert_same_bits(net(form(x)), oracle.run(net, x))
            assert_same_bits(net.logits(form(x)), oracle.logits(net, x))


def test_special_numbers():
    """Infinities are the largest codes, and a NaN makes all outputs of its sample NaN."""
    special = special_values(np.float32)
    net = make((5, 20, 4), step=0.5, zero_point=100)
    x = np.random.default_rng(0).choice(special, (200, 5))
    x[::7, 2] = np.nan
    wanted = check(net, x)
    has_nan = np.isnan(x).any(axis=1)
    assert np.array_equal(np.isnan(wanted).any(axis=1), has_nan)
    assert np.array_equal(np.isnan(wanted).all(axis=1), has_nan)
    for row in range(40):
        assert_same_bits(net(x[row]), wanted[row])
    assert_same_bits(net(x.astype(np.float64)), wanted)
    with pytest.raises(ValueError, match=r"x\[0, 7, .*NaN"):
        net.predict(np.where(has_nan[:, None] & (np.arange(200) % 7 > 0)[:, None], 0, x))


@pytest.mark.parametrize("k", [1, 4, 6, 20, 63, 64, 65])
def test_a_nan_stays_in_its_sample(k):
    """Samples of few inputs are made codes together with what follows them in memory."""
    net = make((k, 20, 9), step=0.05, zero_point=100)
    x = np.random.default_rng(k).normal(0, 3, (120, k)).astype(np.float32)
    for bad in ([], [0], [119], [57, 58], [95, 96], list(range(0, 120, 9))):
        samples = x.copy()
        samples[bad, k // 2] = np.nan
        wanted = check(net, samples)
        assert np.flatnonzero(np.isnan(wanted).any(axis=1)).tolist() == bad
        for n in (2, 50, 96, 97, 119):  # more samples follow these in memory
            assert_same_bits(net(samples[:n]), wanted[:n])
        overlapping = np.lib.stride_tricks.sliding_window_view(samples.ravel(), k)[:300]
        check(net, overlapping)
        apart = np.full((120, k + 3), np.nan, np.float32)
        apart[:, :k] = samples
        assert_same_bits(net(apart[:, :k]), wanted)
        assert_same_bits(net(samples[::-1]), wanted[::-1])


def test_infinite_sums():
    """Scales near the largest float: sums overflow to infinity, and codes saturate."""
    layers = [
        nncore.QuantizedDense([[127, -127]], [3e35, 3e35], [0.0, 0.0], name, step=1.0)
        for name in ("identity", "relu", "gelu", "tanh", "hard_swish")
    ]
    second = nncore.QuantizedDense([[1], [2]], [0.5], [0.25], step=0.01, zero_point=128)
    x = np.array([[0], [1], [255]], np.uint8)
    for layer in layers:
        check(nncore.QuantizedNetwork([layer, second]), x)


def test_out():
    net = make((20, 30, 4))
    x = pixels(40, 20)
    wanted = oracle.run(net, x)
    out = np.full((40, 4), np.nan, np.float32)
    assert net(x, out=out) is out
    assert_same_bits(out, wanted)
    wide = np.full((40, 9), -1, np.float32)
    net(x, out=wide[:, ::2][:, :4])
    assert_same_bits(wide[:, ::2][:, :4], wanted)
    assert (wide[:, 1::2] == -1).all()
    assert_same_bits(net.logits(x, out=out), oracle.logits(net, x))
    with pytest.raises(TypeError, match="out has dtype float64, expected float32"):
        net(x, out=np.empty((40, 4)))
    with pytest.raises(ValueError, match=r"out has shape \(4, 40\), expected \(40, 4\)"):
        net(x, out=np.empty((4, 40), np.float32))


# ---- the trace


@pytest.mark.parametrize("front", [None, "rescaling", "normalization"])
def test_the_trace(front):
    layer = {
        "rescaling": nncore.Rescaling(1 / 127.5, offset=-1),
        "normalization": nncore.Normalization([100.0] * 20, [50.0] * 20),
    }.get(front)
    net = make((20, 33, 17, 5), hidden=["gelu", "tanh"], front=layer)
    x = pixels(40, 20)
    dense = [layer for layer in net.layers if layer.is_dense]
    for rows in (x, x[3], x[:0]):
        found = net.trace(rows)
        assert [each.layer for each in found] == dense
        for i, (each, (z, y)) in enumerate(zip(found, oracle.trace(net, rows), strict=True)):
            assert_same_bits(each.weighted_sum, z if rows.ndim > 1 else z[0])
            if i + 1 < len(dense):
                after = dense[i + 1]
                codes = oracle.codes_of(y, after.inverse, after.zero_point).astype(np.float64)
                y = ((codes - after.zero_point) * after.step).astype(np.float32)
            assert_same_bits(each.activation, y if rows.ndim > 1 else y[0])
        assert_same_bits(found[-1].activation, net(rows))


def test_the_trace_of_nan():
    net = make((4, 8, 2), hidden="tanh")
    first, last = net.trace([1.0, np.nan, 0.0, 5.0])
    for array in (*first[1:], *last[1:]):
        assert np.isnan(array).all()


# ---- kernels, threads, processes

PROGRAM = """
import hashlib, os
import numpy as np, nncore
import quantized_reference as oracle
from reference import assert_same_bits
digest = hashlib.sha256()
for sizes, zero in [((784, 50, 100, 10), 0), ((17, 64, 64, 6), 128), ((4, 120, 84, 2), 3),
                    ((130, 131, 33), 0), ((1025, 3), 255)]:
    net = oracle.make(sizes, hidden=["relu", "gelu"], zero_point=zero)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (131, sizes[0]), dtype=np.uint8)
    x[rng.random(x.shape) < 0.7] = 0
    for given in (x, x.astype(np.float32) * 1.25 - 20):
        wanted = oracle.run(net, given)
        for n in (1, 2, 6, 16, 33, 131):
            assert_same_bits(net(given[:n]), wanted[:n])
            digest.update(net(given[:n]).tobytes())
"""


@pytest.mark.parametrize("kernel", int8_kernels())
def test_every_kernel_gives_the_same_bits(kernel):
    digests = {
        run_python(PROGRAM + "print(digest.hexdigest())", NNCORE_INT8=each).stdout
        for each in {kernel, "scalar"}
    }
    assert len(digests) == 1


def test_an_unknown_kernel_is_an_error():
    code = "import quantized_reference as oracle; oracle.make((3, 2))"
    process = run_python(code, check=False, NNCORE_INT8="mmx")
    assert process.returncode
    expected = f"ValueError: NNCORE_INT8 is mmx, expected one of {', '.join(int8_kernels())}"
    assert process.stderr.strip().splitlines()[-1] == expected


def test_any_number_of_threads():
    code = (
        PROGRAM
        + """
net = oracle.make((100, 80, 60, 10))
x = np.random.default_rng(0).integers(0, 256, (3001, 100), dtype=np.uint8)
wanted = oracle.run(net, x)
for threads in (1, 2, 3, 7):
    nncore.set_num_threads(threads)
    for given in (x, x.astype(np.float32)):
        assert_same_bits(net(given), wanted)
        assert_same_bits(net.logits(given), oracle.logits(net, given))
"""
    )
    run_python(code, NNCORE_PARALLEL_MIN="0")


def test_threads_share_the_outputs_of_a_few_samples():
    code = (
        PROGRAM
        + """
from nncore._engine import threads_for
net = oracle.make((1100, 1303, 701, 10), "softmax", hidden=["relu", "tanh"])
x = np.random.default_rng(0).integers(0, 256, (17, 1100)).astype(np.float32)
x[3, 5] = np.nan
wanted = oracle.run(net, x)
for threads in (1, 3, 7):
    nncore.set_num_threads(threads)
    assert threads_for(net._plan, 1) == threads
    for n in (1, 2, 3, 8, 16, 17):
        for _ in range(3):
            assert_same_bits(net(x[:n]), wanted[:n])
"""
    )
    run_python(code, NNCORE_PARALLEL_MIN="0")


def test_many_python_threads_share_a_network():
    net = make((100, 64, 10))
    x = pixels(300, 100)
    wanted = oracle.run(net, x)
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(60):
            start, n = int(rng.integers(0, 200)), int(rng.choice([1, 2, 17, 100]))
            given = x[start : start + n]
            if rng.random() < 0.5:
                given = given.astype(np.float32)
            if net(given).tobytes() != wanted[start : start + n].tobytes():
                wrong.append((start, n))

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_a_forked_child_computes():
    pytest.importorskip("posix", reason="this system has no fork")
    code = """
import os, warnings
import numpy as np, nncore
import quantized_reference as oracle
from reference import assert_same_bits
warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
net = oracle.make((100, 64, 10))
x = np.random.default_rng(0).integers(0, 256, (2000, 100), dtype=np.uint8)
wanted = oracle.run(net, x)
nncore.set_num_threads(4)
assert_same_bits(net(x), wanted)
child = os.fork()
if child == 0:
    status = 1
    try:
        assert_same_bits(net(x), wanted)
        status = 0
    finally:
        os._exit(status)
assert_same_bits(net(x), wanted)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run_python(code, NNCORE_PARALLEL_MIN="0").stdout.strip() == "0"
