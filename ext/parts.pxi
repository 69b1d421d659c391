"""Stage 1 of a chunk: its samples go forward, and their derivatives back.

A part's way has `leg_count` legs. Leg 0 reads its samples, leg i runs operation i - 1, the next one
finds the losses. Then each operation has two, from the last to the first layer: one takes the
derivatives back through its activation, one through its weights. One thread does all legs of a
part; or if it is the only one, each thread does a share of every leg. Shares are divided by whole
panels of outputs, and what cannot be divided is share 0.
"""
from libc.math cimport NAN
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memcpy, memset

from contract cimport (
    NN_identity, NN_operation_dense, NN_operation_dropout, nn_ahead, nn_claim, nn_finish,
    nn_kernels, nn_layer, nn_mix, nn_operation, nn_source, nn_wait,
)
from panels cimport NN_LINE_BYTES, nn_panel_count
from nncore._engine cimport Slice, apply_to_tile, fetching_pays, part_of, read_tile

cdef extern from *:
    int __builtin_popcountll(unsigned long long) noexcept nogil

cdef enum:
    MOST_AHEAD = 524288  # bytes that are fetched for stage 2, half of a second-level cache


cdef ptrdiff_t _part_count(const Learner *net, ptrdiff_t samples) noexcept nogil:
    """Return how many parts a chunk of so many samples has: one for each thread, or a single one
    where this would leave half of the threads or more without samples."""
    cdef ptrdiff_t lines = (samples + net.panel - 1) // net.panel
    return net.part_count if 2 * lines > net.part_count else 1


cdef ptrdiff_t _width(const Learner *net, const Chunk *chunk) noexcept nogil:
    """Return the width of the tiles of a chunk: whole vectors, and if it has several parts, whole
    cache lines, so that no line belongs to two of them."""
    cdef ptrdiff_t unit = net.kernels.lanes if chunk.parts == 1 else net.panel
    return (chunk.samples + unit - 1) // unit * unit


cdef ptrdiff_t _place(const Learner *net, const Chunk *chunk, ptrdiff_t p) noexcept nogil:
    """Return the number of part p's first sample in a chunk."""
    cdef ptrdiff_t lines = (chunk.samples + net.panel - 1) // net.panel
    return min(chunk.samples, lines * p // chunk.parts * net.panel)


cdef ptrdiff_t leg_count(const Learner *net, bint backward) noexcept nogil:
    cdef ptrdiff_t count = net.operations.count
    return 2 * (count - net.places[0]) + count + 1 if backward else count + 2


cdef void _run_leg(const Lesson *lesson, const Chunk *chunk, Part *part, ptrdiff_t leg,
                   ptrdiff_t share, ptrdiff_t shares) noexcept nogil:
    cdef const Learner *net = lesson.net
    cdef ptrdiff_t back = leg - net.operations.count - 2
    cdef ptrdiff_t i = net.operations.count - 1 - back // 2
    if leg == 0:
        if share == 0:
            _read(lesson, chunk, part)
    elif back < -1:
        _forward(lesson, chunk, part, leg - 1, share, shares)
    elif back < 0:
        if share == 0:
            _find_losses(lesson, chunk, part)
    elif back % 2 == 0:
        _through_activation(net, chunk, part, i, share, shares)
    else:
        _through_weights(net, part, i, share, shares)


cdef int64_t _share_part(const Lesson *lesson, const Chunk *chunk, int thread, ptrdiff_t *done,
                         unsigned char *claimed) noexcept nogil:
    """Do the shares of a chunk's only part that no other thread has begun. Return how long this
    thread waited for the others, as nn_wait does."""
    cdef ptrdiff_t shares = lesson.net.part_count, leg, i, share
    cdef int64_t waited = 0
    for leg in range(leg_count(lesson.net, lesson.backward)):
        for i in range(shares):
            share = (thread + i) % shares
            if nn_claim(&claimed[leg * shares + share]):
                _run_leg(lesson, chunk, &lesson.net.parts[0], leg, share, shares)
                nn_finish(&done[leg])
        waited += nn_wait(&done[leg], shares)
    return waited


cdef void _run_part(const Lesson *lesson, const Chunk *chunk, ptrdiff_t p) noexcept nogil:
    """Do part p of a chunk."""
    cdef const Learner *net = lesson.net
    cdef Part *part = &net.parts[p]
    cdef ptrdiff_t leg
    part.tile.samples = part.right = 0
    if net.one_tile:
        memset(part.used, False, net.k)
    if _place(net, chunk, p) < _place(net, chunk, p + 1):
        for leg in range(leg_count(net, lesson.backward)):
            _run_leg(lesson, chunk, part, leg, 0, 1)


cdef void _read(const Lesson *lesson, const Chunk *chunk, Part *part) noexcept nogil:
    """Read the samples of a part."""
    cdef const Learner *net = lesson.net
    part.place = _place(net, chunk, part - net.parts)
    part.tile.samples = _place(net, chunk, part - net.parts + 1) - part.place
    part.tile.vectors = (part.tile.samples + net.kernels.lanes - 1) // net.kernels.lanes
    part.tile.tape = &part.tape
    part.tape.key = nn_mix(net.seed + <uint64_t>(lesson.first_step + chunk.step))
    part.tape.place, part.tape.learning = chunk.start + part.place, lesson.backward
    part.tape.rows = part.delta[0]
    part.tile.width = part.tile.vectors * net.kernels.lanes
    part.tile.values[0] = part.samples
    if chunk.parts > 1 and net.one_tile:
        part.tile.width = _width(net, chunk)
        part.tile.values[0] = <char *>net.inputs[0] + part.place * net.itemsize
    read_tile(&net.call, &part.tile, chunk.first + part.place, part.index)
    part.finite = not lesson.check or net.kernels.finite_lines(
        part.tile.values[0], part.tile.width, part.tile.lines, part.tile.line_count,
        part.tile.vectors)


cdef void _forward(const Lesson *lesson, const Chunk *chunk, const Part *part, ptrdiff_t i,
                   ptrdiff_t share, ptrdiff_t shares) noexcept nogil:
    """Do a share of operation i, and fetch a share of what is read next."""
    cdef const Learner *net = lesson.net
    cdef const nn_operation *operation = &net.operations.list[i]
    cdef ptrdiff_t samples = part.tile.samples, start = samples * share // shares
    cdef ptrdiff_t next = chunk.first + chunk.samples
    cdef Slice slice
    cdef nn_layer here
    cdef nn_ahead ahead
    ahead.rows = 0
    if i == 0:
        _look_ahead(lesson, next + part.place + start,
                    samples * (share + 1) // shares - start, 0, net.k, &ahead)
    elif net.depth > 1 and i == net.places[1] and chunk.parts > 1 and lesson.backward:
        if not net.one_tile:
            _look_ahead(lesson, next, chunk.samples, part.start, part.end, &ahead)
            if ahead.rows * ahead.bytes > MOST_AHEAD:
                ahead.rows = 0
    if operation.kind == NN_operation_dense:
        _share_panels(net, operation.layer.m, share, shares, &slice)
        if slice.panels == 0:
            return
        if _are_few(net, part, operation.layer.m) and (i > 0 or _first_by_rows(net, part)):
            here = part_of(&net.call, &operation.layer, &slice)
            _run_rows(net, &here, part, share, part.tile.values[i],
                      part.tile.lines if i == 0 else net.call.identity,
                      part.tile.line_count if i == 0 else here.k,
                      <char *>part.tile.values[i + 1]
                      + slice.first * NN_LINE_BYTES * part.tile.vectors * net.kernels.lanes)
        else:
            apply_to_tile(&net.call, &part.tile, i, &slice, NULL,
                          &ahead if ahead.rows > 0 else NULL)
    elif share == 0:
        apply_to_tile(&net.call, &part.tile, i, NULL, NULL, NULL)


cdef bint _are_few(const Learner *net, const Part *part, ptrdiff_t m) noexcept nogil:
    """Return whether a part's samples are so few that the row kernel finds m outputs in fewer
    multiply-adds than the tile kernel, whose lanes are mostly empty then."""
    cdef ptrdiff_t sums = nn_panel_count(net.call.weights, m) * net.panel
    return (part.tile.samples <= net.kernels.row_samples
            and 3 * part.tile.samples * sums <= 2 * m * net.kernels.lanes)


cdef bint _first_by_rows(const Learner *net, const Part *part) noexcept nogil:
    """Return whether the first layer of few samples goes by rows: the lines of its tile adjoin, and
    half of the first sample is not zero. With fewer inputs, going sample by sample is faster."""
    cdef ptrdiff_t word, used = 0
    for word in range((net.k + 63) // 64):
        used += __builtin_popcountll(part.tape.elements[word][0])
    return 2 * used >= net.k and part.tile.width == part.tile.vectors * net.kernels.lanes


cdef void _run_rows(const Learner *net, const nn_layer *layer, const Part *part, ptrdiff_t share,
                    const void *x, const int32_t *lines, ptrdiff_t count, void *y) noexcept nogil:
    """Take tile x of few samples through a layer by rows; write its outputs to tile y."""
    cdef const nn_kernels *kernels = net.kernels
    cdef ptrdiff_t samples = part.tile.samples
    cdef ptrdiff_t inputs = nn_panel_count(net.call.weights, layer.k) * net.panel
    cdef ptrdiff_t outputs = nn_panel_count(net.call.weights, layer.m) * net.panel
    cdef char *rows = <char *>part[share].rows  # each share has room of its own
    cdef char *sums = rows + samples * inputs * net.itemsize
    kernels.unpack_tile(x, part.tile.vectors, <int>samples, layer.k, rows, inputs, 1)
    kernels.row_layer(layer, rows, inputs, <int>samples, lines, count, sums, outputs)
    kernels.unpack_tile(sums, <int>(outputs // kernels.lanes), <int>layer.m, samples, y,
                        part.tile.vectors * kernels.lanes, 1)


cdef void _share_panels(const Learner *net, ptrdiff_t m, ptrdiff_t share, ptrdiff_t shares,
                        Slice *slice) noexcept nogil:
    """Find the share of the panels of m outputs. The first share is not empty."""
    cdef ptrdiff_t panels = nn_panel_count(net.call.weights, m)
    slice.first = (panels * share + shares - 1) // shares
    slice.panels = (panels * (share + 1) + shares - 1) // shares - slice.first


cdef void _look_ahead(const Lesson *lesson, ptrdiff_t first, ptrdiff_t samples, ptrdiff_t start,
                      ptrdiff_t end, nn_ahead *ahead) noexcept nogil:
    """Describe inputs `start` to `end` - 1 of so many samples, to fetch them from memory."""
    cdef const nn_source *x = &lesson.net.call.source
    ahead.row_stride, ahead.bytes = x.row_stride, (end - start) * x.column_stride
    ahead.rows = 0
    if end > start and fetching_pays(x):
        ahead.rows = max(0, min(samples, lesson.samples - first))
    ahead.row = ahead.at = 0
    ahead.data, ahead.order = x.data + start * x.column_stride, NULL
    if ahead.rows == 0:
        return
    if x.order != NULL:
        ahead.order = x.order + first
    else:
        ahead.data += first * x.row_stride


cdef void _find_losses(const Lesson *lesson, const Chunk *chunk, Part *part) noexcept nogil:
    """Find the loss of each sample, and the derivatives by the last operation's outputs."""
    cdef const Learner *net = lesson.net
    if lesson.backward and chunk.parts > 1:
        _share_inputs(net, chunk, part)
    part.right = net.kernels.loss(
        lesson.targets, chunk.first + part.place, <int>part.tile.samples, <int>part.tile.vectors,
        net.m, chunk.total, part.tile.values[net.operations.count],
        _delta(net, part, net.operations.count - 1), part.auxiliary, part.losses)
    if not part.finite:
        part.losses[0] = NAN  # so is the sum: the caller looks at no more than that


cdef void _share_inputs(const Learner *net, const Chunk *chunk, const Part *part) noexcept nogil:
    """Copy what the layers read of a part to net.inputs. In one tile, the samples are there, except
    for the lines of zeros, which hold what was read before."""
    cdef ptrdiff_t size = part.tile.vectors * net.kernels.lanes * net.itemsize, i, line
    cdef ptrdiff_t line_apart = _width(net, chunk) * net.itemsize
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


cdef void *_delta(const Learner *net, const Part *part, ptrdiff_t i) noexcept nogil:
    """Return where the derivatives by the outputs of operation i are. Each layer has those by its
    inputs written to the other place."""
    return part.delta[net.later[i] % 2]


cdef void _through_activation(const Learner *net, const Chunk *chunk, const Part *part, ptrdiff_t i,
                              ptrdiff_t share, ptrdiff_t shares) noexcept nogil:
    """Take delta back through a layer's activation, and pack it; or through an operation that is
    not a layer."""
    cdef const nn_kernels *kernels = net.kernels
    cdef const nn_operation *operation = &net.operations.list[i]
    cdef const nn_layer *layer = &operation.layer
    cdef ptrdiff_t width = part.tile.vectors * kernels.lanes, first, outputs
    cdef char *delta = <char *>_delta(net, part, i)
    cdef Slice slice
    if operation.kind == NN_operation_dense:
        _share_panels(net, layer.m, share, shares, &slice)
        first = slice.first * net.panel
        outputs = min(layer.m - first, slice.panels * net.panel)
        if outputs <= 0:
            return
        delta += first * width * net.itemsize
        if layer.activation != NN_identity:
            kernels.backward(
                layer.activation, layer.alpha, layer.beta,
                <const char *>part.tile.values[i + 1] + first * width * net.itemsize, delta,
                outputs * width)
        _pack_delta(net, part, delta, outputs, chunk.samples,
                    <char *>net.delta_panels[net.depth - 1 - net.later[i]]
                    + slice.first * chunk.samples * NN_LINE_BYTES)
    elif share > 0:
        return
    elif operation.kind == NN_operation_dropout:
        kernels.multiply(delta, part.tape.kept[i], layer.m * width)
    else:
        kernels.apply[operation.kind].backward(layer, part.tile.values[i], delta, width)


cdef void _through_weights(const Learner *net, const Part *part, ptrdiff_t i, ptrdiff_t share,
                           ptrdiff_t shares) noexcept nogil:
    """Take delta back through the weights of operation i, if it has any."""
    cdef ptrdiff_t width = part.tile.vectors * net.kernels.lanes
    cdef const nn_layer *layer
    cdef nn_layer here
    cdef char *to
    cdef Slice slice
    if net.operations.list[i].kind != NN_operation_dense:
        return
    layer = &net.transposed[net.depth - 1 - net.later[i]]
    _share_panels(net, layer.m, share, shares, &slice)
    if slice.panels > 0:
        here = part_of(&net.call, layer, &slice)
        to = <char *>_delta(net, part, i - 1) + slice.first * NN_LINE_BYTES * width
        if _are_few(net, part, layer.m):
            _run_rows(net, &here, part, share, _delta(net, part, i), net.call.identity, here.k, to)
        else:
            net.kernels.tile_layer(&here, _delta(net, part, i), width, net.call.identity, layer.k,
                                   part.tile.vectors, to, NULL)


cdef void _pack_delta(const Learner *net, const Part *part, const char *delta, ptrdiff_t m,
                      ptrdiff_t here, char *panels) noexcept nogil:
    """Write delta (m, samples) to the part's place in panels (here, PANEL), zero beyond m."""
    cdef ptrdiff_t samples = part.tile.samples, size = samples * NN_LINE_BYTES, j = 0, outputs
    cdef ptrdiff_t tile = net.panel * part.tile.vectors * net.kernels.lanes * net.itemsize
    panels += part.place * NN_LINE_BYTES
    while j < m:
        outputs = min(net.panel, m - j)
        if outputs < net.panel:
            memset(panels, 0, size)
        net.kernels.unpack_tile(delta, part.tile.vectors, samples, outputs, panels, net.panel, 1)
        panels += here * NN_LINE_BYTES
        delta += tile
        j += net.panel
