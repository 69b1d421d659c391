"""How a network reads its inputs: types, scaling with an offset, normalisation, refusals."""

from __future__ import annotations

import ctypes
import math
import sys
from fractions import Fraction

import numpy as np
import pytest
from helpers import run_python
from reference import assert_same_bits

import nncore
from nncore import _engine, _plan, _table

TYPES = [
    "float32",
    "float64",
    "float16",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "bool",
]
FEATURES = [1, 3, 64, 65, 130]


def settings(k, seed=0):
    """Each way to preprocess k features, as Reader's arguments."""
    rng = np.random.default_rng(seed)
    std = rng.random(k) + 0.1
    mean = np.where(np.arange(k) % 3, 3.0, rng.random(k) * 100)  # some inputs become zero
    return [
        {},
        {"scale": 1 / 255},
        {"scale": 1 / 3},
        {"scale": 1 / 127.5, "offset": -1.0},
        {"scale": 0.5, "offset": -1.5},  # 3 becomes zero
        {"offset": 2.0},
        {"mean": mean, "std": std},
    ]


def inputs(kind, n, k):
    rng = np.random.default_rng(n + k)
    x = rng.integers(0, 2 if kind == "bool" else 128, (n, k)).astype(kind)
    x[rng.random((n, k)) < 0.4] = 0
    x[rng.random((n, k)) < 0.3] = 3
    if kind.startswith("float"):
        x[::2] /= 3
    return x


def layouts(x):
    """The same samples in other layouts of memory."""
    yield "C", x
    yield "Fortran", np.asfortranarray(x)
    yield "backwards", x[::-1].copy()[::-1]
    yield "columns backwards", x[:, ::-1].copy()[:, ::-1]
    wide = np.full((2 * len(x), x.shape[1] + 5), 7, x.dtype)
    wide[::2, 2:-3] = x
    yield "a window", wide[::2, 2:-3]
    raw = np.zeros(x.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(x.dtype).reshape(x.shape)
    unaligned[:] = x
    yield "unaligned", unaligned
    yield "swapped", x.astype(x.dtype.newbyteorder())
    yield "list", x.tolist()


def expected(x, dtype, *, scale=None, offset=0.0, mean=None, std=None):
    """What Reader's arguments make of x, element by element."""
    y = np.empty(x.shape, dtype)
    for i, k in np.ndindex(*x.shape):
        if mean is not None:
            y[i, k] = (np.float64(x[i, k]) - mean[k]) / std[k]
        elif scale is None and not offset:
            y[i, k] = x[i, k]
        else:
            element = float(y.dtype.type(x[i, k]))
            exact = Fraction(element) * Fraction(1.0 if scale is None else scale) + Fraction(offset)
            y[i, k] = float(exact)  # rounds once
    return y


def plan_of(k, m, dtype, seed=0, **preprocessing):
    rng = np.random.default_rng(seed)
    w, b = rng.normal(size=(k, m)).astype(dtype), rng.normal(size=m).astype(dtype)
    program = _plan.Program({}, k, dtype == "float64")
    if "mean" in preprocessing:
        program.normalize(**preprocessing)
    elif preprocessing:
        program.rescale(preprocessing.get("scale", 1.0), preprocessing.get("offset", 0.0))
    program.affine(_table.pack(w, b), 0)
    return _plan.Plan(program)


@pytest.mark.parametrize("kind", TYPES)
def test_elements_are_read_as_the_contract_says(kind, dtype):
    x = inputs(kind, 5, 70)
    for arguments in settings(70):
        reader = _plan.Reader(70, dtype == "float64", **arguments)
        assert_same_bits(_plan.rows(reader, x), expected(x, dtype, **arguments))


@pytest.mark.parametrize("k", FEATURES)
def test_every_way_to_read_gives_the_same_bits(k, dtype, threads):
    """Packed into tiles or read by rows, in every layout: as if preprocessed beforehand."""
    threads(1)
    for kind in ("uint8", "float32", "float64", "float16", "int64"):
        x = inputs(kind, 70, k)
        for arguments in settings(k):
            reader = _plan.Reader(k, dtype == "float64", **arguments)
            wanted = _engine.run(plan_of(k, 20, dtype), _plan.rows(reader, x))
            plan = plan_of(k, 20, dtype, **arguments)
            for name, each in layouts(x):
                if name == "list" and kind != "float64":
                    continue  # its numbers are float64 or int64 ones
                for n in (70, 33, 3):
                    got = _engine.run(plan, each[:n])
                    assert_same_bits(got, wanted[:n])
                assert_same_bits(_engine.run(plan, each[1]), wanted[1])


SAME_EVERYWHERE = """
import hashlib
import numpy as np
from nncore import _engine
from test_source import FEATURES, inputs, plan_of, settings
digest = hashlib.sha256()
for dtype in ("float32", "float64"):
    for k in FEATURES[1::2]:
        for kind in ("uint8", "float64"):
            x = inputs(kind, 70, k)
            for arguments in settings(k):
                plan = plan_of(k, 9, dtype, **arguments)
                digest.update(_engine.run(plan, x).tobytes())
                digest.update(_engine.run(plan, x[3]).tobytes())
print(digest.hexdigest())
"""


def test_every_instruction_set_and_number_of_threads_gives_the_same_bits(instruction_set):
    wanted = run_python(SAME_EVERYWHERE, NNCORE_ISA="scalar", NNCORE_NUM_THREADS="1").stdout
    for count in ("1", "3"):
        got = run_python(
            SAME_EVERYWHERE,
            NNCORE_ISA=instruction_set, NNCORE_NUM_THREADS=count, NNCORE_PARALLEL_MIN="0",
        ).stdout  # fmt: skip
        assert got == wanted


def test_normalisation_begins_with_the_input_as_it_is(dtype):
    """Means may be a million times the deviation: x rounded to float32 would lose all of it."""
    mean, std = np.array([1e8, -3e7]), np.array([1e-3, 2.0])
    x = mean + std * np.array([[0.25, 1.5], [-2.0, 0.0], [3.0, -1.0]])
    reader = _plan.Reader(2, dtype == "float64", mean=mean, std=std)
    assert reader.converts_to_double
    wanted = ((x - mean) / std).astype(dtype)
    for each in (x, x.astype(">f8"), x.astype(np.longdouble), np.asfortranarray(x)):
        assert_same_bits(_plan.rows(reader, each), wanted)
    whole = np.array([[2**53 + 1, 2**62 + 1]])
    rounded = ((whole.astype(np.float64) - mean) / std).astype(dtype)
    assert_same_bits(_plan.rows(reader, whole), rounded)


def test_mean_and_std_are_copied():
    mean, std = np.zeros(2), np.ones(2)
    plan = plan_of(2, 3, "float32", mean=mean, std=std)
    before = _engine.run(plan, [1.0, 2.0])
    mean[:], std[:] = 5, 7
    assert_same_bits(_engine.run(plan, [1.0, 2.0]), before)


def test_special_numbers_travel_through(dtype):
    x = np.array([[np.nan, np.inf, -np.inf, -0.0]], np.float64)
    rows = _plan.rows(_plan.Reader(4, dtype == "float64", scale=2.0, offset=1.0), x)
    np.testing.assert_array_equal(rows, [[np.nan, np.inf, -np.inf, 1]])
    reader = _plan.Reader(4, dtype == "float64", mean=np.zeros(4), std=np.full(4, 2.0))
    np.testing.assert_array_equal(_plan.rows(reader, x), [[np.nan, np.inf, -np.inf, 0]])
    assert math.copysign(1, _plan.rows(reader, x)[0, 3]) == -1


def test_the_rounding_mode_of_the_caller_does_not_matter():
    """Which way bytes are scaled is found out when the reader is made."""
    code = """
import ctypes
import numpy as np
from nncore import _engine, _plan, _table
panels = _table.pack(np.ones((4, 3), np.float32), np.zeros(3, np.float32))
scale = 1 / 255
libm = ctypes.CDLL("libm.so.6")
x = np.arange(256, dtype=np.uint8).reshape(64, 4)
results = []
for mode in (0, 0x400, 0x800, 0xC00):
    libm.fesetround(mode)
    program = _plan.Program({}, 4, False)
    program.rescale(scale)
    program.affine(panels, 0)
    plan = _plan.Plan(program)
    libm.fesetround(0)
    results.append(_engine.run(plan, x).tobytes())
print(len(set(results)))
"""
    if sys.platform != "linux" or "avx2" not in _table.known_instruction_sets():
        pytest.skip("the numbers of the rounding modes are those of x86 Linux")
    assert run_python(code).stdout.strip() == "1"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"mean": np.zeros(2)}, "one of mean and std is None, expected both or none"),
        ({"std": np.ones(2)}, "one of mean and std is None, expected both or none"),
        ({"mean": np.zeros(3), "std": np.ones(2)}, r"mean has shape \(3,\), expected \(2,\)"),
        ({"mean": np.zeros(2), "std": np.ones((1, 2))}, r"std has shape \(1, 2\), expected \(2,\)"),
        ({"mean": np.zeros(2), "std": np.ones(2), "scale": 2.0}, "mean and std are given beside"),
        ({"mean": np.zeros(2), "std": np.ones(2), "offset": 2.0}, "mean and std are given beside"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        _plan.Reader(2, False, **arguments)


# ---- dtypes that the kernels do not know ----


def test_every_dtype_of_numpy_is_read_or_refused(dtype):
    net = nncore.Network([nncore.Dense(4, 3)], seed=0, dtype=dtype)
    ones = np.ones(4, dtype)
    wanted = net(ones)
    for code in np.typecodes["All"]:
        x = np.ones(4, code) if code not in "OSUVmM" else np.zeros(4, np.dtype(code))
        if code in "?" + np.typecodes["AllInteger"] + np.typecodes["Float"]:
            net(np.full(4, 7, dtype))  # leaves other numbers behind in the scratch memory
            assert_same_bits(net(x), wanted)
        else:
            with pytest.raises(TypeError, match=r"x has dtype .*, expected real numbers"):
                net(x)


def forged(kind):
    """A dtype of one byte that NumPy can convert to nothing, and that says it is of this kind.

    Stands for the types that other packages register, with any kind and any size.
    """
    new = np.dtype("V1")  # a descriptor of its own: nobody else sees the change
    assert new is not np.dtype("V1")
    start = object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)  # behind the scalar type
    if ctypes.c_char.from_address(id(new) + start).value != b"V":
        pytest.skip("this NumPy keeps the kind of a dtype in another place")
    ctypes.c_char.from_address(id(new) + start).value = kind.encode()
    assert new.kind == kind
    return new


@pytest.mark.parametrize("kind", "fiub")
def test_a_dtype_that_only_looks_real_is_refused(kind, dtype):
    """It once was taken for a float of unknown size, and read as what the memory held before."""
    net = nncore.Network([nncore.Dense(4, 3)], seed=0, dtype=dtype)
    for shape in ((4,), (3, 4), (40, 4)):
        x = np.zeros(shape, "u1").view(forged(kind))
        with pytest.raises(TypeError, match=r"x has dtype .*, expected one that NumPy can convert"):
            net(x)


def test_registered_dtypes_are_converted(dtype):
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes registers further dtypes")
    net = nncore.Network([nncore.Dense(4, 3)], seed=0, dtype=dtype)
    for n in (1, 3, 40):
        x = np.random.default_rng(n).normal(size=(n, 4)).astype(ml_dtypes.float8_e5m2)
        net(np.full((n, 4), 1000.0))  # leaves other numbers behind in the scratch memory
        assert_same_bits(net(x), net(x.astype(dtype)))
        assert_same_bits(net(x[0]), net(x[0].astype(dtype)))
    for name in ("bfloat16", "float8_e4m3fn", "int4"):
        with pytest.raises(TypeError, match=f"x has dtype {name}, expected real numbers"):
            net(np.zeros(4, getattr(ml_dtypes, name)))
