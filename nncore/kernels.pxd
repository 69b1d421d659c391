# nncore for Cython code: the declarations for `from nncore.kernels cimport ...`.
#
# This file is installed with the package, and needs none of nncore's C headers. Functions declared
# nogil may be called without the GIL. They raise ValueError or TypeError if shapes or types do not
# fit, and MemoryError if there is not enough memory. They check nothing else: x and y must not
# overlap, unless the comment says that y may be x.
# There are n samples, k inputs and m outputs; all arrays are float, or all are double.
# examples/10-from-cython.md is an example.
#
# The functions here only say where memoryviews lie. They are compiled into the module that cimports
# them, so that nncore's own modules need none: what Cython adds to a module for them is large.
# cython: boundscheck=False, initializedcheck=False
from cython cimport floating

# Weights: the packed weights of one layer, with k, m and is_double, all readonly. They are never
# changed, so threads may share them.
#
# Runner: a network with the memory that running it needs; with network, k and m (in_features and
# out_features) and is_double, all readonly. Making a Runner and its method `refresh` need the GIL.
# Different Runners may run at the same time, but only one thread may use a Runner at a time. For x
# and y without memoryviews, such as C arrays, it has
#
#     cdef void run_unchecked(self, const void *x, void *y, ptrdiff_t n) noexcept nogil
#
# x has n rows of k elements, y has n rows of m elements. Both have the network's dtype and are
# contiguous. Nothing is checked.
#
# activation_code(name): the number of an activation, for `affine`, `activate` and `derive`.
from nncore._kernels cimport (
    Runner, Weights, activation_code, affine_at, apply_at, pack_at, run_at, softmax_at,
)

# ---- single layers and functions; any number of threads may call them at once ----


# The packed weights of w (k, m) and b (m,), both of which are copied.
cdef inline Weights pack(const floating[:, :] w, const floating[:] b):
    return pack_at(floating is double, &w[0, 0], w.shape[0], w.shape[1], w.strides[0],
                   w.strides[1], &b[0], b.shape[0], b.strides[0])


# x (n, k) -> y (n, m): y = activation(x @ w + b), the same bits as nncore.affine and Network.
# The activation may also be softmax or log_softmax. alpha and beta are the parameters of those
# activations that have such parameters; others ignore them.
cdef inline int affine(Weights weights, int activation, double alpha, double beta,
                       const floating[:, ::1] x, floating[:, ::1] y) except -1 nogil:
    return affine_at(weights, activation, alpha, beta, floating is double,
                     &x[0, 0], x.shape[0], x.shape[1], &y[0, 0], y.shape[0], y.shape[1])


# x (n, m) -> y (n, m): softmax of each row, or its logarithm. y may be x.
cdef inline int softmax(bint logarithm, const floating[:, ::1] x,
                        floating[:, ::1] y) except -1 nogil:
    return softmax_at(logarithm, floating is double, &x[0, 0], x.shape[0], x.shape[1],
                      &y[0, 0], y.shape[0], y.shape[1])


# x (n,) -> y (n,): an activation of each element, or its derivative. y may be x.
cdef inline int activate(int activation, double alpha, double beta, const floating[::1] x,
                         floating[::1] y) except -1 nogil:
    return apply_at(False, activation, alpha, beta, floating is double, &x[0], x.shape[0],
                    &y[0], y.shape[0])


cdef inline int derive(int activation, double alpha, double beta, const floating[::1] x,
                       floating[::1] y) except -1 nogil:
    return apply_at(True, activation, alpha, beta, floating is double, &x[0], x.shape[0],
                    &y[0], y.shape[0])


# ---- whole networks ----


# x (n, k) -> y (n, m), without the GIL: y = net(x), the same bits. x and y must not overlap. Other
# shapes raise ValueError, and another dtype than the network's raises TypeError.
cdef inline int run(Runner runner, const floating[:, ::1] x,
                    floating[:, ::1] y) except -1 nogil:
    return run_at(runner, floating is double, &x[0, 0], x.shape[0], x.shape[1],
                  &y[0, 0], y.shape[0], y.shape[1])
