from contract cimport nn_work

cdef void share_work(nn_work *work, void *job, ptrdiff_t threads, bint urgent) noexcept nogil
