"""Backpropagation without the GIL: chunks of a mini-batch, shared between threads in three stages.

1. Parts of the samples: rows gathered into a tile -> forward, every tile kept -> losses and delta
   -> delta taken back layer by layer, through the transposed weights and the activation's slope.
2. Pieces of the weights, some panels of a layer each: dw and db added up over all parts in order,
   then the optimiser's step, then the weights transposed for the next way back. Where one thread
   does a mini-batch of one chunk, the step of a line is made as soon as its gradient is known.
3. With clipping, which needs the whole gradient: the step, by one thread.

Threads meet after each stage. Each begins with the parts and pieces of its own number, which its
cache holds from the last time, then takes what others have not begun. Every sum is one chain over
the samples in order, so neither parts nor pieces nor threads change a bit: contract.h. (That +0.0
is added after every part only settles the sign of a zero, as it does at the end.)
"""
from libc.math cimport isfinite, sqrt
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from contract cimport (
    NN_LINE_BYTES, NN_MOST_SAMPLES, NN_binary_cross_entropy, NN_cross_entropy, NN_identity,
    nn_ahead, nn_claim, nn_enter_fp, nn_finish, nn_kernels, nn_layer, nn_leave_fp, nn_mix, nn_now,
    nn_source, nn_pending, nn_update, nn_wait,
)

cdef enum:
    LONG_WAIT = 2000000  # nanoseconds


cdef ptrdiff_t chunk_count(ptrdiff_t samples, ptrdiff_t batch_size) noexcept nogil:
    """Of all batches."""
    cdef ptrdiff_t most = NN_MOST_SAMPLES, last
    if samples == 0:
        return 0
    last = (samples - 1) % batch_size + 1
    return ((samples - last) // batch_size * ((batch_size + most - 1) // most)
            + (last + most - 1) // most)


cdef void learn(Work *work, int thread) noexcept nogil:
    """What one thread does of a call, from its first stage to its last."""
    cdef unsigned long long found = nn_enter_fp()
    cdef ptrdiff_t step, samples, chunk = 0
    for step in range(work.steps):
        samples = min(work.batch_size, work.samples - step * work.batch_size)
        if not _learn_batch(work, thread, step, samples, &chunk):
            break
    nn_leave_fp(found)


cdef bint _learn_batch(Work *work, int thread, ptrdiff_t step, ptrdiff_t samples,
                       ptrdiff_t *chunk) noexcept nogil:
    """One mini-batch; chunk counts those of the call. False where the call has ended."""
    cdef Learner *net = work.net
    cdef const nn_update *update = NULL
    cdef const nn_update *step_now
    cdef bint clipped = net.clip_norm > 0 or net.clip_value > 0
    cdef ptrdiff_t first = step * work.batch_size, start = 0, here, i, p, right = 0
    cdef double total = net.kernels.total_weight(work.targets, first, samples), loss = 0
    cdef ptrdiff_t *done
    cdef unsigned char *claimed
    cdef int64_t waited
    if work.updates != NULL:
        update = &work.updates[step]
    while start < samples:
        here = min(<ptrdiff_t>NN_MOST_SAMPLES, samples - start)
        done = work.done + 3 * chunk[0]
        claimed = work.claimed + (net.part_count + net.piece_count + 1) * chunk[0]
        for i in range(net.part_count):
            p = (thread + i) % net.part_count
            if nn_claim(&claimed[p]):
                _run_part(work, p, step, start, here, total)
                nn_finish(&done[0])
        waited = nn_wait(&done[0], net.part_count)

        # The caller looks at the loss: it has been here from the beginning.
        if thread == 0:
            loss += _sum_up(net, &right)
            if update != NULL and not isfinite(loss):
                work.bad = step
            elif start + here == samples:
                work.right += right
            work.losses[step] = loss
            _look_at_clock(work, waited)
            nn_finish(&work.decided)
        else:
            nn_wait(&work.decided, chunk[0] + 1)
        if work.bad >= 0 or (work.alone and thread > 0):
            return False

        if work.backward:
            if clipped or start + here < samples:
                step_now = NULL
            else:
                step_now = update
            claimed += net.part_count
            for i in range(2 * net.piece_count):
                p = i % net.piece_count
                if ((i >= net.piece_count or net.pieces[p].thread == thread)
                        and nn_claim(&claimed[p])):
                    _run_piece(net, thread, &net.pieces[p], start == 0,
                               step_now, net.part_count == 1 and here == samples)
                    nn_finish(&done[1])
            waited = nn_wait(&done[1], net.piece_count)
            if thread == 0:
                work.waited += waited
            if clipped and update != NULL and start + here == samples:
                if nn_claim(&claimed[net.piece_count]):
                    _clipped_step(net, update)
                    nn_finish(&done[2])
                nn_wait(&done[2], 1)
        start += here
        chunk[0] += 1
    return True


cdef void _look_at_clock(Work *work, int64_t waited) noexcept nogil:
    """Go on alone where a good part of the time went into waiting: others are on these CPUs."""
    if waited > 0:
        work.waited += waited
        work.alone = work.waited > LONG_WAIT and 4 * work.waited > nn_now() - work.began


cdef double _sum_up(const Learner *net, ptrdiff_t *right) noexcept nogil:
    """The loss of a chunk, sample by sample."""
    cdef double loss = 0
    cdef const Part *part
    cdef ptrdiff_t p, s
    for p in range(net.part_count):
        part = &net.parts[p]
        for s in range(part.samples):
            loss += part.losses[s]
        right[0] += part.right
    return loss


# ---- a part of the samples ----

cdef void _run_part(const Work *work, ptrdiff_t p, ptrdiff_t step, ptrdiff_t start, ptrdiff_t here,
                    double total) noexcept nogil:
    """Part p of the chunk of `here` samples that begins at `start` in its mini-batch."""
    cdef const Learner *net = work.net
    cdef Part *part = &net.parts[p]
    cdef ptrdiff_t place = start + here * p // net.part_count
    cdef ptrdiff_t first = step * work.batch_size + place
    cdef uint64_t key = nn_mix(net.seed + <uint64_t>(work.first_step + step))
    cdef nn_ahead ahead
    part.samples = start + here * (p + 1) // net.part_count - place
    part.right = 0
    if part.samples == 0:
        return
    _look_ahead(work, first + here, part.samples, &ahead)
    _forward(net, part, work.source, first, place, key, work.backward, &ahead)
    part.right = net.kernels.loss(
        work.targets, first, part.samples, part.vectors, net.m, total, part.outputs[net.depth],
        part.delta, part.auxiliary, part.losses)
    if work.backward:
        _backward(net, part, work.targets.kind)


cdef void _look_ahead(const Work *work, ptrdiff_t first, ptrdiff_t samples,
                      nn_ahead *ahead) noexcept nogil:
    """The samples of the next chunk, fetched from memory meanwhile."""
    cdef const nn_source *x = work.source
    ahead.row_stride, ahead.bytes = x.row_stride, work.net.k * x.column_stride
    ahead.rows = max(0, min(samples, work.samples - first)) if ahead.bytes > 0 else 0
    ahead.row = ahead.at = 0
    ahead.data, ahead.order = x.data, NULL
    if ahead.rows == 0:
        return
    if x.order != NULL:
        ahead.order = x.order + first
    else:
        ahead.data += first * x.row_stride


cdef void _forward(const Learner *net, Part *part, const nn_source *x, ptrdiff_t first,
                   ptrdiff_t place, uint64_t key, bint learning, nn_ahead *ahead) noexcept nogil:
    """Samples from `first` of the call on, which is `place` in the mini-batch."""
    cdef const nn_kernels *kernels = net.kernels
    cdef ptrdiff_t vectors = (part.samples + kernels.lanes - 1) // kernels.lanes
    cdef ptrdiff_t width = vectors * kernels.lanes, i
    cdef nn_layer layer
    part.vectors = vectors
    part.inputs = kernels.pack_elements(
        x, first, part.samples, net.k, net.layers[0].skip_zeros, vectors, part.outputs[0],
        part.index, part.elements)
    for i in range(net.depth):
        layer = net.layers[i]
        if part.sums[i + 1] != part.outputs[i + 1]:
            layer.activation = NN_identity
        if i == 0:
            kernels.first_layer(&layer, part.outputs[0], part.index, part.inputs, part.samples,
                                vectors, part.elements, part.delta, part.sums[1],
                                ahead if ahead.rows > 0 else NULL)
        else:
            kernels.tile_layer(&layer, part.outputs[i], net.identity, layer.k, vectors,
                               part.sums[i + 1], NULL)
        if part.sums[i + 1] != part.outputs[i + 1]:
            kernels.activate(net.layers[i].activation, layer.alpha, layer.beta,
                             part.sums[i + 1], part.outputs[i + 1], layer.m * width)
        if learning and part.kept[i + 1] != NULL:
            # Keyed by step, layer, unit and the sample's place in the mini-batch, by nothing else.
            kernels.drop(part.outputs[i + 1], part.kept[i + 1], layer.m, width, net.dropout[i + 1],
                         key + <uint64_t>(i + 1), place)


cdef void _backward(const Learner *net, Part *part, int loss) noexcept nogil:
    """From part.delta, by the outputs or the cross-entropies' logits, to all delta_panels."""
    cdef const nn_kernels *kernels = net.kernels
    cdef ptrdiff_t width = part.vectors * kernels.lanes, i
    cdef const nn_layer *layer = &net.layers[net.depth - 1]
    if loss not in (NN_cross_entropy, NN_binary_cross_entropy):
        kernels.backward(layer.activation, layer.alpha, layer.beta, part.sums[net.depth],
                         part.delta, net.m * width)
    for i in range(net.depth - 1, -1, -1):
        _pack_delta(net, part, net.layers[i].m, part.delta_panels[i])
        if i == 0:
            return
        layer = &net.layers[i - 1]
        kernels.tile_layer(&net.transposed[i], part.delta, net.identity, net.layers[i].m,
                           part.vectors, part.other_delta, NULL)
        part.delta, part.other_delta = part.other_delta, part.delta
        if part.kept[i] != NULL:
            kernels.multiply(part.delta, part.kept[i], layer.m * width)
        kernels.backward(layer.activation, layer.alpha, layer.beta, part.sums[i], part.delta,
                         layer.m * width)


cdef void _pack_delta(const Learner *net, const Part *part, ptrdiff_t m,
                      void *panels) noexcept nogil:
    """part.delta (m, samples) -> panels (samples, PANEL), what is beyond m zero."""
    cdef ptrdiff_t size = part.samples * NN_LINE_BYTES, j = 0, here
    cdef ptrdiff_t tile = net.panel * part.vectors * net.kernels.lanes * net.itemsize
    cdef char *to = <char *>panels
    cdef const char *delta = <const char *>part.delta
    while j < m:
        here = min(net.panel, m - j)
        if here < net.panel:
            memset(to, 0, size)
        net.kernels.unpack_tile(delta, part.vectors, part.samples, here, to, net.panel, 1)
        to += size
        delta += tile
        j += net.panel


# ---- a piece of the weights ----

cdef void _run_piece(const Learner *net, int thread, const Piece *piece, bint begin,
                     const nn_update *update, bint at_once) noexcept nogil:
    """The gradient, from zeros if it begins here; with update, the step and what follows it.

    at_once: one part is the whole mini-batch.
    """
    cdef ptrdiff_t i = piece.layer, p
    cdef nn_layer layer = net.layers[i]
    cdef ptrdiff_t offset = piece.first * (1 + layer.k) * NN_LINE_BYTES
    cdef ptrdiff_t size = piece.panels * (1 + layer.k) * NN_LINE_BYTES
    cdef char *gradient = <char *>net.gradient[i] + offset
    cdef const Part *part
    cdef const char *delta
    cdef nn_pending pending
    cdef nn_pending *line_by_line = NULL
    layer.m = min(layer.m - piece.first * net.panel, piece.panels * net.panel)
    if update != NULL:
        pending.update = update[0]
        pending.weights = <char *>net.parameters[i] + offset
        pending.first_state = <char *>net.first_state[i] + offset if net.first_state[i] != NULL else NULL
        pending.second_state = <char *>net.second_state[i] + offset if net.second_state[i] != NULL else NULL
        if at_once:
            line_by_line = &pending
    if begin and line_by_line == NULL:
        memset(gradient, 0, size)
    for p in range(net.part_count):
        part = &net.parts[p]
        if part.samples == 0:
            continue
        delta = <const char *>part.delta_panels[i] + piece.first * part.samples * NN_LINE_BYTES
        if net.has_bias[i]:
            net.kernels.bias_gradient(&layer, delta, part.samples, gradient, line_by_line)
        net.kernels.weight_gradient(
            &layer, part.outputs[i], part.vectors * net.kernels.lanes,
            part.index if i == 0 else net.identity, part.inputs if i == 0 else layer.k, delta,
            part.samples, net.parts[thread].lists, gradient, line_by_line)
    if update == NULL:
        return
    if line_by_line == NULL:
        net.kernels.update(update, pending.weights, gradient, pending.first_state,
                           pending.second_state, size // net.itemsize)
    transpose_weights(net, piece)


cdef void _clipped_step(const Learner *net, const nn_update *update) noexcept nogil:
    """Of all weights, by the gradient as a whole."""
    cdef nn_update u = update[0]
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
        u.scale = min(1.0, net.clip_norm / (sqrt(norm) + 1e-6))
    for i in range(net.depth):
        layer = &net.layers[i]
        net.kernels.update(&u, net.parameters[i], net.gradient[i], net.first_state[i],
                           net.second_state[i], _size(net, i))
        all.layer, all.first, all.panels = i, 0, (layer.m + net.panel - 1) // net.panel
        transpose_weights(net, &all)


cdef ptrdiff_t _size(const Learner *net, ptrdiff_t i) noexcept nogil:
    """Elements of a layer in the packed layout."""
    cdef const nn_layer *layer = &net.layers[i]
    return (layer.m + net.panel - 1) // net.panel * (1 + layer.k) * net.panel


cdef void transpose_weights(const Learner *net, const Piece *piece) noexcept nogil:
    """The weights of a piece, transposed and packed; those of the first layer are not needed."""
    cdef ptrdiff_t i = piece.layer, p, q, outputs, inputs
    cdef ptrdiff_t per_panel = net.panel // net.kernels.lanes
    cdef const nn_layer *layer = &net.layers[i]
    cdef const char *w
    cdef char *to
    if i == 0:
        return
    for p in range(piece.first, piece.first + piece.panels):
        outputs = min(net.panel, layer.m - p * net.panel)
        for q in range((layer.k + net.panel - 1) // net.panel):
            inputs = min(net.panel, layer.k - q * net.panel)
            w = (<const char *>layer.panels
                 + (p * (1 + layer.k) + 1 + q * net.panel) * NN_LINE_BYTES)
            to = (<char *>net.transposed[i].panels
                  + (q * (1 + layer.m) + 1 + p * net.panel) * NN_LINE_BYTES)
            net.kernels.unpack_tile(w, per_panel, outputs, inputs, to, net.panel, 1)
