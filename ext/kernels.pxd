# nncore for Cython code: the declarations for `from nncore.kernels cimport ...`.
#
# This file is installed with the package, and needs none of nncore's C headers. Functions declared
# nogil may be called without the GIL. They raise ValueError or TypeError if shapes or types do not
# fit, and MemoryError if there is not enough memory. They check nothing else: x and y must not
# overlap, unless the comment says that y may be x.
# There are n samples, k inputs and m outputs; all arrays are float, or all are double.
# examples/10-from-cython.md is an example.
from cython cimport floating

# ---- single layers and functions; any number of threads may call them at once ----

# The packed weights of one layer. They are never changed, so threads may share them.
cdef class Weights:
    cdef readonly ptrdiff_t k, m
    cdef readonly bint is_double
    cdef object plan  # private

# The packed weights of w (k, m) and b (m,), both of which are copied.
cpdef Weights pack(const floating[:, :] w, const floating[:] b)

# The number of the activation with this name, for `affine`, `activate` and `derive`.
cpdef int activation_code(str name) except -1

# x (n, k) -> y (n, m): y = activation(x @ w + b), the same bits as nncore.affine and Network.
# The activation may also be softmax or log_softmax. alpha and beta are the parameters of those
# activations that have such parameters; others ignore them.
cdef int affine(Weights weights, int activation, double alpha, double beta,
                const floating[:, ::1] x, floating[:, ::1] y) except -1 nogil

# x (n, m) -> y (n, m): softmax of each row, or its logarithm. y may be x.
cdef int softmax(bint logarithm, const floating[:, ::1] x, floating[:, ::1] y) except -1 nogil

# x (n,) -> y (n,): an activation of each element, or its derivative. y may be x.
cdef int activate(int activation, double alpha, double beta, const floating[::1] x,
                  floating[::1] y) except -1 nogil
cdef int derive(int activation, double alpha, double beta, const floating[::1] x,
                floating[::1] y) except -1 nogil

# ---- whole networks ----

# A network with the memory that running it needs. Making a Runner and its method `refresh` need the
# GIL. Different Runners may run at the same time, but only one thread may use a Runner at a time.
cdef class Runner:
    cdef readonly object network
    cdef readonly ptrdiff_t k, m   # in_features and out_features
    cdef readonly bint is_double
    cdef object plan               # private, like scratch and block
    cdef void *scratch
    cdef void *block

    # x has n rows of k elements, y has n rows of m elements. Both have the network's dtype and are
    # contiguous. Nothing is checked. This is for x and y without memoryviews, such as C arrays.
    cdef void run_unchecked(self, const void *x, void *y, ptrdiff_t n) noexcept nogil

# x (n, k) -> y (n, m), without the GIL: y = net(x), the same bits. x and y must not overlap. Other
# shapes raise ValueError, and another dtype than the network's raises TypeError.
cdef int run(Runner runner, const floating[:, ::1] x, floating[:, ::1] y) except -1 nogil
