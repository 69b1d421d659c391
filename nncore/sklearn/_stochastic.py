"""The solvers sgd and adam: epochs, learning rates, and when to stop.

An epoch runs in nncore's Trainer, a step of the optimizer for each batch. The formulas are those of
scikit-learn, which differ from PyTorch's, that the Trainer has, in three ways. Adam's epsilon is
added before the correction of the second moment, so the Trainer gets another epsilon for each step.
A velocity of scikit-learn's contains the learning rate, so where that changes, the Trainer's
velocity is divided by it. And alpha is no decay of the biases.
"""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from nncore.fit.data import dropout_rates
from nncore.fit.interrupts import InterruptsDeferred
from nncore.sklearn._problem import Problem, make_network
from nncore.sklearn._rows import chunk_of, dense_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nncore.fit.trainer import Trainer

_CALL_SECONDS = 0.1  # so that Ctrl-C is answered


class Steps(NamedTuple):
    """The rates of some steps, and what of the optimizer's settings differs from step to step."""

    rates: NDArray[Any]
    settings: dict[str, NDArray[Any]]
    of_biases: dict[str, NDArray[Any]]

    def some(self, place: slice) -> Steps:
        """Return these of the steps."""
        return Steps(
            self.rates[place],
            {name: values[place] for name, values in self.settings.items()},
            {name: values[place] for name, values in self.of_biases.items()},
        )


class Optimizer:
    """The optimizer of an estimator, kept with it between calls of `partial_fit`.

    Attributes
    ----------
    learning_rate : float
        The present one.
    """

    def __init__(self, estimator: Any) -> None:
        self.learning_rate_init = float(estimator.learning_rate_init)
        self.learning_rate = self.learning_rate_init
        self._kind = estimator.solver
        self._state: dict[str, Any] | None = None
        if self._kind == "sgd":
            self._schedule, self._power_t = estimator.learning_rate, estimator.power_t
            self._settings = {
                "momentum": estimator.momentum,
                "dampening": 0.0,
                "nesterov": float(estimator.nesterovs_momentum),
                "weight_decay": 0.0,
            }
        else:
            self._schedule = "constant"
            self._settings = {
                "beta1": estimator.beta_1,
                "beta2": estimator.beta_2,
                "eps": estimator.epsilon,
                "weight_decay": 0.0,
            }

    def make_trainer(self, problem: Problem, **options: Any) -> Trainer:
        """Make a Trainer that goes on with the state."""
        trainer = problem.trainer({"kind": self._kind, **self._settings}, **options)
        if self._state is not None:
            trainer.set_state(self._state)
        return trainer

    def keep(self, trainer: Trainer) -> None:
        """Keep the state that a Trainer has reached."""
        self._state = trainer.get_state()

    def steps(self, problem: Problem, first: int, totals: NDArray[Any]) -> Steps:
        """Return the steps from number `first` on, for batches of these weights."""
        count, slope = len(totals), problem.slope
        settings: dict[str, NDArray[Any]] = {}
        of_biases: dict[str, NDArray[Any]] = {}
        if problem.alpha:
            settings["weight_decay"] = problem.alpha / totals / slope
            of_biases["weight_decay"] = np.zeros(count)
        if self._kind == "sgd":
            return Steps(np.full(count, self.learning_rate * slope), settings, of_biases)
        numbers = np.arange(first + 1, first + count + 1, dtype=np.float64)
        second = np.sqrt(1 - self._settings["beta2"] ** numbers)
        settings["eps"] = self._settings["eps"] / slope / second
        return Steps(np.full(count, self.learning_rate), settings, of_biases)

    def end_epoch(self, trainer: Trainer, seen: int) -> None:
        """Change the learning rate, where that depends on the number of samples seen."""
        if self._schedule == "invscaling":
            self._change_rate(trainer, self.learning_rate_init / (seen + 1) ** self._power_t)

    def stops(self, trainer: Trainer, reason: str, verbose: Any) -> bool:
        """Return whether to stop for that reason; an adaptive learning rate is lowered first."""
        what = " Stopping."
        if self._schedule == "adaptive":
            if self.learning_rate > 1e-6:
                self._change_rate(trainer, self.learning_rate / 5)
                what = f" Setting learning rate to {self.learning_rate:f}"
            else:
                what = " Learning rate too small. Stopping."
        if verbose:
            print(reason + what)
        return what.endswith("Stopping.")

    def _change_rate(self, trainer: Trainer, rate: float) -> None:
        before, self.learning_rate = self.learning_rate, rate
        if self._settings["momentum"] and rate != before:
            state = trainer.get_state()
            with np.errstate(all="ignore"):
                state["arrays"] = [a * (before / max(rate, 1e-300)) for a in state["arrays"]]
            trainer.set_state(state)


class _Epochs:
    """Runs epochs of a problem in a Trainer."""

    def __init__(self, problem: Problem, optimizer: Optimizer, trainer: Trainer, size: int) -> None:
        self._problem, self._optimizer, self._trainer = problem, optimizer, trainer
        self._size = size
        self._batches = 16  # of a call
        self.diverged = False

    def run(self, rows: NDArray[Any]) -> float:
        """Learn from these rows in order; return scikit-learn's mean loss."""
        if self.diverged:
            return float("nan")
        problem, size = self._problem, self._size
        rows = self._that_weigh(rows)
        totals = problem.totals(rows, size)
        found, squares = np.empty(len(totals)), np.empty(len(totals))
        steps = self._optimizer.steps(problem, self._trainer.steps, totals)
        at = 0
        while at < len(totals):
            here = slice(at, min(at + self._batches, len(totals)))
            with InterruptsDeferred():
                began = time.perf_counter()
                finite = self._run_batches(
                    rows[at * size : here.stop * size],
                    steps.some(here),
                    found[here],
                    squares[here],
                )
                seconds = max(time.perf_counter() - began, 1e-9)
            if not finite:
                # The next step would make the weights NaN, and they would stay so.
                self.diverged = True
                return float("nan")
            in_time = int((here.stop - at) * _CALL_SECONDS / seconds)
            self._batches = max(1, min(in_time, 8 * self._batches))
            at = here.stop
        counts = np.diff(np.append(np.arange(0, len(rows), size), len(rows)))
        losses = problem.losses(found, squares, rows, size)
        return float((losses * counts).sum() / len(rows))

    def _that_weigh(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Leave out batches of weight 0: they have no mean loss, and nothing to learn from."""
        if self._problem.weights is None:
            return rows
        none = self._problem.totals(rows, self._size) == 0
        if none.all():
            raise ValueError("the weights of all samples are 0, expected some above 0")
        return rows[~none[np.arange(len(rows)) // self._size]] if none.any() else rows

    def _run_batches(
        self,
        rows: NDArray[Any],
        steps: Steps,
        found: NDArray[Any],
        squares: NDArray[Any],
    ) -> bool:
        """Run the batches of one call, and return whether every loss is finite.

        `found` is filled with nncore's losses, `squares` with the sums of squared weights.
        """
        problem, size = self._problem, self._size
        # Sparse samples become dense for some batches at a time.
        batches = max(1, chunk_of(problem.x) // size) if issparse(problem.x) else len(found)
        for first in range(0, len(found), batches):
            part = slice(first, first + batches)
            now = np.ascontiguousarray(rows[first * size : part.stop * size], np.int64)
            x, targets, weights = problem.x, problem.targets, problem.weights
            if issparse(x):
                x, targets = dense_rows(x, now), targets[now]
                weights = None if weights is None else weights[now]
                now = np.arange(len(now), dtype=np.int64)
            rates, settings, of_biases = steps.some(part)
            losses, _, bad = self._trainer.run(
                x, targets, weights, now, size, rates, settings, of_biases, squares[part]
            )
            if bad >= 0:
                return False
            found[part] = losses
        return True


def _split(estimator: Any, y: Any) -> tuple[Any, Any]:
    """Return the rows to learn from and the rows to validate with, drawn as scikit-learn does."""
    rows = np.arange(len(y))
    if not estimator.early_stopping:
        return rows, None
    stratify = y if estimator._stratifies() else None
    learned, held_out = train_test_split(
        rows, random_state=estimator._random_state, test_size=estimator.validation_fraction,
        stratify=stratify,
    )  # fmt: skip
    if len(held_out) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your "
            "dataset."
        )
    return learned, held_out


def _batch_size(estimator: Any, n: int) -> int:
    if estimator.batch_size == "auto":
        return min(200, n)
    if estimator.batch_size > n:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
            stacklevel=2,
        )
    return int(min(estimator.batch_size, n))


def _has_converged(estimator: Any, trainer: Trainer) -> bool:
    """Return whether to stop, after so many epochs without progress."""
    if estimator._no_improvement_count <= estimator.n_iter_no_change:
        return False
    what = "Validation score" if estimator.early_stopping else "Training loss"
    reason = (
        f"{what} did not improve more than tol={estimator.tol:f} for "
        f"{estimator.n_iter_no_change} consecutive epochs."
    )
    if estimator._optimizer.stops(trainer, reason, estimator.verbose):
        return True
    estimator._no_improvement_count = 0
    return False


def fit_stochastic(
    estimator: Any,
    x: Any,
    y: Any,
    weights: Any,
    sample_weight: Any,
    dtype: np.dtype[Any],
    incremental: bool,
) -> None:
    """Fit an estimator, whose weights are initialized.

    `weights` are of samples and classes together; `sample_weight` is what the validation counts.
    """
    if not incremental or not hasattr(estimator, "_optimizer"):
        estimator._optimizer = Optimizer(estimator)
    optimizer = estimator._optimizer
    if estimator.early_stopping and incremental:
        raise ValueError("partial_fit does not support early_stopping=True")
    net = make_network(
        estimator.coefs_, estimator.intercepts_, estimator.activation,
        estimator.out_activation_, dtype,
    )  # fmt: skip
    problem = Problem.of(net, estimator.out_activation_, estimator.alpha, x, y, weights)
    rates = dropout_rates(estimator.dropout, len(estimator.coefs_))
    seed = 0 if rates is None else int(estimator._random_state.randint(2**31))
    trainer = optimizer.make_trainer(problem, dropout=rates, seed=seed)
    learned, held_out = _split(estimator, y)
    validation: tuple[Any, Any, Any] = (None, None, None)
    if held_out is not None:
        weight = None if sample_weight is None else sample_weight[held_out]
        validation = x[held_out], estimator._labels_of(y[held_out]), weight
    n = len(learned)
    epochs = _Epochs(problem, optimizer, trainer, _batch_size(estimator, n))

    def reach() -> None:
        """Give the estimator the weights that were reached."""
        pairs = trainer.arrays()
        if epochs.diverged:
            pairs = [(np.full_like(w, np.nan), np.full_like(b, np.nan)) for w, b in pairs]
        estimator.coefs_ = [w for w, _ in pairs]
        estimator.intercepts_ = [b for _, b in pairs]

    order = np.arange(n)
    try:
        estimator.n_iter_ = 0
        for _ in range(estimator.max_iter):
            if estimator.shuffle:
                places = np.arange(n)  # as sklearn.utils.shuffle does it, which takes longer
                estimator._random_state.shuffle(places)
                order = order[places]
            estimator.loss_ = epochs.run(learned[order])
            estimator.n_iter_ += 1
            estimator.t_ += n
            estimator.loss_curve_.append(estimator.loss_)
            if estimator.verbose:
                print(f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")
            if held_out is not None:
                reach()
            estimator._update_no_improvement_count(held_out is not None, *validation)
            optimizer.end_epoch(trainer, estimator.t_)
            if _has_converged(estimator, trainer) or incremental:
                break
            if estimator.n_iter_ == estimator.max_iter:
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and "
                    "the optimization hasn't converged yet.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=2)
    reach()
    optimizer.keep(trainer)
    if estimator.early_stopping:
        estimator.coefs_ = estimator._best_coefs
        estimator.intercepts_ = estimator._best_intercepts
