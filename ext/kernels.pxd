from contract cimport nn_kernels

cdef const nn_kernels *table(bint is_double) except NULL
cdef void *aligned_memory(size_t size, void **block) except NULL

cdef class Panels:
    cdef void *block
    cdef void *data
    cdef readonly ptrdiff_t k, m
    cdef readonly bint is_double, finite
