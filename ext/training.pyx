"""The trainer: a network's parameters while they are learned, whole epochs in one call.

What happens in a call is in backprop.pyx; here is what Python sees of it, the memory it takes, and
the optimisers' constants.
"""
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memset

cimport numpy as cnp

from contract cimport (
    NN_MOST_SAMPLES, NN_adagrad, NN_adam, NN_adamw, NN_binary_cross_entropy, NN_cross_entropy,
    NN_identity, NN_relu, NN_rmsprop, NN_sgd, nn_elements, nn_layer, nn_mix, nn_now, nn_source,
    nn_targets, nn_update, nn_work,
)
from nncore._backprop cimport Learner, Part, Piece, Work, chunk_count, learn, transpose_weights
from nncore._threads cimport share_work
from nncore.kernels cimport table
from nncore._source cimport Reader

import numpy as np

from nncore import kernels, _threads
from nncore._layout import LINE_BYTES, aligned_zeros, packed_layout, plain_layout

cnp.import_array()

# in the order of nn_loss
LOSSES = ("cross_entropy", "binary_cross_entropy", "mse", "mae", "huber")
OPTIMIZERS = {"sgd": NN_sgd, "adagrad": NN_adagrad, "rmsprop": NN_rmsprop, "adam": NN_adam,
              "adamw": NN_adamw}


cdef enum:
    # Times as much work in a chunk is shared: threads meet in each, when learning they also read
    # what the others have written.
    CHUNK_WORK = 8
    CHUNK_LEARNING = 32


cdef inline void *_data(object array) noexcept:
    return cnp.PyArray_DATA(<cnp.ndarray>array)


cdef class Trainer:
    """The parameters of a network while they are learned.

    Parameters
    ----------
    layers : list of (weights (k, m), bias (m,) or None, activation code, alpha)
        Arrays of the network's dtype; copied.
    reading : dict
        What is done to the inputs while they are read, as keywords of the Reader.
    loss : int
        Index into LOSSES. The cross-entropies take the last layer's weighted sums: whatever its
        activation is, softmax or sigmoid is a part of the loss.
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
    cdef Reader reader
    cdef list keep, parameter_arrays, gradient_arrays, state_arrays
    cdef object sample_weights
    cdef ptrdiff_t rooms  # parts that there is memory for
    cdef double multiply_adds, smoothing
    cdef int loss
    cdef readonly int64_t steps
    cdef dict options
    cdef object dtype

    def __cinit__(self, layers, reading, int loss, optimizer=None, *, dropout=None,
                  double label_smoothing=0, clip_norm=None, clip_value=None, seed=0):
        cdef Learner *net = &self.net
        cdef ptrdiff_t i, widest = 1
        self.dtype = layers[0][0].dtype
        self.loss = loss
        self.smoothing = label_smoothing
        self.options = dict(optimizer or {})
        self.keep = []
        net.kernels = table(self.dtype == np.float64)
        net.itemsize = self.dtype.itemsize
        net.panel = LINE_BYTES // self.dtype.itemsize
        net.depth = len(layers)
        net.clip_norm, net.clip_value = clip_norm or 0, clip_value or 0
        net.seed = nn_mix(<uint64_t>(seed & 0xffffffffffffffff))
        net.layers = <nn_layer *>self._room(net.depth * sizeof(nn_layer))
        net.transposed = <nn_layer *>self._room(net.depth * sizeof(nn_layer))
        net.parameters = self._pointers(net.depth)
        net.gradient = self._pointers(net.depth)
        net.first_state = self._pointers(net.depth)
        net.second_state = self._pointers(net.depth)
        net.has_bias = <int *>self._room(net.depth * sizeof(int))
        net.dropout = <double *>self._room((net.depth + 1) * sizeof(double))
        for i in range(net.depth):
            net.dropout[i + 1] = dropout[i] if dropout is not None else 0
        self.parameter_arrays, self.gradient_arrays, self.state_arrays = [], [], []
        for i, (w, b, code, alpha) in enumerate(layers):
            self._add_layer(i, w, b, code, alpha)
            widest = max(widest, net.layers[i].k, net.layers[i].m)
        net.k, net.m = net.layers[0].k, net.layers[net.depth - 1].m
        if loss in (NN_cross_entropy, NN_binary_cross_entropy):
            net.layers[net.depth - 1].activation = NN_identity
        net.identity = <int32_t *>self._room((widest + 64) * sizeof(int32_t))
        for i in range(widest):
            net.identity[i] = <int32_t>i
        self.reader = Reader(net.k, self.dtype == np.float64, **reading)
        self._divide(1)
        for i in range(net.piece_count):
            transpose_weights(net, &net.pieces[i])

    cdef _add_layer(self, ptrdiff_t i, w, b, int code, double alpha):
        cdef Learner *net = &self.net
        cdef nn_layer *layer = &net.layers[i]
        layer.k, layer.m = w.shape
        layer.activation, layer.alpha = code, alpha
        layer.skip_zeros = bool(np.isfinite(w).all())
        self.multiply_adds += <double>layer.k * layer.m
        net.has_bias[i] = b is not None
        plain = np.zeros((1 + layer.k, layer.m), self.dtype)
        plain[1:] = w
        if b is not None:
            plain[0] = b
        flat = packed_layout(plain, net.panel)
        net.parameters[i] = self._add_to(self.parameter_arrays, flat.size)
        self.parameter_arrays[i][:] = flat
        layer.panels = net.parameters[i]
        net.gradient[i] = self._add_to(self.gradient_arrays, flat.size)
        cdef int states = _states(self.options)
        if states > 0:
            net.first_state[i] = self._add_to(self.state_arrays, flat.size)
        if states > 1:
            net.second_state[i] = self._add_to(self.state_arrays, flat.size)
        net.transposed[i].k, net.transposed[i].m = layer.m, layer.k
        if i > 0:
            net.transposed[i].panels = self._array(
                (layer.k + net.panel - 1) // net.panel * net.panel * (1 + layer.m))

    cdef _divide(self, ptrdiff_t threads):
        """Parts and pieces for so many threads."""
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
        for i in sorted(range(net.depth), key=lambda i: -net.layers[<ptrdiff_t>i].k):
            panels = (net.layers[i].m + net.panel - 1) // net.panel
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
        """For a part of up to NN_MOST_SAMPLES samples."""
        cdef Learner *net = &self.net
        cdef ptrdiff_t widest = net.k, i, m, most = NN_MOST_SAMPLES
        part.sums = self._pointers(net.depth + 1)
        part.outputs = self._pointers(net.depth + 1)
        part.kept = self._pointers(net.depth + 1)
        part.delta_panels = self._pointers(net.depth)
        part.outputs[0] = self._array((net.k + 64) * most)
        for i in range(net.depth):
            m = net.layers[i].m
            widest = max(widest, m)
            # relu and identity have the same slope at the activation as at the weighted sum
            part.outputs[i + 1] = part.sums[i + 1] = self._array((m + 64) * most)
            if net.layers[i].activation not in (NN_identity, NN_relu):
                part.sums[i + 1] = self._array((m + 64) * most)
            if net.dropout[i + 1] > 0:
                part.kept[i + 1] = self._array(m * most)
            part.delta_panels[i] = self._array((m + 64) * most)
        part.delta = self._array((widest + 64) * most)
        part.other_delta = self._array((widest + 64) * most)
        part.auxiliary = self._array((net.m + 64) * most)
        part.elements = <nn_elements *>self._room((net.k // 64 + 1) * sizeof(nn_elements))
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

    def run(self, x, targets, weights, order, ptrdiff_t batch_size, rates):
        """Learn from the samples in order, a step for each batch_size of them.

        Parameters
        ----------
        x : ndarray (N, k), any real dtype of native byte order
        targets : int32 (N,) class labels, or (N, m) of the network's dtype
        weights : None, or (N,) of the network's dtype
        order : int64 (n,), C-contiguous: the samples to take
        batch_size : int
        rates : float64 (steps,): the learning rate of each step

        Returns
        -------
        losses : float64 (steps,)
            The mean loss of each batch, before its update.
        right : int
            Samples that were classified right.
        bad : int
            -1, or the first batch whose loss was not finite: there it stopped, before the update.
        """
        cdef Work work
        cdef ptrdiff_t n = order.shape[0], step
        cdef ptrdiff_t steps = (n + batch_size - 1) // batch_size
        if not self.options:
            raise ValueError("this Trainer has no optimizer")
        if rates.shape[0] != steps or rates.dtype != np.float64:
            raise ValueError(f"rates has shape {rates.shape}, expected ({steps},) of float64")
        losses = np.full(steps, np.nan)
        block = np.empty(max(steps, 1) * sizeof(nn_update), np.uint8)
        cdef nn_update *updates = <nn_update *>_data(block)
        for step in range(steps):
            updates[step] = self._constants(rates[step], self.steps + step)
        work.backward, work.updates = True, updates
        self._run(&work, x, targets, weights, order, n, batch_size, losses)
        self.steps += steps if work.bad < 0 else work.bad
        return losses, work.right, work.bad

    def gradients(self, x, targets, weights):
        """The mean loss over all of x and its gradient: (loss, [(dw, db or None), ...])."""
        cdef Work work
        work.backward, work.updates = True, NULL
        loss = np.zeros(1)
        self._run(&work, x, targets, weights, None, len(x), len(x), loss)
        return loss[0], self._plain(self.gradient_arrays)

    def evaluate(self, x, targets, weights):
        """(mean loss, samples classified right) over all of x, without dropout."""
        cdef Work work
        work.backward, work.updates = False, NULL
        loss = np.zeros(1)
        self._run(&work, x, targets, weights, None, len(x), len(x), loss)
        return loss[0], work.right

    cdef _run(self, Work *work, x, targets, weights, order, ptrdiff_t n, ptrdiff_t batch_size,
              losses):
        """The n samples in order, in batches, with the threads that pay."""
        cdef nn_source source
        cdef nn_targets wanted
        cdef ptrdiff_t threads = 1
        cdef double least = _threads.parallel_min() * (
            CHUNK_LEARNING if work.backward else CHUNK_WORK)
        cdef double of_chunk = self.multiply_adds * (3 if work.backward else 1) * min(
            min(batch_size, n), <ptrdiff_t>NN_MOST_SAMPLES)
        self._describe(x, targets, weights, order, &source, &wanted)
        if of_chunk >= least:
            threads = min(<ptrdiff_t>_threads.get_num_threads(), <ptrdiff_t>NN_MOST_SAMPLES)
            if least > 0:  # no more than have enough to do
                threads = <ptrdiff_t>min(<double>threads, 1 + of_chunk / least)
        self._divide(threads)
        chunks = chunk_count(n, max(batch_size, 1))
        done = np.zeros(3 * chunks, np.intp)
        claimed = np.zeros(
            (self.net.part_count + self.net.piece_count + 1) * chunks, np.uint8)
        work.net, work.source, work.targets = &self.net, &source, &wanted
        work.samples, work.batch_size = n, max(batch_size, 1)
        work.steps = (n + work.batch_size - 1) // work.batch_size
        work.first_step = self.steps
        work.losses = <double *>_data(losses)
        work.right, work.bad, work.decided = 0, -1, 0
        work.began, work.waited, work.alone = nn_now(), 0, False
        work.done, work.claimed = <ptrdiff_t *>_data(done), <unsigned char *>_data(claimed)
        with nogil:
            share_work(<nn_work *>learn, work, threads, True)

    def arrays(self):
        """Copies of the parameters: [(weights, bias or None), ...]."""
        return self._plain(self.parameter_arrays)

    def get_state(self):
        """The optimiser's state: {"steps": int, "arrays": [(1 + k, m), ...]}, copies."""
        cdef ptrdiff_t each = len(self.state_arrays) // self.net.depth
        cdef nn_layer *layer
        arrays = []
        for i, array in enumerate(self.state_arrays):
            layer = &self.net.layers[<ptrdiff_t>i // each]
            arrays.append(plain_layout(array, layer.k, layer.m, self.net.panel))
        return {"steps": self.steps, "arrays": arrays}

    def set_state(self, state):
        """Go on from what get_state gave."""
        cdef nn_layer layer
        arrays = state["arrays"]
        cdef ptrdiff_t each = len(self.state_arrays) // self.net.depth
        expected = []
        for i in range(len(self.state_arrays)):
            layer = self.net.layers[<ptrdiff_t>i // each]
            expected.append((1 + layer.k, layer.m))
        came = [array.shape for array in arrays]
        if expected != came:
            raise ValueError(f"the state has arrays of shapes {came}, expected {expected}")
        for own, array in zip(self.state_arrays, arrays):
            own[:] = packed_layout(np.asarray(array, self.dtype), self.net.panel)
        self.steps = state["steps"]

    # ---- checks and constants ----

    cdef _describe(self, x, targets, weights, order, nn_source *source, nn_targets *wanted):
        cdef ptrdiff_t n = x.shape[0]
        if x.ndim != 2 or x.shape[1] != self.net.k:
            raise ValueError(f"x has shape {x.shape}, expected (n, {self.net.k})")
        self.reader.describe(x, source)
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

    cdef nn_update _constants(self, double rate, ptrdiff_t step):
        """Those of the step with this number, counted from 0; powers by repeated multiplication."""
        cdef nn_update u
        options = self.options
        memset(&u, 0, sizeof(u))
        u.kind = OPTIMIZERS[options["kind"]]
        u.rate, u.scale = rate, 1
        u.weight_decay = options.get("weight_decay", 0)
        u.eps = options.get("eps", 0)
        if u.kind == NN_sgd:
            u.keep_first = options.get("momentum", 0)
            u.add_first = 1 if step == 0 else 1 - options.get("dampening", 0)
            u.keep_second, u.nesterov = u.keep_first, bool(options.get("nesterov", 0))
        elif u.kind == NN_adagrad:
            u.rate = rate / (1 + step * options.get("lr_decay", 0))
        elif u.kind == NN_rmsprop:
            u.keep_first = options.get("momentum", 0)
            u.keep_second = options["alpha"]
            u.add_second = 1 - u.keep_second
        else:
            u.keep_first, u.keep_second = options["beta1"], options["beta2"]
            u.add_first, u.add_second = 1 - u.keep_first, 1 - u.keep_second
            u.rate = rate / (1 - _power(u.keep_first, step + 1))
            u.correction = 1 / sqrt(1 - _power(u.keep_second, step + 1))
            if u.kind == NN_adamw:
                u.weight_decay = 1 - rate * u.weight_decay
        return u

    cdef _plain(self, arrays):
        pairs = []
        for i, array in enumerate(arrays):
            plain = plain_layout(array, self.net.layers[i].k, self.net.layers[i].m, self.net.panel)
            pairs.append((plain[1:].copy(), plain[0].copy() if self.net.has_bias[i] else None))
        return pairs


cdef int _states(options):
    """How many arrays of the parameters' size an optimiser remembers."""
    kind, momentum = options.get("kind"), options.get("momentum", 0) != 0
    if kind == "sgd":
        return momentum
    if kind == "rmsprop":
        return 1 + momentum
    return {"adagrad": 1, "adam": 2, "adamw": 2}.get(kind, 0)


cdef double _power(double base, ptrdiff_t exponent) noexcept:
    """By squaring: multiplications only, the same bits everywhere."""
    cdef double result = 1
    while exponent > 0:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result
