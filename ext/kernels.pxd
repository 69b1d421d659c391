# The kernels for Cython code: what `from nncore.kernels cimport ...` finds.
#
# This file is installed with the package, so it needs none of nncore's C headers. All functions
# that say nogil may be called without the GIL, from any number of threads at once. They raise
# ValueError or TypeError when shapes or types do not fit, and check nothing else: x and y must not
# overlap unless it says that y may be x. n samples, k inputs, m outputs; float or double.
# examples/10-from-cython.md shows all of it at work.
from cython cimport floating

# The packed weights of one layer. They are never changed, so threads may share them.
cdef class Panels:
    cdef readonly ptrdiff_t k, m
    cdef readonly bint is_double, finite
    cdef void *block  # nncore's own, like all that begins here
    cdef void *data

# w (k, m), b (m,): both are copied.
cpdef Panels pack(const floating[:, :] w, const floating[:] b)

# The number of an activation by its name, for `affine`, `activate` and `derive`.
cpdef int activation_code(str name) except -1

# x (n, k) -> y (n, m): y = activation(x @ w + b), the same bits as nncore.affine and Network.
# Any activation, softmax included; alpha is the parameter of those that have one, else ignored.
cdef int affine(Panels weights, int activation, double alpha, double beta, const floating[:, ::1] x,
                floating[:, ::1] y) except -1 nogil

# x (n, m) -> y (n, m), which may be x: softmax of each row, or its logarithm.
cdef int softmax(bint logarithm, const floating[:, ::1] x, floating[:, ::1] y) except -1 nogil

# x (n,) -> y (n,), which may be x: an activation of each element, or its derivative.
cdef int activate(int activation, double alpha, double beta, const floating[::1] x,
                  floating[::1] y) except -1 nogil
cdef int derive(int activation, double alpha, double beta, const floating[::1] x,
                floating[::1] y) except -1 nogil

# What follows is for nncore's own modules and may change without notice.
cdef void affine_rows(Panels weights, int activation, double alpha, double beta, const void *x, void *y,
                      ptrdiff_t n) noexcept nogil
cdef const void *kernel_table(bint is_double) except NULL
cdef void *aligned_memory(size_t size, void **block) except NULL
