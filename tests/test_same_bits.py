"""A batch gives each sample the bits it gets alone: any shape, layout, input dtype, threads."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import reference
from helpers import run_python, special_values
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import assert_same_bits

import nncore
from nncore import _cpus

TILES = [8, 16, 24, 32, 48]
BATCHES = sorted({*range(17), 97, 131, *(t + d for t in TILES for d in (-1, 0, 1))})
HIDDEN = [name for name in reference.ORACLES if name != "step"]
INPUT_DTYPES = [
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16",
    "float32", "float64", "longdouble",
]  # fmt: skip


def make(sizes, last="softmax", dtype="float32", seed=0, scale=None, hidden=HIDDEN):
    layers = [nncore.Rescaling(scale)] if scale is not None else []
    for i, (k, m) in enumerate(itertools.pairwise(sizes)):
        name = last if i == len(sizes) - 2 else hidden[(i + seed) % len(hidden)]
        layers.append(nncore.Dense(k, m, name))
    net = nncore.Network(layers, seed=seed, dtype=dtype)
    rng = np.random.default_rng(seed)
    for layer in net.layers[-len(sizes) + 1 :]:
        layer.bias = rng.standard_normal(layer.out_features)
    return net


def one_by_one(net, x):
    rows = [net(row) for row in x]
    return np.array(rows, net.dtype).reshape(len(x), net.out_features)


def sparse(rng, shape, dtype, share=0.7):
    """Numbers of which most are zeros of either sign, with columns that are zero throughout."""
    x = rng.standard_normal(shape).astype(dtype)
    x[rng.random(shape) < share] = 0
    x[rng.random(shape) < share / 4] = -0.0
    x[..., rng.random(shape[-1]) < share / 2] = 0
    return x


@pytest.mark.parametrize("last", ["softmax", "log_softmax", "sigmoid", "identity", "relu"])
@pytest.mark.parametrize(
    "sizes", [(1, 1), (2, 3, 2), (16, 8, 16), (17, 31, 13), (64, 64), (65, 7, 100, 10), (131, 47)]
)
def test_every_batch_size(sizes, last, dtype):
    net = make(sizes, last, dtype, seed=len(sizes))
    x = sparse(np.random.default_rng(1), (max(BATCHES), sizes[0]), dtype, 0.3)
    wanted = one_by_one(net, x)
    for n in BATCHES:
        assert_same_bits(net(x[:n]), wanted[:n])
    for start in (1, 5, 17):  # a sample may stand anywhere in its batch
        assert_same_bits(net(x[start : start + 50]), wanted[start : start + 50])


@pytest.mark.parametrize("k", [1, 63, 64, 65, 127, 129, 191, 192, 193, 383, 385, 769, 1537, 3001])
def test_every_depth_of_sum(k, dtype):
    """Around the places where the kernels cut the sum over the inputs, or the packing."""
    net = make((k, 11), "identity", dtype)
    x = sparse(np.random.default_rng(k), (67, k), dtype, 0.3)
    assert_same_bits(net(x), one_by_one(net, x))


@pytest.mark.parametrize("m", [1, 2, 7, 8, 9, 15, 16, 17, 33, 48, 63, 64, 65, 128, 129, 257])
def test_every_width(m, dtype):
    net = make((5, m, 3), "softmax", dtype, seed=m)
    x = np.random.default_rng(m).standard_normal((67, 5)).astype(dtype)
    assert_same_bits(net(x), one_by_one(net, x))
    assert_same_bits(net.logits(x), np.array([net.logits(row) for row in x]))


def test_the_rule_of_the_arithmetic():
    """A chain of fused multiply-adds, bias first, inputs in order: no other has these bits."""
    rng = np.random.default_rng(3)
    # 12 bits each, so that double precision holds every step exactly and rounds to float32 once.
    shapes = (40, 3), (3,), (20, 40)
    w, b, x = (rng.integers(-2048, 2048, s).astype(np.float32) / 512 for s in shapes)
    net = nncore.Network.from_arrays([w], [b], ["identity"])
    wanted = [[reference.chain(row, w[:, j], b[j]) for j in range(3)] for row in x]
    assert_same_bits(net(x), np.array(wanted))
    x, w = x + np.float32(1e-5), w + np.float32(1e-5)  # now there is something to round
    net = nncore.Network.from_arrays([w], [b], ["identity"])
    wanted = np.array([[reference.chain(row, w[:, j], b[j]) for j in range(3)] for row in x])
    assert_same_bits(net(x), wanted)
    assert (wanted != x @ w + b).any()


def in_memory(x, tmp_path):
    """The same numbers, x (n, k), wherever and however an array can hold them."""
    n, k = x.shape
    wide = np.zeros((3 * n, 2 * k), x.dtype)
    wide[::3, ::2] = x
    padded = np.zeros((n, k + 3), x.dtype)
    padded[:, :k] = x
    unaligned = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    unaligned[:] = x
    records = np.zeros(n, [("odd", "u1"), ("x", x.dtype, (k,))])
    records["x"] = x
    frozen = x.copy()
    frozen.flags.writeable = False
    file = np.memmap(tmp_path / f"{x.dtype.char}.bin", x.dtype, "w+", shape=x.shape)
    file[:] = x
    file.flush()
    return {
        "C": x, "F": np.asfortranarray(x), "strided": wide[::3, ::2], "row stride": padded[:, :k],
        "reversed": x[::-1, ::-1].copy()[::-1, ::-1], "read-only": frozen, "unaligned": unaligned,
        "records": records["x"], "swapped": x.astype(x.dtype.newbyteorder()), "memmap": file,
        "swapped F": np.asfortranarray(x.astype(x.dtype.newbyteorder())), "list": x.tolist(),
        "read-only memmap": np.memmap(file.filename, x.dtype, "r", shape=x.shape),
    }  # fmt: skip


def numbers(rng, shape, name):
    """Random numbers of any dtype, the largest and smallest included."""
    kind = np.dtype(name)
    if kind.kind == "b":
        return rng.random(shape) < 0.5
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        return rng.integers(limits.min, limits.max, shape, kind, endpoint=True)
    return sparse(rng, shape, np.float64, 0.2).astype(kind)


@pytest.mark.parametrize("name", INPUT_DTYPES)
@pytest.mark.parametrize("scale", [None, 1 / 255, -0.1])
def test_every_layout_and_input_dtype(name, scale, dtype, tmp_path):
    net = make((19, 6), "identity", dtype, scale=scale)
    x = numbers(np.random.default_rng(4), (53, 19), name)
    wanted = net(x.astype(dtype))
    assert_same_bits(wanted, one_by_one(net, x.astype(dtype)))
    for layout, each in in_memory(x, tmp_path).items():
        if layout == "list" and np.asarray(each).dtype != x.dtype and x.dtype.kind not in "iub":
            continue  # a list of floats is float64: two roundings for longdouble
        assert_same_bits(net(each), wanted)
        for row in (0, 1, 52):
            assert_same_bits(net(each[row]), wanted[row])
        if layout != "list":
            assert_same_bits(net(each[::-1]), wanted[::-1])
            assert_same_bits(net(each[::3]), wanted[::3])


@pytest.mark.parametrize("name", INPUT_DTYPES)
def test_broadcast_input(name, dtype):
    net = make((19, 6), dtype=dtype)
    row = numbers(np.random.default_rng(5), (19,), name)
    batch = np.broadcast_to(row, (50, 19))
    assert_same_bits(net(batch), np.broadcast_to(net(row.astype(dtype)), (50, 6)))
    column = np.broadcast_to(row[:1], (19,))
    assert_same_bits(net(column), net(np.full(19, row[0].astype(dtype))))


def test_booleans_are_zero_or_one_whatever_their_byte():
    """As x.astype(dtype) has it: a bool made by a view may hold any byte."""
    odd = np.array([[0, 1, 2, 255]], np.uint8).view(bool)
    net = nncore.Network.from_arrays([np.eye(4, dtype="f4")], None, ["identity"])
    assert_same_bits(net(odd), net(odd.astype(np.float32)))


def test_all_halves_and_all_shorts(dtype):
    net = nncore.Network.from_arrays([np.eye(1)], None, ["identity"], dtype=dtype)
    everything = np.arange(65536, dtype=np.uint16).reshape(-1, 1)
    for name in ("float16", "int16", "uint16"):
        x = everything.view(name)
        with np.errstate(invalid="ignore"):  # a signalling NaN
            wanted = x.astype(dtype) + np.array(0, dtype)
        assert_same_bits(net(x), wanted)


def test_special_numbers_are_converted_as_numpy_does(dtype):
    net = nncore.Network.from_arrays([np.eye(1)], None, ["identity"], dtype=dtype)
    ties = np.array([1 + 2.0**-24, 1 + 3 * 2.0**-24, 2.0**-150, 3 * 2.0**-150, 3.40282356779734e38])
    whole = np.array([2**24 + 1, 2**24 + 3, 2**53 + 1, 2**63 - 1, -(2**63), 2**40 + 2**16 + 1])
    large = np.array([2**64 - 1, 2**63 + 2**39, 2**63 + 2**39 + 1, 2**24 + 1], np.uint64)
    for x in (special_values("float64"), ties, -ties, whole, large):
        with np.errstate(all="ignore"):
            wanted = x.astype(dtype) + np.array(0, dtype)
        assert_same_bits(net(x.reshape(-1, 1)).ravel(), wanted)


@pytest.mark.parametrize("scale", [1 / 255, 1 / 256, 1 / 127.5, 2.0, 0.1, 1e30, 1e-40, -1 / 255, 0])
def test_rescaling_rounds_once(scale, dtype):
    net = nncore.Network([nncore.Rescaling(scale), nncore.Dense(1, 1)], seed=0, dtype=dtype)
    net.layers[1].weights = [[1.0]]
    bytes_ = np.arange(256, dtype=np.uint8).reshape(-1, 1)
    with np.errstate(over="ignore"):
        wanted = (bytes_ * np.float64(scale)).astype(dtype) + np.array(0, dtype)
    for name in ("uint8", "float32", "int64", "float16"):
        x = bytes_.astype(name)
        assert_same_bits(net(x), wanted)
        assert_same_bits(net(x[::-1]), wanted[::-1])
        assert_same_bits(one_by_one(net, x), wanted)
    if scale == 1 / 255 and dtype == "float32":
        assert_same_bits(wanted, bytes_ / np.float32(255))


@pytest.mark.parametrize("share", [0.2, 0.8, 0.99, 1.0])
def test_zeros_may_be_skipped(share, dtype):
    """Against a layer where nothing is skipped: an infinite weight in another output forbids it."""
    rng = np.random.default_rng(6)
    w, b = rng.standard_normal((97, 9)), rng.standard_normal(9)
    b[3] = -0.0
    x = sparse(rng, (60, 97), dtype, share)
    net = nncore.Network.from_arrays([w], [b], ["identity"], dtype=dtype)
    forbidding = np.concatenate([w, np.full((97, 1), np.inf)], axis=1)
    dense = nncore.Network.from_arrays([forbidding], [[*b, 0.0]], ["identity"], dtype=dtype)
    assert_same_bits(net(x), dense(x)[:, :9])
    assert_same_bits(one_by_one(net, x), dense(x)[:, :9])


@pytest.mark.parametrize("share", [0.3, 0.8, 0.95])
def test_few_samples_with_zeros(share, dtype):
    """Each layer takes such rows all at once, or two by two if they have few inputs in common."""
    net = make((97, 40, 20), "identity", dtype, hidden=["relu"])
    x = sparse(np.random.default_rng(8), (33, 97), dtype, share)
    x[4] = 0
    wanted = one_by_one(net, x)
    for n in range(3, 33):
        assert_same_bits(net(x[:n]), wanted[:n])
        assert_same_bits(net(x[33 - n :]), wanted[33 - n :])


@pytest.mark.parametrize("m", [10, 33, 64, 65, 150])
@pytest.mark.parametrize("k", [191, 192, 193, 500])
def test_batches_with_few_inputs_that_are_not_zero(k, m, dtype):
    """Their first layer is read from the rows, wherever these lie and whatever they hold."""
    net = make((k, m, 70, 5), "identity", dtype, hidden=["sigmoid", "relu"], scale=1 / 255)
    rng = np.random.default_rng(k + m)
    x = sparse(rng, (230, k), "float64", 0.9) * 100
    x[100:170:13] = rng.random((6, k)) + 1  # samples that make a tile look dense
    x[55:, k // 3] = np.nan
    x[60] = np.inf
    for name in ("uint8", "float32", "float64"):
        with np.errstate(invalid="ignore"):
            a = x.astype(name)
        wanted = one_by_one(net, a)
        for n in (17, 48, 96, 230):
            assert_same_bits(net(a[:n]), wanted[:n])
        unaligned = np.frombuffer(b"-" + a.tobytes(), name, a.size, 1).reshape(a.shape)
        wide = np.ones((460, k + 3), name)
        wide[::2, 2:-1] = a
        for other in (np.asfortranarray(a), unaligned, wide[::2, 2:-1], a[:, ::-1].copy()[:, ::-1]):
            assert_same_bits(net(other), wanted)
        assert_same_bits(net(a[::-1]), wanted[::-1])
        assert_same_bits(net(np.broadcast_to(a[0], a.shape)), np.broadcast_to(wanted[0], (230, 5)))


@pytest.mark.parametrize("sizes", [(24, 8), (3, 20, 5), (64, 64, 4), (70, 30, 40)])
def test_zeros_after_samples_without_any(sizes, dtype):
    # They are not looked for in every group of samples.
    net = make(sizes, "identity", dtype, hidden=["relu"])
    net.layers[0].bias = np.full(sizes[1], 3.0)  # nothing is zero behind it for dense samples
    rng = np.random.default_rng(3)
    dense, sparse_ones = rng.random((700, sizes[0])), sparse(rng, (700, sizes[0]), dtype)
    sparse_ones[:, 0] = -1000.0  # and here most of the hidden numbers are
    for lengths in [(64, 636), (700, 0), (200, 3), (8, 8), (7, 40)]:
        parts = [(dense, sparse_ones)[i % 2][:n] for i, n in enumerate(lengths * 2)]
        x = np.concatenate(parts).astype(dtype)
        assert_same_bits(net(x), one_by_one(net, x))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(bad, dtype):
    """Zero times infinity is NaN: an input of zero must not be skipped then."""
    w = np.ones((20, 3))
    w[11, 1] = bad
    net = nncore.Network.from_arrays([w], [np.zeros(3)], ["identity"], dtype=dtype)
    x = np.ones((50, 20), dtype)
    x[::2, 11] = 0
    x[::4, 11] = -0.0
    y = net(x)
    assert_same_bits(y, one_by_one(net, x))
    assert np.isnan(y[::2, 1]).all()
    assert np.isfinite(y[:, [0, 2]]).all()
    wanted = np.nan if np.isnan(bad) else bad
    np.testing.assert_array_equal(y[1::2, 1], np.full(25, wanted))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_inputs_and_biases_that_are_not_finite(bad, dtype):
    net = make((33, 17, 5), "softmax", dtype, hidden=["relu"])
    x = sparse(np.random.default_rng(7), (60, 33), dtype)
    x[::3, 5] = bad
    assert_same_bits(net(x), one_by_one(net, x))
    assert np.isfinite(net(x)[1::3]).all()
    net.layers[0].bias = [*np.zeros(16), bad]
    assert_same_bits(net(x), one_by_one(net, x))


def test_an_underflow_leaves_no_sign(dtype):
    """fma(tiny, -tiny, +0.0) is -0.0, and a zero after it may or may not be skipped."""
    tiny = np.finfo(dtype).tiny
    w = np.full((18, 2), -tiny)
    net = nncore.Network.from_arrays([w], [[0.0, -0.0]], ["identity"], dtype=dtype)
    x = np.zeros((40, 18), dtype)
    x[:, 3] = tiny
    x[::2, 9] = -0.0
    x[::3, 5] = tiny / 4
    y = net(x)
    assert_same_bits(y, np.zeros_like(y))
    assert_same_bits(one_by_one(net, x), np.zeros_like(y))


def test_subnormal_numbers_travel_through(dtype):
    least = np.finfo(dtype).smallest_subnormal
    net = nncore.Network.from_arrays([np.eye(3)], None, ["relu"], dtype=dtype)
    x = np.outer(np.arange(40), [1, 3, 5]).astype(dtype) * least
    assert_same_bits(net(x), x)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_shape_any_layout(data):
    draw = data.draw
    dtype = draw(st.sampled_from(["float32", "float64"]))
    sizes = draw(st.lists(st.integers(1, 90), min_size=2, max_size=4))
    last = draw(st.sampled_from(["softmax", "log_softmax", "sigmoid", "identity", "gelu"]))
    net = make(sizes, last, dtype, seed=draw(st.integers(0, 9)))
    n = draw(st.integers(0, 120))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    name = draw(st.sampled_from(INPUT_DTYPES))
    memory = numbers(rng, (2 * n + 1, 3 * sizes[0] + 1), name)
    rows = slice(None, None, draw(st.sampled_from([1, 2, -1, -2])))
    columns = draw(st.sampled_from([1, 2, 3, -1, -2, -3]))
    x = memory[rows][:n, ::columns][:, : sizes[0]]
    if draw(st.booleans()):
        x = np.asfortranarray(x)
    with np.errstate(over="ignore"):
        plain = np.ascontiguousarray(x.astype(dtype))
    wanted = one_by_one(net, plain)
    assert_same_bits(net(x), wanted)
    out = np.zeros((n, 2 * sizes[-1]), dtype)[:, :: draw(st.sampled_from([1, 2, -1, -2]))]
    out = out[:, : sizes[-1]]
    assert net(x, out=out) is out
    assert_same_bits(out, wanted)
    if n:
        assert_same_bits(net(x[-1]), wanted[-1])
        assert_same_bits(net.trace(x)[-1].activation, wanted)


THREADS = """
import numpy as np, nncore, test_same_bits as tests
from reference import assert_same_bits
rng = np.random.default_rng(8)
for dtype in ("float32", "float64"):
    for sizes in ((3, 2), (17, 31, 13), (64, 50, 100, 10), (1, 1)):
        net = tests.make(sizes, "softmax", dtype)
        x = tests.sparse(rng, (1000, sizes[0]), dtype, 0.3)
        nncore.set_num_threads(1)
        wanted = tests.one_by_one(net, x)
        for threads in (1, 2, 3, 4, 9):
            nncore.set_num_threads(threads)
            for n in (*tests.BATCHES, 1000):
                assert_same_bits(net(x[:n]), wanted[:n])
            out = np.zeros((sizes[-1], 1000), dtype).T
            assert_same_bits(net(np.asfortranarray(x), out=out), wanted)
print(nncore._table.pool_threads())
"""


def test_every_number_of_threads():
    process = run_python(THREADS, NNCORE_PARALLEL_MIN="0")
    assert int(process.stdout) >= 4, "the threads were not used, so nothing was tested"


@pytest.mark.parametrize("sizes", [(1500, 1100, 5), (13, 1050, 1030)])
def test_weights_beyond_the_caches(sizes, dtype, threads, monkeypatch):
    """Wide tiles, weights in large pages, outputs shared between threads; rows read with zeros."""
    nets = []
    for last_cache in (1 << 50, 0):  # asked for where a network is compiled
        monkeypatch.setattr(_cpus, "last_cache_bytes", lambda size=last_cache: size)
        nets.append(make(sizes, "identity", dtype, seed=3, hidden=["relu", "tanh"]))
        nets[-1](np.zeros(sizes[0]))  # compiled here, with its biases
    net, far = nets
    x = sparse(np.random.default_rng(4), (131, sizes[0]), dtype, 0.3)
    threads(1)
    wanted = one_by_one(net, x)
    assert_same_bits(net.trace(x)[-1].activation, wanted)
    for count in (1, 2, 3):
        threads(count)
        for n in (1, 2, 7, 16, 33, 48, 95, 96, 97, 131):
            assert_same_bits(net(x[:n]), wanted[:n])
            assert_same_bits(far(x[:n]), wanted[:n])
        for n in range(1, 27):  # by rows, in a tile, or a tile and then rows
            assert_same_bits(far(x[131 - n :]), wanted[131 - n :])


def test_the_last_cache_has_a_size():
    assert 32 << 20 <= _cpus.last_cache_bytes() < 1 << 40


def mnist():
    """The test images and labels, and the network of the classic weights."""
    home = os.environ.get("NNCORE_DATA_HOME")
    if not home:
        pytest.skip("NNCORE_DATA_HOME does not say where MNIST is")
    weights = Path(home, "sample_weight.pkl")
    if not weights.exists():
        pytest.skip("NNCORE_DATA_HOME has no sample_weight.pkl")
    _, (x, t) = nncore.datasets.load_mnist(normalize=False, data_home=home, download=False)
    return x, t, weights


@pytest.mark.parametrize("threads_used", [1, 2])
def test_mnist_one_by_one_and_in_batches(threads, threads_used):
    x, t, weights = mnist()
    threads(threads_used)
    plain = nncore.load(weights, activations=["sigmoid", "sigmoid", "softmax"])
    net = nncore.Network([nncore.Rescaling(1 / 255), *plain.layers])
    wanted = one_by_one(net, x)
    assert (wanted.argmax(axis=1) == t).sum() == 9352
    for batch in (10, 100, 1000, 10_000):
        y = np.concatenate([net(x[i : i + batch]) for i in range(0, len(x), batch)])
        assert_same_bits(y, wanted)
    assert_same_bits(plain(x / np.float32(255)), wanted)
    assert (net.predict(x) == t).sum() == 9352
