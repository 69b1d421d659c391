"""The names of the classes that a network tells apart: checked, and as a file holds them."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore._validation import excerpt

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What JSON can hold, and the dtype of an array of it. bool is the first: it is an int, too.
_DTYPES: dict[type, Any] = {bool: bool, int: np.int64, float: np.float64, str: np.str_}
_EXPECTED = "expected one name for each class, all of them text or all of them numbers"
# NumPy gives each name the room of the longest one: without a limit, a file of a few megabytes with
# one long name could ask for terabytes.
_MOST_CHARACTERS = 1 << 24


def check(classes: Any, out_features: int, is_binary: bool) -> NDArray[Any]:
    """Return the names as a read-only array (number of classes,), copied.

    Parameters
    ----------
    classes : sequence of str, int, float or bool
        One for each output; two for a single output that is a sigmoid (`is_binary`): first the
        name of the label 0.

    Raises
    ------
    TypeError, ValueError
        There are too many or too few, two are the same, or they are of no such type.

    Examples
    --------
    >>> check(["cat", "dog"], 2, False)
    array(['cat', 'dog'], dtype='<U3')
    """
    if isinstance(classes, (str, bytes, Set, Mapping)):
        raise TypeError(f"classes is a {type(classes).__name__}, {_EXPECTED}, in order")
    if isinstance(classes, np.ndarray):
        if classes.ndim != 1:
            raise TypeError(f"classes has shape {classes.shape}, {_EXPECTED}")
        classes = classes.tolist()
    try:
        plain = [name.item() if isinstance(name, np.generic) else name for name in classes]
    except TypeError:
        raise TypeError(f"classes is of type {type(classes).__name__}, {_EXPECTED}") from None
    count = 2 if is_binary and out_features == 1 else out_features
    if len(plain) != count:
        raise ValueError(f"classes has {len(plain)} names, expected {count}")
    names = _array_of(plain)
    if names.dtype.kind == "f" and not np.isfinite(names).all():
        raise ValueError("classes has a number that is not finite, expected finite ones")
    if len(np.unique(names)) != len(names):
        raise ValueError("classes names a class twice, expected different names")
    names.flags.writeable = False
    return names


def from_description(described: Any) -> Any:
    """Return the names that a file's header has; `check` checks them once more with the layers."""
    one_type = isinstance(described, list) and {type(name) for name in described}
    if not one_type or len(one_type) > 1 or not one_type <= set(_DTYPES):
        raise ValueError(
            f"the header's classes are {excerpt(repr(described)[:200])}, expected a list of text "
            "or of numbers"
        )
    return described


def _array_of(names: list[Any]) -> NDArray[Any]:
    """Return the names as an array of the dtype that belongs to their one type."""
    kinds = {next((kind for kind in _DTYPES if isinstance(name, kind)), None) for name in names}
    if len(kinds) != 1 or None in kinds:
        types = ", ".join(sorted({type(name).__name__ for name in names}))
        raise TypeError(f"classes has names of the types {types}, {_EXPECTED}")
    kind = kinds.pop()
    longest = max(len(name) for name in names) if kind is str else 1
    if longest * len(names) > _MOST_CHARACTERS:
        raise ValueError(
            f"classes has {len(names)} names of up to {longest} characters, expected at most "
            f"{_MOST_CHARACTERS} characters where all are as long as the longest"
        )
    try:
        array = np.array(names, _DTYPES[kind])  # type: ignore[index]
    except OverflowError:
        raise ValueError("classes has a number of more than 64 bits") from None
    if kind is str and array.tolist() != names:
        raise ValueError("classes has a name that ends with a null character, expected text")
    return array
