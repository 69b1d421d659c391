"""QuantizedDense: a fully connected layer whose weights and inputs are small whole numbers.

Imported only where there is such a layer: `nncore.quantize` makes them, and files hold them.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nncore import _validation, activations
from nncore.layers._layer import (
    ArrayType,
    DenseLayer,
    activation_keys,
    activation_text,
    check_keys,
    check_number,
    check_size,
    describe_activation,
    read_activation,
)
from nncore.layers.rescaling import Rescaling

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from nncore._plan import Parameters, Program

MOST_CODE = 255  # of an input, from 0
MOST_WEIGHT = 127  # from -127
# A sum of this many products of 255 and 127 still fits into 32 bits.
MOST_INPUTS = (2**31 - 1) // (MOST_CODE * MOST_WEIGHT)


class QuantizedDense(DenseLayer):
    """A fully connected layer of 8-bit numbers, as `nncore.quantize` makes them; read-only.

    Each input x becomes a code, a whole number q from 0 to 255; it stands for the real number
    ``(q - zero_point) * step``. Each weight is a whole number from -127 to 127; in the column of
    output j it stands for itself times ``scale[j]``. So the sum of their products is a sum of whole
    numbers, which is exact in any order. It is scaled and the bias added in one rounding, and the
    activation of that is computed in float32::

        q = min(255, max(0, round(x * (1 / step) + zero_point)))    rounded once, ties to even
        weighted_sum = ((q - zero_point) @ weights) * (step * scale) + bias

    Where a network begins with a `Rescaling`, the first layer's codes are those of the numbers that
    come in, such as pixels of 0 to 255; the factor and the offset are then part of the last line.

    Parameters
    ----------
    weights : array_like
        (in_features, out_features), whole numbers from -127 to 127; at most 66,311 inputs.
    scale : array_like
        (out_features,), positive: what a weight of 1 stands for.
    bias : array_like
        (out_features,).
    activation : str, optional
        A name of `nncore.activations`; softmax and log_softmax for the last layer only.
    step : float
        Positive: the distance of the real numbers that neighbouring codes stand for.
    zero_point : int, optional
        0 to 255: the code that stands for the real number 0.
    alpha, beta : float, optional
        The parameters of the activations that have any.

    Raises
    ------
    TypeError, ValueError
        Shapes, types or values do not fit.

    Examples
    --------
    >>> from nncore.quantized import QuantizedDense
    >>> layer = QuantizedDense([[127], [-64]], [0.01], [0.5], "relu", step=0.1, zero_point=28)
    >>> layer
    QuantizedDense(2, 1, relu, inputs -2.8 to 22.7)
    >>> layer.dequantized
    array([[ 1.27],
           [-0.64]], dtype=float32)
    """

    _is_closed = True
    _activation: str
    is_quantized: ClassVar[bool] = True

    def __init__(
        self,
        weights: ArrayLike,
        scale: ArrayLike,
        bias: ArrayLike,
        activation: str = "identity",
        *,
        step: float,
        zero_point: int = 0,
        alpha: float | None = None,
        beta: float | None = None,
    ) -> None:
        codes = _validation.array(weights, "weights")
        if codes.ndim != 2 or 0 in codes.shape:
            raise ValueError(
                f"weights has shape {codes.shape}, expected (in_features, out_features)"
            )
        if codes.dtype.kind not in "iu" or codes.min() < -MOST_WEIGHT or codes.max() > MOST_WEIGHT:
            raise ValueError("weights has other numbers, expected whole ones from -127 to 127")
        sizes = codes.shape[0], codes.shape[1]
        self._set_settings(sizes, (activation, alpha, beta), step, zero_point, "the layer")
        arrays = {"weights": codes.astype(np.int8)}
        for name, values in (("scale", scale), ("bias", bias)):
            vector = _validation.array(values, name)
            if vector.shape != (self._out_features,):
                raise ValueError(
                    f"{name} has shape {vector.shape}, expected ({self._out_features},)"
                )
            with np.errstate(all="ignore"):
                arrays[name] = vector.astype(np.float32)
        self.set_arrays(arrays)

    def _set_settings(
        self,
        sizes: tuple[int, int],
        activation: tuple[str, float | None, float | None],
        step: float,
        zero_point: Any,
        where: str,
    ) -> None:
        """Check and take all but the arrays."""
        self._in_features, self._out_features = sizes
        check_inputs(self._in_features, where)
        self._activation = activation[0]
        activations.get(self._activation)
        self._alpha, self._beta = activations.check_parameters(*activation)
        activations.check_range(self._alpha, self._beta, np.dtype(np.float32))
        self._step = _validation.number(step, "step")
        with np.errstate(all="ignore"):
            inverse = np.float32(1 / self._step) if self._step > 0 else np.float32(0)
        if not 0 < inverse < np.inf:
            raise ValueError(f"{where}: step is {step}, expected a positive number of float32")
        self._inverse = float(inverse)
        try:
            zero = -1 if isinstance(zero_point, bool) else operator.index(zero_point)
        except TypeError:
            zero = -1
        if not 0 <= zero <= MOST_CODE:
            raise ValueError(
                f"{where}: zero_point is {_validation.excerpt(repr(zero_point))}, expected a whole "
                "number from 0 to 255"
            )
        self._zero_point = zero

    @property
    def activation(self) -> str:
        """The activation's name."""
        return self._activation

    @property
    def use_bias(self) -> bool:
        """True: a layer without bias has one of zeros here."""
        return True

    @property
    def weights(self) -> NDArray[np.int8]:
        """(in_features, out_features), -127 to 127, read-only."""
        return self._weights

    @property
    def weight_type(self) -> str:
        """What the weights are kept as: int8."""
        return "int8"

    @property
    def scale(self) -> NDArray[np.float32]:
        """(out_features,), read-only: what a weight of 1 stands for."""
        return self._scale

    @property
    def bias(self) -> NDArray[np.float32]:
        """(out_features,), read-only."""
        return self._bias

    @property
    def step(self) -> float:
        """The distance of the real numbers that neighbouring codes of the inputs stand for."""
        return self._step

    @property
    def zero_point(self) -> int:
        """The code of an input that stands for the real number 0."""
        return self._zero_point

    @property
    def dequantized(self) -> NDArray[np.float32]:
        """(in_features, out_features): what the weights stand for, a new array."""
        weights: NDArray[np.float32] = self._weights * self._scale
        return weights

    @property
    def parameters(self) -> int:
        """How many weights and biases there are."""
        return (self._in_features + 1) * self._out_features

    @property
    def inverse(self) -> float:
        """What inputs are multiplied by: the float32 next to 1 / step."""
        return self._inverse

    def compile(self, program: Program) -> None:
        raise TypeError("a QuantizedDense does not run in floating point")

    def operands(self, rescaling: Rescaling | None = None) -> tuple[Any, ...]:
        """Return what a `nncore._engine.QuantizedPlan` wants of the layer.

        A Rescaling before it is folded into scale and bias, in double precision, and each of them
        is rounded once.

        Raises
        ------
        ValueError
            A number is too large for float32 then.
        """
        factor, offset = (1.0, 0.0) if rescaling is None else (rescaling.scale, rescaling.offset)
        scale = self._scale.astype(np.float64)
        with np.errstate(all="ignore"):
            bias = self._bias + offset * (scale * self._weights.sum(0, dtype=np.int64))
            arrays = [(scale * (self._step * factor)).astype(np.float32), bias.astype(np.float32)]
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError(
                f"{self!r} has sums that are too large for float32: scale times step, or the bias, "
                "is infinite, expected finite numbers"
            )
        code = activations.CODES[self._activation]
        parameters = (self._alpha or 0.0, self._beta or 0.0)
        return self._weights, *arrays, code, *parameters, self._inverse, self._zero_point

    # ---- files

    @property
    def format_version(self) -> int:
        return 4

    def describe(self, where: str) -> dict[str, Any]:
        return {
            "in_features": self._in_features,
            "out_features": self._out_features,
            **describe_activation(self._activation, self._alpha, self._beta),
            "step": self._step,
            "zero_point": self._zero_point,
        }

    @classmethod
    def from_description(cls, described: Mapping[str, Any], where: str) -> QuantizedDense:
        keys = {"in_features", "out_features", "step", "zero_point"} | activation_keys(described)
        check_keys(described, keys, where)
        k = check_size(described, "in_features", where)
        m = check_size(described, "out_features", where)
        step = check_number(described, "step", where)
        layer = cls.__new__(cls)
        activation = read_activation(described, where)
        layer._set_settings((k, m), activation, step, described["zero_point"], where)
        return layer

    def array_types(self, dtype: str) -> dict[str, ArrayType]:
        shape = (self._in_features, self._out_features)
        return {
            "weights": ("int8", shape),
            "scale": ("float32", shape[1:]),
            "bias": ("float32", shape[1:]),
        }

    def arrays(self, record: Parameters | None) -> dict[str, NDArray[Any] | None]:
        return {"weights": self._weights, "scale": self._scale, "bias": self._bias}

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        for name in ("scale", "bias"):
            if not np.isfinite(arrays[name]).all():
                raise ValueError(f"{name} has NaN or infinity, expected finite numbers")
        if not (arrays["scale"] > 0).all():
            raise ValueError("scale has a number that is not positive, expected positive ones")
        if arrays["weights"].min() < -MOST_WEIGHT:
            raise ValueError("weights has -128, expected whole numbers from -127 to 127")
        self._take(arrays["weights"], arrays["scale"], arrays["bias"])

    def _take(self, *arrays: NDArray[Any]) -> None:
        for array in arrays:
            array.flags.writeable = False
        self._weights, self._scale, self._bias = arrays

    # ---- copies

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._take(self._weights, self._scale, self._bias)

    def __repr__(self) -> str:
        low, high = (self._step * (code - self._zero_point) for code in (0, MOST_CODE))
        name = activation_text(self._activation, self._alpha, self._beta)
        sizes = f"{self._in_features}, {self._out_features}"
        return f"QuantizedDense({sizes}, {name}, inputs {low:.4g} to {high:.4g})"


def check_inputs(in_features: int, where: str) -> None:
    """Refuse a layer with more inputs than sums of 32 bits can hold."""
    if in_features > MOST_INPUTS:
        raise ValueError(
            f"{where} has {in_features:,} inputs, expected at most {MOST_INPUTS:,} in 8 bits: the "
            "sum of their products may not fit into 32 bits"
        )
