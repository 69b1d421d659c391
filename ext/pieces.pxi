"""Stages 2 and 3 of a chunk: the gradient of a piece of the weights, and the optimizer's step."""
from libc.math cimport sqrt
from libc.stdint cimport int32_t
from libc.string cimport memset

from contract cimport (
    nn_chunk, nn_layer, nn_pending, nn_source, nn_spares_zeros, nn_update,
)
from panels cimport (
    NN_LINE_BYTES, nn_packed_bytes, nn_panel_at, nn_panel_count, nn_weights_at,
)
from nncore._engine cimport Tile


cdef void _run_piece(const Learner *net, int thread, const Piece *piece, const Chunk *whole,
                     const nn_update *update, const nn_update *bias_update,
                     bint at_once) noexcept nogil:
    """Add up the gradient of a chunk, from zeros if it is the first of its mini-batch; with update,
    do the step as well.

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
    chunk.samples, chunk.width = whole.samples, _width(net, whole)
    chunk.delta = <const char *>net.delta_panels[i] + piece.first * chunk.samples * NN_LINE_BYTES
    chunk.x = net.inputs[i] if whole.parts > 1 else net.parts[0].tile.values[net.places[i]]
    if net.places[i] == 0 and whole.parts == 1:
        inputs = net.parts[0].tile.lines
        count = _lines_before(&net.parts[0].tile, piece.start)
        inputs, count = &inputs[count], _lines_before(&net.parts[0].tile, piece.end) - count
    elif net.places[i] == 0:
        inputs = net.parts[thread].index
        if net.one_tile:
            count = _used_inputs(net, piece, net.parts[thread].index)
        else:
            count = _read_lines(net, piece, whole, &net.parts[thread])
            chunk.x = net.parts[thread].samples
    if update != NULL and at_once:
        pending.update = update[0]
        pending.weights = <char *>net.parameters[i] + offset
        pending.first_state = _at(net.first_state[i], offset)
        pending.second_state = _at(net.second_state[i], offset)
        pending.spares_zeros = nn_spares_zeros(&pending)
        bias_pending = pending
        bias_pending.update = bias_update[0]
        line_by_line, bias_by_line = &pending, &bias_pending
        gradient += piece.start * piece.panels * NN_LINE_BYTES  # working memory of its own
    elif whole.start == 0:
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


cdef ptrdiff_t _lines_before(const Tile *tile, ptrdiff_t end) noexcept nogil:
    """Return how many of the lines that are not zero in every sample stand before line `end`."""
    cdef ptrdiff_t count = tile.line_count
    while count > 0 and tile.lines[count - 1] >= end:
        count -= 1
    return count


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


cdef ptrdiff_t _read_lines(const Learner *net, const Piece *piece, const Chunk *chunk,
                           const Part *room) noexcept nogil:
    """Read the lines of a piece of the first layer, for all samples of a chunk, into a part's tile.
    Put those that count into its index; return how many there are."""
    cdef nn_source x = net.call.source
    cdef ptrdiff_t width = _width(net, chunk), count, i
    x.data += piece.start * x.column_stride
    count = net.kernels.pack_tile(
        &x, chunk.first, <int>chunk.samples, piece.end - piece.start, net.layers[0].skip_zeros,
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
