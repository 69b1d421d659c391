"""The solver lbfgs: SciPy's L-BFGS-B over nncore's gradients, in double precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.optimize
from sklearn.utils.optimize import _check_optimize_result

from nncore.sklearn._problem import Problem, make_network
from nncore.sklearn._rows import chunks

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Objective:
    """Loss and gradient as a function of all weights and biases in one vector.

    The vector has all weights, layer by layer, and then all biases.
    """

    def __init__(self, shapes: list[tuple[int, int]], problem: Problem) -> None:
        self._shapes = shapes
        self._problem = problem
        self._trainer = problem.trainer()
        rows = np.arange(problem.x.shape[0])
        self._total = problem.totals(rows, len(rows))[0]
        self._rows = rows

    def __call__(self, packed: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
        """Return loss and gradient."""
        weights, biases = unpack(packed, self._shapes)
        self._trainer.set_arrays(list(zip(weights, biases, strict=True)))
        problem, alpha = self._problem, self._problem.alpha
        loss, gradient = 0.0, np.zeros(len(packed))
        for place, x in chunks(problem.x):
            w = None if problem.weights is None else problem.weights[place]
            weight = len(x) if w is None else float(w.sum(dtype=np.float64))
            if weight == 0:
                continue
            share = weight / self._total
            value, pairs = self._trainer.gradients(x, problem.targets[place], w)
            loss += share * value
            gradient += (share * problem.slope) * pack(*zip(*pairs, strict=True))
        ends = sum(w.size for w in weights)
        gradient[:ends] += alpha / self._total * packed[:ends]
        squares = np.array([packed[:ends] @ packed[:ends]])
        losses = problem.losses(np.array([loss]), squares, self._rows, len(self._rows))
        return float(losses[0]), gradient


def pack(weights: Any, biases: Any) -> NDArray[Any]:
    """Return all weights, then all biases in one vector."""
    return np.hstack([array.ravel() for array in (*weights, *biases)])


def unpack(packed: NDArray[Any], shapes: list[tuple[int, int]]) -> tuple[list[Any], list[Any]]:
    """Return weights and biases of layers of these shapes, which share the vector's memory."""
    weights, biases, at = [], [], 0
    for k, m in shapes:
        weights.append(packed[at : at + k * m].reshape(k, m))
        at += k * m
    for _, m in shapes:
        biases.append(packed[at : at + m])
        at += m
    return weights, biases


def objective_of(estimator: Any, x: Any, y: Any, sample_weight: Any) -> Objective:
    """Return what an estimator minimises over samples x with targets y (n, m)."""
    net = make_network(
        estimator.coefs_, estimator.intercepts_, estimator.activation,
        estimator.out_activation_, np.float64,
    )  # fmt: skip
    problem = Problem.of(net, estimator.out_activation_, estimator.alpha, x, y, sample_weight)
    return Objective([np.shape(w) for w in estimator.coefs_], problem)


def fit_lbfgs(estimator: Any, x: Any, y: Any, sample_weight: Any, dtype: np.dtype[Any]) -> None:
    """Fit an estimator, whose weights are initialized."""
    objective = objective_of(estimator, x, y, sample_weight)

    def report(intermediate_result: Any) -> None:
        report.iteration += 1  # type: ignore[attr-defined]
        if estimator.verbose:
            number = report.iteration  # type: ignore[attr-defined]
            print(f"Iteration {number}, loss = {intermediate_result.fun:.8f}")

    report.iteration = 0  # type: ignore[attr-defined]
    with np.errstate(all="ignore"):  # of a step that was too long; the line search takes it back
        found = scipy.optimize.minimize(
            objective,
            pack(estimator.coefs_, estimator.intercepts_).astype(np.float64),
            method="L-BFGS-B",
            jac=True,
            callback=report,
            options={
                "maxfun": estimator.max_fun,
                "maxiter": estimator.max_iter,
                "gtol": estimator.tol,
            },
        )
    estimator.n_iter_ = _check_optimize_result("lbfgs", found, estimator.max_iter)
    estimator.loss_ = float(found.fun)
    weights, biases = unpack(found.x, [w.shape for w in estimator.coefs_])
    estimator.coefs_ = [w.astype(dtype) for w in weights]
    estimator.intercepts_ = [b.astype(dtype) for b in biases]
