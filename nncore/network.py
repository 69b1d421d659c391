"""A network: layers in order, run as one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore import _execute, _plan, _validation, activations
from nncore.fit.methods import Trainable
from nncore.layers import DEFAULT_ALPHA, Dense, Rescaling

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

Layer = Rescaling | Dense


class Step(NamedTuple):
    """What one Dense layer made of its inputs: `weighted_sum` x @ w + b, and its `activation`."""

    layer: Dense
    weighted_sum: NDArray[Any]
    activation: NDArray[Any]


class Network(_execute.Engine, Trainable):
    """A dense neural network.

    Parameters
    ----------
    layers : sequence of layers
        An optional `Rescaling`, then `Dense` layers whose sizes fit together. Layers that have
        weights keep them.
    seed : int, sequence of ints or None, optional
        Of the weights that are missing: the same seed gives the same weights on every machine.
    dtype : {"float32", "float64"}, optional
        Of the weights, the arithmetic and the outputs.

    Attributes
    ----------
    layers : tuple
        The layers. ``net.layers[0].weights`` are read-only; assigning an array replaces them.
    dtype : numpy.dtype
    in_features, out_features : int

    Notes
    -----
    ``net(x)[i]`` equals ``net(x[i])`` bit for bit, whatever the batch size, the memory layout of x,
    the number of threads and the instruction set. Any number of threads may call one network.

    Examples
    --------
    >>> import nncore
    >>> net = nncore.Network([nncore.Dense(4, 8, "relu"), nncore.Dense(8, 3, "softmax")], seed=0)
    >>> net
    Network of 2 layers, 4 -> 3, float32
      0  Dense(4, 8, relu)         40
      1  Dense(8, 3, softmax)      27
    67 parameters
    >>> net([[1, 2, 3, 4]]).shape
    (1, 3)
    """

    def __init__(
        self, layers: Sequence[Layer], *, seed: Any = None, dtype: DTypeLike = "float32"
    ) -> None:
        self._dtype = _validation.dtype(dtype)
        self._layers = _check_layers(layers)
        self._dense = [layer for layer in self._layers if isinstance(layer, Dense)]
        self._scale = None
        if isinstance(self._layers[0], Rescaling):
            self._scale = self._layers[0].scale
        for layer in self._dense:
            layer._check_dtype(self._dtype)
        drawn = [
            layer._draw(self._dtype, _seed_of_layer(seed, i)) for i, layer in enumerate(self._dense)
        ]
        for layer, weights in zip(self._dense, drawn, strict=True):
            layer._join(self, self._dtype, weights)
        self._make_plan()

    @classmethod
    def from_arrays(
        cls,
        weights: Sequence[ArrayLike],
        biases: Sequence[ArrayLike | None] | None,
        activations: Sequence[str | Callable[..., Any]],
        dtype: DTypeLike | None = None,
    ) -> Network:
        """A network of given weights, which are copied.

        Parameters
        ----------
        weights : sequence of array_like
            Of each layer, (in_features, out_features).
        biases : sequence of array_like or None, or None
            Of each layer, (out_features,), or None for a layer without; None: no layer has any.
        activations : sequence of str or callable
            Of each layer.
        dtype : {None, "float32", "float64"}, optional
            None: float64 if every array is, else float32.

        Raises
        ------
        TypeError, ValueError
            Numbers of arrays, shapes or dtypes do not fit.

        Examples
        --------
        >>> import numpy as np, nncore
        >>> net = nncore.Network.from_arrays([np.eye(2)], [np.ones(2)], ["identity"])
        >>> net([1, 2]), net.dtype
        (array([2., 3.]), dtype('float64'))
        """
        if isinstance(activations, str):
            raise TypeError("activations is a str, expected a sequence with one for each layer")
        weights, activations = list(weights), list(activations)
        biases = [None] * len(weights) if biases is None else list(biases)
        if not len(weights) == len(biases) == len(activations):
            raise ValueError(
                f"{len(weights)} weights, {len(biases)} biases and {len(activations)} activations, "
                "expected as many of each"
            )
        arrays = [_validation.array(w, f"weights[{i}]") for i, w in enumerate(weights)]
        for i, w in enumerate(arrays):
            if w.ndim != 2:
                raise ValueError(
                    f"weights[{i}] has shape {w.shape}, expected (in_features, out_features)"
                )
        if dtype is None:
            every = [*arrays, *(np.asarray(b) for b in biases if b is not None)]
            double = all(array.dtype == np.float64 for array in every)
            dtype = np.float64 if double else np.float32
        layers = []
        for w, b, activation in zip(arrays, biases, activations, strict=True):
            layer = Dense(w.shape[0], w.shape[1], activation, bias=b is not None)
            layer.set_weights(w, b)
            layers.append(layer)
        return cls(layers, dtype=dtype)

    @classmethod
    def from_dict(
        cls, arrays: Mapping[str, ArrayLike], activations: Sequence[str | Callable[..., Any]]
    ) -> Network:
        """A network of a dict of W1, b1, W2, b2, ..., as the classic texts write it.

        Parameters
        ----------
        arrays : mapping
            W1 (in_features, out_features), b1 or B1 (out_features,), and so on; copied.
        activations : sequence of str or callable
            Of each layer.

        Raises
        ------
        TypeError, ValueError
            A key is missing or unknown, or a shape does not fit.

        Examples
        --------
        >>> import numpy as np, nncore
        >>> net = nncore.Network.from_dict({"W1": np.eye(2), "b1": np.zeros(2)}, ["sigmoid"])
        >>> net([0.0, 0.0])
        array([0.5, 0.5])
        """
        from nncore.formats.arrays import layers_from_dict

        layers, dtype = layers_from_dict(arrays, activations)
        return cls(layers, dtype=dtype)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in order."""
        return tuple(self._layers)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of weights, arithmetic and outputs: float32 or float64."""
        return self._dtype

    @property
    def in_features(self) -> int:
        """Inputs of the first layer."""
        return self._dense[0].in_features

    @property
    def out_features(self) -> int:
        """Outputs of the last layer."""
        return self._dense[-1].out_features

    @property
    def parameters(self) -> int:
        """How many numbers the network learns."""
        return sum(layer.parameters for layer in self._dense)

    def predict(self, x: ArrayLike) -> NDArray[Any]:
        """What the outputs say, decided by the last activation.

        Parameters
        ----------
        x : array_like
            (in_features,) or (n, in_features), or images, as for a call.

        Returns
        -------
        ndarray
            softmax or log_softmax: the class, int64 () or (n,), the largest logit, the lowest index
            on a tie; no exponential is computed. sigmoid: 1 where the weighted sum is positive,
            else 0, int64, of the outputs' shape. Otherwise the outputs themselves.

        Examples
        --------
        >>> import numpy as np, nncore
        >>> net = nncore.Network.from_arrays([np.eye(3)], None, ["softmax"])
        >>> net.predict([[0, 2, 1], [5, 0, 0]])
        array([1, 0])
        """
        last = self._dense[-1].activation
        if activations.last_layer_only(last):
            labels: NDArray[Any] = self.logits(x).argmax(-1)
            return labels
        if last == "sigmoid":
            return (self.logits(x) > 0).astype(np.int64)
        return self(x)

    def trace(self, x: ArrayLike) -> list[Step]:
        """Every weighted sum and activation on the way through the network.

        Parameters
        ----------
        x : array_like
            As for a call.

        Returns
        -------
        list of Step
            One for each Dense layer: ``weighted_sum`` and ``activation``, each (out_features,) or
            (n, out_features). The last activation equals ``net(x)`` bit for bit.

        Examples
        --------
        >>> import numpy as np, nncore
        >>> net = nncore.Network.from_arrays([np.eye(2)], None, ["relu"])
        >>> net.trace([-1.0, 2.0])[0].weighted_sum
        array([-1.,  2.])
        """
        steps = []
        scale = self._scale
        for layer in self._dense:
            weighted_sum = _execute.run(_plan_of([layer], scale, sums_only=True), x)
            x = _activate(layer, weighted_sum)
            steps.append(Step(layer, weighted_sum, x))
            scale = None
        return steps

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to an .npz file, all of it or nothing.

        Raises
        ------
        ValueError
            The path does not end in .npz, or an activation is a callable.
        OSError
            The file cannot be written.

        Examples
        --------
        >>> import os, tempfile, nncore
        >>> net = nncore.Network([nncore.Dense(2, 2)], seed=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     net.save(os.path.join(folder, "net.npz"))
        ...     again = nncore.load(os.path.join(folder, "net.npz"))
        >>> bool((again.layers[0].weights == net.layers[0].weights).all())
        True
        """
        from nncore import formats

        formats.write(path, self._layers, self._dtype)

    def _make_plan(self) -> None:
        """Pack what has changed and decide how to run it; calls under way keep the old plan."""
        if any(not isinstance(layer.activation, str) for layer in self._dense):
            self._plan = None
        else:
            # Another thread may assign weights meanwhile: whoever puts its plan last looks again.
            while True:
                packed = [layer.packed() for layer in self._dense]
                self._plan = _plan_of(self._dense, self._scale)
                if all(layer.packed() is p for layer, p in zip(self._dense, packed, strict=True)):
                    break

    def _run_layer_by_layer(self, x: Any, out: Any, with_final: bool) -> NDArray[Any]:
        """The slow path, for activations that are Python callables."""
        steps = self.trace(x)
        last = steps[-1]
        y = last.activation if with_final else last.weighted_sum
        if out is None:
            return y
        _validation.fits(out, y.shape, self._dtype)
        if _validation.overlap(out, np.asarray(x)):
            raise ValueError("out overlaps x in memory, expected memory of its own")
        out[...] = y
        filled: NDArray[Any] = out
        return filled

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self._layers, self._dtype.name)

    def __repr__(self) -> str:
        rows = [(repr(layer), f"{getattr(layer, 'parameters', 0):,}") for layer in self._layers]
        width = max(len(text) for text, _ in rows)
        digits = max(len(count) for _, count in rows) + 4
        lines = [
            f"  {i}  {text:<{width}}  {count:>{digits}}" for i, (text, count) in enumerate(rows)
        ]
        count = f"{len(rows)} layer{'s' if len(rows) > 1 else ''}"
        sizes = f"{self.in_features:,} -> {self.out_features:,}"
        title = f"Network of {count}, {sizes}, {self._dtype}"
        return "\n".join([title, *lines, f"{self.parameters:,} parameters"])


def _rebuild(cls: type[Network], layers: list[Layer], dtype: str) -> Network:
    return cls(layers, dtype=dtype)


def _check_layers(layers: Sequence[Layer]) -> list[Layer]:
    if isinstance(layers, (Rescaling, Dense)):
        raise TypeError("layers is a single layer, expected a list of them")
    checked = list(layers)
    dense: list[Dense] = []
    for i, layer in enumerate(checked):
        if isinstance(layer, Rescaling):
            if i > 0:
                raise ValueError(f"layers[{i}] is a Rescaling, expected it as the first layer only")
            continue
        if not isinstance(layer, Dense):
            raise TypeError(
                f"layers[{i}] is of type {type(layer).__name__}, expected Dense or Rescaling"
            )
        if any(layer is other for other in dense):
            raise ValueError(f"layers[{i}] is in the network already, expected a layer of its own")
        if dense and dense[-1].out_features != layer.in_features:
            raise ValueError(
                f"layers[{i}] takes {layer.in_features} features, the layer before it gives "
                f"{dense[-1].out_features}"
            )
        if dense and activations.last_layer_only(dense[-1].activation):
            raise ValueError(
                f"layers[{i - 1}] has the activation {dense[-1].activation}, which only the last "
                "layer may have"
            )
        dense.append(layer)
    if not dense:
        raise ValueError("a network needs at least one Dense layer")
    return checked


def _seed_of_layer(seed: Any, i: int) -> Any:
    """Each layer draws from a stream of its own, whatever the layers before it take."""
    if seed is None:
        return None
    return [*seed, i] if isinstance(seed, Sequence) else [seed, i]


def _plan_of(dense: list[Dense], scale: float | None, sums_only: bool = False) -> _plan.Plan:
    entries = []
    for layer in dense:
        name = "identity" if sums_only else layer.activation
        assert isinstance(name, str)
        entries.append((layer.packed(), activations.CODES[name], layer.alpha or 0.0))
    return _plan.Plan(entries, scale)


def _activate(layer: Dense, weighted_sum: NDArray[Any]) -> NDArray[Any]:
    name = layer.activation
    if isinstance(name, str):
        function = activations.get(name)
        if isinstance(function, activations.LeakyReLU):
            alpha = DEFAULT_ALPHA if layer.alpha is None else layer.alpha
            return np.asarray(function(weighted_sum, alpha))
        return np.asarray(function(weighted_sum))
    result = _validation.array(name(weighted_sum), "the activation's result")
    if result.shape != weighted_sum.shape:
        raise ValueError(
            f"the activation {name!r} turned shape {weighted_sum.shape} into {result.shape}, "
            "expected the same shape"
        )
    return result.astype(weighted_sum.dtype)


def affine(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    activation: str = "identity",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """activation(x @ w + b) in one pass: the activation is applied as each block of sums is done.

    The weights are packed in every call; a `Network` packs them once.

    Parameters
    ----------
    x : array_like
        (k,) or (n, k).
    w : array_like
        (k, m).
    b : array_like, optional
        (m,); zeros if not given.
    activation : str, optional
        A name of `nncore.activations`, softmax included.
    out : ndarray, optional
        (m,) or (n, m), of the result's dtype, not overlapping x, w or b.

    Returns
    -------
    ndarray
        (m,) or (n, m): float32 if NumPy's promotion of x, w and b is float32 or float16,
        else float64.

    Raises
    ------
    TypeError, ValueError
        Shapes or dtypes do not fit.

    Examples
    --------
    >>> import numpy as np, nncore
    >>> nncore.affine([1.0, 2.0], [[1.0, 0.0], [0.0, 1.0]], [0.0, -3.0], activation="relu")
    array([1., 0.])
    """
    if not isinstance(activation, str):
        raise TypeError(f"activation is {activation!r}, expected a name")
    inputs, weights = _validation.array(x, "x"), _validation.array(w, "w")
    arrays = [inputs, weights]
    if b is not None:
        arrays.append(_validation.array(b, "b"))
    if weights.ndim != 2 or 0 in weights.shape:
        raise ValueError(f"w has shape {weights.shape}, expected (k, m), both at least 1")
    small = np.result_type(*arrays) in (np.dtype(np.float16), np.dtype(np.float32))
    layer = Dense(weights.shape[0], weights.shape[1], activation, bias=b is not None)
    layer._dtype = np.dtype(np.float32 if small else np.float64)
    if b is not None and arrays[2].shape != weights.shape[1:]:
        raise ValueError(f"b has shape {arrays[2].shape}, expected {weights.shape[1:]}")
    for name, array in zip("wb", arrays[1:], strict=False):
        if isinstance(out, np.ndarray) and _validation.overlap(out, array):
            raise ValueError(f"out overlaps {name} in memory, expected memory of its own")
    layer.set_weights(weights, arrays[2] if b is not None else None)
    result: NDArray[Any] = _execute.run(_plan_of([layer], None), inputs, out)
    return result


def load(
    path: str | os.PathLike[str], activations: Sequence[str | Callable[..., Any]] | None = None
) -> Network:
    """Read a network from a file; no file, a pickle included, ever runs code.

    Parameters
    ----------
    path : str or os.PathLike
        An .npz file that `Network.save` wrote, or a pickled dict of W1, b1, W2, b2, ...; told apart
        by their content.
    activations : sequence of str or callable, optional
        For a file that does not name them, such as a pickle: one for each layer.

    Raises
    ------
    ValueError
        The file is broken, hostile or of no known format, or activations are missing.
    OSError
        It cannot be read.

    Examples
    --------
    >>> import nncore
    >>> net = nncore.load("no such file.npz")
    Traceback (most recent call last):
        ...
    FileNotFoundError: [Errno 2] No such file or directory: 'no such file.npz'
    """
    from nncore import formats

    layers, dtype = formats.read(path, activations)
    return Network(layers, dtype=dtype)
