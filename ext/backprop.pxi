"""Backpropagation without the GIL: chunks of a mini-batch, shared between threads in three stages.

1. Parts of the samples: rows gathered into a tile -> forward, every tile kept -> losses and delta
   -> delta taken back layer by layer, through the transposed weights and the activation's slope.
2. Pieces of the weights, some lines or some panels of a layer each: the samples read again, where
   a piece needs some of their inputs only; dw and db added up over the samples in order, then the
   optimizer's step, then the weights transposed for the next way back. Where a mini-batch is one
   chunk, the step of a line is made as soon as its gradient is known.
3. With clipping, which needs the whole gradient: the step, by one thread.

Threads meet after each stage. Each begins with the parts and pieces of its own number, which its
cache holds from the last time, then takes what others have not begun. Every sum is one chain over
the samples in order, so neither parts nor pieces nor threads change a bit: contract.h. (+0.0
is added after every chunk; this only settles the sign of a zero, as it does at the end.)
"""
from libc.math cimport NAN, isfinite, sqrt
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memcpy, memset

from contract cimport (
    NN_MOST_SAMPLES, NN_identity, NN_operation_dense, NN_operation_dropout, nn_ahead, nn_chunk,
    nn_claim, nn_enter_fp, nn_finish, nn_kernels, nn_layer, nn_leave_fp, nn_mix, nn_now,
    nn_operation, nn_pending, nn_source, nn_targets, nn_update, nn_wait,
)
from panels cimport (
    NN_LINE_BYTES, nn_packed_bytes, nn_panel_at, nn_panel_count, nn_weights_at,
)
from nncore._engine cimport Call, Tape, Tile, apply_to_tile, read_tile
from nncore._plan cimport Operations

# A part of a chunk: samples that one thread takes forward and back.
cdef struct Part:
    Tile tile            # values[i] is what operation i reads; all of them are kept
    Tape tape
    ptrdiff_t place      # the number of its first sample in the chunk
    ptrdiff_t start, end  # the inputs that the thread of its number usually reads in stage 2
    void *samples        # room for its samples, as a tile; in stage 2, for inputs of all samples
    void *delta          # the derivatives by the outputs of the present operation, as a tile
    void *other_delta    # room for the same of the operation before it
    void *auxiliary      # room for the loss
    int32_t *index       # the inputs that are not zero in every sample; in stage 2, of a piece
    unsigned char *used  # for each input: whether it is one of the part's, if the tile is shared
    int32_t *lists       # room for the lists of weight_gradient
    ptrdiff_t right      # how many samples are classified right
    double[NN_MOST_SAMPLES] losses

# A piece of the weights: lines `start` to `end` - 1 of neighbouring panels of one layer. The biases
# belong to line 0. One thread computes their gradient and their step. Usually this is `thread`,
# because its cache holds these weights.
cdef struct Piece:
    ptrdiff_t layer, first, panels, start, end, thread

# A network that learns. Its `layers` are the dense operations. Parameters, gradient and the
# optimizer's state have the layout of packed weights.
cdef struct Learner:
    const nn_kernels *kernels
    Operations operations
    Call call             # takes samples forward
    nn_layer **layers
    ptrdiff_t *places     # the place of each layer among the operations
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
    ptrdiff_t *done           # three counters for each chunk: parts, pieces, updates with clipping
    unsigned char *claimed    # for each chunk: flags of its parts, pieces and update with clipping
    ptrdiff_t decided         # how many chunks have been found to have a finite loss, or not
    int64_t began, waited     # when the caller began, and how long it waited, in nanoseconds
    bint alone                # whether the helpers are to leave, so that the caller goes on alone


cdef enum:
    LONG_WAIT = 2000000  # nanoseconds
    MOST_AHEAD = 524288  # bytes that are fetched for stage 2, half of a second-level cache


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
    cdef ptrdiff_t first = step * lesson.batch_size, start = 0, here, i, p, right = 0
    cdef double total = net.kernels.total_weight(lesson.targets, first, samples), loss = 0
    cdef ptrdiff_t *done
    cdef unsigned char *claimed
    cdef int64_t waited
    if lesson.updates != NULL:
        update = &lesson.updates[step]
        bias_update = update if lesson.bias_updates == NULL else &lesson.bias_updates[step]
    while start < samples:
        here = min(<ptrdiff_t>NN_MOST_SAMPLES, samples - start)
        done = lesson.done + 3 * number[0]
        claimed = lesson.claimed + (net.part_count + net.piece_count + 1) * number[0]
        for i in range(net.part_count):
            p = (thread + i) % net.part_count
            if nn_claim(&claimed[p]):
                _run_part(lesson, p, step, start, here, total)
                nn_finish(&done[0])
        waited = nn_wait(&done[0], net.part_count)

        # The caller looks at the loss: it has been here from the beginning.
        if thread == 0:
            loss += _sum_up(net, &right)
            if update != NULL and not isfinite(loss):
                lesson.bad = step
            elif start + here == samples:
                lesson.right += right
            lesson.losses[step] = loss
            if lesson.squares != NULL and start == 0:
                lesson.squares[step] = _sum_of_squares(net)
            _look_at_clock(lesson, waited)
            nn_finish(&lesson.decided)
        else:
            nn_wait(&lesson.decided, number[0] + 1)
        if lesson.bad >= 0 or (lesson.alone and thread > 0):
            return False

        if lesson.backward:
            if clipped or start + here < samples:
                step_now = NULL
            else:
                step_now = update
            claimed += net.part_count
            for i in range(2 * net.piece_count):
                p = i % net.piece_count
                if ((i >= net.piece_count or net.pieces[p].thread == thread)
                        and nn_claim(&claimed[p])):
                    _run_piece(net, thread, &net.pieces[p], first + start, here, start == 0,
                               step_now, bias_update, here == samples)
                    nn_finish(&done[1])
            waited = nn_wait(&done[1], net.piece_count)
            if thread == 0:
                lesson.waited += waited
            if clipped and update != NULL and start + here == samples:
                if nn_claim(&claimed[net.piece_count]):
                    _clipped_step(net, update, bias_update)
                    nn_finish(&done[2])
                nn_wait(&done[2], 1)
        start += here
        number[0] += 1
    return True


cdef void _look_at_clock(Lesson *lesson, int64_t waited) noexcept nogil:
    """Go on alone if much of the time was spent waiting: other programs use these CPUs then."""
    if waited > 0:
        lesson.waited += waited
        lesson.alone = lesson.waited > LONG_WAIT and 4 * lesson.waited > nn_now() - lesson.began


cdef double _sum_up(const Learner *net, ptrdiff_t *right) noexcept nogil:
    """Add up the loss of a chunk, sample by sample."""
    cdef double loss = 0
    cdef const Part *part
    cdef ptrdiff_t p, s
    for p in range(net.part_count):
        part = &net.parts[p]
        for s in range(part.tile.samples):
            loss += part.losses[s]
        right[0] += part.right
    return loss


# ---- a part of the samples ----

cdef void _run_part(const Lesson *lesson, ptrdiff_t p, ptrdiff_t step, ptrdiff_t start,
                    ptrdiff_t here, double total) noexcept nogil:
    """Do part p of the chunk of `here` samples that begins at `start` in its mini-batch."""
    cdef const Learner *net = lesson.net
    cdef Part *part = &net.parts[p]
    cdef ptrdiff_t place = start + _place(net, here, p)
    cdef ptrdiff_t first = step * lesson.batch_size + place
    cdef uint64_t key = nn_mix(net.seed + <uint64_t>(lesson.first_step + step))
    cdef bint finite
    cdef nn_ahead ahead, lines_ahead
    part.place = place - start
    part.tile.samples = _place(net, here, p + 1) - part.place
    part.right = 0
    if net.one_tile:
        memset(part.used, False, net.k)
    if part.tile.samples == 0:
        return
    _look_ahead(lesson, first + here, part.tile.samples, 0, net.k, &ahead)
    lines_ahead.rows = 0
    if lesson.backward and net.part_count > 1 and not net.one_tile:
        _look_ahead(lesson, first - part.place + here, here, part.start, part.end, &lines_ahead)
        if lines_ahead.rows * lines_ahead.bytes > MOST_AHEAD:
            lines_ahead.rows = 0
    part.tape.key, part.tape.place, part.tape.learning = key, place, lesson.backward
    finite = _forward(net, part, here, first, &ahead, &lines_ahead, lesson.check)
    if lesson.backward and net.part_count > 1:
        _share_inputs(net, part, here)
    part.right = net.kernels.loss(
        lesson.targets, first, <int>part.tile.samples, <int>part.tile.vectors, net.m, total,
        part.tile.values[net.operations.count], part.delta, part.auxiliary, part.losses)
    if not finite:
        part.losses[0] = NAN  # so is the sum: the caller looks at no more than that
    if lesson.backward:
        _backward(net, part, here)


cdef void _look_ahead(const Lesson *lesson, ptrdiff_t first, ptrdiff_t samples, ptrdiff_t start,
                      ptrdiff_t end, nn_ahead *ahead) noexcept nogil:
    """Describe inputs `start` to `end` - 1 of so many samples, to fetch them from memory."""
    cdef const nn_source *x = &lesson.net.call.source
    ahead.row_stride, ahead.bytes = x.row_stride, (end - start) * x.column_stride
    ahead.rows = max(0, min(samples, lesson.samples - first)) if ahead.bytes > 0 else 0
    ahead.row = ahead.at = 0
    ahead.data, ahead.order = x.data + start * x.column_stride, NULL
    if ahead.rows == 0:
        return
    if x.order != NULL:
        ahead.order = x.order + first
    else:
        ahead.data += first * x.row_stride


cdef bint _forward(const Learner *net, Part *part, ptrdiff_t here, ptrdiff_t first,
                   nn_ahead *ahead, nn_ahead *lines_ahead, bint check) noexcept nogil:
    """Samples from `first` of the call on, in a chunk of `here` samples. ahead and lines_ahead:
    what to fetch during the first layer and the second. With check, return whether all numbers are
    finite."""
    cdef bint finite = True
    cdef ptrdiff_t i, second = net.places[1] if net.depth > 1 else 0
    cdef nn_ahead *fetched
    part.tile.vectors = (part.tile.samples + net.kernels.lanes - 1) // net.kernels.lanes
    part.tile.tape = &part.tape
    part.tape.rows = part.delta
    part.tile.width = part.tile.vectors * net.kernels.lanes
    part.tile.values[0] = part.samples
    if net.one_tile:
        part.tile.width = _width(net, here)
        part.tile.values[0] = <char *>net.inputs[0] + part.place * net.itemsize
    read_tile(&net.call, &part.tile, first, part.index)
    if check:
        finite = net.kernels.finite_lines(
            part.tile.values[0], part.tile.width, part.tile.lines, part.tile.line_count,
            part.tile.vectors)
    for i in range(net.operations.count):
        fetched = ahead if i == 0 else lines_ahead if i == second else NULL
        apply_to_tile(&net.call, &part.tile, i, NULL, NULL,
                      fetched if fetched != NULL and fetched.rows > 0 else NULL)
    return finite


cdef ptrdiff_t _width(const Learner *net, ptrdiff_t here) noexcept nogil:
    """Return the width of the tiles of a chunk of `here` samples: whole vectors, and if it has
    several parts, whole cache lines, so that no line belongs to two of them."""
    cdef ptrdiff_t unit = net.kernels.lanes if net.part_count == 1 else net.panel
    return (here + unit - 1) // unit * unit


cdef ptrdiff_t _place(const Learner *net, ptrdiff_t here, ptrdiff_t p) noexcept nogil:
    """Return the number of part p's first sample in a chunk of `here` samples."""
    cdef ptrdiff_t lines = (here + net.panel - 1) // net.panel
    return min(here, lines * p // net.part_count * net.panel)


cdef void _share_inputs(const Learner *net, const Part *part, ptrdiff_t here) noexcept nogil:
    """Copy what the layers read of a part to net.inputs. In one tile, the samples are there, except
    for the lines of zeros, which hold what was read before."""
    cdef ptrdiff_t size = part.tile.vectors * net.kernels.lanes * net.itemsize, i, line
    cdef ptrdiff_t line_apart = _width(net, here) * net.itemsize
    cdef const char *x
    cdef char *to
    for i in range(part.tile.line_count if net.one_tile else 0):
        part.used[part.tile.lines[i]] = True
    for i in range(net.depth):
        x = <const char *>part.tile.values[net.places[i]]
        to = <char *>net.inputs[i] + part.place * net.itemsize
        if net.places[i] > 0:
            for line in range(net.layers[i].k):
                memcpy(to + line * line_apart, x + line * size, size)
        elif net.one_tile:
            for line in range(net.layers[i].k):
                if not part.used[line]:
                    memset(to + line * line_apart, 0, size)


cdef void _backward(const Learner *net, Part *part, ptrdiff_t here) noexcept nogil:
    """Take part.delta, by the last operation's outputs, back to all delta_panels."""
    cdef const nn_kernels *kernels = net.kernels
    cdef ptrdiff_t width = part.tile.vectors * kernels.lanes, i, layer_number = net.depth - 1
    cdef const nn_operation *operation
    cdef const nn_layer *layer
    for i in range(net.operations.count - 1, -1, -1):
        operation = &net.operations.list[i]
        layer = &operation.layer
        if operation.kind == NN_operation_dropout:
            kernels.multiply(part.delta, part.tape.kept[i], layer.m * width)
            continue
        if operation.kind != NN_operation_dense:
            kernels.apply[operation.kind].backward(layer, part.tile.values[i], part.delta, width)
            continue
        if layer.activation != NN_identity:
            kernels.backward(layer.activation, layer.alpha, layer.beta, part.tile.values[i + 1],
                             part.delta, layer.m * width)
        _pack_delta(net, part, layer.m, here, net.delta_panels[layer_number])
        if layer_number == 0:
            return
        kernels.tile_layer(&net.transposed[layer_number], part.delta, width, net.call.identity,
                           layer.m, part.tile.vectors, part.other_delta, NULL)
        part.delta, part.other_delta = part.other_delta, part.delta
        layer_number -= 1


cdef void _pack_delta(const Learner *net, const Part *part, ptrdiff_t m, ptrdiff_t here,
                      void *panels) noexcept nogil:
    """Write part.delta (m, samples) to its place in panels (here, PANEL), zero beyond m."""
    cdef ptrdiff_t samples = part.tile.samples, size = samples * NN_LINE_BYTES, j = 0, outputs
    cdef ptrdiff_t tile = net.panel * part.tile.vectors * net.kernels.lanes * net.itemsize
    cdef char *to = <char *>panels + part.place * NN_LINE_BYTES
    cdef const char *delta = <const char *>part.delta
    while j < m:
        outputs = min(net.panel, m - j)
        if outputs < net.panel:
            memset(to, 0, size)
        net.kernels.unpack_tile(delta, part.tile.vectors, samples, outputs, to, net.panel, 1)
        to += here * NN_LINE_BYTES
        delta += tile
        j += net.panel


# ---- a piece of the weights ----

cdef void _run_piece(const Learner *net, int thread, const Piece *piece, ptrdiff_t first,
                     ptrdiff_t here, bint begin, const nn_update *update,
                     const nn_update *bias_update, bint at_once) noexcept nogil:
    """Add up the gradient of a chunk of `here` samples, of which sample `first` of the call is the
    first, from zeros if it begins with this chunk; with update, do the step as well.

    at_once: the chunk is the whole mini-batch.
    """
    cdef ptrdiff_t i = piece.layer, count = piece.end - piece.start
    cdef const int32_t *inputs = net.call.identity + piece.start
    cdef nn_layer layer = net.layers[i][0]
    cdef ptrdiff_t offset = nn_panel_at(net.call.weights, layer.k, piece.first)
    cdef char *gradient = <char *>net.gradient[i] + offset
    cdef nn_chunk chunk
    cdef nn_pending pending, bias_pending
    cdef nn_pending *line_by_line = NULL
    cdef nn_pending *bias_by_line = NULL
    layer.m = min(layer.m - piece.first * net.panel, piece.panels * net.panel)
    chunk.samples, chunk.width = here, _width(net, here)
    chunk.delta = <const char *>net.delta_panels[i] + piece.first * here * NN_LINE_BYTES
    chunk.x = net.inputs[i] if net.part_count > 1 else net.parts[0].tile.values[net.places[i]]
    if net.places[i] == 0 and net.part_count == 1:  # one piece has all lines
        inputs, count = net.parts[0].tile.lines, net.parts[0].tile.line_count
    elif net.places[i] == 0:
        inputs = net.parts[thread].index
        if net.one_tile:
            count = _used_inputs(net, piece, net.parts[thread].index)
        else:
            count = _read_lines(net, piece, first, here, &net.parts[thread])
            chunk.x = net.parts[thread].samples
    if update != NULL and at_once:
        pending.update = update[0]
        pending.weights = <char *>net.parameters[i] + offset
        pending.first_state = _at(net.first_state[i], offset)
        pending.second_state = _at(net.second_state[i], offset)
        bias_pending = pending
        bias_pending.update = bias_update[0]
        line_by_line, bias_by_line = &pending, &bias_pending
        gradient += piece.start * piece.panels * NN_LINE_BYTES  # working memory of its own
    elif begin:
        _clear_gradient(net, piece)
    if net.has_bias[i] and piece.start == 0:
        net.kernels.bias_gradient(&layer, &chunk, gradient, bias_by_line)
    net.kernels.weight_gradient(&layer, &chunk, piece.start, piece.end, inputs, count,
                                net.parts[thread].lists, gradient, line_by_line)
    if update == NULL:
        return
    if line_by_line == NULL:
        _step(net, update, bias_update, piece)
    transpose_weights(net, piece)


cdef ptrdiff_t _used_inputs(const Learner *net, const Piece *piece, int32_t *index) noexcept nogil:
    """Write the lines of a piece that are not zero in every sample of a chunk; return how many."""
    cdef ptrdiff_t count = 0, line, p
    cdef unsigned char used
    for line in range(piece.start, piece.end):
        used = False
        for p in range(net.part_count):
            used |= net.parts[p].used[line]
        index[count] = <int32_t>line
        count += used
    return count


cdef ptrdiff_t _read_lines(const Learner *net, const Piece *piece, ptrdiff_t first,
                           ptrdiff_t here, const Part *room) noexcept nogil:
    """Read the lines of a piece of the first layer, for all samples of a chunk, into a part's tile.
    Put those that count into its index; return how many there are."""
    cdef nn_source x = net.call.source
    cdef ptrdiff_t width = _width(net, here), count, i
    x.data += piece.start * x.column_stride
    count = net.kernels.pack_tile(
        &x, first, <int>here, piece.end - piece.start, net.layers[0].skip_zeros,
        <int>(width // net.kernels.lanes),
        <char *>room.samples + piece.start * width * net.itemsize, width, room.index, NULL)
    for i in range(count):
        room.index[i] += <int32_t>piece.start
    return count


cdef void _clear_gradient(const Learner *net, const Piece *piece) noexcept nogil:
    cdef ptrdiff_t p, start = piece.start + 1 if piece.start > 0 else 0
    for p in range(piece.first, piece.first + piece.panels):
        memset(<char *>net.gradient[piece.layer] + start * NN_LINE_BYTES
               + nn_panel_at(net.call.weights, net.layers[piece.layer].k, p), 0,
               (piece.end + 1 - start) * NN_LINE_BYTES)


cdef void *_at(void *state, ptrdiff_t offset) noexcept nogil:
    """Return the place so many bytes into an array, or NULL if there is no array."""
    return <char *>state + offset if state != NULL else NULL


cdef void _step(const Learner *net, const nn_update *update, const nn_update *bias_update,
                const Piece *piece) noexcept nogil:
    """Make the step for a piece."""
    cdef ptrdiff_t i = piece.layer, p, offset, line = NN_LINE_BYTES
    for p in range(piece.first, piece.first + piece.panels):
        offset = nn_panel_at(net.call.weights, net.layers[i].k, p)
        if piece.start == 0:
            _update(net, bias_update, i, offset, line)
        _update(net, update, i, offset + (1 + piece.start) * line,
                (piece.end - piece.start) * line)


cdef void _update(const Learner *net, const nn_update *update, ptrdiff_t i, ptrdiff_t offset,
                  ptrdiff_t size) noexcept nogil:
    """Make the step for `size` bytes of layer i, from an offset on."""
    net.kernels.update(
        update, <char *>net.parameters[i] + offset, <char *>net.gradient[i] + offset,
        _at(net.first_state[i], offset), _at(net.second_state[i], offset), size // net.itemsize)


cdef double _sum_of_squares(const Learner *net) noexcept nogil:
    """Return the sum of all squared weights, without the biases."""
    cdef ptrdiff_t i, p, each, line = NN_LINE_BYTES
    cdef double total = 0
    for i in range(net.depth):
        each = nn_panel_at(net.call.weights, net.layers[i].k, 1)
        for p in range(nn_panel_count(net.call.weights, net.layers[i].m)):
            total += net.kernels.sum_of_squares(
                <char *>net.parameters[i] + p * each + line, (each - line) // net.itemsize)
    return total


cdef void _clipped_step(const Learner *net, const nn_update *update,
                        const nn_update *bias_update) noexcept nogil:
    """Clip the gradient as a whole, and update all weights."""
    cdef nn_update u = update[0], of_biases = bias_update[0]
    cdef double norm = 0
    cdef ptrdiff_t i, size
    cdef const nn_layer *layer
    cdef Piece all
    for i in range(net.depth):
        size = _size(net, i)
        if net.clip_value > 0:
            net.kernels.clip(net.gradient[i], size, net.clip_value)
        if net.clip_norm > 0:
            norm += net.kernels.sum_of_squares(net.gradient[i], size)
    if net.clip_norm > 0:
        u.scale = of_biases.scale = min(1.0, net.clip_norm / (sqrt(norm) + 1e-6))
    for i in range(net.depth):
        layer = net.layers[i]
        all.layer, all.first, all.panels = i, 0, nn_panel_count(net.call.weights, layer.m)
        all.start, all.end = 0, layer.k
        _step(net, &u, &u if update == bias_update else &of_biases, &all)
        transpose_weights(net, &all)


cdef ptrdiff_t _size(const Learner *net, ptrdiff_t i) noexcept nogil:
    """Return the number of elements of a layer in the packed layout."""
    cdef const nn_layer *layer = net.layers[i]
    return nn_packed_bytes(net.call.weights, layer.k, layer.m) // net.itemsize


cdef void transpose_weights(const Learner *net, const Piece *piece) noexcept nogil:
    """Transpose and pack the weights of a piece; those of the first layer are not needed."""
    cdef ptrdiff_t i = piece.layer, p, q, outputs, inputs
    cdef ptrdiff_t per_panel = net.panel // net.kernels.lanes
    cdef const nn_layer *layer = net.layers[i]
    cdef const char *w
    cdef char *to
    if i == 0:
        return
    for p in range(piece.first, piece.first + piece.panels):
        outputs = min(net.panel, layer.m - p * net.panel)
        for q in range(piece.start // net.panel, nn_panel_count(net.call.weights, piece.end)):
            inputs = min(net.panel, layer.k - q * net.panel)
            w = (<const char *>layer.panels
                 + nn_weights_at(net.call.weights, layer.k, p, q * net.panel))
            to = (<char *>net.transposed[i].panels
                  + nn_weights_at(net.call.weights, layer.m, q, p * net.panel))
            net.kernels.unpack_tile(w, <int>per_panel, <int>outputs, inputs, to, net.panel, 1)
