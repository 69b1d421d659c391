"""What a page tells of a test set: counts, the most confident mistakes, and the times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nncore.page import encoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nncore._inference import Inference

MOST_MISTAKES = 24


def results_of(
    net: Inference,
    images: NDArray[np.uint8],
    labels: NDArray[Any],
    *,
    divisor: int = 1,
    timings: Sequence[dict[str, Any]] = (),
    **facts: Any,
) -> dict[str, Any]:
    """Return, in JSON's types, what `nncore.page.render` takes as the results of a test set.

    Parameters
    ----------
    net : Network
        Takes k pixels and gives m outputs, one for each class. The largest output decides, the
        lowest class of equal ones.
    images : ndarray of uint8, (n, k)
    labels : ndarray of integers, (n,)
        The right class of each image, 0 to m - 1.
    divisor : int, optional
        The network takes the pixels divided by it, as float32, if it is not 1.
    timings : sequence of dict, optional
        `batch_size` (None: one by one) and `seconds_per_sample` of each way that was measured.
    **facts
        Anything else that the page's script is to know, as it is.

    Returns
    -------
    dict
        `matrix` counts the images by actual class (row) and predicted class (column). `mistakes`
        are the wrong predictions of the largest outputs, at most 24, the largest first, and
        `images` has their bytes. `probabilities` tells whether these outputs are probabilities.

    Examples
    --------
    >>> import nncore
    >>> net = nncore.Network.from_arrays([[[4.0, -4.0]]], [[-1.0, 1.0]], ["softmax"])
    >>> images = np.array([[0], [100], [255]], np.uint8)
    >>> found = results_of(net, images, np.array([1, 0, 1]), divisor=255)
    >>> found["matrix"], found["names"]
    ([[1, 0], [1, 1]], ['0', '1'])
    >>> [(mistake["index"], round(mistake["output"], 3)) for mistake in found["mistakes"]]
    [(2, 0.998)]
    """
    x = images if divisor == 1 else images.astype(np.float32) / np.float32(divisor)
    outputs = net(x)
    predicted = outputs.argmax(axis=1)
    try:
        scores, probabilities = net.predict_proba(x), True
    except ValueError:  # the last activation gives other numbers
        scores, probabilities = outputs, False
    confidence = scores[np.arange(len(x)), predicted].astype(np.float64)
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST_MISTAKES]  # NaN comes last
    classes = outputs.shape[1]
    counts = np.bincount(labels.astype(np.intp) * classes + predicted, minlength=classes * classes)
    return {
        **facts,
        "names": [str(name) for name in (range(classes) if net.classes is None else net.classes)],
        "matrix": counts.reshape(classes, classes).tolist(),
        "probabilities": probabilities,
        "divisor": divisor,
        "mistakes": [
            {
                "index": int(i),
                "actual": int(labels[i]),
                "predicted": int(predicted[i]),
                "output": float(confidence[i]) if np.isfinite(confidence[i]) else None,
            }
            for i in wrong
        ],
        "images": encoded(images[wrong]),
        "timings": [
            {key: row[key] for key in ("batch_size", "seconds_per_sample")} for row in timings
        ],
    }
