"""Samples, dense or sparse, some rows at a time.

A network reads sparse matrices itself, but the Trainer does not: while learning, some rows at a
time are made dense here, never all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import issparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHUNK_BYTES = 1 << 22  # of dense rows at a time: they stay in the cache
_READABLE = "efdbhilqBHILQ?"  # the dtypes that nncore reads in place


def as_samples(x: Any) -> Any:
    """Return validated samples as they are read: a C-contiguous array, or CSR."""
    if issparse(x):
        x = x.tocsr()
        try:
            x.check_format(full_check=True)  # scipy reads out of bounds where the indices are wrong
        except ValueError as error:
            raise ValueError(f"X is a sparse matrix that is damaged: {error}") from None
        return x
    return np.ascontiguousarray(x if x.dtype.char in _READABLE else x.astype(np.float64))


def dense_rows(x: Any, rows: Any) -> NDArray[Any]:
    """Return some rows of a sparse matrix (a slice, or their numbers) as a dense array."""
    dense: NDArray[Any] = x[rows].toarray()
    return dense


def chunk_of(x: Any) -> int:
    """Return how many rows are made dense at a time; all of them, if they are dense already."""
    if not issparse(x):
        return max(1, len(x))
    return max(1, _CHUNK_BYTES // max(1, int(x.shape[1]) * int(x.dtype.itemsize)))


def chunks(x: Any) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Go through all samples: the place of some rows, and these rows, dense."""
    size = chunk_of(x)
    for start in range(0, x.shape[0], size):
        place = slice(start, min(start + size, x.shape[0]))
        yield place, dense_rows(x, place) if issparse(x) else x
