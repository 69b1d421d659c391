# nncore for Cython code: what `from nncore.kernels cimport ...` finds.
#
# This file is installed with the package, and needs none of nncore's C headers. All functions that
# say nogil may be called without the GIL. They raise ValueError or TypeError when shapes or types
# do not fit, and check nothing else: x and y must not overlap, except where y may be x.
# n samples, k inputs, m outputs; float or double. examples/10-from-cython.md shows it at work.
from cython cimport floating

# ---- single layers and functions; any number of threads may call them at once ----

# The packed weights of one layer. They are never changed, so threads may share them.
cdef class Weights:
    cdef readonly ptrdiff_t k, m
    cdef readonly bint is_double
    cdef object plan  # nncore's own

# w (k, m), b (m,): both are copied.
cpdef Weights pack(const floating[:, :] w, const floating[:] b)

# The number of an activation by its name, for `affine`, `activate` and `derive`.
cpdef int activation_code(str name) except -1

# x (n, k) -> y (n, m): y = activation(x @ w + b), the same bits as nncore.affine and Network.
# Any activation, softmax included; alpha and beta are the parameters of those that have some.
cdef int affine(Weights weights, int activation, double alpha, double beta,
                const floating[:, ::1] x, floating[:, ::1] y) except -1 nogil

# x (n, m) -> y (n, m), which may be x: softmax of each row, or its logarithm.
cdef int softmax(bint logarithm, const floating[:, ::1] x, floating[:, ::1] y) except -1 nogil

# x (n,) -> y (n,), which may be x: an activation of each element, or its derivative.
cdef int activate(int activation, double alpha, double beta, const floating[::1] x,
                  floating[::1] y) except -1 nogil
cdef int derive(int activation, double alpha, double beta, const floating[::1] x,
                floating[::1] y) except -1 nogil

# ---- whole networks ----

# A network with the memory that running it needs. Making one and `refresh` need the GIL. Different
# Runners may run at the same time, but one Runner may be used by one thread at a time only.
cdef class Runner:
    cdef readonly object network
    cdef readonly ptrdiff_t k, m   # in_features and out_features
    cdef readonly bint is_double
    cdef object plan               # nncore's own, like what follows
    cdef void *scratch
    cdef void *block

    # x n rows of k, y n rows of m elements of the network's dtype, both contiguous; nothing is
    # checked. For x and y that are no memoryviews, such as C arrays.
    cdef void run_unchecked(self, const void *x, void *y, ptrdiff_t n) noexcept nogil

# x (n, k) -> y (n, m), without the GIL: y = net(x), the same bits. x and y must not overlap; of
# other shapes, or of another dtype than the network's, they are refused.
cdef int run(Runner runner, const floating[:, ::1] x, floating[:, ::1] y) except -1 nogil
