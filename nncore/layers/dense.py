"""Dense: a fully connected layer."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import _table, _validation, activations, initializers
from nncore._plan import Parameters, Slot, publish
from nncore.layers._layer import (
    ArrayType,
    DenseLayer,
    activation_keys,
    activation_text,
    check_keys,
    check_size,
    describe_activation,
    read_activation,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nncore._plan import Program


class Dense(DenseLayer):
    """A fully connected layer: activation(x @ weights + bias).

    Parameters
    ----------
    in_features, out_features : int
        At least 1.
    activation : str or callable, optional
        A name of `nncore.activations`; softmax and log_softmax for the last layer only. A callable
        takes an array (n, out_features) and returns one of that shape: a slow path for experiments,
        outside the promise of same bits, and it cannot be saved.
    bias : bool, optional
        Whether there is one.
    alpha, beta : float, optional
        The parameters of the activations that have any, such as the slope of leaky_relu below
        zero or the bounds of clip; else they are refused. By default those of the activation:
        ``nncore.leaky_relu.alpha``.
    init : str or Initializer, optional
        How a new `Network` fills the weights: he, xavier, lecun, normal, orthogonal or zeros, or
        an object such as ``nncore.initializers.Normal(0.01)``. By default he for rectifiers,
        lecun for selu, xavier otherwise. The bias begins at zero.

    Attributes
    ----------
    weights : ndarray or None
        (in_features, out_features), read-only; assign an array to change them. None until a network
        or an assignment fills them.
    bias : ndarray or None
        (out_features,), likewise; always None for a layer without bias.

    Examples
    --------
    >>> import nncore
    >>> layer = nncore.Dense(2, 1, activation="step")
    >>> layer.weights, layer.bias = [[0.5], [0.5]], [-0.7]
    >>> nncore.Network([layer])([[1, 0], [1, 1]]).ravel()
    array([0., 1.], dtype=float32)
    """

    _is_closed = True
    _activation: str | Callable[..., Any]
    init: str | initializers.Initializer

    def __init__(
        self,
        in_features: int,
        out_features: int,
        activation: str | activations.Activation | Callable[..., Any] = "identity",
        *,
        bias: bool = True,
        alpha: float | None = None,
        beta: float | None = None,
        init: str | initializers.Initializer | None = None,
    ) -> None:
        self._in_features = _validation.size(in_features, "in_features", _validation.MAX_SIZE)
        self._out_features = _validation.size(out_features, "out_features", _validation.MAX_SIZE)
        if isinstance(activation, activations.Activation):
            activation = activation.name  # also one of nncore.relu, ...
        if not callable(activation):
            activations.get(activation)
        self._activation = activation
        self._use_bias = bool(bias)
        self._alpha, self._beta = activations.check_parameters(activation, alpha, beta)
        self.init = initializers.check(
            initializers.default_for(activation) if init is None else init
        )
        self._is_narrow = False
        self._slot = Slot(Parameters())

    @property
    def weight_type(self) -> str | None:
        """What the weights are kept as: float32, float64 or bfloat16; None before there are any.

        See `Network.with_weights`.
        """
        record = self._slot.current
        if self._is_narrow:
            return "bfloat16"
        return None if record.weights is None else record.weights.dtype.name

    @property
    def activation(self) -> str | Callable[..., Any]:
        """The activation's name, or the callable."""
        return self._activation

    @property
    def use_bias(self) -> bool:
        """Whether the layer has a bias."""
        return self._use_bias

    @property
    def parameters(self) -> int:
        """How many numbers the layer learns."""
        return (self.in_features + self.use_bias) * self.out_features

    @property
    def slot(self) -> Slot:
        """Where the layer keeps its present weights."""
        return self._slot

    # ---- weights

    @property
    def weights(self) -> NDArray[Any] | None:
        """(in_features, out_features), read-only; assigning copies, checks and repacks."""
        return self._slot.current.weights

    @weights.setter
    def weights(self, values: Any) -> None:
        self._publish(lambda record: self.renewed(record, values, record.bias))

    @property
    def bias(self) -> NDArray[Any] | None:
        """(out_features,), read-only; assigning copies, checks and repacks."""
        return self._slot.current.bias

    @bias.setter
    def bias(self, values: Any) -> None:
        if not self.use_bias:
            raise ValueError("this layer has no bias: it was made with bias=False")
        self._publish(lambda record: self.renewed(record, record.weights, values))

    def set_weights(self, weights: Any, bias: Any = None) -> None:
        """Assign weights and bias together: one check, one packing.

        Parameters
        ----------
        weights : array_like (in_features, out_features), or None to leave them to a network
        bias : array_like (out_features,), or None for zeros

        Raises
        ------
        TypeError, ValueError
            A shape or dtype does not fit, or there is a bias for a layer without one.

        Examples
        --------
        >>> import nncore
        >>> layer = nncore.Dense(2, 2)
        >>> layer.set_weights([[1.0, 2.0], [3.0, 4.0]])
        >>> layer.bias
        array([0., 0.])
        """
        self._publish(lambda record: self.renewed(record, weights, bias))

    def _publish(self, renew: Callable[[Parameters], Parameters]) -> None:
        """Publish a new record, made of the present one; again if another thread was faster."""
        slots = [self._slot]
        while True:
            present = self._slot.current
            if publish(slots, [renew(present)], [present]):
                return

    def renewed(self, record: Parameters, weights: Any, bias: Any) -> Parameters:
        """Return a record with other weights, checked, copied and packed; change nothing."""
        if weights is None and record.panels is not None:
            raise ValueError("weights is None, expected an array: the layer is in a network")
        if bias is not None and not self.use_bias:
            raise ValueError("this layer has no bias: it was made with bias=False")
        return self._record(weights, bias, record.dtype, record.panels is not None)

    def _record(
        self, weights: Any, bias: Any, dtype: np.dtype[Any] | None, packed: bool
    ) -> Parameters:
        shape = (self.in_features, self.out_features)
        w = None if weights is None else _copy(weights, shape, "weights", dtype)
        b = None if bias is None else _copy(bias, shape[1:], "bias", dtype)
        if b is None and self.use_bias and w is not None:
            b = np.zeros(shape[1:], w.dtype)
        if w is not None and b is not None and w.dtype != b.dtype:
            w, b = w.astype(np.float64), b.astype(np.float64)  # of a layer without a network yet
        for array in (w, b):
            if array is not None:
                array.flags.writeable = False
        if w is not None and (packed or self._is_narrow):
            return self._packed(w, b, dtype)
        return Parameters(w, b, None, dtype)

    def _packed(
        self, w: NDArray[Any], b: NDArray[Any] | None, dtype: np.dtype[Any] | None
    ) -> Parameters:
        bias = np.zeros(w.shape[1], w.dtype) if b is None else b
        panels = _table.pack(w, bias, self._is_narrow)
        return Parameters(None if self._is_narrow else w, b, panels, dtype)

    def with_weights(self, kind: str, record: Parameters) -> Dense:
        """Return a layer like this one that keeps the weights of `record` as another type."""
        layer = self.__class__.__new__(self.__class__)
        layer.__dict__.update(self.__dict__, _is_narrow=kind == "bfloat16")
        layer._slot = Slot(Parameters(record.weights, record.bias))
        return layer

    def check_dtype(self, record: Parameters, dtype: np.dtype[Any]) -> None:
        """Refuse to join a network of another dtype than the one the layer is in."""
        if self._is_narrow and dtype != np.float32:
            raise ValueError(
                f"a layer has bfloat16 weights, expected it in a float32 network, not a {dtype} one"
            )
        if record.dtype is not None and record.dtype != dtype:
            raise ValueError(
                f"a layer is in a {record.dtype} network, expected a {dtype} one: "
                "make a new layer and assign it the weights"
            )

    def fill(self, record: Parameters, dtype: np.dtype[Any], seed: Any) -> Parameters:
        """Return the layer's weights, or new ones, in a network's dtype; change nothing."""
        if record.panels is not None:
            return record
        activations.check_range(self._alpha, self._beta, dtype)
        w, b = record.weights, record.bias
        if w is None:
            w = initializers.draw(self.init, self.in_features, self.out_features, seed)
        elif w.dtype == dtype:  # its bias is of the same dtype then
            return self._packed(w, b, dtype)
        return self._record(w, b, dtype, packed=True)

    def compile(self, program: Program) -> None:
        # A callable has no code: the program gives weighted sums, and whoever runs it calls it.
        name = self._activation if isinstance(self._activation, str) else "identity"
        program.dense(self, activations.CODES[name], self._alpha or 0.0, self._beta or 0.0)

    # ---- files

    @property
    def format_version(self) -> int:
        return 4 if self._is_narrow else 1

    def describe(self, where: str) -> dict[str, Any]:
        if not isinstance(self._activation, str):
            raise ValueError(
                f"{where} has a custom activation ({self._activation!r}), which cannot be saved: "
                "a file holds numbers and names, never code"
            )
        described = {
            "in_features": self._in_features,
            "out_features": self._out_features,
            **describe_activation(self._activation, self._alpha, self._beta),
            "use_bias": self._use_bias,
        }
        return described | {"weights": "bfloat16"} if self._is_narrow else described

    @classmethod
    def from_description(cls, described: Mapping[str, Any], where: str) -> Dense:
        keys = {"in_features", "out_features", "use_bias"} | activation_keys(described)
        if "weights" in described:
            keys.add("weights")
            if described["weights"] != "bfloat16":
                raise ValueError(
                    f"{where}: weights is {_validation.excerpt(repr(described['weights']))}, "
                    "expected bfloat16"
                )
        check_keys(described, keys, where)
        k = check_size(described, "in_features", where)
        m = check_size(described, "out_features", where)
        activation, alpha, beta = read_activation(described, where)
        if not isinstance(described["use_bias"], bool):
            raise ValueError(
                f"{where}: use_bias is {_validation.excerpt(repr(described['use_bias']))}, "
                "expected a bool"
            )
        layer = cls(k, m, activation, bias=described["use_bias"], alpha=alpha, beta=beta)
        layer._is_narrow = "weights" in described
        return layer

    def array_types(self, dtype: str) -> dict[str, ArrayType]:
        shape = (self._in_features, self._out_features)
        types: dict[str, ArrayType] = {"W": ("uint16" if self._is_narrow else dtype, shape)}
        return types | {"b": (dtype, shape[1:])} if self._use_bias else types

    def arrays(self, record: Parameters | None) -> dict[str, NDArray[Any] | None]:
        assert record is not None
        found = {"W": _halves(record) if self._is_narrow else record.weights}
        return found | {"b": record.bias} if self._use_bias else found

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        if self._is_narrow:
            self._slot = Slot(_read_only(Parameters(arrays["W"], arrays.get("b"))))
        else:
            self.set_weights(arrays["W"], arrays.get("b"))

    # ---- copies

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        record = state.pop("_slot").current
        # Versions that do not know bfloat16 miss the key of the weights, and refuse the pickle.
        key = "_halves" if state.pop("_is_narrow") else "_weights"
        return state | {key: record.kept, "_bias": record.bias, "_dtype": record.dtype}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Pickles that were written before an activation had a parameter lack its value.
        state = {"_beta": None} | state
        state["_alpha"], state["_beta"] = activations.check_parameters(
            state["_activation"], state["_alpha"], state["_beta"]
        )
        narrow = "_halves" in state
        names = ("_halves" if narrow else "_weights", "_bias", "_dtype")
        weights, bias, dtype = (state.pop(name) for name in names)
        self.__dict__.update(state, _is_narrow=narrow)
        self._slot = Slot(_read_only(Parameters(weights, bias, None, dtype)))

    def __repr__(self) -> str:
        name = activation_text(self._activation, self._alpha, self._beta)
        extra = "" if self.use_bias else ", bias=False"
        extra += ", bfloat16 weights" if self._is_narrow else ""
        return f"Dense({self.in_features}, {self.out_features}, {name}{extra})"


def transposed_hint(name: str, fits: str = "it fits") -> str:
    """Return what to add to a message about weights that fit if they are transposed."""
    return f"; transposed, {name}, {fits} (PyTorch keeps weights as (out_features, in_features))"


def _copy(
    values: Any, shape: tuple[int, ...], name: str, dtype: np.dtype[Any] | None
) -> NDArray[Any]:
    """Return a checked copy in a network's dtype; None: float32 or float64, as `values` are."""
    array = _validation.array(values, name)
    if array.shape != shape:
        hint = (
            transposed_hint(f"{name}.T") if array.shape == shape[::-1] and len(shape) == 2 else ""
        )
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}{hint}")
    if dtype is None:
        small = array.dtype.kind == "f" and array.dtype.itemsize <= 4
        dtype = np.dtype(np.float32 if small else np.float64)
    with np.errstate(all="ignore"):
        return array.astype(dtype, order="C", copy=True)


def _read_only(record: Parameters) -> Parameters:
    for array in (record.kept, record.bias):
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    return record


def _halves(record: Parameters) -> NDArray[Any] | None:
    """Return the bits of bfloat16 weights, as uint16; None where there are no weights yet."""
    kept, weights = record.kept, record.weights
    if isinstance(kept, np.ndarray) and kept.dtype == np.uint16:
        return kept
    return None if weights is None else (weights.view(np.uint32) >> 16).astype(np.uint16)


def _same(halves: Any) -> Any:
    return halves


def _reduced(panels: _table.Panels) -> tuple[Callable[[Any], Any], tuple[Any, ...]]:
    return _same, (_halves(Parameters(None, None, panels)),)


# Only panels of bfloat16 weights are pickled, as their bits: all others go with an array.
copyreg.pickle(_table.Panels, _reduced)
