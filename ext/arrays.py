"""What users pass in: which arrays are taken, and the words in which others are refused.

Every refusal says what was expected and what came. Nothing here copies or converts an element that
the kernels can read: source.tpl.h does that while it packs. This is for the compiled modules, which
ask it where a call leaves their fast path; compiled itself, it would take ten times the space.
"""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

REAL_KINDS = "biuf"
# NumPy's own numbers of the types that the kernels read, as type_code in source.pxi has them: kind
# and itemsize may be those of a type that another package has registered, with its own meaning.
_READ = frozenset(np.dtype(letter).num for letter in "?bBhHiIlLqQefd")

_PLAIN = (np.ndarray, list, tuple)  # types of what is neither masked nor sparse


def _is_read(dtype: np.dtype[Any]) -> bool:
    """Return whether the kernels read elements of this dtype; NumPy has to convert others."""
    return dtype.num in _READ and dtype.isnative


def array(x: Any, name: str) -> NDArray[Any]:
    """Return `x` as an array of real numbers, without a copy where it is one.

    Raises
    ------
    TypeError
        Masked arrays; dtypes that are not real numbers.
    ValueError
        Nested lists of unequal lengths.
    """
    if type(x) not in _PLAIN:
        _refuse_masked_or_sparse(x, name)
    try:
        plain = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} is no rectangular array of numbers: {error}") from None
    except RuntimeError:
        if not getattr(x, "requires_grad", False):
            raise
        raise TypeError(
            f"{name} is a tensor that requires grad, expected one without: {name}.detach()"
        ) from None
    kind = plain.dtype.kind
    if kind == "O" and hasattr(x, "columns"):
        plain = _of_frame(x, name)
        kind = plain.dtype.kind
    if kind not in REAL_KINDS:
        hint = " (a ragged or mixed list becomes one)" if kind == "O" else ""
        raise TypeError(
            f"{name} has dtype {plain.dtype}{hint}, expected real numbers: "
            "floating point, integer or bool"
        )
    return plain


def _refuse_masked_or_sparse(x: object, name: str) -> None:
    """Raise an error where x is one of these, which np.asarray would take for something else."""
    if _is_masked(x):
        raise TypeError(
            f"{name} is a masked array, expected a plain one: fill the masked elements first, "
            "for example with x.filled(0)"
        )
    if is_sparse(x):
        raise TypeError(
            f"{name} is a sparse matrix, expected a dense array, which {name}.toarray() is (a call "
            "of a network and its predict and logits take sparse matrices, too)"
        )


def _of_frame(x: Any, name: str) -> NDArray[Any]:
    """Return a data frame of numbers whose columns have different nullable dtypes as an array.

    A column that is none of these, or in which a number is missing, is refused by its name.
    """
    plain = []
    for column, dtype in zip(x.columns, x.dtypes, strict=True):
        dtype = getattr(dtype, "numpy_dtype", dtype)  # that of Int64 is int64
        if getattr(dtype, "kind", "O") not in REAL_KINDS:
            raise TypeError(
                f"the column {column!r} of {name} has dtype {dtype}, expected real numbers: drop "
                "it, encode it as numbers, or convert it (pandas.to_numeric)"
            )
        plain.append(dtype)
    gaps = np.any(np.asarray(x.isna()), axis=0).tolist()
    for column, missing in zip(x.columns, gaps, strict=True):
        if missing:
            raise ValueError(
                f"the column {column!r} of {name} has missing values, expected numbers: fill them "
                f"first, for example with {name}.fillna(0)"
            )
    return np.asarray(x.to_numpy(dtype=np.result_type(*plain)))


def _is_masked(x: object) -> bool:
    # Naming numpy.ma loads it, which takes longer than all of nncore: only a subclass is asked.
    return (
        isinstance(x, np.ndarray) and type(x) is not np.ndarray and isinstance(x, np.ma.MaskedArray)
    )


def samples(x: Any, features: int, as_double: bool) -> NDArray[Any]:
    """Return `x` as (features,) or (n, features), of a dtype the kernels read.

    Images (n, h, w) and (n, 1, h, w) with h * w = features are flattened. A dtype that the kernels
    do not read (byte-swapped, long double, registered by another package) is converted by NumPy,
    to float64 if as_double is true and to float32 otherwise; the kernels convert all others.

    Raises
    ------
    TypeError
        As `array`; and for a dtype that NumPy cannot convert to real numbers.
    ValueError
        As `array`; and for a shape that is none of the above.
    """
    plain = array(x, "x")
    shape = plain.shape
    images = shape[1:] if plain.ndim == 3 else shape[2:] if shape[1:2] == (1,) else ()
    if len(images) == 2 and images[0] * images[1] == features:
        plain = plain.reshape(shape[0], features)
    elif plain.ndim not in (1, 2):
        raise ValueError(
            f"x has shape {shape}, expected ({features},), (n, {features}), or images (n, h, w) or "
            f"(n, 1, h, w) with h * w = {features}{_hint(shape, features)}"
        )
    came = plain.shape[-1]
    if came != features:
        raise ValueError(
            f"x has {came} feature{'s' if came != 1 else ''}, this network takes {features}"
            f"{_hint(shape, features)}"
        )
    if _is_read(plain.dtype):
        return plain
    try:
        with np.errstate(all="ignore"):  # an overflow becomes infinity, as in every conversion
            return plain.astype(np.float64 if as_double else np.float32)
    except (TypeError, ValueError):
        raise TypeError(
            f"x has dtype {plain.dtype}, expected one that NumPy can convert to "
            f"{'float64' if as_double else 'float32'}"
        ) from None


def is_sparse(x: object) -> bool:
    """Return whether x is a sparse matrix or array of scipy's; scipy is never imported for it."""
    module = sys.modules.get("scipy.sparse")
    return module is not None and module.issparse(x)


def sparse_rows(
    x: Any, features: int, as_double: bool
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return a sparse matrix (n, features) as compressed rows, columns ascending, no entry twice.

    What is like that already is not copied, so another thread may still write to it: whoever reads
    the rows checks each of them. Only the lengths of the arrays are sure.

    Returns
    -------
    values, columns, starts : ndarray
        (count,) of a dtype that the kernels read; (count,) and (n + 1,), both int32 or both int64.

    Raises
    ------
    TypeError
        The values are not real numbers.
    ValueError
        The shape does not fit.
    """
    if x.ndim != 2 or x.shape[1] != features:
        came = f"shape {x.shape}" if x.ndim != 2 else f"{x.shape[1]} features"
        raise ValueError(f"x has {came}, expected a sparse matrix (n, {features})")
    if x.dtype.kind not in REAL_KINDS:
        raise TypeError(
            f"x has dtype {x.dtype}, expected real numbers: floating point, integer or bool"
        )
    rows = x.tocsr()
    if not _is_read(rows.data.dtype):
        with np.errstate(all="ignore"):
            rows = rows.astype(np.float64 if as_double else np.float32)
    if not rows.has_canonical_format:
        rows = rows.copy() if rows is x else rows
        rows.sum_duplicates()
    values, columns, starts = rows.data, rows.indices, rows.indptr
    index = np.int64 if np.int64 in (columns.dtype, starts.dtype) else np.int32
    values = np.require(values, None, ("C", "A"))
    columns = np.require(columns, index, ("C", "A"))
    starts = np.require(starts, index, ("C", "A"))
    fits = values.shape == columns.shape and starts.shape == (rows.shape[0] + 1,)
    if not fits or values.ndim != 1 or not _is_read(values.dtype):
        raise ValueError("x is a sparse matrix that x.check_format() does not accept")
    return values, columns, starts


def _hint(shape: tuple[int, ...], features: int) -> str:
    """Return what to write for x where its shape is that of one sample, or of one in each row."""
    size = 1
    for length in shape:
        size *= length
    if size == features:
        also = " or x[None]" if len(shape) == 2 else ""
        return f": for one sample write x.reshape(1, -1){also}"
    if len(shape) > 2 and size == shape[0] * features:
        return ": write x.reshape(len(x), -1)"
    return ""


def output(out: Any, x: NDArray[Any], m: int, is_double: bool) -> None:
    """Check that `out` can be filled as it is with the outputs for samples `x`."""
    fits(out, (*x.shape[: x.ndim - 1], m), np.dtype(np.float64 if is_double else np.float32))
    if overlap(out, x):
        raise ValueError("out overlaps x in memory, expected memory of its own")


def fits(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Check that `out` is a writable array of just this shape and dtype."""
    if not isinstance(out, np.ndarray) or _is_masked(out):
        raise TypeError(f"out is of type {type(out).__name__}, expected a numpy.ndarray")
    if out.dtype != dtype or not out.dtype.isnative:
        raise TypeError(f"out has dtype {out.dtype}, expected {dtype}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, expected {shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only, expected a writable array")
    if not out.flags.aligned or any(stride % out.itemsize for stride in out.strides):
        raise ValueError("out is not aligned to its dtype, expected an aligned array")
    if out.size and any(
        stride == 0 and size > 1 for stride, size in zip(out.strides, out.shape, strict=True)
    ):
        raise ValueError("out overlaps itself (a broadcast array), expected one place an element")


def overlap(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Return whether two arrays share an element; True too where finding out would take long."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=100_000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def sparse_output(
    out: Any, n: int, m: int, is_double: bool, parts: tuple[NDArray[Any], ...]
) -> NDArray[Any]:
    """Return `out` (n, m), made here if None, for the samples of which these are the arrays."""
    dtype = np.dtype(np.float64 if is_double else np.float32)
    if out is None:
        return np.empty((n, m), dtype)
    fits(out, (n, m), dtype)
    if any(overlap(out, part) for part in parts):
        raise ValueError("out overlaps x in memory, expected memory of its own")
    return out  # type: ignore[no-any-return]


# ---- for the compiled modules alone ----


def refuse(x: NDArray[Any], features: int) -> NoReturn:
    """Raise the error of an array that a Reader cannot describe to the kernels."""
    if not _is_read(x.dtype):
        raise TypeError(f"x has dtype {x.dtype}, expected a real one of native byte order")
    raise ValueError(f"x has shape {x.shape}, expected ({features},) or (n, {features})")


def refuse_nan(logits: NDArray[Any]) -> NoReturn:
    """Raise the error of a prediction from NaN, which names the samples."""
    bad = np.isnan(logits)
    if logits.ndim == 1:
        raise ValueError(
            "x gives NaN as a weighted sum of the last layer, expected numbers: no "
            "label follows from NaN"
        )
    rows = np.flatnonzero(bad.any(axis=1))
    shown = ", ".join(map(str, rows[:5].tolist())) + (", ..." if len(rows) > 5 else "")
    raise ValueError(
        f"x[{shown}] give{'s' if len(rows) == 1 else ''} NaN as a weighted sum of the last layer, "
        "expected numbers: no label follows from NaN"
    )


def normalization(
    features: int, mean: ArrayLike | None, std: ArrayLike | None, scales: bool
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return mean and std (features,) in double, new; None if there are none."""
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise ValueError("one of mean and std is None, expected both or none")
    if scales:
        raise ValueError("mean and std are given beside a scale, expected one of the two")
    pair = np.array(mean, np.float64, order="C"), np.array(std, np.float64, order="C")
    for name, values in zip(("mean", "std"), pair, strict=True):
        if values.shape != (features,):
            raise ValueError(f"{name} has shape {values.shape}, expected ({features},)")
    return pair


def with_plain_panels(entries: list[Any], table: Any) -> list[Any]:
    """Return the entries of a program (_plan.pyx) with narrow weights in the arithmetic's type."""

    def plain(parameters: Any) -> Any:
        if not isinstance(parameters, table.Panels) or not parameters.is_narrow:
            return parameters
        rows = table.unpack(parameters)
        return table.pack(rows[1:], rows[0])

    return [(*entry[:3], plain(entry[3]), *entry[4:]) for entry in entries]


def widened(weights: NDArray[Any] | None) -> NDArray[Any] | None:
    """Return weights read-only and as numbers: uint16 are the bits of bfloat16 ones."""
    if weights is None:
        return None
    if weights.dtype == np.uint16:
        weights = (weights.astype(np.uint32) << 16).view(np.float32)
    if weights.flags.writeable and weights.base is not None:
        weights.flags.writeable = False
    return weights
