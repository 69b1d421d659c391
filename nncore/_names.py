"""Attributes that an object does not have: assigning to one is a slip, and refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


class KnownAttributes:
    """The base class of those that can refuse attributes which their objects do not have.

    ``layer.weight = w`` would be accepted otherwise, and change nothing. A class says in its own
    body ``_is_closed = True``. What is derived from it, a class of a user, is open again and has
    any attributes it likes; so have names that begin with an underscore.

    Examples
    --------
    >>> import nncore
    >>> nncore.Dense(2, 2).weight = [[1, 2], [3, 4]]
    Traceback (most recent call last):
        ...
    AttributeError: Dense has no attribute 'weight', did you mean 'weights'?
    """

    if not TYPE_CHECKING:  # a type checker would take every attribute then

        def __setattr__(self, name: str, value: Any) -> None:
            cls = type(self)
            if "_is_closed" in cls.__dict__ and not (
                name.startswith("_") or hasattr(cls, name) or name in cls.__annotations__
            ):
                raise AttributeError(f"{cls.__name__} has no attribute {name!r}{_hint(self, name)}")
            super().__setattr__(name, value)


def _hint(self: object, name: str) -> str:
    from difflib import get_close_matches

    known = sorted(key for key in dir(self) if not key.startswith("_"))
    close = get_close_matches(name, known, 1)
    return f", did you mean {close[0]!r}?" if close else ""
