"""How weights follow their gradients: the optimizers, with PyTorch's formulas and defaults.

An optimizer here is its settings and, after a fit, its state. Its name and the number of its state
arrays stand in ext/registries.h; the arithmetic, one pass over weights, gradients and state, is
compiled in ext/simd/optimizers.tpl.h.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np

from nncore import _table
from nncore.schedules import _number, check_learning_rate

LearningRate: TypeAlias = "float | Callable[[int, int], float]"

# From the name to the number of state arrays a layer, of those that a momentum adds, and to the
# names of the settings.
_ROWS = {row[0]: row[1:] for row in _table.optimizer_rows()}


class Optimizer:
    """What all optimizers share; made by one of its subclasses.

    An optimizer keeps its state (momentum, means of squares, the number of steps) after a fit: a
    second fit with the same object goes on with it, a new object begins anew. Settings may be
    changed between fits, for example ``optimizer.learning_rate = 1e-4``.

    Attributes
    ----------
    learning_rate : float or callable
        A number of at least 0, a schedule such as `OneCycle`, or any ``callable(step, total)``.
    clip_norm : float or None
        Gradients are scaled down so that the norm of all of them together is at most this.
    clip_value : float or None
        Each number of the gradients is kept between plus and minus this. Where both limits are
        given, this one is applied first.
    steps : int
        The steps taken so far, in all fits.
    """

    kind: ClassVar[str] = ""  # the name in ext/registries.h
    _below_one: ClassVar[tuple[str, ...]] = ()  # settings that must be below 1

    def __init__(
        self, learning_rate: LearningRate, clip_norm: float | None, clip_value: float | None
    ) -> None:
        self.learning_rate = learning_rate
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self._state: dict[str, Any] | None = None
        self._made_for: tuple[Any, ...] | None = None

    @property
    def _settings(self) -> list[str]:
        """The names of the settings, by PyTorch's names: numbers of at least 0."""
        return _ROWS[self.kind][2] if self.kind in _ROWS else []

    @property
    def steps(self) -> int:
        """Steps taken so far, in all fits with this object."""
        return 0 if self._state is None else int(self._state["steps"])

    def _check(self) -> None:
        """Check the settings: when they are given, and again when a fit begins to use them."""
        if self.kind not in _ROWS:
            raise ValueError(f"kind is {self.kind!r}, expected one of {', '.join(_ROWS)}")
        self.learning_rate = check_learning_rate(self.learning_rate)
        for name in self._settings:
            value = getattr(self, name)
            if name == "nesterov":
                continue
            number = _number(value, name)
            if name in self._below_one and number >= 1:
                raise ValueError(f"{name} is {number}, expected a number from 0 to below 1")
            setattr(self, name, number)
        for name in ("clip_norm", "clip_value"):
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, _number(value, name, " or None", above=0.0))

    def options(self) -> dict[str, Any]:
        """Return kind and settings as the Trainer takes them, checked.

        Examples
        --------
        >>> import nncore
        >>> nncore.SGD(0.1, momentum=0.9).options()["momentum"]
        0.9
        """
        self._check()
        return {
            "kind": self.kind,
            **{name: float(getattr(self, name)) for name in self._settings},
        }

    @property
    def state_arrays(self) -> int:
        """The number of state arrays of each layer, with the present settings.

        Examples
        --------
        >>> import nncore
        >>> nncore.Adam().state_arrays, nncore.SGD().state_arrays
        (2, 0)
        """
        states, momentum_states, _ = _ROWS[self.kind]
        return states + (momentum_states if getattr(self, "momentum", 0) != 0 else 0)

    def state_for(self, shapes: Sequence[Any], dtype: np.dtype[Any]) -> dict[str, Any] | None:
        """Return the state to go on with, or None at first; refuse a network of other shapes.

        A momentum that has been set to 0 since is forgotten; one that is new begins from 0.

        Raises
        ------
        ValueError
            The state belongs to a network of another shape or dtype.
        """
        made_for = (tuple(shapes), dtype.name)
        if self._state is not None and self._made_for != made_for:
            assert self._made_for is not None
            raise ValueError(
                f"this {type(self).__name__} has the state of a network of "
                f"{_describe(self._made_for)}, expected one of {_describe(made_for)}: give each "
                "network an optimizer of its own"
            )
        if self._state is None:
            return None
        arrays = self._state["arrays"]
        came, wanted = len(arrays) // len(shapes), self.state_arrays
        if came == wanted:
            return self._state
        fitting = []
        for i, (k, m, _) in enumerate(shapes):
            fitting += arrays[i * came : i * came + min(came, wanted)]
            fitting += [np.zeros((1 + k, m), dtype) for _ in range(wanted - came)]
        return {**self._state, "arrays": fitting}

    def keep_state(
        self, state: dict[str, Any], shapes: Sequence[Any], dtype: np.dtype[Any]
    ) -> None:
        """Keep the state that a fit has reached, for the next one."""
        self._state = state
        self._made_for = (tuple(shapes), dtype.name)

    def __repr__(self) -> str:
        rate = self.learning_rate
        settings = [f"{name}={getattr(self, name)!r}" for name in self._settings]
        settings += [
            f"{name}={getattr(self, name)!r}"
            for name in ("clip_norm", "clip_value")
            if getattr(self, name) is not None
        ]
        return f"{type(self).__name__}({', '.join([repr(rate), *settings])})"


def _describe(made_for: tuple[Any, ...]) -> str:
    shapes, dtype = made_for
    sizes = "-".join(str(size) for size in (shapes[0][0], *(shape[1] for shape in shapes)))
    unbiased = "" if all(shape[2] for shape in shapes) else " without every bias"
    return f"{sizes} in {dtype}{unbiased}"


class SGD(Optimizer):
    """Stochastic gradient descent: w = w - learning_rate * v.

    v is the gradient, or with momentum v = momentum * v + (1 - dampening) * gradient (the first
    time: the gradient), or with Nesterov's gradient + momentum * v.

    Parameters
    ----------
    learning_rate : float or callable, optional
        A number, a schedule such as `OneCycle`, or any ``callable(step, total)``: its arguments
        are the index of the step, from 0, and the number of all steps of the fit.
    momentum, dampening : float, optional
        A momentum that is changed to 0 between two fits is forgotten; one that is changed from 0
        begins anew, and then without dampening.
    nesterov : bool, optional
        Needs a momentum, and no dampening.
    weight_decay : float, optional
        Times the weight, added to its gradient; biases likewise.
    clip_norm, clip_value : float or None, optional
        Limits of the gradients: of the norm of all together, of each number.

    Raises
    ------
    TypeError, ValueError
        A setting is no number, negative or not finite; nesterov without momentum; a callable
        that does not take two arguments.

    Examples
    --------
    >>> import nncore
    >>> nncore.SGD(0.1, momentum=0.9, nesterov=True)
    SGD(0.1, momentum=0.9, dampening=0.0, nesterov=True, weight_decay=0.0)
    """

    kind = "sgd"

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm, clip_value)
        self.momentum = momentum
        self.dampening = dampening
        self.nesterov = bool(nesterov)
        self.weight_decay = weight_decay
        self._check()

    def state_for(self, shapes: Sequence[Any], dtype: np.dtype[Any]) -> dict[str, Any] | None:
        """Return the state as every optimizer does; refuse dampening that would begin late.

        Raises
        ------
        ValueError
            As for every optimizer; or momentum with dampening is new to an SGD that has taken
            steps without a momentum: PyTorch leaves the first step of its buffer undamped.
        """
        state = super().state_for(shapes, dtype)
        if state is not self._state and self.momentum != 0 and self.dampening != 0 and self.steps:
            raise ValueError(
                f"this SGD has taken {self.steps} step{'s' if self.steps != 1 else ''} without "
                "momentum, and one with dampening begins at the first step only: give dampening 0, "
                "or a new SGD"
            )
        return state

    def _check(self) -> None:
        super()._check()
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError(
                f"momentum is {self.momentum:g} and dampening {self.dampening:g}, expected a "
                "momentum above 0 and dampening 0 with nesterov"
            )


class AdaGrad(Optimizer):
    """AdaGrad (Duchi et al., 2011): each weight's rate falls with its gradients so far.

    s = s + g^2; w = w - learning_rate / (1 + step * lr_decay) * g / (sqrt(s) + eps).

    Parameters
    ----------
    learning_rate : float or callable, optional
        A number, a schedule such as `OneCycle`, or any ``callable(step, total)``: its arguments
        are the index of the step, from 0, and the number of all steps of the fit.
    lr_decay, weight_decay, eps : float, optional
        With an eps of 0, a weight whose gradient has always been 0 stays (in PyTorch it turns NaN).
    clip_norm, clip_value : float or None, optional
        As for `SGD`, the errors too.

    Examples
    --------
    >>> import nncore
    >>> nncore.AdaGrad()
    AdaGrad(0.01, lr_decay=0.0, weight_decay=0.0, eps=1e-10)
    """

    kind = "adagrad"

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        eps: float = 1e-10,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm, clip_value)
        self.lr_decay = lr_decay
        self.weight_decay = weight_decay
        self.eps = eps
        self._check()


class RMSProp(Optimizer):
    """RMSProp (Hinton, 2012): the gradient over the root of a running mean of its squares.

    s = alpha * s + (1 - alpha) * g^2; w = w - learning_rate * g / (sqrt(s) + eps), with momentum
    through b = momentum * b + g / (sqrt(s) + eps).

    Parameters
    ----------
    learning_rate : float or callable, optional
        A number, a schedule such as `OneCycle`, or any ``callable(step, total)``: its arguments
        are the index of the step, from 0, and the number of all steps of the fit.
    alpha : float, optional
        Below 1: how long the mean remembers.
    eps, weight_decay, momentum : float, optional
        With an eps of 0, a weight whose gradient has always been 0 stays (in PyTorch it turns NaN).
        A momentum of 0 forgets what was before it; one that is no longer 0 begins anew.
    clip_norm, clip_value : float or None, optional
        As for `SGD`, the errors too.

    Examples
    --------
    >>> import nncore
    >>> nncore.RMSProp()
    RMSProp(0.01, alpha=0.99, eps=1e-08, weight_decay=0.0, momentum=0.0)
    """

    kind = "rmsprop"

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm, clip_value)
        self.alpha = alpha
        self.eps = eps
        self.weight_decay = weight_decay
        self.momentum = momentum
        self._check()


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015): running means of the gradient and of its square.

    m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2;
    w = w - learning_rate * m' / (sqrt(v') + eps), m' = m / (1 - beta1^step) and v' likewise.

    Parameters
    ----------
    learning_rate : float or callable, optional
        A number, a schedule such as `OneCycle`, or any ``callable(step, total)``: its arguments
        are the index of the step, from 0, and the number of all steps of the fit.
    beta1, beta2 : float, optional
        Below 1: how long the means remember.
    eps : float, optional
        With an eps of 0, a weight whose gradient has always been 0 stays (in PyTorch it turns NaN).
    weight_decay : float, optional
        Times the weight, added to its gradient; `AdamW` does it better.
    clip_norm, clip_value : float or None, optional
        As for `SGD`, the errors too.

    Examples
    --------
    >>> import nncore
    >>> nncore.Adam(nncore.OneCycle(1e-2)).beta2
    0.999
    """

    kind = "adam"
    _below_one = ("beta1", "beta2")

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm, clip_value)
        self.beta1 = beta1
        self.beta2 = beta2
        self.eps = eps
        self.weight_decay = weight_decay
        self._check()


class AdamW(Adam):
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter, 2019).

    Before each of Adam's steps, w = w - learning_rate * weight_decay * w.

    Parameters
    ----------
    learning_rate : float or callable, optional
        A number, a schedule such as `OneCycle`, or any ``callable(step, total)``: its arguments
        are the index of the step, from 0, and the number of all steps of the fit.
    beta1, beta2, eps : float, optional
        As for `Adam`.
    weight_decay : float, optional
    clip_norm, clip_value : float or None, optional
        As for `SGD`, the errors too.

    Examples
    --------
    >>> import nncore
    >>> nncore.AdamW().weight_decay
    0.01
    """

    kind = "adamw"

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(
            learning_rate, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay,
            clip_norm=clip_norm, clip_value=clip_value,
        )  # fmt: skip


# Every class above that names its row.
_CLASSES: dict[str, type[Optimizer]] = {
    cls.kind: cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, Optimizer) and cls.kind
}

# One for each row of NN_OPTIMIZERS in ext/registries.h, in the order of these.
OPTIMIZERS: dict[str, type[Optimizer]] = {name: _CLASSES[name] for name in _ROWS}
