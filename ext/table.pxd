from contract cimport nn_int8_kernels, nn_kernels, nn_work
from panels cimport nn_plain, nn_weights

cdef const nn_kernels *table(bint is_double) except NULL
cdef const nn_int8_kernels *int8_table() except NULL
cdef void *aligned_memory(size_t size, void **block) except NULL

cdef class Panels:
    cdef void *block
    cdef void *data
    cdef readonly ptrdiff_t k, m
    cdef nn_weights kind
    cdef readonly bint is_double, is_narrow, finite

cdef Panels pack_plain(nn_weights kind, const nn_plain *plain, ptrdiff_t k, ptrdiff_t m)

# threads.pxi
cpdef double parallel_min() except -1
cdef void share_work(nn_work *work, void *job, ptrdiff_t threads, bint urgent) noexcept nogil
