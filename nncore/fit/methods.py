"""The methods with which a network learns: the interface of training, which `Network` inherits.

They import the rest of this folder when they are called, so that a process that only runs networks
does not load what training takes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from nncore._inference import Inference
    from nncore.fit.settings import Problem
    from nncore.history import EarlyStopping, Evaluation, History, Progress
    from nncore.optimizers import Optimizer


class Measurable:
    """`evaluate`, for networks of all kinds."""

    def evaluate(
        self,
        x: ArrayLike,
        t: ArrayLike,
        *,
        loss: str | None = None,
        sample_weight: ArrayLike | None = None,
        class_weight: Any = None,
        label_smoothing: float = 0.0,
    ) -> Evaluation:
        """Measure loss and accuracy, as `fit` measures its validation data.

        The samples go through the network in batches of up to 128, and no gradients are computed,
        so data on disk (`numpy.memmap`) of any size can be measured. The numbers are those of
        ``fit(validation=(x, t))``, bit for bit.

        Parameters
        ----------
        x, t : array_like
            Samples and targets, as for `fit`.
        loss, sample_weight, class_weight, label_smoothing
            As for `fit`. The loss is then the weighted mean; the accuracy counts every sample
            whose weight is above 0 alike.

        Returns
        -------
        Evaluation
            ``loss`` and ``accuracy``, floats; the accuracy is None for a loss that has none. It is
            the share of samples that are right: with cross_entropy the largest output decides,
            with binary_cross_entropy every output has to be on the right side of 1/2.

        Raises
        ------
        TypeError, ValueError
            As `fit` does, zero samples and NaN included.

        Examples
        --------
        >>> import nncore
        >>> x, t = nncore.datasets.make_digits(500, seed=1)
        >>> loss, accuracy = nncore.load_pretrained("digits").evaluate(x, t)
        >>> loss < 0.1, accuracy > 0.98
        (True, True)
        """
        return self._problem(locals()).evaluate()

    def _problem(self, given: Mapping[str, Any]) -> Problem:
        """Return what the arguments of a method of this class describe, checked."""
        from nncore.fit.settings import Problem

        return Problem(cast("Inference", self), given)


class Trainable(Measurable):
    """`fit`, `evaluate` and `gradients`, for `Network`."""

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
        """Compute the loss and its derivatives by every weight and bias (backpropagation).

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
            One pair for each Dense layer, with the shapes of its weights and its bias and the
            dtype of the network; db is None for a layer without bias.

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
        return self._problem(locals()).gradients()

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
        callbacks: Sequence[Callable[[Inference, History], Any]] = (),
        progress: Callable[[Progress], Any] | None = None,
        verbose: bool = False,
    ) -> History:
        """Learn from samples and their targets; the weights of the layers change.

        Each call is a fit of its own: learning-rate schedules and the order of the samples begin
        anew. Only the optimizer's state goes on, where the same object is given again.

        A fit trains a copy of the weights. It assigns them to the layers at its end and, if there
        are callbacks, after each epoch. Where two fits of one network run at the same time, in two
        threads or one in a callback of the other, the one that ends last wins, and what the other
        has learned is lost.

        Parameters
        ----------
        x : array_like
            (n, in_features) of any real dtype, or images, as for a call; finite. It is read in
            place, not copied: do not write to it before the fit has ended.
        t : array_like
            For a last layer with softmax or log_softmax: class labels (n,), whole numbers from 0,
            or rows of probabilities (n, out_features), for example one-hot rows. For sigmoid: rows
            (n, out_features) of numbers from 0 to 1. Otherwise rows of what the outputs should be.
            A network with one output also takes (n,), and labels may be a column (n, 1). Where the
            network's `classes` are text, labels may be these names. Labels are
            copied; rows of the network's dtype are read in place, as x is.
        epochs : int, optional
            How many times the fit goes through all samples.
        batch_size : int, optional
            How many samples a step of the optimizer learns from; the last batch of an epoch may
            have fewer.
        optimizer : Optimizer, optional
            Such as ``nncore.Adam(1e-3)``, which is the default. An optimizer that has been used
            before goes on with its state.
        loss : {"cross_entropy", "binary_cross_entropy", "mse", "mae", "huber", "poisson"}, optional
            By default the one that goes with the last activation: cross_entropy for softmax and
            log_softmax, binary_cross_entropy for sigmoid, else mse. Definitions are those of
            PyTorch with reduction='mean'.
        validation : (x, t) or float, optional
            The data that the network is measured with after each epoch; or the share of the
            samples to put aside for that. These are drawn at random, by `seed`; with
            ``shuffle=False`` they are the last ones.
        seed : int, sequence of ints or None, optional
            Of the order of the samples, dropout and augmentation: the same seed gives the same
            weights, bit for bit, on any machine and with any number of threads.
        shuffle : bool, optional
            Whether each epoch takes the samples in a random order of its own.
        sample_weight : array_like, optional
            (n,), at least 0; the loss of a batch is the weighted mean. Samples with the weight 0
            are left out.
        class_weight : "balanced", mapping or array_like, optional
            The weight of each class, by its label; the weights of its samples are multiplied by
            it. A class that a mapping leaves out has weight 1. "balanced" gives all classes among
            the targets the same weight in sum, as in scikit-learn: n / (number of classes * samples
            of the class), where samples count by their `sample_weight` if there is one.
        dropout : float or sequence of float, optional
            The share of activations that are set to 0 while learning: one number for every hidden
            layer, or a sequence with one for each.
        label_smoothing : float, optional
            With cross_entropy, the share of each target that is spread evenly over all classes.
        augment : Augment or callable, optional
            ``nncore.Augment(...)``, which changes images anew in each epoch; or
            ``callable(x, epoch)``, which returns other samples of the shape (n, in_features).
        early_stopping : EarlyStopping, optional
            When to stop before the last epoch.
        callbacks : sequence of callable, optional
            Called after each epoch as ``callback(net, history)``, when the network has the weights
            of that epoch; a callback that returns True stops the fit. Weights that a callback
            assigns have no effect on the fit.
        progress : callable, optional
            Called some ten times a second with a `Progress`.
        verbose : bool, optional
            Whether to print a line for each epoch, to standard output, and to show a progress bar
            meanwhile: in terminals and notebooks, and if tqdm is installed.

        Returns
        -------
        History
            Loss, accuracy, learning rate and time of each epoch.

        Warns
        -----
        ScalingWarning
            As for a call.

        Raises
        ------
        TypeError, ValueError
            Shapes, dtypes or lengths do not fit; zero samples; NaN or infinity in x or t; labels
            out of range or fractional; a loss that does not go with the last activation; an
            activation without a derivative (any callable); weights that are not finite to begin
            with. The network and the optimizer are then as they were. NaN and infinity in x are
            found while the first epoch reads it, so `progress` may have been called before.
        FloatingPointError
            The loss or, at the end of an epoch, a weight is not finite: the message says in which
            epoch and batch, and the network keeps the last weights whose loss was finite.
        KeyboardInterrupt
            Ctrl-C, after the batches in work. The network keeps the weights reached so far, also
            where early stopping would have restored those of the best epoch.

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
        # All arguments by their names, so that the signature above is the only list of them.
        given = locals()
        del given["self"]
        from nncore.fit.loop import Fit
        from nncore.fit.settings import Settings

        return Fit(Settings(cast("Inference", self), given)).run()


def with_defaults(**given: Any) -> dict[str, Any]:
    """Return every argument of `fit` by its name: the given ones, and the defaults of the others.

    The signature of `fit` is where they have their names and defaults.

    Raises
    ------
    TypeError
        There is no such argument, or x or t is missing.

    Examples
    --------
    >>> with_defaults(x=[[1.0]], t=[1.0])["batch_size"]
    32
    """
    bound = inspect.signature(Trainable.fit).bind(None, **given)
    bound.apply_defaults()
    del bound.arguments["self"]
    return dict(bound.arguments)
