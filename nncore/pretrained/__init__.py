"""Networks that come with the package; README.md here says how each was made."""

from __future__ import annotations

import os

import numpy as np

from nncore.layers import Dense, Rescaling
from nncore.network import Network

NAMES = ("digits",)


def load_pretrained(name: str = "digits") -> Network:
    """Load a network that ships inside the package.

    Parameters
    ----------
    name : {"digits"}
        ``digits``: 784-50-100-10, reads handwritten digits, 28 x 28 pixels as in MNIST. It begins
        with a Rescaling, so it takes pixels of 0 to 255, as
        ``nncore.datasets.load_mnist(normalize=False)`` and ``nncore.datasets.make_digits`` give
        them.

    Raises
    ------
    ValueError
        No network has that name.

    Examples
    --------
    >>> import nncore
    >>> x, t = nncore.datasets.make_digits(100, seed=1)
    >>> bool((nncore.load_pretrained("digits").predict(x) == t).mean() > 0.9)
    True
    """
    if name not in NAMES:
        raise ValueError(f"name is {name!r}, expected one of {', '.join(NAMES)}")
    # All numbers, little-endian float32: the first bytes of all, the second, the third, the fourth.
    # In this order a wheel, which is compressed, takes 15 kB less than with whole numbers.
    planes = np.load(os.path.join(os.path.dirname(__file__), f"{name}.npy"))
    rest = planes.T.copy().view("<f4").astype(np.float32).ravel()
    layers = [Dense(784, 50, "relu"), Dense(50, 100, "relu"), Dense(100, 10, "softmax")]
    for layer in layers:
        k, m = layer.in_features, layer.out_features
        weights, layer.bias, rest = np.split(rest, [k * m, k * m + m])
        layer.weights = weights.reshape(k, m)
    return Network([Rescaling(1 / 255), *layers])
