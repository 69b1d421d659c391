from libc.stdint cimport uint8_t

cimport ndarrays as cnp

from contract cimport nn_int8_kernels, nn_int8_layer
from nncore._plan cimport Compiled

cdef class QuantizedPlan(Compiled):
    cdef const nn_int8_kernels *int8
    cdef nn_int8_layer *layers
    cdef ptrdiff_t count
    cdef void *block        # the packed weights of all layers
    # For the samples of a tile: bytes of codes, floats of sums, groups and bytes of one sample.
    cdef ptrdiff_t codes_size, sums_size, index_size, row_size

cdef cnp.ndarray run_quantized(QuantizedPlan plan, cnp.ndarray x, int code, cnp.ndarray out,
                               bint sums_only)
