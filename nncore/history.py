"""What a fit reports: its course and its progress; and the settings of early stopping."""

from __future__ import annotations

from typing import NamedTuple

from nncore import _validation
from nncore.schedules import _number

MEASURES = ("loss", "accuracy", "val_loss", "val_accuracy")
_COLUMNS = (*MEASURES, "learning_rate", "time")


class History:
    """The course of a fit: lists with one number for each epoch.

    Attributes
    ----------
    loss : list of float
        The mean over the samples of the epoch, each measured before the update of its batch.
    accuracy : list of float
        The share of samples that were classified right in the same passes. With cross_entropy the
        largest output decides; with binary_cross_entropy every output has to be on the right side
        of 1/2. The list is empty for the other losses.
    val_loss, val_accuracy : list of float
        The same for the validation data, after the epoch; empty without validation data.
    learning_rate : list of float
        The rate of the last step of the epoch.
    time : list of float
        The seconds of the epoch, without validation and callbacks.
    best_epoch : int or None
        The index of the epoch whose weights early stopping found best.

    Examples
    --------
    >>> import nncore
    >>> net = nncore.Network([nncore.Dense(2, 2, "softmax")], seed=0)
    >>> history = net.fit([[0, 1], [1, 0]], [0, 1], epochs=3)
    >>> len(history), len(history.loss), history.val_loss
    (3, 3, [])
    """

    def __init__(self) -> None:
        self.loss: list[float] = []
        self.accuracy: list[float] = []
        self.val_loss: list[float] = []
        self.val_accuracy: list[float] = []
        self.learning_rate: list[float] = []
        self.time: list[float] = []
        self.best_epoch: int | None = None

    def __len__(self) -> int:
        return len(self.loss)

    def to_dict(self) -> dict[str, list[float]]:
        """Return the lists that are not empty, by name; ready for ``pandas.DataFrame`` or JSON.

        Examples
        --------
        >>> import nncore
        >>> nncore.History().to_dict()
        {}
        """
        return {name: list(getattr(self, name)) for name in _COLUMNS if getattr(self, name)}

    def __repr__(self) -> str:
        columns = self.to_dict()
        lines = [f"History of {len(self)} epoch{'s' if len(self) != 1 else ''}"]
        if not columns:
            return lines[0]
        lines.append("  ".join(["epoch", *(f"{name:>13}" for name in columns)]))
        for epoch in range(len(self)):
            row = [_cell(name, values[epoch]) for name, values in columns.items()]
            mark = "  best" if epoch == self.best_epoch else ""
            lines.append("  ".join([f"{epoch + 1:>5}", *row]) + mark)
        return "\n".join(lines)


def _cell(name: str, value: float) -> str:
    if name.endswith("accuracy"):
        return f"{value:>13.2%}"
    return f"{value:>11.2f} s" if name == "time" else f"{value:>13.4g}"


class Progress(NamedTuple):
    """How far a fit is: what ``fit(..., progress=function)`` calls the function with.

    `epoch` and `batch` count from 1: they name the batch that has just been learned from, of
    `epochs` epochs with `batches` batches each. `loss` and `accuracy` are those of the epoch so
    far; `accuracy` is None for a loss that has none.
    """

    epoch: int
    epochs: int
    batch: int
    batches: int
    loss: float
    accuracy: float | None


class EarlyStopping:
    """Stops a fit whose measure has not become better for some epochs.

    Parameters
    ----------
    patience : int, optional
        How many epochs without a better one it takes to stop.
    monitor : {None, "loss", "accuracy", "val_loss", "val_accuracy"}, optional
        The measure; None stands for val_loss, or loss if there are no validation data.
    min_delta : float, optional
        By how much the measure has to be better to count.
    restore_best : bool, optional
        Whether the network gets the weights of the best epoch. The optimizer's state stays that of
        the last one.

    Raises
    ------
    TypeError, ValueError
        `patience` is no whole number of at least 1, there is no such measure, `min_delta` is
        negative.

    Examples
    --------
    >>> import nncore
    >>> nncore.EarlyStopping(3, monitor="val_accuracy")
    EarlyStopping(3, monitor='val_accuracy', min_delta=0.0, restore_best=True)
    """

    def __init__(
        self,
        patience: int = 5,
        monitor: str | None = None,
        *,
        min_delta: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        self.patience = _validation.size(patience, "patience")
        if monitor is not None and monitor not in MEASURES:
            raise ValueError(f"monitor is {monitor!r}, expected one of {', '.join(MEASURES)}")
        self.monitor = monitor
        self.min_delta = _number(min_delta, "min_delta")
        self.restore_best = bool(restore_best)

    def __repr__(self) -> str:
        return (
            f"EarlyStopping({self.patience}, monitor={self.monitor!r}, "
            f"min_delta={self.min_delta!r}, restore_best={self.restore_best!r})"
        )
