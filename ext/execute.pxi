"""The executors: one operation after the other, by rows or by tiles, alone or shared.

The way of the data:
x -> checked once -> [GIL released] tile of samples packed -> operation by operation inside the
cache: accumulators start at the bias, k in order, activation while in registers or the first-level
cache -> written to out. If the samples are mostly zeros, the first layer reads them where they are,
and its outputs are the first tile.

The list of operations is read in two places only, `apply_to_rows` and `apply_to_tile`, besides the
first one's kind where a tile begins. Sharing is an option of both: a batch is shared by its
samples, a few samples of a wide network by the outputs of each operation, so that every weight is
fetched from memory once. So is the tape of training. Which way is taken, and by how many threads,
changes no bit (contract.h).
"""
from libc.stdint cimport int32_t, int64_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

cimport ndarrays as cnp

from contract cimport (
    NN_MOST_THREADS, NN_operation_dense, NN_operation_dropout, nn_ahead, nn_choice, nn_choose,
    nn_chosen, nn_count, nn_enter_fp, nn_finish, nn_kernels, nn_layer, nn_leave_fp, nn_operation,
    nn_take, nn_wait, nn_work,
)
from panels cimport NN_LINE_BYTES, nn_panel_at, nn_panel_count, nn_panel_outputs, nn_weights
from nncore._plan cimport CHOICES, Compiled, Plan, Scratch, Strategy, rows_are_reals
from nncore._table cimport share_work

cdef enum:
    SMALL_WORK = 100000  # multiply-adds of one sample not worth releasing the GIL for
    MANY_SPANS = 16      # for each thread: so many that one more for some threads costs little
    MOST_PANELS = 8      # of outputs that a thread takes at a time
    LOOK_PERIOD = 8      # groups of samples; zeros are looked for in the first at least


# ---- one operation, by rows or by a tile ----

cdef inline bint spares_look(const Looks *looks, ptrdiff_t i) noexcept nogil:
    """Return whether operation i need not look for zeros."""
    return looks != NULL and i < 64 and looks.none >> i & 1


cdef inline void note_look(Looks *looks, ptrdiff_t i, bint found) noexcept nogil:
    """Take note of whether operation i has found zeros."""
    if looks != NULL and i < 64 and not found:
        looks.none |= <uint64_t>1 << i


cdef void apply_to_tile(const Call *call, const Tile *tile, ptrdiff_t i, const Slice *slice,
                        int32_t *index, nn_ahead *ahead) noexcept nogil:
    """Run operation i on a tile: all of its outputs, or for a dense one those in the slice.

    index: room for a list of inputs.
    """
    cdef const nn_kernels *kernels = call.kernels
    cdef const nn_operation *operation = &call.operations.list[i]
    cdef const nn_layer *layer = &operation.layer
    cdef const Tape *tape = tile.tape
    cdef nn_layer part
    cdef const int32_t *lines = call.identity
    cdef ptrdiff_t count = layer.k, width = tile.vectors * kernels.lanes
    cdef char *y = <char *>tile.values[i + 1]
    cdef char *rows
    if operation.kind == NN_operation_dropout:
        if tape.learning:
            # The key is made of step, layer, unit and the sample's place in the mini-batch only.
            kernels.drop(y, tape.kept[i], layer.m, tile.vectors * kernels.lanes, layer.alpha,
                         tape.key + <uint64_t>layer.activation, tape.place)
        return
    if operation.kind != NN_operation_dense:
        kernels.apply[operation.kind].tile(layer, tile.values[i], y, tile.vectors)
        return
    if slice != NULL:
        part = part_of(call, layer, slice)
        y += slice.first * NN_LINE_BYTES * tile.vectors * kernels.lanes
        layer = &part
    if i == 0:
        lines, count, width = tile.lines, tile.line_count, tile.width
        if tape != NULL:
            rows = <char *>tape.rows
            if slice != NULL:
                rows += slice.first * NN_LINE_BYTES * tile.samples
            kernels.first_layer(layer, tile.values[0], width, lines, count, tile.samples,
                                tile.vectors, tape.elements, rows, y, ahead)
            return
    elif operation.zeros_likely and layer.skip_zeros and not spares_look(tile.looks, i):
        count = kernels.find_lines(tile.values[i], layer.k, tile.vectors, index)
        note_look(tile.looks, i, count < layer.k)
        lines = index
    kernels.tile_layer(layer, tile.values[i], width, lines, count, tile.vectors, y, ahead)


cdef void apply_to_rows(const Call *call, const Rows *rows, ptrdiff_t i, const Slice *slice,
                        int32_t *index) noexcept nogil:
    """Run operation i on some rows: all of its outputs, or for a dense one those in the slice.

    index: room for two lists of inputs.
    """
    cdef const nn_kernels *kernels = call.kernels
    cdef const nn_operation *operation = &call.operations.list[i]
    cdef const nn_layer *layer = &operation.layer
    cdef nn_layer part
    cdef ptrdiff_t size = call.itemsize, row, together, count, most = rows.together, of_two = 0
    cdef ptrdiff_t ldx = operation.input_apart, ldy = operation.output_apart
    cdef const int32_t *columns
    cdef int32_t *columns_of_two
    cdef const char *x = <const char *>rows.values[i]
    cdef char *y = <char *>rows.values[i + 1]
    if i == 0:
        x, ldx = rows.input, rows.input_apart
    if operation.kind != NN_operation_dense:
        for row in range(rows.samples):
            kernels.apply[operation.kind].row(layer, x + row * ldx * size, y + row * ldy * size)
        return
    if slice != NULL:
        part = part_of(call, layer, slice)
        y += slice.first * NN_LINE_BYTES
        layer = &part
    row = 0
    while True:
        together = min(most, rows.filled - row)
        while layer.weights != <int>call.weights and together & (together - 1):
            together -= 1
        columns, count = NULL, layer.k
        if i == 0 and rows.columns != NULL:
            columns, count = rows.columns, rows.column_count
        elif operation.zeros_likely and layer.skip_zeros and not spares_look(rows.looks, i):
            count = kernels.find_nonzero(x, ldx, <int>together, layer.k, index)
            note_look(rows.looks, i, count < layer.k)
            columns = index
            if most < rows.together and 2 * count > 3 * of_two:
                most = rows.together  # these two have more inputs than those before them
            # Weights that come from memory had better come once, however many inputs are zero.
            if together > 2 and count < layer.k and not call.strategy.from_memory:
                columns_of_two = index + layer.k + 16
                of_two = kernels.find_nonzero(x, ldx, 2, layer.k, columns_of_two)
                if twos_are_cheaper(kernels, together, count, of_two):
                    most = together = 2
                    columns, count = columns_of_two, of_two
            # From memory, all lines of weights come in less time than some with gaps between them.
            # Widening those that are not needed costs more than that, except for one row.
            if (call.strategy.is_far and 3 * count > layer.k
                    and (together == 1 or layer.weights == <int>call.weights)):
                count = layer.k
        if columns == NULL or count == layer.k:
            columns = call.identity
            if together == 1 and layer.weights == <int>call.weights:
                columns = NULL
        kernels.row_layer(layer, x, ldx, <int>together, columns, count, y, ldy)
        row += together
        if row == rows.filled:
            return
        x += together * ldx * size
        y += together * ldy * size


cdef bint twos_are_cheaper(const nn_kernels *kernels, ptrdiff_t rows, ptrdiff_t count,
                           ptrdiff_t of_two) noexcept nogil:
    """Return whether a layer takes its rows two by two faster than all at once.

    count: the inputs that are not zero in every row; of_two: the same for the first two. Where the
    rows differ in them, more rows have more multiply-adds, but each weight is loaded less often.
    """
    cdef double load = kernels.costs.row_load, all_rows = rows
    # Where the kernel holds the sums of four rows at most, those of three are too few: each
    # multiply-add would wait for the one before.
    if rows == 3 and kernels.row_block == 4:
        all_rows = 4
    return rows * of_two * (2 + load) < 2 * count * (all_rows + load)


cdef nn_layer part_of(const Call *call, const nn_layer *layer, const Slice *slice) noexcept nogil:
    """Return a layer that has only the panels in the slice."""
    cdef nn_layer part = layer[0]
    cdef ptrdiff_t outputs = nn_panel_outputs(call.weights)
    part.panels = (<const char *>part.panels
                   + nn_panel_at(<nn_weights>part.weights, part.k, slice.first))
    part.m = min(part.m - slice.first * outputs, slice.panels * outputs)
    return part


# ---- in and out ----

cdef void read_tile(const Call *call, Tile *tile, ptrdiff_t first, int32_t *index) noexcept nogil:
    """Read the samples from `first` on into the tile; put the lines that count into index."""
    cdef const nn_operation *operation = &call.operations.list[0]
    # Lines that are left out are not written: only a dense operation can do without them.
    cdef bint skip = (operation.kind == NN_operation_dense and operation.layer.skip_zeros
                      and not spares_look(tile.looks, 0))
    tile.lines = index
    tile.line_count = call.kernels.pack_tile(
        &call.source, first, tile.samples, call.k, skip, tile.vectors, tile.values[0], tile.width,
        index, tile.tape.elements if tile.tape != NULL else NULL)
    if skip:
        note_look(tile.looks, 0, tile.line_count < call.k)


cdef void write_tile(const Call *call, const Tile *tile, ptrdiff_t first) noexcept nogil:
    cdef const Output *out = &call.out
    call.kernels.unpack_tile(
        tile.values[call.operations.count], tile.vectors, tile.samples, call.m,
        out.data + first * out.row_stride * call.itemsize, out.row_stride, out.column_stride)


cdef inline void read_rows(const Call *call, Rows *rows, ptrdiff_t first) noexcept nogil:
    """Read the samples from `first` on, in place if the kernels can read them there."""
    cdef ptrdiff_t size = call.itemsize, row
    cdef const char *x = call.source.data + first * call.source.row_stride
    cdef char *copy = <char *>rows.values[0]
    if (rows.filled == rows.samples and rows_are_reals(&call.source, size == 8)
            and call.source.row_stride % size == 0 and <uintptr_t>x % size == 0):
        rows.input, rows.input_apart = x, call.source.row_stride // size
        return
    rows.input, rows.input_apart = copy, call.operations.list[0].input_apart
    for row in range(rows.samples):
        call.kernels.load_row(
            &call.source, first + row, call.k, copy + row * rows.input_apart * size)
    memset(copy + rows.samples * rows.input_apart * size, 0,
           (rows.filled - rows.samples) * rows.input_apart * size)


cdef ptrdiff_t sparse_row(const Sparse *sparse, ptrdiff_t sample, ptrdiff_t k, int32_t *index,
                          int64_t *start) noexcept nogil:
    """Copy the columns of one row to `index`; return how many there are, -1 if it is no row.

    start: the place of its first value. All of the row is checked while it is copied, because
    another thread may be writing to it.
    """
    cdef int64_t end, column, before = -1
    cdef ptrdiff_t i
    if sparse.wide:
        start[0] = (<const int64_t *>sparse.starts)[sample]
        end = (<const int64_t *>sparse.starts)[sample + 1]
    else:
        start[0] = (<const int32_t *>sparse.starts)[sample]
        end = (<const int32_t *>sparse.starts)[sample + 1]
    if not (0 <= start[0] <= end <= sparse.count) or end - start[0] > k:
        return -1
    for i in range(end - start[0]):
        column = ((<const int64_t *>sparse.columns)[start[0] + i] if sparse.wide
                  else (<const int32_t *>sparse.columns)[start[0] + i])
        if not before < column < k:
            return -1
        index[i] = <int32_t>column
        before = column
    return end - start[0]


cdef bint read_sparse_row(const Call *call, Rows *rows, ptrdiff_t sample,
                          int32_t *index) noexcept nogil:
    """Read one row of a sparse matrix; return whether it is a row.

    Only the inputs that the matrix holds are written: the first operation reads no others.
    """
    cdef const Sparse *sparse = call.sparse
    cdef char *x = <char *>rows.values[0]
    cdef char *packed = <char *>rows.values[1]  # room that operation 0 writes to later
    cdef int64_t start
    cdef ptrdiff_t count = sparse_row(sparse, sample, call.k, index, &start), i
    cdef nn_source source = call.source
    if count <= 0:
        rows.column_count = 0
        return count == 0
    rows.column_count = count
    source.data = sparse.values + start * sparse.value_bytes
    source.gapless_end = source.data + count * sparse.value_bytes
    call.kernels.load_row(&source, 0, count, packed)
    if call.itemsize == 8:
        for i in range(count):
            (<double *>x)[index[i]] = (<double *>packed)[i]
    else:
        for i in range(count):
            (<float *>x)[index[i]] = (<float *>packed)[i]
    return True


cdef bint make_dense(const Sparse *sparse, ptrdiff_t first, ptrdiff_t n, ptrdiff_t k, char *block,
                     int32_t *index) noexcept nogil:
    """Write n rows of a sparse matrix into a block (n, k) of zeros; return whether they are rows.

    index: room for k columns.
    """
    cdef ptrdiff_t row, count, i
    cdef int64_t start
    cdef const char *values
    for row in range(n):
        count = sparse_row(sparse, first + row, k, index, &start)
        if count < 0:
            return False
        values = sparse.values + start * sparse.value_bytes
        if sparse.value_bytes == 8:
            for i in range(count):
                (<uint64_t *>block)[index[i]] = (<const uint64_t *>values)[i]
        elif sparse.value_bytes == 4:
            for i in range(count):
                (<int32_t *>block)[index[i]] = (<const int32_t *>values)[i]
        else:
            for i in range(count):
                memcpy(block + index[i] * sparse.value_bytes, values + i * sparse.value_bytes,
                       sparse.value_bytes)
        block += k * sparse.value_bytes
    return True


cdef inline void write_rows(const Call *call, const Rows *rows, ptrdiff_t first) noexcept nogil:
    cdef ptrdiff_t size = call.itemsize, _, j
    cdef const Output *out = &call.out
    cdef const char *y = <const char *>rows.values[call.operations.count]
    cdef char *to = out.data + first * out.row_stride * size
    for _ in range(rows.samples):
        if out.column_stride == 1:
            memcpy(to, y, call.m * size)
        elif size == 8:
            for j in range(call.m):
                (<double *>to)[j * out.column_stride] = (<const double *>y)[j]
        else:
            for j in range(call.m):
                (<float *>to)[j * out.column_stride] = (<const float *>y)[j]
        y += call.operations.list[call.operations.count - 1].output_apart * size
        to += out.row_stride * size


# ---- one thread's way through a whole network ----

cdef bint fetching_pays(const nn_source *x) noexcept nogil:
    """Return whether a line of memory holds some inputs of a sample, so that fetching it pays."""
    return 0 < x.column_stride <= NN_LINE_BYTES // 2


cdef void run_tile(const Call *call, Tile *tile, ptrdiff_t first, ptrdiff_t end,
                   int32_t *index) noexcept nogil:
    """Run the tile of samples from `first` on, and fetch those of the next tile, up to `end`, from
    memory meanwhile."""
    cdef nn_ahead ahead
    cdef nn_ahead *next = NULL
    cdef ptrdiff_t i
    ahead.data = call.source.data + (first + tile.samples) * call.source.row_stride
    ahead.order = NULL
    ahead.row_stride = call.source.row_stride
    ahead.bytes = call.k * call.source.column_stride
    ahead.rows = min(tile.samples, end - first - tile.samples)
    ahead.row = ahead.at = 0
    tile.width = tile.vectors * call.kernels.lanes
    if fetching_pays(&call.source):
        next = &ahead
    for i in range(begin_tile(call, tile, first, index, next), call.operations.count):
        apply_to_tile(call, tile, i, NULL, index, next if i == 0 else NULL)
    write_tile(call, tile, first)


cdef ptrdiff_t begin_tile(const Call *call, Tile *tile, ptrdiff_t first, int32_t *index,
                          nn_ahead *ahead) noexcept nogil:
    """Read the samples from `first` on, and if they are mostly zeros, run the first layer from
    where they are. Return which operation is next."""
    cdef const nn_operation *operation = &call.operations.list[0]
    if (call.kernels.sparse_layer != NULL
            and operation.kind == NN_operation_dense
            and operation.layer.weights == <int>call.weights
            and not tile.looks.dense and not spares_look(tile.looks, 0)):
        if call.kernels.sparse_layer(&operation.layer, &call.source, first, tile.samples,
                                     tile.vectors, tile.values[0], tile.values[1], ahead):
            tile.line_count = call.k  # narrower tiles would not have more zeros
            return 1
        tile.looks.dense = True
    read_tile(call, tile, first, index)
    return 0


cdef void run_rows(const Call *call, ptrdiff_t first, ptrdiff_t samples, const Scratch *scratch,
                   Looks *looks) noexcept nogil:
    """Run a few samples from `first` on by rows."""
    cdef Rows rows
    cdef ptrdiff_t i
    rows.values = scratch.values
    rows.samples = samples
    rows.filled = samples
    while call.strategy.is_narrow and rows.filled & (rows.filled - 1):
        rows.filled += 1
    rows.together = rows.filled
    rows.columns, rows.looks = NULL, looks
    read_rows(call, &rows, first)
    for i in range(call.operations.count):
        apply_to_rows(call, &rows, i, NULL, scratch.index)
    write_rows(call, &rows, first)


cdef void run_sparse_rows(const Call *call, ptrdiff_t first, ptrdiff_t end,
                          const Scratch *scratch) noexcept nogil:
    """Run rows first to end - 1 of a sparse matrix, one by one."""
    cdef Rows rows
    cdef ptrdiff_t i
    rows.values = scratch.values
    rows.samples = rows.filled = rows.together = 1
    rows.input, rows.input_apart = <const char *>scratch.values[0], 0
    rows.columns, rows.looks = scratch.index, NULL
    while first < end:
        if not read_sparse_row(call, &rows, first, scratch.index):
            call.sparse.damaged = True
            return
        for i in range(call.operations.count):
            apply_to_rows(call, &rows, i, NULL, scratch.index)
        write_rows(call, &rows, first)
        first += 1


cdef void run_span(const Call *call, ptrdiff_t first, ptrdiff_t end,
                   const Scratch *scratch) noexcept nogil:
    """Run samples first to end - 1, in tiles while they fill one, then by rows."""
    if call.sparse != NULL:
        run_sparse_rows(call, first, end, scratch)
        return
    cdef const Strategy *strategy = call.strategy
    cdef ptrdiff_t lanes = call.kernels.lanes, most = strategy.tile_vectors
    cdef ptrdiff_t left, vectors, samples
    cdef Tile tile
    cdef Looks looks
    tile.values, tile.tape, tile.looks = scratch.values, NULL, &looks
    looks.groups = 0
    while first < end:
        if looks.groups % LOOK_PERIOD == 0:
            looks.none, looks.dense = 0, False
        looks.groups += 1
        left = end - first
        vectors = (0 if strategy.by_rows or left < strategy.tile_from
                   else left // lanes + (left % lanes >= strategy.vector_from))
        if vectors == 0:
            samples = call.kernels.row_samples
            # Narrow weights are for powers of two: 3 are run as 4, and 7 as 8, which costs less
            # than 2 + 1 or 4 + 2 + 1. Weights from memory had better come once.
            while (strategy.is_narrow and not strategy.from_memory
                    and samples > left + (left > 2)):
                samples //= 2
            # A row or two cost more than those of a block. Where all of its sums are
            # computed side by side, 9 rows are better run as 5 + 4 than as 8 + 1.
            if (2 < samples < left <= samples + 2 and samples == call.kernels.row_block
                    and not strategy.is_narrow):
                samples = (left + 1) // 2
            samples = min(samples, left)
            run_rows(call, first, samples, scratch, &looks)
        else:
            if most < vectors < 2 * most and left - most * lanes >= strategy.tile_from:
                vectors = (vectors + 1) // 2
            tile.vectors = min(vectors, most)
            tile.samples = samples = min(left, tile.vectors * lanes)
            run_tile(call, &tile, first, end, scratch.index)
            # The fewer samples in a tile, the more inputs are zero in all of them.
            if 4 * tile.line_count < 3 * call.k and strategy.narrow_vectors > 0:
                most = strategy.narrow_vectors
        first += samples


# ---- sharing: a batch by its samples ----

cdef struct SharedSamples:
    const void *call
    span_function run
    Scratch **scratch     # one for each thread
    ptrdiff_t n, span, next


cdef void _divide_samples(SharedSamples *shared, ptrdiff_t tile, ptrdiff_t threads) noexcept nogil:
    """Divide the samples into spans, as many for each thread, of some tiles each where possible.

    Where there are many spans, they consist of whole tiles.
    """
    cdef ptrdiff_t rounds = max(1, shared.n // (4 * tile * threads))
    cdef ptrdiff_t spans = rounds * threads
    shared.span = (shared.n + spans - 1) // spans
    if rounds >= MANY_SPANS:
        shared.span = shared.span // tile * tile


cdef void _work_on_samples(SharedSamples *shared, int thread) noexcept nogil:
    """Take the next span of samples until none is left."""
    cdef unsigned long long found = nn_enter_fp()
    cdef ptrdiff_t first
    while True:
        first = nn_take(&shared.next) * shared.span
        if first >= shared.n:
            break
        shared.run(shared.call, first, min(first + shared.span, shared.n),
                   shared.scratch[thread])
    nn_leave_fp(found)


cdef Scratch **_take_scratches(Compiled plan, ptrdiff_t threads) except NULL:
    """Return scratch memory for each thread."""
    cdef Scratch **scratch = <Scratch **>calloc(threads, sizeof(Scratch *))
    cdef ptrdiff_t i
    if scratch == NULL:
        raise MemoryError()
    plan.most_spare = max(plan.most_spare, threads)
    try:
        for i in range(threads):
            scratch[i] = plan.take_scratch()
    except MemoryError:
        _give_back_all(plan, scratch, threads)
        raise
    return scratch


cdef void _give_back_all(Compiled plan, Scratch **scratch, ptrdiff_t threads) noexcept:
    # The last first, so that the next call gives each thread what its cache holds.
    cdef ptrdiff_t i
    for i in range(threads - 1, -1, -1):
        if scratch[i] != NULL:
            plan.give_back(scratch[i])
    free(scratch)


cdef share_samples(Compiled plan, span_function run, const void *call, ptrdiff_t n, ptrdiff_t tile,
                   ptrdiff_t threads, bint urgent):
    """Run a call on n samples, in tiles of so many, by so many threads at most.

    urgent: whether threads that sleep are woken for it.
    """
    cdef SharedSamples shared
    shared.call, shared.run, shared.n, shared.next = call, run, n, 0
    threads = min(threads, NN_MOST_THREADS)
    _divide_samples(&shared, tile, threads)
    threads = min(threads, (n + shared.span - 1) // shared.span)
    shared.scratch = _take_scratches(plan, threads)
    with nogil:
        share_work(<nn_work *>_work_on_samples, &shared, threads, urgent)
    _give_back_all(plan, shared.scratch, threads)


# ---- sharing: a few samples by the outputs of each operation ----

cdef struct SharedOutputs:
    const Call *call
    Scratch **scratch
    ptrdiff_t threads
    nn_count *stages
    Tile tile
    Rows rows
    bint by_rows


cdef void _work_on_outputs(SharedOutputs *shared, int thread) noexcept nogil:
    """Do pieces of all stages: what one thread does of the call.

    Stage 0 reads the input, and stage i computes operation i - 1. The stage after the last dense
    operation does the operations that are left and writes the outputs. A thread goes on to the next
    stage when all pieces of this one are done. It waits only for pieces that a running thread has
    taken, so a thread that starts late, or never, delays nobody.
    """
    cdef unsigned long long found = nn_enter_fp()
    cdef const Call *call = shared.call
    cdef ptrdiff_t stage, last = call.operations.last_dense + 2, piece, pieces
    cdef Slice slice
    for stage in range(last + 1):
        pieces = 1
        slice.first = slice.panels = 0  # an operation that is not dense is one piece
        if 0 < stage < last and call.operations.list[stage - 1].kind == NN_operation_dense:
            slice.panels = _panels_of_a_piece(shared, stage - 1, &pieces)
        while True:
            piece = nn_take(&shared.stages[stage].taken)
            if piece >= pieces:
                break
            if stage == 0:
                _read(shared)
            elif stage == last:
                _write(shared)
            else:
                slice.first = piece * slice.panels
                _apply(shared, stage - 1, &slice, shared.scratch[thread].index)
            nn_finish(&shared.stages[stage].done)
        nn_wait(&shared.stages[stage].done, pieces)
    nn_leave_fp(found)


cdef ptrdiff_t _panels_of_a_piece(const SharedOutputs *shared, ptrdiff_t i,
                                  ptrdiff_t *pieces) noexcept nogil:
    cdef const Call *call = shared.call
    cdef ptrdiff_t panels = nn_panel_count(call.weights, call.operations.list[i].layer.m)
    cdef ptrdiff_t size = max(1, min(<ptrdiff_t>MOST_PANELS, panels // (4 * shared.threads)))
    pieces[0] = (panels + size - 1) // size
    return size


cdef void _read(SharedOutputs *shared) noexcept nogil:
    if shared.by_rows:
        read_rows(shared.call, &shared.rows, 0)
    else:
        read_tile(shared.call, &shared.tile, 0, shared.scratch[0].index)


cdef void _apply(const SharedOutputs *shared, ptrdiff_t i, const Slice *slice,
                 int32_t *index) noexcept nogil:
    if shared.by_rows:
        apply_to_rows(shared.call, &shared.rows, i, slice, index)
    else:
        apply_to_tile(shared.call, &shared.tile, i, slice, index, NULL)


cdef void _write(const SharedOutputs *shared) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(shared.call.operations.last_dense + 1, shared.call.operations.count):
        _apply(shared, i, NULL, NULL)
    if shared.by_rows:
        write_rows(shared.call, &shared.rows, 0)
    else:
        write_tile(shared.call, &shared.tile, 0)


# ---- a call ----

cdef run_shared(Plan plan, const Call *call, ptrdiff_t n, ptrdiff_t threads, bint few,
                bint urgent):
    """Run a call by so many threads at most; few: by the outputs; urgent: wake those asleep."""
    if few:
        _share_outputs(plan, call, n, threads, urgent)
    else:
        share_samples(plan, <span_function>run_span, call, n,
                      call.kernels.lanes * call.strategy.tile_vectors, threads, urgent)


cdef _share_outputs(Plan plan, const Call *call, ptrdiff_t n, ptrdiff_t threads, bint urgent):
    cdef SharedOutputs shared
    cdef ptrdiff_t i, most = 1, lanes = call.kernels.lanes
    for i in range(call.operations.count):
        if call.operations.list[i].kind == NN_operation_dense:
            most = max(most, nn_panel_count(call.weights, call.operations.list[i].layer.m))
    threads = min(threads, min(<ptrdiff_t>NN_MOST_THREADS, most))
    shared.call, shared.threads = call, threads
    shared.stages = <nn_count *>calloc(call.operations.count + 2, sizeof(nn_count))
    if shared.stages == NULL:
        raise MemoryError()
    try:
        shared.scratch = _take_scratches(plan, threads)
        shared.by_rows = n < call.strategy.few_tile_from
        shared.rows.values = shared.tile.values = shared.scratch[0].values
        shared.rows.samples = shared.rows.filled = shared.tile.samples = n
        shared.rows.together = call.kernels.row_samples
        shared.rows.columns, shared.rows.looks = NULL, NULL
        shared.tile.vectors = (n + lanes - 1) // lanes
        shared.tile.tape, shared.tile.looks = NULL, NULL
        shared.tile.width = shared.tile.vectors * lanes
        with nogil:
            share_work(<nn_work *>_work_on_outputs, &shared, threads, urgent)
        _give_back_all(plan, shared.scratch, threads)
    finally:
        free(shared.stages)


cdef void prepare_call(Plan plan, bint sums_only, Call *call) noexcept nogil:
    """Fill in all of a call but the samples and where the results go."""
    call.kernels, call.strategy, call.identity = plan.kernels, &plan.strategy, plan.identity
    call.operations = &plan.sums if sums_only else &plan.outputs
    call.sparse = NULL
    call.weights, call.itemsize, call.k, call.m = plan.weights, plan.itemsize, plan.k, plan.m


# What begin_call has decided. `began` is 0 if the call is not measured, the rest only set if it is.
cdef struct Trial:
    nn_choice *choice
    bint alone
    int64_t began


cdef bint begin_call(Compiled plan, ptrdiff_t n, double work, double least, ptrdiff_t threads,
                     Trial *trial) noexcept nogil:
    """Return whether so many threads are to share a call; two share `least` multiply-adds."""
    cdef int level = 0
    while work >= 2 * least:
        least *= 2
        level += 1
        if level == CHOICES:
            return True
    trial.choice = &plan.choices[level]
    trial.alone = nn_choose(trial.choice, threads, n, &trial.began)
    return not trial.alone


cdef inline void end_call(const Trial *trial) noexcept nogil:
    if trial.began:
        nn_chosen(trial.choice, trial.alone, trial.began)


cdef cnp.ndarray run_plan(Plan plan, cnp.ndarray x, int code, cnp.ndarray out, bint sums_only):
    """Run x (k,) or (n, k) into out (m,) or (n, m), made here if None. Both have been checked.

    code: the nn_type of x.
    """
    cdef Call call
    cdef Trial trial
    cdef int dimensions = cnp.PyArray_NDIM(x)
    cdef ptrdiff_t n = 1 if dimensions == 1 else cnp.PyArray_DIM(x, 0)
    cdef cnp.npy_intp shape[2]
    if out is None:
        shape[0] = n if dimensions == 2 else plan.m
        shape[1] = plan.m
        out = cnp.PyArray_EMPTY(
            dimensions, shape, cnp.NPY_DOUBLE if plan.is_double else cnp.NPY_FLOAT, 0)
    prepare_call(plan, sums_only, &call)
    plan.reader.locate(x, code, &call.source)
    call.out.data = cnp.PyArray_BYTES(out)
    call.out.column_stride = cnp.PyArray_STRIDE(out, dimensions - 1) // plan.itemsize
    call.out.row_stride = cnp.PyArray_STRIDE(out, 0) // plan.itemsize if dimensions == 2 else 0

    cdef double work = plan.multiply_adds * n, least = plan.least
    cdef ptrdiff_t threads = 1
    cdef bint few
    if least < 0:
        least = plan.least = parallel_min()
    if work >= least and n > 0:
        threads = _threads_of(plan, n, work, &few)
    trial.began = 0
    if threads > 1 and begin_call(plan, n, work, least, threads, &trial):
        run_shared(plan, &call, n, threads, few, work >= least * <double>_table.URGENT)
    else:
        _run_alone(plan, &call, n, work)
    end_call(&trial)
    return out


cdef int _run_alone(Plan plan, const Call *call, ptrdiff_t n, double work) except -1:
    cdef Scratch *scratch = plan.take_scratch()
    cdef unsigned long long found
    if n == 1 and work < SMALL_WORK:
        found = nn_enter_fp()
        run_rows(call, 0, 1, scratch, NULL)
        nn_leave_fp(found)
    else:
        with nogil:
            found = nn_enter_fp()
            run_span(call, 0, n, scratch)
            nn_leave_fp(found)
    plan.give_back(scratch)
    return 0


cdef ptrdiff_t _threads_of(Plan plan, ptrdiff_t n, double work, bint *few) except -1:
    """Return the threads for a call that may be shared; few: by the outputs of each layer."""
    cdef ptrdiff_t threads = _table.get_num_threads()
    cdef double least = parallel_min()
    if least > 0:  # no more than have enough to do
        threads = <ptrdiff_t>min(<double>threads, 1 + work / least)
    few[0] = _few_samples(plan, n) and work >= plan.outputs.dense_count * least * (2.0 / 3)
    return threads if few[0] or n > 2 else 1


cdef bint _few_samples(Plan plan, ptrdiff_t n):
    """Return whether threads should share the outputs of each layer, and meet after it.

    That pays where there are few samples to share, and where the weights are beyond the cache:
    each thread then fetches a part of them instead of all.
    """
    cdef ptrdiff_t lanes = plan.kernels.lanes, vectors = (n + lanes - 1) // lanes
    if plan.strategy.is_wide and n > lanes:  # unless much of the last vector would be empty
        return vectors <= plan.strategy.tile_vectors and 4 * n >= 3 * vectors * lanes
    if plan.strategy.weight_bytes <= plan.kernels.costs.near_bytes:
        return n <= 2
    return n <= lanes
