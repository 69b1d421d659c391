"""ONNX models: read into layers, and written so that other runtimes give the same answers.

Only the `onnx` package is needed, for the protobuf; nothing of a model is run. `_graph` follows the
samples through the nodes, `_operators` says what each of these does, `_activations` puts together
what exporters take apart, and `_layers` makes layers of all that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nncore._validation import excerpt
from nncore.formats._contents import Contents
from nncore.formats._files import Path, file_name, named_errors, open_regular, replacing
from nncore.interop.onnx._graph import run
from nncore.interop.onnx._layers import LABELS_NOTE, contents_of
from nncore.interop.onnx._model import Tensors, package, parse

__all__ = ["LABELS_NOTE", "from_model", "read", "to_bytes", "write"]


def read(path: Path, activations: Sequence[Any] | None = None) -> Contents:
    """Read a dense network from an .onnx file.

    Parameters
    ----------
    path : str or os.PathLike
        Tensors may lie in another file of the same folder, as torch's exporter writes them; no
        other file is opened.
    activations : None
        The file names its activations itself.

    Returns
    -------
    Contents
        The layers with their weights, the dtype (float32 or float64), the names of the classes.

    Raises
    ------
    ImportError
        The onnx package is missing.
    ValueError
        The file is broken, or does something that a dense network does not do: the text says which
        node.
    OSError
        The file cannot be opened or read.
    """
    package()
    name = file_name(path)
    with open_regular(name) as (file, _), named_errors(name):
        data = file.read()
    with named_errors(name):
        if activations is not None:
            raise ValueError("names its activations itself, expected no activations=")
        return _contents(parse(data), Tensors(name), len(data))


def from_model(model: Any) -> Contents:
    """Return the layers of a model in memory: bytes, or a ModelProto.

    Raises
    ------
    TypeError
        It is neither.
    ImportError, ValueError
        As `read` says.
    """
    onnx = package()
    model = getattr(model, "model_proto", model)  # what torch.onnx.export returns
    if isinstance(model, (bytes, bytearray, memoryview)):
        data = bytes(model)
        return _contents(parse(data), Tensors(None), len(data))
    if not isinstance(model, onnx.ModelProto):
        raise TypeError(
            f"model is of type {type(model).__name__}, expected a path, bytes or onnx.ModelProto"
        )
    return _contents(model, Tensors(None), model.ByteSize())


def _contents(model: Any, tensors: Tensors, size: int) -> Contents:
    try:
        return contents_of(run(model, tensors, size + tensors.size_outside(model)))
    except (ValueError, OSError, ImportError, MemoryError):
        raise
    except Exception as error:  # texts that are none are bytes, for example
        what = f"{type(error).__name__}: {excerpt(str(error))}"
        raise ValueError(f"the model is damaged ({what})") from error


def write(path: Path, layers: Sequence[Any], dtype: Any, classes: Any = None) -> None:
    """Write layers as an .onnx file, in place of what `path` held before, all of it or nothing.

    Parameters
    ----------
    path, layers, dtype, classes
        As for `nncore.formats.npz.write`.

    Raises
    ------
    ImportError
        The onnx package is missing.
    ValueError
        A layer has no weights yet or a callable as activation, or the network is too large.
    OSError
        The file cannot be written.
    """
    data = to_bytes(layers, dtype, classes)
    with replacing(file_name(path)) as file:
        file.write(data)


def to_bytes(layers: Sequence[Any], dtype: Any, classes: Any = None) -> bytes:
    """Return layers as the bytes of an .onnx file; see `write`."""
    from nncore.interop.onnx._export import model_of

    data: bytes = model_of(layers, dtype, classes).SerializeToString(deterministic=True)
    return data
