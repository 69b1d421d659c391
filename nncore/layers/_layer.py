"""What every kind of layer is able to do: the contract between a layer and the rest of nncore.

A network, the formats and training know layers by these methods only. A new kind of layer is a
class that has them, a file beside this one with a row in ``nncore/layers/__init__.py``, and the
operation that it compiles to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nncore import activations
from nncore._names import KnownAttributes
from nncore._plan import Parameters, Slot
from nncore._validation import MAX_SIZE, excerpt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nncore._plan import Program

# Of an array in a file: dtype ("float32", "float64", "uint16") and shape.
ArrayType = tuple[str, tuple[int, ...]]


class Layer(KnownAttributes):
    """The base class of all layers; a kind that needs no more of a method inherits it.

    Attributes
    ----------
    first_only : bool
        Whether layers of this kind may only be the first layer of a network: they are applied while
        the samples are read.
    is_dense : bool
        Whether the layer has weights and an activation. A network ends with such a layer, because
        its activation says what the network predicts.
    is_quantized : bool
        Whether the layer computes in whole numbers: a `QuantizedNetwork` has such layers where
        others have `Dense` ones.
    """

    first_only: ClassVar[bool] = False
    is_dense: ClassVar[bool] = False
    is_quantized: ClassVar[bool] = False

    @property
    def in_features(self) -> int | None:
        """Inputs of the layer; None: any number, and as many outputs."""
        return None

    @property
    def out_features(self) -> int | None:
        """Outputs of the layer; None: as many as inputs."""
        return self.in_features

    @property
    def last_only(self) -> bool:
        """Whether the layer may only be the last one, because of its activation."""
        return False

    @property
    def parameters(self) -> int:
        """How many numbers the layer learns."""
        return 0

    @property
    def slot(self) -> Slot | None:
        """Where the layer keeps its present weights; None for a layer that learns nothing."""
        return None

    def compile(self, program: Program) -> None:
        """Append what the layer computes to a program.

        These go first, because they are done while samples are read:
        ``program.rescale(scale, offset)`` and ``program.normalize(mean, std)``.

        ``program.dense(layer, activation_code, alpha, beta)`` is the one operation that learns. A
        network ends with a layer that has it, `Dense`.

        ``program.add(kind, ...)`` is another operation of NN_OPERATIONS in ext/registries.h. It
        gives as many numbers as it takes; its kernels are given alpha, beta and an array of
        parameters, (features,) or (rows, features), copied in the network's dtype. It stands
        anywhere before the last Dense layer.
        """
        raise NotImplementedError

    def check_dtype(self, record: Parameters, dtype: np.dtype[Any]) -> None:
        """Refuse by ValueError to join a network of this dtype; only for layers with a slot."""

    def fill(self, record: Parameters, dtype: np.dtype[Any], seed: Any) -> Parameters:
        """Return the weights with which the layer joins a network; only for layers with a slot.

        `record` is what its slot holds now. Weights that are missing are drawn; nothing of the
        layer changes before the network publishes all of its records.
        """
        raise NotImplementedError

    # ---- files

    @property
    def format_version(self) -> int:
        """The oldest version of the file format that can hold the layer."""
        return 1

    def describe(self, where: str) -> dict[str, Any]:
        """Return the layer's settings, as JSON can hold them: all but its type and its arrays.

        Raise ValueError if the layer cannot be saved; `where` is what to call the layer then.
        """
        raise NotImplementedError

    @classmethod
    def from_description(cls, described: Mapping[str, Any], where: str) -> Layer:
        """Make the layer that `describe` described, still without its arrays.

        `described` comes from a file that may be hostile: each key and value is checked, and
        nothing large is allocated. Raise ValueError, calling the layer what `where` says.
        """
        raise NotImplementedError

    def array_types(self, dtype: str) -> dict[str, ArrayType]:
        """Return the dtype and shape of each array that a file of a `dtype` network holds.

        The names are short; a file appends the number of the layer among those of its kind. Two
        kinds of layers must not have a name in common.
        """
        return {}

    def arrays(self, record: Parameters | None) -> dict[str, NDArray[Any] | None]:
        """Return the arrays by name; None for one that is not there yet.

        `record` is what the slot held when all of the network's slots were read, None for a layer
        without a slot.
        """
        return {}

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take the arrays that `array_types` asked for; raise ValueError if one is refused."""


class DenseLayer(Layer):
    """A layer with weights and an activation; a class of such layers sets the attributes below."""

    is_dense: ClassVar[bool] = True
    _in_features: int
    _out_features: int
    _activation: Any
    _alpha: float | None
    _beta: float | None

    @property
    def in_features(self) -> int:
        """Inputs of the layer."""
        return self._in_features

    @property
    def out_features(self) -> int:
        """Outputs of the layer."""
        return self._out_features

    @property
    def alpha(self) -> float | None:
        """The activation's first parameter; None where it has none."""
        return self._alpha

    @property
    def beta(self) -> float | None:
        """The activation's second parameter; None where it has none."""
        return self._beta

    @property
    def last_only(self) -> bool:
        """Whether the activation is one for the last layer only."""
        return activations.last_layer_only(self._activation)


def check_keys(described: Mapping[str, Any], expected: set[str], where: str) -> None:
    """Refuse a description that lacks a key or has another one: it is of another layer."""
    if set(described) != expected:
        odd = min(set(described) ^ expected)
        state = "lacks" if odd in expected else "has the unknown key"
        raise ValueError(f"{where} {state} '{excerpt(odd)}'")


def check_number(described: Mapping[str, Any], key: str, where: str) -> float:
    """Return the number that a description has under a key; it has to be finite."""
    value = described[key]
    # An integer too large for a double is refused like an infinity: 1e999 is read as one.
    finite = isinstance(value, float) and math.isfinite(value)
    small = type(value) is int and abs(value) <= 1 << 53
    if not finite and not small:
        raise ValueError(f"{where}: {key} is {excerpt(repr(value))}, expected a finite number")
    return float(value)


def check_size(described: Mapping[str, Any], key: str, where: str) -> int:
    """Return the number of features that a description has under a key."""
    value = described[key]
    # bool is an int to isinstance(), and true is no size.
    if type(value) is not int or not 1 <= value <= MAX_SIZE:
        raise ValueError(
            f"{where}: {key} is {excerpt(repr(value))}, expected a whole number of at least 1"
        )
    return value


def describe_activation(
    activation: str, alpha: float | None, beta: float | None
) -> dict[str, str | float | None]:
    """Return an activation and its parameters, as a description holds them."""
    described: dict[str, str | float | None] = {"activation": activation, "alpha": alpha}
    if activation == "elu" and alpha == activations.get("elu").alpha:
        described["alpha"] = None  # as in files written when elu had no alpha
    return described if beta is None else described | {"beta": beta}


def activation_keys(described: Mapping[str, Any]) -> set[str]:
    """Return the keys that a description of its activation has."""
    name = described.get("activation")
    known = activations.REGISTRY.get(name) if isinstance(name, str) else None
    has_beta = known is not None and known.beta is not None
    return {"activation", "alpha", "beta"} if has_beta else {"activation", "alpha"}


def read_activation(
    described: Mapping[str, Any], where: str
) -> tuple[str, float | None, float | None]:
    """Return the activation that a description has, and its parameters where they are given."""
    name = described["activation"]
    if not isinstance(name, str):
        raise ValueError(f"{where}: the activation is not text, expected a name")
    activations.get(name)
    alpha, beta = (
        None if described.get(key) is None else check_number(described, key, where)
        for key in ("alpha", "beta")
    )
    return name, alpha, beta


def activation_text(activation: Any, alpha: float | None, beta: float | None) -> str:
    """Return an activation for the repr of a layer, with the parameters that are no defaults."""
    defaults = activations.check_parameters(activation, None, None)
    text = activation if isinstance(activation, str) else repr(activation)
    text += "" if alpha == defaults[0] else f", alpha={alpha}"
    return text if beta == defaults[1] else f"{text}, beta={beta}"
