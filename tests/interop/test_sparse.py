"""A sparse matrix gives the bits of the dense one, and is never made dense as a whole."""

from __future__ import annotations

import itertools
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from reference import assert_same_bits

import nncore
from nncore import _arrays

sp = pytest.importorskip("scipy.sparse", reason="scipy is not installed")

FORMS = ["csr_matrix", "csr_array", "csc_matrix", "csc_array", "coo_array", "lil_matrix"]
FRONTS = {
    "none": lambda k: [],
    "factor": lambda k: [nncore.Rescaling(1 / 255)],
    "offset": lambda k: [nncore.Rescaling(1 / 127.5, offset=-1)],
    "normalization": lambda k: [nncore.Normalization(np.linspace(-3, 3, k), np.full(k, 0.7))],
}


def make(sizes, front="none", dtype="float32", last="softmax", bias=True):
    names = ["relu", "tanh", "elu"]
    layers = FRONTS[front](sizes[0])
    for i, (k, m) in enumerate(itertools.pairwise(sizes)):
        name = last if i == len(sizes) - 2 else names[i % 3]
        layers.append(nncore.Dense(k, m, name, bias=bias))
    net = nncore.Network(layers, seed=3, dtype=dtype)
    rng = np.random.default_rng(5)
    for layer in net.layers:
        if bias and isinstance(layer, nncore.Dense):
            layer.bias = rng.standard_normal(layer.out_features)
    return net


def matrix(rng, n, k, density, dtype):
    x = np.zeros((n, k), dtype)
    place = rng.random((n, k)) < density
    x[place] = (rng.standard_normal(place.sum()) * 100).astype(dtype)
    return x


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("density", [0.0, 0.01, 0.2, 0.3, 1.0])
@pytest.mark.parametrize("sizes", [(1, 1), (17, 5), (131, 33, 17, 3), (300, 64, 10)])
def test_same_bits_as_dense(sizes, density, front, dtype):
    rng = np.random.default_rng(len(sizes))
    net = make(sizes, front, dtype)
    for n in (0, 1, 2, 3, 17, 100):
        x = matrix(rng, n, sizes[0], density, dtype)
        sparse = sp.csr_array(x)
        assert_same_bits(net(sparse), net(x))
        assert_same_bits(net.logits(sparse), net.logits(x))
        np.testing.assert_array_equal(net.predict(sparse), net.predict(x))


@pytest.mark.parametrize("form", FORMS)
def test_every_form(form):
    net = make((40, 9, 4))
    x = matrix(np.random.default_rng(0), 30, 40, 0.1, "float32")
    assert_same_bits(net(getattr(sp, form)(x)), net(x))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "int64", "uint64", "float64",
                                   "longdouble"])  # fmt: skip
@pytest.mark.parametrize("front", FRONTS)
def test_every_dtype(dtype, front):
    net = make((60, 9, 4), front)
    x = np.abs(matrix(np.random.default_rng(0), 30, 60, 0.1, "float64")).astype(dtype)
    assert_same_bits(net(sp.csr_array(x)), net(x))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads(threads, monkeypatch):
    net = make((500, 64, 10))
    x = matrix(np.random.default_rng(0), 999, 500, 0.05, "float32")
    wanted = net(x)
    before = nncore.get_num_threads()
    nncore.set_num_threads(threads)
    try:
        assert_same_bits(net(sp.csr_array(x)), wanted)
    finally:
        nncore.set_num_threads(before)


def test_indices_of_64_bits():
    net = make((60, 9))
    sparse = sp.csr_array(matrix(np.random.default_rng(0), 30, 60, 0.1, "float32"))
    wanted = net(sparse)
    sparse.indices, sparse.indptr = sparse.indices.astype("i8"), sparse.indptr.astype("i8")
    assert sparse.indices.dtype == np.int64
    assert_same_bits(net(sparse), wanted)


def test_duplicates_unsorted_columns_and_stored_zeros():
    net = make((6, 4))
    columns, values = [5, 0, 5, 2, 1], np.array([1.5, 2, 0.25, 0, -0.0], "f4")
    sparse = sp.csr_matrix((values, columns, [0, 3, 3, 5]), shape=(3, 6))
    assert not sparse.has_canonical_format
    assert_same_bits(net(sparse), net(sparse.toarray()))
    assert sparse.nnz == 5, "the caller's matrix is left as it was"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite(bad):
    x = matrix(np.random.default_rng(0), 9, 60, 0.1, "float32")
    net = make((60, 9, 4), last="identity")
    x[3, 7] = bad
    assert_same_bits(net(sp.csr_array(x)), net(x))
    x[3, 7] = 0
    weights = net.layers[0].weights.copy()
    weights[5, 5] = bad  # zeros cannot be skipped now: 0 * inf is NaN
    net.layers[0].weights = weights
    assert_same_bits(net(sp.csr_array(x)), net(x))


def test_out():
    net = make((60, 9, 4))
    x = matrix(np.random.default_rng(0), 30, 60, 0.1, "float32")
    for density in (0.1, 1.0):
        x = matrix(np.random.default_rng(0), 30, 60, density, "float32")
        out = np.empty((30, 8), "f4")[:, ::2]
        assert net(sp.csr_array(x), out=out) is out
        assert_same_bits(out, net(x))
    with pytest.raises(ValueError, match=r"out has shape \(30, 5\), expected \(30, 4\)"):
        net(sp.csr_array(x), out=np.empty((30, 5), "f4"))
    sparse = sp.csr_array(x)
    shared = sparse.data[:120].reshape(30, 4)
    with pytest.raises(ValueError, match="out overlaps x"):
        net(sparse, out=shared)


def test_a_call_makes_no_dense_copy_of_the_whole():
    n, k = 200, 200_000
    columns = np.arange(n, dtype="i4") * 7
    sparse = sp.csr_array((np.ones(n, "f4"), columns, np.arange(n + 1)), shape=(n, k))
    for front in ("none", "offset"):
        net = make((k, 2), front)
        net(sparse[:1])
        tracemalloc.start()
        net(sparse)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < n * k * 4 / 3, front


def test_wrong_shapes_and_types():
    net = make((6, 4))
    with pytest.raises(ValueError, match=r"x has 7 features, expected a sparse matrix \(n, 6\)"):
        net(sp.csr_array((3, 7), dtype="f4"))
    with pytest.raises(TypeError, match="x has dtype complex64, expected real numbers"):
        net(sp.csr_array((3, 6), dtype="c8"))
    with pytest.raises(TypeError, match=r"x is a sparse matrix, .* x\.toarray\(\)"):
        net.fit(sp.csr_array((3, 6), dtype="f4"), np.zeros(3, int))
    with pytest.raises(TypeError, match="x is a sparse matrix"):
        nncore.relu(sp.csr_array((3, 6), dtype="f4"))


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("indices", 2, 6), ("indices", 2, -1), ("indices", 1, 2**27), ("indptr", 1, 99),
        ("indptr", 1, -5), ("indptr", 2, 1), ("indices", 0, 5), ("indptr", 3, 2**31 - 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("front", ["none", "offset"])  # read row by row, made dense
def test_a_damaged_matrix_is_refused(name, place, value, front):
    """Its arrays may change after scipy has looked at them; nothing is read beyond their ends."""
    net = make((60, 4), front)
    sparse = sp.csr_array(
        (np.ones(6, "f4"), np.array([0, 3, 5, 1, 2, 4], "i4"), np.array([0, 3, 3, 6], "i4")),
        shape=(3, 60),
    )
    assert sparse.has_canonical_format
    getattr(sparse, name)[place] = value * (10 if name == "indices" and value > 0 else 1)
    with pytest.raises(ValueError, match="sparse matrix"):
        net(sparse)


def test_trace_takes_sparse_rows():
    net = make((60, 9, 4))
    x = matrix(np.random.default_rng(0), 30, 60, 0.1, "float32")
    for a, b in zip(net.trace(sp.csr_array(x)), net.trace(x), strict=True):
        assert_same_bits(a.weighted_sum, b.weighted_sum)


@pytest.mark.parametrize("short", ["data", "indices", "indptr"])
def test_arrays_of_unequal_lengths(short):
    """scipy's methods replace the arrays of a matrix one by one, while another thread looks."""
    parts = {"data": np.ones(3, "f4"), "indices": np.arange(3), "indptr": np.array([0, 1, 3])}
    parts[short] = parts[short][:-1]
    torn = SimpleNamespace(ndim=2, shape=(2, 60), dtype=np.dtype("f4"), has_canonical_format=True)
    vars(torn).update(parts, tocsr=lambda: torn)
    with pytest.raises(ValueError, match=r"x\.check_format\(\) does not accept"):
        _arrays.sparse_rows(torn, 60, False)


@pytest.mark.parametrize(("name", "place", "value"), [("indices", 3, 4000), ("indptr", 2, 10**6)])
def test_a_damaged_matrix_is_not_learned_from(name, place, value):
    """scipy itself would read, and toarray() write, outside of its arrays."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from nncore import sklearn

    x = sp.random_array((20, 6), density=0.5, format="csr", random_state=0)
    getattr(x, name)[place] = value
    with pytest.raises(ValueError, match="sparse matrix"):
        sklearn.MLPClassifier((3,), max_iter=1).fit(x, np.arange(20) % 2)
