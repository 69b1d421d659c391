"""Data of one's own for `nncore train`: classes to tell apart, or values to estimate.

Labels that are text, whole numbers or true and false are classes; other numbers are values.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore.cli._common import CommandError, count_of, dense_layers
from nncore.cli._tables import check_file, is_table, pick, read_csv, read_npz

if TYPE_CHECKING:
    from nncore import Network

VALUE_LOSSES = ("mse", "mae", "huber")
LOSSES = ("cross_entropy", *VALUE_LOSSES)
_TEST_SHARE = 5  # one sample of so many is put aside where the file has no test data
_SPLIT_STREAM = 2**33  # of random numbers: not one that a fit uses
_LEAST_SPLIT = 10  # samples; fewer are all learned from


class OwnData(NamedTuple):
    """Samples (n, k) and targets (n,) for training and test, and what they mean."""

    x: np.ndarray
    t: np.ndarray  # classes as int64 from 0; values less their mean, divided by their deviation
    x_test: np.ndarray
    t_test: np.ndarray
    file: str
    notes: list[str]
    classes: np.ndarray | None  # None: values
    unit: tuple[float, float]  # mean and deviation of the values
    shape: tuple[int, ...]  # of a sample

    @property
    def task(self) -> str:
        """What is learned."""
        return "values" if self.classes is None else "classes"

    @property
    def outputs(self) -> int:
        """How many outputs the network needs."""
        return 1 if self.classes is None else len(self.classes)

    @property
    def why(self) -> str:
        """Where they come from, as messages say it."""
        return f"found in {self.file} (--data)"

    def digest(self) -> str:
        """Return the sha256 of what is learned from: a checkpoint needs the same data again."""
        import hashlib

        digest = hashlib.sha256(f"{self.x.dtype} {self.x.shape}".encode())
        digest.update(np.ascontiguousarray(self.x).data)
        digest.update(np.ascontiguousarray(self.t).data)
        return digest.hexdigest()

    def facts(self) -> dict[str, Any]:
        """Return what `--json` says about the data."""
        return {
            "source": "file", "is_mnist": False, "folder": None, "file": self.file,
            "why": self.why, "get_real_ones": [], "samples": len(self.x),
            "test_samples": len(self.x_test), "features": self.x.shape[1], "task": self.task,
            "classes": None if self.classes is None else self.classes.tolist(),
            "notes": self.notes,
        }  # fmt: skip

    def first_layers(self, normalize: bool) -> list[Any]:
        """Return what stands in front of the network: bytes are scaled, all else standardised."""
        import nncore

        if not normalize:
            return []
        if self.x.dtype == np.uint8:
            return [nncore.Rescaling(1 / 255)]
        return [nncore.Normalization(*_mean_and_deviation(self.x))]

    def finished(self, net: Network) -> Network:
        """Return the network that is saved: one of values gives them in their own unit."""
        import nncore

        if self.classes is not None:
            return net
        mean, deviation = self.unit
        last = dense_layers(net)[-1]
        assert last.weights is not None
        assert last.bias is not None
        layer = nncore.Dense(last.weights.shape[0], 1)
        layer.set_weights(
            last.weights.astype(np.float64) * deviation,
            last.bias.astype(np.float64) * deviation + mean,
        )
        return nncore.Network([*net.layers[:-1], layer])


def is_own(path: str | None) -> bool:
    """Return whether --data names a file of one's own, not a folder with MNIST's."""
    return path is not None and (
        os.path.isfile(path) or is_table(path) or path.lower().endswith(".npz")
    )


def load_own(
    path: str, label: str | None, loss: str | None, limit: int | None, seed: int
) -> OwnData:
    """Read a file as samples and targets.

    Parameters
    ----------
    path : str
        A table as text whose last column, or the one that `label` names, has the labels; or an
        .npz file with the arrays x and t (or y), or x_train, t_train, x_test, t_test.
    label : str or None
        The column of the labels, of a table.
    loss : str or None
        cross_entropy says that the labels are classes, another one that they are values.
    limit : int or None
        Only so many of the first samples.
    seed : int
        Of the samples that are put aside for the test, where the file has none.
    """
    check_file(path)
    notes: list[str] = []
    if is_table(path):
        table = read_csv(path, -1 if label is None else label)
        assert table.labels is not None
        x, t = table.x, _labels_of(table.labels, f"{path}: {table.label}")
        test = None
        notes.append(f"{_quoted(table.label)} is learned from the {len(table.names)} others")
    else:
        if label is not None:
            raise CommandError("--label is for tables as text; an .npz file has t, or y")
        x, t, test = _from_npz(path, notes)
    x, t = x[:limit], t[:limit]
    shape = x.shape[1:]
    is_class = _is_class(t, loss, path)
    if test is None:
        x, t, *test = put_aside(x, t, seed, notes, is_class)
    for name, samples in (("training", x), ("test", test[0])):
        check_finite(samples, f"{path}: {name} sample")
    for name, values in (("training", t), ("test", test[1])):
        check_finite(values[:, None], f"{path}: the label of {name} sample")
    if is_class:
        classes, t = np.unique(t, return_inverse=True)
        if len(classes) < 2:
            raise CommandError(f"{path}: all labels are {classes[0]}, expected two classes or more")
        places = np.minimum(np.searchsorted(classes, test[1]), len(classes) - 1)
        unknown = test[1][classes[places] != test[1]]
        if len(unknown):
            raise CommandError(
                f"{path}: the test data have the label {unknown[0]}, which the training data lack"
            )
        return OwnData(
            _rows(x), t.astype(np.int64), _rows(test[0]), places, path, notes, classes, (0.0, 1.0),
            shape,
        )  # fmt: skip
    if t.dtype.kind not in "iuf":
        raise CommandError(f"{path}: the labels are {t.dtype}, expected numbers for --loss {loss}")
    (mean,), (deviation,) = _mean_and_deviation(t[:, None])
    scaled = ((t.astype(np.float64) - mean) / deviation).astype(np.float32)
    return OwnData(
        _rows(x), scaled, _rows(test[0]), test[1].astype(np.float64), path, notes, None,
        (float(mean), float(deviation)), shape,
    )  # fmt: skip


def _quoted(name: str | None) -> str:
    return f"'{name}'" if name and not name.startswith("column ") else f"the {name}"


def _labels_of(texts: list[str], where: str) -> np.ndarray:
    """Return a column's labels as whole numbers, as other numbers, or as text."""
    for number, text in enumerate(texts, start=1):
        if not text:
            raise CommandError(f"{where}, row {number}: has no label")
    if all(re.fullmatch(r"[+-]?[0-9]{1,18}", text) for text in texts):
        return np.array([int(text) for text in texts])
    try:
        return np.array([float(text) for text in texts])
    except ValueError:
        return np.array(texts)


def _from_npz(path: str, notes: list[str]) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return x, t and the pair of the test, None if there is none."""
    arrays = read_npz(path)
    try:
        keys = [
            pick(arrays, names)
            for names in (
                ("x", "x_train"), ("t", "y", "t_train", "y_train"), ("x_test",),
                ("t_test", "y_test"),
            )
        ]  # fmt: skip
    except CommandError as error:
        raise CommandError(f"{path}: {error}") from None
    if keys[0] is None or keys[1] is None or (keys[2] is None) != (keys[3] is None):
        names = ", ".join(arrays) or "none"
        raise CommandError(
            f"{path}: has the arrays {names[:200]}, expected x and t (or y), or x_train, t_train, "
            "x_test and t_test"
        )
    unused = [name for name in arrays if name not in keys]
    if unused:
        notes.append(f"not used: {', '.join(unused)}")
    pairs = []
    for x_key, t_key in (keys[:2], keys[2:]):
        if x_key is None or t_key is None:
            continue
        x, t = arrays[x_key], arrays[t_key]
        if x.dtype.kind not in "biuf" or x.ndim < 2 or 0 in x.shape:
            raise CommandError(
                f"{path}: {x_key} is {x.dtype} of shape {x.shape}, expected numbers, (n, features)"
            )
        if t.ndim == 2 and t.shape[1] == 1:
            t = t[:, 0]
        if t.dtype.kind not in "biufUS" or t.shape != x.shape[:1]:
            raise CommandError(
                f"{path}: {t_key} is {t.dtype} of shape {t.shape}, expected one label for each of "
                f"the {len(x)} samples"
            )
        pairs.append((x, t.astype(str) if t.dtype.kind == "S" else t))
    if len(pairs) == 1:
        return *pairs[0], None
    if pairs[0][0].shape[1:] != pairs[1][0].shape[1:]:
        raise CommandError(
            f"{path}: samples have shape {pairs[0][0].shape[1:]} for training and "
            f"{pairs[1][0].shape[1:]} for the test, expected the same"
        )
    return *pairs[0], pairs[1]


def put_aside(
    x: np.ndarray, t: np.ndarray, seed: int, notes: list[str], is_class: bool
) -> list[Any]:
    """Put samples aside for the test, drawn at random; of each class, one at least is learned."""
    from nncore._random import Random

    n = len(x)
    is_aside = np.zeros(n, bool)
    if n >= _LEAST_SPLIT:
        is_aside[Random([seed, _SPLIT_STREAM]).permutation(n)[: n // _TEST_SHARE]] = True
    if is_class:
        lost = np.flatnonzero(is_aside & ~np.isin(t, t[~is_aside]))
        is_aside[lost[np.unique(t[lost], return_index=True)[1]]] = False
    aside = int(is_aside.sum())
    if aside == 0:
        notes.append("too few to put any aside: the test is on what was learned")
        return [x, t, x, t]
    notes.append(f"{count_of(aside, 'sample')} drawn at random (--seed) and put aside for the test")
    return [x[~is_aside], t[~is_aside], x[is_aside], t[is_aside]]


def _is_class(t: np.ndarray, loss: str | None, path: str) -> bool:
    """Return whether labels are classes; refuse whole numbers that may be either."""
    if loss is not None:
        return loss == "cross_entropy"
    if t.dtype.kind == "f":
        return False
    different = len(np.unique(t))
    if t.dtype.kind in "iu" and different > max(20, len(t) // 10):
        raise CommandError(
            f"{path}: the labels are {different} different whole numbers in {len(t)} samples: say "
            "--loss mse if they are values, --loss cross_entropy if they are classes"
        )
    return True


def check_finite(x: np.ndarray, what: str) -> None:
    """Refuse samples (n, ...) with NaN or infinity; `what` names a sample, before its number."""
    if x.dtype.kind != "f":
        return
    for first in range(0, len(x), 4096):
        part = x[first : first + 4096].reshape(-1, int(np.prod(x.shape[1:])))
        bad = np.argwhere(~np.isfinite(part))
        if len(bad):
            row, column = bad[0].tolist()
            number = f", number {column + 1}" if part.shape[1] > 1 else ""
            raise CommandError(
                f"{what} {first + row + 1}{number} is {part[row, column]}, expected a finite number"
            )


def _rows(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.reshape(len(x), -1))


def _mean_and_deviation(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both for each column of (n, k), in double; 1 for a column that is all the same.

    Added row by row, in order: so the same data give the same bits on every machine.
    """

    def sums(part: Any) -> np.ndarray:
        total = np.zeros((1, x.shape[1]))
        for first in range(0, len(x), 4096):
            rows = part(x[first : first + 4096].astype(np.float64))
            total = np.cumsum(np.concatenate([total, rows]), axis=0)[-1:]
        means: np.ndarray = total[0] / len(x)
        return means

    mean = sums(lambda rows: rows)
    deviation = np.sqrt(sums(lambda rows: (rows - mean) ** 2))
    deviation[deviation <= 1e-12 * np.abs(mean)] = 1.0
    return mean, np.where(deviation > 0, deviation, 1.0)
