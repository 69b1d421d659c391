"""Keras' models, live ones and files, from their config and their weights.

Files are read without Keras, with h5py:

``.keras``
    A zip file of ``config.json``, ``metadata.json`` and ``model.weights.h5``, in which weights lie
    at paths that count the layers of each class: ``layers/dense_1/vars/0``.
``.h5``
    A whole model as Keras 1 to 3 write it: the config is an attribute, the weights lie at
    ``model_weights/<layer>/.../kernel``.

No Keras class is looked up and no code is run, so that a Lambda layer is a name that is refused.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

from nncore._validation import excerpt
from nncore.formats import _archive
from nncore.formats._contents import Contents
from nncore.formats._files import Path, file_name, named_errors, open_regular
from nncore.interop import _hdf5
from nncore.interop._keras_config import MODELS, Step, check_names, is_of_keras, steps_of
from nncore.interop._keras_layers import Translator, Weights

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo

# A layer takes about 1 kB of config, a number of a Normalization 20 bytes.
_MAX_CONFIG = 1 << 22
# Keras stores the members of its zip files. Weights of people who pack them again hardly shrink,
# what HDF5 puts between them does.
_MAX_EXPANSION = 4
_MAX_OVERHEAD = 1 << 16
_MAX_LOOKS = 1 << 20  # at paths that might be those of a weight

_WEIGHTS_ONLY = (
    "holds weights without a model, expected a whole model: save it with model.save('net.keras')"
)


def from_model(model: Any) -> Contents:
    """Return the layers of a live model: Sequential, or functional without branches.

    Raises
    ------
    TypeError
        It is no model of Keras.
    ValueError
        It has a layer that is not understood, branches, or no weights yet.
    """
    kind = type(model).__name__
    family: list[Any] = [cls for cls in type(model).__mro__ if is_of_keras(cls.__module__)]
    if not family or not hasattr(model, "get_config") or not hasattr(model, "layers"):
        raise TypeError(
            f"model is of type {kind}, expected a Sequential or functional model of Keras; files "
            "are read by nncore.load(path)"
        )
    if kind not in MODELS or family[0] is not type(model):
        raise ValueError(
            f"model is of class {excerpt(kind)}, which may compute anything, expected a Sequential "
            "or functional model"
        )
    described = {"class_name": kind, "config": model.get_config()}
    library = sys.modules.get(family[0].__module__.split(".")[0])
    steps, weights = steps_of(described), _LiveWeights(model)
    for step in steps:
        weights.check(step)
    return _contents(steps, weights, _version(_name_of_version(library)))


def read(path: Path, activations: Sequence[Any] | None = None) -> Contents:
    """Read a whole model from a ``.keras`` or ``.h5`` file, without Keras.

    Parameters
    ----------
    path : str or os.PathLike
    activations : None
        The file names its activations itself.

    Raises
    ------
    ImportError
        h5py is not installed.
    ValueError
        The file is broken or hostile, holds weights only, or has a layer that is not understood.
    OSError
        The file cannot be opened or read.
    """
    name = file_name(path)
    h5py = _hdf5.need_h5py(name)
    with open_regular(name) as (file, size), named_errors(name):
        start = file.read(4)
        file.seek(0)
        found = (_read_zip if start == b"PK\x03\x04" else _read_h5)(h5py, file, size)
        # Checked last: if the file holds no network, that is what the error should say.
        if activations is not None:
            raise ValueError(
                "names its activations itself, activations= is for files that do not, such as "
                "pickles"
            )
    return found


def _contents_of_file(config: Any, weights: Weights, version: int | None) -> Contents:
    contents = _contents(steps_of(config), weights, version)
    check_names(config)  # last, because the errors of layers say more
    return contents


def _contents(steps: Sequence[Step], weights: Weights, version: int | None) -> Contents:
    translator = Translator(weights, version)
    for step in steps:
        translator.add(step)
    return translator.steps.contents()


def _version(text: Any) -> int | None:
    """Return the first number of a version."""
    first = text.split(".")[0] if isinstance(text, str) else ""
    return int(first) if first.isdecimal() and len(first) < 4 else None


# ---- live models


def _name_of_version(library: Any) -> Any:
    """Return the version of a module, or that of the Keras in TensorFlow."""
    return getattr(getattr(library, "keras", library), "__version__", None)


class _LiveWeights:
    def __init__(self, model: Any) -> None:
        self._model = model

    def _find(self, step: Step) -> Any:
        layer = self._model
        for name in step.names:
            # Functions called on tensors are operations without being layers.
            inside = [*layer.layers, *getattr(layer, "operations", ())]
            layer = next((each for each in inside if each.name == name), None)
            if layer is None:
                break
        return layer

    def check(self, step: Step) -> None:
        """Refuse what only bears the name of a layer or an activation of Keras."""
        layer = self._find(step)
        for what in (layer and type(layer), getattr(layer, "activation", None)):
            module = getattr(what, "__module__", None)
            if what is not None and not is_of_keras(module):
                raise ValueError(
                    f"{step.where} is, or has as its activation, something of module "
                    f"{excerpt(module)}, expected layers and activations of Keras itself"
                )
        function = getattr(layer, "activation", None)
        parts = getattr(function, "__module__", "").split(".")
        name = getattr(function, "__name__", None)
        # A config holds the name alone, which those of keras.ops share but for one.
        if name and "activations" not in parts and ("ops" not in parts or name == "gelu"):
            raise ValueError(
                f"{step.where} has as its activation {excerpt(name)} of {'.'.join(parts[:9])}, "
                "expected that of keras.activations, which may be another function"
            )

    def __call__(self, step: Step, names: Sequence[str]) -> Sequence[Any]:
        layer = self._find(step)
        if layer is None:
            raise ValueError(f"{step.where} is in the model's config, but not in the model")
        arrays: list[Any] = layer.get_weights()
        if len(arrays) > len(names):
            raise ValueError(_too_many(step, len(arrays), names))
        return arrays


def _too_many(step: Step, count: int, names: Sequence[str]) -> str:
    return f"{step.where} has {count} arrays of weights, expected {len(names)}: {', '.join(names)}"


# ---- .keras


def _read_zip(h5py: Any, file: IO[bytes], size: int) -> Contents:
    from zipfile import BadZipFile, ZipFile

    _archive.check_directory(file, size)
    try:
        with ZipFile(file) as archive:
            members = {info.filename: info for info in archive.infolist()}
            if len(members) != len(archive.infolist()):
                raise ValueError("holds a member twice")
            for name in ("config.json", "model.weights.h5"):
                if name not in members:
                    raise ValueError(f"has no {name}, expected a file that Keras saved")
            config = _read_json(archive, members["config.json"], size)
            info = members.get("metadata.json")
            about = None if info is None else _read_json(archive, info, size)
            most = _MAX_EXPANSION * size + _MAX_OVERHEAD
            data = _read_member(archive, members["model.weights.h5"], size, most)
    except (BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"is not a whole .keras file: {excerpt(str(error))}") from error
    version = about.get("keras_version") if isinstance(about, dict) else None
    with _hdf5.open_file(h5py, io.BytesIO(data), len(data)) as weights:
        return _contents_of_file(config, _CountedWeights(weights), _version(version))


def _read_json(archive: ZipFile, info: ZipInfo, size: int) -> Any:
    text = _read_member(archive, info, size, _MAX_CONFIG).decode()
    return _archive.parse_json(text, info.filename)


def _read_member(archive: ZipFile, info: ZipInfo, size: int, most: int) -> bytes:
    name = excerpt(info.filename)
    if info.flag_bits & 1 or info.compress_type not in (0, 8):
        raise ValueError(f"'{name}' is encrypted or packed in a way that Keras does not use")
    if not 0 <= info.header_offset < size or info.compress_size > size:
        raise ValueError(f"'{name}' lies outside of the file")
    if info.file_size > most:
        raise ValueError(f"'{name}' declares {info.file_size} bytes, expected at most {most}")
    with archive.open(info) as stream:
        data = stream.read(info.file_size)  # which bounds what is unpacked, whatever it declares
        if len(data) != info.file_size or stream.read(1):
            raise ValueError(f"'{name}' does not have the {info.file_size} bytes it declares")
    return data


class _CountedWeights:
    """The weights in a .keras file: numbered, at a path of classes and counters."""

    def __init__(self, file: _hdf5.File) -> None:
        self._file = file

    def __call__(self, step: Step, names: Sequence[str]) -> Sequence[Any]:
        group = self._file.group(f"{step.group}/vars")
        if group is None:  # Keras 2.12
            older = step.group.replace("layers/", "_layer_checkpoint_dependencies/")
            group = self._file.group(f"{older}/vars")
        arrays = {} if group is None else self._file.arrays(group)
        if len(arrays) > len(names):
            raise ValueError(_too_many(step, len(arrays), names))
        found = []
        for number, name in enumerate(names):
            if str(number) not in arrays:
                raise ValueError(f"{step.where} has no {name} in the file")
            found.append(self._file.read(arrays[str(number)], f"{step.where}: {name}"))
        return found


# ---- .h5


def _read_h5(h5py: Any, file: IO[bytes], size: int) -> Contents:
    with _hdf5.open_file(h5py, file, size) as whole:
        text = whole.text("model_config", _MAX_CONFIG)
        if text is None:
            is_weights = {"layers", "vars", "_layer_checkpoint_dependencies"} & set(whole.root)
            if is_weights or "layer_names" in whole.root.attrs:
                raise ValueError(_WEIGHTS_ONLY)
            raise ValueError("is an HDF5 file without a model_config, expected a whole model")
        config = _archive.parse_json(text, "model_config")
        version = _version(whole.text("keras_version", 100))
        weights = _NamedWeights(whole)
        found = _contents_of_file(config, weights, version)
        weights.check_all_used()
        return found


class _NamedWeights:
    """The weights in an .h5 file, at paths that end in a layer's name and a weight's."""

    def __init__(self, file: _hdf5.File) -> None:
        self._file = file
        self._groups: dict[str, dict[str, Any]] = {}
        self._ends: dict[str, dict[tuple[str, ...], list[str]]] = {}  # paths by their last parts
        self._used: set[tuple[str, str]] = set()
        self._looks = 0

    def __call__(self, step: Step, names: Sequence[str]) -> Sequence[Any]:
        top = step.names[0]
        if top not in self._groups:
            self._open(top)
        found = []
        for name in names:
            path = self._find(step, top, name)
            self._used.add((top, path))
            found.append(self._file.read(self._groups[top][path], f"{step.where}: {name}"))
        return found

    def _open(self, top: str) -> None:
        group = self._file.group(f"model_weights/{top}")
        self._groups[top] = {} if group is None else self._file.arrays(group)
        ends = self._ends[top] = {}
        for path in self._groups[top]:
            parts = _parts(path)
            for end in {(parts[-1],), tuple(parts[-2:])}:
                ends.setdefault(end, []).append(path)

    def _find(self, step: Step, top: str, name: str) -> str:
        """Return the path whose end has most in common with the names of layer and weight."""
        wanted = "/".join((*step.names, name)).split("/")
        # In a layer's own group a weight's name is enough; a model's has those of several layers.
        least = 1 if len(step.names) == 1 else 2
        paths = self._ends[top].get(tuple(wanted[-least:]), [])
        self._looks += len(paths)
        if not paths or self._looks > _MAX_LOOKS:
            raise ValueError(f"{step.where} has no {name} in the file, or far too many")
        common = {path: _common_end(_parts(path), wanted) for path in paths}
        most = max(common.values())
        best = [path for path in paths if common[path] == most]
        if len(best) > 1:
            raise ValueError(f"{step.where} has several {name} in the file, expected one")
        return best[0]

    def check_all_used(self) -> None:
        """Refuse weights that no layer asked for: a layer may have more than is understood."""
        for top, arrays in self._groups.items():
            for path in arrays:
                if (top, path) not in self._used:
                    raise ValueError(
                        f"layer '{excerpt(top)}' has weights {excerpt(path)}, which are not "
                        "understood"
                    )


def _parts(path: str) -> list[str]:
    """Return the names on a path; those of tf.keras 2 end in :0."""
    return path.removesuffix(":0").split("/")


def _common_end(a: Sequence[str], b: Sequence[str]) -> int:
    count = 0
    while count < min(len(a), len(b)) and a[-1 - count] == b[-1 - count]:
        count += 1
    return count
