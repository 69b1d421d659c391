"""Samples, targets and weights, checked and in the form that the Trainer takes.

The Trainer reads this memory without the GIL. Samples may be the user's own memory, because any
number in them is harmless. What serves as an index (labels, the order of the samples) is always a
copy: another thread could write to the user's array after the check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import _validation
from nncore.losses import Loss, prepare_targets
from nncore.schedules import takes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nncore._inference import Inference
    from nncore._random import Random

_ROWS = 1024  # samples that are searched together for a number that is not finite


def samples_and_targets(
    net: Inference, loss: Loss, x: object, t: object
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return `x` as (n, k), C-contiguous, of any real dtype, and its targets.

    Whether x is finite is not looked at here: see `check_finite`.

    One sample (k,) with its label or its row of targets is taken as a batch of one.
    """
    dtype = net._input_dtype
    samples = _validation.samples(x, net.in_features, dtype == np.float64)
    if samples.ndim == 1:
        samples = samples.reshape(1, -1)
        target = _validation.array(t, "t")
        if target.ndim == 0 or (target.ndim == 1 and len(target) == net.out_features > 1):
            t = target.reshape(1, *target.shape)
    if len(samples) == 0:
        raise ValueError("x has zero samples, expected at least one")
    if net._watch is not None and samples.dtype.kind == "f":
        net._watch.look(samples)
    samples = np.ascontiguousarray(samples)
    t = _numbered(net.classes, t)
    return samples, prepare_targets(loss, t, len(samples), net.out_features, net.dtype)


def _numbered(classes: NDArray[Any] | None, t: Any) -> Any:
    """Return targets that are names of classes as the places of these names; others as they are."""
    if classes is None or classes.dtype.kind != "U":
        return t
    names = np.asarray(t)
    if names.dtype.kind == "O" and all(isinstance(name, str) for name in names.ravel()):
        names = names.astype(str)
    if names.dtype.kind not in "UT":
        return t
    order = np.argsort(classes)
    places = np.searchsorted(classes, names, sorter=order)
    labels = order[np.minimum(places, len(classes) - 1)]
    strange = names[classes[labels] != names]
    if strange.size:
        raise ValueError(
            f"t has the label '{_validation.excerpt(str(strange.flat[0]), 40)}', expected names in "
            f"net.classes: {_validation.excerpt(', '.join(classes.tolist()))}"
        )
    return labels


def check_finite(
    x: NDArray[Any],
    dtype: np.dtype[Any],
    name: str = "x",
    rows: NDArray[np.int64] | None = None,
) -> None:
    """Refuse samples (n, k) with numbers that are not finite in `dtype`, and name the first.

    `rows` are the numbers of the samples, if these are not 0 to n - 1.

    This reads all of x once more. Where one pass over x follows, or the first of several, let the
    Trainer check instead, and call this only if the loss came out as NaN.
    """
    if x.dtype.kind != "f":  # every integer fits into a float32
        return
    with np.errstate(all="ignore"):
        # The quick way, where x has the network's dtype or a narrower one. A sum that overflows
        # does no harm: the numbers are looked at one by one then.
        if x.dtype.itemsize <= dtype.itemsize and np.isfinite(x.reshape(-1).sum()):
            return
        for start in range(0, len(x), _ROWS):
            finite = np.isfinite(x[start : start + _ROWS].astype(dtype, copy=False))
            if not finite.all():
                i, j = np.unravel_index(np.argmin(finite), finite.shape)
                row = start + i if rows is None else rows[start + i]
                raise ValueError(
                    f"{name}[{row}, {j}] is {x[start + i, j]!s}, expected finite numbers in {dtype}"
                )


def sample_weights(
    loss: Loss,
    targets: NDArray[Any],
    net: Inference,
    sample_weight: object,
    class_weight: object,
) -> NDArray[Any] | None:
    """Return the weight of each sample times that of its class: (n,) of the network's dtype.

    The result is None where there are no weights, and else a new array.
    """
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
        if isinstance(class_weight, str):
            weights = weights * _balanced(class_weight, labels, classes, weights)[labels]
        else:
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
    """Return the class of each sample, and how many classes there are."""
    if targets.ndim == 1:
        return targets.astype(np.int64), m
    if loss.targets == "probabilities" and m == 1 and np.isin(targets, (0, 1)).all():
        return targets[:, 0].astype(np.int64), 2
    raise ValueError(
        "class_weight needs one class for each sample: labels or one-hot rows with cross_entropy, "
        "or 0 and 1 for a single sigmoid output"
    )


def _balanced(
    name: str, labels: NDArray[np.int64], classes: int, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return float64 (classes,) with which all classes that there are weigh the same in sum."""
    if name != "balanced":
        raise ValueError(
            f"class_weight is {name!r}, expected 'balanced', a mapping from labels to weights, or "
            "one weight for each class"
        )
    sums = np.bincount(labels, weights, classes)
    there = sums > 0
    balanced = np.ones(classes)
    balanced[there] = sums.sum() / (np.count_nonzero(there) * sums[there])
    return balanced


def _class_weights(class_weight: object, classes: int) -> NDArray[np.float64]:
    """Return float64 (classes,); a class that a mapping leaves out has weight 1, as in Keras."""
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
    """Return one rate for each of `layers` Dense layers, the last 0; None if all are 0.

    A single number holds for every hidden layer, a sequence has one number for each of them.
    """
    if dropout is None:
        return None
    hidden = layers - 1
    if isinstance(dropout, (Sequence, np.ndarray)) and not isinstance(dropout, (str, bytes)):
        rates = [_share(rate, f"dropout[{i}]") for i, rate in enumerate(dropout)]
        if len(rates) != hidden:
            count = f"{len(rates)} rate{'s' if len(rates) != 1 else ''}"
            raise ValueError(f"dropout has {count}, expected {hidden}, one for each hidden layer")
    else:
        rates = [_share(dropout, "dropout")] * hidden
    return [*rates, 0.0] if any(rates) else None


def label_smoothing_of(value: object, loss: Loss) -> float:
    """Return a number from 0 to below 1, which is 0 for every loss that has no classes."""
    smoothing = _share(value, "label_smoothing")
    if smoothing and loss.targets != "classes":
        raise ValueError(
            f"label_smoothing is {smoothing:g} with the loss {loss.name}, expected 0: only "
            "cross_entropy has classes to spread it over"
        )
    return smoothing


def split(
    net: Inference,
    loss: Loss,
    validation: Any,
    x: NDArray[Any],
    targets: NDArray[Any],
    random: Random | None,
) -> tuple[NDArray[np.int64] | None, tuple[NDArray[Any], NDArray[Any]] | None]:
    """Return the rows left to learn from (None: all), and what to validate with (None: nothing).

    `random` draws the rows to put aside; None takes the last ones.
    """
    if validation is None:
        return None, None
    if isinstance(validation, (tuple, list)):
        if len(validation) != 2:
            raise ValueError(
                f"validation has {len(validation)} part{'s' if len(validation) != 1 else ''}, "
                "expected (x, t) or a share of the samples"
            )
        try:
            given = samples_and_targets(net, loss, *validation)
            check_finite(given[0], net._input_dtype)
            return None, given
        except (TypeError, ValueError) as error:
            raise type(error)(f"validation: {error}") from None
    expected = "expected (x, t), or a share of the samples above 0 and below 1"
    if isinstance(validation, bool) or not isinstance(validation, (int, float, np.number)):
        raise TypeError(f"validation is of type {type(validation).__name__}, {expected}")
    if not 0 < validation < 1:
        raise ValueError(f"validation is {validation}, {expected}")
    n = len(x)
    held_out = max(1, round(n * float(validation)))
    if held_out >= n:
        raise ValueError(
            f"validation={validation} leaves no samples of {n} to learn from, expected at least one"
        )
    order = np.arange(n, dtype=np.int64) if random is None else random.permutation(n)
    rows = np.sort(order[n - held_out :])
    samples = x[rows]
    check_finite(samples, net._input_dtype, rows=rows)
    return np.sort(order[: n - held_out]), (samples, np.ascontiguousarray(targets[rows]))


def rows_that_weigh(weights: NDArray[Any], rows: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Leave out rows (None: all) with the weight 0: a batch of these alone has no mean loss."""
    rows = np.arange(len(weights)) if rows is None else rows
    rows = rows[weights[rows] > 0]
    if not len(rows):
        raise ValueError(
            "the weights of all samples left to learn from are 0, expected some above 0"
        )
    return rows


def augmentation(
    augment: Any,
    x: NDArray[Any],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    seed: list[int],
) -> Callable[[int], NDArray[Any]] | None:
    """Return a function from the epoch to its samples, whose memory is allocated once.

    `shape` is that of the samples as the user gave them: images need not be square.
    """
    if augment is None:
        return None
    if hasattr(augment, "apply") and not isinstance(augment, type):
        images = x.reshape(shape) if len(shape) > 2 else x
        augment.apply(
            images[:1], epoch=0, seed=seed
        )  # refuses what it cannot take, before all else
        changed = np.empty_like(images)

        def warped(epoch: int) -> NDArray[Any]:
            """Return the images of this epoch, as rows."""
            augment.apply(images, epoch=epoch, seed=seed, out=changed)
            return changed.reshape(x.shape)

        return warped
    if not callable(augment) or isinstance(augment, type) or not takes(augment, 2):
        raise TypeError(
            f"augment is {augment!r}, expected nncore.Augment(...) or a callable(x, epoch)"
        )

    def made(epoch: int) -> NDArray[Any]:
        """Return what the user's callable makes of the samples in this epoch, checked."""
        result = np.ascontiguousarray(_validation.array(augment(x, epoch), "augment's result"))
        if result.shape != x.shape:
            raise ValueError(f"augment's result has shape {result.shape}, expected {x.shape}")
        result = _validation.samples(result, x.shape[1], dtype == np.float64)
        check_finite(result, dtype, "augment: x")
        return result

    return made


def _share(value: Any, name: str) -> float:
    try:
        if isinstance(value, (bool, str, bytes)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name} is {value!r}, expected a number from 0 to below 1") from None
    if not 0 <= number < 1:
        raise ValueError(f"{name} is {number}, expected a number from 0 to below 1")
    return number
