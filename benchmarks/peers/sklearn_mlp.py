"""scikit-learn: MLPClassifier or MLPRegressor with its coefficients set, never trained."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import LabelBinarizer

from . import Model

DISTRIBUTION = "scikit-learn"
INPUT = "float32"
NAMES = {"sigmoid": "logistic", "relu": "relu", "tanh": "tanh", "identity": "identity"}


def settings(threads: int) -> tuple[str, ...]:
    """`checked`, as it comes; `assume finite`, the docs' advice for prediction latency."""
    return ("checked", "assume finite")


def save(
    folder: Path,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    batch: int,
) -> None:
    """Write a pickle of the estimator, the way its users keep models."""
    if len(set(activations[:-1])) != 1 or activations[-1] not in ("identity", "softmax"):
        raise ValueError(
            "scikit-learn takes one activation for all hidden layers and identity or softmax "
            f"for the output, got {list(activations)}"
        )
    kind = MLPClassifier if activations[-1] == "softmax" else MLPRegressor
    estimator = kind([w.shape[1] for w in weights[:-1]], activation=NAMES[activations[0]])
    estimator.coefs_ = [w.copy() for w in weights]
    estimator.intercepts_ = [b.copy() for b in biases]
    estimator.n_features_in_ = weights[0].shape[0]
    estimator.n_outputs_ = weights[-1].shape[1]
    estimator.n_layers_ = len(weights) + 1
    estimator.out_activation_ = activations[-1]
    if activations[-1] == "softmax":
        estimator._label_binarizer = LabelBinarizer().fit(np.arange(estimator.n_outputs_))
        estimator.classes_ = estimator._label_binarizer.classes_
    (folder / "net.pkl").write_bytes(pickle.dumps(estimator))


def load(folder: Path, threads: int, batch: int, setting: str) -> Model:
    """Load the pickle, which `save` wrote in this folder a moment ago."""
    estimator = pickle.loads((folder / "net.pkl").read_bytes())
    quick = setting == "assume finite"
    sklearn.set_config(assume_finite=quick, skip_parameter_validation=quick)
    if isinstance(estimator, MLPClassifier):
        return Model(estimator.predict_proba)
    return Model(estimator.predict)
