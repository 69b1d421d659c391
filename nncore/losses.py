"""The losses, which training minimises: their registry, and the targets that each of them takes.

The arithmetic is compiled, in ext/simd/loss.tpl.h; definitions are PyTorch's with reduction='mean'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore import _table, _validation, activations

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Loss(NamedTuple):
    """A row of the registry: what Python knows of a loss.

    `targets` says what belongs to a sample: its class ("classes"), a number from 0 to 1 for each
    output ("probabilities"), or any number for each output ("numbers"). `last` names the last
    activations that the loss goes with; empty: every one except softmax and log_softmax.

    Examples
    --------
    >>> import nncore
    >>> nncore.losses.REGISTRY["mse"].formula
    '(y - t)^2, the mean over all outputs'
    """

    name: str
    formula: str
    targets: str = "numbers"
    last: tuple[str, ...] = ()

    @property
    def code(self) -> int:
        """The number of the loss in the kernels: its place in ext/registries.h."""
        return _table.loss_names().index(self.name)

    @property
    def has_accuracy(self) -> bool:
        """Whether an output is right or wrong: classes and probabilities have that."""
        return self.targets != "numbers"


# A row here for each row of NN_LOSSES in ext/registries.h, which gives the losses their order.
_ROWS = {row.name: row for row in (
    Loss(
        "cross_entropy", "-sum_j t_j log(softmax(a)_j), the mean over samples",
        "classes", ("softmax", "log_softmax"),
    ),
    Loss(
        "binary_cross_entropy", "-t log(y) - (1 - t) log(1 - y), the mean over all outputs",
        "probabilities", ("sigmoid",),
    ),
    Loss("mse", "(y - t)^2, the mean over all outputs"),
    Loss("mae", "|y - t|, the mean over all outputs"),
    Loss("huber", "d^2 / 2 where d = |y - t| is below 1, else d - 1/2, the mean over all outputs"),
    Loss("poisson", "exp(y) - t y, the mean over all outputs; y is the log of a count"),
)}  # fmt: skip

REGISTRY: dict[str, Loss] = {name: _ROWS[name] for name in _table.loss_names()}

# A row of probabilities may be off by this in its sum: float16 rounds each to three digits.
_SUM_TOLERANCE = 1e-3


def infer_loss(activation: str | Callable[..., Any]) -> Loss:
    """Return the loss that goes with a last activation.

    It is cross_entropy for softmax and log_softmax, binary_cross_entropy for sigmoid, else mse.

    Examples
    --------
    >>> import nncore
    >>> nncore.losses.infer_loss("softmax").name
    'cross_entropy'
    """
    for loss in REGISTRY.values():
        if activation in loss.last:
            return loss
    return REGISTRY["mse"]


def choose_loss(name: str | None, activation: str | Callable[..., Any]) -> Loss:
    """Return the loss of that name, checked against the last activation; None: infer it from there.

    Parameters
    ----------
    name : str or None
    activation : str or callable
        Of the network's last layer.

    Raises
    ------
    ValueError
        There is no such loss, or it does not go with the activation.

    Examples
    --------
    >>> import nncore
    >>> nncore.losses.choose_loss("huber", "identity").code
    4
    """
    if name is None:
        return infer_loss(activation)
    if not isinstance(name, str) or name not in REGISTRY:
        raise ValueError(f"loss is {name!r}, expected one of {', '.join(REGISTRY)}")
    loss = REGISTRY[name]
    if loss.last and activation not in loss.last:
        raise ValueError(
            f"the last activation is {activation!r}, expected {' or '.join(loss.last)} with the "
            f"loss {name}"
        )
    if not loss.last and activations.last_layer_only(activation):
        raise ValueError(
            f"the last activation is {activation!r}, expected one with a derivative of each output "
            f"by its own weighted sum with the loss {name}: take the loss cross_entropy, or "
            "another last activation"
        )
    return loss


def prepare_targets(
    loss: Loss, t: object, n: int, m: int, dtype: np.dtype[Any], name: str = "t"
) -> NDArray[Any]:
    """Return the targets as the training kernels take them.

    Parameters
    ----------
    loss : Loss
    t : array_like
        cross_entropy: class indices (n,) or (n, 1), of any integer dtype or floats that are whole,
        or rows (n, m) of probabilities, one-hot ones among them. The others: (n, m), or (n,) where
        m is 1; for binary_cross_entropy each between 0 and 1.
    n, m : int
        Samples, outputs.
    dtype : numpy.dtype
        The network's.
    name : str, optional
        For errors.

    Returns
    -------
    ndarray
        Class indices, int32 (n,), also for one-hot rows, and always a copy; else (n, m) of
        `dtype`, in place where `t` is that already.

    Raises
    ------
    TypeError, ValueError
        A length or shape does not fit, a label is fractional or out of range, a target is NaN.

    Examples
    --------
    >>> import numpy as np, nncore
    >>> loss = nncore.losses.REGISTRY["cross_entropy"]
    >>> nncore.losses.prepare_targets(loss, [[0, 1], [1, 0]], 2, 2, np.dtype("float32"))
    array([1, 0], dtype=int32)
    """
    try:
        plain = _validation.array(t, name)
    except TypeError as error:
        if loss.targets == "numbers" or not _is_text(t):
            raise
        raise TypeError(
            f"{error}; names of classes become numbers by classes, {name} = "
            f"numpy.unique({name}, return_inverse=True)"
        ) from None
    if plain.ndim == 0 or len(plain) != n:
        came = f"shape {plain.shape}" if plain.ndim != 1 else f"{len(plain)} targets"
        raise ValueError(f"{name} has {came}, expected one for each of the {n} samples of x")
    if loss.targets == "classes":
        if plain.ndim == 1:
            return _labels(plain, m, name)
        if plain.shape == (n, 1) and m > 1:  # a column, as a table gives it
            return _labels(plain.reshape(n), m, name)
        return _probabilities(plain, n, m, dtype, name)
    if plain.shape == (n,) and m == 1:
        plain = plain.reshape(n, 1)
    if plain.shape != (n, m):
        hint = ""
        if plain.ndim == 1 and m > 1:
            hint = f", a row of {m} outputs for each sample (class labels go with a softmax layer)"
        raise ValueError(f"{name} has shape {plain.shape}, expected ({n}, {m}){hint}")
    values = _finite(plain, dtype, name)
    if loss.targets == "probabilities":
        _check_unit_interval(values, name, loss.name)
    return values


def _is_text(t: object) -> bool:
    try:
        first = np.asarray(t, object).ravel()[:1].tolist()
    except Exception:  # whatever the object raises: it is no text
        return False
    return bool(first) and isinstance(first[0], str)


def _labels(t: NDArray[Any], m: int, name: str) -> NDArray[np.int32]:
    """Return class indices as int32, each checked.

    They are copied first: the kernels use them as indices, and another thread may write to `t`.
    """
    t = t.copy()
    if t.dtype.kind == "f":
        whole = np.isfinite(t) & (t == np.trunc(t))
        if not whole.all():
            i = int(np.argmin(whole))
            raise ValueError(
                f"{name}[{i}] is {t[i]!s}, expected a class label, a whole number from 0 to {m - 1}"
            )
    outside = (t < 0) | (t >= m)
    if outside.any():
        i = int(np.argmax(outside))
        raise ValueError(
            f"{name}[{i}] is the label {t[i]}, expected 0 to {m - 1}: the network has {m} "
            f"output{'s' if m != 1 else ''}"
        )
    return t.astype(np.int32, copy=False)


def _probabilities(
    t: NDArray[Any], n: int, m: int, dtype: np.dtype[Any], name: str
) -> NDArray[Any]:
    """Return rows of probabilities; one-hot rows as class indices, for the same bits as labels."""
    if t.shape != (n, m):
        raise ValueError(
            f"{name} has shape {t.shape}, expected class labels ({n},) or rows ({n}, {m})"
        )
    values = _finite(t, dtype, name)
    _check_unit_interval(values, name, "probabilities")
    largest = values.argmax(axis=1)
    if np.count_nonzero(values) == n and (values[np.arange(n), largest] == 1).all():
        return np.asarray(largest, dtype=np.int32)
    sums = values.sum(axis=1, dtype=np.float64)
    off = np.abs(sums - 1) > _SUM_TOLERANCE
    if off.any():
        i = int(np.argmax(off))
        raise ValueError(
            f"{name}[{i}] sums to {sums[i]:.6g}, expected a row of probabilities that sum to 1"
        )
    return values


def _check_unit_interval(values: NDArray[Any], name: str, what: str) -> None:
    outside = (values < 0) | (values > 1)
    if outside.any():
        i, j = (int(k) for k in np.unravel_index(np.argmax(outside), values.shape))
        raise ValueError(
            f"{name}[{i}, {j}] is {values[i, j]!s}, expected between 0 and 1 for {what}"
        )


def _finite(t: NDArray[Any], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    with np.errstate(all="ignore"):  # what is too large for the dtype is refused right here
        values = np.require(t, dtype, ["C_CONTIGUOUS", "ALIGNED"])
    finite = np.isfinite(values)
    if not finite.all():
        place = tuple(int(k) for k in np.unravel_index(np.argmin(finite), values.shape))
        where = ", ".join(map(str, place))
        raise ValueError(f"{name}[{where}] is {t[place]!s}, expected finite numbers in {dtype}")
    return values
