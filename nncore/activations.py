"""The activations: one registry from which names, derivatives, file formats and tests are driven.

The arithmetic is in ext/simd/math.tpl.h; a new activation is one row here and one expression there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import kernels, _validation

if TYPE_CHECKING:
    from numpy.typing import NDArray

CODES = {name: code for code, name in enumerate(kernels.activation_names())}


def _real(plain: NDArray[Any]) -> NDArray[Any]:
    """As float32 or float64: integers become float64, float16 becomes float32."""
    small = plain.dtype.kind == "f" and plain.dtype.itemsize <= 4
    with np.errstate(all="ignore"):
        return plain.astype(np.float32 if small else np.float64, order="C", copy=False)


def _result(y: NDArray[Any], out: NDArray[Any] | None) -> Any:
    if out is None:
        return y if y.ndim else y[()]
    if y is not out:
        out[...] = y
    return out


def _target(real: NDArray[Any], x: NDArray[Any], out: NDArray[Any] | None) -> NDArray[Any]:
    """Where a kernel may write: `out` if it is contiguous, else memory of our own."""
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
    """

    def __init__(self, name: str, formula: str) -> None:
        self.name = name
        self.formula = formula
        self._code = CODES[name]

    def __repr__(self) -> str:
        return f"<activation {self.name}: {self.formula}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return get, (self.name,)

    def _apply(
        self, kernel: Callable[..., None], x: Any, alpha: float, out: NDArray[Any] | None
    ) -> Any:
        """An elementwise kernel on x, whatever its shape and layout."""
        plain = _validation.array(x, "x")
        real = _real(plain)
        y = _target(real, plain, out)
        kernel(self._code, alpha, real.reshape(-1), y.reshape(-1))
        return _result(y, out)


class Elementwise(Activation):
    """An elementwise activation: call it, or ask for its derivative.

    ``f(x)`` takes an array of any shape (or a number, or a list) and returns one of the same shape:
    float32 for float32 and float16, else float64. ``f.derivative(x)`` is the slope at the same x.
    Overflow gives no warning, and NaN only comes from NaN.
    """

    def __init__(self, name: str, formula: str, slope: str, note: str = "") -> None:
        super().__init__(name, formula)
        self.slope = slope
        self.__doc__ = f"{name}(x) = {formula}; derivative {slope}. {note}".rstrip()

    def __call__(self, x: Any, out: NDArray[Any] | None = None) -> Any:
        """The function of each element.

        Parameters
        ----------
        x : array_like of real numbers
            Any shape.
        out : ndarray, optional
            Of x's shape and the result's dtype; may be x itself. Filled and returned.

        Returns
        -------
        ndarray, or a NumPy scalar for a number

        Raises
        ------
        TypeError, ValueError
            x is no array of real numbers; out does not fit, or overlaps x in another way.

        Examples
        --------
        >>> import nncore
        >>> nncore.relu([-1.0, 2.0])
        array([0., 2.])
        """
        return self._apply(kernels.activate, x, 0.0, out)

    def derivative(self, x: Any, out: NDArray[Any] | None = None) -> Any:
        """The derivative at each element; parameters and errors as for the function.

        Where there is none (relu and leaky_relu at 0) it is the one from the left; step has the
        derivative 0 everywhere, which is why nothing can be learned through it.

        Examples
        --------
        >>> import nncore
        >>> nncore.sigmoid.derivative([0.0])
        array([0.25])
        """
        return self._apply(kernels.derive, x, 0.0, out)


class LeakyReLU(Activation):
    """leaky_relu, the one activation with a parameter: its slope below zero."""

    slope = "1 if x > 0 else alpha"

    def __call__(self, x: Any, alpha: float = 0.01, out: NDArray[Any] | None = None) -> Any:
        """x where it is positive, else alpha * x; the rest as for every activation.

        Examples
        --------
        >>> import nncore
        >>> nncore.leaky_relu([-1.0, 2.0], alpha=0.25)
        array([-0.25,  2.  ])
        """
        return self._apply(kernels.activate, x, _validation.number(alpha, "alpha"), out)

    def derivative(self, x: Any, alpha: float = 0.01, out: NDArray[Any] | None = None) -> Any:
        """1 where x is positive, else alpha.

        Examples
        --------
        >>> import nncore
        >>> nncore.leaky_relu.derivative([-1.0, 2.0])
        array([0.01, 1.  ])
        """
        return self._apply(kernels.derive, x, _validation.number(alpha, "alpha"), out)


class Softmax(Activation):
    """softmax or its logarithm, along the last axis: for the last layer of a network only.

    Each output depends on all inputs of its row, so there is no elementwise derivative.
    """

    def __init__(self, name: str, formula: str) -> None:
        super().__init__(name, formula)
        self._logarithm = name == "log_softmax"
        self.__doc__ = (
            f"{name}(x) = {formula} along the last axis, the row's maximum subtracted first, so "
            "that no exponential overflows."
        )

    def __call__(self, x: Any, out: NDArray[Any] | None = None) -> Any:
        """Along the last axis of x.

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
        plain = _validation.array(x, "x")
        real = _real(plain)
        if real.ndim == 0 or real.shape[-1] == 0:
            raise ValueError(f"x has shape {real.shape}, expected (..., m) with m at least 1")
        y = _target(real, plain, out)
        rows = (-1, real.shape[-1]) if real.size else (0, real.shape[-1])
        kernels.softmax(self._logarithm, real.reshape(rows), y.reshape(rows))
        return _result(y, out)


identity = Elementwise("identity", "x", "1")
step = Elementwise("step", "1 if x > 0 else 0", "0", "The perceptron's; step(0) is 0.")
sigmoid = Elementwise("sigmoid", "1 / (1 + exp(-x))", "s (1 - s) with s = sigmoid(x)")
tanh = Elementwise("tanh", "(exp(x) - exp(-x)) / (exp(x) + exp(-x))", "1 - tanh(x)^2")
relu = Elementwise("relu", "max(x, 0)", "1 if x > 0 else 0", "Nair and Hinton (2010).")
leaky_relu = LeakyReLU("leaky_relu", "x if x > 0 else alpha x")  # Maas et al. (2013)
elu = Elementwise(
    "elu", "x if x > 0 else exp(x) - 1", "1 if x > 0 else exp(x)", "Clevert et al. (2015), alpha 1."
)
gelu = Elementwise(
    "gelu",
    "x Phi(x), Phi the normal distribution function",
    "Phi(x) + x phi(x)",
    "Hendrycks and Gimpel (2016), the exact form with erf.",
)
silu = Elementwise("silu", "x sigmoid(x)", "s (1 + x (1 - s)) with s = sigmoid(x)")
softplus = Elementwise("softplus", "log(1 + exp(x))", "sigmoid(x)", "Glorot et al. (2011).")
softmax = Softmax("softmax", "exp(x_j) / sum_i exp(x_i)")
log_softmax = Softmax("log_softmax", "x_j - log(sum_i exp(x_i))")

REGISTRY: dict[str, Elementwise | LeakyReLU | Softmax] = {
    f.name: f
    for f in (
        identity, step, sigmoid, tanh, relu, leaky_relu, elu, gelu, silu, softplus,
        softmax, log_softmax,
    )
}  # fmt: skip


def get(name: str) -> Elementwise | LeakyReLU | Softmax:
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
        raise ValueError(f"unknown activation {name!r}, expected one of {', '.join(REGISTRY)}")
    return REGISTRY[name]


def last_layer_only(name: object) -> bool:
    """Whether only the last layer of a network may have this activation."""
    return isinstance(name, str) and isinstance(REGISTRY.get(name), Softmax)
