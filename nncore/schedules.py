"""Learning rates that change from step to step, given where the number would stand.

``nncore.Adam(nncore.OneCycle(1e-2))``: `fit` tells the schedule how many steps there are. All of
this is + - * / and square roots on arrays, element by element, with a cosine and an exponential of
our own: a schedule is the same on every machine, to the last bit.

Any callable may stand for a schedule: it is called as ``callable(step, total)`` with the index of
the step, from 0, and the number of all steps of the fit, and returns the rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore._random import log

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PI = 3.141592653589793
_LN2 = 0.6931471805599453


class Schedule:
    """A learning rate as a function of the step; made by one of its subclasses.

    ``schedule(step, total)`` is the rate of the step with index `step` (an int, or an array of
    them) of `total`; `fit` uses each step once, from 0, and begins anew in each fit.
    """

    def __call__(self, step: Any, total: int) -> Any:
        """Return the rate of a step: a float, or float64 (n,) for steps (n,).

        Raises
        ------
        TypeError
            `step` or `total` is no whole number.
        ValueError
            `total` is below 1, or a step is not between 0 and `total` - 1.

        Examples
        --------
        >>> import nncore
        >>> nncore.Cosine(0.5)(50, 100)
        0.25
        """
        if isinstance(total, bool) or not isinstance(total, (int, np.integer)):
            raise TypeError(f"total is {total!r}, expected a whole number")
        steps = np.asarray(step)
        if steps.dtype.kind not in "iu":
            raise TypeError(f"step is {step!r}, expected a whole number")
        if total < 1 or (steps.size and not 0 <= steps.min() <= steps.max() < total):
            raise ValueError(f"step is {step}, expected 0 to {total - 1} of {total} steps")
        rates = self._rates(np.atleast_1d(steps).astype(np.float64), total)
        return rates if steps.ndim else float(rates[0])

    def _rates(self, steps: NDArray[np.float64], total: int) -> NDArray[np.float64]:
        raise NotImplementedError

    def __repr__(self) -> str:
        values = ", ".join(f"{key.lstrip('_')}={value!r}" for key, value in vars(self).items())
        return f"{type(self).__name__}({values})"


class Constant(Schedule):
    """The same rate at every step: what a plain number means, too.

    Parameters
    ----------
    learning_rate : float

    Examples
    --------
    >>> import nncore
    >>> nncore.Constant(1e-3)(7, 10)
    0.001
    """

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = _number(learning_rate, "learning_rate")

    def _rates(self, steps: NDArray[np.float64], total: int) -> NDArray[np.float64]:
        return np.full(steps.shape, self.learning_rate)


class StepDecay(Schedule):
    """The rate is multiplied by `factor` again and again, after `every` so many steps.

    Parameters
    ----------
    learning_rate : float
        Of the first steps.
    factor : float, optional
    every : int or float, optional
        An int of at least 1 counts steps; a float between 0 and 1 is a share of all of them, and
        means one step at least.

    Examples
    --------
    >>> import nncore
    >>> nncore.StepDecay(1.0, factor=0.5, every=10)([0, 9, 10, 20], 100)
    array([1.  , 1.  , 0.5 , 0.25])
    """

    def __init__(
        self, learning_rate: float, *, factor: float = 0.1, every: int | float = 1 / 3
    ) -> None:
        self.learning_rate = _number(learning_rate, "learning_rate")
        self.factor = _number(factor, "factor")
        self.every = _every(every)

    def _rates(self, steps: NDArray[np.float64], total: int) -> NDArray[np.float64]:
        # At most once a step, or a tiny share would be endless work below.
        length = self.every if isinstance(self.every, int) else max(self.every * total, 1.0)
        drops = np.floor(steps / length).astype(np.int64)
        # Multiplied one by one: a power would be the C library's.
        rates = [self.learning_rate]
        for _ in range(int(drops.max(initial=0))):
            rates.append(rates[-1] * self.factor)
        return np.array(rates)[drops]


class Exponential(Schedule):
    """The rate falls by `factor` over `every` so many steps, a little at each.

    Parameters
    ----------
    learning_rate : float
        Of the first step.
    factor : float, optional
        Above 0: what the rate has been multiplied by after `every` steps.
    every : int or float, optional
        An int of at least 1 counts steps; a float between 0 and 1 is a share of all of them. By
        default all: the last rates are about `learning_rate` times `factor`.

    Examples
    --------
    >>> import nncore
    >>> round(nncore.Exponential(1.0, factor=0.25)(50, 100), 12)
    0.5
    """

    def __init__(
        self, learning_rate: float, *, factor: float = 0.01, every: int | float = 1.0
    ) -> None:
        self.learning_rate = _number(learning_rate, "learning_rate")
        self.factor = _number(factor, "factor", above=0.0)
        self.every = _every(every)

    def _rates(self, steps: NDArray[np.float64], total: int) -> NDArray[np.float64]:
        length = self.every if isinstance(self.every, int) else self.every * total
        return self.learning_rate * _exp(steps / length * log(np.array([self.factor])))


class Cosine(Schedule):
    """Half a cosine wave from the rate down to `final` (Loshchilov and Hutter, 2017).

    Parameters
    ----------
    learning_rate : float
        Of the first step.
    final : float, optional
        Where the wave ends, one step after the last.

    Examples
    --------
    >>> import nncore
    >>> nncore.Cosine(1.0)([0, 2], 4)
    array([1. , 0.5])
    """

    def __init__(self, learning_rate: float, *, final: float = 0.0) -> None:
        self.learning_rate = _number(learning_rate, "learning_rate")
        self.final = _number(final, "final")

    def _rates(self, steps: NDArray[np.float64], total: int) -> NDArray[np.float64]:
        return _anneal(self.learning_rate, self.final, steps / total)


class OneCycle(Schedule):
    """The rate rises to its largest value and falls far below its first one (Smith, 2018).

    PyTorch's OneCycleLR with its defaults: half a cosine wave from ``max_learning_rate /
    div_factor`` up during `pct_start` of the steps, then another one down to the rate of the
    beginning divided by `final_div_factor`. Momentum stays as it is: it is not cycled.

    Parameters
    ----------
    max_learning_rate : float
    pct_start : float, optional
        Between 0 and 1, the share of steps that go up.
    div_factor, final_div_factor : float, optional
        Above 0.

    Examples
    --------
    >>> import nncore
    >>> nncore.OneCycle(0.5)([0, 2, 9], 10)
    array([2.e-02, 5.e-01, 2.e-06])
    """

    def __init__(
        self,
        max_learning_rate: float,
        *,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        self.max_learning_rate = _number(max_learning_rate, "max_learning_rate")
        self.pct_start = _number(pct_start, "pct_start", at_most=1.0)
        self.div_factor = _number(div_factor, "div_factor", above=0.0)
        self.final_div_factor = _number(final_div_factor, "final_div_factor", above=0.0)

    def _rates(self, steps: NDArray[np.float64], total: int) -> NDArray[np.float64]:
        initial = self.max_learning_rate / self.div_factor
        final = initial / self.final_div_factor
        top = self.pct_start * total - 1.0  # PyTorch's; below 0 there is no way up
        up = _anneal(initial, self.max_learning_rate, steps / max(top, 1.0))
        way = total - 1.0 - top
        share = (steps - top) / way if way > 0 else np.ones_like(steps)
        down = _anneal(self.max_learning_rate, final, share)
        return np.where(steps <= top, up, down)


def rates_of(learning_rate: float | Callable[[int, int], float], total: int) -> NDArray[np.float64]:
    """Return the rate of every step of a fit: float64 (total,), read-only for a single number.

    Raises
    ------
    ValueError
        A schedule gives a rate that is negative or not finite, or no number.
    """
    if isinstance(learning_rate, Schedule):
        with np.errstate(all="ignore"):  # what is not finite is refused below
            rates = np.asarray(learning_rate(np.arange(total), total), dtype=np.float64)
        good = np.isfinite(rates) & (rates >= 0)
        if not good.all():
            step = int(np.argmin(good))
            raise _bad_rate(step, rates[step])
        return rates
    if not callable(learning_rate):
        # No memory for each step: a fit may have a billion epochs, until a callback ends it.
        return np.broadcast_to(np.float64(learning_rate), (total,))
    rates = np.empty(total)
    for step in range(total):
        rate = learning_rate(step, total)
        try:
            rates[step] = rate
        except (TypeError, ValueError, OverflowError):
            rates[step] = math.nan
        if not 0 <= rates[step] < math.inf:
            raise _bad_rate(step, rate)
    return rates


def _bad_rate(step: int, rate: object) -> ValueError:
    return ValueError(
        f"the learning rate of step {step} is {rate!r}, expected a finite number of at least 0"
    )


def check_learning_rate(value: Any) -> Any:
    """Return a rate of at least 0 as a float, or a schedule or other callable as it is."""
    if not callable(value):
        return _number(value, "learning_rate", " or a schedule")
    if not isinstance(value, Schedule) and not takes(value, 2):
        raise TypeError(
            f"learning_rate is {value!r}, which does not take two arguments, expected a "
            "callable(step, total), a schedule such as nncore.OneCycle(0.01) or a number"
        )
    return value


def takes(function: Callable[..., Any], count: int) -> bool:
    """Return whether a function takes so many arguments; True where nobody can tell."""
    import inspect

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # compiled ones may have none
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _number(
    value: Any, name: str, alternative: str = "", above: float | None = None,
    at_most: float = math.inf,
) -> float:  # fmt: skip
    """Return `value` as a finite float of at least 0, or above `above`."""
    bounds = "of at least 0" if above is None else f"above {above:g}"
    if at_most < math.inf:
        bounds = f"from 0 to {at_most:g}"
    expected = f"expected a finite number {bounds}{alternative}"
    if isinstance(value, (bool, str, bytes)):
        raise TypeError(f"{name} is {value!r}, {expected}")
    try:
        number = float(value)
    except OverflowError:  # an int with hundreds of digits
        number = math.inf
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}, {expected}") from None
    if not math.isfinite(number) or number < 0 or number > at_most or number == above:
        raise ValueError(f"{name} is {number}, {expected}")
    return number


def _every(value: Any) -> int | float:
    expected = "expected a whole number of steps, or a share above 0 and up to 1.0 as a float"
    if isinstance(value, (float, np.floating)):
        if not 0 < value <= 1:
            raise ValueError(f"every is {value}, {expected}")
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"every is {value!r}, {expected}")
    if value < 1:
        raise ValueError(f"every is {value}, {expected}")
    return int(value)


def _anneal(start: float, end: float, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return half a cosine wave from `start`, at share 0, to `end`, at share 1."""
    wave = _cos_pi(np.clip(share, 0.0, 1.0))
    return start * (0.5 + 0.5 * wave) + end * (0.5 - 0.5 * wave)  # both ends exactly


def _cos_pi(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return cos(pi x) for x from 0 to 1, within 2 ULP of 1."""
    # Brought down to at most pi/4, where eleven terms of the series are exact to 2**-60.
    middle = (x > 0.25) & (x < 0.75)
    angle = _PI * np.where(middle, 0.5 - x, np.where(x < 0.5, x, 1.0 - x))
    square = angle * angle
    cos, sin = np.ones_like(x), np.ones_like(x)
    for k in range(20, 0, -2):
        cos = 1.0 - cos * square / (k * (k - 1))
        sin = 1.0 - sin * square / (k * (k + 1))
    return np.where(middle, angle * sin, np.where(x < 0.5, cos, -cos))


def _exp(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return exp(x), within some ULP for |x| up to 700; beyond, it goes on to 0 and infinity."""
    halvings = np.rint(np.clip(x, -800.0, 800.0) / _LN2)
    rest = np.clip(x, -800.0, 800.0) - halvings * _LN2  # at most 0.35: 18 terms are plenty
    series = np.ones_like(x)
    for k in range(18, 0, -1):
        series = 1.0 + series * rest / k
    with np.errstate(all="ignore"):
        return np.ldexp(series, halvings.astype(np.int32))
