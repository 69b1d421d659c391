"""The loop of a fit: epochs, the chunks of an epoch, what happens between them and when it stops.

An epoch is run in chunks of whole batches that take about a tenth of a second, so that Ctrl-C and
progress bars answer; chunks do not change a bit of the result. The state in which a fit stands
between two chunks is its `Position`, and from there it can go on (`nncore train --resume`).
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from nncore._interrupts import InterruptsDeferred
from nncore._random import Random
from nncore._training import Trainer
from nncore.history import BestEpoch, History, Progress
from nncore.layers import assign
from nncore.losses import Loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nncore.network import Network
    from nncore.optimizers import Optimizer

_CHUNK_SECONDS = 0.1
_FIRST_CHUNK = 16  # batches
# Streams of random numbers beside those of the epochs, [seed, epoch], which never reach them.
DROPOUT_STREAM, SPLIT_STREAM = 2**32, 2**32 + 1


class Job(NamedTuple):
    """All that a fit needs to know, checked."""

    net: Network
    x: NDArray[Any]  # (N, k)
    targets: NDArray[Any]
    weights: NDArray[Any] | None
    rows: NDArray[np.int64] | None  # the samples to learn from; None: all
    loss: Loss
    optimizer: Optimizer
    rates: NDArray[np.float64]  # of every step
    epochs: int
    batch_size: int
    seed: list[int]
    shuffle: bool
    dropout: list[float] | None
    label_smoothing: float
    augment: Callable[[int], NDArray[Any]] | None  # from the epoch to other samples
    validation: tuple[NDArray[Any], NDArray[Any]] | None
    best: BestEpoch | None
    callbacks: Sequence[Callable[..., Any]]
    progress: Callable[[Progress], Any] | None

    @property
    def samples(self) -> int:
        return len(self.x) if self.rows is None else len(self.rows)

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return -(-self.samples // self.batch_size)


class Position(NamedTuple):
    """Where a fit stands: epochs and steps done, and the sums over the epoch begun."""

    epoch: int = 0
    step: int = 0
    loss: float = 0.0  # of each batch times its weight
    weight: float = 0.0  # so far: samples, or the sum of their weights
    right: int = 0
    seen: int = 0
    seconds: float = 0.0


class Fitting:
    """A fit under way; `run` takes it to its end.

    Raises FloatingPointError where the loss or, at the end of an epoch, a weight is not finite.
    However `run` ends, the network has the weights and the optimizer the state that were reached,
    or the last good ones before.
    """

    def __init__(
        self, job: Job, position: Position | None = None, history: History | None = None
    ) -> None:
        self.job = job
        self.position = position or Position()
        self.history = history or History()
        self._shapes = shapes_of(job.net)
        self._trainer = self._new_trainer(job.optimizer.state_for(self._shapes, job.net.dtype))
        self._chunk = _FIRST_CHUNK
        # Where the present epoch and the one before it began: what `_go_back` starts from.
        self._marks: list[tuple[Position, Any, Any]] = []

    def _new_trainer(self, state: dict[str, Any] | None) -> Trainer:
        job = self.job
        trainer = make_trainer(
            job.net, job.loss, job.optimizer, dropout=job.dropout,
            label_smoothing=job.label_smoothing,
            seed=int(Random([*job.seed, DROPOUT_STREAM]).raw(1)[0]),
        )  # fmt: skip
        if state is not None:
            trainer.set_state(state)
        return trainer

    def run(self) -> History:
        """Run to the end, or to where early stopping or a callback ends it."""
        job = self.job
        best = None
        try:
            while self.position.epoch < job.epochs and not self._run_epoch():
                pass
            if job.best is not None:
                best = job.best.arrays
        finally:
            with InterruptsDeferred():
                if not self._is_finite():  # stopped before the loss could tell
                    self._go_back(self.position.step)
                self._put_back(best)
        return self.history

    def _run_epoch(self) -> bool:
        """The rest of the present epoch and what follows it; True if the fit is to stop."""
        job = self.job
        self._marks = [
            *self._marks[-1:], (self.position, self._trainer.arrays(), self._trainer.get_state())
        ]  # fmt: skip
        began = time.perf_counter()
        x, order = self._data_of(self.position.epoch)
        while self.position.step < job.steps:
            with InterruptsDeferred():
                bad = self._run_chunk(x, order, began)
                began = time.perf_counter()
                if bad >= 0:
                    self._fail(f"the loss is not finite in {self._name(bad)}", bad)
                # The next batch would tell, but validation, callbacks and the end come before it.
                if self.position.step == job.steps and not self._is_finite():
                    last = self._name(job.steps - 1)
                    self._fail(f"the weights are not finite after {last}", job.steps)
            if job.progress is not None:
                job.progress(self._progress())
        with InterruptsDeferred():
            self._end_epoch()
        stop = job.best is not None and job.best.look(self.history, self._trainer.arrays)
        if job.callbacks:
            self._put_back()
            for callback in job.callbacks:  # all of them are called, one is enough to stop
                stop = callback(job.net, self.history) is True or stop
        return stop

    def _data_of(self, epoch: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """What an epoch reads, from its number alone: samples (N, k), and their order (n,)."""
        job = self.job
        if job.shuffle:
            order = Random([*job.seed, epoch]).permutation(job.samples)
        else:
            order = np.arange(job.samples, dtype=np.int64)
        if job.rows is not None:
            order = job.rows[order]
        return (job.x if job.augment is None else job.augment(epoch)), order

    def _run_chunk(self, x: NDArray[Any], order: NDArray[np.int64], began: float) -> int:
        """Some batches; the index of a bad one in the epoch, else -1."""
        job, at = self.job, self.position
        first, last = at.step, min(at.step + self._chunk, job.steps)
        part = np.ascontiguousarray(order[first * job.batch_size : last * job.batch_size])
        rates = job.rates[at.epoch * job.steps :][first:last]
        started = time.perf_counter()
        losses, right, bad = self._trainer.run(
            x, job.targets, job.weights, part, job.batch_size, np.ascontiguousarray(rates)
        )
        ended = time.perf_counter()
        if bad >= 0:
            return first + int(bad)
        # No more than eight times as many: what the first few took may have been a cold cache.
        fit_in = (last - first) * _CHUNK_SECONDS / max(ended - started, 1e-9)
        self._chunk = max(1, min(int(fit_in), 8 * self._chunk))
        # One by one and in order, so that a chunk's length does not show in the sum.
        loss, weight = at.loss, at.weight
        for value, share in zip(losses.tolist(), self._batch_weights(part), strict=True):
            loss += value * share
            weight += share
        self.position = Position(
            at.epoch, last, loss, weight, at.right + int(right), at.seen + len(part),
            at.seconds + (ended - began),
        )  # fmt: skip
        return -1

    def _batch_weights(self, part: NDArray[np.int64]) -> list[float]:
        """What the mean loss of each batch counts in the mean of the epoch."""
        size, weights = self.job.batch_size, self.job.weights
        starts = range(0, len(part), size)
        if weights is None:
            return [float(min(size, len(part) - start)) for start in starts]
        return [float(weights[part[start : start + size]].sum(dtype=float)) for start in starts]

    def _progress(self) -> Progress:
        at, job = self.position, self.job
        accuracy = at.right / at.seen if has_accuracy(job.loss) else None
        return Progress(at.epoch + 1, job.epochs, at.step, job.steps, at.loss / at.weight, accuracy)

    def _end_epoch(self) -> None:
        job, at, history = self.job, self.position, self.history
        if job.validation is not None:
            x, targets = job.validation
            loss, right = self._trainer.evaluate(x, targets, None)
            history.val_loss.append(loss)
            if has_accuracy(job.loss):
                history.val_accuracy.append(right / len(x))
        history.loss.append(at.loss / at.weight)
        if has_accuracy(job.loss):
            history.accuracy.append(at.right / at.seen)
        history.learning_rate.append(float(job.rates[(at.epoch + 1) * job.steps - 1]))
        history.time.append(at.seconds)
        self.position = Position(at.epoch + 1)

    def _name(self, batch: int) -> str:
        """What a message calls a batch of the present epoch."""
        return f"epoch {self.position.epoch + 1}, batch {batch + 1} of {self.job.steps}"

    def _fail(self, what: str, bad: int) -> NoReturn:
        self._go_back(bad)
        raise FloatingPointError(
            f"{what}; the network keeps the last weights whose loss was finite: take a smaller "
            "learning rate, or clip_norm"
        )

    def _go_back(self, bad: int) -> None:
        """Back to the last good weights, if batch `bad` of this epoch has bad ones to begin with.

        They are finite, and those before the update that came before the bad batch. They are found
        by running the epoch again, from where it began, up to there.
        """
        epoch = self.position.epoch
        for mark in reversed(self._marks):
            start = mark[0]
            end = bad if start.epoch == epoch else self.job.steps
            steps = max(end - 1, start.step)
            if not self._run_again(mark, steps):
                # A weight that inputs of 0 leave out of the loss was bad before; it stays so.
                steps = bisect.bisect_left(
                    range(start.step, steps), True,
                    key=lambda step: not self._run_again(mark, step + 1),
                ) + start.step  # fmt: skip
                self._run_again(mark, steps)
            if end > start.step:
                return

    def _run_again(self, mark: tuple[Position, Any, Any], step: int) -> bool:
        """From the mark to where so many steps of its epoch are done; whether all is finite there.

        Back to the mark where the way there is another one now: the data changed, or `augment` is
        no function of the epoch.
        """
        start = mark[0]
        self._restore(mark)
        if step > start.step:
            x, order = self._data_of(start.epoch)
            self._chunk = step - start.step
            if self._run_chunk(x, order, time.perf_counter()) >= 0:
                self._restore(mark)
        return self._is_finite()

    def _restore(self, mark: tuple[Position, Any, Any]) -> None:
        self.position, arrays, state = mark
        set_arrays(self.job.net, arrays)
        self._trainer = self._new_trainer(state)

    def _is_finite(self) -> bool:
        pairs = self._trainer.arrays()
        return all(np.isfinite(a).all() for pair in pairs for a in pair if a is not None)

    def _put_back(self, arrays: Sequence[tuple[Any, Any]] | None = None) -> None:
        """Give the network its weights, these or those reached, and the optimizer its state."""
        job = self.job
        set_arrays(job.net, self._trainer.arrays() if arrays is None else arrays)
        job.optimizer.keep_state(self._trainer.get_state(), self._shapes, job.net.dtype)


def has_accuracy(loss: Loss) -> bool:
    """Whether there is a right and a wrong: for labels, and for yes or no."""
    return loss.name in ("cross_entropy", "binary_cross_entropy")


def shapes_of(net: Network) -> tuple[Any, ...]:
    """(in_features, out_features, has a bias) of each layer: what an optimizer's state fits."""
    return tuple((layer.in_features, layer.out_features, layer.use_bias) for layer in net._dense)


def make_trainer(
    net: Network, loss: Loss, optimizer: Optimizer | None = None, **options: Any
) -> Trainer:
    """The compiled Trainer with the network's present weights."""
    settings = None
    if optimizer is not None:
        settings = optimizer.options()
        options |= {"clip_norm": optimizer.clip_norm, "clip_value": optimizer.clip_value}
    return Trainer(net._program(), loss.code, settings, **options)


def set_arrays(net: Network, arrays: Sequence[tuple[Any, Any]]) -> None:
    """Assign weights and biases to every layer; who calls the network meanwhile runs all the old
    ones or all the new ones."""
    assign(net._dense, arrays)
