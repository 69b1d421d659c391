"""Files that hold networks: which format a file has is decided by what is in it, not by its name.

One module for each format and one row here. The modules have the same two functions,
``read(path, activations)`` and ``write(path, layers, dtype, classes)``; one that is only read has
no ``write``, and its row no endings of paths to write to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

from nncore.formats._archive import names_in
from nncore.formats._contents import Contents
from nncore.formats._files import Path, file_name, named_errors, open_regular

__all__ = ["FORMATS", "Contents", "Format", "find_format", "read", "write"]


class Format(NamedTuple):
    """A format: its name, which is its module's too, and how its files are known."""

    name: str
    begins: bytes  # a regular expression that the file's first 64 bytes match
    suffixes: tuple[str, ...]  # of paths to write to, if any; reading goes by the content
    what: str  # for error messages: "expected ..."
    member: str | None = None  # of zip files: a regular expression that a member's name matches
    package: str = "nncore.formats"  # that the module is in

    def module(self) -> Any:
        """Import and return the module with the two functions."""
        return import_module(f"{self.package}.{self.name}")


_ZIP = rb"PK(\x03\x04|\x05\x06)"
_INTEROP = "nncore.interop"

# Zip files are told apart by their members; one with none of these is taken for an .npz, whose
# reader makes the best errors. PyTorch's old files are pickles that begin with a number of its own.
# Pickles of protocols 2 to 5 begin with \x80 and their number; those of 0 and 1 with a dict, a list
# or a name, of which the reader makes better errors than "unknown".
FORMATS = (
    Format(
        "torch", _ZIP, (".pt", ".pth"), "a state_dict that PyTorch saved", r"([^/]+/)?data\.pkl",
        _INTEROP,
    ),
    Format(
        "keras", _ZIP, (), "a .keras or .h5 file of a whole Keras model",
        r"(config|metadata)\.json|model\.weights\.h5", _INTEROP,
    ),
    Format("npz", _ZIP, (".npz",), "an .npz file that nncore saved"),
    Format(
        "keras", rb"\x89HDF\r\n\x1a\n", (), "a .keras or .h5 file of a whole Keras model",
        package=_INTEROP,
    ),
    Format(
        "safetensors", rb"(?s).{4}\x00{4}\{", (".safetensors",), "a .safetensors file",
        package=_INTEROP,
    ),
    Format(
        "torch", rb"(?s)\x80.(\x95.{8})?\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19\.", (),
        "a state_dict that PyTorch saved", package=_INTEROP,
    ),
    Format(
        "pickles", rb"\x80|\(d|\(l|\}q|\}\.|\]q|\(?[ci][\w.]+\n", (),
        "a pickled dict of W1, b1, W2, b2, ...",
    ),
    # Protobuf has no magic bytes. Most exporters begin with the ir_version, then there is one of
    # the fields after it; others begin with the opset, the producer's name or the graph.
    Format(
        "onnx", rb"(?s:\x08[\x01-\x7f][\x12\x1a\x22\x28\x32\x3a\x42\x72](?!.{5}\{)|"
        rb"B[\x02-\x7f](\x10|\x0a[\x00-\x20])|\x12[\x01-\x7f][ -~]|"
        rb":([\x80-\xff]{1,4}[\x00-\x7f]|[\x00-\x7f])[\x0a\x12][^\x0a])",
        (".onnx",), "an ONNX model", package=_INTEROP,
    ),
)  # fmt: skip

# Files that people try, by their first bytes, and what to do with them instead.
_OTHERS = {
    b"\x93NUMPY": "is a single array (.npy), but a network needs its layers too: see "
    "nncore.Network.from_arrays",
    b"\x1f\x8b": "is compressed with gzip: unpack it first",
    b"\x00\x00\x08\x01": "is an IDX file of labels, not a network",
    b"\x00\x00\x08\x03": "is an IDX file of images, not a network",
}


def read(path: Path, activations: Sequence[Any] | None = None) -> Contents:
    """Read the layers of a network, with their weights, from a file of any known format.

    Parameters
    ----------
    path : str or os.PathLike
        What ``Network.save`` wrote, an .onnx model, a state_dict in PyTorch's files or a
        .safetensors file, a Keras model in a .keras or .h5 file, or a pickled dict of W1, b1, W2,
        b2, ...
    activations : sequence of str or callable, optional
        One for each layer, for files that do not hold them; refused for those that do.

    Returns
    -------
    Contents
        The layers, the dtype (float32 or float64), and the names of the classes if there are any.

    Raises
    ------
    ValueError
        The file is broken or of another kind, would take far more memory than its length, or
        `activations` are not wanted. The text begins with the file's name.
    OSError
        The file is missing, a folder, or cannot be read.

    Examples
    --------
    >>> read("no such file.npz")
    Traceback (most recent call last):
        ...
    FileNotFoundError: [Errno 2] No such file or directory: 'no such file.npz'
    """
    found: Contents = find_format(path).module().read(path, activations)
    return found


def write(path: Path, layers: Sequence[Any], dtype: Any, classes: Any = None) -> None:
    """Write layers with their weights, in the format that the path's ending names.

    Parameters
    ----------
    path : str or os.PathLike
        Its ending says the format: ``.npz``, ``.onnx``, ``.safetensors``, ``.pt`` or
        ``.pth``.
    layers, dtype, classes
        As for `nncore.formats.npz.write`.

    Raises
    ------
    ImportError
        The format needs a package that is not installed.
    ValueError
        The ending is of no format that is written, or the layers cannot be saved.
    OSError
        The file cannot be written.
    """
    name = file_name(path)
    quantized = any(getattr(layer, "is_quantized", False) for layer in layers)
    if quantized and not name.lower().endswith(".npz"):
        raise ValueError(
            f"{name}: a quantized network is saved as .npz only, expected such a path, or the "
            "float network"
        )
    for kind in FORMATS:
        if kind.suffixes and name.lower().endswith(kind.suffixes):
            kind.module().write(path, layers, dtype, classes)
            return
    every = [suffix for kind in FORMATS for suffix in kind.suffixes]
    raise ValueError(
        f"{name}: the ending says the format, expected a path that ends in "
        f"{', '.join(every[:-1])} or {every[-1]}"
    )


def find_format(path: Path) -> Format:
    """Return the format of a file, by its first bytes and by what is in a zip file.

    Raises
    ------
    ValueError
        It is none of the known ones, or empty.
    OSError
        The file is missing, a folder, or cannot be read.
    """
    name = file_name(path)
    with open_regular(name) as (file, size), named_errors(name):
        start = file.read(64)
        members = names_in(file, size) if re.match(_ZIP, start) else set()
    for kind in FORMATS:
        if re.match(kind.begins, start) and (
            kind.member is None or any(re.fullmatch(kind.member, member) for member in members)
        ):
            return kind
    for magic, hint in _OTHERS.items():
        if start.startswith(magic):
            raise ValueError(f"{name}: {hint}")
    expected = ", or ".join(dict.fromkeys(kind.what for kind in FORMATS))
    raise ValueError(f"{name}: begins with {start[:8]!r}, expected {expected}")
