"""Early stopping: which epoch was the best, and when to give up."""

from __future__ import annotations

import math
from typing import Any

from nncore.history import EarlyStopping, History


class BestEpoch:
    """The measure of an `EarlyStopping`, followed through one fit."""

    def __init__(self, settings: EarlyStopping, has_validation: bool, has_accuracy: bool) -> None:
        settings = EarlyStopping(  # checked again: the attributes may have been changed since
            settings.patience, settings.monitor, min_delta=settings.min_delta,
            restore_best=settings.restore_best,
        )  # fmt: skip
        monitor = settings.monitor or ("val_loss" if has_validation else "loss")
        if monitor.startswith("val_") and not has_validation:
            raise ValueError(
                f"validation is None, expected data: early_stopping monitors {monitor}"
            )
        if monitor.endswith("accuracy") and not has_accuracy:
            raise ValueError(
                f"early_stopping monitors {monitor}, expected a loss: only the cross-entropies "
                "have an accuracy"
            )
        self._monitor = monitor
        self._settings = settings
        self._best = math.inf
        self._waited = 0
        self.arrays: Any = None

    def look(self, history: History, arrays: Any) -> bool:
        """Look at the epoch that has just ended, and return True where the fit is to stop.

        `arrays()` returns the weights of that epoch.
        """
        value = getattr(history, self._monitor)[-1]
        if self._monitor.endswith("accuracy"):
            value = -value
        elif math.isnan(value):  # no number is below NaN: it would stay the best for ever
            value = math.inf
        if history.best_epoch is None or value < self._best - self._settings.min_delta:
            self._best, self._waited = value, 0
            history.best_epoch = history.epochs
            if self._settings.restore_best:
                self.arrays = arrays()
            return False
        self._waited += 1
        return self._waited >= self._settings.patience
