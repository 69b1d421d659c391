"""Networks of other libraries as nncore's: one function for each library."""

from __future__ import annotations

from typing import Any

from nncore.formats import Contents
from nncore.network import Network

__all__ = ["from_keras", "from_sklearn"]


def from_keras(model: Any) -> Network:
    """Make a network of a Keras model: Sequential, or functional without branches.

    Files that Keras wrote need no Keras: ``nncore.load("net.keras")`` and ``nncore.load("net.h5")``
    read whole models with h5py alone.

    Parameters
    ----------
    model : keras.Sequential or keras.Model
        Built, so that it has weights; of Keras 3 or tf.keras 2. It may hold other such models. Its
        layers may be Dense with any activation that nncore has, Activation, ReLU, LeakyReLU, ELU,
        PReLU with one slope, Softmax, BatchNormalization, Normalization, Rescaling, Flatten,
        Reshape, Identity, and those that only do something in training: the dropouts,
        GaussianNoise and ActivityRegularization.

    Returns
    -------
    Network
        It computes what ``model.predict`` does. Batch normalisation is folded into the weights, in
        double precision; Normalization and Rescaling at the front stay layers of their own. float64
        if all weights are, else float32; float16 and bfloat16 become float32 without rounding.

    Raises
    ------
    TypeError
        `model` is no Keras model.
    ValueError
        It branches, shares a layer or has no weights yet, or a layer, which the text names, is not
        understood.

    Notes
    -----
    Keras has no names of classes; ``net.classes = [...]`` gives them. Dense layers take flat
    samples, so images are flattened before the first one, as ``Flatten()`` does.

    Examples
    --------
    >>> import keras                                            # doctest: +SKIP
    >>> model = keras.Sequential([
    ...     keras.Input((4,)), keras.layers.Dense(3, activation="softmax")
    ... ])                                                      # doctest: +SKIP
    >>> nncore.from_keras(model)                                # doctest: +SKIP
    Network of 1 layer, 4 -> 3, float32
      0  Dense(4, 3, softmax)      15
    15 parameters
    """
    from nncore.interop import keras

    return _network(keras.from_model(model))


def from_sklearn(estimator: Any) -> Network:
    """Make a network of a fitted scikit-learn estimator or pipeline.

    Parameters
    ----------
    estimator : scikit-learn estimator
        MLPClassifier, MLPRegressor; LogisticRegression and LogisticRegressionCV; linear regressors
        (LinearRegression, Ridge, Lasso, ElasticNet, SGDRegressor and others that predict
        ``x @ coef_ + intercept_``); or a Pipeline that ends in one of these and begins with any of
        StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler and "passthrough".

    Returns
    -------
    Network
        float64, as scikit-learn computes, or float32 if the estimator was fitted to float32. Its
        outputs are those of `predict_proba` (of the second class alone, if there are two) or of
        `predict` of a regressor. Scalers stay a layer of their own. `classes` are the estimator's:
        ``net.classes[net.predict(x)]`` are the labels that ``estimator.predict(x)`` gives. A
        multilabel classifier has no names of classes: ``net.predict(x)`` are its zeros and ones.

    Raises
    ------
    TypeError
        `estimator` is none of scikit-learn's.
    ValueError
        It is not fitted, or it or a step, which the text names, is not understood.

    Examples
    --------
    >>> from sklearn.datasets import load_iris                  # doctest: +SKIP
    >>> from sklearn.linear_model import LogisticRegression     # doctest: +SKIP
    >>> x, y = load_iris(return_X_y=True)                       # doctest: +SKIP
    >>> net = nncore.from_sklearn(LogisticRegression(max_iter=1000).fit(x, y))  # doctest: +SKIP
    >>> net(x[:1]).round(2)                                     # doctest: +SKIP
    array([[0.98, 0.02, 0.  ]])
    """
    from nncore.interop import sklearn

    return _network(sklearn.from_estimator(estimator))


def _network(contents: Contents) -> Network:
    return Network(contents.layers, dtype=contents.dtype, classes=contents.classes)
