"""Backpropagation without the GIL: chunks of a mini-batch, shared between threads in three stages.

1. Parts of the samples: rows gathered into a tile -> forward, every tile kept -> losses and delta
   -> delta taken back layer by layer, through the transposed weights and the activation's slope.
   Where there are few samples, they are one part: the threads share the outputs of each layer, and
   meet after each. (parts.pxi)
2. Pieces of the weights, some lines or some panels of a layer each: the samples read again, where
   a piece needs some of their inputs only; dw and db added up over the samples in order, then the
   optimizer's step, then the weights transposed for the next way back. Where a mini-batch is one
   chunk, the step of a line is made as soon as its gradient is known. (pieces.pxi)
3. With clipping, which needs the whole gradient: the step, by one thread.

Threads meet after each stage. Each begins with the parts and pieces of its own number, which its
cache holds from the last time, then takes what others have not begun. Every sum is one chain over
the samples in order, so neither parts nor pieces nor threads change a bit: contract.h. (+0.0
is added after every chunk; this only settles the sign of a zero, as it does at the end.)
"""
from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t, uint64_t

from contract cimport (
    NN_MOST_SAMPLES, nn_claim, nn_enter_fp, nn_finish, nn_kernels, nn_layer, nn_leave_fp, nn_now,
    nn_targets, nn_update, nn_wait,
)
from nncore._engine cimport Call, Tape, Tile
from nncore._plan cimport Operations

# A part of a chunk: samples that one thread takes forward and back.
cdef struct Part:
    Tile tile            # values[i] is what operation i reads; all of them are kept
    Tape tape
    ptrdiff_t place      # the number of its first sample in the chunk
    ptrdiff_t start, end  # the inputs that the thread of its number usually reads in stage 2
    void *samples        # room for its samples, as a tile; in stage 2, for inputs of all samples
    void *delta[2]       # derivatives by an operation's outputs, as a tile: _delta says which
    void *auxiliary      # room for the loss
    void *rows           # room for few samples as rows: what a layer reads, and its outputs
    int32_t *index       # the inputs that are not zero in every sample; in stage 2, of a piece
    unsigned char *used  # for each input: whether it is one of the part's, if the tile is shared
    int32_t *lists       # room for the lists of weight_gradient
    ptrdiff_t right      # how many samples are classified right
    bint finite          # whether all inputs are, where that is to be checked
    double[NN_MOST_SAMPLES] losses

# A piece of the weights: lines `start` to `end` - 1 of neighbouring panels of one layer. The biases
# belong to line 0. One thread computes their gradient and their step. Usually this is `thread`,
# because its cache holds these weights.
cdef struct Piece:
    ptrdiff_t layer, first, panels, start, end, thread

# Some samples of a mini-batch: all of them, if they are no more than NN_MOST_SAMPLES.
cdef struct Chunk:
    ptrdiff_t step   # the mini-batch
    ptrdiff_t start  # the number of the first sample in the mini-batch
    ptrdiff_t first  # the same in the call
    ptrdiff_t samples, parts
    double total     # the sum of the weights of all samples of the mini-batch

# A network that learns. Its `layers` are the dense operations. Parameters, gradient and the
# optimizer's state have the layout of packed weights.
cdef struct Learner:
    const nn_kernels *kernels
    Operations operations
    Call call             # takes samples forward
    nn_layer **layers
    ptrdiff_t *places     # the place of each layer among the operations
    ptrdiff_t *later      # for each operation: how many layers follow it
    nn_layer *transposed  # all layers but the first with transposed weights, to take delta back
    void **inputs         # what each layer reads of a chunk, as a tile; the first: see one_tile
    void **delta_panels   # derivatives by each layer's weighted sums, in panels of a chunk's lines
    void **parameters
    void **gradient
    void **first_state
    void **second_state
    int *has_bias
    Part *parts
    Piece *pieces
    ptrdiff_t part_count, piece_count
    # Whether all parts read their samples into one tile, net.inputs[0]. That suits pieces that need
    # all inputs, and samples that take long to convert. Else a thread reads the inputs of a piece
    # once more, of all samples: to fetch what another thread has written takes longer.
    bint one_tile
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
    bint check                # whether inputs that are not finite are to make the loss NaN
    double *losses            # the loss of each step
    double *squares           # the sum of all squared weights before each step, or NULL
    ptrdiff_t right           # how many samples are classified right
    ptrdiff_t bad             # the step whose loss was not finite, at which the call ended, or -1
    # For each chunk, `counters` of what is done: parts, pieces, updates with clipping, and shares
    # of each leg of its only part. And `flags` of what a thread has begun, of the same four kinds.
    ptrdiff_t counters, flags
    ptrdiff_t *done
    unsigned char *claimed
    ptrdiff_t decided         # how many chunks have been found to have a finite loss, or not
    int64_t began, waited     # when the caller began, and how long it waited, in nanoseconds
    bint alone                # whether the helpers are to leave, so that the caller goes on alone


cdef enum:
    LONG_WAIT = 2000000  # nanoseconds


cdef ptrdiff_t chunk_count(ptrdiff_t samples, ptrdiff_t batch_size) noexcept nogil:
    """Return the number of chunks of all batches."""
    cdef ptrdiff_t most = NN_MOST_SAMPLES, last
    if samples == 0:
        return 0
    last = (samples - 1) % batch_size + 1
    return ((samples - last) // batch_size * ((batch_size + most - 1) // most)
            + (last + most - 1) // most)


cdef void learn(Lesson *lesson, int thread) noexcept nogil:
    """Do what one thread does of a call, from its first stage to its last."""
    cdef unsigned long long found = nn_enter_fp()
    cdef ptrdiff_t step, samples, chunk = 0
    for step in range(lesson.steps):
        samples = min(lesson.batch_size, lesson.samples - step * lesson.batch_size)
        if not _learn_batch(lesson, thread, step, samples, &chunk):
            break
    nn_leave_fp(found)


cdef bint _learn_batch(Lesson *lesson, int thread, ptrdiff_t step, ptrdiff_t samples,
                       ptrdiff_t *number) noexcept nogil:
    """Learn from one mini-batch; number: of its first chunk in the call, then of the next
    mini-batch's. Return False at the call's end."""
    cdef Learner *net = lesson.net
    cdef const nn_update *update = NULL
    cdef const nn_update *bias_update = NULL
    cdef const nn_update *step_now
    cdef bint clipped = net.clip_norm > 0 or net.clip_value > 0
    cdef ptrdiff_t i, p, right = 0
    cdef double loss = 0
    cdef ptrdiff_t *done
    cdef unsigned char *claimed
    cdef int64_t waited
    cdef Chunk chunk
    chunk.step, chunk.start, chunk.first = step, 0, step * lesson.batch_size
    chunk.total = net.kernels.total_weight(lesson.targets, chunk.first, samples)
    if lesson.updates != NULL:
        update = &lesson.updates[step]
        bias_update = update if lesson.bias_updates == NULL else &lesson.bias_updates[step]
    while chunk.start < samples:
        chunk.samples = min(<ptrdiff_t>NN_MOST_SAMPLES, samples - chunk.start)
        chunk.parts = _part_count(net, chunk.samples)
        done = lesson.done + lesson.counters * number[0]
        claimed = lesson.claimed + lesson.flags * number[0]
        if chunk.parts < net.part_count:
            waited = _share_part(lesson, &chunk, thread, &done[3],
                                 &claimed[net.part_count + net.piece_count + 1])
        else:
            for i in range(net.part_count):
                p = (thread + i) % net.part_count
                if nn_claim(&claimed[p]):
                    _run_part(lesson, &chunk, p)
                    nn_finish(&done[0])
            waited = nn_wait(&done[0], net.part_count)
            if chunk.samples <= net.panel * (net.part_count - 1):
                waited = 0  # a thread without samples always waits
        # The caller looks at the loss: it has been here from the beginning.
        if thread == 0:
            loss += _sum_up(net, chunk.parts, &right)
            if update != NULL and not isfinite(loss):
                lesson.bad = step
            elif chunk.start + chunk.samples == samples:
                lesson.right += right
            lesson.losses[step] = loss
            if lesson.squares != NULL and chunk.start == 0:
                lesson.squares[step] = _sum_of_squares(net)
            _look_at_clock(lesson, waited)
            nn_finish(&lesson.decided)
        else:
            nn_wait(&lesson.decided, number[0] + 1)
        if lesson.bad >= 0 or (lesson.alone and thread > 0):
            return False

        if lesson.backward:
            if clipped or chunk.start + chunk.samples < samples:
                step_now = NULL
            else:
                step_now = update
            claimed += net.part_count
            for i in range(2 * net.piece_count):
                p = i % net.piece_count
                if ((i >= net.piece_count or net.pieces[p].thread == thread)
                        and nn_claim(&claimed[p])):
                    _run_piece(net, thread, &net.pieces[p], &chunk, step_now, bias_update,
                               chunk.samples == samples)
                    nn_finish(&done[1])
            waited = nn_wait(&done[1], net.piece_count)
            if thread == 0:
                lesson.waited += waited
            if clipped and update != NULL and chunk.start + chunk.samples == samples:
                if nn_claim(&claimed[net.piece_count]):
                    _clipped_step(net, update, bias_update)
                    nn_finish(&done[2])
                nn_wait(&done[2], 1)
        chunk.start += chunk.samples
        chunk.first += chunk.samples
        number[0] += 1
    return True


cdef void _look_at_clock(Lesson *lesson, int64_t waited) noexcept nogil:
    """Go on alone if much of the time was spent waiting: other programs use these CPUs then."""
    if waited > 0:
        lesson.waited += waited
        lesson.alone = lesson.waited > LONG_WAIT and 4 * lesson.waited > nn_now() - lesson.began


cdef double _sum_up(const Learner *net, ptrdiff_t parts, ptrdiff_t *right) noexcept nogil:
    """Add up the loss of a chunk, sample by sample."""
    cdef double loss = 0
    cdef const Part *part
    cdef ptrdiff_t p, s
    for p in range(parts):
        part = &net.parts[p]
        for s in range(part.tile.samples):
            loss += part.losses[s]
        right[0] += part.right
    return loss
