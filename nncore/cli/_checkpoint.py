"""A training that was stopped, in a file: all that is needed to go on to the same bits.

An .npz of one JSON header (what was asked for, how far it got, its history), the weights and biases
W1, b1, ... and the arrays of the optimiser's state, S1, S2, ...; stored without compression,
written all or nothing, read without pickles and checked before it is believed.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from nncore.formats import _npy
from nncore.formats._files import file_name, named_errors, open_regular, replacing
from nncore.formats._header import CHECKPOINT_FORMAT as FORMAT

if TYPE_CHECKING:
    import numpy as np

    from nncore._fitting import Fitting

VERSION = 1
_LONGEST_HEADER = 1 << 22  # characters; ten thousand epochs of history fit in
_MOST_MEMBERS = 1000


class Checkpoint(NamedTuple):
    """What the file holds."""

    settings: dict[str, Any]  # as `nncore train` was asked for
    data: str  # sha256 of the training data
    position: dict[str, Any]  # the fields of a Position
    history: dict[str, list[float]]
    steps: int  # the optimiser's
    weights: list[tuple[Any, Any]]  # weights and bias of each layer, float32
    state: list[np.ndarray]  # float32, of the optimiser


def write(path: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, in place of what `path` held before, all of it or nothing."""
    import numpy as np

    header = json.dumps(
        {
            "format": FORMAT,
            "version": VERSION,
            "settings": checkpoint.settings,
            "data": checkpoint.data,
            "position": checkpoint.position,
            "history": checkpoint.history,
            "steps": checkpoint.steps,
            "layers": len(checkpoint.weights),
            "state": len(checkpoint.state),
        }
    )
    arrays = {"header": np.array(header)}
    for i, (weights, bias) in enumerate(checkpoint.weights, 1):
        arrays |= {f"W{i}": weights, f"b{i}": bias}
    arrays |= {f"S{i}": array for i, array in enumerate(checkpoint.state, 1)}
    with replacing(file_name(path)) as file:
        np.savez(file, allow_pickle=False, **arrays)


def read(path: str) -> Checkpoint:
    """Read what `write` wrote.

    Raises
    ------
    ValueError
        It is damaged, or no checkpoint; the message begins with the file's name.
    OSError
        It cannot be read.
    """
    import zipfile

    name = file_name(path)
    with open_regular(name) as (file, size), named_errors(name):
        try:
            with zipfile.ZipFile(file) as archive:
                _check_members(archive, size)
                return _read(archive)
        except (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
            raise ValueError("is no whole checkpoint of nncore train") from error


def check_position(fitting: Fitting) -> None:
    """Refuse a fit that stands where it cannot have come to.

    Raises
    ------
    ValueError
        What it says of itself does not fit together.
    """
    job, at = fitting.job, fitting.position
    whole = all(type(n) is int and n >= 0 for n in (at.epoch, at.step, at.right, at.seen))
    if not whole or at.epoch >= job.epochs or at.step > job.steps:
        raise ValueError(f"it stands at epoch {at.epoch}, step {at.step}, {at.seen} samples seen")
    sums = (at.loss, at.weight, at.seconds)
    if not all(type(n) in (int, float) and 0 <= n < math.inf for n in sums):
        raise ValueError("the sums over its epoch are no finite numbers of at least 0")
    seen = min(at.step * job.batch_size, job.samples)
    if (at.seen, at.weight) != (seen, seen) or at.right > seen:
        raise ValueError(f"it has seen {at.seen} samples in {at.step} steps, expected {seen}")
    if job.optimizer.steps != at.epoch * job.steps + at.step:
        raise ValueError("its optimizer has taken another number of steps")
    if any(len(values) != at.epoch for values in fitting.history.to_dict().values()) or (
        len(fitting.history) != at.epoch
    ):
        raise ValueError("its history has another number of epochs")


def _check_members(archive: Any, size: int) -> None:
    """Before anything is read: plain members, that together are no longer than the file."""
    members = archive.infolist()
    names = {info.filename for info in members}
    if "header.npy" not in names:
        raise ValueError("is no checkpoint of nncore train: it has no header")
    if len(members) > _MOST_MEMBERS or len(names) != len(members):
        raise ValueError("has too many members, or one of them twice")
    if any(info.compress_type != 0 or info.flag_bits & 1 for info in members):
        raise ValueError("has members that are compressed or encrypted, expected plain ones")
    if sum(info.file_size for info in members) > size:
        raise ValueError("declares more bytes than it has")


def _read(archive: Any) -> Checkpoint:
    header = json.loads(_header_text(archive))
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError("is no checkpoint of nncore train; a network goes to other commands")
    if header.get("version") != VERSION:
        raise ValueError(
            f"is a checkpoint of version {header.get('version')!r}, this nncore reads {VERSION}"
        )
    kinds = {"settings": dict, "data": str, "position": dict, "history": dict, "steps": int,
             "layers": int, "state": int}  # fmt: skip
    for key, kind in kinds.items():
        if type(header.get(key)) is not kind:
            raise ValueError(f"has no {key} in its header")
    if not (0 < header["layers"] < _MOST_MEMBERS and 0 <= header["state"] < _MOST_MEMBERS):
        raise ValueError("has a header whose numbers of arrays make no sense")
    _check_history(header["history"])
    layers, state = range(1, header["layers"] + 1), range(1, header["state"] + 1)
    return Checkpoint(
        header["settings"], header["data"], header["position"], header["history"],
        header["steps"],
        [(_array(archive, f"W{i}", 2), _array(archive, f"b{i}", 1)) for i in layers],
        [_array(archive, f"S{i}", 2) for i in state],
    )  # fmt: skip


def _check_history(history: dict[str, Any]) -> None:
    for values in history.values():
        if not isinstance(values, list) or not all(isinstance(v, (int, float)) for v in values):
            raise ValueError("has a history that is no lists of numbers")


def _header_text(archive: Any) -> str:
    descr, _, shape, data = _member(archive, "header")
    if descr[1] != "U" or shape != () or len(data) > 4 * _LONGEST_HEADER:
        raise ValueError("has a header that is no text")
    return data.decode("utf-32-be" if descr[0] == ">" else "utf-32-le").rstrip("\0")


def _array(archive: Any, key: str, dimensions: int) -> np.ndarray:
    import numpy as np

    descr, fortran, shape, data = _member(archive, key)
    if descr not in ("<f4", ">f4") or len(shape) != dimensions:
        raise ValueError(
            f"has {key} of {descr} and shape {shape}, expected float32 and {dimensions} "
            f"dimension{'s' if dimensions > 1 else ''}"
        )
    array = np.frombuffer(data, descr).reshape(shape, order="F" if fortran else "C")
    return np.ascontiguousarray(array, dtype=np.float32)


def _member(archive: Any, key: str) -> tuple[str, bool, tuple[int, ...], bytes]:
    """dtype, whether in Fortran order, shape and bytes, which are as many as these say."""
    name = f"{key}.npy"
    if name not in archive.namelist():
        raise ValueError(f"has no array {key}")
    with archive.open(name) as stream:
        size = archive.getinfo(name).file_size
        descr, fortran, shape, rest = _npy.read_header(stream, name, size)
        if rest != math.prod(shape) * int(descr[2:]) * (4 if descr[1] == "U" else 1):
            raise ValueError(f"has {key} of {rest} bytes, which do not go with its shape {shape}")
        return descr, fortran, shape, stream.read()
