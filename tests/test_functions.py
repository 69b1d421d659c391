"""`nncore.affine`: the bits of a Network of one layer, however it is run."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import run_python
from reference import assert_same_bits

import nncore


def layer(k, m, dtype):
    rng = np.random.default_rng(k * m)
    return rng.standard_normal((k, m)).astype(dtype), rng.standard_normal(m).astype(dtype)


@pytest.mark.parametrize("activation", ["identity", "relu", "leaky_relu", "gelu", "softmax"])
@pytest.mark.parametrize("zeros", [0, 0.9])
def test_affine_has_the_bits_of_a_network(dtype, activation, zeros):
    rng = np.random.default_rng(0)
    for k, m in [(1, 1), (3, 16), (65, 50), (1100, 130), (20, 300)]:
        w, b = layer(k, m, dtype)
        net = nncore.Network.from_arrays([w], [b], [activation], dtype=dtype)
        for n in (0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 48, 49, 97):
            x = rng.standard_normal((n, k)).astype(dtype)
            x[rng.random((n, k)) < zeros] = 0
            assert_same_bits(nncore.affine(x, w, b, activation), net(x))
        assert_same_bits(nncore.affine(x[0], w, b, activation), net(x[0]))


@pytest.mark.parametrize(
    "dtypes", [("f4", "f4"), ("u1", "f4"), ("f2", "f4"), ("i8", "f8"), ("f4", "f8")]
)
def test_affine_takes_any_layout(dtypes):
    x_dtype, w_dtype = dtypes
    w, b = layer(9, 5, w_dtype)
    wide = (np.random.default_rng(0).random((40, 18)) * 100).astype(x_dtype)
    unaligned = np.empty(wide[:, :9].nbytes + 1, np.uint8)[1:].view(x_dtype).reshape(40, 9)
    unaligned[:] = wide[:, :9]
    layouts = [wide[:, :9], wide[::-2, ::2], wide[:, 8::-1], np.asfortranarray(wide[:, :9])]
    layouts += [
        unaligned,
        wide[:, :9].astype(wide.dtype.newbyteorder()),
        wide[:, :9].reshape(40, 3, 3),
    ]
    for x in layouts:
        plain = np.ascontiguousarray(x).astype(x_dtype).reshape(len(x), 9)
        wanted = nncore.affine(plain, w, b, "tanh")
        assert_same_bits(nncore.affine(x, w, b, "tanh"), wanted)
        out = np.zeros((2 * len(x), 10), wanted.dtype)[::2, ::-2]
        assert nncore.affine(x, w, b, "tanh", out=out) is out
        assert_same_bits(np.ascontiguousarray(out), wanted)
    for weights in (np.asfortranarray(w), np.repeat(w, 2, 1)[:, ::2]):
        assert_same_bits(
            nncore.affine(plain, weights, b, "tanh"), nncore.affine(plain, w, b, "tanh")
        )


@pytest.mark.parametrize("shape", [(1 << 58, 1), (1, 1 << 58), (1 << 58, 2), (1 << 30, 1 << 30)])
def test_sizes_beyond_all_memory_are_refused(shape):
    """A broadcast array has any size in 4 bytes; the bytes of its panels overflowed once."""
    x, w = (np.broadcast_to(np.float32(0), size) for size in (shape[:1], shape))
    with pytest.raises(MemoryError):
        nncore.affine(x, w)


def test_threads_share_affine():
    run_python(
        """
import numpy as np, nncore
from nncore._table import pool_threads
from reference import assert_same_bits
rng = np.random.default_rng(0)
w, b = rng.standard_normal((30, 20)), rng.standard_normal(20)
for n in (3, 48, 49, 97, 1000, 5000):
    x = rng.standard_normal((n, 30))
    for name in ("gelu", "log_softmax"):
        nncore.set_num_threads(1)
        wanted = nncore.affine(x, w, b, name)
        nncore.set_num_threads(4)
        assert_same_bits(nncore.affine(x, w, b, name), wanted)
assert pool_threads() == 3
""",
        NNCORE_PARALLEL_MIN="0",
    )
