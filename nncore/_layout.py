"""Where the numbers of a layer lie: plain, as people see them, or packed in panels of outputs.

The packed layout is that of ext/contract.h; training keeps gradients and the optimiser's state
in it too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LINE_BYTES = 64


def aligned_zeros(size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Zeros (size,) that begin on a cache line."""
    block = np.zeros(size + LINE_BYTES // dtype.itemsize, dtype)
    skip = -block.ctypes.data % LINE_BYTES // dtype.itemsize
    return block[skip : skip + size]


def packed_layout(values: NDArray[Any], panel: int) -> NDArray[Any]:
    """(1 + k, m), bias first -> flat, in panels."""
    lines, m = values.shape
    panels = -(-m // panel)
    wide = np.zeros((lines, panels * panel), values.dtype)
    wide[:, :m] = values
    return wide.reshape(lines, panels, panel).transpose(1, 0, 2).reshape(-1)


def plain_layout(flat: NDArray[Any], k: int, m: int, panel: int) -> NDArray[Any]:
    """Flat, in panels -> (1 + k, m), bias first; a copy."""
    lines = flat.reshape(-1, 1 + k, panel).transpose(1, 0, 2).reshape(1 + k, -1)
    return np.ascontiguousarray(lines[:, :m])
