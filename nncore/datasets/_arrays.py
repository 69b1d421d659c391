"""The forms in which images and labels are handed out, the same for every data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def arrange(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    *,
    normalize: bool,
    flatten: bool,
    one_hot_label: bool,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return images (n, 28, 28) and labels (n,), both uint8, as the three options ask for them."""
    n = len(labels)
    x: NDArray[Any] = images.reshape((n, 784) if flatten else (n, 1, 28, 28))
    if normalize:
        x = x.astype(np.float32)
        x /= np.float32(255)
    return x, one_hot(labels) if one_hot_label else labels


def one_hot(labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return labels (n,) as rows (n, 10) with a one at the label and zeros elsewhere."""
    rows = np.zeros((len(labels), 10))
    rows[np.arange(len(labels)), labels] = 1.0
    return rows
