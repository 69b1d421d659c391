from libc.stdint cimport int32_t, int64_t

cimport ndarrays as cnp

from contract cimport (
    NN_float32, NN_float64, NN_unchanged, nn_choice, nn_kernels, nn_operation, nn_source,
)
from nncore._table cimport Panels
from panels cimport nn_weights

# How a network reads its inputs: source.pxi.
cdef enum:
    UNKNOWN_TYPE = -1

cdef int type_code(cnp.ndarray x)

cdef class Reader:
    cdef nn_source template  # the fields that do not depend on the input
    cdef object keep         # the arrays that template points to
    cdef readonly ptrdiff_t k
    cdef readonly bint is_double, converts_to_double

    cdef cnp.ndarray check(self, object x, int *code)
    cdef int code_of(self, cnp.ndarray x) except -1
    cdef bint keeps_zeros(self) noexcept
    cdef int describe(self, cnp.ndarray x, nn_source *source) except -1
    cdef void locate(self, cnp.ndarray x, int code, nn_source *source) noexcept
    cdef _set_scale(self, scale, offset)
    cdef bint _split_is_exact(self) except -1


cdef inline bint rows_are_reals(const nn_source *x, bint is_double) noexcept nogil:
    """Whether each row already is what the first layer takes: contiguous REALs, unchanged."""
    return (x.type == <int>(NN_float64 if is_double else NN_float32)
            and x.preprocess == <int>NN_unchanged
            and x.column_stride == (8 if is_double else 4))

# The operations that give one kind of result, in their order.
cdef struct Operations:
    nn_operation *list
    ptrdiff_t count, dense_count
    ptrdiff_t last_dense  # the place of the last dense operation

# How a plan runs its operations. This is decided once, by their costs with the instruction set.
cdef struct Strategy:
    ptrdiff_t tile_from       # for so many samples, a tile is cheaper than rows
    ptrdiff_t vector_from     # with so many left after whole vectors, so is one more vector
    ptrdiff_t few_tile_from   # as tile_from, where threads share the outputs of each operation
    ptrdiff_t tile_vectors    # the most vectors of samples in a tile
    ptrdiff_t narrow_vectors  # the same if most inputs are zeros; 0 if there is no difference
    bint by_rows              # whether samples are cheaper by rows, even if they have no zeros
    double weight_bytes       # of all layers
    bint is_narrow            # whether a layer has weights narrower than REALs
    bint is_wide              # whether these would exceed wide_bytes (nn_costs) as REALs
    bint is_far               # whether they exceed the last cache
    bint from_memory          # whether they come from memory: they exceed half of that cache

# The memory that one thread needs to run a plan. It begins with this structure.
cdef struct Scratch:
    void **values    # values[i] is what operation i reads, values[i + 1] what it writes
    int32_t *index   # a Plan's: room for two lists of inputs
    Scratch *next    # the next one in the plan's list of those that are not in use
    void *block      # all of this memory, as malloc returned it

# The weights of a layer, with their packed form.
cdef class Parameters:
    cdef object plain
    cdef readonly object bias, dtype
    cdef readonly Panels panels

# The place from which networks take the present weights of a layer.
cdef class Slot:
    cdef readonly Parameters current

cdef const int64_t *publications() noexcept

cdef class Program:
    cdef object records
    cdef readonly ptrdiff_t k, m
    cdef readonly bint is_double, sums_only
    cdef double multiply_adds     # of a sample, in dense operations
    cdef bint is_narrow           # whether a layer has weights narrower than the arithmetic
    cdef readonly list entries
    cdef readonly Reader reader

cdef nn_operation *compile_program(Program program, bint taped, bint sums_only,
                                   Operations *operations) except NULL

cdef enum:
    CHOICES = 5  # each for twice the work of the one before: to 32 times the least that is shared

cdef class Compiled:
    cdef const nn_kernels *kernels
    cdef Scratch *spare
    cdef readonly ptrdiff_t spare_count  # blocks of scratch memory that nobody uses
    cdef ptrdiff_t most_spare
    # A call with as many multiply-adds is shared between threads; below 0: not read yet.
    cdef double least
    # What is faster, one thread or several, for calls with 1 to 2 times as many, 2 to 4 times, ...
    cdef nn_choice[CHOICES] choices
    cdef readonly Reader reader
    cdef readonly bint is_double, is_quantized
    cdef readonly ptrdiff_t k, m
    cdef readonly double multiply_adds
    cdef public object watch      # is shown floating-point samples until it has seen enough; None

    cdef Scratch *new_scratch(self) noexcept nogil
    cdef Scratch *take_scratch(self) except NULL
    cdef void give_back(self, Scratch *scratch) noexcept

cdef class Plan(Compiled):
    cdef nn_weights weights
    cdef Operations outputs, sums
    cdef Strategy strategy
    cdef Program program          # keeps the packed weights alive
    cdef int32_t *identity
    cdef ptrdiff_t itemsize, buffer_size, index_size
    cdef int suit_last_cache(self, double size) except -1
