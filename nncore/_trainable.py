"""The methods with which a network learns: their interface. The work is in training.py.

They are apart from network.py, and import the rest when they are called, so that who only runs a
network neither reads nor loads what training takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from nncore.history import EarlyStopping, History, Progress
    from nncore.network import Network
    from nncore.optimizers import Optimizer


class Trainable:
    """`fit` and `gradients`, for `Network`."""

    def gradients(
        self,
        x: ArrayLike,
        t: ArrayLike,
        *,
        loss: str | None = None,
        sample_weight: ArrayLike | None = None,
        class_weight: Any = None,
        label_smoothing: float = 0.0,
    ) -> tuple[float, list[tuple[NDArray[Any], NDArray[Any] | None]]]:
        """Backpropagation: the loss, and its derivatives by every weight and bias.

        Parameters
        ----------
        x, t : array_like
            Samples and targets, as for `fit`.
        loss, sample_weight, class_weight, label_smoothing
            As for `fit`.

        Returns
        -------
        loss : float
            The mean over all samples.
        gradients : list of (dw, db)
            One pair for each Dense layer, of the shapes of its weights and its bias and of the
            network's dtype; db is None for a layer without bias.

        Raises
        ------
        TypeError, ValueError
            As `fit` does.

        Examples
        --------
        >>> import nncore
        >>> net = nncore.Network.from_arrays([[[2.0]]], [[1.0]], ["identity"])
        >>> loss, [(dw, db)] = net.gradients([[3.0]], [5.0])  # (2 * 3 + 1 - 5)^2
        >>> loss, dw, db
        (4.0, array([[12.]]), array([4.]))
        """
        from nncore import training

        return training.gradients(
            cast("Network", self), x, t, loss=loss, sample_weight=sample_weight,
            class_weight=class_weight, label_smoothing=label_smoothing,
        )  # fmt: skip

    def fit(
        self,
        x: ArrayLike,
        t: ArrayLike,
        *,
        epochs: int = 5,
        batch_size: int = 32,
        optimizer: Optimizer | None = None,
        loss: str | None = None,
        validation: tuple[ArrayLike, ArrayLike] | float | None = None,
        seed: int | Sequence[int] | None = 0,
        shuffle: bool = True,
        sample_weight: ArrayLike | None = None,
        class_weight: Any = None,
        dropout: float | Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        augment: Any = None,
        early_stopping: EarlyStopping | None = None,
        callbacks: Sequence[Callable[[Network, History], Any]] = (),
        progress: Callable[[Progress], Any] | None = None,
    ) -> History:
        """Learn from samples and their targets; the weights of the layers change.

        Each call is a fit of its own: schedules and the order of the samples begin anew, only the
        optimizer's state goes on where the same object is given again. A fit trains with a copy of
        the weights and assigns them between epochs, if there are callbacks, and at its end: of two
        fits of one network at once, in a callback of the other or in another thread, the one that
        ends last wins, and what the other learned is lost.

        Parameters
        ----------
        x : array_like
            (n, in_features) of any real dtype, or images, as for a call; finite.
        t : array_like
            For a last layer with softmax or log_softmax: class labels (n,), whole numbers from 0,
            or rows of probabilities (n, out_features), one-hot ones among them. For sigmoid: rows
            (n, out_features) of numbers from 0 to 1. Else rows of what the outputs should be. With
            one output, (n,) will do for a row.
        epochs : int, optional
            How often all samples are gone through.
        batch_size : int, optional
            Samples of a step; the last batch of an epoch may have fewer.
        optimizer : Optimizer, optional
            Such as ``nncore.Adam(1e-3)``, which is the default. One that has been used before goes
            on with its state; a new one begins anew.
        loss : {"cross_entropy", "binary_cross_entropy", "mse", "mae", "huber"}, optional
            By default the last activation's: cross_entropy for softmax and log_softmax,
            binary_cross_entropy for sigmoid, else mse. Definitions are PyTorch's, with means.
        validation : (x, t) or float, optional
            What the network is measured with after each epoch; or the share of the samples to put
            aside for it, drawn by `seed`, or with ``shuffle=False`` the last ones.
        seed : int, sequence of ints or None, optional
            Of the order of the samples, dropout and augmentation: the same seed gives the same
            weights, bit for bit, on any machine and with any number of threads.
        shuffle : bool, optional
            Whether each epoch has an order of its own.
        sample_weight : array_like, optional
            (n,), at least 0; the loss of a batch is the weighted mean. Samples that weigh 0 are
            left out.
        class_weight : mapping or array_like, optional
            From the class to its weight, which is multiplied into its samples' weights.
        dropout : float or sequence of float, optional
            The share of activations set to 0 while learning, of every hidden layer or of each.
        label_smoothing : float, optional
            With cross_entropy, the share of each target that is spread evenly over all classes.
        augment : Augment or callable, optional
            ``nncore.Augment(...)`` for images, anew in each epoch; or ``callable(x, epoch)``, which
            returns samples of x's shape, (n, in_features).
        early_stopping : EarlyStopping, optional
            When to stop before the last epoch.
        callbacks : sequence of callable, optional
            Called after each epoch as ``callback(net, history)``, with the weights in place; one
            that returns True stops the fit. Weights that it assigns are not trained with.
        progress : callable, optional
            Called some ten times a second with a `Progress`.

        Returns
        -------
        History
            Loss, accuracy, learning rate and time of each epoch.

        Raises
        ------
        TypeError, ValueError
            Shapes, dtypes or lengths do not fit; zero samples; NaN or infinity in x or t; labels
            out of range or fractional; a loss that does not go with the last activation; an
            activation without a derivative (any callable); weights that are not finite to begin
            with.
        FloatingPointError
            The loss or, at the end of an epoch, a weight is not finite: the message says in which
            epoch and batch, and the network keeps the last weights whose loss was finite.
        KeyboardInterrupt
            Ctrl-C: after the batch in work; the network keeps the weights reached so far, those of
            the last epoch, not of the best.

        Examples
        --------
        >>> import nncore
        >>> x, t = nncore.datasets.make_digits(500, seed=0)
        >>> net = nncore.Network([
        ...     nncore.Rescaling(1 / 255),
        ...     nncore.Dense(784, 20, "relu"),
        ...     nncore.Dense(20, 10, "softmax"),
        ... ], seed=0)
        >>> history = net.fit(x, t, epochs=10, optimizer=nncore.Adam(nncore.OneCycle(1e-2)))
        >>> history.loss[-1] < history.loss[0]
        True
        """
        from nncore._fitting import Fitting
        from nncore.training import make_job

        job = make_job(
            cast("Network", self), x, t, epochs=epochs, batch_size=batch_size,
            optimizer=optimizer, loss=loss, validation=validation, seed=seed, shuffle=shuffle,
            sample_weight=sample_weight, class_weight=class_weight, dropout=dropout,
            label_smoothing=label_smoothing, augment=augment, early_stopping=early_stopping,
            callbacks=callbacks, progress=progress,
        )  # fmt: skip
        return Fitting(job).run()
