"""What the user's memory looks like: how a network reads its inputs.

arrays.py says which inputs are taken at all.
"""
from libc.string cimport memset

cimport ndarrays as cnp

from contract cimport (
    NN_bool, NN_float16, NN_float32, NN_float64, NN_int8, NN_int16, NN_int32, NN_int64,
    NN_normalize, NN_rescale, NN_uint8, NN_uint16, NN_uint32, NN_uint64, NN_unchanged, nn_enter_fp,
    nn_kernels, nn_leave_fp, nn_source,
)
from nncore._table cimport table

from nncore import _arrays


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
        cdef bint scales = scale is not None or offset
        cdef tuple pair = _arrays.normalization(k, mean, std, scales)
        if pair is not None:
            self.keep = pair
            self.template.preprocess = NN_normalize
            self.template.mean = <const double *>cnp.PyArray_DATA(<cnp.ndarray>pair[0])
            self.template.deviation = <const double *>cnp.PyArray_DATA(<cnp.ndarray>pair[1])
            self.converts_to_double = True
        elif scales:
            self._set_scale(1.0 if scale is None else scale, offset)

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
        plain = _arrays.samples(x, self.k, self.converts_to_double)
        code[0] = self.code_of(plain)
        return plain

    cdef int code_of(self, cnp.ndarray x) except -1:
        """Return the nn_type of x (k,) or (n, k); refuse a dtype that the kernels do not read."""
        cdef int dimensions = cnp.PyArray_NDIM(x), code = type_code(x)
        if (code == UNKNOWN_TYPE or not 1 <= dimensions <= 2
                or cnp.PyArray_DIM(x, dimensions - 1) != self.k):
            _arrays.refuse(x, self.k)
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
        (k,) or (n, k), or what `samples` of arrays.py makes such of.

    Returns
    -------
    ndarray
        (k,) or (n, k), new.
    """
    cdef int code
    cdef cnp.ndarray plain = reader.check(x, &code)
    cdef cnp.ndarray y = cnp.PyArray_EMPTY(
        cnp.PyArray_NDIM(plain), cnp.PyArray_DIMS(plain),
        cnp.NPY_DOUBLE if reader.is_double else cnp.NPY_FLOAT, 0)
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
