"""What a file of any format holds: all that makes a network."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Contents(NamedTuple):
    """The layers with their weights, the network's dtype, and the names of its classes if any.

    `notes` say what is not in the layers as it was in the file, such as
    ``"layer 'bn1' is folded into layer 'fc1'"``.
    """

    layers: list[Any]
    dtype: np.dtype[Any]
    classes: Any = None
    notes: tuple[str, ...] = ()
