"""The layers a network is made of: Dense, and a Rescaling in front."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import kernels, _validation, activations, initializers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nncore.network import Network

DEFAULT_ALPHA = 0.01


class Rescaling:
    """Multiplies every input by a constant, while it is read: only as the first layer.

    ``Rescaling(1 / 255)`` takes pixels of 0 to 255. Each input is multiplied in double precision
    and rounded once to the network's dtype, so that bytes give ``x / np.float32(255)`` exactly.

    Parameters
    ----------
    scale : float
        Finite.

    Examples
    --------
    >>> import nncore
    >>> nncore.Rescaling(1 / 255)
    Rescaling(0.00392156862745098)
    """

    def __init__(self, scale: float) -> None:
        self._scale = _validation.number(scale, "scale")

    @property
    def scale(self) -> float:
        """The factor."""
        return self._scale

    def __repr__(self) -> str:
        return f"Rescaling({self._scale!r})"


class Dense:
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
    alpha : float, optional
        The slope of leaky_relu below zero, 0.01 if not given; for no other activation.
    init : str or Initializer, optional
        How a new `Network` fills the weights: he, xavier, lecun, normal, orthogonal or zeros, or
        an object such as ``nncore.initializers.Normal(0.01)``. By default he for rectifiers,
        xavier otherwise. The bias begins at zero.

    Attributes
    ----------
    weights : ndarray or None
        (in_features, out_features), read-only; assign an array to change them. None until a network
        or an assignment fills them.
    bias : ndarray or None
        (out_features,), likewise; None for ever without bias.

    Examples
    --------
    >>> import nncore
    >>> layer = nncore.Dense(2, 1, activation="step")
    >>> layer.weights, layer.bias = [[0.5], [0.5]], [-0.7]
    >>> nncore.Network([layer])([[1, 0], [1, 1]]).ravel()
    array([0., 1.], dtype=float32)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        activation: str | activations.Activation | Callable[..., Any] = "identity",
        *,
        bias: bool = True,
        alpha: float | None = None,
        init: str | initializers.Initializer | None = None,
    ) -> None:
        self._in_features = _validation.size(in_features, "in_features")
        self._out_features = _validation.size(out_features, "out_features")
        if isinstance(activation, activations.Activation):
            activation = activation.name  # also one of nncore.relu, ...
        if not callable(activation):
            activations.get(activation)
        self._activation = activation
        self._use_bias = bool(bias)
        self._alpha = self._check_alpha(alpha)
        self.init = initializers.check(
            initializers.default_for(activation) if init is None else init
        )
        self._dtype: np.dtype[Any] | None = None  # that of the network it belongs to
        self._weights: NDArray[Any] | None = None
        self._bias: NDArray[Any] | None = None
        # The weights and bias that were packed last, and what came of it.
        self._packed: tuple[NDArray[Any], NDArray[Any] | None, kernels.Panels] | None = None
        self._networks: weakref.WeakSet[Network] = weakref.WeakSet()

    def _check_alpha(self, alpha: float | None) -> float | None:
        if self.activation != "leaky_relu":
            if alpha is not None:
                raise ValueError(f"alpha belongs to leaky_relu, activation is {self.activation!r}")
            return None
        return DEFAULT_ALPHA if alpha is None else _validation.number(alpha, "alpha")

    @property
    def in_features(self) -> int:
        """Inputs of the layer."""
        return self._in_features

    @property
    def out_features(self) -> int:
        """Outputs of the layer."""
        return self._out_features

    @property
    def activation(self) -> str | Callable[..., Any]:
        """The activation's name, or the callable."""
        return self._activation

    @property
    def use_bias(self) -> bool:
        """Whether the layer has a bias."""
        return self._use_bias

    @property
    def alpha(self) -> float | None:
        """The slope of leaky_relu below zero; None for other activations."""
        return self._alpha

    @property
    def parameters(self) -> int:
        """How many numbers the layer learns."""
        return (self.in_features + self.use_bias) * self.out_features

    @property
    def weights(self) -> NDArray[Any] | None:
        """(in_features, out_features), read-only; assigning copies, checks and repacks."""
        return self._weights

    @weights.setter
    def weights(self, values: Any) -> None:
        self.set_weights(values, self._bias)

    @property
    def bias(self) -> NDArray[Any] | None:
        """(out_features,), read-only; assigning copies, checks and repacks."""
        return self._bias

    @bias.setter
    def bias(self, values: Any) -> None:
        if not self.use_bias:
            raise ValueError("this layer has no bias: it was made with bias=False")
        self.set_weights(self._weights, values)

    def set_weights(self, weights: Any, bias: Any = None) -> None:
        """Assign weights and bias together: one check, one packing.

        Parameters
        ----------
        weights : array_like (in_features, out_features), or None to leave them to a network
        bias : array_like (out_features,), or None for zeros

        Raises
        ------
        TypeError, ValueError
            A shape or dtype does not fit.

        Examples
        --------
        >>> import nncore
        >>> layer = nncore.Dense(2, 2)
        >>> layer.set_weights([[1.0, 2.0], [3.0, 4.0]])
        >>> layer.bias
        array([0., 0.])
        """
        for network in self._store(weights, bias):
            network._make_plan()

    def _store(self, weights: Any, bias: Any) -> list[Network]:
        """Assign without packing; returns the networks that need a new plan then."""
        if weights is None and self._networks:
            raise ValueError("weights is None, expected an array: the layer is in a network")
        shape = (self.in_features, self.out_features)
        w = None if weights is None else self._copy(weights, shape, "weights")
        b = None if bias is None else self._copy(bias, shape[1:], "bias")
        if b is None and self.use_bias and w is not None:
            b = np.zeros(shape[1:], w.dtype)
        if w is not None and b is not None and w.dtype != b.dtype:
            w, b = w.astype(np.float64), b.astype(np.float64)  # of a layer without a network yet
        for array in (w, b):
            if array is not None:
                array.flags.writeable = False
        self._weights, self._bias = w, b
        return list(self._networks)

    def _copy(self, values: Any, shape: tuple[int, ...], name: str) -> NDArray[Any]:
        array = _validation.array(values, name)
        if array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
        dtype = self._dtype
        if dtype is None:
            small = array.dtype.kind == "f" and array.dtype.itemsize <= 4
            dtype = np.dtype(np.float32 if small else np.float64)
        with np.errstate(all="ignore"):
            return array.astype(dtype, order="C", copy=True)

    def _check_dtype(self, dtype: np.dtype[Any]) -> None:
        """Refuse to join a network of another dtype than the one it is in."""
        if self._dtype is not None and self._dtype != dtype:
            raise ValueError(
                f"a layer of a {self._dtype} network cannot join a {dtype} one: "
                "make a new layer and assign it the weights"
            )

    def _draw(self, dtype: np.dtype[Any], seed: Any) -> NDArray[Any]:
        """The weights it has, or new ones, in a network's dtype; changes nothing."""
        weights = self._weights
        if weights is None:
            weights = initializers.draw(self.init, self.in_features, self.out_features, seed)
        with np.errstate(all="ignore"):
            return weights.astype(dtype, copy=False)

    def _join(self, network: Network, dtype: np.dtype[Any], weights: NDArray[Any]) -> None:
        """Become a layer of a network, with these weights; `_check_dtype` has let it."""
        self._dtype = dtype
        if weights is not self._weights:
            self._store(weights, self._bias)
        self._networks.add(network)

    def packed(self) -> kernels.Panels:
        """The weights as the kernels read them; packed again only after they changed."""
        weights, bias, packed = self._weights, self._bias, self._packed
        if packed is None or packed[0] is not weights or packed[1] is not bias:
            assert weights is not None
            filled = np.zeros(self.out_features, weights.dtype) if bias is None else bias
            packed = self._packed = (weights, bias, kernels.pack(weights, filled))
        return packed[2]

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_packed"], state["_networks"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._packed = None
        self._networks = weakref.WeakSet()
        for array in (self._weights, self._bias):
            if array is not None:
                array.flags.writeable = False

    def __repr__(self) -> str:
        name = self.activation if isinstance(self.activation, str) else repr(self.activation)
        extra = "" if self.alpha in (None, DEFAULT_ALPHA) else f", alpha={self.alpha}"
        extra += "" if self.use_bias else ", bias=False"
        return f"Dense({self.in_features}, {self.out_features}, {name}{extra})"
