from libc.stdint cimport int32_t, int64_t, uint64_t

from contract cimport NN_MOST_SAMPLES, nn_kernels, nn_layer, nn_targets, nn_update
from nncore._execute cimport Call, Tape, Tile
from nncore._plan cimport Operations

# A part of a chunk: samples that one thread takes forward and back.
cdef struct Part:
    Tile tile            # values[i] is what operation i reads; all of them are kept
    Tape tape
    void **delta_panels  # derivatives by each layer's weighted sums, in panels of `samples` lines
    void *delta          # the derivatives by the outputs of the present operation, as a tile
    void *other_delta    # room for the same of the operation before it
    void *auxiliary      # room for the loss
    int32_t *index       # the inputs that are not zero in every sample
    int32_t *lists       # room for the lists of weight_gradient
    ptrdiff_t right      # how many samples are classified right
    double[NN_MOST_SAMPLES] losses

# A piece of the weights: neighbouring panels of one layer. One thread computes their gradient and
# their step. Usually this is `thread`, because its cache holds these weights.
cdef struct Piece:
    ptrdiff_t layer, first, panels, thread

# A network that learns. Its `layers` are the dense operations. Parameters, gradient and the
# optimizer's state have the layout of packed weights.
cdef struct Learner:
    const nn_kernels *kernels
    Operations operations
    Call call             # takes samples forward
    nn_layer **layers
    ptrdiff_t *places     # the place of each layer among the operations
    nn_layer *transposed  # all layers but the first with transposed weights, to take delta back
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
    uint64_t seed         # of dropout

# The job of a call that its threads share: some steps of the optimiser, or a gradient, or a loss.
cdef struct Lesson:
    Learner *net
    const nn_targets *targets
    ptrdiff_t samples, batch_size, steps
    const nn_update *updates  # one for each step, or NULL
    const nn_update *bias_updates  # those of the biases, likewise; NULL: they are the same
    int64_t first_step        # the number of the first step since training began
    bint backward             # whether the gradient is wanted
    double *losses            # the loss of each step
    double *squares           # the sum of all squared weights before each step, or NULL
    ptrdiff_t right           # how many samples are classified right
    ptrdiff_t bad             # the step whose loss was not finite, at which the call ended, or -1
    ptrdiff_t *done           # three counters for each chunk: parts, pieces, updates with clipping
    unsigned char *claimed    # for each chunk: flags of its parts, pieces and update with clipping
    ptrdiff_t decided         # how many chunks have been found to have a finite loss, or not
    int64_t began, waited     # when the caller began, and how long it waited, in nanoseconds
    bint alone                # whether the helpers are to leave, so that the caller goes on alone

cdef ptrdiff_t chunk_count(ptrdiff_t samples, ptrdiff_t batch_size) noexcept nogil
cdef void learn(Lesson *lesson, int thread) noexcept nogil
cdef void transpose_weights(const Learner *net, const Piece *piece) noexcept nogil
