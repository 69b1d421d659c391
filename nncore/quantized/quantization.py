"""`quantize`: from a float network to one of 8 bits, and what that may cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import _validation
from nncore._base import BaseNetwork, label_kind
from nncore._inference import Inference
from nncore.quantized.calibration import calibration_samples, quantized_layers
from nncore.quantized.network import QuantizedNetwork, head_of
from nncore.quantized.ranges import METHODS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def quantize(
    net: Inference,
    x: ArrayLike,
    *,
    method: str = "mse",
    max_drop: float | None = None,
    labels: ArrayLike | None = None,
) -> QuantizedNetwork:
    """Make a network of 8-bit whole numbers from a float network; that one is left as it is.

    The network is run on samples, which show what numbers each layer has to take: the 256 codes of
    8 bits are spread over these. Take some hundreds of the samples that the network was trained
    with, or of those that it will see, of all kinds; they need no labels.

    Parameters
    ----------
    net : Network
        float32 or float64; its activations are names, and no layer has more than 66,311 inputs.
    x : array_like
        (n, in_features), in any form that a call takes; finite, in the form that the network will
        be given. Whole numbers of 0 to 255, such as pixels, and such pixels divided by 255 are
        taken as they are, without any loss.
    method : {"mse", "minmax", "percentile"}, optional
        How the range of a layer's inputs is chosen. "mse" takes the one with which the sums of the
        layer have the least mean squared error, "minmax" that of all numbers, "percentile" leaves
        out one of 10,000 at either end. The default is the one that lost least over twenty networks
        (benchmarks/QUANTIZED.md). Outputs of sigmoid, hard_sigmoid, step and tanh have the range of
        the function, unless they use less than a quarter of it.
    max_drop : float, optional
        The most that may be lost, as a share of the samples x: 0.01 is one in a hundred. With
        `labels` it is the accuracy that may drop so far; without, so many predicted labels may
        change. If more is lost, no network is returned. None: whatever is lost is accepted.
    labels : array_like, optional
        The labels of x for `max_drop`, as `Network.evaluate` takes them.

    Returns
    -------
    QuantizedNetwork

    Raises
    ------
    TypeError
        `net` is no float network; x is as for a call.
    ValueError
        x is empty or not finite; a layer has weights that are not finite, a callable as activation
        or too many inputs; or the network loses more than `max_drop`: the text says how much, and
        what to do.

    Warns
    -----
    UserWarning
        Some inputs vary by less than the codes can show, because others are much larger.

    Examples
    --------
    >>> import nncore
    >>> x, t = nncore.datasets.make_digits(300, seed=0)
    >>> net = nncore.load_pretrained("digits")
    >>> quantized = nncore.quantize(net, x, max_drop=0.01, labels=t)
    >>> quantized
    QuantizedNetwork of 4 layers, 784 -> 10, int8
      0  Rescaling(0.00392156862745098)                               0
      1  QuantizedDense(784, 50, relu, inputs 0 to 255)          39,250
      2  QuantizedDense(50, 100, relu, inputs 0 to 60.55)         5,100
      3  QuantizedDense(100, 10, softmax, inputs 0 to 82.4)       1,010
    45,360 parameters
    """
    _check_net(net)
    if method not in METHODS:
        raise ValueError(f"method is {method!r}, expected one of {', '.join(METHODS)}")
    if max_drop is None:
        if labels is not None:
            raise ValueError("labels are given without max_drop, expected max_drop too")
    else:
        max_drop = _validation.number(max_drop, "max_drop")
        if not 0 <= max_drop <= 1:
            raise ValueError(f"max_drop is {max_drop}, expected a share from 0 to 1")
        if _labels_of(net) is None:
            raise ValueError(
                "max_drop is given, but the network predicts numbers, expected one that predicts "
                "labels: compare the outputs of both networks yourself"
            )
    quantized = QuantizedNetwork(quantized_layers(net, x, method), classes=net.classes)
    if max_drop is not None:
        _check_drop(net, quantized, calibration_samples(net, x), labels, max_drop)
    return quantized


def _check_net(net: object) -> None:
    if isinstance(net, QuantizedNetwork):
        raise TypeError("net is quantized already, expected the float network")
    if not isinstance(net, Inference):
        raise TypeError(f"net is of type {type(net).__name__}, expected a Network")


def _labels_of(net: BaseNetwork) -> str | None:
    """Return the kind of labels that `predict` gives, None if it gives none."""
    return label_kind(net._dense[-1].activation, net.classes is not None)


def _check_drop(
    net: Inference,
    quantized: QuantizedNetwork,
    x: NDArray[Any],
    labels: ArrayLike | None,
    max_drop: float,
) -> None:
    """Refuse a quantized network that loses more than `max_drop`."""
    if labels is None:
        changed = np.asarray(net.predict(x) != quantized.predict(x)).reshape(len(x), -1).any(1)
        lost = float(changed.mean())
        figure = f"{np.count_nonzero(changed)} of {len(x)} labels change, {lost:.2%}"
    else:
        try:
            before, after = (_accuracy(each, x, labels) for each in (net, quantized))
        except (TypeError, ValueError) as error:
            raise type(error)(f"labels: {error}") from None
        lost = before - after
        figure = f"the accuracy drops from {before:.2%} to {after:.2%}, by {lost:.2%}"
    if lost > max_drop + 1e-12:  # accuracies are rounded, so their difference is not exact
        raise ValueError(
            f"quantized, {figure}, expected at most {100 * max_drop:g}% (max_drop): calibrate with "
            "more samples, try another method=, or keep the float network"
        )


def _accuracy(net: BaseNetwork, x: NDArray[Any], labels: ArrayLike) -> float:
    head = head_of(net, "softmax" if _labels_of(net) == "largest" else "sigmoid")
    accuracy = head.evaluate(net.logits(x), labels).accuracy
    assert accuracy is not None
    return accuracy
