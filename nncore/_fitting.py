"""The loop of a fit: epochs, the chunks of an epoch, what happens between them and when it stops.

An epoch is run in chunks of whole batches that take about a tenth of a second, so that Ctrl-C and
progress bars answer; chunks do not change a bit of the result. The state in which a fit stands
between two chunks is its `Position`, and from there it can go on (`nncore train --resume`).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore import activations
from nncore._random import Random
from nncore._training import Trainer
from nncore.history import BestEpoch, History, Progress
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

    Raises FloatingPointError where the loss is not finite. However `run` ends, the network has the
    weights and the optimizer the state that were reached.
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
        try:
            while self.position.epoch < job.epochs and not self._run_epoch():
                pass
        finally:
            with InterruptsDeferred():
                self._put_back()
        if job.best is not None and job.best.arrays is not None:
            set_arrays(job.net, job.best.arrays)
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
                    self._go_back(bad)
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

    def _go_back(self, bad: int) -> None:
        """After a loss that is not finite: back to the last weights whose loss was, and raise.

        They are those before the update that came before the bad batch. They are found by running
        the epoch again, from where it began, up to there.
        """
        job, epoch = self.job, self.position.epoch
        batch = f"epoch {epoch + 1}, batch {bad + 1} of {job.steps}"
        while self._marks:
            mark, arrays, state = self._marks.pop()
            stop = bad if mark.epoch == epoch else job.steps
            self.position = mark
            set_arrays(job.net, arrays)
            self._trainer = self._new_trainer(state)
            if stop > mark.step:
                x, order = self._data_of(mark.epoch)
                while self.position.step < stop - 1:
                    self._chunk = stop - 1 - self.position.step
                    self._run_chunk(x, order, time.perf_counter())
                break
        raise FloatingPointError(
            f"the loss is not finite in {batch}; the network keeps the last weights whose loss was "
            "finite: take a smaller learning rate, or clip_norm"
        )

    def _put_back(self) -> None:
        """Give the network its weights and the optimizer its state."""
        job = self.job
        set_arrays(job.net, self._trainer.arrays())
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
    entries = []
    for layer in net._dense:
        assert isinstance(layer.activation, str)
        assert layer.weights is not None
        code = activations.CODES[layer.activation]
        entries.append((layer.weights, layer.bias, code, layer.alpha or 0.0))
    settings = None
    if optimizer is not None:
        settings = optimizer.options()
        options |= {"clip_norm": optimizer.clip_norm, "clip_value": optimizer.clip_value}
    return Trainer(entries, net._scale, loss.code, settings, **options)


def set_arrays(net: Network, arrays: Sequence[tuple[Any, Any]]) -> None:
    """Assign weights and biases to every layer; who calls the network meanwhile runs all the old
    ones or all the new ones."""
    stale = {net}
    for layer, (weights, bias) in zip(net._dense, arrays, strict=True):
        stale.update(layer._store(weights, bias))
    for network in stale:
        network._make_plan()


class InterruptsDeferred:
    """A block in which Ctrl-C waits for the end: KeyboardInterrupt is raised there, or nowhere.

    Only where it can be: in the main thread, and if nobody else has taken the signal over.
    """

    def __enter__(self) -> None:
        self._came = False
        self._deferring = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._deferring:
            signal.signal(signal.SIGINT, self._remember)

    def _remember(self, *_: object) -> None:
        self._came = True

    def __exit__(self, *_: object) -> None:
        if self._deferring:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if self._came:
                raise KeyboardInterrupt
