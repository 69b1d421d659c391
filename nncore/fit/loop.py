"""The loop of a fit: its epochs, what happens between them, and when it stops.

The Trainer is called with some batches at a time, as many as take about a tenth of a
second, so that Ctrl-C and progress bars answer. How the batches are divided among the calls does
not change a bit of the result. Between two calls a fit stands at a `Position`, and from there it
can go on in another process (`nncore train --resume`).
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from nncore.fit.data import check_finite
from nncore.fit.interrupts import InterruptsDeferred
from nncore.fit.trainer import set_arrays, shapes_of
from nncore.fit.verbose import Report
from nncore.history import History, Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nncore.fit.settings import Settings

_CALL_SECONDS = 0.1
_FIRST_CALL_BATCHES = 16


class Position(NamedTuple):
    """Where a fit stands: how many epochs and batches are done, and the sums of this epoch."""

    epoch: int = 0
    batch: int = 0
    loss: float = 0.0  # the sum over the batches, each loss times its batch's weight
    weight: float = 0.0  # the sum of these weights: samples, or their sample weights
    right: int = 0
    seen: int = 0
    seconds: float = 0.0


class _Mark(NamedTuple):
    """The beginning of an epoch, or of its part that is run here: what `Fit._go_back` needs."""

    position: Position
    arrays: Any
    optimizer_state: Any


class Fit:
    """A fit under way; `run` takes it to its end.

    Raises FloatingPointError where the loss or, at the end of an epoch, a weight is not finite.
    However `run` ends, the network has the weights and the optimizer the state that were reached,
    or the last good ones before. Where the first epoch comes upon a sample that is not finite, it
    raises ValueError, and leaves them alone.
    """

    def __init__(
        self,
        settings: Settings,
        position: Position | None = None,
        history: History | None = None,
    ) -> None:
        self.settings = settings
        self.position = position or Position()
        self.history = History() if history is None else history
        self._shapes = shapes_of(settings.net)
        self._trainer = settings.make_trainer(
            settings.optimizer.state_for(self._shapes, settings.net.dtype)
        )
        self._check = not settings.checked  # whether the Trainer is to look for such samples
        self._refused = False
        self._call_batches = _FIRST_CALL_BATCHES
        self._report = None
        if settings.verbose:
            done = self.position.epoch * settings.batches + self.position.batch
            self._report = Report(settings.epochs, settings.batches, done)
        self._marks: list[_Mark] = []  # of the present epoch and the one before it

    def run(self) -> History:
        """Run to the end, or to where early stopping or a callback ends it."""
        settings = self.settings
        best = None
        try:
            while self.position.epoch < settings.epochs and not self._run_epoch():
                pass
            if settings.best is not None:
                best = settings.best.arrays
        finally:
            with InterruptsDeferred():
                if not self._refused:
                    if not self._is_finite():  # no loss has shown it before the fit stopped
                        self._go_back(self.position.batch)
                    self._put_back(best)
                if self._report is not None:
                    self._report.close()
        return self.history

    def _run_epoch(self) -> bool:
        """Run the rest of this epoch and what follows it; return True if the fit is to stop."""
        settings = self.settings
        mark = _Mark(self.position, self._trainer.arrays(), self._trainer.get_state())
        self._marks = [*self._marks[-1:], mark]
        began = time.perf_counter()
        x, order = settings.data_of(self.position.epoch)
        while self.position.batch < settings.batches:
            with InterruptsDeferred():
                bad = self._run_batches(x, order, began)
                began = time.perf_counter()
                if bad >= 0 and self._check:
                    self._look_for_bad_samples(x)
                    continue
                if bad >= 0:
                    self._fail(f"the loss is not finite in {self._name(bad)}", bad)
                # The loss of the next batch would show it, but validation and callbacks come first.
                if self.position.batch == settings.batches and not self._is_finite():
                    last = self._name(settings.batches - 1)
                    self._fail(f"the weights are not finite after {last}", settings.batches)
            if settings.progress is not None:
                settings.progress(self._progress())
            if self._report is not None:
                self._report.progress(self._progress())
        if mark.position.batch == 0:  # every sample has been read
            self._check = False
        with InterruptsDeferred():
            self._end_epoch()
        if self._report is not None:
            self._report.epoch(self.history)
        best, stop = settings.best, False
        if best is not None:
            stop = best.look(self.history, self._trainer.arrays)
            if stop and self._report is not None:
                self._report.stopped(self.history, best.arrays is not None)
        if settings.callbacks:
            self._put_back()
            for callback in settings.callbacks:  # all of them are called; one is enough to stop
                stop = callback(settings.net, self.history) is True or stop
        return stop

    def _run_batches(self, x: NDArray[Any], order: NDArray[np.int64], began: float) -> int:
        """Run the batches of one call; return the index of a bad one in the epoch, else -1."""
        settings, at = self.settings, self.position
        size = settings.batch_size
        first, last = at.batch, min(at.batch + self._call_batches, settings.batches)
        samples = np.ascontiguousarray(order[first * size : last * size])
        rates = settings.rates[at.epoch * settings.batches :][first:last]
        started = time.perf_counter()
        losses, right, bad = self._trainer.run(
            x, settings.targets, settings.weights, samples, size, np.ascontiguousarray(rates),
            check=self._check,
        )  # fmt: skip
        ended = time.perf_counter()
        if bad >= 0:
            return first + int(bad)
        # Eight times as many at most: what the first few took may have been a cold cache.
        in_time = (last - first) * _CALL_SECONDS / max(ended - started, 1e-9)
        self._call_batches = max(1, min(int(in_time), 8 * self._call_batches))
        # One by one and in order, so that the length of a call does not show in the sum.
        loss, weight = at.loss, at.weight
        for value, share in zip(losses.tolist(), settings.batch_weights(samples), strict=True):
            loss += value * share
            weight += share
        self.position = Position(
            at.epoch, last, loss, weight, at.right + int(right), at.seen + len(samples),
            at.seconds + (ended - began),
        )  # fmt: skip
        return -1

    def _progress(self) -> Progress:
        at, settings = self.position, self.settings
        accuracy = at.right / at.seen if settings.loss.has_accuracy else None
        return Progress(
            at.epoch + 1, settings.epochs, at.batch, settings.batches, at.loss / at.weight, accuracy
        )

    def _end_epoch(self) -> None:
        settings, at, history = self.settings, self.position, self.history
        if settings.validation is not None:
            x, targets = settings.validation
            loss, right = self._trainer.evaluate(x, targets, None)
            history.val_loss.append(float(loss))
            if settings.loss.has_accuracy:
                history.val_accuracy.append(right / len(x))
        history.loss.append(at.loss / at.weight)
        if settings.loss.has_accuracy:
            history.accuracy.append(at.right / at.seen)
        last_step = (at.epoch + 1) * settings.batches - 1
        history.learning_rate.append(float(settings.rates[last_step]))
        history.time.append(at.seconds)
        self.position = Position(at.epoch + 1)

    def _name(self, batch: int) -> str:
        """Name a batch of the present epoch as messages do."""
        return f"epoch {self.position.epoch + 1}, batch {batch + 1} of {self.settings.batches}"

    def _look_for_bad_samples(self, x: NDArray[Any]) -> None:
        """Refuse samples that are not finite; where there are none, begin the epoch again.

        There are none where the loss overflows, or the samples do in a layer that scales them. The
        Trainer does not look again, so that loss and message are those of any other epoch.
        """
        try:
            check_finite(x, self.settings.net._input_dtype)
        except ValueError:
            self._refused = True  # so nothing is put back: the network has its own weights still
            raise
        self._check = False
        self._restore(self._marks[-1])

    def _fail(self, what: str, bad: int) -> NoReturn:
        self._go_back(bad)
        raise FloatingPointError(
            f"{what}; the network keeps the last weights whose loss was finite: take a smaller "
            "learning rate, or clip_norm"
        )

    def _go_back(self, bad: int) -> None:
        """Go back to the last good weights, where batch `bad` of this epoch begins with bad ones.

        Good weights are finite, and they are those before the update that preceded the bad batch.
        They are found by running the epoch again, from where it began, up to there.
        """
        epoch = self.position.epoch
        for mark in reversed(self._marks):
            start = mark.position
            end = bad if start.epoch == epoch else self.settings.batches
            batches = max(end - 1, start.batch)
            if not self._run_again(mark, batches):
                # A weight was bad before, and inputs of 0 kept it out of the loss. It stays bad
                # from then on, so the batch that made it bad can be found by bisection.
                batches = bisect.bisect_left(
                    range(start.batch, batches), True,
                    key=lambda batch: not self._run_again(mark, batch + 1),
                ) + start.batch  # fmt: skip
                self._run_again(mark, batches)
            if end > start.batch:
                return

    def _run_again(self, mark: _Mark, batches: int) -> bool:
        """Run from the mark up to so many batches of its epoch; return whether all is finite.

        Go back to the mark where the losses on the way are others now: the data have changed, or
        `augment` gives other samples for the same epoch.
        """
        start = mark.position
        self._restore(mark)
        if batches > start.batch:
            x, order = self.settings.data_of(start.epoch)
            self._call_batches = batches - start.batch
            if self._run_batches(x, order, time.perf_counter()) >= 0:
                self._restore(mark)
        return self._is_finite()

    def _restore(self, mark: _Mark) -> None:
        self.position = mark.position
        set_arrays(self.settings.net, mark.arrays)
        self._trainer = self.settings.make_trainer(mark.optimizer_state)

    def _is_finite(self) -> bool:
        pairs = self._trainer.arrays()
        return all(np.isfinite(a).all() for pair in pairs for a in pair if a is not None)

    def _put_back(self, arrays: Sequence[tuple[Any, Any]] | None = None) -> None:
        """Give the network its weights, these or those reached, and the optimizer its state."""
        net, optimizer = self.settings.net, self.settings.optimizer
        set_arrays(net, self._trainer.arrays() if arrays is None else arrays)
        optimizer.keep_state(self._trainer.get_state(), self._shapes, net.dtype)
