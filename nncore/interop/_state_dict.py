"""A state_dict of PyTorch, as arrays by name, with the activations that it does not hold.

Names say which arrays belong together (``fc1.weight`` and ``fc1.bias``); what stands before the
last dot is the layer's name, whatever prefixes it has. The layers' order is that of the numbers in
their names if these alone tell them apart (``0``, ``2``, ``10``; ``fc1``, ``fc2``), else that of
the keys. A .safetensors file is sorted by name, so there the sizes have to decide.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from itertools import islice, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nncore import activations as registry
from nncore._validation import counted, excerpt
from nncore.formats._contents import Contents
from nncore.formats._header import MAX_LAYERS
from nncore.formats.arrays import ActivationsMissing
from nncore.interop._assembler import Assembler

BATCH_NORM = "batch_norm"  # an entry of activations= that says where one stands
_EPS = 1e-5  # PyTorch's default; a state_dict does not hold it
_MAX_CHAINED = 1000  # layers that are looked through for each of them
_STATISTICS = {"running_mean", "running_var"}


class _Group(NamedTuple):
    """The arrays of one layer, and what messages call it."""

    name: str
    arrays: dict[str, NDArray[Any]]

    @property
    def is_linear(self) -> bool:
        return "running_mean" not in self.arrays

    @property
    def sizes(self) -> tuple[int, int]:
        """Inputs and outputs of a Linear."""
        outputs, inputs = self.arrays["weight"].shape
        return inputs, outputs

    @property
    def where(self) -> str:
        return f"layer '{excerpt(self.name)}'" if self.name else "the state_dict"


def contents_of(
    arrays: Mapping[str, NDArray[Any]], activations: Sequence[Any] | None, *, in_order: bool = True
) -> Contents:
    """Return the layers that a state_dict describes.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        weight (out_features, in_features) and bias of Linear modules; weight, bias, running_mean,
        running_var and num_batches_tracked of BatchNorm1d modules, whose eps is taken to be 1e-5.
    activations : sequence of str
        One for each Linear. Where a state_dict leaves open whether a BatchNorm1d stands before or
        after an activation, "batch_norm" among them says so for all.
    in_order : bool, optional
        Whether the order of the keys is that of the layers.

    Raises
    ------
    ValueError
        A key is not understood, the order cannot be told, or arrays do not fit together.

    Examples
    --------
    >>> arrays = {"0.weight": np.ones((3, 2)), "0.bias": np.zeros(3), "2.weight": np.ones((1, 3))}
    >>> contents_of(arrays, ["relu", "sigmoid"]).layers
    [Dense(2, 3, relu), Dense(3, 1, sigmoid, bias=False)]
    """
    groups = groups_of(arrays)
    if len(groups) > MAX_LAYERS:
        raise ValueError(f"there are {len(groups)} layers, expected at most {MAX_LAYERS}")
    groups, numbered = ordered(groups, in_order)
    if in_order and not numbered and all(group.is_linear for group in groups):
        _warn_of_order(groups)
    steps = Assembler()
    for item in sequence_of(groups, activations, numbered):
        if isinstance(item, _Group):
            (_linear if item.is_linear else _batch_norm)(steps, item)
        else:
            steps.activation(*item)
    return steps.contents()


def batch_norm(
    steps: Assembler, where: str, mean: Any, variance: Any, eps: float, weight: Any, bias: Any
) -> None:
    """Add a batch normalisation: (x - mean) / sqrt(variance + eps) * weight + bias, in double.

    At the very front the first half becomes a Normalization: the features come as they were
    measured, and folding would round away small differences of large numbers.
    """
    with np.errstate(invalid="ignore"):
        deviation = np.sqrt(np.asarray(variance, np.float64) + eps)
    steps.normalize(mean, deviation, where)
    if weight is not None or bias is not None:
        steps.scale(1.0 if weight is None else weight, 0.0 if bias is None else bias, where)


def _linear(steps: Assembler, group: _Group) -> None:
    steps.dense(group.arrays["weight"].T, group.arrays.get("bias"), group.where)


def _batch_norm(steps: Assembler, group: _Group) -> None:
    arrays = group.arrays
    batch_norm(
        steps, group.where, arrays["running_mean"], arrays["running_var"], _EPS,
        arrays.get("weight"), arrays.get("bias"),
    )  # fmt: skip


# ---- which arrays belong together


def groups_of(arrays: Mapping[str, NDArray[Any]]) -> list[_Group]:
    found: dict[str, _Group] = {}
    for key, array in arrays.items():
        name, _, kind = key.rpartition(".")
        found.setdefault(name, _Group(name, {})).arrays[kind] = array
    for group in found.values():
        _check(group)
    if not any(group.is_linear for group in found.values()):
        raise ValueError("there is no weight of a Linear layer, expected at least one")
    return list(found.values())


def _check(group: _Group) -> None:
    """Refuse, by its key, what is neither of a Linear nor of a BatchNorm1d."""
    statistics = _STATISTICS & set(group.arrays)
    known = {"weight", "bias"} | (_STATISTICS | {"num_batches_tracked"} if statistics else set())
    wanted = _STATISTICS if statistics else {"weight"}
    for kind, array in group.arrays.items():
        dimensions = 2 if kind == "weight" and not statistics else 1
        if kind in known and (array.ndim == dimensions or kind == "num_batches_tracked"):
            continue
        key = excerpt(f"{group.name}.{kind}" if group.name else kind)
        raise ValueError(
            f"'{key}' {array.shape} is not understood, expected weight (out_features, "
            "in_features) and bias of Linear layers and the arrays of BatchNorm1d: leave it out "
            "if the network does not use it, or import the module instead of its state_dict"
        )
    if not wanted <= set(group.arrays):
        lacking = min(wanted - set(group.arrays))
        raise ValueError(f"{group.where} has no {lacking}, expected {' and '.join(sorted(wanted))}")


# ---- in which order they stand


def _parts(name: str) -> list[str | int]:
    """Return a name cut into text and numbers.

    Examples
    --------
    >>> _parts("net.10")
    ['net.', 10]
    """
    parts = re.findall(r"[0-9]{1,9}|[^0-9]+", name)
    return [int(part) if part[0] in "0123456789" else part for part in parts]


def _by_number(a: str, b: str) -> int | None:
    """Return -1 or 1 where a number is the first thing that tells two names apart, else None."""
    for one, other in zip(_parts(a), _parts(b), strict=False):
        if one != other:
            if isinstance(one, int) and isinstance(other, int):
                return -1 if one < other else 1
            return None
    return None


def ordered(groups: list[_Group], in_order: bool) -> tuple[list[_Group], bool]:
    """Return the layers in order, and whether the numbers in their names told it."""

    def key(group: _Group) -> list[tuple[bool, str | int]]:
        return [(isinstance(part, str), part) for part in _parts(group.name)]

    by_numbers = sorted(groups, key=key)
    if all(_by_number(a.name, b.name) for a, b in pairwise(by_numbers)):
        return by_numbers, True
    if not in_order:
        return _chained(groups), False
    # Not only neighbours: "fc1", "out", "fc10", "fc2" is sorted by name, as a file may be.
    last: dict[str, _Group] = {}
    for group in groups:
        before = last.get(_template(group.name))
        if before is not None and _by_number(before.name, group.name) == 1:
            raise ValueError(
                f"{before.where} stands before {group.where}, expected the keys in the order of "
                "the layers"
            )
        last[_template(group.name)] = group
    return groups, False


def _warn_of_order(groups: list[_Group]) -> None:
    """Warn where the sizes of layers allow another order than that of their keys."""
    try:
        _chained(groups)
    except ValueError:
        names = excerpt(", ".join(group.name for group in groups))
        warnings.warn(
            f"the layers are taken in the order of their keys, {names}, which neither numbers in "
            "their names nor their sizes confirm: if the module calls them in another order, "
            "import the module itself",
            stacklevel=2,
        )


def _template(name: str) -> str:
    return re.sub("[0-9]+", "0", name)


def _chained(groups: list[_Group]) -> list[_Group]:
    """Return Linear layers in the only order in which their sizes fit together."""
    left = list(groups)
    chain: list[_Group] = []
    odd = next((group for group in left if not group.is_linear), None)
    odd = left[0] if len(left) > _MAX_CHAINED else odd
    while left and odd is None:
        given = chain[-1].sizes[1] if chain else None
        wanted = {group.sizes[0] for group in left}
        made = {group.sizes[1] for group in left}
        # The first one takes what nobody gives; none gives what nobody takes, but the last.
        inputs = {given} if chain else (wanted - made or wanted)
        fitting = [
            group
            for group in left
            if group.sizes[0] in inputs and (len(left) == 1 or group.sizes[1] in wanted)
        ]
        first = min(fitting, key=lambda group: _numbers(group.name), default=None)
        rivals = [g for g in fitting if g is not first]
        if first is None or any(_by_number(first.name, g.name) != -1 for g in rivals):
            odd = first or left[0]
            break
        chain.append(first)
        left.remove(first)
    if odd is not None:
        raise ValueError(
            f"the file is sorted by name, which does not tell where {odd.where} stands, expected "
            "numbers in the names of the layers: load it with PyTorch into the module, and import "
            "that"
        )
    return chain


def _numbers(name: str) -> list[int]:
    return [part for part in _parts(name) if isinstance(part, int)]


# ---- where the activations stand


def sequence_of(
    groups: list[_Group], activations: Sequence[Any] | None, numbered: bool
) -> list[Any]:
    """Return groups and activations in the order in which they are computed."""
    linear = [group for group in groups if group.is_linear]
    if activations is None:
        raise ActivationsMissing(
            "a state_dict does not name its activations: pass one for each of its "
            f'{len(linear)} Linear layers, such as activations=["relu", ..., "softmax"]'
        )
    names = _names(activations)
    explicit = BATCH_NORM in names
    _check_counts(names, len(linear), len(groups) - len(linear) if explicit else 0)
    norm = next((group for group in groups if not group.is_linear), None)
    if norm is not None and not numbered and not explicit:
        raise ValueError(_unclear(norm))
    starts = [i for i, group in enumerate(groups) if group.is_linear]
    front = groups[: starts[0]]
    if explicit and names[: len(front)] != [BATCH_NORM] * len(front):
        raise ValueError(
            f'activations begins with {names[0]!r}, expected "{BATCH_NORM}": {front[0].where} '
            "stands before the first Linear layer"
        )
    left = iter(names[len(front) :] if explicit else names)
    result: list[Any] = list(front)
    for start, end in pairwise([*starts, len(groups)]):
        run = groups[start:end]  # a Linear and the BatchNorm1d modules after it
        following = groups[end] if end < len(groups) else None
        result.append(run[0])
        if explicit:
            result += _as_told(run, list(islice(left, len(run))))
        else:
            result += _as_named(run, following, next(left))
    return result


def _check_counts(names: list[str], linear: int, norms: int) -> None:
    told = names.count(BATCH_NORM)
    if len(names) - told != linear:
        raise ValueError(
            f"activations has length {len(names) - told}, expected {linear}, one for each Linear "
            "layer"
        )
    if told != norms:
        raise ValueError(
            f'activations has "{BATCH_NORM}" {counted(told, "time")}, expected {norms}, one for '
            "each BatchNorm1d"
        )


def _names(activations: Sequence[Any]) -> list[str]:
    if isinstance(activations, str) or not isinstance(activations, Sequence):
        raise TypeError(
            f"activations is of type {type(activations).__name__}, expected a list, one for each "
            "Linear layer"
        )
    names = [f.name if isinstance(f, registry.Activation) else f for f in activations]
    for name in names:
        if name != BATCH_NORM:
            registry.get(name)
    return names


def _as_told(run: list[_Group], names: list[str]) -> list[Any]:
    """Put one activation and the BatchNorm1d modules behind a Linear in the order of `names`."""
    if names.count(BATCH_NORM) != len(run) - 1:
        raise ValueError(
            f"activations has {names} for {run[0].where}, expected "
            f'"{BATCH_NORM}" {counted(len(run) - 1, "time")} and one activation'
        )
    norms = iter(run[1:])
    return [next(norms) if name == BATCH_NORM else (name, run[0].where) for name in names]


def _as_named(run: list[_Group], following: _Group | None, name: str) -> list[Any]:
    """Put one activation between a Linear and its BatchNorm1d modules, where the names have room.

    In a Sequential the modules are numbered: "0" and "1" leave no room between them.
    """
    places = [*run[1:], following]
    gaps = [
        i
        for i, (before, after) in enumerate(zip(run, places, strict=True))
        if after is None or not _adjacent(before.name, after.name)
    ]
    if len(run) > 1 and name != "identity" and len(gaps) != 1:
        raise ValueError(_unclear(run[1]))
    place = gaps[0] if len(gaps) == 1 else 0
    return [*run[1 : place + 1], (name, run[0].where), *run[place + 1 :]]


def _unclear(norm: _Group) -> str:
    return (
        f"{norm.where} is a batch normalisation, and a state_dict does not tell whether it stands "
        f'before or after an activation: say so by "{BATCH_NORM}" in activations, such as '
        f'["{BATCH_NORM}", "relu", ...], or import the module'
    )


def _adjacent(a: str, b: str) -> bool:
    parent, _, number = a.rpartition(".")
    other_parent, _, other = b.rpartition(".")
    digits = number.isdigit() and other.isdigit() and len(other) < 10
    return parent == other_parent and digits and int(other) == int(number) + 1
