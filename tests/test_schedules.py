"""Learning rates: against their formulas, against PyTorch's, and their bits pinned."""

from __future__ import annotations

import hashlib
import math
import re

import numpy as np
import pytest

import nncore
from nncore.schedules import Schedule, _cos_pi, _exp, rates_of

SCHEDULES = [
    nncore.Constant(0.1),
    nncore.StepDecay(0.1),
    nncore.StepDecay(0.1, factor=0.5, every=7),
    nncore.Exponential(0.1),
    nncore.Exponential(0.1, factor=0.9, every=7),
    nncore.Cosine(0.1),
    nncore.Cosine(0.1, final=0.01),
    nncore.OneCycle(0.1),
    nncore.OneCycle(0.1, pct_start=0.5, div_factor=3, final_div_factor=7),
]
TOTALS = [1, 2, 3, 4, 5, 10, 100, 1000]


def test_cosine_and_exponential_of_our_own_are_right():
    x = np.linspace(0, 1, 10001)
    assert np.abs(_cos_pi(x) - np.cos(np.pi * x)).max() < 4e-16
    assert (_cos_pi(np.array([0.0, 0.5, 1.0])) == [1.0, 0.0, -1.0]).all()
    y = np.linspace(-700, 700, 10001)
    np.testing.assert_allclose(_exp(y), np.exp(y), rtol=1e-13)
    assert _exp(np.array([0.0])) == 1.0
    assert (_exp(np.array([-1e9, 1e9])) == [0.0, math.inf]).all()


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("total", TOTALS)
def test_one_step_and_all_at_once_are_the_same(schedule, total):
    rates = rates_of(schedule, total)
    assert rates.shape == (total,)
    assert rates.dtype == np.float64
    assert np.isfinite(rates).all()
    assert (rates >= 0).all()
    assert rates.tolist() == [schedule(step, total) for step in range(total)]
    assert rates.tolist() == rates_of(lambda step, total: schedule(step, total), total).tolist()


def test_each_schedule_has_its_formula():
    steps = np.arange(100)
    assert (rates_of(nncore.Constant(0.3), 100) == 0.3).all()
    np.testing.assert_allclose(
        nncore.StepDecay(2.0, factor=0.5, every=30)(steps, 100), 2.0 * 0.5 ** (steps // 30)
    )
    np.testing.assert_allclose(
        nncore.StepDecay(2.0, factor=0.5, every=0.25)(steps, 100), 2.0 * 0.5 ** (steps // 25)
    )
    np.testing.assert_allclose(
        nncore.Exponential(2.0, factor=0.3, every=20)(steps, 100), 2.0 * 0.3 ** (steps / 20)
    )
    np.testing.assert_allclose(
        nncore.Exponential(2.0, factor=0.3)(steps, 100), 2.0 * 0.3 ** (steps / 100)
    )
    np.testing.assert_allclose(
        nncore.Cosine(2.0, final=0.5)(steps, 100), 0.5 + 0.75 * (1 + np.cos(np.pi * steps / 100))
    )


def test_one_cycle_goes_up_and_far_down():
    rates = rates_of(nncore.OneCycle(1.0), 1000)
    top = int(rates.argmax())
    assert top == 299
    assert rates[top] == 1.0
    assert rates[0] == 1 / 25
    assert rates[-1] == pytest.approx(1 / 25 / 1e4, rel=1e-9)
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()


@pytest.mark.parametrize("total", [4, 5, 10, 100, 1000])
@pytest.mark.parametrize("options", [{}, {"pct_start": 0.45, "div_factor": 3.0,
                                          "final_div_factor": 50.0}])  # fmt: skip
def test_one_cycle_is_pytorchs(total, options):
    torch = pytest.importorskip("torch", reason="PyTorch, to compare with, is not installed")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.01, total_steps=total, cycle_momentum=False, **options
    )
    expected = []
    for step in range(total):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        if step < total - 1:
            scheduler.step()
    np.testing.assert_allclose(
        rates_of(nncore.OneCycle(0.01, **options), total), expected, rtol=1e-9, atol=1e-12
    )


def test_rates_are_the_same_bits_on_every_machine():
    digest = hashlib.sha256()
    for schedule in SCHEDULES:
        for total in TOTALS:
            digest.update(rates_of(schedule, total).astype("<f8").tobytes())
    assert digest.hexdigest() == PINNED


PINNED = "94290eae29cd97243a869a412851e19e7f2f5836cd3caeebf17c9a3cc221b653"


def test_any_callable_is_a_schedule():
    calls = []

    def schedule(step, total):
        calls.append((step, total))
        return 0.5 / (1 + step)

    assert rates_of(schedule, 3).tolist() == [0.5, 0.25, 0.5 / 3]
    assert calls == [(0, 3), (1, 3), (2, 3)]


def test_fit_tells_the_schedule_all_its_steps():
    calls = []
    net = nncore.Network([nncore.Dense(2, 1)], seed=0)
    net.fit(np.ones((7, 2)), np.ones(7), epochs=2, batch_size=3,
            optimizer=nncore.SGD(lambda *step: calls.append(step) or 0.1))  # fmt: skip
    assert calls == [(step, 6) for step in range(6)]


def test_a_callable_with_other_arguments_is_refused():
    text = r"learning_rate is <function .*, which does not take two arguments, expected a " \
        r"callable\(step, total\), a schedule"  # fmt: skip
    for optimizer in (nncore.SGD, nncore.AdaGrad, nncore.RMSProp, nncore.Adam, nncore.AdamW):
        with pytest.raises(TypeError, match=text):
            optimizer(lambda step: 0.1)
        assert "callable(step, total)" in optimizer.__doc__
    with pytest.raises(TypeError, match=r"learning_rate is <class .*OneCycle.*not take two"):
        nncore.Adam(nncore.OneCycle)
    optimizer = nncore.Adam(lambda step, total, scale=1.0: 0.1)
    optimizer.learning_rate = lambda: 0.1
    with pytest.raises(TypeError, match=text):
        nncore.Network([nncore.Dense(2, 1)]).fit([[1, 2]], [1], optimizer=optimizer)
    nncore.SGD(max)  # compiled, without a signature: who knows


@pytest.mark.parametrize("rate", [-1.0, math.nan, math.inf, None, "fast", [1, 2]])
def test_a_callable_that_gives_no_rate_is_refused(rate):
    expected = f"the learning rate of step 1 is {rate!r}, expected a finite number of at least 0"
    with pytest.raises(ValueError, match=re.escape(expected)):
        rates_of(lambda step, total: rate if step == 1 else 0.1, 3)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: nncore.Constant(-1), ValueError,
         "learning_rate is -1.0, expected a finite number of at least 0"),
        (lambda: nncore.OneCycle(True), TypeError, "max_learning_rate is True, expected"),
        (lambda: nncore.OneCycle(0.1, pct_start=1.5), ValueError,
         "pct_start is 1.5, expected a finite number from 0 to 1"),
        (lambda: nncore.OneCycle(0.1, div_factor=0), ValueError,
         "div_factor is 0.0, expected a finite number above 0"),
        (lambda: nncore.Exponential(0.1, factor=0), ValueError, "factor is 0.0, expected"),
        (lambda: nncore.StepDecay(0.1, every=0), ValueError,
         "every is 0, expected a whole number of steps, or a share above 0 and up to 1.0"),
        (lambda: nncore.StepDecay(0.1, every=1.5), ValueError, "every is 1.5, expected"),
        (lambda: nncore.StepDecay(0.1, every="epoch"), TypeError, "every is 'epoch', expected"),
        (lambda: nncore.Cosine(0.1)(10, 10), ValueError, "step is 10, expected 0 to 9 of 10"),
        (lambda: nncore.Cosine(0.1)(-1, 10), ValueError, "step is -1, expected 0 to 9"),
        (lambda: nncore.Cosine(0.1)(0.5, 10), TypeError, "step is 0.5, expected a whole number"),
    ],
)  # fmt: skip
def test_errors_name_what_came(make, error, text):
    with pytest.raises(error, match=re.escape(text)):
        make()


def test_repr_can_be_read():
    assert repr(nncore.Cosine(0.1)) == "Cosine(learning_rate=0.1, final=0.0)"
    assert all(isinstance(schedule, Schedule) for schedule in SCHEDULES)


def test_a_schedule_that_gives_no_rate_is_refused():
    x, t = [[0.0], [1.0]], [[0.0], [1.0]]
    negative, huge = nncore.Cosine(0.1), nncore.OneCycle(1e10, div_factor=1e-300)
    negative.learning_rate = -1.0
    growing = nncore.Exponential(1.0, factor=1e300, every=1)
    for schedule, text in (
        (negative, r"the learning rate of step 0 is .*-1\.0.*, expected a finite number of at"),
        (huge, r"the learning rate of step 0 is .*inf.*, expected"),
        (growing, r"the learning rate of step 2 is .*inf.*, expected"),
    ):
        net = nncore.Network([nncore.Dense(1, 1)], seed=0)
        before = net.layers[0].weights.copy()
        with pytest.raises(ValueError, match=text):
            net.fit(x, t, epochs=9, optimizer=nncore.SGD(schedule))
        assert np.array_equal(net.layers[0].weights, before)


def test_a_tiny_share_is_one_step():
    rates = nncore.StepDecay(1.0, factor=0.5, every=1e-300)(np.arange(4), 4)
    assert rates.tolist() == [1.0, 0.5, 0.25, 0.125]


@pytest.mark.parametrize("total", ["5", None, 5.5, True])
def test_a_total_that_is_no_whole_number_is_refused(total):
    with pytest.raises(TypeError, match=r"total is .*, expected a whole number"):
        nncore.Cosine(0.1)(0, total)


def test_a_rate_beyond_every_float_is_refused():
    with pytest.raises(ValueError, match="learning_rate is inf, expected a finite number"):
        nncore.Constant(10**400)
