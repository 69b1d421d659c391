from libc.stdint cimport int32_t, int64_t, uint64_t

from contract cimport NN_MOST_SAMPLES, nn_kernels, nn_layer, nn_targets, nn_update
from nncore._execute cimport Call, Tape, Tile
from nncore._plan cimport Operations

# Some samples of a chunk on their way forward and back: one thread's at a time.
cdef struct Part:
    Tile tile            # values[i]: what operation i reads; all of them are kept
    Tape tape
    void **delta_panels  # derivatives by each layer's weighted sums, in panels of `samples` lines
    void *delta          # and as a tile, of one operation after the other
    void *other_delta
    void *auxiliary
    int32_t *index       # the inputs that count
    int32_t *lists       # room for weight_gradient
    ptrdiff_t right      # samples classified right
    double[NN_MOST_SAMPLES] losses

# Neighbouring panels of one layer: what a thread takes of the gradient and of the update at a time.
# It is the thread with the number `thread` where possible, because its cache holds these weights.
cdef struct Piece:
    ptrdiff_t layer, first, panels, thread

# A network that learns. Its layers are its dense operations. Parameters, gradient and
# state lie in the layout of the packed weights.
cdef struct Learner:
    const nn_kernels *kernels
    Operations operations
    Call call             # how samples go forward through them
    nn_layer **layers
    ptrdiff_t *places     # of each layer among the operations
    nn_layer *transposed  # the weights by which delta goes back, of all layers but the first
    void **parameters
    void **gradient
    void **first_state
    void **second_state
    int *has_bias
    Part *parts
    Piece *pieces
    ptrdiff_t part_count, piece_count
    ptrdiff_t depth, itemsize, panel, k, m
    double clip_norm, clip_value
    uint64_t seed         # of the dropout

# A call, which threads share: some steps, or a gradient, or a loss.
cdef struct Lesson:
    Learner *net
    const nn_targets *targets
    ptrdiff_t samples, batch_size, steps
    const nn_update *updates  # of each step, or NULL
    int64_t first_step        # its number since training began
    bint backward             # the gradient is wanted
    double *losses            # of each step
    ptrdiff_t right           # samples classified right
    ptrdiff_t bad             # the step whose loss was not finite, where it ended; or -1
    ptrdiff_t *done           # three for each chunk: parts, pieces, updates with clipping
    unsigned char *claimed    # for each chunk every part, every piece, and the update with clipping
    ptrdiff_t decided         # chunks whose loss has been looked at
    int64_t began, waited     # when the caller began, and how long it waited, in nanoseconds
    bint alone                # the others are to leave

cdef ptrdiff_t chunk_count(ptrdiff_t samples, ptrdiff_t batch_size) noexcept nogil
cdef void learn(Lesson *lesson, int thread) noexcept nogil
cdef void transpose_weights(const Learner *net, const Piece *piece) noexcept nogil
