"""The activations: one registry from which names, derivatives, file formats and tests are driven.

It is read from the compiled _table. A new activation is one row in ext/registries.h and one
expression, with its derivative, in ext/simd/math.tpl.h; nothing here changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import _table, _validation

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROWS = _table.activations()
CODES: dict[str, int] = {row["name"]: code for code, row in enumerate(_ROWS)}


def _real(plain: NDArray[Any]) -> NDArray[Any]:
    """Return x as the kernels read it, contiguous and aligned.

    Integers become float64, float16 becomes float32.
    """
    small = plain.dtype.kind == "f" and plain.dtype.itemsize <= 4
    with np.errstate(all="ignore"):
        real = plain.astype(np.float32 if small else np.float64, order="C", copy=False)
    return real if real.flags.aligned else real.copy()


def _result(y: NDArray[Any], out: NDArray[Any] | None) -> Any:
    if out is None:
        return y if y.ndim else y[()]
    if y is not out:
        out[...] = y
    return out


def _target(real: NDArray[Any], x: NDArray[Any], out: NDArray[Any] | None) -> NDArray[Any]:
    """Return where a kernel may write: `out` if it is contiguous, else memory of our own."""
    if out is None:
        return np.empty_like(real, order="C", subok=False)
    _validation.fits(out, real.shape, real.dtype)
    if _validation.overlap(out, x):
        same = out.ctypes.data == x.ctypes.data and out.strides == x.strides
        if not same or out.dtype != x.dtype:
            raise ValueError("out overlaps x in memory, expected x itself or memory of its own")
    return out if out.flags.c_contiguous else np.empty_like(real, order="C")


class Activation:
    """What every activation has.

    Attributes
    ----------
    name : str
        As in ``Dense(..., activation=name)``.
    formula : str
        Of the function.
    alpha, beta : float or None
        The defaults of its parameters; None where it has no such parameter.
    init : str
        The initializer that a layer with this activation begins with.
    """

    def __init__(self, row: dict[str, Any]) -> None:
        self.name: str = row["name"]
        self.formula: str = row["formula"]
        self.alpha: float | None = row["alpha"]
        self.beta: float | None = row["beta"]
        self.init: str = row["init"]
        self._code = CODES[self.name]
        self._plain = (self._code, self.alpha or 0.0, self.beta or 0.0)  # with the defaults

    def __repr__(self) -> str:
        return f"<activation {self.name}: {self.formula}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return get, (self.name,)


class Elementwise(Activation):
    """An elementwise activation: call it, or ask for its derivative.

    ``f(x)`` takes an array of any shape (or a number, or a list) and returns one of the same shape:
    float32 for float32 and float16, else float64. ``f.derivative(x)`` is the slope at the same x.
    Overflow gives no warning, and NaN only comes from NaN.
    """

    def __init__(self, row: dict[str, Any]) -> None:
        super().__init__(row)
        self.slope: str = row["slope"]
        given = {"alpha": self.alpha, "beta": self.beta}
        call = "".join(f", {key}={value:.9g}" for key, value in given.items() if value is not None)
        text = f"{self.name}(x{call}) = {self.formula}; derivative {self.slope}."
        self.__doc__ = f"{text} {row['note']}".rstrip()

    def __call__(
        self,
        x: Any,
        out: NDArray[Any] | None = None,
        *,
        alpha: float | None = None,
        beta: float | None = None,
    ) -> Any:
        """Apply the function to each element.

        Parameters
        ----------
        x : array_like of real numbers
            Any shape.
        out : ndarray, optional
            Of x's shape and the result's dtype; may be x itself. Filled and returned.
        alpha, beta : float, optional
            The parameters of the activations that have any (leaky_relu, clip, ...), by default
            the attributes of these names. They are rounded to the result's dtype.

        Returns
        -------
        ndarray, or a NumPy scalar for a number

        Raises
        ------
        TypeError, ValueError
            x is no array of real numbers; out does not fit, or overlaps x in another way; the
            activation has no such parameter, or it is not a finite number.

        Examples
        --------
        >>> import nncore
        >>> nncore.relu([-1.0, 2.0])
        array([0., 2.])
        >>> nncore.leaky_relu([-1.0, 2.0], alpha=0.25)
        array([-0.25,  2.  ])
        >>> nncore.clip([-1.0, 2.0, 9.0], alpha=0, beta=6)
        array([0., 2., 6.])
        """
        if alpha is None and beta is None:
            y = _table.apply_plainly(*self._plain, x, out)
            if y is not None:
                return y
        return self._apply(_table.activate, x, out, alpha, beta)

    def derivative(
        self,
        x: Any,
        out: NDArray[Any] | None = None,
        *,
        alpha: float | None = None,
        beta: float | None = None,
    ) -> Any:
        """Return the derivative at each element; parameters and errors are those of the function.

        Where there is none, as for relu at 0, it is what `slope` says. step has the derivative 0
        everywhere, which is why nothing can be learned through it.

        Examples
        --------
        >>> import nncore
        >>> nncore.sigmoid.derivative([0.0])
        array([0.25])
        """
        return self._apply(_table.derive, x, out, alpha, beta)

    def _apply(
        self,
        kernel: Callable[..., None],
        x: Any,
        out: NDArray[Any] | None,
        alpha: float | None,
        beta: float | None,
    ) -> Any:
        """Run an elementwise kernel on x, whatever its shape and layout."""
        alpha, beta = check_parameters(self.name, alpha, beta)
        plain = _validation.array(x, "x")
        real = _real(plain)
        check_range(alpha, beta, real.dtype)
        y = _target(real, plain, out)
        kernel(self._code, alpha or 0.0, beta or 0.0, real, y)
        return _result(y, out)


class Softmax(Activation):
    """softmax or its logarithm, along the last axis: for the last layer of a network only.

    Each output depends on all inputs of its row, so there is no elementwise derivative.
    """

    def __init__(self, row: dict[str, Any]) -> None:
        super().__init__(row)
        self._logarithm = self.name == "log_softmax"
        self.__doc__ = (
            f"{self.name}(x) = {self.formula} along the last axis, the row's maximum subtracted "
            "first, so that no exponential overflows."
        )

    def __call__(self, x: Any, out: NDArray[Any] | None = None) -> Any:
        """Apply the function along the last axis of x.

        Parameters
        ----------
        x : array_like of real numbers
            Shape (..., m), m at least 1.
        out : ndarray, optional
            Of x's shape and the result's dtype; may be x itself. Filled and returned.

        Returns
        -------
        ndarray
            float32 for float32 and float16, else float64.

        Raises
        ------
        TypeError, ValueError
            x is no array of real numbers or has no last axis; out does not fit.

        Examples
        --------
        >>> import nncore
        >>> nncore.softmax([0.0, 0.0, 1000.0])
        array([0., 0., 1.])
        """
        y = _table.apply_plainly(*self._plain, x, out)
        if y is not None:
            return y
        plain = _validation.array(x, "x")
        real = _real(plain)
        if real.ndim == 0 or real.shape[-1] == 0:
            raise ValueError(f"x has shape {real.shape}, expected (..., m) with m at least 1")
        y = _target(real, plain, out)
        _table.softmax(self._logarithm, real, y)
        return _result(y, out)


REGISTRY: dict[str, Elementwise | Softmax] = {
    row["name"]: Softmax(row) if row["rowwise"] else Elementwise(row) for row in _ROWS
}


def __getattr__(name: str) -> Elementwise | Softmax:
    if name not in REGISTRY:
        raise AttributeError(f"module 'nncore.activations' has no attribute {name!r}")
    return REGISTRY[name]


def get(name: str) -> Elementwise | Softmax:
    """Return the activation of that name.

    Raises
    ------
    ValueError
        No activation has it; the message lists those there are.

    Examples
    --------
    >>> import nncore
    >>> nncore.activations.get("relu")
    <activation relu: max(x, 0)>
    """
    if not isinstance(name, str) or name not in REGISTRY:
        raise ValueError(f"activation is {name!r}, expected one of {', '.join(REGISTRY)}")
    return REGISTRY[name]


def last_layer_only(name: object) -> bool:
    """Return whether only the last layer of a network may have this activation."""
    return isinstance(name, str) and isinstance(REGISTRY.get(name), Softmax)


def check_parameters(
    activation: object, alpha: float | None, beta: float | None
) -> tuple[float | None, float | None]:
    """Return the parameters as floats, with the activation's defaults for those that are None.

    Parameters
    ----------
    activation : str or callable
        A callable has no parameters.

    Returns
    -------
    (alpha, beta)
        None where the activation has no such parameter.

    Raises
    ------
    TypeError, ValueError
        It has no such parameter, or the value is not a finite number.

    Examples
    --------
    >>> import nncore
    >>> nncore.activations.check_parameters("clip", 0, None)
    (0.0, 1.0)
    """
    known = REGISTRY.get(activation) if isinstance(activation, str) else None
    return (
        _check_parameter(known, activation, "alpha", alpha),
        _check_parameter(known, activation, "beta", beta),
    )


def check_range(alpha: float | None, beta: float | None, dtype: np.dtype[Any]) -> None:
    """Refuse parameters that are infinite in the dtype that is computed in: they would give NaN."""
    most = float(np.finfo(dtype).max)
    for key, value in (("alpha", alpha), ("beta", beta)):
        if value is not None and abs(value) > most:
            raise ValueError(f"{key} is {value}, expected at most {most:.8g} in {dtype}")


def _check_parameter(
    known: Activation | None, activation: object, key: str, value: float | None
) -> float | None:
    default: float | None = getattr(known, key, None)
    if value is None:
        return default
    if default is None:
        owners = ", ".join(f.name for f in REGISTRY.values() if getattr(f, key) is not None)
        raise ValueError(
            f"activation is {activation!r}, which has no {key}, expected one of {owners}"
        )
    return _validation.number(value, key)
