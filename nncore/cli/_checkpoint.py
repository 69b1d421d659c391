"""A training that was stopped, in a file: all that is needed to go on to the same bits.

It is written and read as networks are, by `formats._archive`: a JSON header (what was asked for,
how far it got, its history), the weights and biases W1, b1, ..., those of the best epoch V1, c1,
..., and the arrays of the optimizer's state S1, S2, ... Their shapes follow from what was asked
for, and are checked before anything is allocated.
"""

from __future__ import annotations

import itertools
import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from nncore.cli._common import CommandError
from nncore.cli._layers import sizes_of
from nncore.cli._train_settings import check_settings, make_optimizer
from nncore.formats import _archive
from nncore.formats._header import CHECKPOINT_FORMAT as FORMAT

if TYPE_CHECKING:
    import numpy as np

    from nncore.fit.loop import Fit

VERSION = 3
_KINDS = {
    "settings": dict, "data": str, "position": dict, "history": dict, "steps": int,
    "best_epoch": int,
}  # fmt: skip
_MOST_STEPS = 2**60  # no fit takes more


class Checkpoint(NamedTuple):
    """What the file holds."""

    settings: dict[str, Any]  # as `nncore train` was asked for
    data: str  # sha256 of the training data
    position: dict[str, Any]  # the fields of a Position
    history: dict[str, list[float]]
    steps: int  # the optimizer's
    best_epoch: int  # counted from 1; 0: none is finished
    weights: list[tuple[Any, Any]]  # weights and bias of each layer, float32
    best: list[tuple[Any, Any]]  # those after the best epoch; empty if there is none
    state: list[np.ndarray]  # the optimizer's, float32


def write(path: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, in place of what `path` held before, all of it or nothing."""
    header = {"format": FORMAT, "version": VERSION}
    header |= {key: getattr(checkpoint, key) for key in _KINDS}
    arrays: dict[str, np.ndarray] = {}
    for i, (weights, bias) in enumerate(checkpoint.weights, 1):
        arrays |= {f"W{i}": weights, f"b{i}": bias}
    for i, (weights, bias) in enumerate(checkpoint.best, 1):
        arrays |= {f"V{i}": weights, f"c{i}": bias}
    arrays |= {f"S{i}": array for i, array in enumerate(checkpoint.state, 1)}
    _archive.write(path, json.dumps(header, allow_nan=False), arrays)


def read(path: str) -> Checkpoint:
    """Read what `write` wrote.

    Raises
    ------
    ValueError
        It is damaged, or no checkpoint; the message begins with the file's name.
    OSError
        It cannot be read.
    """
    import numpy as np

    from nncore.formats.arrays import convert

    header, arrays = _archive.read(path, _parse, lambda _: "is no checkpoint of nncore train")
    native = {key: convert(key, array, np.dtype("float32")) for key, array in arrays.items()}
    layers = range(1, len(sizes_of(header["settings"]["layers"])))
    weights = [(native.pop(f"W{i}"), native.pop(f"b{i}")) for i in layers]
    best = []
    if header["best_epoch"]:
        best = [(native.pop(f"V{i}"), native.pop(f"c{i}")) for i in layers]
    state = [native[f"S{i}"] for i in range(1, len(native) + 1)]
    found = {key: header[key] for key in _KINDS}
    return Checkpoint(**found, weights=weights, best=best, state=state)


def check_position(fit: Fit) -> None:
    """Refuse a fit that stands where it cannot have come to.

    Raises
    ------
    ValueError
        The parts of its position do not fit together.
    """
    settings, at = fit.settings, fit.position
    whole = all(type(n) is int and n >= 0 for n in (at.epoch, at.batch, at.right, at.seen))
    if not whole or at.epoch >= settings.epochs or at.batch > settings.batches:
        raise ValueError(f"it stands at epoch {at.epoch}, batch {at.batch}, {at.seen} samples seen")
    if not all(_is_number(n) and n >= 0 for n in (at.loss, at.weight, at.seconds)):
        raise ValueError("the sums over its epoch are no finite numbers of at least 0")
    seen = min(at.batch * settings.batch_size, settings.samples)
    if (at.seen, at.weight) != (seen, seen) or at.right > seen:
        raise ValueError(
            f"it has seen {_count(at.seen, 'sample')} in {_count(at.batch, 'batch', 'batches')}, "
            f"expected {seen}"
        )
    if settings.optimizer.steps != at.epoch * settings.batches + at.batch:
        raise ValueError("its optimizer has taken another number of steps")
    if any(len(values) != at.epoch for values in fit.history.to_dict().values()) or (
        fit.history.epochs != at.epoch
    ):
        raise ValueError("its history has another number of epochs")


def _count(n: int, noun: str, plural: str | None = None) -> str:
    return f"{n} {noun if n == 1 else plural or noun + 's'}"


def _parse(text: str) -> tuple[dict[str, Any], _archive.Members]:
    """Return the header, checked, and the arrays that belong to it."""
    header = _archive.parse_json(text)
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError("is no checkpoint of nncore train; a network goes to other commands")
    if header.get("version") != VERSION:
        raise ValueError(
            f"is a checkpoint of version {header.get('version')!r}, expected {VERSION}"
        )
    for key, kind in _KINDS.items():
        if type(header.get(key)) is not kind:
            raise ValueError(f"has no {key} in its header")
    if not 0 <= header["steps"] <= _MOST_STEPS:
        raise ValueError(f"has steps outside 0 to {_MOST_STEPS} in its header")
    for values in header["history"].values():
        if not isinstance(values, list) or not all(_is_number(value) for value in values):
            raise ValueError("has a history that is no lists of numbers")
    try:
        check_settings(header["settings"])
    except CommandError as error:
        raise ValueError(str(error)) from None
    epochs = header["history"].get("loss")  # `check_position` misses it
    if header["best_epoch"] < 0 or (epochs is not None and header["best_epoch"] > len(epochs)):
        raise ValueError(f"has best_epoch outside 0 to {len(epochs or ())} in its header")
    return header, _members(header["settings"], header["best_epoch"] > 0)


def _members(settings: dict[str, Any], has_best: bool) -> _archive.Members:
    """Return the arrays of a checkpoint with these settings."""
    shapes = list(itertools.pairwise(sizes_of(settings["layers"])))
    members: _archive.Members = {}
    for i, (k, m) in enumerate(shapes, 1):
        for weights, bias in (("W", "b"), ("V", "c"))[: 1 + has_best]:
            members |= {f"{weights}{i}": ("float32", (k, m)), f"{bias}{i}": ("float32", (m,))}
    each = make_optimizer(settings).state_arrays
    for i in range(each * len(shapes)):
        k, m = shapes[i // each]
        members[f"S{i + 1}"] = ("float32", (1 + k, m))
    return members


def _is_number(value: object) -> bool:
    """Return whether it is a finite number: an int that no float can hold is not."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max  # type: ignore[arg-type]
