"""What training is given, checked and in the form that the compiled Trainer takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import _validation
from nncore.losses import Loss, prepare_targets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nncore.network import Network

# Samples looked at together when a number that is not finite has to be found.
_ROWS = 1024


def samples_and_targets(
    net: Network, loss: Loss, x: object, t: object
) -> tuple[NDArray[Any], NDArray[Any]]:
    """`x` as (n, k), C-contiguous and finite, of any real dtype, and its targets.

    One sample (k,) with the label or the row that belongs to it is taken as a batch of one.
    """
    samples = _validation.samples(x, net.in_features, net.dtype == np.float64)
    if samples.ndim == 1:
        samples = samples.reshape(1, -1)
        target = _validation.array(t, "t")
        if target.ndim == 0 or (target.ndim == 1 and len(target) == net.out_features > 1):
            t = target.reshape(1, *target.shape)
    if len(samples) == 0:
        raise ValueError("x has zero samples, expected at least one")
    samples = np.ascontiguousarray(samples)
    check_finite(samples, net.dtype)
    return samples, prepare_targets(loss, t, len(samples), net.out_features, net.dtype)


def check_finite(x: NDArray[Any], dtype: np.dtype[Any], name: str = "x") -> None:
    """Refuse what is not finite in the network's dtype in samples (n, k), and say where it is."""
    if x.dtype.kind != "f":  # every integer fits into a float32
        return
    with np.errstate(all="ignore"):
        # Quick where x has the network's dtype or a narrower one; an overflow of the sum is no
        # harm, it is looked into.
        if x.dtype.itemsize <= dtype.itemsize and np.isfinite(x.reshape(-1).sum()):
            return
        for start in range(0, len(x), _ROWS):
            finite = np.isfinite(x[start : start + _ROWS].astype(dtype, copy=False))
            if not finite.all():
                i, j = np.unravel_index(np.argmin(finite), finite.shape)
                raise ValueError(
                    f"{name}[{start + i}, {j}] is {x[start + i, j]!s}, expected finite numbers in "
                    f"{dtype}"
                )


def sample_weights(
    loss: Loss,
    targets: NDArray[Any],
    net: Network,
    sample_weight: object,
    class_weight: object,
) -> NDArray[Any] | None:
    """The weight of each sample, (n,) of the network's dtype: its own times that of its class."""
    if sample_weight is None and class_weight is None:
        return None
    n = len(targets)
    weights = np.ones(n)
    if sample_weight is not None:
        given = _validation.array(sample_weight, "sample_weight")
        if given.shape != (n,):
            raise ValueError(f"sample_weight has shape {given.shape}, expected ({n},)")
        _check_weights(given, "sample_weight")
        weights = weights * given
    if class_weight is not None:
        labels, classes = _labels(loss, targets, net.out_features)
        weights = weights * _class_weights(class_weight, classes)[labels]
    with np.errstate(all="ignore"):
        cast = weights.astype(net.dtype)
    if not np.isfinite(cast).all():
        raise ValueError(f"the samples' weights overflow {net.dtype}, expected smaller ones")
    if not cast.sum(dtype=np.float64) > 0:
        raise ValueError(f"the weights of all samples are 0 in {net.dtype}, expected some above 0")
    return cast


def _check_weights(weights: NDArray[Any], name: str) -> None:
    good = np.isfinite(weights) & (weights >= 0)
    if not good.all():
        i = int(np.argmin(good))
        raise ValueError(f"{name}[{i}] is {weights[i]!s}, expected finite numbers of at least 0")


def _labels(loss: Loss, targets: NDArray[Any], m: int) -> tuple[NDArray[np.int64], int]:
    """The class of each sample and how many classes there are."""
    if targets.ndim == 1:
        return targets.astype(np.int64), m
    if loss.name == "binary_cross_entropy" and m == 1 and np.isin(targets, (0, 1)).all():
        return targets[:, 0].astype(np.int64), 2
    raise ValueError(
        "class_weight needs one class for each sample: labels or one-hot rows with cross_entropy, "
        "or 0 and 1 for a single sigmoid output"
    )


def _class_weights(class_weight: object, classes: int) -> NDArray[np.float64]:
    """float64 (classes,); classes that a mapping leaves out weigh 1, as in Keras."""
    if isinstance(class_weight, Mapping):
        weights = np.ones(classes)
        for label, weight in class_weight.items():
            if label not in range(classes):
                raise ValueError(
                    f"class_weight has the class {label!r}, expected 0 to {classes - 1}"
                )
            try:
                weights[int(label)] = np.nan if weight is None else weight
            except (TypeError, ValueError):
                raise TypeError(
                    f"class_weight[{label!r}] is {weight!r}, expected a finite number of at least 0"
                ) from None
    else:
        weights = _validation.array(class_weight, "class_weight").astype(np.float64)
        if weights.shape != (classes,):
            raise ValueError(
                f"class_weight has shape {weights.shape}, expected ({classes},), one for each class"
            )
    _check_weights(weights, "class_weight")
    return weights


def dropout_rates(dropout: object, layers: int) -> list[float] | None:
    """One rate for each of `layers` Dense layers, the last 0; None if nothing is dropped.

    A number holds for every hidden layer, a sequence has one for each of them.
    """
    if dropout is None:
        return None
    hidden = layers - 1
    if isinstance(dropout, (Sequence, np.ndarray)) and not isinstance(dropout, (str, bytes)):
        rates = [_share(rate, f"dropout[{i}]") for i, rate in enumerate(dropout)]
        if len(rates) != hidden:
            raise ValueError(
                f"dropout has {len(rates)} rates, expected {hidden}, one for each hidden layer"
            )
    else:
        rates = [_share(dropout, "dropout")] * hidden
    return [*rates, 0.0] if any(rates) else None


def label_smoothing_of(value: object, loss: Loss) -> float:
    """A number from 0 to below 1, and 0 for every loss but cross_entropy."""
    smoothing = _share(value, "label_smoothing")
    if smoothing and loss.name != "cross_entropy":
        raise ValueError(f"label_smoothing goes with the loss cross_entropy, this is {loss.name}")
    return smoothing


def _share(value: Any, name: str) -> float:
    try:
        if isinstance(value, (bool, str, bytes)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name} is {value!r}, expected a number from 0 to below 1") from None
    if not 0 <= number < 1:
        raise ValueError(f"{name} is {number}, expected from 0 to below 1")
    return number
