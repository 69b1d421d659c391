from libc.stdint cimport int32_t

from contract cimport nn_kernels, nn_layer, nn_source
from nncore._source cimport Reader
from nncore.kernels cimport Panels

cdef struct Output:
    char *data
    ptrdiff_t row_stride, column_stride  # in elements
    int final_step                       # NN_softmax, NN_log_softmax or 0
    int sums_only                        # the last layer without its activation

# The memory one thread needs to run a plan; this comes first in it.
cdef struct Scratch:
    char *first      # two buffers that the layers alternate between
    char *second
    int32_t *index
    Scratch *next    # in the plan's list of those that are not in use
    void *block      # all of it, as malloc gave it

cdef class Plan:
    cdef const nn_kernels *kernels
    cdef nn_layer *layers
    cdef nn_layer last_sums
    cdef int depth, final_step
    cdef bint is_double, is_wide, by_rows
    cdef list panels
    cdef Scratch *spare
    cdef int32_t *identity
    cdef readonly Reader reader
    cdef ptrdiff_t itemsize, buffer_size, index_size, tile_from, tile_vectors, narrow_vectors
    cdef readonly ptrdiff_t k, m
    cdef readonly double multiply_adds

    cdef bint rows_are_cheaper(self)
    cdef Scratch *take_scratch(self) except NULL
    cdef void give_back(self, Scratch *scratch) noexcept
    cdef void run_span(self, const nn_source *x, ptrdiff_t first, ptrdiff_t end,
                       const Output *out, Scratch *scratch) noexcept nogil
    cdef const nn_layer *layer(self, ptrdiff_t i, const Output *out) noexcept nogil
    cdef bint zeros_likely(self, ptrdiff_t layer) noexcept nogil
    cdef ptrdiff_t row_samples(self, const nn_source *x, ptrdiff_t sample,
                               Scratch *scratch) noexcept nogil
    cdef ptrdiff_t run_tile(self, const nn_source *x, ptrdiff_t first, ptrdiff_t samples,
                            ptrdiff_t end, ptrdiff_t vectors, const Output *out,
                            Scratch *scratch) noexcept nogil
    cdef void run_rows(self, const nn_source *x, ptrdiff_t first, ptrdiff_t rows,
                       const Output *out, Scratch *scratch) noexcept nogil
    cdef void finish_tile(self, char *tile, ptrdiff_t first, ptrdiff_t samples, ptrdiff_t vectors,
                          const Output *out) noexcept nogil
    cdef void finish_rows(self, char *row, ptrdiff_t apart, ptrdiff_t first, ptrdiff_t rows,
                          const Output *out) noexcept nogil
    cdef void write_row(self, const char *row, ptrdiff_t sample, const Output *out) noexcept nogil

# ---- the present weights of layers

cdef class Parameters:
    cdef readonly object weights, bias, dtype
    cdef readonly Panels panels

cdef class Slot:
    cdef public Parameters current
