"""The trainer: a network's parameters while they are learned, whole epochs in one call.

What happens in a call is in backprop.pyx; here is what Python sees of it, the memory it takes, and
the optimizers' constants.
"""
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

cimport ndarrays as cnp

from contract cimport (
    NN_MOST_SAMPLES, NN_binary_cross_entropy, NN_cross_entropy, NN_identity, NN_operation_dense,
    NN_operation_dropout, nn_elements,
    nn_layer, nn_mix, nn_now, nn_source, nn_targets, nn_update, nn_work,
)
from panels cimport (
    NN_LINE_BYTES, nn_pack, nn_packed_bytes, nn_panel_count, nn_panel_outputs, nn_plain,
    nn_plain_weights, nn_unpack, nn_weights,
)
from nncore._backprop cimport Learner, Lesson, Part, Piece, chunk_count, learn, transpose_weights
from nncore._plan cimport Program, compile_program
from nncore._threads cimport parallel_min, share_work
from nncore._table cimport table

import numpy as np

from nncore import _table, _threads

cnp.import_array()

OPTIMIZERS = {row[0]: (code, *row[1:]) for code, row in enumerate(_table.optimizer_rows())}


cdef enum:
    # A chunk is shared if it has this many times as much work as a call that is shared: the threads
    # meet in each chunk, and when learning they also read what the others have written.
    CHUNK_WORK = 8
    CHUNK_LEARNING = 32


cdef inline void *_data(object array) noexcept:
    return cnp.PyArray_DATA(<cnp.ndarray>array)


def _of_steps(name, array, ptrdiff_t steps):
    """Return an array that has a number for each step, or refuse it."""
    if array.shape != (steps,) or array.dtype != np.float64 or not array.flags.c_contiguous:
        raise ValueError(f"{name} has shape {array.shape}, expected ({steps},) of float64")
    return array


def aligned_zeros(ptrdiff_t size, dtype):
    """Return zeros (size,) that begin on a cache line."""
    block = np.zeros(size + NN_LINE_BYTES // dtype.itemsize, dtype)
    skip = -block.ctypes.data % NN_LINE_BYTES // dtype.itemsize
    return block[skip:skip + size]


cdef class Trainer:
    """The parameters of a network while they are learned.

    Parameters
    ----------
    program : Program
        What the network's layers compile to; their weights are copied.
    loss : int
        Its code: its place in registries.h. The cross-entropies take the last layer's weighted
        sums, because softmax or sigmoid is a part of these losses.
    optimizer : dict or None
        ``kind``, a name of OPTIMIZERS, and its constants as torch.optim names them.
    dropout : list of float or None
        Of the activations of each layer, the last 0.
    label_smoothing : float
    clip_norm, clip_value : float or None
        Of the whole gradient's Euclidean norm; of each element.
    seed : int
        Of the dropout.
    """

    cdef Learner net
    cdef Program program
    cdef list keep, parameter_arrays, gradient_arrays, state_arrays
    cdef object sample_weights
    cdef ptrdiff_t rooms  # parts that there is memory for
    cdef double multiply_adds, smoothing
    cdef int loss
    cdef readonly int64_t steps
    cdef nn_update update  # all of a step but its number and rate
    cdef bint can_learn
    cdef int states        # arrays of state for each layer
    cdef object dtype

    def __cinit__(self, Program program not None, int loss, optimizer=None, *, dropout=None,
                  double label_smoothing=0, clip_norm=None, clip_value=None, seed=0):
        cdef Learner *net = &self.net
        cdef ptrdiff_t i, place, widest
        cdef nn_layer *layer
        self.dtype = np.dtype(np.float64 if program.is_double else np.float32)
        self.loss = loss
        self.smoothing = label_smoothing
        if optimizer is not None:
            self._set_optimizer(optimizer)
        self.keep = []
        self.program = taped_program(program, loss, dropout)
        compile_program(self.program, True, False, &net.operations)
        net.kernels = table(program.is_double)
        net.itemsize = self.dtype.itemsize
        net.call.weights = nn_plain_weights(program.is_double)
        net.panel = nn_panel_outputs(net.call.weights)
        net.depth = net.operations.dense_count
        net.clip_norm, net.clip_value = clip_norm or 0, clip_value or 0
        net.seed = nn_mix(<uint64_t>(seed & 0xffffffffffffffff))
        net.layers = <nn_layer **>self._pointers(net.depth)
        net.places = <ptrdiff_t *>self._room(net.depth * sizeof(ptrdiff_t))
        net.transposed = <nn_layer *>self._room(net.depth * sizeof(nn_layer))
        net.parameters = self._pointers(net.depth)
        net.gradient = self._pointers(net.depth)
        net.first_state = self._pointers(net.depth)
        net.second_state = self._pointers(net.depth)
        net.has_bias = <int *>self._room(net.depth * sizeof(int))
        self.parameter_arrays, self.gradient_arrays, self.state_arrays = [], [], []
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
        dense = [entry for entry in self.program.entries if entry[0] == NN_operation_dense]
        for i, entry in enumerate(dense):
            self._add_layer(i, entry[2])
        identity = <int32_t *>self._room((widest + 64) * sizeof(int32_t))
        for i in range(widest):
            identity[i] = <int32_t>i
        net.call.kernels, net.call.operations = net.kernels, &net.operations
        net.call.identity, net.call.itemsize = identity, net.itemsize
        net.call.k, net.call.m = net.k, net.m
        self._divide(1)
        for i in range(net.piece_count):
            transpose_weights(net, &net.pieces[i])

    def __dealloc__(self):
        free(self.net.operations.list)

    cdef _set_optimizer(self, options):
        if options["kind"] not in OPTIMIZERS:
            raise ValueError(f"optimizer is {options['kind']!r}, expected one of "
                             f"{', '.join(OPTIMIZERS)}")
        self.update.kind, states, momentum_states, settings = OPTIMIZERS[options["kind"]]
        self.update.scale = 1
        for place, name in enumerate(settings):
            self.update.settings[<int>place] = options[name]
        self.states = states + (momentum_states if options.get("momentum", 0) else 0)
        self.can_learn = True

    cdef _add_layer(self, ptrdiff_t i, bint has_bias):
        """Allocate a layer's parameters, which begin as they were packed, gradient and state."""
        cdef Learner *net = &self.net
        cdef nn_layer *layer = net.layers[i]
        cdef nn_weights weights = net.call.weights
        cdef ptrdiff_t size = nn_packed_bytes(weights, layer.k, layer.m) // net.itemsize
        self.multiply_adds += <double>layer.k * layer.m
        net.has_bias[i] = has_bias
        net.parameters[i] = self._add_to(self.parameter_arrays, size)
        memcpy(net.parameters[i], layer.panels, size * net.itemsize)
        layer.panels = net.parameters[i]
        net.gradient[i] = self._add_to(self.gradient_arrays, size)
        if self.states > 0:
            net.first_state[i] = self._add_to(self.state_arrays, size)
        if self.states > 1:
            net.second_state[i] = self._add_to(self.state_arrays, size)
        net.transposed[i].k, net.transposed[i].m = layer.m, layer.k
        if i > 0:
            net.transposed[i].panels = self._array(
                nn_packed_bytes(weights, layer.m, layer.k) // net.itemsize)

    cdef _divide(self, ptrdiff_t threads):
        """Allocate parts and pieces for so many threads."""
        cdef Learner *net = &self.net
        cdef ptrdiff_t i, j, panels, count
        cdef Part *parts
        if threads == net.part_count:
            return
        net.part_count = net.piece_count = 0  # should there be no memory for what follows
        if threads > self.rooms:
            parts = <Part *>self._room(threads * sizeof(Part))
            for i in range(threads):
                self._make_room(&parts[i])
            net.parts, self.rooms = parts, threads
        net.pieces = <Piece *>self._room(net.depth * threads * sizeof(Piece))
        # The longest first, so that all threads end at about the same time.
        for _, i in sorted([(-net.layers[i].k, i) for i in range(net.depth)]):
            panels = nn_panel_count(net.call.weights, net.layers[i].m)
            count = min(threads, panels)
            for j in range(count):
                net.pieces[net.piece_count].layer = i
                net.pieces[net.piece_count].first = panels * j // count
                net.pieces[net.piece_count].thread = j
                net.pieces[net.piece_count].panels = (
                    panels * (j + 1) // count - panels * j // count)
                net.piece_count += 1
        net.part_count = threads

    cdef _make_room(self, Part *part):
        """Allocate the memory for a part of up to NN_MOST_SAMPLES samples."""
        cdef Learner *net = &self.net
        cdef ptrdiff_t widest = net.k, i, m, count = net.operations.count, most = NN_MOST_SAMPLES
        part.tile.values = self._pointers(count + 1)
        part.tape.kept = self._pointers(count)
        part.delta_panels = self._pointers(net.depth)
        part.tile.values[0] = self._array((net.k + 64) * most)
        for i in range(count):
            m = net.operations.list[i].layer.m
            widest = max(widest, m)
            if net.operations.list[i].kind == NN_operation_dropout:  # in place
                part.tile.values[i + 1] = part.tile.values[i]
                part.tape.kept[i] = self._array(m * most)
            else:
                part.tile.values[i + 1] = self._array((m + 64) * most)
        for i in range(net.depth):
            part.delta_panels[i] = self._array((net.layers[i].m + 64) * most)
        part.delta = self._array((widest + 64) * most)
        part.other_delta = self._array((widest + 64) * most)
        part.auxiliary = self._array((net.m + 64) * most)
        part.tape.elements = <nn_elements *>self._room((net.k // 64 + 1) * sizeof(nn_elements))
        part.index = <int32_t *>self._room((widest + 64) * sizeof(int32_t))
        part.lists = <int32_t *>self._room(8 * (most + 16) * sizeof(int32_t))

    cdef void **_pointers(self, ptrdiff_t count) except NULL:
        return <void **>self._room(count * sizeof(void *))

    cdef void *_add_to(self, list arrays, ptrdiff_t size) except NULL:
        arrays.append(aligned_zeros(size, self.dtype))
        return _data(arrays[len(arrays) - 1])

    cdef void *_room(self, size_t size) except NULL:
        block = np.zeros(size + 8, np.uint8)
        self.keep.append(block)
        return _data(block)

    cdef void *_array(self, ptrdiff_t size) except NULL:
        array = aligned_zeros(size, self.dtype)
        self.keep.append(array)
        return _data(array)

    # ---- what Python calls ----

    def run(self, x, targets, weights, order, ptrdiff_t batch_size, rates, settings=None,
            bias_settings=None, squares=None):
        """Learn from the samples in order, a step for each batch_size of them.

        Parameters
        ----------
        x : ndarray (N, k), any real dtype of native byte order
        targets : int32 (N,) class labels, or (N, m) of the network's dtype
        weights : None, or (N,) of the network's dtype
        order : int64 (n,), C-contiguous: the samples to take
        batch_size : int
        rates : float64 (steps,): the learning rate of each step
        settings : None, or a dict from names of the optimizer's settings to float64 (steps,)
            What differs from step to step.
        bias_settings : None, or a dict likewise: what differs for the biases from the weights
        squares : None, or float64 (steps,), which is filled
            The sum of all squared weights, without the biases, before each step.

        Returns
        -------
        losses : float64 (steps,)
            The mean loss of each batch, before its update.
        right : int
            Samples that were classified right.
        bad : int
            -1, or the first batch whose loss was not finite: there it stopped, before the update.
        """
        cdef Lesson lesson
        memset(&lesson, 0, sizeof(Lesson))
        cdef ptrdiff_t n = order.shape[0]
        cdef ptrdiff_t steps = (n + batch_size - 1) // batch_size
        if not self.can_learn:
            raise ValueError("this Trainer has no optimizer")
        losses = np.full(steps, np.nan)
        block = self._updates(steps, rates, settings or {})
        lesson.backward, lesson.updates = True, <const nn_update *>_data(block)
        if bias_settings is not None:
            bias_block = self._updates(steps, rates, {**(settings or {}), **bias_settings})
            lesson.bias_updates = <const nn_update *>_data(bias_block)
        if squares is not None:
            lesson.squares = <double *>_data(_of_steps("squares", squares, steps))
        self._run(&lesson, x, targets, weights, order, n, batch_size, losses)
        self.steps += steps if lesson.bad < 0 else lesson.bad
        return losses, lesson.right, lesson.bad

    cdef _updates(self, ptrdiff_t steps, rates, dict settings):
        """Return the memory of an nn_update for each step."""
        cdef ptrdiff_t step
        cdef int place
        cdef const double *values = <const double *>_data(_of_steps("rates", rates, steps))
        block = np.empty(max(steps, 1) * sizeof(nn_update), np.uint8)
        cdef nn_update *updates = <nn_update *>_data(block)
        for step in range(steps):
            updates[step] = self.update
            updates[step].step, updates[step].rate = self.steps + step, values[step]
        names = list(OPTIMIZERS.values())[self.update.kind][3]
        for name, given in settings.items():
            if name not in names:
                raise ValueError(f"there is no setting {name!r}, expected one of {names}")
            place = names.index(name)
            values = <const double *>_data(_of_steps(name, given, steps))
            for step in range(steps):
                updates[step].settings[place] = values[step]
        return block

    def gradients(self, x, targets, weights):
        """Return the mean loss over all of x and its gradient: (loss, [(dw, db or None), ...])."""
        cdef Lesson lesson
        memset(&lesson, 0, sizeof(Lesson))
        lesson.backward, lesson.updates = True, NULL
        loss = np.zeros(1)
        self._run(&lesson, x, targets, weights, None, len(x), len(x), loss)
        return loss[0], self._plain(self.gradient_arrays)

    def evaluate(self, x, targets, weights):
        """Return (mean loss, samples classified right) over all of x, without dropout."""
        cdef Lesson lesson
        memset(&lesson, 0, sizeof(Lesson))
        lesson.backward, lesson.updates = False, NULL
        loss = np.zeros(1)
        self._run(&lesson, x, targets, weights, None, len(x), len(x), loss)
        return loss[0], lesson.right

    cdef _run(self, Lesson *lesson, x, targets, weights, order, ptrdiff_t n, ptrdiff_t batch_size,
              losses):
        """Run the n samples in order, in batches, with as many threads as pay."""
        cdef nn_targets wanted
        cdef ptrdiff_t threads = 1
        cdef double least = parallel_min() * (
            CHUNK_LEARNING if lesson.backward else CHUNK_WORK)
        cdef double of_chunk = self.multiply_adds * (3 if lesson.backward else 1) * min(
            min(batch_size, n), <ptrdiff_t>NN_MOST_SAMPLES)
        self._describe(x, targets, weights, order, &self.net.call.source, &wanted)
        if of_chunk >= least:
            threads = min(<ptrdiff_t>_threads.get_num_threads(), <ptrdiff_t>NN_MOST_SAMPLES)
            if least > 0:  # no more than have enough to do
                threads = <ptrdiff_t>min(<double>threads, 1 + of_chunk / least)
        self._divide(threads)
        chunks = chunk_count(n, max(batch_size, 1))
        done = np.zeros(3 * chunks, np.intp)
        claimed = np.zeros(
            (self.net.part_count + self.net.piece_count + 1) * chunks, np.uint8)
        lesson.net, lesson.targets = &self.net, &wanted
        lesson.samples, lesson.batch_size = n, max(batch_size, 1)
        lesson.steps = (n + lesson.batch_size - 1) // lesson.batch_size
        lesson.first_step = self.steps
        lesson.losses = <double *>_data(losses)
        lesson.right, lesson.bad, lesson.decided = 0, -1, 0
        lesson.began, lesson.waited, lesson.alone = nn_now(), 0, False
        lesson.done, lesson.claimed = <ptrdiff_t *>_data(done), <unsigned char *>_data(claimed)
        with nogil:
            share_work(<nn_work *>learn, lesson, threads, True)

    def arrays(self):
        """Return copies of the parameters: [(weights, bias or None), ...]."""
        return self._plain(self.parameter_arrays)

    def set_arrays(self, pairs):
        """Go on with other parameters: [(weights, bias or None), ...], as `arrays` returns."""
        cdef ptrdiff_t i
        for i, (weights, bias) in enumerate(pairs):
            plain = np.zeros((1 + self.net.layers[i].k, self.net.layers[i].m), self.dtype)
            plain[1:] = weights
            if bias is not None:
                plain[0] = bias
            self._pack(plain, self.parameter_arrays[i])
        for i in range(self.net.piece_count):
            transpose_weights(&self.net, &self.net.pieces[i])

    def get_state(self):
        """Return the optimizer's state: {"steps": int, "arrays": [(1 + k, m), ...]}, copies."""
        cdef ptrdiff_t each = len(self.state_arrays) // self.net.depth
        cdef nn_layer *layer
        arrays = []
        for i, array in enumerate(self.state_arrays):
            layer = self.net.layers[<ptrdiff_t>i // each]
            arrays.append(self._unpacked(array, layer))
        return {"steps": self.steps, "arrays": arrays}

    def set_state(self, state):
        """Go on from a state that `get_state` returned."""
        cdef nn_layer layer
        arrays = state["arrays"]
        cdef ptrdiff_t each = len(self.state_arrays) // self.net.depth
        expected = []
        for i in range(len(self.state_arrays)):
            layer = self.net.layers[<ptrdiff_t>i // each][0]
            expected.append((1 + layer.k, layer.m))
        came = [array.shape for array in arrays]
        if expected != came:
            raise ValueError(f"the state has arrays of shapes {came}, expected {expected}")
        for own, array in zip(self.state_arrays, arrays):
            self._pack(np.ascontiguousarray(array, self.dtype), own)
        self.steps = state["steps"]

    # ---- checks and constants ----

    cdef _describe(self, x, targets, weights, order, nn_source *source, nn_targets *wanted):
        cdef ptrdiff_t n = x.shape[0]
        if x.ndim != 2 or x.shape[1] != self.net.k:
            raise ValueError(f"x has shape {x.shape}, expected (n, {self.net.k})")
        self.program.reader.describe(x, source)
        memset(wanted, 0, sizeof(nn_targets))
        wanted.kind, wanted.smoothing = self.loss, self.smoothing
        if targets.ndim == 1 and targets.dtype == np.int32 and self.loss == NN_cross_entropy:
            if n and not 0 <= targets.min() <= targets.max() < self.net.m:
                raise ValueError(f"labels run from {targets.min()} to {targets.max()}, "
                                 f"expected 0 to {self.net.m - 1}")
            wanted.labels = <const int32_t *>_data(targets)
        elif targets.shape == (n, self.net.m) and targets.dtype == self.dtype:
            wanted.rows = _data(targets)
        else:
            raise ValueError(f"targets have shape {targets.shape} and dtype {targets.dtype}, "
                             f"expected ({n}, {self.net.m}) of {self.dtype}")
        if targets.shape[0] != n or not targets.flags.c_contiguous:
            raise ValueError(f"{len(targets)} targets for {n} samples, expected one for each")
        if weights is not None:
            if weights.shape != (n,) or weights.dtype != self.dtype:
                raise ValueError(f"weights have shape {weights.shape} and dtype {weights.dtype}, "
                                 f"expected ({n},) of {self.dtype}")
            weights = np.ascontiguousarray(weights)
            self.sample_weights = weights  # kept alive
            wanted.weights = _data(weights)
        if order is not None:
            if order.dtype != np.int64 or order.ndim != 1 or not order.flags.c_contiguous:
                raise ValueError("order is expected as a contiguous int64 array (n,)")
            if order.size and not 0 <= order.min() <= order.max() < n:
                raise ValueError(f"order names samples beyond 0 to {n - 1}")
            source.order = <const int64_t *>_data(order)
            wanted.order = source.order

    cdef _plain(self, arrays):
        pairs = []
        for i, array in enumerate(arrays):
            plain = self._unpacked(array, self.net.layers[<ptrdiff_t>i])
            pairs.append((plain[1:].copy(), plain[0].copy() if self.net.has_bias[i] else None))
        return pairs

    cdef _unpacked(self, packed, const nn_layer *layer):
        """(1 + k, m), bias first, of an array in the packed layout."""
        plain = np.empty((1 + layer.k, layer.m), self.dtype)
        cdef nn_plain to = self._rows_of(plain)
        nn_unpack(self.net.call.weights, _data(packed), layer.k, layer.m, &to)
        return plain

    cdef _pack(self, plain, packed):
        cdef nn_plain source = self._rows_of(plain)
        nn_pack(self.net.call.weights, &source, plain.shape[0] - 1, plain.shape[1], _data(packed))

    cdef nn_plain _rows_of(self, plain):
        """Where weights and bias of an array (1 + k, m), bias first, lie."""
        cdef nn_plain rows
        rows.b = <char *>_data(plain)
        rows.w_column = rows.b_column = self.net.itemsize
        rows.w_row = plain.shape[1] * self.net.itemsize
        rows.w = rows.b + rows.w_row
        return rows


cdef Program taped_program(Program program, int loss, dropout):
    """Return the program as it is learned: with dropout, and without what is a part of the loss.

    dropout: the rate of each dense layer's outputs, or None. The operation carries its layer's
    number, from 1, where others have their activation, and the rate as alpha.
    """
    cdef Program taped = Program({}, program.k, program.is_double)
    cdef ptrdiff_t number = 0
    last = program.entries[len(program.entries) - 1]
    for entry in program.entries:
        kind, m, bias, parameters, activation, alpha, beta = entry
        number += kind == NN_operation_dense
        if entry is last and loss in (NN_cross_entropy, NN_binary_cross_entropy):
            activation = NN_identity
        taped.entries.append((kind, m, bias, parameters, activation, alpha, beta))
        if kind == NN_operation_dense and dropout is not None and dropout[number - 1] > 0:
            taped.entries.append(
                (NN_operation_dropout, m, False, None, number, dropout[number - 1], 0.0))
    taped.m, taped.reader = program.m, program.reader
    return taped
