"""scikit-learn's estimators and pipelines, from the attributes that fitting gave them.

An estimator is known by its class's name and module, so scikit-learn itself is not imported. A
subclass of somebody else's is what its base is, unless it predicts or transforms in its own way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nncore import activations
from nncore._validation import excerpt
from nncore.formats._contents import Contents
from nncore.interop._assembler import Assembler

_ACTIVATIONS = {
    "identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu",
    "softmax": "softmax",
}  # fmt: skip
_OURS = "nncore.sklearn"  # whose estimators are subclasses that compute the same

# They all predict x @ coef_ + intercept_.
_LINEAR = (
    "ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "HuberRegressor", "Lars",
    "LarsCV", "Lasso", "LassoCV", "LassoLars", "LassoLarsCV", "LassoLarsIC", "LinearRegression",
    "LinearSVR", "MultiTaskElasticNet", "MultiTaskElasticNetCV", "MultiTaskLasso",
    "MultiTaskLassoCV", "OrthogonalMatchingPursuit", "OrthogonalMatchingPursuitCV",
    "QuantileRegressor", "Ridge", "RidgeCV", "SGDRegressor", "TheilSenRegressor",
)  # fmt: skip

# A subclass that has one of these methods of its own may compute anything.
_METHODS = ("predict", "predict_proba", "decision_function", "transform", "_predict", "_forward")


def from_estimator(estimator: Any) -> Contents:
    """Return the layers of a fitted estimator, or of a pipeline of scalers that ends in one.

    Raises
    ------
    TypeError
        It is none of scikit-learn's.
    ValueError
        It is not fitted or not understood; the text names it, and its step in a pipeline.
    """
    steps = Assembler()
    classes = _add(steps, estimator, "", True)
    return steps.contents(classes=classes)


def _add(steps: Assembler, part: Any, place: str, is_last: bool) -> Any:
    """Add a pipeline, a scaler or a model; return the names of the classes if it has any."""
    kind = _kind(part, place)
    where = f"{place} ({kind})" if place else kind
    if kind == "Pipeline":
        return _pipeline(steps, part, place, is_last)
    known = _MODELS if is_last else _SCALERS
    if kind not in known:
        raise ValueError(f"{where} is not understood, expected one of {', '.join(known)}")
    try:
        return known[kind](steps, part, where)
    except AttributeError as error:
        raise ValueError(
            f"{where} has no {error.name}, expected an estimator that is fitted: call fit first"
        ) from error


def _kind(part: Any, place: str) -> str:
    """Return the name of the class of scikit-learn that an object is of, if it is understood."""
    own: set[str] = set()
    for cls in type(part).__mro__:
        if cls.__module__.split(".")[0] == "sklearn":
            if cls.__name__ not in {*_SCALERS, *_MODELS, "Pipeline"}:
                return type(part).__name__
            changed = sorted(own.intersection(_METHODS))
            if changed:
                raise ValueError(
                    f"{place or 'estimator'} is a {excerpt(type(part).__name__)}, which has a "
                    f"{changed[0]} of its own, expected a {cls.__name__} as scikit-learn has it"
                )
            return cls.__name__
        if not _is_ours(cls):
            own |= set(vars(cls))
    raise TypeError(
        f"{place or 'estimator'} is of type {type(part).__name__}, expected an estimator of "
        "scikit-learn"
    )


def _is_ours(cls: type) -> bool:
    return cls.__module__ == _OURS or cls.__module__.startswith(f"{_OURS}.")


def _pipeline(steps: Assembler, pipeline: Any, place: str, is_last: bool) -> Any:
    parts = [
        (f"{place + ', ' if place else ''}step '{excerpt(name)}'", part)
        for name, part in pipeline.steps
    ]
    classes = None
    for number, (where, part) in enumerate(parts, 1):
        ends = is_last and number == len(parts)
        if part is None or (isinstance(part, str) and part == "passthrough"):
            if ends:
                raise ValueError(f"{where} is 'passthrough', expected a classifier or regressor")
            continue
        classes = _add(steps, part, where, ends)
    return classes


# ---- scalers


def _standard_scaler(steps: Assembler, scaler: Any, where: str) -> None:
    # Without centring there is a mean_ all the same, which is not used.
    mean, scale = scaler.mean_, scaler.scale_
    _normalize(
        steps,
        mean if scaler.with_mean else None,
        scale if scaler.with_std else None,
        where,
        scaler.n_features_in_,
    )


def _robust_scaler(steps: Assembler, scaler: Any, where: str) -> None:
    center, scale = scaler.center_, scaler.scale_
    _normalize(
        steps,
        center if scaler.with_centering else None,
        scale if scaler.with_scaling else None,
        where,
        scaler.n_features_in_,
    )


def _min_max_scaler(steps: Assembler, scaler: Any, where: str) -> None:
    scale = np.asarray(scaler.scale_, dtype=np.float64)
    _normalize(steps, -scaler.min_ / scale, 1 / scale, where, len(scale))
    if scaler.clip:
        low, high = scaler.feature_range
        steps.activation("clip", where, float(low), float(high))


def _max_abs_scaler(steps: Assembler, scaler: Any, where: str) -> None:
    _normalize(steps, None, scaler.scale_, where, len(scaler.scale_))
    if getattr(scaler, "clip", False):  # since scikit-learn 1.8
        steps.activation("clip", where, -1.0, 1.0)


def _normalize(steps: Assembler, mean: Any, std: Any, where: str, features: int) -> None:
    if mean is None and std is None:
        return
    mean = np.zeros(features) if mean is None else mean
    steps.normalize(mean, np.ones(features) if std is None else std, where)


# ---- models


def _mlp(steps: Assembler, model: Any, where: str) -> None:
    names = _ACTIVATIONS
    if any(map(_is_ours, type(model).__mro__)):
        if model.out_activation_ == "exp":
            raise ValueError(
                f"{where} has the loss 'poisson', whose predictions are the exponentials of its "
                "network's outputs, which no layer computes: its network_ gives their logarithms"
            )
        names = {name: name for name in activations.REGISTRY} | _ACTIVATIONS
    for number, (weights, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True), 1):
        layer = f"{where}: layer {number}"
        is_last = number == len(model.coefs_)
        name = model.out_activation_ if is_last else model.activation
        if name not in names:
            raise ValueError(
                f"{layer} has the activation {excerpt(repr(name))}, expected one of "
                f"{', '.join(_ACTIVATIONS)}"
            )
        steps.dense(weights, bias, layer)
        steps.activation(names[name], layer)


def _mlp_classifier(steps: Assembler, model: Any, where: str) -> Any:
    _mlp(steps, model, where)
    # Several sigmoids are several labels at a time, whose classes_ only count the columns.
    is_multilabel = model.out_activation_ == "logistic" and model.n_outputs_ > 1
    return None if is_multilabel else model.classes_


def _linear(steps: Assembler, model: Any, where: str) -> None:
    weights, bias = _coefficients(model)
    steps.dense(weights, bias, where)


def _logistic(steps: Assembler, model: Any, where: str) -> Any:
    weights, bias = _coefficients(model)
    # Before scikit-learn 1.8 there was a choice, which the solver has a say in.
    choice = getattr(model, "multi_class", "auto")
    is_one_by_one = choice == "ovr" or (choice != "multinomial" and model.solver == "liblinear")
    if len(model.classes_) > 2:
        if is_one_by_one:
            raise ValueError(
                f"{where} has one classifier for each class (multi_class='ovr' or the solver "
                "liblinear), whose probabilities are divided by their sum, expected a multinomial "
                "one"
            )
        steps.dense(weights, bias, where)
        steps.activation("softmax", where)
        return model.classes_
    if choice == "multinomial":  # the softmax of -z and z
        weights, bias = 2 * weights, 2 * bias
    steps.dense(weights, bias, where)
    steps.activation("sigmoid", where)
    return model.classes_


def _coefficients(model: Any) -> tuple[Any, Any]:
    """Return weights (in_features, out_features) and bias (out_features,)."""
    coefficients = model.coef_
    if hasattr(coefficients, "toarray"):  # after sparsify()
        coefficients = coefficients.toarray()
    weights = np.atleast_2d(np.asarray(coefficients)).T
    bias = np.asarray(model.intercept_, dtype=weights.dtype)  # 0.0 where none was fitted
    return weights, np.broadcast_to(bias, weights.shape[1:])


_Adding = Callable[[Assembler, Any, str], Any]
_SCALERS: dict[str, _Adding] = {
    "StandardScaler": _standard_scaler,
    "MinMaxScaler": _min_max_scaler,
    "MaxAbsScaler": _max_abs_scaler,
    "RobustScaler": _robust_scaler,
}
_MODELS: dict[str, _Adding] = {
    "MLPClassifier": _mlp_classifier,
    "MLPRegressor": _mlp,
    "LogisticRegression": _logistic,
    "LogisticRegressionCV": _logistic,
    **dict.fromkeys(_LINEAR, _linear),
}
