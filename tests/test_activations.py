"""Every activation and derivative: how exact it is, and what it takes and refuses."""

from __future__ import annotations

import array
import functools

import numpy as np
import pytest
import reference
from helpers import sampled
from reference import assert_same_bits

import nncore
from nncore import _table
from nncore.activations import REGISTRY

ELEMENTWISE = list(reference.ORACLES)
X = np.linspace(-10, 10, 1001)
WITH_PARAMETERS = [name for name in ELEMENTWISE if REGISTRY[name].alpha is not None]


def parameters_of(name, dtype):
    """The activation's default parameters, rounded to a dtype as the kernels round them."""
    values = {"alpha": REGISTRY[name].alpha, "beta": REGISTRY[name].beta}
    return {
        key: float(np.dtype(dtype).type(value))
        for key, value in values.items()
        if value is not None
    }


def functions(name, parameters):
    """Of the function and of its derivative: what to call, the oracle, the exact oracle, the ULP
    allowed of float32 and float64, and the floor below which its ULP are not counted smaller.

    A slope that crosses zero is a difference of numbers of about 0.2 there: an error is counted in
    ULP of 1/8.
    """
    f, oracle = REGISTRY[name], reference.ORACLES[name]
    for i, function in enumerate((f, f.derivative)):
        slopes = f.derivative(X, **parameters)
        yield (
            functools.partial(function, **parameters),
            functools.partial(oracle[i], **parameters),
            oracle[2 + i],
            {"float32": oracle.ulp_float32[i], "float64": oracle.ulp_float64[i]},
            0.125 if i and slopes.min() < 0 < slopes.max() else 0.0,
        )


def check_float32(name, parameters, x, more=0.0):
    for i, (function, oracle, _, allowed, floor) in enumerate(functions(name, parameters)):
        with np.errstate(all="ignore"):
            wanted = oracle(x.astype(np.float64))
        errors = reference.ulp_error(function(x), wanted, floor)
        worst = int(errors.argmax())
        where = f"{name}{chr(39) * i}({x[worst]!r}): {errors[worst]} ULP"
        assert errors[worst] <= allowed["float32"] + more, where


def check_float64(name, parameters, x, more=0.0):
    for i, (function, _, exact, allowed, floor) in enumerate(functions(name, parameters)):
        wanted = reference.exactly(exact, x, parameters.values())
        errors = reference.ulp_error_exactly(function(x), wanted, floor)
        worst = int(errors.argmax())
        where = f"{name}{chr(39) * i}({x[worst]!r}): {errors[worst]} ULP"
        assert errors[worst] <= allowed["float64"] + more, where


def test_the_oracle_knows_every_activation():
    assert list(REGISTRY) == [*reference.ORACLES, *reference.ROWWISE]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_float32_is_within_its_ulp(name):
    rng = np.random.default_rng(1)
    x = np.concatenate(
        [
            sampled("float32"),
            rng.uniform(-25, 25, 100_000).astype(np.float32),
            np.linspace(-120, 120, 50_001, dtype=np.float32),
        ]
    )
    check_float32(name, parameters_of(name, "float32"), x)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_float64_is_within_its_ulp(name):
    rng = np.random.default_rng(2)
    scales = (1e-308, 1e-12, 1e-4, 0.1, 1, 3, 10, 40, 300, 800)
    edges = [0.0, 5e-324, -5e-324, -708.5, -745, -746, -750, -760, -37.5, 37.5, -38.4, -38.6]
    edges += [-3.0, 3.0, 6.0]
    x = np.concatenate([*(rng.uniform(-s, s, 25) for s in scales), edges])
    check_float64(name, parameters_of(name, "float64"), x)


# Whole numbers of 1/8, exact in both dtypes; the bounds of clip in the wrong order, too.
PARAMETERS = [(0.25, 0.5), (-0.5, 0.125), (1.0, -1.0), (0.125, 3.0), (1.625, 6.0)]


@pytest.mark.parametrize(("alpha", "beta"), PARAMETERS)
@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_other_parameters(name, alpha, beta):
    parameters = {"alpha": alpha} if REGISTRY[name].beta is None else {"alpha": alpha, "beta": beta}
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.uniform(-s, s, 200) for s in (1, 4, 20, 100)])
    # elu's product with an alpha other than 1 is rounded once more, to half an ULP, and doubles the
    # relative weight of the errors before it at most.
    check_float32(name, parameters, x.astype(np.float32), more=1.5)
    check_float64(name, parameters, x[::8], more=1.5)


@pytest.mark.parametrize("key", ["alpha", "beta"])
def test_parameters_are_refused_where_there_are_none(key):
    owners = ", ".join(name for name in REGISTRY if getattr(REGISTRY[name], key) is not None)
    for name in ELEMENTWISE:
        f = REGISTRY[name]
        for function in (f, f.derivative):
            if getattr(f, key) is None:
                text = f"activation is '{name}', which has no {key}, expected one of {owners}$"
                with pytest.raises(ValueError, match=text):
                    function(1.0, **{key: 1.0})
            else:
                with pytest.raises(ValueError, match=f"{key} is nan, expected a finite number"):
                    function(1.0, **{key: np.nan})


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_derivative_is_the_slope(name):
    x = np.array([-3.3, -1.3, -0.75, -0.2, 0.3, 0.9, 2.0, 5.0])
    h = 1e-5
    f = REGISTRY[name]
    slope = (f(x + h) - f(x - h)) / (2 * h)
    # h^2 / 6 times a third derivative below 3, and two roundings of values below 8 over 2 h.
    np.testing.assert_allclose(f.derivative(x), slope, rtol=0, atol=h * h + 8 * 9 * 2.3e-16 / h)


RISING = [name for name in ELEMENTWISE if REGISTRY[name].derivative(X).min() >= 0]


@pytest.mark.parametrize("name", RISING)
def test_monotonic_from_end_to_end(name, dtype):
    """To within the ULP that the error bounds leave, over all exponents."""
    x = sampled(dtype, per_exponent=20)
    x = np.sort(x[~np.isnan(x)])
    y = REGISTRY[name](x).astype(np.float64)
    slack = 5 * reference.ulp(y[1:], dtype)
    with np.errstate(over="ignore"):
        falls = y[:-1] > y[1:] + slack
    assert not falls.any(), x[1:][falls][:5]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_at_the_ends_nothing_overflows(name, dtype):
    x = np.array([-np.inf, -1e4, 1e4, np.inf], dtype)
    parameters = parameters_of(name, dtype)
    with np.errstate(all="ignore"):
        wanted = reference.ORACLES[name].function(x.astype(np.float64), **parameters)
    np.testing.assert_allclose(REGISTRY[name](x), wanted, rtol=np.finfo(dtype).eps)
    assert np.isfinite(REGISTRY[name].derivative(x)).all()


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_slope_of_the_output_is_that_of_the_sum_where_the_row_says_so(name, dtype):
    """Training keeps one array instead of two then."""
    row = next(row for row in _table.activations() if row["name"] == name)
    f, x = REGISTRY[name], sampled(dtype, per_exponent=4)
    x = np.concatenate([x, np.linspace(-8, 8, 1001, dtype=dtype)])
    cases = [{}] if name not in WITH_PARAMETERS else [parameters_of(name, dtype)] + [
        {"alpha": alpha} if f.beta is None else {"alpha": alpha, "beta": beta}
        for alpha, beta in PARAMETERS
    ]  # fmt: skip
    same = all(
        np.array_equal(f.derivative(f(x, **case), **case), f.derivative(x, **case), equal_nan=True)
        for case in cases
    )
    assert same == row["slope_of_output"] or name == "step"  # no one learns through a step


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_zeros_are_likely_where_the_row_says_so(name):
    row = next(row for row in _table.activations() if row["name"] == name)
    x = np.random.default_rng(0).standard_normal(10_000)
    assert ((REGISTRY[name](x) == 0).mean() > 0.4) == row["zeros_likely"]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_nan_only_from_nan(name, dtype):
    x = sampled(dtype, per_exponent=4)
    for function in (REGISTRY[name], REGISTRY[name].derivative):
        np.testing.assert_array_equal(np.isnan(function(x)), np.isnan(x))


def test_what_the_definitions_say():
    assert nncore.step(0.0) == 0
    assert nncore.step(-0.0) == 0
    assert np.isnan(nncore.relu(np.nan))
    assert nncore.sigmoid(-1000) == 0
    assert nncore.sigmoid(1000) == 1
    assert nncore.relu.derivative(0.0) == 0
    assert nncore.leaky_relu.derivative(0.0) == 0.01
    assert nncore.leaky_relu(-2.0, alpha=0.5) == -1
    assert nncore.elu.derivative(0.0) == 1
    assert not np.signbit(nncore.step(-0.0))
    assert np.signbit(nncore.tanh(-0.0))
    for f in (nncore.softsign, nncore.mish, nncore.gelu_tanh, nncore.hard_swish, nncore.clip):
        assert np.signbit(f(-0.0)), f
    assert nncore.hard_swish.derivative([-3.0, 3.0]).tolist() == [0, 1]
    assert nncore.relu6.derivative([0.0, 6.0]).tolist() == [0, 0]
    assert nncore.clip([-2.0, 0.0, 2.0], alpha=1, beta=-1).tolist() == [-1, -1, -1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_hard_sigmoid_takes_the_parameters_of_onnx(dtype):
    x = np.array([-3, -2.5, -2, 0, 1, 2.5, 3], dtype)
    np.testing.assert_allclose(
        nncore.hard_sigmoid(x, alpha=0.2), [0, 0, 0.1, 0.5, 0.7, 1, 1], atol=1e-7
    )
    np.testing.assert_allclose(nncore.hard_sigmoid(x), np.clip((x + 3) / 6, 0, 1), atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_classic_numbers(dtype):
    softmax = nncore.softmax(np.array([0.3, 2.9, 4.0], dtype))
    np.testing.assert_allclose(softmax, [0.01821127, 0.24519181, 0.73659691], atol=5e-8)
    softmax = nncore.softmax(np.array([1010, 1000, 990], dtype))
    np.testing.assert_allclose(softmax, [9.99954600e-01, 4.53978686e-05, 2.06106005e-09], rtol=2e-7)
    sigmoid = nncore.sigmoid(np.array([0.3, 0.7, 1.1], dtype))
    np.testing.assert_allclose(sigmoid, [0.57444252, 0.66818777, 0.75026011], atol=1e-7)


# softmax: exp has an error of 1 ULP, and of |x - max| / 2 because that difference is rounded; PANEL
# partial sums of m / PANEL positive numbers err by less than m / 16 + 3, the division by 1/2.
# log_softmax has the same errors as an absolute difference, and those of its own subtractions.
@pytest.mark.parametrize("m", [1, 2, 3, 7, 8, 9, 10, 15, 16, 17, 31, 100, 1000])
def test_softmax_against_the_oracle(m, dtype):
    rng = np.random.default_rng(m)
    x = (rng.standard_normal((20, m)) * 10).astype(dtype)
    wide = np.longdouble if dtype == "float64" else np.float64
    exact = x.astype(wide)
    distance = exact.max(axis=1, keepdims=True) - exact
    bound = np.finfo(dtype).eps * (5 + m / 16 + distance)
    wanted = reference.softmax(exact)
    assert (abs(nncore.softmax(x) - wanted) / (bound * wanted)).max() <= 1
    wanted = reference.log_softmax(exact)
    assert (abs(nncore.log_softmax(x) - wanted) / (bound + bound * abs(wanted))).max() <= 1


def test_softmax_where_ieee_has_an_answer(dtype):
    inf, nan = np.inf, np.nan
    big = np.finfo(dtype).max
    rows = np.array(
        [[-inf, 0, 0], [big, -big, 0], [nan, 0, 0], [inf, 0, 0], [-inf, -inf, -inf]], dtype
    )
    wanted = np.array([[0, 0.5, 0.5], [1, 0, 0], [nan] * 3, [0, 0, 0], [nan] * 3], dtype)
    got = nncore.softmax(rows)
    np.testing.assert_array_equal(got[[0, 1, 2, 4]], wanted[[0, 1, 2, 4]])
    assert np.isnan(got[3, 0])
    logarithm = nncore.log_softmax(rows)
    assert logarithm[0, 0] == -inf
    assert logarithm[1, 0] == 0
    assert np.isnan(logarithm[[2, 4]]).all()


@pytest.mark.parametrize("name", list(REGISTRY))
@pytest.mark.parametrize(
    ("x", "result"),
    [
        ([1.0, 2.0], "float64"), ([1, 2], "float64"), ((True, False), "float64"),
        (np.ones(3, np.float16), "float32"), (np.ones(3, np.float32), "float32"),
        (np.ones(3, np.uint8), "float64"), (np.ones(3, np.int64), "float64"),
        (np.ones(3, bool), "float64"), (np.ones(3, ">f4"), "float32"),
        (np.ones(3, np.longdouble), "float64"),
    ],
)  # fmt: skip
def test_dtype_of_the_result(name, x, result):
    y = REGISTRY[name](x)
    assert y.dtype == np.dtype(result)
    assert y.dtype.isnative
    assert y.shape == np.shape(x)


def layouts(x):
    """The same numbers, x (n, m), in other places of memory."""
    unaligned = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    unaligned[:] = x
    wide = np.zeros((2 * x.shape[0], 3 * x.shape[1]), x.dtype)
    wide[::2, ::3] = x
    frozen = x.copy()
    frozen.flags.writeable = False
    backwards = x[::-1, ::-1].copy()[::-1, ::-1]
    return {
        "C": x, "F": np.asfortranarray(x), "strided": wide[::2, ::3], "read-only": frozen,
        "unaligned": unaligned, "reversed": backwards, "swapped": x.astype(x.dtype.newbyteorder()),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(REGISTRY))
def test_layout_and_out_do_not_matter(name, dtype):
    f = REGISTRY[name]
    x = np.random.default_rng(5).standard_normal((5, 19)).astype(dtype)
    wanted = f(x)
    for each in layouts(x).values():
        assert_same_bits(f(each), wanted)
        for target in layouts(np.zeros_like(x)).items():
            if target[0] in ("read-only", "unaligned", "swapped"):
                continue
            assert f(each, out=target[1]) is target[1]
            assert_same_bits(target[1], wanted)
    for in_place in (x.copy(), np.asfortranarray(x), layouts(x)["strided"]):
        assert f(in_place, out=in_place) is in_place
        assert_same_bits(in_place, wanted)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_numbers_and_empty_arrays(name):
    f = REGISTRY[name]
    for function in (f, f.derivative):
        assert isinstance(function(0.5), np.float64)
        assert isinstance(function(np.array(0.5, np.float32)), np.float32)
        assert function(np.zeros((0, 3), np.float32)).shape == (0, 3)
        assert function([]).shape == (0,)
        target = np.array(7.0)
        assert function(0.5, out=target) is target
        assert target == function(0.5)


def test_softmax_needs_a_last_axis():
    assert nncore.softmax(np.zeros((0, 3))).shape == (0, 3)
    assert nncore.softmax(np.zeros((2, 3, 4))).shape == (2, 3, 4)
    for x in (1.0, [], np.zeros((3, 0))):
        with pytest.raises(ValueError, match=r"expected \(\.\.\., m\) with m at least 1"):
            nncore.softmax(x)


REFUSED = [
    (np.zeros(4, np.float32), TypeError, "out has dtype float32, expected float64"),
    (np.zeros(3), ValueError, r"out has shape \(3,\), expected \(4,\)"),
    (np.zeros((4, 1)), ValueError, r"out has shape \(4, 1\), expected \(4,\)"),
    ([0.0] * 4, TypeError, "out is of type list, expected a numpy.ndarray"),
    (np.broadcast_to(np.zeros(1), 4), ValueError, "out is read-only, expected a writable array"),
    (np.ma.zeros(4), TypeError, "out is of type MaskedArray, expected a numpy.ndarray"),
]


@pytest.mark.parametrize("name", list(REGISTRY))
@pytest.mark.parametrize(("out", "error", "text"), REFUSED)
def test_out_is_refused(name, out, error, text):
    with pytest.raises(error, match=text):
        REGISTRY[name](np.zeros(4), out=out)


@pytest.mark.parametrize("name", list(REGISTRY))
def test_out_may_be_x_itself_but_not_overlap_it(name):
    memory = np.arange(40.0)
    text = "out overlaps x in memory, expected x itself or memory of its own"
    for x, out in [
        (memory[:-1], memory[1:]),
        (memory[1:], memory[:-1]),
        (memory[::-1], memory),
        (memory.view(np.int64), memory),
        (memory[:20].view(np.float32), memory.view(np.float32)[20:60]),
    ]:
        with pytest.raises(ValueError, match=text):
            REGISTRY[name](x, out=out)
    np.testing.assert_array_equal(memory, np.arange(40.0))


def test_x_that_is_a_buffer_may_not_overlap_either():
    memory = array.array("f", range(1, 41))
    out = np.frombuffer(memory, np.float32)[1:]
    with pytest.raises(ValueError, match="out overlaps x in memory"):
        nncore.relu(memoryview(memory)[:-1], out=out)


@pytest.mark.parametrize(
    ("x", "error", "text"),
    [
        ([1j], TypeError, "x has dtype complex128, expected real numbers"),
        ("ab", TypeError, "x has dtype <U2, expected real numbers"),
        (None, TypeError, "x has dtype object"),
        ([[1.0], [1.0, 2.0]], ValueError, "x is no rectangular array of numbers"),
        (np.ma.zeros(2), TypeError, "x is a masked array, expected a plain one"),
        (np.zeros(2, "M8[s]"), TypeError, "x has dtype datetime64"),
    ],
)
def test_x_is_refused(x, error, text):
    for f in REGISTRY.values():
        with pytest.raises(error, match=text):
            f(x)


def test_an_unknown_activation_lists_the_known():
    with pytest.raises(ValueError, match="activation is 'rleu', expected one of identity, st"):
        nncore.activations.get("rleu")
    with pytest.raises(ValueError, match="activation is None"):
        nncore.activations.get(None)


@pytest.mark.parametrize("name", ["leaky_relu", "elu", "clip", "hard_sigmoid"])
def test_parameters_that_the_dtype_cannot_hold_are_refused(name):
    """alpha would become infinity, and 0 * infinity is NaN."""
    function = nncore.activations.get(name)
    text = "alpha is 1e\\+300, expected at most 3.4028235e\\+38 in float32"
    parameters = {"alpha": 1e300} | ({"beta": 2e300} if name == "clip" else {})
    with pytest.raises(ValueError, match=text):
        function(np.float32([-1, 0]), **parameters)
    with pytest.raises(ValueError, match=text):
        nncore.Network([nncore.Dense(1, 1, name, **parameters)], seed=0)
    with pytest.raises(ValueError, match=text):
        nncore.affine(np.float32([0]), np.float32([[1]]), None, name, **parameters)
    assert not np.isnan(function([-1.0, 0.0], **parameters)).any()


def test_affine_takes_the_parameters_of_its_activation():
    x, w = np.linspace(-3, 3, 14).reshape(7, 2), np.eye(2)
    for name, parameters in (("elu", {"alpha": 0.5}), ("clip", {"alpha": -2, "beta": 0.5})):
        wanted = nncore.activations.get(name)(x, **parameters)
        assert_same_bits(nncore.affine(x, w, None, name, **parameters), wanted)
    with pytest.raises(ValueError, match="activation is 'relu', which has no alpha"):
        nncore.affine(x, w, None, "relu", alpha=1)


def test_the_module_has_every_activation_under_its_name():
    assert all(getattr(nncore.activations, name) is REGISTRY[name] for name in REGISTRY)
    with pytest.raises(AttributeError, match=r"'nncore\.activations' has no attribute 'rleu'"):
        nncore.activations.rleu  # noqa: B018


def misaligned(values):
    memory = np.zeros(values.nbytes + 1, np.uint8)[1:]
    result = memory.view(values.dtype).reshape(values.shape)
    result[...] = values
    assert not result.flags.aligned
    return result


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_misaligned_arrays_are_copied(dtype):
    x = np.linspace(-1, 1, 20).astype(dtype).reshape(4, 5)
    odd = misaligned(x)
    for function in (nncore.softmax, nncore.tanh, nncore.tanh.derivative):
        assert function(odd).tobytes() == function(x).tobytes()
    for kernel in (
        lambda a, b: _table.softmax(False, a, b),
        lambda a, b: _table.activate(REGISTRY["tanh"]._code, 0, 0, a, b),
    ):
        with pytest.raises(TypeError, match="aligned"):
            kernel(odd, np.empty_like(x))
    targets = nncore.losses.prepare_targets(nncore.losses.REGISTRY["mse"], odd, 4, 5, x.dtype)
    assert targets.flags.aligned
    assert np.array_equal(targets, x)


@pytest.mark.parametrize("name", nncore.activations.REGISTRY)
def test_the_short_way_has_the_bits_of_the_long_one(name, dtype):
    function = nncore.activations.get(name)
    rng = np.random.default_rng(0)
    for shape in [(1,), (10,), (3, 7), (2, 3, 5), (4096,), (4097,), (1, 1)]:
        x = (rng.standard_normal(shape) * 5).astype(dtype)
        strided = np.stack([x, x], axis=-1)[..., 0]  # goes the long way
        wanted = function(strided)
        assert_same_bits(function(x), wanted)
        out = np.empty_like(x)
        assert function(x, out) is out
        assert_same_bits(out, wanted)
        assert function(x, out=x) is x
        assert_same_bits(x, wanted)


def test_the_short_way_refuses_nothing_that_the_long_one_takes():
    x = np.linspace(-1, 1, 10)
    with pytest.raises(ValueError, match="out overlaps x"):
        nncore.softmax(x[:-1], out=x[1:])
    with pytest.raises(TypeError, match="out has dtype float32"):
        nncore.softmax(x, out=np.empty(10, "f4"))
    with pytest.raises(ValueError, match=r"out has shape \(5, 2\)"):
        nncore.relu(x, out=np.empty((5, 2)))
    frozen = np.empty(10)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        nncore.relu(x, out=frozen)
    x.flags.writeable = False
    assert nncore.relu(x).flags.writeable
    assert nncore.relu(np.float64(-2.0)) == 0
