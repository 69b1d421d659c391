"""Read tables of numbers: .csv files and the arrays of .npz and .npy files.

What is wrong with a file is said with its name, and with the row and the column where there is one.
"""

from __future__ import annotations

import csv
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore._validation import excerpt
from nncore.cli._common import CommandError
from nncore.formats._files import named_errors, open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SUFFIXES = (".csv", ".tsv", ".txt")
DAMAGED = "is damaged or holds Python objects, expected numbers as NumPy saves them"
_MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}


class Table(NamedTuple):
    """Numbers (n, k), and one column more if there is one with labels."""

    x: np.ndarray
    names: list[str]  # of the columns of x
    label: str | None  # the name of the column of labels
    labels: list[str] | None  # as they stand in the file


def is_table(path: str) -> bool:
    """Return whether a file's name says that it holds a table as text."""
    return path.lower().endswith(SUFFIXES)


def read_csv(path: str, label: str | int | None, features: int | None = None) -> Table:
    """Read a table with commas, semicolons or tabs, with a line of headings or without.

    Parameters
    ----------
    path : str
    label : str, int or None
        The column of the labels: its heading, or its number counted from 1; -1 is the last one,
        None says that there is none.
    features : int, optional
        How many columns of numbers are wanted: a last column more is that of the labels.

    Raises
    ------
    ValueError, OSError
        The text begins with the file's name.
    """
    with open_regular(path), named_errors(path):
        with open(path, encoding="utf-8-sig", newline="") as file:
            start = file.read(1 << 16)
        mark = max(",;\t", key=start.partition("\n")[0].count)
        with open(path, encoding="utf-8-sig", newline="") as file:
            try:
                lines = [row for row in csv.reader(file, delimiter=mark) if row]
            except csv.Error as error:
                raise ValueError(f"is no table of text ({error})") from error
        if not lines:
            raise ValueError("has no rows")
        head = _has_headings(lines)
        names = [name.strip() for name in lines[0]] if head else []
        rows = lines[1:] if head else lines
        if not rows:
            raise ValueError("has headings and no rows")
        width = len(lines[0])
        for number, row in enumerate(rows, start=1):
            if len(row) != width:
                raise ValueError(f"row {number} has {len(row)} fields, expected {width}")
        names = names or [f"column {i + 1}" for i in range(width)]
        if label is None and features is not None and width == features + 1:
            label = -1
        where = None if label is None else _column(label, names, head)
        columns = [i for i in range(width) if i != where]
        if not columns:
            raise ValueError("has one column, expected numbers and a label")
        if where is not None and head and not names[columns[0]]:
            raise ValueError(
                "the first column has no name, as that of an index that pandas writes: leave it "
                "out (index=False), or it would be learned from"
            )
        labels = None if where is None else [row[where].strip() for row in rows]
        x = np.empty((len(rows), len(columns)))
        for j, i in enumerate(columns):
            x[:, j] = _numbers([row[i] for row in rows], names[i])
        return Table(x, [names[i] for i in columns], None if where is None else names[where],
                     labels)  # fmt: skip


def _has_headings(lines: Sequence[Sequence[str]]) -> bool:
    """Return whether the first line holds names: text where the next line has numbers."""
    if len(lines) == 1:
        return not any(map(_is_number, lines[0]))
    return any(
        not _is_number(first) and _is_number(second)
        for first, second in zip(lines[0], lines[1], strict=False)
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return bool(text.strip()) and "_" not in text


def _column(label: str | int, names: list[str], head: bool) -> int:
    if isinstance(label, str):
        if names.count(label) == 1 and head:
            return names.index(label)
        number = int(label) if re.fullmatch(r"-?[0-9]{1,9}", label) else 0
    else:
        number = label
    if 1 <= number <= len(names):
        return number - 1
    if -len(names) <= number <= -1:
        return number + len(names)
    known = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    raise ValueError(f"has no single column {label!r} (--label), expected one of {known}")


def _numbers(texts: list[str], name: str) -> np.ndarray:
    """Return a column's numbers."""
    for number, text in enumerate(texts, start=1):
        if not _is_number(text) or text.strip().lower() in _MISSING:
            what = "no value" if text.strip().lower() in _MISSING else f"the text {text[:40]!r}"
            raise ValueError(f"{name}, row {number}: has {what}, expected a number")
    return np.array(texts, dtype=np.float64)


def read_npz(path: str) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file, none of which is an object's."""
    with open_regular(path) as (file, _), named_errors(path):
        with _as_damaged("is damaged or of another kind, expected an .npz file of arrays"):
            archive: Any = np.load(file, allow_pickle=False)
        if not hasattr(archive, "files"):
            raise ValueError("holds one array, expected an .npz file of several")
        arrays = {}
        with archive:
            for name in archive.files:
                with _as_damaged(f"the array '{excerpt(name)}' {DAMAGED}"):
                    arrays[name] = np.asarray(archive[name])  # of a member that is no array: bytes
        return arrays


@contextmanager
def _as_damaged(text: str) -> Iterator[None]:
    """Say `text` of a file that NumPy refuses: what it raises, and says, differs by version."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(text) from error


def pick(arrays: dict[str, np.ndarray], names: Sequence[str]) -> str | None:
    """Return which of `names`, in capitals or not, is there; refuse two that mean the same."""
    found = [key for key in arrays if key.lower() in names]
    if len(found) > 1:
        raise CommandError(f"the arrays {' and '.join(found)} mean the same, expected one of them")
    return found[0] if found else None


def check_file(path: str) -> None:
    """Refuse a folder, a device or a pipe."""
    if os.path.isdir(path):
        raise CommandError(f"{path}: is a folder, expected a file")
    if os.path.exists(path) and not os.path.isfile(path):
        raise CommandError(f"{path}: is a device or a pipe, expected a file")
