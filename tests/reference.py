"""The oracles: what every kernel should give, in plain NumPy and double precision.

For double precision itself, `exactly` has the same functions in decimal arithmetic of 420 digits.
Slow and obvious on purpose. Also here: how arrays are compared, by their bits or in units in the
last place (ULP).
"""

from __future__ import annotations

import functools
import math
from decimal import Decimal, localcontext

import numpy as np

SQRT_HALF = math.sqrt(0.5)
LEAKY_SLOPE = 0.01
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

FUNCTIONS = {
    "identity": lambda x: x,
    "step": lambda x: np.where(np.isnan(x), x, np.where(x > 0, 1.0, 0.0)),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "relu": lambda x: np.where(x < 0, 0.0, x),
    "leaky_relu": lambda x: np.where(x > 0, x, LEAKY_SLOPE * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: np.where(x == -np.inf, 0.0, x * _normal_cdf(x)),
    "silu": lambda x: np.where(x == -np.inf, 0.0, x * _sigmoid(x)),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
}


def _silu_slope(x):
    s = _sigmoid(x)
    return np.where(np.isinf(x), s, s * (1 + x * _sigmoid(-x)))


def _gelu_slope(x):
    return np.where(np.isinf(x), _normal_cdf(x), _normal_cdf(x) + x * _phi(x))


DERIVATIVES = {
    "identity": lambda x: np.where(np.isnan(x), x, 1.0),
    "step": lambda x: np.where(np.isnan(x), x, 0.0),
    "sigmoid": lambda x: _sigmoid(x) * _sigmoid(-x),
    "tanh": lambda x: 4 * _sigmoid(2 * x) * _sigmoid(-2 * x),
    "relu": FUNCTIONS["step"],
    "leaky_relu": lambda x: np.where(np.isnan(x), x, np.where(x > 0, 1.0, LEAKY_SLOPE)),
    "elu": lambda x: np.where(x > 0, 1.0, np.exp(np.minimum(x, 0))),
    "gelu": _gelu_slope,
    "silu": _silu_slope,
    "softplus": _sigmoid,
}


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


def _exact(name, x):
    one = Decimal(1)

    def sigmoid(z):
        return one / (one + (-z).exp())

    zero = Decimal(0)

    def s():
        return sigmoid(x)

    if name.startswith("gelu"):
        cdf, density = _exact_normal(x)
        return x * cdf if name == "gelu" else cdf + x * density
    return {
        "sigmoid": s,
        "tanh": lambda: 2 * sigmoid(2 * x) - 1,
        "elu": lambda: x if x > 0 else x.exp() - 1,
        "silu": lambda: x * s(),
        "softplus": lambda: (one + x.exp()).ln(),
        "sigmoid'": lambda: s() * (1 - s()),
        "tanh'": lambda: 4 * sigmoid(2 * x) * (1 - sigmoid(2 * x)),
        "elu'": lambda: one if x > 0 else x.exp(),
        "silu'": lambda: s() * (1 + x * (1 - s())),
        "softplus'": s,
        "leaky_relu": lambda: x if x > 0 else Decimal(LEAKY_SLOPE) * x,
        "leaky_relu'": lambda: one if x > 0 else Decimal(LEAKY_SLOPE),
        "identity": lambda: x,
        "identity'": lambda: one,
        "relu": lambda: max(x, zero),
        "relu'": lambda: one if x > 0 else zero,
        "step": lambda: one if x > 0 else zero,
        "step'": lambda: zero,
    }[name]()


def exactly(name, x):
    """The exact values, as Decimals, of a function ("tanh") or a derivative ("tanh'") at floats."""
    with localcontext() as context:
        context.prec = DIGITS
        return [_exact(name, Decimal(float(each))) for each in x]


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
