"""Fit the polynomials of ext/simd/math.tpl.h and print them as C tables.

The tables also stand in nncore/page/activations.js, which gives the same bits.

Development only; needs mpmath. Each polynomial is fitted by Remez' exchange in 60 digits to the
smallest largest relative error on its interval, then its coefficients are rounded to the target
type. Prints the error of the rounded polynomial.

Run: python tools/fit_polynomials.py
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp

mp.mp.dps = 60


def chebyshev_nodes(low: mp.mpf, high: mp.mpf, count: int) -> list[mp.mpf]:
    middle, half = (low + high) / 2, (high - low) / 2
    return [middle - half * mp.cos(mp.pi * (i + mp.mpf(1) / 2) / count) for i in range(count)]


def remez(
    f: Callable[[mp.mpf], mp.mpf],
    weight: Callable[[mp.mpf], mp.mpf],
    low: mp.mpf,
    high: mp.mpf,
    powers: list[int],
    rounds: int = 12,
) -> list[mp.mpf]:
    """Coefficients c of sum(c[i] * x**powers[i]) that minimise max |weight * (f - sum)|."""
    terms = len(powers)
    nodes = chebyshev_nodes(low, high, terms + 1)
    grid = chebyshev_nodes(low, high, 60 * (terms + 1))
    target = [f(x) for x in grid]
    scale = [weight(x) for x in grid]
    solution: list[mp.mpf] = []
    for _ in range(rounds):
        rows = [[x**p for p in powers] + [(-1) ** i / weight(x)] for i, x in enumerate(nodes)]
        answer = mp.lu_solve(mp.matrix(rows), mp.matrix([f(x) for x in nodes]))
        solution = [answer[i] for i in range(terms)]
        error = [
            s * (t - mp.fsum(c * x**p for c, p in zip(solution, powers, strict=True)))
            for x, t, s in zip(grid, target, scale, strict=True)
        ]
        extremes: list[int] = []
        for i, e in enumerate(error):
            if extremes and (error[extremes[-1]] > 0) == (e > 0):
                if abs(e) > abs(error[extremes[-1]]):
                    extremes[-1] = i
            else:
                extremes.append(i)
        while len(extremes) > terms + 1:
            extremes.pop(0 if abs(error[extremes[0]]) < abs(error[extremes[-1]]) else -1)
        if len(extremes) < terms + 1:
            break
        nodes = [grid[i] for i in extremes]
    return solution


def round_to(value: mp.mpf, bits: int) -> mp.mpf:
    mantissa, exponent = mp.frexp(value)
    return mp.ldexp(mp.nint(mp.ldexp(mantissa, bits)), exponent - bits)


def fit(name: str, f, weight, low, high, degree: int, bits: int) -> None:
    low, high = mp.mpf(low), mp.mpf(high)
    exact = remez(f, weight, low, high, list(range(degree + 1)))
    fixed = [round_to(c, bits) for c in exact]
    worst = max(
        abs(weight(x) * (f(x) - mp.fsum(c * x**p for p, c in enumerate(fixed))))
        for x in chebyshev_nodes(low, high, 997)
    )
    suffix = "f" if bits == 24 else ""
    print(f"/* {name}: relative error 2^{mp.nstr(mp.log(worst, 2), 4)} */")
    digits = 9 if bits == 24 else 17
    print("    " + ", ".join(mp.nstr(c, digits) + suffix for c in fixed) + ",")


def small(f, series):
    """f, or its Taylor series where f itself would divide 0 by 0."""
    return lambda x: series if abs(x) < mp.mpf(10) ** -25 else f(x)


def main() -> None:
    half_ln2 = mp.log(2) / 2 * mp.mpf("1.001")
    expm1_rest = small(lambda r: (mp.expm1(r) - r) / r**2, mp.mpf(1) / 2)
    atanh_rest = small(lambda z: (mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z * 2, mp.mpf(2) / 3)
    for bits, exp_degree, log_degree, tail_degree, tail_end in (
        (24, 4, 4, 8, 15),
        (53, 9, 10, 21, 39),
    ):
        print(f"\n---- {bits} bits ----")
        fit(
            "(exp(r) - 1 - r) / r^2 on |r| <= ln2 / 2",
            expm1_rest,
            lambda r: r**2 / mp.exp(r) + mp.mpf(10) ** -6,  # not 0: Remez divides by it
            -half_ln2,
            half_ln2,
            exp_degree,
            bits,
        )
        fit(
            "2 (atanh(s) / s - 1) / s^2 as a polynomial in z = s^2 on [0, 1/9]",
            atanh_rest,
            lambda z: z / 2,
            mp.mpf(10) ** -24,
            mp.mpf(1) / 9,
            log_degree,
            bits,
        )
        centre = mp.mpf(4)

        def tail(y, centre=centre):
            t = centre * (1 + y) / (1 - y)
            return (t + centre) * mp.ncdf(-t) * mp.exp(t * t / 2)

        top = (tail_end - centre) / (tail_end + centre)
        fit(
            "(t + 4) Phi(-t) exp(t^2/2) as a polynomial in y = (t - 4) / (t + 4), 0 <= t <= "
            f"{tail_end}",
            tail,
            lambda y: 1 / tail(y),
            -1,
            top,
            tail_degree,
            bits,
        )


if __name__ == "__main__":
    main()
