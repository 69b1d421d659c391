"""The names of the classes that a network tells apart: checked, and as a file holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nncore._validation import excerpt

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KINDS = "Uifb"  # text, whole numbers, floating-point numbers, bool: what JSON can hold


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
    if isinstance(classes, (str, bytes)):
        raise TypeError(f"classes is a {type(classes).__name__}, expected one name for each class")
    names = np.array(classes)
    if names.dtype.kind == "O" and all(type(name) is str for name in names.ravel()):
        names = names.astype(str)  # as pandas and scikit-learn keep text
    if names.dtype.kind == "u":
        names = names.astype(np.int64)
    if names.ndim != 1 or names.dtype.kind not in _KINDS:
        raise TypeError(
            f"classes has shape {names.shape} and dtype {names.dtype}, expected one name for each "
            "class, all of them text or all of them numbers"
        )
    count = 2 if is_binary and out_features == 1 else out_features
    if len(names) != count:
        raise ValueError(f"classes has {len(names)} names, expected {count}")
    if len(np.unique(names)) != len(names):
        raise ValueError("classes names a class twice, expected different names")
    if names.dtype.kind == "f" and not np.isfinite(names).all():
        raise ValueError("classes has a number that is not finite")
    names.flags.writeable = False
    return names


def from_description(described: Any) -> Any:
    """Return the names that a file's header has; `check` checks them once more with the layers."""
    one_type = isinstance(described, list) and {type(name) for name in described}
    if one_type not in ({str}, {int}, {float}, {bool}):
        raise ValueError(
            f"the header's classes are {excerpt(repr(described)[:200])}, expected a list of text "
            "or of numbers"
        )
    if one_type == {int} and any(abs(name) >= 1 << 63 for name in described):
        raise ValueError("the header's classes have a number of more than 64 bits")
    return described
