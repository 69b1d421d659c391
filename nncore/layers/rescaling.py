"""Rescaling: one factor, and one offset, for all inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from nncore import _validation
from nncore.layers._layer import Layer, check_keys, check_number

if TYPE_CHECKING:
    from nncore._plan import Program


class Rescaling(Layer):
    """x * scale + offset for every input, while it is read: only as the first layer.

    ``Rescaling(1 / 255)`` takes pixels of 0 to 255, ``Rescaling(1 / 127.5, offset=-1)`` turns them
    into -1 to 1. Each input is converted to the network's dtype, as it would be without the layer;
    the rest is computed in double precision, as one multiply-add, and rounded once. So
    ``Rescaling(1 / 255)`` of bytes gives ``x / np.float32(255)`` exactly.

    Parameters
    ----------
    scale : float
        Finite.
    offset : float, optional
        Finite; added after the multiplication.

    Examples
    --------
    >>> import nncore
    >>> nncore.Rescaling(1 / 255)
    Rescaling(0.00392156862745098)
    >>> nncore.Rescaling(0.5, offset=-1)
    Rescaling(0.5, offset=-1.0)
    """

    _is_closed = True
    first_only: ClassVar[bool] = True
    _offset = 0.0  # of pickles that were written before there was one

    def __init__(self, scale: float, offset: float = 0.0) -> None:
        self._scale = _validation.number(scale, "scale")
        self._offset = _validation.number(offset, "offset") + 0.0  # -0.0 is no offset either

    @property
    def scale(self) -> float:
        """The factor."""
        return self._scale

    @property
    def offset(self) -> float:
        """What is added after the multiplication."""
        return self._offset

    def compile(self, program: Program) -> None:
        program.rescale(self._scale, self._offset)

    @property
    def format_version(self) -> int:
        return 2 if self._offset else 1

    def describe(self, where: str) -> dict[str, Any]:
        described = {"scale": self._scale}
        return described | {"offset": self._offset} if self._offset else described

    @classmethod
    def from_description(cls, described: Mapping[str, Any], where: str) -> Rescaling:
        check_keys(described, {"scale", "offset"} if "offset" in described else {"scale"}, where)
        offset = check_number(described, "offset", where) if "offset" in described else 0.0
        return cls(check_number(described, "scale", where), offset)

    def __repr__(self) -> str:
        offset = f", offset={self._offset!r}" if self._offset else ""
        return f"Rescaling({self._scale!r}{offset})"
