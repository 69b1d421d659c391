"""Networks as people use them: run, saved, loaded and taught."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import _validation
from nncore._base import LayerTrace
from nncore._inference import Inference
from nncore._plan import Parameters, publish
from nncore.fit.methods import Trainable
from nncore.layers import Dense, Layer, slots_of, snapshot_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from nncore.formats import Contents
    from nncore.quantized import QuantizedNetwork

__all__ = ["LayerTrace", "Network", "load"]


class Network(Inference, Trainable):
    """A dense neural network.

    Parameters
    ----------
    layers : sequence of layers
        An optional `Rescaling` or `Normalization`, then `Dense` layers whose sizes fit together.
        Layers that have weights keep them. The network takes the layers themselves, not copies:
        networks made of the same layers share their weights.
    seed : int, sequence of ints or None, optional
        For the weights that are missing: the same seed gives the same weights on every machine.
    dtype : {"float32", "float64"}, optional
        Of the weights, the arithmetic and the outputs.
    classes : sequence of str, int, float or bool, optional
        The names of the classes, one for each output; two for a single sigmoid: first that of the
        label 0. All are text or all are numbers. They are kept with the network and in its file,
        ``net.classes[net.predict(x)]`` are names; `fit` and `evaluate` take labels as ever, 0, 1,
        ..., or names that are text.

    Attributes
    ----------
    layers : tuple
        The layers. ``net.layers[0].weights`` are read-only; assigning an array replaces them.
    dtype : numpy.dtype
    in_features, out_features : int
    classes : ndarray or None
        The names of the classes, read-only; assign a sequence, or None for no names.

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

    _is_closed = True

    @classmethod
    def from_arrays(
        cls,
        weights: Sequence[ArrayLike],
        biases: Sequence[ArrayLike | None] | None,
        activations: Sequence[str | Callable[..., Any]],
        dtype: DTypeLike | None = None,
    ) -> Network:
        """Make a network of given weights, which are copied.

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
        from nncore.formats.arrays import check_bias, check_orientation

        if isinstance(activations, str):
            raise TypeError("activations is a str, expected a sequence with one for each layer")
        weights, activations = list(weights), list(activations)
        biases = [None] * len(weights) if biases is None else list(biases)
        if not len(weights) == len(biases) == len(activations):
            raise ValueError(
                f"the numbers of weights, biases and activations are {len(weights)}, {len(biases)} "
                f"and {len(activations)}, expected as many of each"
            )
        arrays = [_validation.array(w, f"weights[{i}]") for i, w in enumerate(weights)]
        for i, w in enumerate(arrays):
            if w.ndim != 2:
                raise ValueError(
                    f"weights[{i}] has shape {w.shape}, expected (in_features, out_features)"
                )
        vectors = [
            None if b is None else _validation.array(b, f"biases[{i}]")
            for i, b in enumerate(biases)
        ]
        for i, (w, b) in enumerate(zip(arrays, vectors, strict=True)):
            if b is not None:
                check_bias(f"weights[{i}]", w, f"biases[{i}]", b)
        check_orientation(arrays, lambda i: f"weights[{i}]")
        if dtype is None:
            every = [*arrays, *(b for b in vectors if b is not None)]
            double = all(array.dtype == np.float64 for array in every)
            dtype = np.float64 if double else np.float32
        layers = []
        for w, b, activation in zip(arrays, vectors, activations, strict=True):
            layer = Dense(w.shape[0], w.shape[1], activation, bias=b is not None)
            layer.set_weights(w, b)
            layers.append(layer)
        return cls(layers, dtype=dtype)

    @classmethod
    def from_dict(
        cls, arrays: Mapping[str, ArrayLike], activations: Sequence[str | Callable[..., Any]]
    ) -> Network:
        """Make a network of a dict of W1, b1, W2, b2, ..., as the classic texts write it.

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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file, all of it or nothing.

        Each format gives back the same bits, activations and classes included. Files of the two
        other libraries' formats hold the arrays of `to_state_dict`, which those libraries read.

        Parameters
        ----------
        path : str or os.PathLike
            Its ending says the format: ``.npz``, nncore's own; ``.onnx``, which takes the package
            onnx; ``.safetensors``, which takes the package safetensors; ``.pt`` or ``.pth``, which
            take PyTorch.

        Raises
        ------
        ImportError
            The format needs a package that is not installed.
        ValueError
            The path ends in none of these, or an activation is a callable.
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

        formats.write(path, self._layers, self._dtype, self._classes)

    def to_onnx(self, path: str | os.PathLike[str] | None = None) -> bytes | None:
        """Write the network as an ONNX model, which onnxruntime and others run.

        The model takes (n, in_features) in the network's dtype and gives (n, out_features); it has
        opset 15, and was tried with onnxruntime 1.15 in float32 and 1.20 in float64. Other runtimes
        add in another order, so that outputs agree within a few units in the last place times the
        number of inputs, not bit for bit. Activations that ONNX does not have are written with the
        operators that it has, and the names of the classes as the metadata ``nncore.classes``.
        `from_onnx` gives the same layers back.

        Parameters
        ----------
        path : str or os.PathLike, optional
            Of the file; None: return its bytes.

        Returns
        -------
        bytes or None

        Raises
        ------
        ImportError
            The onnx package is missing: ``pip install onnx``.
        ValueError
            An activation is a callable, or the network takes 2 GiB or more.
        OSError
            The file cannot be written.

        Examples
        --------
        >>> import nncore
        >>> net = nncore.Network([nncore.Dense(4, 3, "softmax")], seed=0)
        >>> net.to_onnx("net.onnx")  # doctest: +SKIP
        >>> session = onnxruntime.InferenceSession("net.onnx")  # doctest: +SKIP
        >>> session.run(None, {"input": x})  # doctest: +SKIP
        """
        from nncore.interop import onnx

        if path is None:
            return onnx.to_bytes(self._layers, self._dtype, self._classes)
        onnx.write(path, self._layers, self._dtype, self._classes)
        return None

    def to_html(
        self,
        x: ArrayLike | None = None,
        path: str | os.PathLike[str] | None = None,
        *,
        title: str | None = None,
        image: tuple[int, int] | None = None,
    ) -> str | None:
        """Return one HTML page that draws the network and computes in the browser, step by step.

        The page is one file that needs no other and no network access. The reader steps from node
        to node, sees each sum term by term and each activation on its curve, edits the input and
        changes activations. The page takes the steps of the kernels, with their order of additions
        and their rounding, so its numbers are nncore's bit for bit.

        Parameters
        ----------
        x : array_like, optional
            The sample that the page begins with, (in_features,) or the pixels of an image (h, w);
            None: zeros.
        path : str or os.PathLike, optional
            Of the file; None: return the page.
        title : str, optional
            By default the sizes of the layers.
        image : (int, int), optional
            Height and width, for inputs that are the pixels of an image. By default 784 inputs are
            28 x 28 pixels, and a square number of inputs is an image if the network begins with a
            `Rescaling` of bytes.

        Returns
        -------
        str or None

        Raises
        ------
        ValueError
            x is not one sample of finite numbers, `image` has another number of pixels, or an
            activation or a layer is one that a page does not compute, such as a callable.
        OSError
            The file cannot be written.

        Examples
        --------
        >>> import nncore
        >>> net = nncore.Network([nncore.Dense(2, 3, "tanh"), nncore.Dense(3, 1)], seed=0)
        >>> page = net.to_html([1.0, 0.0], title="A small network")
        >>> page[:15], "<title>A small network</title>" in page
        ('<!doctype html>', True)
        """
        from nncore import page

        text = page.render(self, x, title=title, image=image)
        if path is None:
            return text
        page.write(path, text)
        return None

    def to_dict(self) -> dict[str, NDArray[Any]]:
        """Return copies of the weights and biases, the dict that `from_dict` takes.

        Returns
        -------
        dict
            W1 (in_features, out_features), b1 (out_features,), W2, ... in order. Where some layers
            have a bias and others have none, these get zeros, which change nothing.

        Raises
        ------
        ValueError
            The network begins with a layer that is not Dense: the dict could not say so.

        Examples
        --------
        >>> import nncore
        >>> net = nncore.Network([nncore.Dense(4, 3, "relu"), nncore.Dense(3, 1)], seed=0)
        >>> {name: array.shape for name, array in net.to_dict().items()}
        {'W1': (4, 3), 'b1': (3,), 'W2': (3, 1), 'b2': (1,)}
        """
        front = next((layer for layer in self._layers if not isinstance(layer, Dense)), None)
        if front is not None:
            raise ValueError(
                f"the network begins with {front!r}, which a dict of weights cannot hold, expected "
                "Dense layers only: save it to a file instead"
            )
        records = list(snapshot_of(self._layers).values())
        with_bias = any(record.bias is not None for record in records)
        arrays = {}
        for i, record in enumerate(records, 1):
            assert record.weights is not None
            arrays[f"W{i}"] = record.weights.copy()
            if with_bias:
                zeros = np.zeros(record.weights.shape[1], self._dtype)
                arrays[f"b{i}"] = zeros if record.bias is None else record.bias.copy()
        return arrays

    def to_state_dict(self) -> dict[str, Any]:
        """Return the arrays as a PyTorch state_dict.

        Returns
        -------
        dict of str to torch.Tensor
            Copies, under the names that they have in the ``nn.Sequential`` of `to_torch`:
            ``0.weight`` (out_features, in_features), ``0.bias``, ``2.weight``, ... Each activation
            but the identity takes a number. `nncore.from_torch` gives back the same network.

        Raises
        ------
        ImportError
            PyTorch is not installed.
        """
        from nncore.interop import torch

        return torch.to_state_dict(self._layers, self._dtype, self._classes)

    def to_torch(self) -> Any:
        """Return a PyTorch ``nn.Sequential`` that computes the same, up to rounding.

        It has a Linear for each Dense and a module for its activation. A `Normalization` or a
        `Rescaling` becomes a BatchNorm1d with eps 0 in the network's dtype, which is less precise
        than the layer. The module is in evaluation mode: switched to training, a BatchNorm1d would
        take its statistics from the batch. `nncore.from_torch` takes it back, but its own
        state_dict would not say that eps is 0: import the module.

        Raises
        ------
        ImportError
            PyTorch is not installed.
        ValueError
            PyTorch has no module for an activation, such as step.
        """
        from nncore.interop import torch

        return torch.to_module(self._layers, self._dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        # The layers are pickled one after the other, and another thread may assign weights
        # meanwhile. So all weights are read here, in one step. As long as they stay the same, a
        # pickle does not get larger by that: it holds each array once.
        records = snapshot_of(self._layers).values()
        arrays = [(record.kept, record.bias) for record in records]
        made = (type(self), self._layers, self._dtype.name, arrays)
        return _rebuild, made if self._classes is None else (*made, self._classes)


def _rebuild(
    cls: type[Network],
    layers: list[Layer],
    dtype: str,
    arrays: Sequence[tuple[Any, Any]] | None = None,  # as in pickles of older versions
    classes: Any = None,
) -> Network:
    slots = slots_of(layers)
    for slot, (weights, bias) in zip(slots, arrays or (), strict=arrays is not None):
        now = slot.current
        # A layer with panels is in a network already, and its weights are none of our business:
        # a shallow copy shares the layers, and in one pickle two networks may share them, too.
        if now.panels is None and (now.kept is not weights or now.bias is not bias):
            for array in (weights, bias):
                if array is not None:
                    array.flags.writeable = False
            publish([slot], [Parameters(weights, bias, None, now.dtype)])
    return cls(layers, dtype=dtype, classes=classes)


def load(
    path: str | os.PathLike[str], activations: Sequence[str | Callable[..., Any]] | None = None
) -> Network | Any:
    """Read a network from a file; no file, a pickle included, ever runs code.

    Parameters
    ----------
    path : str or os.PathLike
        A file that `Network.save` wrote; a PyTorch state_dict (``.pt``, ``.pth``, ``.ckpt``,
        ``.safetensors``); or a pickled dict or an .npz file of W1, b1, W2, b2, ... Told apart by
        their content.
    activations : sequence of str or callable, optional
        For a file that does not name them: one for each layer. For W1, b1, ... they are by default
        those of the classic texts, sigmoid for the hidden layers and softmax for the last, and a
        warning says so. Those of a state_dict are as for `nncore.from_torch`.

    Returns
    -------
    Network or QuantizedNetwork
        As it was saved.

    Raises
    ------
    ImportError
        The file is of a library that is needed to read it, and is not installed.
    ValueError
        The file is broken, hostile or of no known format, or the network would take far more memory
        than the file, or more than there is. The text begins with the file's name.
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

    try:
        contents = formats.read(path, activations)
        if contents.layers[-1].is_quantized:
            return _quantized(path, contents)
        return Network(contents.layers, dtype=contents.dtype, classes=contents.classes)
    except MemoryError as error:
        name = os.fsdecode(path)
        raise ValueError(f"{name}: takes more memory than this process may have") from error


def _quantized(path: str | os.PathLike[str], contents: Contents) -> QuantizedNetwork:
    from nncore.formats._files import named_errors
    from nncore.quantized import QuantizedNetwork

    with named_errors(os.fsdecode(path)):
        return QuantizedNetwork(contents.layers, classes=contents.classes)
