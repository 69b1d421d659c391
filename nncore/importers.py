"""Networks of other libraries as nncore's: one function for each library."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from nncore.formats import Contents
from nncore.network import Network

__all__ = ["from_keras", "from_onnx", "from_sklearn", "from_torch"]


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


def from_torch(model: Any, activations: Sequence[str] | None = None) -> Network:
    """Make a network of a PyTorch module, or of a state_dict.

    The weights are copied: float32 and float64 keep their bits, float16 and bfloat16 become
    float32 exactly. The module is read as for inference, whatever mode it is in: Dropout is left
    out, and BatchNorm1d is folded into the weights, in double precision. A BatchNorm1d before any
    Linear becomes a `Normalization`.

    Parameters
    ----------
    model : torch.nn.Module or mapping of str to torch.Tensor
        A module of Linear, BatchNorm1d, Dropout of all kinds, Flatten, Identity, and the
        activations that nncore has, in Sequentials or in modules of your own. If such a module has
        a ``forward``, that is traced by torch.fx. It may also reshape, apply functions
        (``F.relu(x)``, ``x.relu()``) and calculate with constants (``x / 255``), but must be a
        chain. A ``squeeze`` of one output at the end is left out: the outputs stay (n, 1).

        Or its state_dict, or a checkpoint that has one under "state_dict" or "model_state_dict".
        This does not say in which order the layers are called: they are taken in the order of the
        numbers in their names (``0``, ``2``, ``10``; ``fc1``, ``fc2``) if the names differ by
        numbers only, else in the order of the keys. For each BatchNorm1d eps is taken to be 1e-5.
    activations : sequence of str, optional
        For a state_dict: one for each Linear, "identity" where there is none. Where its names leave
        open whether a BatchNorm1d stands before or after an activation, an entry "batch_norm" for
        each of them says so: ``["batch_norm", "relu", "softmax"]``.

    Returns
    -------
    Network
        float64 if all weights are, else float32.

    Raises
    ------
    ImportError
        PyTorch is not installed.
    TypeError
        `model` is neither a module nor a mapping.
    ValueError
        Something in it has no counterpart here: the message names it, and where it stands.

    Examples
    --------
    >>> import nncore, torch                                             # doctest: +SKIP
    >>> model = torch.nn.Sequential(
    ...     torch.nn.Linear(784, 50), torch.nn.BatchNorm1d(50), torch.nn.ReLU(),
    ...     torch.nn.Linear(50, 10), torch.nn.Softmax(dim=1),
    ... )                                                                # doctest: +SKIP
    >>> nncore.from_torch(model)                                         # doctest: +SKIP
    Network of 2 layers, 784 -> 10, float32
      0  Dense(784, 50, relu)        39,250
      1  Dense(50, 10, softmax)         510
    39,760 parameters
    """
    from nncore.interop import torch

    return _network(torch.convert(model, activations))


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


def from_onnx(model: Any) -> Network:
    """Make a network of an ONNX model: what torch, Keras, skl2onnx or tf2onnx write for an MLP.

    Read are Gemm, MatMul, Add, activations (also those that exporters take apart), Softmax,
    batch normalisation, scaling by constants, whatever flattens the samples, and the linear
    models and scalers of ai.onnx.ml. Anything else is refused with the node's name. Of a
    classifier that gives labels and probabilities the network gives the probabilities, and
    `predict` the numbers of the labels; the names of the classes come along. Nothing of the model
    is run.

    Parameters
    ----------
    model : str, os.PathLike, bytes or onnx.ModelProto
        A path, or what the file holds. Tensors outside of the model are only read for a path, and
        only from a file in the same folder.

    Returns
    -------
    Network
        float64 if all weights are, else float32: weights of 16 bits are widened, which is exact.
        It takes (n, features), flattened where the model takes images, and gives (n, outputs).
        Weights keep their bits where nothing is folded into them.

    Raises
    ------
    ImportError
        The onnx package is missing: ``pip install onnx``.
    TypeError
        `model` is none of these.
    ValueError
        The model is broken, or does something that a dense network does not do.
    OSError
        A file cannot be read.

    Notes
    -----
    Batch normalisation is folded into the weights, in double precision; what scales the inputs, at
    the front, becomes a `Normalization` or a `Rescaling`. The two columns of a binary classifier,
    1 - p and p with p = sigmoid(z), become softmax of 0 and z. A model that only gives labels gets
    a softmax at its end, so that `predict` gives them.

    Examples
    --------
    >>> import nncore
    >>> net = nncore.from_onnx("model.onnx")  # doctest: +SKIP
    >>> labels = net.classes[net.predict(x)]  # doctest: +SKIP
    """
    from nncore.interop import onnx

    if isinstance(model, (str, os.PathLike)):
        return _network(onnx.read(model))
    return _network(onnx.from_model(model))


def _network(contents: Contents) -> Network:
    return Network(contents.layers, dtype=contents.dtype, classes=contents.classes)
