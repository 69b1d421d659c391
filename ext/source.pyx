"""What the user's memory looks like: which arrays are taken, and how a network reads its inputs.

The functions for Python (array, samples, output, fits, overlap) check what users pass in. Every
refusal says what was expected and what came. Nothing here copies or converts an element that the
kernels can read: source.tpl.h does that while it packs.
"""
from libc.string cimport memset

cimport arrays as cnp

from contract cimport (
    NN_bool, NN_float16, NN_float32, NN_float64, NN_int8, NN_int16, NN_int32, NN_int64,
    NN_normalize, NN_rescale, NN_uint8, NN_uint16, NN_uint32, NN_uint64, NN_unchanged, nn_enter_fp,
    nn_kernels, nn_leave_fp, nn_source,
)
from nncore._table cimport table

import sys

import numpy as np

cnp.import_array()

REAL_KINDS = "biuf"


cdef int type_code(cnp.ndarray x):
    """Return the nn_type of an array, or UNKNOWN_TYPE where NumPy has to convert it first.

    It goes by NumPy's own numbers of the types: kind and itemsize may be those of a type that
    another package has registered, with a meaning of its own.
    """
    if not cnp.PyArray_ISNOTSWAPPED(x):
        return UNKNOWN_TYPE
    cdef int number = cnp.PyArray_TYPE(x)
    if number == cnp.NPY_FLOAT:
        return NN_float32
    if number == cnp.NPY_DOUBLE:
        return NN_float64
    if number == cnp.NPY_UBYTE:
        return NN_uint8
    if number == cnp.NPY_FLOAT16:
        return NN_float16
    if number == cnp.NPY_BOOL:
        return NN_bool
    cdef int size = cnp.PyArray_ITEMSIZE(x)
    if number in (cnp.NPY_BYTE, cnp.NPY_SHORT, cnp.NPY_INT, cnp.NPY_LONG, cnp.NPY_LONGLONG):
        return (NN_int8 if size == 1 else NN_int16 if size == 2 else NN_int32 if size == 4
                else NN_int64 if size == 8 else UNKNOWN_TYPE)
    if number in (cnp.NPY_USHORT, cnp.NPY_UINT, cnp.NPY_ULONG, cnp.NPY_ULONGLONG):
        return (NN_uint16 if size == 2 else NN_uint32 if size == 4 else NN_uint64 if size == 8
                else UNKNOWN_TYPE)
    return UNKNOWN_TYPE


cdef class Reader:
    """How a network reads its inputs. Immutable.

    Parameters
    ----------
    k : int
        Features of a sample.
    is_double : bool
        The network's dtype: float64 or float32.
    scale, offset : float, optional
        Of a Rescaling: each input becomes x * scale + offset.
    mean, std : array_like (k,), optional
        Of a Normalization: each input becomes (x - mean) / std. Not together with a scale.

    Attributes
    ----------
    converts_to_double : bool
        Whether a dtype that the kernels do not read is converted to float64, even for a float32
        network: a Normalization begins with the input as it is, not with the input rounded.
    """

    def __cinit__(self, ptrdiff_t k, bint is_double, *, scale=None, offset=0.0, mean=None,
                  std=None):
        self.k, self.is_double, self.converts_to_double = k, is_double, is_double
        memset(&self.template, 0, sizeof(nn_source))
        self.template.preprocess = NN_unchanged
        if (mean is None) != (std is None):
            raise ValueError("one of mean and std is None, expected both or none")
        if mean is not None:
            if scale is not None or offset:
                raise ValueError("mean and std are given beside a scale, expected one of the two")
            self._set_normalization(mean, std)
        elif scale is not None or offset:
            self._set_scale(1.0 if scale is None else scale, offset)

    cdef _set_normalization(self, mean, std):
        mean, std = np.array(mean, np.float64, order="C"), np.array(std, np.float64, order="C")
        for name, values in (("mean", mean), ("std", std)):
            if values.shape != (self.k,):
                raise ValueError(f"{name} has shape {values.shape}, expected ({self.k},)")
        self.keep = (mean, std)
        self.template.preprocess = NN_normalize
        self.template.mean = <const double *>cnp.PyArray_DATA(<cnp.ndarray>mean)
        self.template.deviation = <const double *>cnp.PyArray_DATA(<cnp.ndarray>std)
        self.converts_to_double = True

    cdef _set_scale(self, scale, offset):
        cdef unsigned long long found
        self.template.preprocess = NN_rescale
        self.template.scale, self.template.offset = scale, offset
        if self.is_double or self.template.offset != 0:
            return
        found = nn_enter_fp()
        try:
            self.template.scale_high = <float>self.template.scale
            self.template.scale_low = <float>(
                self.template.scale - <double>self.template.scale_high)
            self.template.split = self._split_is_exact()
        finally:
            nn_leave_fp(found)

    cdef bint _split_is_exact(self) except -1:
        """Return whether scale_high and scale_low give the right result for every byte."""
        cdef const nn_kernels *kernels = table(False)
        cdef nn_source source = self.template
        cdef unsigned char one
        cdef float split, exact
        cdef int byte
        source.type, source.column_stride = NN_uint8, 1
        source.data = <const char *>&one
        for byte in range(256):
            one = byte
            source.split = True
            kernels.load_row(&source, 0, 1, &split)
            source.split = False
            kernels.load_row(&source, 0, 1, &exact)
            if split != exact:
                return False
        return True

    cdef cnp.ndarray check(self, object x, int *code):
        """Return x as an array that `locate` takes, x itself where it is one; code: its nn_type."""
        cdef cnp.ndarray plain
        cdef int dimensions
        if cnp.PyArray_CheckExact(x):
            plain = x
            dimensions = cnp.PyArray_NDIM(plain)
            code[0] = type_code(plain)
            if (1 <= dimensions <= 2 and cnp.PyArray_DIM(plain, dimensions - 1) == self.k
                    and code[0] != UNKNOWN_TYPE):
                return plain
        plain = samples(x, self.k, self.converts_to_double)
        code[0] = self.code_of(plain)
        return plain

    cdef int code_of(self, cnp.ndarray x) except -1:
        """Return the nn_type of x (k,) or (n, k); refuse a dtype that the kernels do not read."""
        cdef int dimensions = cnp.PyArray_NDIM(x), code = type_code(x)
        if code == UNKNOWN_TYPE:
            raise TypeError(f"x has dtype {x.dtype}, expected a real one of native byte order")
        if (not 1 <= dimensions <= 2
                or cnp.PyArray_DIM(x, dimensions - 1) != self.k):
            raise ValueError(f"x has shape {(<object>x).shape}, expected ({self.k},) or "
                             f"(n, {self.k})")
        return code

    cdef bint keeps_zeros(self) noexcept:
        """Whether an input of zero is still zero when the first layer gets it."""
        cdef int preprocess = self.template.preprocess
        return preprocess == <int>NN_unchanged or (
            preprocess == <int>NN_rescale and self.template.offset == 0)

    cdef int describe(self, cnp.ndarray x, nn_source *source) except -1:
        """Describe x (k,) or (n, k) to the kernels; refuse a dtype that they do not read."""
        self.locate(x, self.code_of(x), source)
        return 0

    cdef void locate(self, cnp.ndarray x, int code, nn_source *source) noexcept:
        """Describe x (k,) or (n, k), whose nn_type is known, to the kernels."""
        cdef int dimensions = cnp.PyArray_NDIM(x)
        cdef ptrdiff_t n = 1, bytes_of_row
        source[0] = self.template
        source.data = cnp.PyArray_BYTES(x)
        source.type = code
        source.column_stride = cnp.PyArray_STRIDE(x, dimensions - 1)
        source.row_stride = 0
        if dimensions == 2:
            n, source.row_stride = cnp.PyArray_DIM(x, 0), cnp.PyArray_STRIDE(x, 0)
        # The kernels read past the end of a row only where the next row follows without a gap.
        bytes_of_row = self.k * source.column_stride
        if n <= 1 or -bytes_of_row <= source.row_stride <= bytes_of_row:
            source.gapless_end = source.data + bytes_of_row
            if n > 1 and source.row_stride > 0:
                source.gapless_end += (n - 1) * source.row_stride


def rows(Reader reader not None, x):
    """Return the inputs as the first layer takes them, read by the kernels, in the network's dtype.

    Parameters
    ----------
    reader : Reader
    x : array_like
        (k,) or (n, k), or what `samples` makes such of.

    Returns
    -------
    ndarray
        (k,) or (n, k), new.
    """
    cdef int code
    cdef cnp.ndarray plain = reader.check(x, &code)
    cdef cnp.ndarray y = np.empty(
        (<object>plain).shape, np.float64 if reader.is_double else np.float32)
    cdef const nn_kernels *kernels = table(reader.is_double)
    cdef ptrdiff_t n = 1 if cnp.PyArray_NDIM(plain) == 1 else cnp.PyArray_DIM(plain, 0), i
    cdef char *to = cnp.PyArray_BYTES(y)
    cdef nn_source source
    cdef unsigned long long found
    reader.locate(plain, code, &source)
    with nogil:
        found = nn_enter_fp()
        for i in range(n):
            kernels.load_row(&source, i, reader.k, to)
            to += reader.k * (8 if reader.is_double else 4)
        nn_leave_fp(found)
    return y


# ---- what users pass in ----

def array(x, name):
    """Return `x` as an array of real numbers, without a copy where it is one.

    Raises
    ------
    TypeError
        Masked arrays; dtypes that are not real numbers.
    ValueError
        Nested lists of unequal lengths.
    """
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
    if plain.dtype.kind == "O" and hasattr(x, "columns"):
        plain = _of_frame(x, name)
    if plain.dtype.kind not in REAL_KINDS:
        hint = " (a ragged or mixed list becomes one)" if plain.dtype.kind == "O" else ""
        raise TypeError(
            f"{name} has dtype {plain.dtype}{hint}, expected real numbers: "
            "floating point, integer or bool"
        )
    return plain


def _of_frame(x, name):
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
    for column, missing in zip(x.columns, np.asarray(x.isna()).any(axis=0), strict=True):
        if missing:
            raise ValueError(
                f"the column {column!r} of {name} has missing values, expected numbers: fill them "
                f"first, for example with {name}.fillna(0)"
            )
    return np.asarray(x.to_numpy(dtype=np.result_type(*plain)))


def _is_masked(x):
    # Naming numpy.ma loads it, which takes longer than all of nncore: only a subclass is asked.
    return (
        isinstance(x, np.ndarray) and type(x) is not np.ndarray and isinstance(x, np.ma.MaskedArray)
    )


def samples(x, features, as_double):
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
    came = plain.shape[plain.ndim - 1]
    if came != features:
        raise ValueError(
            f"x has {came} feature{'s' if came != 1 else ''}, this network takes {features}"
            f"{_hint(shape, features)}")
    if type_code(plain) != UNKNOWN_TYPE:
        return plain
    try:
        with np.errstate(all="ignore"):  # an overflow becomes infinity, as in every conversion
            return plain.astype(np.float64 if as_double else np.float32)
    except (TypeError, ValueError):
        raise TypeError(
            f"x has dtype {plain.dtype}, expected one that NumPy can convert to "
            f"{'float64' if as_double else 'float32'}"
        ) from None


def is_sparse(x):
    """Return whether x is a sparse matrix or array of scipy's; scipy is never imported for it."""
    module = sys.modules.get("scipy.sparse")
    return module is not None and module.issparse(x)


def sparse_rows(x, features, as_double):
    """Return a sparse matrix (n, features) as compressed rows, columns ascending, no entry twice.

    What is like that already is not copied.

    Returns
    -------
    rows : scipy's matrix or array
        The same, in the form csr.
    values, columns, starts : ndarray
        Its arrays: (count,) of a dtype that the kernels read; (count,) and (n + 1,), both int32 or
        both int64.

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
            f"x has dtype {x.dtype}, expected real numbers: floating point, integer or bool")
    rows = x.tocsr()
    if type_code(rows.data) == UNKNOWN_TYPE:
        with np.errstate(all="ignore"):
            rows = rows.astype(np.float64 if as_double else np.float32)
    if not rows.has_canonical_format:
        rows = rows.copy() if rows is x else rows
        rows.sum_duplicates()
    if len(rows.indptr) != rows.shape[0] + 1 or len(rows.indices) < len(rows.data):
        raise ValueError("x is a sparse matrix that x.check_format() does not accept")
    wide = rows.indices.dtype == np.int64 or rows.indptr.dtype == np.int64
    index = np.int64 if wide else np.int32
    return (
        rows,
        np.require(rows.data, None, ("C", "A")),
        np.require(rows.indices, index, ("C", "A")),
        np.require(rows.indptr, index, ("C", "A")),
    )


def _hint(shape, features):
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


def output(out, x, m, is_double):
    """Check that `out` can be filled as it is with the outputs for samples `x`."""
    fits(out, (*x.shape[: x.ndim - 1], m), np.dtype(np.float64 if is_double else np.float32))
    if overlap(out, x):
        raise ValueError("out overlaps x in memory, expected memory of its own")


def fits(out, shape, dtype):
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


def overlap(a, b):
    """Return whether two arrays share an element; True too where finding out would take long."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=100_000)
    except np.exceptions.TooHardError:
        return True
