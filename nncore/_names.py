"""Attributes that an object does not have: assigning to one is a slip, and refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


class KnownAttributes:
    """The base class of those whose objects take no attributes but their own.

    ``layer.weight = w`` would be accepted otherwise, and change nothing. A class of a user, derived
    from one of nncore's, has any attributes it likes; so have names that begin with an underscore.

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
            if name.startswith("_") or not cls.__module__.startswith("nncore."):
                known = True
            else:
                known = hasattr(cls, name) or name in self.__dict__ or name in cls.__annotations__
            if not known:
                raise AttributeError(f"{cls.__name__} has no attribute {name!r}{_hint(self, name)}")
            super().__setattr__(name, value)


def _hint(self: object, name: str) -> str:
    from difflib import get_close_matches

    known = sorted(key for key in dir(self) if not key.startswith("_"))
    close = get_close_matches(name, known, 1)
    return f", did you mean {close[0]!r}?" if close else ""
