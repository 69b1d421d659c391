"""What each layer of Keras computes, as steps of the `Assembler`.

A layer is one function and one row of `_KINDS` here. Layers that do something while a network
learns and nothing afterwards have a row, too, so that whatever has no row is refused.

The shape of a sample is followed as far as the config tells it, because arrays that go along one
axis of an image are spread over all of its pixels when it is flattened.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore._validation import MAX_SIZE, excerpt
from nncore.interop._assembler import Assembler
from nncore.interop._keras_config import Step

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Names of weights in their order -> the arrays that a layer has under them.
Weights = Callable[[Step, Sequence[str]], Sequence[Any]]
_Shape = tuple[int | None, ...]

_EPSILON = 1e-7  # keras.config.epsilon(), which no config holds
_MAX_AXES = 32
_MAX_SPREAD = 1 << 22  # features that an array along one axis is spread over

# Of Keras' names: ours, alpha and beta. All names that are not here are refused.
_ACTIVATIONS: dict[str, tuple[str, float | None, float | None]] = {
    **{
        name: (name, None, None)
        for name in (
            "sigmoid", "tanh", "relu", "relu6", "elu", "selu", "gelu", "silu", "softplus",
            "softsign", "softmax", "log_softmax", "mish", "hard_sigmoid", "hard_swish",
        )
    },
    "linear": ("identity", None, None),
    "swish": ("silu", None, None),
    "hard_silu": ("hard_swish", None, None),
    "leaky_relu": ("leaky_relu", 0.2, None),
    "celu": ("elu", 1.0, None),
    "hard_tanh": ("clip", -1.0, 1.0),
    "sparse_sigmoid": ("hard_sigmoid", 0.5, 0.5),
}  # fmt: skip

_POLICIES = ("float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


class Translator:
    """Hands the layers of a model to an `Assembler`, one after the other.

    Parameters
    ----------
    weights : callable
        Gives a layer's arrays.
    version : int or None
        Keras' first number, if it is known: hard_sigmoid is another function since 3.
    """

    def __init__(self, weights: Weights, version: int | None) -> None:
        self.steps = Assembler()
        self.version = version
        self._weights = weights
        self._shape: _Shape | None = None  # of a sample; None: not known, and taken to be flat

    def add(self, step: Step) -> None:
        """Add a layer; refuse what is not understood."""
        kind = _KINDS.get(step.kind)
        if kind is None:
            raise ValueError(f"{step.where} is not understood, expected one of {_known()}")
        if kind.keys is not None:
            _check_keys(step, kind.keys)
        if self._shape is None and step.kind != "InputLayer":
            self._shape = _shape(step.input_shape)
        with np.errstate(all="ignore"):  # the assembler refuses what is not finite
            kind.add(self, step)

    # ---- what the layers' functions need

    def weights(self, step: Step, *names: str) -> list[NDArray[Any]]:
        """Return a layer's arrays; those of 16 bits with an exponent of 8 as float32."""
        arrays = [np.asarray(array) for array in self._weights(step, names)]
        if len(arrays) < len(names):
            raise ValueError(
                f"{step.where} has {len(arrays)} arrays of weights, expected {len(names)}: "
                f"{', '.join(names)} (has the model been built?)"
            )
        policy = _policy(step)
        return [
            array if name == "count" else _widened(array, policy, f"{step.where}: {name}")
            for name, array in zip(names, arrays, strict=True)
        ]

    def enter(self, shape: _Shape | None, where: str) -> None:
        """Note what an InputLayer says of the samples' shape."""
        here = self._shape
        if shape is None or here is None:
            self._shape = shape if here is None else here
        elif len(shape) != len(here) or any(
            a != b for a, b in zip(shape, here, strict=True) if a is not None and b is not None
        ):
            raise ValueError(f"{where} takes samples of shape {shape}, expected {here}")

    def reshape(self, target: Sequence[int], where: str) -> None:
        """Give samples another shape; one size may be -1."""
        known = math.prod(size for size in target if size != -1)
        size = self.size
        if target.count(-1) > 1 or any(number < -1 or number == 0 for number in target):
            raise ValueError(f"{where} has the target shape {tuple(target)}, expected sizes")
        if size is not None and (size % known or (-1 not in target and size != known)):
            raise ValueError(f"{where} makes {tuple(target)} of {size} features")
        rest = None if size is None else size // known
        self._shape = tuple(rest if number == -1 else number for number in target)

    @property
    def size(self) -> int | None:
        """How many features a sample has here, if that is known."""
        if self._shape is None or any(size is None for size in self._shape):
            return self.steps.features
        return math.prod(size for size in self._shape if size is not None)

    def flat(self, where: str) -> None:
        """Refuse samples that are not flat."""
        if self._shape is not None and len(self._shape) != 1:
            raise ValueError(
                f"{where} works on samples of shape {self._shape}, expected flat ones: put a "
                "Flatten layer before it"
            )

    def spread(self, values: NDArray[Any], axes: Iterable[int], where: str) -> NDArray[Any]:
        """Return an array along some axes of a sample as one number for each feature."""
        if values.ndim == 0:
            return values
        shape = self._shape or (None,)
        kept = sorted(axis if axis >= 0 else axis + len(shape) + 1 for axis in axes)
        if not kept or kept[0] < 1 or kept[-1] > len(shape) or len(set(kept)) != len(kept):
            raise ValueError(
                f"{where} goes along the axes {list(axes)}, expected some of a sample's"
            )
        if values.ndim != len(kept):
            raise ValueError(
                f"{where} has an array of shape {values.shape}, expected {len(kept)} axes"
            )
        if len(kept) == len(shape):
            return values.ravel()
        lengths = iter(values.shape)
        aligned = [next(lengths) if axis in kept else 1 for axis in range(1, len(shape) + 1)]
        return _broadcast(values.reshape(aligned), shape, where)

    def broadcast(self, values: NDArray[Any], where: str) -> NDArray[Any]:
        """Return an array that is broadcast over samples as one number for each feature."""
        if values.ndim == 0 or (values.ndim == 1 and len(self._shape or (None,)) == 1):
            return values
        return _broadcast(values, self._shape or (None,), where)

    def activation(self, value: Any, step: Step) -> None:
        """Add an activation as a config has it: a name, or a layer that is one."""
        if isinstance(value, dict) and value.get("class_name") in _AS_ACTIVATIONS:
            config = value.get("config")
            if not isinstance(config, dict):
                raise ValueError(f"{step.where} has an activation without a config")
            self.add(step._replace(kind=value["class_name"], config=config, input_shape=None))
            return
        name = "linear" if value is None else value
        if not isinstance(name, str) or name not in _ACTIVATIONS:
            shown = value.get("config") if isinstance(value, dict) else value
            raise ValueError(
                f"{step.where} has the activation {excerpt(repr(shown)[:200])}, expected one of "
                f"{', '.join(_ACTIVATIONS)}"
            )
        ours, alpha, beta = _ACTIVATIONS[name]
        if name == "hard_sigmoid":
            if self.version is None:
                raise ValueError(
                    f"{step.where} has the activation hard_sigmoid, which is another function "
                    "since Keras 3, and the model does not say which Keras it is of"
                )
            if self.version < 3:
                alpha, beta = 0.2, 0.5
        if ours in ("softmax", "log_softmax"):
            self.flat(step.where)
        self.steps.activation(ours, step.where, alpha, beta)

    def dense(self, step: Step) -> None:
        """Add a Dense layer."""
        where, config = step.where, step.config
        self.flat(where)
        has_bias = _flag(config.get("use_bias", True), "use_bias", where)
        kernel, *bias = self.weights(step, *(["kernel", "bias"] if has_bias else ["kernel"]))
        units = config.get("units")
        if kernel.ndim != 2 or kernel.shape[1] != units or self.size not in (None, len(kernel)):
            size = "any" if self.size is None else self.size
            raise ValueError(
                f"{where}: kernel has shape {kernel.shape}, expected ({size}, {excerpt(units)})"
            )
        self.steps.dense(kernel, bias[0] if bias else None, where)
        self._shape = (kernel.shape[1],)
        self.activation(config.get("activation"), step)


# ---- the layers


def _input(model: Translator, step: Step) -> None:
    given = step.config.get("batch_shape", step.config.get("batch_input_shape"))
    model.enter(_shape(given), step.where)


def _flatten(model: Translator, step: Step) -> None:
    if step.config.get("data_format") == "channels_first":
        model.flat(step.where)  # it would turn the axes round first
    size = model.size
    if size is None:
        model._shape = None if model._shape is None else (None,)
    else:
        model.reshape([size], step.where)


def _reshape(model: Translator, step: Step) -> None:
    target = step.config.get("target_shape")
    if not isinstance(target, (list, tuple)) or not 0 < len(target) <= _MAX_AXES:
        raise ValueError(f"{step.where} has no target_shape, or too long a one")
    sizes = [-1 if size is None else size for size in target]
    if not all(type(size) is int and abs(size) <= MAX_SIZE for size in sizes):
        raise ValueError(f"{step.where} has a target_shape that is not of whole numbers")
    model.reshape(sizes, step.where)


def _rescaling(model: Translator, step: Step) -> None:
    scale, offset = (
        model.broadcast(_numbers(step.config.get(key, default), f"{step.where}: {key}"), step.where)
        for key, default in (("scale", None), ("offset", 0.0))
    )
    if scale.ndim == 0 and offset.ndim == 0:
        model.steps.rescale(float(scale), float(offset), step.where)
        return
    scale, offset = np.broadcast_arrays(scale, offset)
    if (scale > 0).all():  # kept apart from the weights if it stands at the front
        model.steps.normalize(-offset / scale, 1 / scale, step.where)
    else:
        model.steps.scale(scale, offset, step.where)


def _normalization(model: Translator, step: Step) -> None:
    config, where = step.config, step.where
    mean, variance = config.get("mean"), config.get("variance")
    if mean is None or variance is None:
        mean, variance, _ = model.weights(step, "mean", "variance", "count")
    else:
        # Keras computes with them in the layer's dtype.
        dtype = np.float64 if _policy(step) == "float64" else np.float32
        mean = _numbers(mean, f"{where}: mean").astype(dtype)
        variance = _numbers(variance, f"{where}: variance").astype(dtype)
    axes = _axes(config.get("axis", -1), where)
    mean, variance = (
        model.spread(np.asarray(array, dtype=np.float64), axes, where) for array in (mean, variance)
    )
    if not (variance >= 0).all():
        raise ValueError(f"{where}: variance holds a number that is not 0 or more")
    std = np.maximum(np.sqrt(variance), _EPSILON)
    if _flag(config.get("invert", False), "invert", where):
        mean, std = -mean / std, 1 / std
    if mean.ndim == 0:  # the same for all features: axis is None
        model.steps.rescale(float(1 / std), float(-mean / std), where)
    else:
        model.steps.normalize(mean, std, where)


def _batch_normalization(model: Translator, step: Step) -> None:
    config, where = step.config, step.where
    has_gamma = _flag(config.get("scale", True), "scale", where)
    has_beta = _flag(config.get("center", True), "center", where)
    names = [*["gamma"] * has_gamma, *["beta"] * has_beta, "moving_mean", "moving_variance"]
    axes = _axes(config.get("axis", -1), where)
    arrays = {
        name: model.spread(array.astype(np.float64), axes, where)
        for name, array in zip(names, model.weights(step, *names), strict=True)
    }
    variance = arrays["moving_variance"] + _number(config.get("epsilon", 1e-3), "epsilon", where)
    if not (variance > 0).all():
        raise ValueError(f"{where}: moving_variance + epsilon holds a number that is not positive")
    scale = arrays.get("gamma", 1.0) / np.sqrt(variance)
    model.steps.scale(scale, arrays.get("beta", 0.0) - arrays["moving_mean"] * scale, where)


def _activation(model: Translator, step: Step) -> None:
    model.activation(step.config.get("activation"), step)


def _relu(model: Translator, step: Step) -> None:
    config, where = step.config, step.where
    threshold = _number(config.get("threshold") or 0.0, "threshold", where)
    slope = _number(config.get("negative_slope") or 0.0, "negative_slope", where)
    most = config.get("max_value")
    if threshold or (slope and most is not None):
        raise ValueError(
            f"{where} has max_value {excerpt(most)}, negative_slope {slope} and threshold "
            f"{threshold}, expected threshold 0, and max_value or negative_slope"
        )
    if most is not None:
        model.steps.activation("clip", where, 0.0, _number(most, "max_value", where))
    elif slope:
        model.steps.activation("leaky_relu", where, slope)
    else:
        model.steps.activation("relu", where)


def _leaky_relu(model: Translator, step: Step) -> None:
    # It was called alpha, and 0.3 by default, before Keras 3.
    slope = step.config.get("negative_slope", step.config.get("alpha"))
    model.steps.activation("leaky_relu", step.where, _number(slope, "negative_slope", step.where))


def _elu(model: Translator, step: Step) -> None:
    alpha = _number(step.config.get("alpha", 1.0), "alpha", step.where)
    model.steps.activation("elu", step.where, alpha)


def _celu(model: Translator, step: Step) -> None:
    if _number(step.config.get("alpha", 1.0), "alpha", step.where) != 1:
        raise ValueError(f"{step.where} has an alpha other than 1, expected 1: it is elu then")
    model.steps.activation("elu", step.where, 1.0)


def _prelu(model: Translator, step: Step) -> None:
    (slopes,) = model.weights(step, "alpha")
    if slopes.size == 0 or (slopes != slopes.flat[0]).any():
        raise ValueError(
            f"{step.where} has a slope of its own for each feature, expected the same for all"
        )
    model.steps.activation("leaky_relu", step.where, float(slopes.flat[0]))


def _softmax(model: Translator, step: Step) -> None:
    name = "log_softmax" if step.kind == "LogSoftmax" else "softmax"
    model.flat(step.where)
    if _axes(step.config.get("axis", -1), step.where) not in ([-1], [1]):
        raise ValueError(f"{step.where} has axis {step.config['axis']}, expected -1")
    model.steps.activation(name, step.where)


def _gelu(model: Translator, step: Step) -> None:
    about = _flag(step.config.get("approximate", True), "approximate", step.where)
    model.steps.activation("gelu_tanh" if about else "gelu", step.where)


def _nothing(model: Translator, step: Step) -> None:
    """It does nothing once the network has learned."""


class _Kind(NamedTuple):
    add: Callable[[Translator, Step], None]
    keys: tuple[str, ...] | None  # of the config, that `add` reads; None: all may be ignored


def _named(name: str) -> _Kind:
    """A function of keras.ops that is an activation without parameters."""
    return _Kind(lambda model, step: model.activation(name, step), ())


_KINDS: dict[str, _Kind] = {
    "InputLayer": _Kind(_input, None),
    "Dense": _Kind(Translator.dense, ("units", "activation", "use_bias")),
    "Flatten": _Kind(_flatten, ("data_format",)),
    "Reshape": _Kind(_reshape, ("target_shape",)),
    "Rescaling": _Kind(_rescaling, ("scale", "offset")),
    "Normalization": _Kind(_normalization, ("axis", "mean", "variance", "invert")),
    "BatchNormalization": _Kind(
        _batch_normalization,
        ("axis", "epsilon", "center", "scale", "momentum", "renorm_momentum", "synchronized"),
    ),
    "Activation": _Kind(_activation, ("activation",)),
    "ReLU": _Kind(_relu, ("max_value", "negative_slope", "threshold")),
    "LeakyReLU": _Kind(_leaky_relu, ("negative_slope", "alpha")),
    "ELU": _Kind(_elu, ("alpha",)),
    "PReLU": _Kind(_prelu, ("shared_axes",)),
    "Softmax": _Kind(_softmax, ("axis",)),
    **{
        name: _Kind(_nothing, None)
        for name in (
            "Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D",
            "ActivityRegularization", "Identity",
        )
    },
    # Functions that are called on the tensors of a functional model.
    "LeakyRelu": _Kind(_leaky_relu, ("negative_slope",)),
    "Elu": _Kind(_elu, ("alpha",)),
    "Celu": _Kind(_celu, ("alpha",)),
    "Gelu": _Kind(_gelu, ("approximate",)),
    "LogSoftmax": _Kind(_softmax, ("axis",)),
    "Sigmoid": _named("sigmoid"), "Tanh": _named("tanh"), "Relu": _named("relu"),
    "Relu6": _named("relu6"), "Selu": _named("selu"), "Silu": _named("silu"),
    "Softplus": _named("softplus"), "Softsign": _named("softsign"), "Mish": _named("mish"),
    "HardSigmoid": _named("hard_sigmoid"), "HardSilu": _named("hard_silu"),
    "HardTanh": _named("hard_tanh"), "SparseSigmoid": _named("sparse_sigmoid"),
}  # fmt: skip

# What Dense(activation=...) and Activation(...) may hold instead of a name.
_AS_ACTIVATIONS = ("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax")

# Keys of a config that say nothing of what a network computes once it has learned.
_WITHOUT_EFFECT = {"name", "trainable", "dtype", "batch_input_shape", "batch_shape", "input_dtype"}
_WITHOUT_EFFECT_ENDS = ("_initializer", "_regularizer", "_constraint")


def _known() -> str:
    return ", ".join(_KINDS)


# ---- reading configs


def _check_keys(step: Step, keys: tuple[str, ...]) -> None:
    """Refuse a layer that can do more than is understood here, and does."""
    _policy(step)
    for key, value in step.config.items():
        if key in _WITHOUT_EFFECT or key.endswith(_WITHOUT_EFFECT_ENDS) or key in keys:
            continue
        if value is not None and value is not False and value != {}:
            raise ValueError(
                f"{step.where} has {excerpt(key)}={excerpt(repr(value)[:200])}, which is not "
                "understood, expected a layer without it"
            )


def _policy(step: Step) -> str:
    """Return the name of a layer's dtype policy; refuse those of quantised layers."""
    given = step.config.get("dtype")
    inner = given.get("config") if isinstance(given, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else given
    if name is None and not isinstance(given, dict):
        return "float32"
    if name not in _POLICIES:
        shown = given.get("class_name") if isinstance(given, dict) else given
        raise ValueError(
            f"{step.where} has the dtype {excerpt(repr(shown)[:200])}, expected one of "
            f"{', '.join(_POLICIES)}"
        )
    return str(name)


def _widened(array: NDArray[Any], policy: str, where: str) -> NDArray[Any]:
    """Return floating-point numbers that NumPy knows; bfloat16 is the upper half of float32."""
    is_bfloat16 = array.dtype.name == "bfloat16"  # as ml_dtypes has it, in live models
    if is_bfloat16 or (array.dtype.str == "|V2" and policy == "bfloat16"):
        halves = np.ascontiguousarray(array).view(np.uint16).reshape(array.shape)
        return (halves.astype(np.uint32) << 16).view(np.float32)
    if array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8):
        raise ValueError(f"{where} has dtype {array.dtype}, expected floating-point numbers")
    return array


def _shape(given: Any) -> _Shape | None:
    """Return the shape of a sample from that of a batch; None if it is not said."""
    if not isinstance(given, (list, tuple)) or not given:
        return None
    sizes = (size is None or (type(size) is int and 0 < size < MAX_SIZE) for size in given)
    if len(given) > _MAX_AXES or not all(sizes):
        raise ValueError(f"a layer has the input shape {excerpt(repr(given)[:200])}")
    return tuple(given[1:])


def _broadcast(values: NDArray[Any], shape: _Shape, where: str) -> NDArray[Any]:
    known = tuple(size for size in shape if size is not None)
    if len(known) != len(shape) or math.prod(known) > _MAX_SPREAD:
        raise ValueError(
            f"{where} goes along an axis of samples of shape {shape}, expected one that is known "
            f"and has at most {_MAX_SPREAD} features"
        )
    try:
        return np.broadcast_to(values, known).ravel()
    except ValueError:
        raise ValueError(
            f"{where} has an array of shape {values.shape}, expected one for samples of shape "
            f"{known}"
        ) from None


def _axes(given: Any, where: str) -> list[int]:
    axes = list(given) if isinstance(given, (list, tuple)) else [] if given is None else [given]
    if not all(type(axis) is int and abs(axis) <= _MAX_AXES for axis in axes):
        raise ValueError(f"{where} has axis {excerpt(repr(given)[:200])}, expected a whole number")
    return axes


def _numbers(given: Any, where: str) -> NDArray[np.float64]:
    """Return a number, a list, or an array as Keras writes it, in double."""
    config: Any = given.get("config") if isinstance(given, Mapping) else None
    values = config.get("value") if isinstance(config, Mapping) else given
    try:
        numbers = np.asarray(values)
    except ValueError:
        numbers = np.asarray(None)  # a ragged list
    if numbers.dtype.kind not in "fiu" or numbers.size == 0:
        raise ValueError(f"{where} is {excerpt(repr(given)[:200])}, expected a number, or numbers")
    return numbers.astype(np.float64)


def _number(given: Any, key: str, where: str) -> float:
    numbers = _numbers(given, f"{where}: {key}")
    if numbers.size != 1:
        raise ValueError(f"{where}: {key} is {excerpt(repr(given)[:200])}, expected one number")
    return float(numbers.flat[0])


def _flag(given: Any, key: str, where: str) -> bool:
    if not isinstance(given, bool):
        raise ValueError(f"{where}: {key} is {excerpt(repr(given)[:200])}, expected true or false")
    return given
