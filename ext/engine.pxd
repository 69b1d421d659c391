from libc.stdint cimport int32_t, int64_t, uint64_t

cimport ndarrays as cnp

from contract cimport nn_ahead, nn_elements, nn_kernels, nn_layer, nn_source
from panels cimport nn_weights
from nncore._plan cimport Compiled, Operations, Plan, Scratch, Strategy

cdef struct Output:
    char *data
    ptrdiff_t row_stride, column_stride  # in elements

# The rows of a compressed sparse matrix. A row's values have the type that the call's source names;
# their columns must ascend.
cdef struct Sparse:
    const char *values
    const char *columns    # of each value
    const char *starts     # (n + 1,): where the values of each row begin, and end
    ptrdiff_t value_bytes, count  # of one value; of all values
    bint wide              # whether columns and starts are int64, else int32
    bint damaged           # set by the thread that meets a row which is none

# A call: which operations are run on which samples, and where the results go. Threads share it.
cdef struct Call:
    const nn_kernels *kernels
    const Operations *operations
    const Strategy *strategy
    const int32_t *identity  # 0, 1, 2, ...
    nn_weights weights
    ptrdiff_t itemsize, k, m
    nn_source source
    Sparse *sparse           # where the samples are if not in the source; or NULL
    Output out

# What training adds to a tile. With a tape, no values are overwritten, and the zeros of each sample
# are known.
cdef struct Tape:
    nn_elements *elements
    void *rows       # room for (samples, m of the first operation rounded up to whole panels)
    void **kept      # kept[i] are the factors of dropout if operation i is one
    uint64_t key     # the key of dropout in this step
    ptrdiff_t place  # the number of the first sample in the mini-batch
    bint learning    # whether dropout is on

# What the looks for zeros found out: they are spared for some samples where there were none.
cdef struct Looks:
    uint64_t none     # bit i: operation i found no zero in its inputs
    bint dense        # a tile of samples was not mostly zeros
    ptrdiff_t groups  # of samples that have been run, each a tile or some rows

# Samples that go through the network as tiles: values[i] is the tile that operation i reads.
cdef struct Tile:
    void **values
    ptrdiff_t width       # how far apart the lines of values[0] are; those of the others adjoin
    const int32_t *lines  # inputs that are not zero in every sample
    ptrdiff_t line_count, samples, vectors
    Tape *tape            # or NULL
    Looks *looks          # or NULL

# Samples that go through the network as rows, with the lanes over the outputs. values[i] are the
# rows that operation i reads, each rounded up to whole panels, but operation 0 reads `input`. There
# are `filled` rows; those after the samples hold zeros. The kernels take up to `together` rows at
# once, but a power of two where weights are narrower than REALs: run_rows makes `filled` one then.
cdef struct Rows:
    void **values
    const char *input
    ptrdiff_t input_apart       # in elements
    const int32_t *columns      # the inputs that are not zero, of a single row; or NULL: not known
    ptrdiff_t column_count
    ptrdiff_t samples, filled
    ptrdiff_t together
    Looks *looks                # or NULL

# Neighbouring panels of one layer, whose outputs one thread computes.
cdef struct Slice:
    ptrdiff_t first, panels

# Runs the samples first to end - 1 of a call.
ctypedef void (*span_function)(const void *call, ptrdiff_t first, ptrdiff_t end,
                               const Scratch *scratch) noexcept nogil

cdef class Engine:
    cdef readonly Compiled _plan
    cdef list _slots    # the slots of the layers
    cdef list _records  # what the slots held when the plan was made
    cdef int _label_kind
    cdef int64_t _seen  # publications() when the slots were last seen to hold the same

    cdef Compiled current_plan(self)

# What other modules use of execute.pxi.
cdef bint fetching_pays(const nn_source *x) noexcept nogil
cdef void apply_to_tile(const Call *call, const Tile *tile, ptrdiff_t i, const Slice *slice,
                        int32_t *index, nn_ahead *ahead) noexcept nogil
cdef void read_tile(const Call *call, Tile *tile, ptrdiff_t first, int32_t *index) noexcept nogil
cdef nn_layer part_of(const Call *call, const nn_layer *layer, const Slice *slice) noexcept nogil
cdef void run_rows(const Call *call, ptrdiff_t first, ptrdiff_t samples, const Scratch *scratch,
                   Looks *looks) noexcept nogil
cdef void run_span(const Call *call, ptrdiff_t first, ptrdiff_t end,
                   const Scratch *scratch) noexcept nogil
cdef void prepare_call(Plan plan, bint sums_only, Call *call) noexcept nogil
