"""Training: what is behind the methods `fit` and `gradients` of `Network`.

What is given is checked here and in `_training_data`; the loop is in `_fitting`, and each step of
it, backpropagation and the optimiser's update, is compiled, in ext/backprop.pyx.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from nncore import _training_data as data
from nncore import _validation
from nncore._fitting import SPLIT_STREAM, Job, has_accuracy, make_trainer, shapes_of
from nncore._random import Random
from nncore.history import BestEpoch, EarlyStopping, History, Progress
from nncore.losses import Loss, choose_loss
from nncore.optimizers import Adam, Optimizer
from nncore.schedules import rates_of, takes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from nncore._random import Seed
    from nncore.network import Network

    Gradients: TypeAlias = list[tuple[NDArray[Any], NDArray[Any] | None]]

_MOST_STEPS = 2**60  # of a fit; they are counted in 64 bits


def gradients(
    net: Network,
    x: ArrayLike,
    t: ArrayLike,
    *,
    loss: str | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: Any = None,
    label_smoothing: float = 0.0,
) -> tuple[float, Gradients]:
    """The loss and its derivatives by every weight and bias; see `Network.gradients`.

    Examples
    --------
    >>> import nncore
    >>> net = nncore.Network.from_arrays([[[2.0]]], None, ["identity"])
    >>> loss, [(dw, db)] = nncore.training.gradients(net, [[3.0]], [5.0])
    >>> loss, dw
    (1.0, array([[6.]]))
    """
    chosen = _loss_of(net, loss)
    smoothing = data.label_smoothing_of(label_smoothing, chosen)
    samples, targets = data.samples_and_targets(net, chosen, x, t)
    weights = data.sample_weights(chosen, targets, net, sample_weight, class_weight)
    trainer = make_trainer(net, chosen, label_smoothing=smoothing)
    value, pairs = trainer.gradients(samples, targets, weights)
    return float(value), pairs


def make_job(
    net: Network,
    x: ArrayLike,
    t: ArrayLike,
    *,
    epochs: int,
    batch_size: int,
    optimizer: Optimizer | None = None,
    loss: str | None = None,
    validation: Any = None,
    seed: Seed = 0,
    shuffle: bool = True,
    sample_weight: ArrayLike | None = None,
    class_weight: Any = None,
    dropout: float | Sequence[float] | None = None,
    label_smoothing: float = 0.0,
    augment: Any = None,
    early_stopping: EarlyStopping | None = None,
    callbacks: Sequence[Callable[[Network, History], Any]] = (),
    progress: Callable[[Progress], Any] | None = None,
) -> Job:
    """Check what a fit is given; parameters and errors as in `Network.fit`.

    Examples
    --------
    >>> import nncore
    >>> net = nncore.Network([nncore.Dense(2, 2, "softmax")], seed=0)
    >>> job = nncore.training.make_job(net, [[0, 1], [1, 0]], [0, 1], epochs=2, batch_size=32)
    >>> job.samples, job.steps
    (2, 1)
    """
    epochs = _validation.size(epochs, "epochs")
    batch_size = _validation.size(batch_size, "batch_size")
    chosen = _loss_of(net, loss)
    if optimizer is None:
        optimizer = Adam()
    if not isinstance(optimizer, Optimizer) or not optimizer.kind:
        raise TypeError(f"optimizer is {optimizer!r}, expected an object such as nncore.Adam(1e-3)")
    optimizer.options()
    _check_finite_weights(net)
    optimizer.state_for(shapes_of(net), net.dtype)
    callbacks = _check_callbacks(callbacks, early_stopping, progress)
    if not isinstance(shuffle, (bool, np.bool_)):
        raise TypeError(f"shuffle is {shuffle!r}, expected True or False")
    words = _seed_words(seed)
    samples, targets = data.samples_and_targets(net, chosen, x, t)
    weights = data.sample_weights(chosen, targets, net, sample_weight, class_weight)

    rows = None
    if validation is not None:
        rows, validation = _validation_data(
            net, chosen, validation, samples, targets, Random([*words, SPLIT_STREAM]), shuffle
        )
    if weights is not None:
        # What weighs nothing is left out: a batch of nothing else would have no mean loss.
        rows = np.arange(len(samples)) if rows is None else rows
        rows = rows[weights[rows] > 0]
        if not len(rows):
            raise ValueError(
                "the weights of all samples left to learn from are 0, expected some above 0"
            )
    n = len(samples) if rows is None else len(rows)
    batch_size = min(batch_size, n)
    steps = epochs * -(-n // batch_size)
    if steps > _MOST_STEPS:
        raise ValueError(f"epochs is {epochs}, expected at most {_MOST_STEPS} steps in all")
    return Job(
        net=net, x=samples, targets=targets, weights=weights, rows=rows, loss=chosen,
        optimizer=optimizer, epochs=epochs, batch_size=batch_size, seed=words,
        rates=rates_of(optimizer.learning_rate, steps),
        shuffle=bool(shuffle), dropout=data.dropout_rates(dropout, len(net._dense)),
        label_smoothing=data.label_smoothing_of(label_smoothing, chosen),
        augment=_augmentation(augment, samples, net.dtype, words), validation=validation,
        best=None if early_stopping is None
        else BestEpoch(early_stopping, validation is not None, has_accuracy(chosen)),
        callbacks=callbacks, progress=progress,
    )  # fmt: skip


def _loss_of(net: Network, loss: str | None) -> Loss:
    for i, layer in enumerate(net._dense):
        if not isinstance(layer.activation, str):
            raise ValueError(
                f"Dense layer {i} has the activation {layer.activation!r}, whose derivative is "
                "unknown: training needs an activation of nncore.activations"
            )
    last = net._dense[-1].activation
    return choose_loss(loss, last)


def _check_finite_weights(net: Network) -> None:
    for i, layer in enumerate(net._dense):
        for name, array in (("weights", layer.weights), ("bias", layer.bias)):
            if array is not None and not np.isfinite(array).all():
                raise ValueError(
                    f"Dense layer {i} has {name} that are not finite: training cannot go on from "
                    "them, expected finite ones"
                )


def _check_callbacks(
    callbacks: Any, early_stopping: object, progress: object
) -> tuple[Callable[..., Any], ...]:
    if callable(callbacks):
        raise TypeError("callbacks is a single callable, expected a sequence of them")
    try:
        functions = tuple(callbacks)
    except TypeError:
        raise TypeError(f"callbacks is {callbacks!r}, expected a sequence of callables") from None
    for i, function in enumerate(functions):
        # Now, not after the first epoch: that may have been an hour.
        if not callable(function) or not takes(function, 2):
            raise TypeError(f"callbacks[{i}] is {function!r}, expected a callable(net, history)")
    if early_stopping is not None and not isinstance(early_stopping, EarlyStopping):
        raise TypeError(
            f"early_stopping is {early_stopping!r}, expected nncore.EarlyStopping(patience)"
        )
    if progress is not None and not (callable(progress) and takes(progress, 1)):
        raise TypeError(f"progress is {progress!r}, expected a callable(progress) or None")
    return functions


def _seed_words(seed: Seed) -> list[int]:
    """The seed as a list of ints; None becomes fresh entropy, one and the same for all of a fit."""
    Random(seed)  # refuses what is no seed
    if seed is None:
        return [int(word) for word in Random(None).raw(2)]
    if isinstance(seed, (Sequence, np.ndarray)) and np.ndim(seed):
        return [int(word) for word in seed]
    return [int(seed)]  # type: ignore[arg-type]  # an int, or Random had refused it


def _validation_data(
    net: Network,
    loss: Loss,
    validation: Any,
    x: NDArray[Any],
    targets: NDArray[Any],
    random: Random,
    shuffle: bool,
) -> tuple[NDArray[np.int64] | None, tuple[NDArray[Any], NDArray[Any]]]:
    """The rows left to learn from (None: all), and the samples and targets to validate with."""
    if isinstance(validation, (tuple, list)):
        if len(validation) != 2:
            raise ValueError(
                f"validation has {len(validation)} part{'' if len(validation) == 1 else 's'}, "
                "expected (x, t) or a share of the samples"
            )
        try:
            return None, data.samples_and_targets(net, loss, *validation)
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
    order = random.permutation(n) if shuffle else np.arange(n, dtype=np.int64)
    rows = np.sort(order[n - held_out :])
    return np.sort(order[: n - held_out]), (x[rows], np.ascontiguousarray(targets[rows]))


def _augmentation(
    augment: Any, x: NDArray[Any], dtype: np.dtype[Any], seed: list[int]
) -> Callable[[int], NDArray[Any]] | None:
    """A function from the epoch to its samples; memory for them is taken once."""
    if augment is None:
        return None
    if hasattr(augment, "apply") and not isinstance(augment, type):
        augment.apply(x[:1], epoch=0, seed=seed)  # refuses what it cannot take, before anything
        room = np.empty_like(x)
        return lambda epoch: augment.apply(x, epoch=epoch, seed=seed, out=room)
    if not callable(augment) or isinstance(augment, type) or not takes(augment, 2):
        raise TypeError(
            f"augment is {augment!r}, expected nncore.Augment(...) or a callable(x, epoch)"
        )

    def changed(epoch: int) -> NDArray[Any]:
        """What the user's callable makes of the samples in this epoch, checked."""
        result = np.ascontiguousarray(_validation.array(augment(x, epoch), "augment's result"))
        if result.shape != x.shape:
            raise ValueError(f"augment turned shape {x.shape} into {result.shape}")
        result = _validation.samples(result, x.shape[1], dtype == np.float64)
        data.check_finite(result, dtype, "augment: x")
        return result

    return changed
