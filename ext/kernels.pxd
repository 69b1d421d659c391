# What nncore/kernels.pxd calls for other people's Cython: it takes memoryviews, this takes where
# they lie. It is installed too, so it names nothing of the C headers. x and y are contiguous.

cdef class Weights:
    cdef readonly ptrdiff_t k, m
    cdef readonly bint is_double
    cdef object plan

cdef class Runner:
    cdef readonly object network
    cdef readonly ptrdiff_t k, m
    cdef readonly bint is_double
    cdef object plan
    cdef void *scratch
    cdef void *block

    cdef void run_unchecked(self, const void *x, void *y, ptrdiff_t n) noexcept nogil

cpdef int activation_code(str name) except -1

# Strides are in bytes.
cdef Weights pack_at(bint is_double, const void *w, ptrdiff_t k, ptrdiff_t m, ptrdiff_t row_stride,
                     ptrdiff_t column_stride, const void *b, ptrdiff_t size, ptrdiff_t stride)

# x (n, k), y (rows, columns)
cdef int affine_at(Weights weights, int activation, double alpha, double beta, bint is_double,
                   const void *x, ptrdiff_t n, ptrdiff_t k,
                   void *y, ptrdiff_t rows, ptrdiff_t columns) except -1 nogil
cdef int softmax_at(bint logarithm, bint is_double, const void *x, ptrdiff_t n, ptrdiff_t m,
                    void *y, ptrdiff_t rows, ptrdiff_t columns) except -1 nogil
cdef int run_at(Runner runner, bint is_double, const void *x, ptrdiff_t n, ptrdiff_t k,
                void *y, ptrdiff_t rows, ptrdiff_t columns) except -1 nogil

# x (n,), y (size,)
cdef int apply_at(bint derivative, int activation, double alpha, double beta, bint is_double,
                  const void *x, ptrdiff_t n, void *y, ptrdiff_t size) except -1 nogil
