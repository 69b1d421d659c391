"""Runs a file by the library that it came from, for `nncore convert` to compare with.

One class for each runtime, with the same three things: `name` and `notes` for the report, and
`prepare(x)`, which returns a call without arguments that computes the outputs of x, (n, k), and
leaves the preparation of x out of the time. No framework is imported before it is needed, and none
opens a file that nncore's own reader has not accepted first.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from nncore import Dense, Normalization, Rescaling, _info, activations
from nncore.cli._common import LoadedNetwork, dense_layers

if TYPE_CHECKING:
    from nncore import Network

Call = Callable[[], Any]


class Read(NamedTuple):
    """A network, the format of its file, and what was done to it on the way in."""

    loaded: LoadedNetwork
    path: str
    format: str
    notes: tuple[str, ...]
    activations: list[str] | None  # that the file does not name


class UnavailableError(Exception):
    """The library that a file came from cannot run it here; the text says why."""


class Runtime(Protocol):
    """What runs a network."""

    name: str
    dtype: np.dtype[Any]  # that it computes in
    takes_integers: bool
    notes: tuple[str, ...]

    def prepare(self, x: np.ndarray) -> Call:
        """Return a call that computes the outputs of samples (n, k), without any preparation."""

    def outputs(self, result: Any) -> np.ndarray:
        """Return what such a call returned as an array (n, m), or labels (n,)."""


class Nncore:
    """nncore itself."""

    takes_integers = False

    def __init__(self, net: Network) -> None:
        self.name, self.dtype, self._net = f"nncore {_info.__version__}", net.dtype, net
        self.notes: tuple[str, ...] = ()

    def prepare(self, x: np.ndarray) -> Call:
        net, given = self._net, x[0] if len(x) == 1 else x
        return lambda: net(given)

    def outputs(self, result: Any) -> np.ndarray:
        return np.atleast_2d(result)


# The functions of the classic texts, as they write them; all others are taken from nncore.
_CLASSIC: dict[str, Callable[[Any], Any]] = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "softmax": lambda z: (e := np.exp(z - z.max(-1, keepdims=True))) / e.sum(-1, keepdims=True),
}


class Numpy:
    """x @ w + b in NumPy, for files of weights that no library runs: in double or as it is."""

    takes_integers = False

    def __init__(self, net: Network, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.name = f"NumPy {np.__version__} ({self.dtype})"
        first = net.layers[0]
        self._front = first if isinstance(first, (Normalization, Rescaling)) else None
        self._layers = [
            (
                np.ascontiguousarray(layer.weights, self.dtype),
                None if layer.bias is None else layer.bias.astype(self.dtype),
                _function_of(layer),
            )
            for layer in dense_layers(net)
        ]
        ours = {layer.activation for layer in dense_layers(net)} - set(_CLASSIC)
        self.notes: tuple[str, ...] = ()
        if ours:
            self.notes = (f"with nncore's {', '.join(sorted(ours))}",)

    def prepare(self, x: np.ndarray) -> Call:
        given = x[0] if len(x) == 1 else x
        return lambda: self._run(given)

    def _run(self, x: np.ndarray) -> np.ndarray:
        if isinstance(self._front, Rescaling):
            x = x * self._front.scale + self._front.offset
        elif self._front is not None:
            x = (x - self._front.mean) / self._front.std
        x = x.astype(self.dtype, copy=False)
        with np.errstate(all="ignore"):
            for w, b, function in self._layers:
                x = function(x @ w if b is None else x @ w + b)
        return x

    def outputs(self, result: Any) -> np.ndarray:
        return np.atleast_2d(result)


def _function_of(layer: Any) -> Callable[[Any], Any]:
    name = layer.activation
    if name in _CLASSIC:
        return _CLASSIC[name]
    function: Any = activations.get(name)
    if activations.last_layer_only(name):
        return function  # type: ignore[no-any-return]
    return lambda z: function(z, alpha=layer.alpha, beta=layer.beta)


# The types of an ONNX graph's inputs that samples can be given as, bytes included.
_ONNX_TYPES = {
    "float": "f4", "double": "f8", "float16": "f2", "uint8": "u1", "uint16": "u2", "int16": "i2",
    "int32": "i4", "int64": "i8",
}  # fmt: skip


class _Onnx:
    """A graph with one input, whose outputs are numbers, labels, or maps as ZipMap makes them."""

    def __init__(self, net: Network, shape: Any, kind: str) -> None:
        element = kind.removeprefix("tensor(").removesuffix(")")
        if element not in _ONNX_TYPES:
            raise UnavailableError(f"its input is a {kind}")
        self._input = np.dtype(_ONNX_TYPES[element])
        self.takes_integers = self._input.kind != "f"
        self.dtype = min(net.dtype, self._input) if self._input.kind == "f" else net.dtype
        shape = list(shape or [None, net.in_features])
        self._shape = tuple(d if isinstance(d, int) and d > 0 else -1 for d in shape[1:])
        if math.prod(self._shape) != net.in_features and self._shape.count(-1) != 1:
            self._shape = (net.in_features,)
        self._single = len(shape) == 1  # a graph for one sample, without a dimension for more
        self._at_once = 1 if self._single else shape[0] if isinstance(shape[0], int) else None
        self._classes = net.classes
        self.notes: tuple[str, ...] = ()
        if self._at_once is not None:
            self.notes = (f"the graph takes batches of {self._at_once} only: more are more calls",)

    def _call(self, x: np.ndarray) -> Any:
        """Return the output that counts, for as many samples as the graph takes."""
        raise NotImplementedError

    def prepare(self, x: np.ndarray) -> Call:
        count = self._at_once
        if count is not None and len(x) % count:
            x = np.concatenate([x, np.repeat(x[-1:], count - len(x) % count, axis=0)])
        given = np.ascontiguousarray(x, self._input)
        if self._single:
            parts = list(given)
        else:
            given = given.reshape(len(given), *self._shape)
            parts = np.split(given, len(given) // (count or len(given)))
        if len(parts) == 1:
            return lambda: [self._call(parts[0])]
        return lambda: [self._call(part) for part in parts]

    def outputs(self, result: Any) -> np.ndarray:
        return np.concatenate([self._array(each) for each in result])

    def _array(self, found: Any) -> np.ndarray:
        if isinstance(found, list) and found and isinstance(found[0], dict):
            keys = list(found[0]) if self._classes is None else self._classes.tolist()
            return np.array([[row[key] for key in keys] for row in found], np.float32)
        array = np.asarray(found)
        if array.dtype.kind != "f":
            return array.reshape(-1)  # labels
        return array.reshape(1, -1) if self._single else array.reshape(len(array), -1)


class OnnxRuntime(_Onnx):
    """ONNX Runtime, on the CPU."""

    def __init__(self, file: Read, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            file.path, options, providers=["CPUExecutionProvider"]
        )
        (given,) = self._session.get_inputs()
        super().__init__(file.loaded.net, given.shape, given.type)
        self.name, self._given = f"onnxruntime {onnxruntime.__version__}", given.name
        outputs = {each.name: each.type for each in self._session.get_outputs()}
        self._wanted = [_output_of(outputs, file)]

    def _call(self, x: np.ndarray) -> Any:
        return self._session.run(self._wanted, {self._given: x})[0]


class OnnxReference(_Onnx):
    """The evaluator of the `onnx` package: slow, and what the standard means."""

    def __init__(self, file: Read, threads: int) -> None:
        import onnx
        from onnx.reference import ReferenceEvaluator

        model: Any = onnx.load(file.path)
        held = {each.name for each in model.graph.initializer}
        (given,) = (each for each in model.graph.input if each.name not in held)
        tensor = given.type.tensor_type
        shape = [each.dim_value or None for each in tensor.shape.dim]
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        super().__init__(file.loaded.net, shape, kind)
        outputs = {each.name: _onnx_type(onnx, each.type) for each in model.graph.output}
        self._evaluator: Any = ReferenceEvaluator(model)
        self.name, self._given = f"onnx {onnx.__version__}, reference", given.name
        self.notes += ("pip install onnxruntime: the runtime that is used for speed",)
        self._wanted = [_output_of(outputs, file)]

    def _call(self, x: np.ndarray) -> Any:
        return self._evaluator.run(self._wanted, {self._given: x})[0]


def _onnx_type(onnx: Any, kind: Any) -> str:
    """Return an output's type as ONNX Runtime writes it."""
    if kind.HasField("tensor_type"):
        name = onnx.TensorProto.DataType.Name(kind.tensor_type.elem_type).lower()
        return f"tensor({name})"
    return "seq(map)"


def _output_of(types: dict[str, str], file: Read) -> str:
    """Return the name of the output with the numbers, or of that with labels if these count."""
    from nncore.interop.onnx import LABELS_NOTE

    labels = ("tensor(int", "tensor(string") if LABELS_NOTE in file.notes else ()
    for begin in (*labels, "tensor(float", "tensor(double", "seq(map", ""):
        for name, kind in types.items():
            if kind.startswith(begin):
                return name
    raise UnavailableError("it has no output")


class Torch:
    """A state_dict, loaded into the modules of PyTorch that it is of."""

    takes_integers = False

    def __init__(self, file: Read, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        net = file.loaded.net
        self._torch, self.dtype, self.name = torch, net.dtype, f"torch {torch.__version__}"
        self.notes: tuple[str, ...] = ()
        state, in_order = _state_of(torch, file)
        if file.activations is None:  # nncore wrote it
            from nncore.interop.torch import to_module

            self._module = to_module(net.layers, net.dtype)
            self._module.load_state_dict(state)
        else:
            parts = _modules_of(torch, state, file.activations, in_order, str(net.dtype))
            self._module = torch.nn.Sequential(*parts).eval()
            self.notes = ("torch runs modules made of the tensors' names and --activations",)

    def prepare(self, x: np.ndarray) -> Call:
        torch, module = self._torch, self._module
        given = torch.from_numpy(np.ascontiguousarray(x, self.dtype))

        def call() -> Any:
            with torch.inference_mode():
                return module(given)

        return call

    def outputs(self, result: Any) -> np.ndarray:
        array: np.ndarray = result.numpy()
        return array


def _state_of(torch: Any, file: Read) -> tuple[dict[str, Any], bool]:
    """Return the tensors of a file by name, and whether they stand in the order of the layers."""
    if file.format == "safetensors":
        from safetensors.torch import load_file

        return load_file(file.path), False
    state = torch.load(file.path, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model_state_dict"):
        state = state.get(key, state)
    return dict(state), True


def _modules_of(
    torch: Any, state: dict[str, Any], activations: Sequence[str], in_order: bool, dtype: str
) -> Iterator[Any]:
    """Give Linear, BatchNorm1d and activations in the order in which nncore reads them."""
    from nncore.interop._state_dict import groups_of, ordered, sequence_of
    from nncore.interop.torch import activation_module

    kind = getattr(torch, dtype)
    groups, numbered = ordered(groups_of(state), in_order)
    for item in sequence_of(groups, activations, numbered):
        if not hasattr(item, "arrays"):  # an activation, and where it stands
            name, where = item
            if name != "identity":
                yield activation_module(torch.nn, Dense(1, 1, name), where)
            continue
        arrays = item.arrays
        if item.is_linear:
            module = torch.nn.Linear(*item.sizes, bias="bias" in arrays, dtype=kind)
        else:
            size = len(arrays["running_mean"])
            module = torch.nn.BatchNorm1d(size, affine="weight" in arrays, dtype=kind)
        module.load_state_dict(arrays, strict=item.is_linear)
        yield module


class Keras:
    """A model of Keras, called as ``model(x)``."""

    takes_integers = False

    def __init__(self, file: Read, threads: int) -> None:
        with _keras_backend():
            import keras
        self._keras = keras
        self._model = keras.saving.load_model(file.path, compile=False)
        if self._model.compute_dtype not in ("float32", "float64"):
            raise UnavailableError(f"it computes in {self._model.compute_dtype}")
        backend = keras.backend.backend()
        self._quiet: Any = contextlib.nullcontext
        self.notes: tuple[str, ...] = ()
        if backend == "torch":
            import torch

            torch.set_num_threads(threads)
            self._quiet = torch.no_grad
        elif backend != "numpy":
            self.notes = (f"{backend} takes as many threads as it likes",)
        self.name = f"keras {keras.__version__} ({backend})"
        self.dtype = np.dtype(self._model.compute_dtype)
        shape = self._model.input_shape[1:]
        self._shape = shape if None not in shape else (file.loaded.net.in_features,)

    def prepare(self, x: np.ndarray) -> Call:
        given = np.ascontiguousarray(x, self.dtype).reshape(len(x), *self._shape)
        model, quiet = self._model, self._quiet

        def call() -> Any:
            with quiet():
                return model(given, training=False)

        return call

    def outputs(self, result: Any) -> np.ndarray:
        array: np.ndarray = self._keras.ops.convert_to_numpy(result)
        return array.reshape(len(array), -1)


@contextlib.contextmanager
def _keras_backend() -> Iterator[None]:
    """Let Keras take a backend that is installed, unless the environment names one."""
    name = "KERAS_BACKEND"
    if name in os.environ:
        yield
        return
    found = (each for each in ("tensorflow", "jax", "torch") if importlib.util.find_spec(each))
    os.environ[name] = next(found, "numpy")
    try:
        yield
    finally:
        del os.environ[name]


# By the name of the file's format: what runs it, the best first, and the package to install.
_RUNTIMES: dict[str, tuple[tuple[Any, str], ...]] = {
    "onnx": ((OnnxRuntime, "onnxruntime"), (OnnxReference, "onnx")),
    "torch": ((Torch, "torch"),),
    "safetensors": ((Torch, "torch"),),
    "keras": ((Keras, "keras"),),
}


def runtime_of(file: Read, threads: int) -> Runtime | None:
    """Return what runs a file, None for a format that is nncore's own or no library's.

    Parameters
    ----------
    file : Read
        nncore has read it.
    threads : int

    Raises
    ------
    UnavailableError
        The library is not installed or cannot run the file; the text says which and why.
    """
    reasons = []
    for runtime, package in _RUNTIMES.get(file.format, ()):
        try:
            made: Runtime = runtime(file, threads)
            for n in (1, 3):
                made.outputs(made.prepare(np.zeros((n, file.loaded.net.in_features), np.uint8))())
        except ImportError as error:
            missing = (error.name or package).partition(".")[0]
            reasons.append(f"{missing} is not installed (pip install {missing})")
        except UnavailableError as error:
            reasons.append(f"{package}: {error}")
        except Exception as error:  # whatever a framework raises, the conversion is not its fault
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            text = " ".join(str(error).split())[:200]
            reasons.append(f"{package} cannot run it: {kind}{text}")
        else:
            return made
    if reasons:
        raise UnavailableError("; ".join(reasons))
    return None


@contextlib.contextmanager
def blas_threads(count: int) -> Iterator[bool]:
    """Limit the threads of NumPy's BLAS in the block; gives False where nothing can do that."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        yield False
        return
    with threadpool_limits(count):
        yield True
