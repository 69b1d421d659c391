"""Networks of other libraries as nncore's: one function for each library."""

from __future__ import annotations

import os
from typing import Any

from nncore.formats import Contents
from nncore.network import Network

__all__ = ["from_onnx"]


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
