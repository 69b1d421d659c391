from libc.stdint cimport int32_t, int64_t

from contract cimport nn_kernels, nn_operation
from nncore._source cimport Reader
from nncore._table cimport Panels
from panels cimport nn_weights

# The list of operations that gives one kind of result.
cdef struct Operations:
    nn_operation *list
    ptrdiff_t count, dense_count
    ptrdiff_t last_dense  # where the last dense one stands

# What is decided once, by what the operations cost on this instruction set.
cdef struct Strategy:
    ptrdiff_t tile_from       # samples beyond whole vectors from which on a tile is cheaper
    ptrdiff_t tile_vectors    # of samples in a tile
    ptrdiff_t narrow_vectors  # in one whose inputs are mostly zeros; 0: no other
    bint by_rows              # dense samples, too, are cheaper by rows
    bint is_wide              # the weights do not fit the second-level cache

# The memory that one thread needs to run a plan; this struct is its beginning.
cdef struct Scratch:
    void **values    # values[i]: what operation i reads, values[i + 1] what it writes
    int32_t *index   # room for a list of inputs
    Scratch *next    # in the plan's list of those that are not in use
    void *block      # all of it, as malloc gave it

# The present weights of a layer.
cdef class Parameters:
    cdef readonly object weights, bias, dtype
    cdef readonly Panels panels

cdef class Slot:
    cdef readonly Parameters current

cdef const int64_t *publications() noexcept

cdef class Program:
    cdef object records
    cdef readonly ptrdiff_t k, m
    cdef readonly bint is_double, sums_only
    cdef readonly list entries
    cdef readonly Reader reader

cdef nn_operation *compile_program(Program program, bint taped, bint sums_only,
                                   Operations *operations) except NULL

cdef class Plan:
    cdef const nn_kernels *kernels
    cdef nn_weights weights
    cdef Operations outputs, sums
    cdef Strategy strategy
    cdef Program program          # keeps the packed weights alive
    cdef Scratch *spare
    cdef ptrdiff_t spare_count, most_spare
    cdef double least             # multiply-adds of a call that is shared; below 0: not asked yet
    cdef int32_t *identity
    cdef readonly Reader reader
    cdef ptrdiff_t itemsize, buffer_size, index_size
    cdef readonly bint is_double
    cdef readonly ptrdiff_t k, m
    cdef readonly double multiply_adds

    cdef Scratch *take_scratch(self) except NULL
    cdef void give_back(self, Scratch *scratch) noexcept

cdef Scratch *new_scratch(Plan plan) noexcept nogil
