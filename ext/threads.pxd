from contract cimport nn_work

cpdef double parallel_min() except -1
cdef void share_work(nn_work *work, void *job, ptrdiff_t threads, bint urgent) noexcept nogil
