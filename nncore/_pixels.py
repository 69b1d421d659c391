"""Pixels that are scaled twice: by their user, and by the network's own Rescaling.

A network that begins with ``Rescaling(1 / 255)`` takes pixels of 0 to 255. Given pixels of 0 to 1
it sees an almost black image, and answers wrongly without a word: hence the warning here.
"""

from __future__ import annotations

import math
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore.layers import Layer, Rescaling

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOOKS = 100  # calls whose samples say nothing either way, such as black images, before it gives up
_ROWS = 256  # samples of a call that are looked at, spread over all of them
_LEAST_LARGEST = 0.5  # the brightest pixel of an image that is scaled is near 1
_LEAST_IMAGE = 64  # pixels; fewer inputs that are scaled bytes are not taken for an image
_LEAST_FRACTIONS = 8  # numbers that are not whole; the grey pixels of a digit are some dozens


class ScalingWarning(UserWarning):
    """Pixels of 0 to 1 are given to a network that takes pixels of 0 to 255."""


def takes_bytes(layers: tuple[Layer, ...] | list[Layer]) -> bool:
    """Return whether layers begin with a Rescaling of pixels from 0 to 255: to 0..1 or to -1..1.

    Examples
    --------
    >>> takes_bytes([Rescaling(1 / 255)]), takes_bytes([Rescaling(1 / 127.5, -1)])
    (True, True)
    >>> takes_bytes([Rescaling(0.5)])
    False
    """
    first = layers[0]
    return isinstance(first, Rescaling) and any(
        abs(first.scale * largest - 1) < 1e-3 for largest in (255, 256, 127.5, 128)
    )


def image_size(layers: tuple[Layer, ...] | list[Layer], features: int) -> tuple[int, int] | None:
    """Return height and width of the image whose pixels the inputs are, None if they are not.

    Only square images are recognised: those of 28 x 28 pixels, and others that begin with a
    Rescaling of bytes.

    Examples
    --------
    >>> image_size([Rescaling(1 / 255)], 64), image_size([Rescaling(2.0)], 64)
    ((8, 8), None)
    """
    side = math.isqrt(features)
    known = side == 28 or (features >= _LEAST_IMAGE and takes_bytes(layers))
    return (side, side) if known and side * side == features else None


def looks_scaled(x: NDArray[Any]) -> bool | None:
    """Return whether floating-point samples are pixels of 0 to 1; None if they do not show it.

    Pixels of 0 to 255 are whole numbers, and where some are not (an image that was made smaller),
    others are above 1. So many fractions and no number above 1 are a sure sign. An image of zeros
    and ones, or an almost black one, may be either. Of many samples some hundreds tell.

    Examples
    --------
    >>> looks_scaled(np.arange(256) / 255), looks_scaled(np.arange(256.0)), looks_scaled(np.eye(9))
    (True, False, None)
    """
    rows = x if x.ndim < 2 else x[:: -(-len(x) // _ROWS) or 1]
    if rows.size == 0:
        return None
    with np.errstate(all="ignore"):
        if _beyond_one(rows):
            return False
        fractions = np.count_nonzero(np.abs(rows - np.rint(rows)) > 0)
        if np.fmax.reduce(rows, axis=None) < _LEAST_LARGEST or fractions < _LEAST_FRACTIONS:
            return None
        return not _beyond_one(x)  # all of it, once a network, as no false alarm may be given


def _beyond_one(x: NDArray[Any]) -> bool:
    return bool(np.fmin.reduce(x, axis=None) < -1 or np.fmax.reduce(x, axis=None) > 1)


class Watch:
    """Looks at the floating-point samples of one network until they show how they are scaled.

    So a network object warns once. A copy of it is another object, also one that came by a pickle:
    whoever gives that one samples may be somebody else, who has seen no warning.
    """

    def __init__(self) -> None:
        self._left = _LOOKS

    def look(self, x: NDArray[Any]) -> bool:
        """Look at samples, (k,) or (n, k), and warn; return True if there is no more to see."""
        if self._left <= 0:
            return True
        scaled = looks_scaled(x)
        self._left = self._left - 1 if scaled is None else 0
        if scaled:
            warnings.warn(
                "x has fractions and no number above 1, as pixels that were divided by 255, but "
                "this network's Rescaling divides them again: give it pixels of 0 to 255, with "
                "nncore.datasets.load_mnist by normalize=False",
                ScalingWarning,
                stacklevel=_stack_level(),
            )
        return self._left <= 0


def _stack_level() -> int:
    """Return the stacklevel with which `look` warns about the user's line, not one of nncore."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("nncore."):
        level, frame = level + 1, frame.f_back
    return level
