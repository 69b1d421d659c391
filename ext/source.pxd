cimport arrays as cnp

from contract cimport NN_float32, NN_float64, NN_unchanged, nn_source

cdef enum:
    UNKNOWN_TYPE = -1

cdef int type_code(cnp.ndarray x)

cdef class Reader:
    cdef nn_source template  # the fields that do not depend on the input
    cdef object keep         # the arrays that template points to
    cdef readonly ptrdiff_t k
    cdef readonly bint is_double, converts_to_double

    cdef cnp.ndarray check(self, object x, int *code)
    cdef int code_of(self, cnp.ndarray x) except -1
    cdef bint keeps_zeros(self) noexcept
    cdef int describe(self, cnp.ndarray x, nn_source *source) except -1
    cdef void locate(self, cnp.ndarray x, int code, nn_source *source) noexcept
    cdef _set_scale(self, scale, offset)
    cdef _set_normalization(self, mean, std)
    cdef bint _split_is_exact(self) except -1


cdef inline bint rows_are_reals(const nn_source *x, bint is_double) noexcept nogil:
    """Whether each row already is what the first layer takes: contiguous REALs, unchanged."""
    return (x.type == <int>(NN_float64 if is_double else NN_float32)
            and x.preprocess == <int>NN_unchanged
            and x.column_stride == (8 if is_double else 4))
