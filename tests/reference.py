"""The oracles: what every kernel should give, in plain NumPy and double precision.

For double precision itself, `exactly` has the same functions in decimal arithmetic of 420 digits.
Slow and obvious on purpose. Also here: how arrays are compared, by their bits or in units in the
last place (ULP).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from decimal import MAX_EMAX, MIN_EMIN, Decimal, localcontext
from typing import NamedTuple

import numpy as np

SQRT_HALF = math.sqrt(0.5)
DIGITS = 420  # 1 - tanh(x) keeps its digits down to the smallest subnormals


def _each(function):
    """A function of one float as one of an array."""
    return np.vectorize(function, otypes=[np.float64])


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1 + e)


def _phi(x):
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


_normal_cdf = _each(lambda x: 0.5 * math.erfc(-x * SQRT_HALF))


def _softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _at_ends(ends, function):
    """`function`, and at infinities, where it would be infinity times 0, `ends`."""
    return lambda x: np.where(np.isinf(x), ends(x), function(x))


def _left_zero(function):
    """`function` of numbers, and 0 at -infinity."""
    return _at_ends(lambda x: np.maximum(x, 0), function)


def _where(condition, x, yes=1.0):
    return np.where(np.isnan(x), x, np.where(condition, yes, 0.0))


def _mish_slope(x):
    s = _softplus(x)
    t = np.tanh(s)
    return t + x * 4 * _sigmoid(2 * s) * _sigmoid(-2 * s) * _sigmoid(x)


TANH_SCALE = 2 * math.sqrt(2 / math.pi)


def _gelu_tanh_exponent(x):
    return TANH_SCALE * (x + 0.044715 * x**3)


def _gelu_tanh_slope(x):
    v = _gelu_tanh_exponent(x)
    rise = TANH_SCALE * (1 + 3 * 0.044715 * x * x)
    return _sigmoid(v) * (1 + x * _sigmoid(-v) * rise)


def _exact_sigmoid(x):
    return 1 / (1 + (-x).exp())


def _exact_gelu(x):
    return x * _exact_normal(x)[0]


def _exact_gelu_slope(x):
    cdf, density = _exact_normal(x)
    return cdf + x * density


def _exact_silu_slope(x):
    s = _exact_sigmoid(x)
    return s * (1 + x * (1 - s))


def _exact_softplus(x):
    return (1 + x.exp()).ln()


def _exact_tanh(x):
    return 2 * _exact_sigmoid(2 * x) - 1


def _exact_mish_slope(x):
    t = _exact_tanh(_exact_softplus(x))
    return t + x * (1 - t * t) * _exact_sigmoid(x)


def _exact_gelu_tanh(x):
    return x * _exact_sigmoid(2 * (2 / _pi()).sqrt() * (x + GELU_CUBIC * x**3))


def _exact_gelu_tanh_slope(x):
    scale = 2 * (2 / _pi()).sqrt()
    s = _exact_sigmoid(scale * (x + GELU_CUBIC * x**3))
    return s + x * s * (1 - s) * scale * (1 + 3 * GELU_CUBIC * x * x)


def _clip(x, alpha, beta):
    return np.minimum(np.maximum(x, alpha), beta)


ONE, ZERO, GELU_CUBIC = Decimal(1), Decimal(0), Decimal("0.044715")
SELU_SCALE = Decimal("1.0507009873554804934193349852946")
SELU_ALPHA = Decimal("1.6732632423543772848170429916717")


class Oracle(NamedTuple):
    """What an elementwise activation and its derivative should give, and how exactly.

    `function` and `derivative` take float64 arrays, `exact` and `exact_derivative` Decimals; then
    alpha and beta, where the activation has these parameters. The largest errors in ULP, rounded
    up to the next half, are (of the function, of the derivative): of float32 as measured over every
    211th number there is, of float64 over the sample in tests/test_activations.py.
    """

    function: Callable
    derivative: Callable
    exact: Callable
    exact_derivative: Callable
    ulp_float32: tuple[float, float]
    ulp_float64: tuple[float, float]


ORACLES = {
    "identity": Oracle(
        lambda x: x,
        lambda x: _where(True, x),
        lambda x: x,
        lambda x: ONE,
        (0, 0), (0, 0),
    ),
    "step": Oracle(
        lambda x: _where(x > 0, x),
        lambda x: _where(False, x),
        lambda x: ONE if x > 0 else ZERO,
        lambda x: ZERO,
        (0, 0), (0, 0),
    ),
    "sigmoid": Oracle(
        _sigmoid,
        lambda x: _sigmoid(x) * _sigmoid(-x),
        _exact_sigmoid,
        lambda x: _exact_sigmoid(x) * (1 - _exact_sigmoid(x)),
        (2.5, 4), (2, 3),
    ),
    "tanh": Oracle(
        np.tanh,
        lambda x: 4 * _sigmoid(2 * x) * _sigmoid(-2 * x),
        _exact_tanh,
        lambda x: 4 * _exact_sigmoid(2 * x) * (1 - _exact_sigmoid(2 * x)),
        (2.5, 4), (2.5, 3),
    ),
    "relu": Oracle(
        lambda x: np.where(x < 0, 0.0, x),
        lambda x: _where(x > 0, x),
        lambda x: max(x, ZERO),
        lambda x: ONE if x > 0 else ZERO,
        (0, 0), (0, 0),
    ),
    "leaky_relu": Oracle(
        lambda x, alpha: np.where(x > 0, x, alpha * x),
        lambda x, alpha: np.where(x > 0, 1.0, _where(True, x, alpha)),
        lambda x, alpha: x if x > 0 else alpha * x,
        lambda x, alpha: ONE if x > 0 else alpha,
        (0.5, 0), (0.5, 0),
    ),
    "elu": Oracle(
        lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
        lambda x, alpha: np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0))),
        lambda x, alpha: x if x > 0 else alpha * (x.exp() - 1),
        lambda x, alpha: ONE if x > 0 else alpha * x.exp(),
        (1, 1), (1, 1),
    ),
    "gelu": Oracle(
        _left_zero(lambda x: x * _normal_cdf(x)),
        _at_ends(_normal_cdf, lambda x: _normal_cdf(x) + x * _phi(x)),
        _exact_gelu,
        _exact_gelu_slope,
        (7.5, 9.5), (6.5, 8.5),
    ),
    "silu": Oracle(
        _left_zero(lambda x: x * _sigmoid(x)),
        _at_ends(_sigmoid, lambda x: _sigmoid(x) * (1 + x * _sigmoid(-x))),
        lambda x: x * _exact_sigmoid(x),
        _exact_silu_slope,
        (3, 3), (2.5, 2),
    ),
    "softplus": Oracle(
        _softplus,
        _sigmoid,
        _exact_softplus,
        _exact_sigmoid,
        (2, 2.5), (1.5, 2),
    ),
    "selu": Oracle(
        lambda x: float(SELU_SCALE) * np.where(
            x > 0, x, float(SELU_ALPHA) * np.expm1(np.minimum(x, 0))
        ),
        lambda x: float(SELU_SCALE) * np.where(
            x > 0, 1.0, float(SELU_ALPHA) * np.exp(np.minimum(x, 0))
        ),
        lambda x: SELU_SCALE * (x if x > 0 else SELU_ALPHA * (x.exp() - 1)),
        lambda x: SELU_SCALE * (ONE if x > 0 else SELU_ALPHA * x.exp()),
        (2, 2), (2, 1.5),
    ),
    "relu6": Oracle(
        lambda x: _clip(x, 0, 6),
        lambda x: _where((x > 0) & (x < 6), x),
        lambda x: min(max(x, ZERO), Decimal(6)),
        lambda x: ONE if 0 < x < 6 else ZERO,
        (0, 0), (0, 0),
    ),
    "clip": Oracle(
        _clip,
        lambda x, alpha, beta: _where((x > alpha) & (x < beta), x),
        lambda x, alpha, beta: min(max(x, alpha), beta),
        lambda x, alpha, beta: ONE if alpha < x < beta else ZERO,
        (0, 0), (0, 0),
    ),
    "hard_sigmoid": Oracle(
        lambda x, alpha, beta: _clip(alpha * x + beta, 0, 1),
        lambda x, alpha, beta: _where((alpha * x + beta > 0) & (alpha * x + beta < 1), x, alpha),
        lambda x, alpha, beta: min(max(alpha * x + beta, ZERO), ONE),
        lambda x, alpha, beta: alpha if 0 < alpha * x + beta < 1 else ZERO,
        (0.5, 0), (0.5, 0),
    ),
    "hard_swish": Oracle(
        _left_zero(lambda x: x * (_clip(x + 3, 0, 6) / 6)),
        lambda x: np.where(x <= -3, 0.0, np.where(x >= 3, 1.0, (2 * x + 3) / 6)),
        lambda x: x * min(max(x + 3, ZERO), Decimal(6)) / 6,
        lambda x: ZERO if x <= -3 else ONE if x >= 3 else (2 * x + 3) / 6,
        (2, 1), (2, 1.5),
    ),
    "softsign": Oracle(
        _at_ends(np.sign, lambda x: x / (1 + np.abs(x))),
        lambda x: 1 / (1 + np.abs(x)) ** 2,
        lambda x: x / (1 + abs(x)),
        lambda x: 1 / (1 + abs(x)) ** 2,
        (2, 4), (1.5, 3.5),
    ),
    "mish": Oracle(
        _left_zero(lambda x: x * np.tanh(_softplus(x))),
        _at_ends(_sigmoid, _mish_slope),
        lambda x: x * _exact_tanh(_exact_softplus(x)),
        _exact_mish_slope,
        (4, 5), (2.5, 3.5),
    ),
    "gelu_tanh": Oracle(
        _left_zero(lambda x: x * _sigmoid(_gelu_tanh_exponent(x))),
        _at_ends(_sigmoid, _gelu_tanh_slope),
        _exact_gelu_tanh,
        _exact_gelu_tanh_slope,
        (3.5, 4.5), (2.5, 2.5),
    ),
}  # fmt: skip


def softmax(x):
    """exp(x - max) / sum along the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax(x):
    """The logarithm of softmax along the last axis."""
    z = x - x.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


ROWWISE = {"softmax": softmax, "log_softmax": log_softmax}


def affine(x, w, b):
    """x (n, k) @ w (k, m) + b (m,), in double precision."""
    return x.astype(np.float64) @ w.astype(np.float64) + b.astype(np.float64)


def affine_bound(x, w, b, dtype):
    """How far a chain of k fused multiply-adds may be from `affine`, element by element.

    Each of the k roundings errs by at most eps / 2 of a partial sum, which is at most
    sum |x w| + |b| (Higham 2002, section 3.1); as much again, and more, for the oracle's own.
    """
    k = w.shape[0]
    size = affine(np.abs(x), np.abs(w), np.abs(b))
    return (k + 2) * np.finfo(dtype).eps * size + np.finfo(dtype).smallest_subnormal * (k + 2)


def multiply_add(x, y, z):
    """x * y + z in double precision, to one unit in the last place even where the two cancel, or to
    one subnormal step.

    The rounding errors of product and sum are computed too (Dekker 1971; Knuth, TAOCP 4.2.2), and
    are left out where a factor or the product is so large that their computation overflows.
    """
    x, y, z = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (x, y, z)))
    with np.errstate(all="ignore"):
        product = x * y
        (x_high, x_low), (y_high, y_low) = _halves(x), _halves(y)
        rest = x_low * y_low - (((product - x_high * y_high) - x_low * y_high) - x_high * y_low)
        total = product + z
        of_z = total - product
        rest = rest + ((product - (total - of_z)) + (z - of_z))
        return np.where(np.isfinite(rest), total + rest, total)


def _halves(x):
    """x as a sum of two numbers of 26 bits or fewer (Veltkamp's way)."""
    scaled = x * (2.0**27 + 1)
    high = scaled - (scaled - x)
    return high, x - high


def chain(x, w, b):
    """One float32 output as the rule of the arithmetic has it: a chain of fused multiply-adds.

    In double precision a product of floats is exact, and adding a float to it errs only in bits
    that the rounding to float32 does not see, but for rare double roundings: values on a coarse
    grid (see its use) have none.
    """
    acc = np.float32(b)
    for xk, wk in zip(x, w, strict=True):
        acc = np.float32(np.float64(xk) * np.float64(wk) + np.float64(acc))
    return acc + np.float32(0)


@functools.cache
def _pi():
    """pi to DIGITS digits, by Machin's formula in whole numbers."""
    one = 10 ** (DIGITS + 10)

    def arccot(n):
        term, total, i = one // n, 0, 1
        while term:
            total += term // i if i % 4 == 1 else -(term // i)
            term //= n * n
            i += 2
        return total

    return Decimal(4 * (4 * arccot(5) - arccot(239))) / one


def _exact_normal(x):
    """Phi(x) and phi(x): Phi = 1/2 + phi (x + x^3 / 3 + x^5 / 15 + ...)."""
    if abs(x) > 40:  # phi(40) is far below the smallest subnormal
        return Decimal(int(x > 0)), Decimal(0)
    density = (-x * x / 2).exp() / (2 * _pi()).sqrt()
    term = total = x
    i = 1
    while term and term.adjusted() > total.adjusted() - DIGITS + 20:
        i += 2
        term = term * x * x / i
        total += term
    return Decimal("0.5") + density * total, density


def exactly(function, x, parameters):
    """The exact values, as Decimals, of one of an oracle's exact functions at floats."""
    with localcontext() as context:
        context.prec, context.Emax, context.Emin = DIGITS, MAX_EMAX, MIN_EMIN
        constants = [Decimal(float(each)) for each in parameters]
        return [function(Decimal(float(each)), *constants) for each in x]


def ulp(y, dtype):
    """The distance of neighbouring numbers of `dtype` at |y|, at least the smallest subnormal."""
    limits = np.finfo(dtype)
    _, exponent = np.frexp(np.minimum(np.abs(np.asarray(y, np.float64)), float(limits.max)))
    return np.ldexp(1.0, np.maximum(exponent - 1 - limits.nmant, limits.minexp - limits.nmant))


def ulp_error(y, wanted, floor=0.0):
    """How many ULP float32 numbers are off; both NaN, or the same infinity, is 0.

    Below `floor`, the ULP of the floor counts: for functions that cross zero by cancellation.
    """
    y64, wanted = y.astype(np.float64), np.asarray(wanted, np.float64)
    limit = np.float64(np.finfo(y.dtype).max)
    both = np.isnan(y64) & np.isnan(wanted) | (y64 == wanted)
    over = np.isinf(y64) & (np.abs(wanted) >= limit) & (np.sign(y64) == np.sign(wanted))
    with np.errstate(invalid="ignore"):
        error = np.abs(y64 - wanted) / ulp(np.maximum(np.abs(wanted), floor), y.dtype)
    error[np.isnan(error)] = np.inf
    error[both | over] = 0
    return error


def ulp_error_exactly(y, wanted, floor=0.0):
    """The same for float64 numbers against Decimals."""
    with localcontext() as context:
        context.prec = DIGITS
        units = ulp(np.maximum(np.abs([float(each) for each in wanted]), floor), np.float64)
        return np.array(
            [
                float(abs(Decimal(float(a)) - b) / Decimal(float(unit)))
                for a, b, unit in zip(y, wanted, units, strict=True)
            ]
        )


def bits(array):
    """The elements as unsigned integers, every NaN as the same one."""
    array = np.array(array, order="C")
    whole = array.view(f"u{array.itemsize}")
    whole[np.isnan(array)] = np.array(np.nan, array.dtype).view(whole.dtype)
    return whole


def assert_same_bits(a, b):
    """Same shape, same dtype, same bits: -0.0 is not 0.0, and every NaN equals every NaN."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    different = bits(a) != bits(b)
    assert not different.any(), (
        f"{different.sum()} of {different.size} differ, first at "
        f"{tuple(int(i) for i in np.argwhere(different)[0])}: {a[different][0]!r} and "
        f"{b[different][0]!r}"
    )
