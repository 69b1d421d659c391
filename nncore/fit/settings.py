"""What `fit` and `gradients` are given, checked once, before anything begins.

An option of `fit` has three places: the signature and docstring of `fit` in `methods.py`, the line
here that checks it and keeps it, and its use, here or in `loop.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import _validation
from nncore._random import Random
from nncore.fit import data
from nncore.fit.best_epoch import BestEpoch
from nncore.fit.trainer import make_trainer, shapes_of
from nncore.history import EarlyStopping, Evaluation
from nncore.losses import choose_loss
from nncore.optimizers import Adam, Optimizer
from nncore.schedules import rates_of, takes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nncore._inference import Inference
    from nncore.fit.trainer import Trainer

# The streams of random numbers of a fit are Random([*seed, stream]). Those of the epochs have the
# epoch's number, which never reaches these two.
_DROPOUT_STREAM, _SPLIT_STREAM = 2**32, 2**32 + 1

_MOST_STEPS = 2**60  # the steps of a fit are counted in 64 bits


class Problem:
    """Samples, their targets and weights, and the loss: what all methods of `Trainable` take."""

    def __init__(self, net: Inference, given: Mapping[str, Any]) -> None:
        for i, layer in enumerate(net._dense):
            if not isinstance(layer.activation, str):
                raise ValueError(
                    f"Dense layer {i} has the activation {layer.activation!r}, whose derivative is "
                    "unknown: this needs an activation of nncore.activations"
                )
        self.net = net
        self.loss = choose_loss(given["loss"], net._dense[-1].activation)
        self.label_smoothing = data.label_smoothing_of(given["label_smoothing"], self.loss)
        self.x, self.targets = data.samples_and_targets(net, self.loss, given["x"], given["t"])
        self.weights = data.sample_weights(
            self.loss, self.targets, net, given["sample_weight"], given["class_weight"]
        )

    def gradients(self) -> tuple[float, list[tuple[NDArray[Any], NDArray[Any] | None]]]:
        """Return the mean loss and its derivatives; see `Network.gradients`."""
        trainer = make_trainer(self.net, self.loss, label_smoothing=self.label_smoothing)
        loss, pairs = self._checked(trainer.gradients, self.x, self.targets, self.weights)
        return float(loss), pairs

    def evaluate(self) -> Evaluation:
        """Return the mean loss and the accuracy; see `Network.evaluate`."""
        x, targets, weights = self.x, self.targets, self.weights
        if weights is not None:  # as in a fit, where a sample without weight is not seen
            rows = data.rows_that_weigh(weights, None)
            if len(rows) < len(x):
                self._check_left_out()
                x, targets, weights = x[rows], targets[rows], weights[rows]
        trainer = make_trainer(self.net, self.loss, label_smoothing=self.label_smoothing)
        loss, right = self._checked(trainer.evaluate, x, targets, weights)
        return Evaluation(float(loss), right / len(x) if self.loss.has_accuracy else None)

    def _checked(self, method: Callable[..., tuple[float, Any]], *given: Any) -> tuple[float, Any]:
        """Call a method of the Trainer that returns a loss; refuse samples that are not finite."""
        result = method(*given, check=True)
        if np.isfinite(result[0]):
            return result
        data.check_finite(self.x, self.net._input_dtype)
        return method(*given)  # it is the loss that overflows, or the layers that scale

    def _check_left_out(self) -> None:
        """Refuse samples without weight that are not finite: the Trainer does not read them."""
        rows = np.flatnonzero(self.weights == 0)
        data.check_finite(self.x[rows], self.net._input_dtype, rows=rows)


class Settings(Problem):
    """All that a fit needs to know.

    Parameters
    ----------
    net : Network
    given : mapping
        Every argument of `Network.fit` by its name; `methods.with_defaults` adds those left out.

    Examples
    --------
    >>> import nncore
    >>> net = nncore.Network([nncore.Dense(2, 2, "softmax")], seed=0)
    >>> from nncore.fit.methods import with_defaults
    >>> settings = Settings(net, with_defaults(x=[[0, 1], [1, 0]], t=[0, 1], epochs=2))
    >>> settings.batch_size, settings.samples, settings.batches
    (2, 2, 1)
    """

    def __init__(self, net: Inference, given: Mapping[str, Any]) -> None:
        # The data come last: to check them takes longest.
        self.epochs = _validation.size(given["epochs"], "epochs")
        batch_size = _validation.size(given["batch_size"], "batch_size")
        self.optimizer = _optimizer(given["optimizer"], net)
        _check_finite_weights(net)
        self.early_stopping = _early_stopping(given["early_stopping"])
        self.callbacks = _callbacks(given["callbacks"])
        self.progress = _progress(given["progress"])
        self.verbose = _flag(given["verbose"], "verbose")
        self.shuffle = _flag(given["shuffle"], "shuffle")
        self.seed = _seed_words(given["seed"])
        self.dropout = data.dropout_rates(given["dropout"], len(net._dense))
        if any(layer.weight_type == "bfloat16" for layer in net._dense):
            raise ValueError(
                "the network has bfloat16 weights, which the steps of an optimizer are too small "
                'for, expected float32: fit net.with_weights("float32"), then round again'
            )
        super().__init__(net, given)

        # The samples to learn from, as indices; None: all of them.
        self.rows, self.validation = data.split(
            net, self.loss, given["validation"], self.x, self.targets,
            Random([*self.seed, _SPLIT_STREAM]) if self.shuffle else None,
        )  # fmt: skip
        if self.weights is not None:
            self._check_left_out()
            self.rows = data.rows_that_weigh(self.weights, self.rows)
        self.batch_size = min(batch_size, self.samples)
        steps = self.epochs * self.batches
        if steps > _MOST_STEPS:
            raise ValueError(
                f"epochs is {self.epochs}, expected at most {_MOST_STEPS} steps in all"
            )
        self.rates = rates_of(self.optimizer.learning_rate, steps)
        self.best = None
        if self.early_stopping is not None:
            self.best = BestEpoch(
                self.early_stopping, self.validation is not None, self.loss.has_accuracy
            )
        # Else the samples are checked while they are learned from, in the first epoch.
        self.checked = given["augment"] is not None
        if self.checked:
            data.check_finite(self.x, net._input_dtype)
        self._augmented = data.augmentation(
            given["augment"], self.x, np.shape(given["x"]), net._input_dtype, self.seed
        )

    @property
    def samples(self) -> int:
        """How many samples are learned from."""
        return len(self.x) if self.rows is None else len(self.rows)

    @property
    def batches(self) -> int:
        """The batches of an epoch."""
        return -(-self.samples // self.batch_size)

    def make_trainer(self, optimizer_state: dict[str, Any] | None) -> Trainer:
        """Make a Trainer that begins with the network's weights and this state."""
        trainer = make_trainer(
            self.net, self.loss, self.optimizer, dropout=self.dropout,
            label_smoothing=self.label_smoothing,
            seed=int(Random([*self.seed, _DROPOUT_STREAM]).raw(1)[0]),
        )  # fmt: skip
        if optimizer_state is not None:
            trainer.set_state(optimizer_state)
        return trainer

    def data_of(self, epoch: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return what an epoch reads: the samples (N, k) and the order (n,) to take them in.

        Both follow from the number of the epoch alone.
        """
        if self.shuffle:
            order = Random([*self.seed, epoch]).permutation(self.samples)
        else:
            order = np.arange(self.samples, dtype=np.int64)
        if self.rows is not None:
            order = self.rows[order]
        return (self.x if self._augmented is None else self._augmented(epoch)), order

    def batch_weights(self, samples: NDArray[np.int64]) -> list[float]:
        """Return how much the mean loss of each batch of these samples counts in the epoch's."""
        size, weights = self.batch_size, self.weights
        starts = range(0, len(samples), size)
        if weights is None:
            return [float(min(size, len(samples) - start)) for start in starts]
        return [float(weights[samples[start : start + size]].sum(dtype=float)) for start in starts]


def _optimizer(optimizer: object, net: Inference) -> Optimizer:
    if optimizer is None:
        optimizer = Adam()
    if not isinstance(optimizer, Optimizer) or not optimizer.kind:
        raise TypeError(f"optimizer is {optimizer!r}, expected an object such as nncore.Adam(1e-3)")
    optimizer.options()  # refuses settings that are out of range
    optimizer.state_for(shapes_of(net), net.dtype)  # refuses the state of another network
    return optimizer


def _check_finite_weights(net: Inference) -> None:
    for i, layer in enumerate(net._dense):
        for name, array in (("weights", layer.weights), ("bias", layer.bias)):
            if array is not None and not np.isfinite(array).all():
                raise ValueError(
                    f"Dense layer {i} has {name} that are not finite: training cannot go on from "
                    "them, expected finite ones"
                )


def _callbacks(callbacks: Any) -> tuple[Callable[..., Any], ...]:
    if callable(callbacks):
        raise TypeError("callbacks is a single callable, expected a sequence of them")
    try:
        functions = tuple(callbacks)
    except TypeError:
        raise TypeError(f"callbacks is {callbacks!r}, expected a sequence of callables") from None
    for i, function in enumerate(functions):
        # Checked now and not after the first epoch, which may take an hour.
        if not callable(function) or not takes(function, 2):
            raise TypeError(f"callbacks[{i}] is {function!r}, expected a callable(net, history)")
    return functions


def _early_stopping(early_stopping: object) -> EarlyStopping | None:
    if early_stopping is not None and not isinstance(early_stopping, EarlyStopping):
        raise TypeError(
            f"early_stopping is {early_stopping!r}, expected nncore.EarlyStopping(patience)"
        )
    return early_stopping


def _progress(progress: Any) -> Callable[..., Any] | None:
    if progress is not None and not (callable(progress) and takes(progress, 1)):
        raise TypeError(f"progress is {progress!r}, expected a callable(progress) or None")
    function: Callable[..., Any] | None = progress
    return function


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is {value!r}, expected True or False")
    return bool(value)


def _seed_words(seed: Any) -> list[int]:
    """Return the seed as a list of ints; None becomes fresh entropy, the same for all of a fit."""
    Random(seed)  # refuses what is no seed
    if seed is None:
        return [int(word) for word in Random(None).raw(2)]
    if isinstance(seed, (Sequence, np.ndarray)) and np.ndim(seed):
        return [int(word) for word in seed]
    return [int(seed)]
