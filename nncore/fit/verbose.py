"""What ``fit(verbose=True)`` shows: a line for each epoch, and a progress bar in between."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nncore.history import History, Progress


class Report:
    """Lines on standard output; a bar on standard error or in a notebook, if tqdm is installed.

    Parameters
    ----------
    epochs, batches : int
        Of the fit, and of an epoch.
    done : int, optional
        Batches that were done before, where a fit goes on.
    """

    def __init__(self, epochs: int, batches: int, done: int = 0) -> None:
        self._epochs, self._batches = epochs, batches
        self._bar = _bar(epochs * batches, done)

    def progress(self, p: Progress) -> None:
        """Move the bar on to where the fit stands."""
        if self._bar is not None:
            accuracy = "" if p.accuracy is None else f", accuracy {p.accuracy:.2%}"
            self._bar.set_postfix_str(f"loss {p.loss:.4g}{accuracy}", refresh=False)
            self._bar.update((p.epoch - 1) * p.batches + p.batch - self._bar.n)

    def epoch(self, history: History) -> None:
        """Print the line of the epoch that has just ended."""
        measures = [
            f"{name} {history[name][-1]:{'.2%' if name.endswith('accuracy') else '.4g'}}"
            for name in history
            if name not in ("learning_rate", "time")
        ]
        number = f"{history.epochs:>{len(str(self._epochs))}}"
        self._print(f"epoch {number} of {self._epochs}: {', '.join(measures)}")

    def stopped(self, history: History, restored: bool) -> None:
        """Say that early stopping ended the fit."""
        kept = "its weights are restored" if restored else "the weights are those of the last one"
        self._print(
            f"stopped after epoch {history.epochs}: epoch {history.best_epoch} was the best, {kept}"
        )

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def _print(self, line: str) -> None:
        if self._bar is None:
            print(line, flush=True)
        else:
            self._bar.write(line, file=sys.stdout)  # above the bar


def _bar(total: int, done: int) -> Any:
    """Return a tqdm bar; None where nobody would see it, or without tqdm."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if not terminal and "ipykernel" not in sys.modules:
        return None
    try:
        with warnings.catch_warnings():  # of a notebook without widgets: a bar of text will do
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(
        total=total, initial=done, unit=" batches", delay=1, leave=False, dynamic_ncols=True
    )
