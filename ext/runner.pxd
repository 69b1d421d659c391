# A network for Cython code that runs without the GIL: `from nncore.runner cimport Runner, run`.
#
# Like kernels.pxd, this file is installed with the package and needs none of nncore's C headers.
# examples/10-from-cython.md shows it at work.
from cython cimport floating

# A network with the memory that running it needs. Making one and `refresh` need the GIL. Different
# Runners may run at the same time, but one Runner may be used by one thread at a time only.
cdef class Runner:
    cdef readonly object network
    cdef readonly ptrdiff_t k, m   # in_features and out_features
    cdef readonly bint is_double
    cdef object plan               # nncore's own, like all that begins here
    cdef void *scratch
    cdef void *block

    # x n rows of k, y n rows of m elements of the network's dtype, both contiguous; nothing is
    # checked. For x and y that are no memoryviews, such as C arrays.
    cdef void run_unchecked(self, const void *x, void *y, ptrdiff_t n) noexcept nogil

# x (n, k) -> y (n, m), without the GIL: y = net(x), the same bits. x and y must not overlap; of
# other shapes, or of another dtype than the network's, they are refused.
cdef int run(Runner runner, const floating[:, ::1] x, floating[:, ::1] y) except -1 nogil
