"""The trainer's compiled half: a network's parameters while they are learned, epochs in one call.

What happens in a call is in backprop.pxi; here are the memory that it takes and its arguments.
nncore/fit/trainer.py prepares them, and is the only caller. What is checked here is what would
break the memory of the process.
"""
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

cimport ndarrays as cnp

from contract cimport (
    NN_MOST_SAMPLES, NN_MOST_SETTINGS, NN_cross_entropy, NN_operation_dense, NN_operation_dropout,
    NN_uint8, nn_elements, nn_layer, nn_mix, nn_now, nn_targets, nn_update, nn_work,
)
from panels cimport (
    NN_LINE_BYTES, nn_pack, nn_packed_bytes, nn_panel_count, nn_panel_outputs, nn_plain,
    nn_plain_weights, nn_unpack, nn_weights,
)
from nncore._plan cimport Program, Reader, compile_program, rows_are_reals
from nncore._table cimport parallel_min, share_work, table

include "backprop.pxi"
include "parts.pxi"
include "pieces.pxi"

cnp.import_array()

MOST_SETTINGS = NN_MOST_SETTINGS


cdef enum:
    # A chunk is shared if it has this many times as much work as a call that is shared: the threads
    # meet several times in each chunk, and read what the others have written. That is 2.4 million
    # multiply-adds, with which two threads take about as long as one.
    CHUNK_WORK = 8
    STATE_WORK = 8  # a weight's step costs so many multiply-adds for each state of the optimizer
    PIECES = 3  # of a layer for each thread: the last ones are done by whoever has time
    FEW_PANELS = 8  # for each thread: with fewer, a layer is divided by its lines


cdef object _refuse():
    raise ValueError("nncore's trainer got something unexpected: this is a mistake in nncore")


cdef bint _is_read_in_place(const nn_source *x, bint is_double) noexcept:
    """Whether no number has to be converted one by one: then it takes little to read it twice."""
    return rows_are_reals(x, is_double) or x.type == <int>NN_uint8 and x.mean == NULL


cdef void *_memory(object array, char kind, size_t itemsize, ptrdiff_t size) except NULL:
    """Return the memory of a contiguous array of so many elements of that kind and size."""
    if not cnp.PyArray_Check(array):
        _refuse()
    cdef cnp.ndarray own = <cnp.ndarray>array
    if (cnp.PyArray_DESCR(own).kind != kind or <size_t>cnp.PyArray_ITEMSIZE(own) != itemsize
            or cnp.PyArray_SIZE(own) != size or not cnp.PyArray_ISCARRAY_RO(own)):
        _refuse()
    return cnp.PyArray_DATA(own)


cdef object _zeros(cnp.npy_intp size, int code):
    return cnp.PyArray_ZEROS(1, &size, code, 0)


cdef class Core:
    """The parameters of a network while they are learned.

    Parameters
    ----------
    program : Program
        What the network's layers compile to; their weights are copied.
    entries : list
        The same operations as they are learned: with dropout, and without what is a part of the
        loss.
    loss : int
        Its code: its place in registries.h.
    smoothing : float
        Of the labels.
    states : int
        How many arrays of state the optimizer has for each layer.
    clip_norm, clip_value : float
        0: not limited.
    seed : int
        Of the dropout.
    """

    cdef Learner net
    cdef Program program
    cdef Reader reader
    cdef list keep
    cdef ptrdiff_t rooms  # parts that there is memory for
    cdef double multiply_adds, smoothing
    cdef int loss, states
    cdef bint by_outputs  # whether the threads share the first layer by its outputs
    cdef void **packed[4]  # for each layer: its parameters, gradient, first and second state

    def __cinit__(self, Program program not None, list entries not None, int loss,
                  double smoothing, int states, double clip_norm, double clip_value,
                  uint64_t seed, /):
        cdef Learner *net = &self.net
        cdef ptrdiff_t i, place, widest
        cdef nn_layer *layer
        self.loss, self.smoothing, self.states = loss, smoothing, states
        self.keep = []
        self.reader = program.reader
        self.program = Program({}, program.k, program.is_double)
        self.program.entries = entries
        compile_program(self.program, True, False, &net.operations)
        net.kernels = table(program.is_double)
        net.itemsize = 8 if program.is_double else 4
        net.call.weights = nn_plain_weights(program.is_double)
        net.panel = nn_panel_outputs(net.call.weights)
        net.depth = net.operations.dense_count
        net.clip_norm, net.clip_value = clip_norm, clip_value
        net.seed = nn_mix(seed)
        net.layers = <nn_layer **>self._pointers(net.depth)
        net.places = <ptrdiff_t *>self._room(net.depth * sizeof(ptrdiff_t))
        net.later = <ptrdiff_t *>self._room(net.operations.count * sizeof(ptrdiff_t))
        net.transposed = <nn_layer *>self._room(net.depth * sizeof(nn_layer))
        net.inputs, net.delta_panels = self._pointers(net.depth), self._pointers(net.depth)
        for i in range(4):
            self.packed[i] = self._pointers(net.depth)
        net.parameters, net.gradient = self.packed[0], self.packed[1]
        net.first_state, net.second_state = self.packed[2], self.packed[3]
        net.has_bias = <int *>self._room(net.depth * sizeof(int))
        net.k, net.m = program.k, program.m
        widest, i = net.k, 0
        for place in range(net.operations.count):
            layer = &net.operations.list[place].layer
            widest = max(widest, layer.m)
            if net.operations.list[place].kind == NN_operation_dense:
                net.layers[i], net.places[i] = layer, place
                i += 1
            elif (net.operations.list[place].kind != NN_operation_dropout
                    and net.kernels.apply[net.operations.list[place].kind].backward == NULL):
                raise ValueError("the network has an operation that nothing can be learned through")
            net.later[place] = net.depth - i
        i = 0
        for kind, _, has_bias, _, _, _, _ in entries:
            if kind == NN_operation_dense:
                net.has_bias[i] = has_bias
                self._add_layer(i, 2 + states)
                i += 1
        identity = <int32_t *>self._room((widest + 64) * sizeof(int32_t))
        for i in range(widest):
            identity[i] = <int32_t>i
        net.call.kernels, net.call.operations = net.kernels, &net.operations
        net.call.identity, net.call.itemsize = identity, net.itemsize
        net.call.k, net.call.m = net.k, net.m
        self._divide(1)
        self._transpose()

    def __dealloc__(self):
        free(self.net.operations.list)

    cdef void _transpose(self) noexcept:
        cdef ptrdiff_t i
        for i in range(self.net.piece_count):
            transpose_weights(&self.net, &self.net.pieces[i])

    cdef _add_layer(self, ptrdiff_t i, int arrays):
        """Allocate a layer's parameters, which begin as they were packed, gradient and states."""
        cdef Learner *net = &self.net
        cdef nn_layer *layer = net.layers[i]
        cdef nn_weights weights = net.call.weights
        cdef ptrdiff_t size = nn_packed_bytes(weights, layer.k, layer.m)
        cdef int j
        self.multiply_adds += <double>layer.k * layer.m
        for j in range(min(arrays, 4)):
            self.packed[j][i] = self._room(size)
        memcpy(net.parameters[i], layer.panels, size)
        layer.panels = net.parameters[i]
        net.inputs[i] = self._array((layer.k + 64) * NN_MOST_SAMPLES)
        net.delta_panels[i] = self._array((layer.m + 64) * NN_MOST_SAMPLES)
        net.transposed[i].k, net.transposed[i].m = layer.m, layer.k
        if i > 0:
            net.transposed[i].panels = self._room(nn_packed_bytes(weights, layer.m, layer.k))

    cdef _divide(self, ptrdiff_t threads):
        """Allocate parts and pieces for so many threads."""
        cdef Learner *net = &self.net
        cdef ptrdiff_t i
        cdef Part *parts
        if threads == net.part_count:
            return
        net.part_count = net.piece_count = 0  # should there be no memory for what follows
        if threads > self.rooms:
            parts = <Part *>self._room(threads * sizeof(Part))
            for i in range(threads):
                self._make_room(&parts[i])
            net.pieces = <Piece *>self._room(net.depth * PIECES * threads * sizeof(Piece))
            net.parts, self.rooms = parts, threads
        # Layers of many inputs first, so that all threads end at about the same time.
        for _, i in sorted([(-net.layers[i].k, i) for i in range(net.depth)]):
            self._divide_layer(i, threads)
        net.part_count = threads

    cdef void _divide_layer(self, ptrdiff_t i, ptrdiff_t threads) noexcept:
        """Append pieces of layer i for each thread: some panels, or if these are few, some lines.

        With few panels, the kernel would have few sums to compute side by side, and each thread
        would look for zeros in all lines. Pieces begin at whole panels of the transposed weights.
        """
        cdef Learner *net = &self.net
        cdef ptrdiff_t panels = nn_panel_count(net.call.weights, net.layers[i].m), j
        cdef ptrdiff_t k = net.layers[i].k
        cdef ptrdiff_t blocks = nn_panel_count(net.call.weights, k)
        cdef bint by_panels = panels >= FEW_PANELS * threads
        cdef ptrdiff_t all = panels if by_panels else blocks
        cdef ptrdiff_t count = max(1, min(PIECES * threads if threads > 1 else 1, all))
        cdef Piece *piece
        cdef Part *part
        if i == 0:
            self.by_outputs = by_panels
            for j in range(threads):
                net.parts[j].start = net.parts[j].end = 0
        for j in range(count):
            piece = &net.pieces[net.piece_count]
            piece.layer, piece.thread = i, j * threads // count
            piece.first, piece.panels, piece.start, piece.end = 0, panels, 0, k
            if by_panels:
                piece.first = panels * j // count
                piece.panels = panels * (j + 1) // count - piece.first
            else:
                piece.start = blocks * j // count * net.panel
                piece.end = min(k, blocks * (j + 1) // count * net.panel)
            if i == 0:
                part = &net.parts[piece.thread]
                part.start = part.start if part.end > 0 else piece.start
                part.end = piece.end
            net.piece_count += 1

    cdef _make_room(self, Part *part):
        """Allocate the memory for a part of up to NN_MOST_SAMPLES samples."""
        cdef Learner *net = &self.net
        cdef ptrdiff_t widest = net.k, i, m, count = net.operations.count, most = NN_MOST_SAMPLES
        part.tile.values, part.tile.looks = self._pointers(count + 1), NULL
        part.tape.kept = self._pointers(count)
        part.samples = self._array((net.k + 64) * most)
        part.used = <unsigned char *>self._room(net.k)
        for i in range(count):
            m = net.operations.list[i].layer.m
            widest = max(widest, m)
            if net.operations.list[i].kind == NN_operation_dropout:  # in place
                part.tile.values[i + 1] = part.tile.values[i]
                part.tape.kept[i] = self._array(m * most)
            else:
                part.tile.values[i + 1] = self._array((m + 64) * most)
        part.delta[0] = self._array((widest + 64) * most)
        part.delta[1] = self._array((widest + 64) * most)
        part.auxiliary = self._array((net.m + 64) * most)
        part.rows = self._array(2 * (widest + 64) * net.kernels.row_samples)
        part.tape.elements = <nn_elements *>self._room((net.k // 64 + 1) * sizeof(nn_elements))
        part.index = <int32_t *>self._room((widest + 64) * sizeof(int32_t))
        part.lists = <int32_t *>self._room(8 * (most + 16) * sizeof(int32_t))

    cdef void **_pointers(self, ptrdiff_t count) except NULL:
        return <void **>self._room(count * sizeof(void *))

    cdef void *_array(self, ptrdiff_t size) except NULL:
        return self._room(size * self.net.itemsize)

    cdef void *_room(self, size_t size) except NULL:
        """Return so many bytes of zeros that begin on a cache line."""
        block = _zeros(size + NN_LINE_BYTES, cnp.NPY_UINT8)
        self.keep.append(block)
        cdef char *start = <char *>cnp.PyArray_DATA(<cnp.ndarray>block)
        return start + (-<size_t>start) % NN_LINE_BYTES

    def run(self, bint backward, cnp.ndarray x not None, cnp.ndarray targets not None, weights,
            order, ptrdiff_t n, ptrdiff_t batch_size, ptrdiff_t threads, losses,
            int64_t first_step, updates, bias_updates, squares, bint check, /):
        """Run n samples in order, in batches, with as many of the threads as pay.

        Parameters
        ----------
        backward : bool
            Whether the gradient is wanted.
        x : ndarray (N, k), any real dtype of native byte order
        targets : int32 (N,) class labels, or (N, m) of the network's dtype
        weights : None, or (N,) of the network's dtype
        order : None, or int64 (n,): the samples to take
        losses : float64 (steps,), which is filled: the mean loss of each batch, before its update
        first_step : int
            The number of the first step since training began.
        updates : None, or (steps,) of nn_update
            A step for each batch; its kind is one that `states` was meant for.
        bias_updates : None, or the same for the biases
        squares : None, or float64 (steps,), which is filled
            The sum of all squared weights, without the biases, before each step.
        check : bool
            Whether the loss is to be NaN where the first layer gets numbers that are not finite.
            Without it, they can reach the weights and leave the loss finite.

        Returns
        -------
        right : int
            Samples that were classified right.
        bad : int
            -1, or the first batch whose loss was not finite: there it stopped, before the update.
        """
        cdef Learner *net = &self.net
        cdef Lesson lesson
        cdef nn_targets wanted
        cdef ptrdiff_t rows = cnp.PyArray_DIM(x, 0) if cnp.PyArray_NDIM(x) == 2 else -1, i, steps
        cdef ptrdiff_t together = max(1, min(batch_size, n))
        cdef double least = parallel_min() * CHUNK_WORK, of_chunk  # multiply-adds
        memset(&lesson, 0, sizeof(Lesson))
        memset(&wanted, 0, sizeof(nn_targets))
        if rows < 0 or n < 0 or order is None and n > rows:
            _refuse()
        self.reader.describe(x, &net.call.source)
        batch_size = max(batch_size, 1)
        steps = (n + batch_size - 1) // batch_size
        wanted.kind, wanted.smoothing = self.loss, self.smoothing
        if self.loss == NN_cross_entropy and cnp.PyArray_NDIM(targets) == 1:
            wanted.labels = <const int32_t *>_memory(targets, c'i', sizeof(int32_t), rows)
            for i in range(rows):
                if not 0 <= wanted.labels[i] < net.m:
                    _refuse()
        else:
            wanted.rows = _memory(targets, c'f', net.itemsize, rows * net.m)
        if weights is not None:
            wanted.weights = _memory(weights, c'f', net.itemsize, rows)
        if order is not None:
            wanted.order = <const int64_t *>_memory(order, c'i', sizeof(int64_t), n)
            for i in range(n):
                if not 0 <= wanted.order[i] < rows:
                    _refuse()
            net.call.source.order = wanted.order
        if updates is not None:
            lesson.updates = <const nn_update *>_memory(updates, c'V', sizeof(nn_update), steps)
        if bias_updates is not None:
            lesson.bias_updates = <const nn_update *>_memory(
                bias_updates, c'V', sizeof(nn_update), steps)
        if squares is not None:
            lesson.squares = <double *>_memory(squares, c'f', sizeof(double), steps)
        lesson.losses = <double *>_memory(losses, c'f', sizeof(double), steps)
        together //= chunk_count(together, together)  # the samples of a chunk
        of_chunk = self.multiply_adds
        if backward:  # delta is not taken back through the first layer
            of_chunk += 2 * self.multiply_adds - <double>net.layers[0].k * net.layers[0].m
        of_chunk *= together
        if updates is not None:
            of_chunk += self.multiply_adds * self.states * STATE_WORK
        if of_chunk < least:
            threads = 1
        threads = max(1, min(threads, <ptrdiff_t>NN_MOST_SAMPLES))
        if least > 0:  # no more than have enough to do
            threads = <ptrdiff_t>min(<double>threads, 1 + of_chunk / least)
        self._divide(threads)
        net.one_tile = threads > 1 and net.places[0] == 0 and (
            self.by_outputs or not _is_read_in_place(&net.call.source, net.itemsize == 8))
        cdef ptrdiff_t chunks = chunk_count(n, batch_size)
        cdef ptrdiff_t legs = leg_count(net, backward) if net.part_count > 1 else 0
        lesson.counters = 3 + legs
        lesson.flags = net.part_count * (1 + legs) + net.piece_count + 1
        done = _zeros(chunks * lesson.counters, cnp.NPY_INTP)
        claimed = _zeros(chunks * lesson.flags, cnp.NPY_UINT8)
        lesson.backward, lesson.check = backward, check and cnp.PyArray_DESCR(x).kind == c'f'
        lesson.net, lesson.targets = net, &wanted
        lesson.samples, lesson.batch_size, lesson.steps = n, batch_size, steps
        lesson.first_step, lesson.bad, lesson.began = first_step, -1, nn_now()
        lesson.done = <ptrdiff_t *>cnp.PyArray_DATA(<cnp.ndarray>done)
        lesson.claimed = <unsigned char *>cnp.PyArray_DATA(<cnp.ndarray>claimed)
        with nogil:
            share_work(<nn_work *>learn, &lesson, threads, True)
        return lesson.right, lesson.bad

    def exchange(self, int kind, ptrdiff_t i, plain, bint store, /):
        """Copy an array of layer i to `plain`, or with `store` from there.

        kind: 0 parameters, 1 gradient, 2 and 3 the optimizer's states. plain: (1 + k, m) of the
        network's dtype, the bias first.
        """
        cdef Learner *net = &self.net
        cdef nn_plain rows
        if not (0 <= i < net.depth and 0 <= kind < 4) or self.packed[kind][i] == NULL:
            _refuse()
        cdef nn_layer *layer = net.layers[i]
        rows.b = <char *>_memory(plain, c'f', net.itemsize, (1 + layer.k) * layer.m)
        rows.w_column = rows.b_column = net.itemsize
        rows.w_row = layer.m * net.itemsize
        rows.w = rows.b + rows.w_row
        # The compiler sees that these are of two kinds, so it leaves the code for others out.
        cdef nn_weights weights = nn_plain_weights(net.itemsize == 8)
        if not store:
            nn_unpack(weights, self.packed[kind][i], layer.k, layer.m, &rows)
            return
        nn_pack(weights, &rows, layer.k, layer.m, self.packed[kind][i])
        if kind == 0:
            self._transpose()
