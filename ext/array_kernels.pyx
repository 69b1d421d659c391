"""The kernels on NumPy arrays, for Python: activations, softmax, and `affine` shared by threads.

The Python layer has checked shapes, dtypes and overlaps. All arrays are C-contiguous and in native
byte order, and those of one call have one dtype, float32 or float64.
"""
cimport numpy as cnp

from contract cimport nn_enter_fp, nn_kernels, nn_leave_fp, nn_take, nn_work
from kernel_table cimport table
from nncore._threads cimport share_work
from nncore.kernels cimport Panels, affine_rows

from nncore import _threads

cnp.import_array()

cdef enum:
    SPAN_SAMPLES = 48  # a thread takes multiples of these: whole tiles


cdef int _check(cnp.ndarray x, cnp.ndarray y, bint same_size) except -1:
    """Refuse what would read or write beside an array; only a mistake in nncore gets here."""
    cdef int type = cnp.PyArray_TYPE(x)
    if (type not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) or cnp.PyArray_TYPE(y) != type
            or not cnp.PyArray_IS_C_CONTIGUOUS(x) or not cnp.PyArray_ISNOTSWAPPED(x)
            or not cnp.PyArray_ISCARRAY(y)
            or (same_size and cnp.PyArray_SIZE(x) != cnp.PyArray_SIZE(y))):
        raise TypeError(
            "x and y are not contiguous arrays of one floating-point dtype and size, expected such"
        )
    return type == cnp.NPY_DOUBLE


def activate(int activation, double alpha, double beta, cnp.ndarray x not None,
             cnp.ndarray y not None):
    """y = f(x) for each element; x and y of one shape; y may be x."""
    cdef const nn_kernels *kernels = table(_check(x, y, True))
    cdef const char *a = cnp.PyArray_BYTES(x)
    cdef char *b = cnp.PyArray_BYTES(y)
    cdef ptrdiff_t n = cnp.PyArray_SIZE(x)
    cdef unsigned long long found
    with nogil:
        found = nn_enter_fp()
        kernels.activate(activation, alpha, beta, a, b, n)
        nn_leave_fp(found)


def derive(int activation, double alpha, double beta, cnp.ndarray x not None,
             cnp.ndarray y not None):
    """y = f'(x) for each element; x and y of one shape; y may be x."""
    cdef const nn_kernels *kernels = table(_check(x, y, True))
    cdef const char *a = cnp.PyArray_BYTES(x)
    cdef char *b = cnp.PyArray_BYTES(y)
    cdef ptrdiff_t n = cnp.PyArray_SIZE(x)
    cdef unsigned long long found
    with nogil:
        found = nn_enter_fp()
        kernels.derive(activation, alpha, beta, a, b, n)
        nn_leave_fp(found)


def softmax(bint logarithm, cnp.ndarray x not None, cnp.ndarray y not None):
    """Softmax along the last axis, or its logarithm; x and y (..., m) of one shape; y may be x."""
    cdef const nn_kernels *kernels = table(_check(x, y, True))
    cdef ptrdiff_t size = cnp.PyArray_ITEMSIZE(x)
    cdef const char *a = cnp.PyArray_BYTES(x)
    cdef char *b = cnp.PyArray_BYTES(y)
    cdef const char *end = a + cnp.PyArray_NBYTES(x)
    cdef ptrdiff_t m = cnp.PyArray_DIM(x, cnp.PyArray_NDIM(x) - 1)
    cdef unsigned long long found
    with nogil:
        found = nn_enter_fp()
        while a < end:
            kernels.softmax(logarithm, a, b, m)
            a += m * size
            b += m * size
        nn_leave_fp(found)


cdef class _SharedAffine:
    """Rows of one call of `affine` that threads share: each takes the next span until none is left.
    """

    cdef Panels weights
    cdef int activation
    cdef double alpha, beta
    cdef const char *x
    cdef char *y
    cdef ptrdiff_t n, span, next

    cdef void work(self) noexcept nogil:
        cdef ptrdiff_t size = 8 if self.weights.is_double else 4, first
        while True:
            first = nn_take(&self.next) * self.span
            if first >= self.n:
                return
            affine_rows(
                self.weights, self.activation, self.alpha, self.beta,
                self.x + first * self.weights.k * size,
                self.y + first * self.weights.m * size, min(self.span, self.n - first))


cdef void _work(_SharedAffine shared, int thread) noexcept nogil:
    shared.work()


def affine(Panels weights not None, int activation, double alpha, double beta,
           cnp.ndarray x not None, cnp.ndarray y not None):
    """y = activation(x @ w + b); x (k,) or (n, k), y (m,) or (n, m), not overlapping."""
    cdef ptrdiff_t n = 1 if cnp.PyArray_NDIM(x) == 1 else cnp.PyArray_DIM(x, 0)
    if (_check(x, y, False) != weights.is_double or cnp.PyArray_SIZE(x) != n * weights.k
            or cnp.PyArray_SIZE(y) != n * weights.m):
        raise TypeError("x and y do not fit the packed weights")
    cdef const char *a = cnp.PyArray_BYTES(x)
    cdef char *b = cnp.PyArray_BYTES(y)
    cdef double work = <double>n * weights.k * weights.m
    cdef ptrdiff_t threads = _threads_for(n, work)
    cdef _SharedAffine shared
    if threads == 1:
        with nogil:
            affine_rows(weights, activation, alpha, beta, a, b, n)
        return
    shared = _SharedAffine.__new__(_SharedAffine)
    shared.weights, shared.activation = weights, activation
    shared.alpha, shared.beta = alpha, beta
    shared.x, shared.y, shared.n = a, b, n
    shared.span = (n + 4 * threads - 1) // (4 * threads)
    shared.span = (shared.span + SPAN_SAMPLES - 1) // SPAN_SAMPLES * SPAN_SAMPLES
    cdef bint urgent = work >= _threads.parallel_min() * <double>_threads.URGENT
    with nogil:
        share_work(<nn_work *>_work, <void *>shared, threads, urgent)


cdef ptrdiff_t _threads_for(ptrdiff_t n, double work) except -1:
    """Threads for so many multiply-adds; one where there is no second span of samples."""
    cdef double least
    cdef ptrdiff_t threads
    if n <= SPAN_SAMPLES:
        return 1
    least = _threads.parallel_min()
    if work < least:
        return 1
    threads = _threads.get_num_threads()
    if least > 0:  # no more than have enough to do
        threads = <ptrdiff_t>min(<double>threads, 1 + work / least)
    return min(threads, (n + SPAN_SAMPLES - 1) // SPAN_SAMPLES)
