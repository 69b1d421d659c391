"""What is measured: the course of a fit and its progress, an evaluation; and early stopping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from nncore import _validation
from nncore.schedules import _number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEASURES = ("loss", "accuracy", "val_loss", "val_accuracy")
_COLUMNS = (*MEASURES, "learning_rate", "time")
_SHOWN_EPOCHS = 10  # of a longer fit, the first and the last half of so many are shown


class Evaluation(NamedTuple):
    """What `Network.evaluate` measures: the mean loss, and the share of samples that are right.

    `accuracy` is None for a loss that has none, as mse.
    """

    loss: float
    accuracy: float | None


class History(Mapping[str, list[float]]):
    """The course of a fit: lists with one number for each epoch.

    It is a mapping, too, of those lists that are not empty: ``history["loss"]``, ``"val_loss" in
    history``, ``dict(history)``, ``pandas.DataFrame(dict(history))``. So ``len(history)`` is the
    number of lists; `epochs` counts the epochs.

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
        The number of the epoch that early stopping found best, counted from 1 as everywhere that
        epochs are named: ``history.loss[history.best_epoch - 1]`` is its loss.
    epochs : int
        How many epochs there were.

    Examples
    --------
    >>> import nncore
    >>> net = nncore.Network([nncore.Dense(2, 2, "softmax")], seed=0)
    >>> history = net.fit([[0, 1], [1, 0]], [0, 1], epochs=3)
    >>> history.epochs, len(history["loss"]), history.val_loss
    (3, 3, [])
    >>> list(history)
    ['loss', 'accuracy', 'learning_rate', 'time']
    """

    def __init__(self) -> None:
        self.loss: list[float] = []
        self.accuracy: list[float] = []
        self.val_loss: list[float] = []
        self.val_accuracy: list[float] = []
        self.learning_rate: list[float] = []
        self.time: list[float] = []
        self.best_epoch: int | None = None

    @property
    def epochs(self) -> int:
        """How many epochs there were."""
        return len(self.loss)

    def __getitem__(self, name: str) -> list[float]:
        if name not in self._names():
            raise KeyError(name)
        values: list[float] = getattr(self, name)
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> list[str]:
        return [name for name in _COLUMNS if getattr(self, name)]

    def to_dict(self) -> dict[str, list[float]]:
        """Return the lists that are not empty, by name; ready for ``pandas.DataFrame`` or JSON.

        Examples
        --------
        >>> import nncore
        >>> nncore.History().to_dict()
        {}
        """
        return {name: list(values) for name, values in self.items()}

    def plot(self, ax: Axes | None = None, *, measure: str = "loss") -> Axes:
        """Draw a measure by epoch, that of the validation data beside it; needs matplotlib.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; None: in a new figure.
        measure : {"loss", "accuracy", "learning_rate", "time"}, optional
            What to draw.

        Returns
        -------
        matplotlib.axes.Axes
            Where it is drawn. The epoch that early stopping found best is marked by a line.

        Raises
        ------
        ValueError
            There is no such measure, or this fit has none.
        ImportError
            matplotlib is not installed.

        Examples
        --------
        >>> history.plot(measure="accuracy")  # doctest: +SKIP
        <Axes: xlabel='epoch', ylabel='accuracy'>
        """
        if measure not in self or measure.startswith("val_"):
            choice = ", ".join(name for name in self if not name.startswith("val_")) or "a fit"
            raise ValueError(f"measure is {measure!r}, expected one that this fit has: {choice}")
        try:
            from matplotlib import pyplot, ticker
        except ImportError as error:
            raise ImportError("plot needs matplotlib: pip install matplotlib") from error
        if ax is None:
            ax = pyplot.subplots()[1]
        numbers = range(1, self.epochs + 1)
        for name, label in ((measure, "training"), (f"val_{measure}", "validation")):
            if name in self:
                ax.plot(numbers, self[name], marker="." if self.epochs <= 50 else "", label=label)
        if self.best_epoch is not None:
            ax.axvline(self.best_epoch, linestyle=":", color="grey", label="best epoch")
        ax.set_xlabel("epoch")
        ax.set_ylabel(measure.replace("_", " "))
        ax.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        if len(ax.get_lines()) > 1:
            ax.legend()
        return ax

    def __repr__(self) -> str:
        lines = [f"History of {_validation.counted(self.epochs, 'epoch')}"]
        if not self:
            return lines[0]
        lines.append("  ".join(["epoch", *(f"{name:>13}" for name in self)]))
        half, after = _SHOWN_EPOCHS // 2, 0
        for epoch in range(1, self.epochs + 1):
            middle = half < epoch <= self.epochs - half
            if middle and self.epochs > _SHOWN_EPOCHS and epoch != self.best_epoch:
                continue
            if epoch > after + 1:
                lines.append("  ...")
            row = [_cell(name, values[epoch - 1]) for name, values in self.items()]
            mark = "  best" if epoch == self.best_epoch else ""
            lines.append("  ".join([f"{epoch:>5}", *row]) + mark)
            after = epoch
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
