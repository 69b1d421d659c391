"""Backpropagation and the optimiser step: whole epochs in one call, without the GIL.

A step, for a mini-batch in chunks of up to NN_MOST_SAMPLES samples:
rows gathered into a tile -> forward, every tile kept -> loss and its delta -> for each layer from
the last: delta packed in panels, dw and db added up (chains over the samples, in order), delta
taken back through the transposed weights and the activation's slope -> the optimiser's step of
weights and state, which lie in the layout of the packed weights. A mini-batch of one chunk makes
the step of a layer while its gradient is added up; else, and for clipping, the gradient is kept.

One thread does it: a step is too short to be shared. Every sum has one order, whatever the chunk
and the instruction set: contract.h.
"""
from libc.math cimport isfinite, sqrt
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memset

cimport numpy as cnp

from contract cimport (
    NN_LINE_BYTES, NN_MOST_SAMPLES, NN_adagrad, NN_adam, NN_adamw, NN_binary_cross_entropy,
    NN_cross_entropy, NN_identity, NN_relu, NN_rmsprop, NN_sgd, nn_ahead, nn_elements, nn_enter_fp,
    nn_kernels, nn_layer, nn_leave_fp, nn_mix, nn_result, nn_source, nn_step, nn_targets, nn_update,
)
from nncore._plan cimport UNKNOWN_TYPE, Plan, describe_source
from nncore._kernels cimport table

import numpy as np

from nncore import _kernels
from nncore._layout import aligned_zeros, packed_layout, plain_layout

cnp.import_array()

# in the order of nn_loss
LOSSES = ("cross_entropy", "binary_cross_entropy", "mse", "mae", "huber")
OPTIMIZERS = {"sgd": NN_sgd, "adagrad": NN_adagrad, "rmsprop": NN_rmsprop, "adam": NN_adam,
              "adamw": NN_adamw}


cdef inline void *_data(object array) noexcept:
    return cnp.PyArray_DATA(<cnp.ndarray>array)


cdef class Trainer:
    """The parameters of a network while they are learned.

    Parameters
    ----------
    layers : list of (weights (k, m), bias (m,) or None, activation code, alpha)
        Arrays of the network's dtype; copied.
    scale : float or None
        Factor of a Rescaling in front.
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

    cdef const nn_kernels *kernels
    cdef object plan  # its source tells how inputs are rescaled
    cdef nn_layer *layers
    cdef nn_layer *transposed
    cdef void **parameters
    cdef void **gradient
    cdef void **first_state
    cdef void **second_state
    cdef void **sums         # weighted sums of each layer, a tile
    cdef void **outputs      # activations of each layer, a tile; outputs[0] the inputs
    cdef void **kept         # dropout factors of each layer, or NULL
    cdef ptrdiff_t *sizes
    cdef int *has_bias
    cdef void *delta
    cdef void *other_delta
    cdef void *auxiliary
    cdef void *delta_panels
    cdef nn_elements *elements
    cdef int32_t *index
    cdef int32_t *identity
    cdef int32_t *nonzero
    cdef list keep
    cdef object sample_weights
    cdef list parameter_arrays, gradient_arrays, state_arrays
    cdef double *dropout
    cdef int depth, loss
    cdef bint is_double, two_states, has_optimizer
    cdef ptrdiff_t itemsize, panel, k, m
    cdef double smoothing, clip_norm, clip_value
    cdef uint64_t seed
    cdef readonly int64_t steps
    cdef dict options
    cdef object dtype

    def __cinit__(self, layers, scale, int loss, optimizer=None, *, dropout=None,
                  double label_smoothing=0, clip_norm=None, clip_value=None, seed=0):
        cdef ptrdiff_t widest = 0, i
        cdef nn_layer *layer
        self.dtype = layers[0][0].dtype
        self.is_double = self.dtype == np.float64
        self.kernels = table(self.is_double)
        self.itemsize = self.dtype.itemsize
        self.panel = NN_LINE_BYTES // self.itemsize
        self.depth = len(layers)
        self.loss = loss
        self.smoothing = label_smoothing
        self.clip_norm = clip_norm or 0
        self.clip_value = clip_value or 0
        self.seed = nn_mix(<uint64_t>(seed & 0xffffffffffffffff))
        self.keep = []
        self.options = dict(optimizer or {})
        self.has_optimizer = optimizer is not None
        kind = self.options.get("kind")
        cdef bint one_state = kind in ("adagrad", "rmsprop", "adam", "adamw") or (
            kind == "sgd" and self.options.get("momentum", 0) != 0)
        self.two_states = kind in ("adam", "adamw") or (
            kind == "rmsprop" and self.options.get("momentum", 0) != 0)

        self.layers = <nn_layer *>self._room(self.depth * sizeof(nn_layer))
        self.transposed = <nn_layer *>self._room(self.depth * sizeof(nn_layer))
        self.parameters = <void **>self._room(self.depth * sizeof(void *))
        self.gradient = <void **>self._room(self.depth * sizeof(void *))
        self.first_state = <void **>self._room(self.depth * sizeof(void *))
        self.second_state = <void **>self._room(self.depth * sizeof(void *))
        self.sums = <void **>self._room((self.depth + 1) * sizeof(void *))
        self.outputs = <void **>self._room((self.depth + 1) * sizeof(void *))
        self.kept = <void **>self._room((self.depth + 1) * sizeof(void *))
        self.sizes = <ptrdiff_t *>self._room(self.depth * sizeof(ptrdiff_t))
        self.has_bias = <int *>self._room(self.depth * sizeof(int))
        self.dropout = <double *>self._room((self.depth + 1) * sizeof(double))

        self.parameter_arrays, self.gradient_arrays, self.state_arrays = [], [], []
        for i, (w, b, code, alpha) in enumerate(layers):
            k, m = w.shape
            layer = &self.layers[i]
            layer.k, layer.m, layer.alpha = k, m, alpha
            layer.activation = code
            layer.skip_zeros = bool(np.isfinite(w).all())
            self.has_bias[i] = b is not None
            plain = np.zeros((1 + k, m), self.dtype)
            plain[1:] = w
            if b is not None:
                plain[0] = b
            flat = packed_layout(plain, self.panel)
            self.sizes[i] = flat.size
            array = aligned_zeros(flat.size, self.dtype)
            array[:] = flat
            self.parameter_arrays.append(array)
            self.parameters[i] = _data(array)
            layer.panels = self.parameters[i]
            self.gradient_arrays.append(aligned_zeros(flat.size, self.dtype))
            self.gradient[i] = _data(self.gradient_arrays[i])
            if one_state:
                self.state_arrays.append(aligned_zeros(flat.size, self.dtype))
                self.first_state[i] = _data(self.state_arrays[len(self.state_arrays) - 1])
            if self.two_states:
                self.state_arrays.append(aligned_zeros(flat.size, self.dtype))
                self.second_state[i] = _data(self.state_arrays[len(self.state_arrays) - 1])
            self.transposed[i].k, self.transposed[i].m = m, k
            if i > 0:
                self.transposed[i].panels = self._array(-(-k // self.panel) * self.panel * (1 + m))
            # relu and identity have the same slope at the activation as at the weighted sum
            self.outputs[i + 1] = self._array((m + 64) * NN_MOST_SAMPLES)
            self.sums[i + 1] = self.outputs[i + 1]
            if code not in (NN_identity, NN_relu):
                self.sums[i + 1] = self._array((m + 64) * NN_MOST_SAMPLES)
            if dropout is not None and dropout[i] > 0:
                self.dropout[i + 1] = dropout[i]
                self.kept[i + 1] = self._array(m * NN_MOST_SAMPLES)
            widest = max(widest, k, m)
        self.k, self.m = self.layers[0].k, self.layers[self.depth - 1].m
        if self.loss in (NN_cross_entropy, NN_binary_cross_entropy):
            self.layers[self.depth - 1].activation = NN_identity
            self.sums[self.depth] = self.outputs[self.depth]
        self.outputs[0] = self._array((self.k + 64) * NN_MOST_SAMPLES)
        self.delta = self._array((widest + 64) * NN_MOST_SAMPLES)
        self.other_delta = self._array((widest + 64) * NN_MOST_SAMPLES)
        self.auxiliary = self._array((self.m + 64) * NN_MOST_SAMPLES)
        self.delta_panels = self._array((widest + 64) * NN_MOST_SAMPLES)
        self.elements = <nn_elements *>self._room((self.k // 64 + 1) * sizeof(nn_elements))
        self.index = <int32_t *>self._room((widest + 64) * sizeof(int32_t))
        self.identity = <int32_t *>self._room((widest + 64) * sizeof(int32_t))
        self.nonzero = <int32_t *>self._room(8 * (NN_MOST_SAMPLES + 16) * sizeof(int32_t))
        for i in range(widest):
            self.identity[i] = <int32_t>i
        one = np.zeros((self.k, 1), self.dtype)  # a plan only for its k and its rescaling
        self.plan = Plan([(_kernels.pack(one, one[0]), NN_identity, 0.0)], scale)
        self._transpose_weights()

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
        cdef nn_source source
        cdef nn_targets wanted
        cdef ptrdiff_t n = order.shape[0], step, first, samples, bad = -1, right = 0
        cdef ptrdiff_t steps = (n + batch_size - 1) // batch_size
        self._describe(x, targets, weights, order, &source, &wanted)
        if rates.shape[0] != steps or rates.dtype != np.float64:
            raise ValueError(f"rates has shape {rates.shape}, expected ({steps},) of float64")
        if not self.has_optimizer:
            raise ValueError("this Trainer has no optimizer")
        losses = np.full(steps, np.nan)
        block = np.empty(max(steps, 1) * sizeof(nn_update), np.uint8)
        cdef nn_update *updates = <nn_update *>_data(block)
        cdef double[::1] loss = losses
        cdef nn_result result
        cdef unsigned long long found
        cdef bint at_once
        for step in range(steps):
            updates[step] = self._constants(rates[step], self.steps + step)
        with nogil:
            found = nn_enter_fp()
            for step in range(steps):
                first = step * batch_size
                samples = min(batch_size, n - first)
                at_once = samples <= NN_MOST_SAMPLES and not self.clip_norm and not self.clip_value
                result = self._batch(&source, &wanted, first, samples, n, True,
                                     &updates[step] if at_once else NULL)
                loss[step] = result.loss
                if not isfinite(result.loss):
                    bad = step
                    break
                right += result.right
                if not at_once:
                    self._update(&updates[step])
                self._transpose_weights()
                self.steps += 1
            nn_leave_fp(found)
        return losses, right, bad

    def gradients(self, x, targets, weights):
        """The mean loss over all of x and its gradient: (loss, [(dw, db or None), ...])."""
        cdef nn_source source
        cdef nn_targets wanted
        cdef nn_result result
        cdef ptrdiff_t n = x.shape[0]
        cdef unsigned long long found
        self._describe(x, targets, weights, None, &source, &wanted)
        with nogil:
            found = nn_enter_fp()
            result = self._batch(&source, &wanted, 0, n, n, True, NULL)
            nn_leave_fp(found)
        return result.loss, self._plain(self.gradient_arrays)

    def evaluate(self, x, targets, weights):
        """(mean loss, samples classified right) over all of x, without dropout."""
        cdef nn_source source
        cdef nn_targets wanted
        cdef nn_result result
        cdef ptrdiff_t n = x.shape[0]
        cdef unsigned long long found
        self._describe(x, targets, weights, None, &source, &wanted)
        with nogil:
            found = nn_enter_fp()
            result = self._batch(&source, &wanted, 0, n, n, False, NULL)
            nn_leave_fp(found)
        return result.loss, result.right

    def arrays(self):
        """Copies of the parameters: [(weights, bias or None), ...]."""
        return self._plain(self.parameter_arrays)

    def get_state(self):
        """The optimiser's state: {"steps": int, "arrays": [(1 + k, m), ...]}, copies."""
        cdef ptrdiff_t each = len(self.state_arrays) // self.depth
        cdef nn_layer *layer
        arrays = []
        for i, array in enumerate(self.state_arrays):
            layer = &self.layers[<ptrdiff_t>i // each]
            arrays.append(plain_layout(array, layer.k, layer.m, self.panel))
        return {"steps": self.steps, "arrays": arrays}

    def set_state(self, state):
        """Go on from what get_state gave."""
        arrays = state["arrays"]
        cdef ptrdiff_t each = len(self.state_arrays) // self.depth
        expected = [(1 + self.layers[<ptrdiff_t>i // each].k, self.layers[<ptrdiff_t>i // each].m)
                    for i in range(len(self.state_arrays))]
        came = [array.shape for array in arrays]
        if expected != came:
            raise ValueError(f"the state has arrays of shapes {came}, expected {expected}")
        for own, array in zip(self.state_arrays, arrays):
            own[:] = packed_layout(np.asarray(array, self.dtype), self.panel)
        self.steps = state["steps"]

    # ---- checks and constants ----

    cdef _describe(self, x, targets, weights, order, nn_source *source, nn_targets *wanted):
        cdef ptrdiff_t n = x.shape[0]
        if x.ndim != 2 or x.shape[1] != self.k:
            raise ValueError(f"x has shape {x.shape}, expected (n, {self.k})")
        describe_source(self.plan, x, source)
        if source.type == UNKNOWN_TYPE:
            raise TypeError(f"x has dtype {x.dtype}, expected a real one of native byte order")
        memset(wanted, 0, sizeof(nn_targets))
        wanted.kind, wanted.smoothing = self.loss, self.smoothing
        if targets.ndim == 1 and targets.dtype == np.int32 and self.loss == NN_cross_entropy:
            if n and not 0 <= targets.min() <= targets.max() < self.m:
                raise ValueError(f"labels run from {targets.min()} to {targets.max()}, "
                                 f"expected 0 to {self.m - 1}")
            wanted.labels = <const int32_t *>_data(targets)
        elif targets.shape == (n, self.m) and targets.dtype == self.dtype:
            wanted.rows = _data(targets)
        else:
            raise ValueError(f"targets have shape {targets.shape} and dtype {targets.dtype}, "
                             f"expected ({n}, {self.m}) of {self.dtype}")
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
            u.keep = options.get("momentum", 0)
            u.add = 1 if step == 0 else 1 - options.get("dampening", 0)
            u.keep2, u.nesterov = u.keep, bool(options.get("nesterov", 0))
        elif u.kind == NN_adagrad:
            u.rate = rate / (1 + step * options.get("lr_decay", 0))
        elif u.kind == NN_rmsprop:
            u.keep = options.get("momentum", 0)
            u.keep2 = options["alpha"]
            u.add2 = 1 - u.keep2
        else:
            u.keep, u.keep2 = options["beta1"], options["beta2"]
            u.add, u.add2 = 1 - u.keep, 1 - u.keep2
            u.rate = rate / (1 - _power(u.keep, step + 1))
            u.correction = 1 / sqrt(1 - _power(u.keep2, step + 1))
            if u.kind == NN_adamw:
                u.weight_decay = 1 - rate * u.weight_decay
        return u

    cdef _plain(self, arrays):
        pairs = []
        for i, array in enumerate(arrays):
            plain = plain_layout(array, self.layers[i].k, self.layers[i].m, self.panel)
            pairs.append((plain[1:].copy(), plain[0].copy() if self.has_bias[i] else None))
        return pairs

    # ---- without the GIL ----

    cdef nn_result _batch(self, const nn_source *x, const nn_targets *targets, ptrdiff_t first,
                          ptrdiff_t samples, ptrdiff_t end, bint backward,
                          const nn_update *update) noexcept nogil:
        """Loss of the samples at first .. first + samples - 1 and, if asked, its gradient.

        update: the step is made at once, unless the loss is not finite; the samples are one chunk.
        """
        cdef nn_result result, part
        cdef ptrdiff_t i, start, here
        cdef double total = self.kernels.total_weight(targets, first, samples)
        if backward and update == NULL:
            for i in range(self.depth):
                memset(self.gradient[i], 0, self.sizes[i] * self.itemsize)
        result.loss, result.right = 0, 0
        start = first
        while start < first + samples:
            here = min(<ptrdiff_t>NN_MOST_SAMPLES, first + samples - start)
            part = self._chunk(x, targets, start, start - first, here, end, total, backward,
                               update)
            result.loss += part.loss
            result.right += part.right
            start += here
        return result

    cdef nn_result _chunk(self, const nn_source *x, const nn_targets *targets, ptrdiff_t first,
                          ptrdiff_t place, ptrdiff_t samples, ptrdiff_t end, double total_weight,
                          bint backward, const nn_update *update) noexcept nogil:
        """Samples from `first` of the call on, which is `place` in the mini-batch."""
        cdef const nn_kernels *kernels = self.kernels
        cdef ptrdiff_t vectors = (samples + kernels.lanes - 1) // kernels.lanes
        cdef ptrdiff_t width = vectors * kernels.lanes, count, i
        cdef const int32_t *index = self.index
        cdef nn_ahead ahead
        cdef nn_layer layer
        cdef nn_result result
        count = kernels.pack_elements(x, first, samples, self.k, self.layers[0].skip_zeros,
                                      vectors, self.outputs[0], self.index, self.elements)
        cdef ptrdiff_t inputs = count
        memset(&ahead, 0, sizeof(ahead))
        ahead.row_stride, ahead.bytes = x.row_stride, self.k * x.column_stride
        ahead.rows = min(samples, end - first - samples)
        ahead.data, ahead.order = x.data, NULL
        if x.order != NULL:
            ahead.order = x.order + first + samples
        else:
            ahead.data += (first + samples) * x.row_stride
        for i in range(self.depth):
            layer = self.layers[i]
            if self.sums[i + 1] != self.outputs[i + 1]:
                layer.activation = NN_identity
            if i == 0:
                kernels.first_layer(&layer, self.outputs[0], index, count, samples, vectors,
                                    self.elements, self.delta, self.sums[1],
                                    &ahead if ahead.bytes > 0 else NULL)
            else:
                kernels.tile_layer(&layer, self.outputs[i], index, count, vectors,
                                   self.sums[i + 1], NULL)
            if self.sums[i + 1] != self.outputs[i + 1]:
                kernels.activate(self.layers[i].activation, layer.alpha, self.sums[i + 1],
                                 self.outputs[i + 1], layer.m * width)
            if backward and self.kept[i + 1] != NULL:
                self._drop_layer(i + 1, place, layer.m, width)
            index, count = self.identity, layer.m
        result = self._loss_of(targets, first, samples, vectors, total_weight)
        if backward and (update == NULL or isfinite(result.loss)):
            self._backward(samples, vectors, inputs, update)
        return result

    cdef void _drop_layer(self, ptrdiff_t i, ptrdiff_t first, ptrdiff_t m,
                          ptrdiff_t width) noexcept nogil:
        # Keyed by step, layer, unit and the sample's place in the mini-batch, by nothing else.
        cdef uint64_t key = nn_mix(self.seed + <uint64_t>self.steps) + <uint64_t>i
        self.kernels.drop(self.outputs[i], self.kept[i], m, width, self.dropout[i], key, first)

    cdef nn_result _loss_of(self, const nn_targets *targets, ptrdiff_t first, ptrdiff_t samples,
                            ptrdiff_t vectors, double total_weight) noexcept nogil:
        """The loss, and in self.delta its derivative by the last layer's weighted sums."""
        cdef const nn_kernels *kernels = self.kernels
        cdef ptrdiff_t width = vectors * kernels.lanes, n = self.m * width
        cdef nn_layer *last = &self.layers[self.depth - 1]
        cdef nn_result result = kernels.loss(
            targets, first, samples, vectors, self.m, total_weight, self.outputs[self.depth],
            self.delta, self.auxiliary)
        if self.loss not in (NN_cross_entropy, NN_binary_cross_entropy):
            kernels.backward(last.activation, last.alpha, self.sums[self.depth], self.delta, n)
        return result

    cdef void _backward(self, ptrdiff_t samples, ptrdiff_t vectors, ptrdiff_t inputs,
                        const nn_update *update) noexcept nogil:
        """From self.delta of the last layer to the gradients of all, or to the step of all."""
        cdef const nn_kernels *kernels = self.kernels
        cdef ptrdiff_t width = vectors * kernels.lanes, i, j, here
        cdef ptrdiff_t line = self.panel * self.itemsize
        cdef nn_layer *layer
        cdef nn_step step
        cdef nn_step *at_once = NULL
        if update != NULL:
            step.update = update[0]
            at_once = &step
        for i in range(self.depth - 1, -1, -1):
            layer = &self.layers[i]
            step.w, step.s, step.t = self.parameters[i], self.first_state[i], self.second_state[i]
            # delta (m, samples) -> panels (samples, PANEL), what is beyond m zero
            for j in range((layer.m + self.panel - 1) // self.panel):
                here = min(self.panel, layer.m - j * self.panel)
                if here < self.panel:
                    memset(<char *>self.delta_panels + j * samples * line, 0, samples * line)
                kernels.unpack_tile(
                    <char *>self.delta + j * self.panel * width * self.itemsize, vectors, samples,
                    here, <char *>self.delta_panels + j * samples * line, self.panel, 1)
            if self.has_bias[i]:
                kernels.bias_gradient(layer, self.delta_panels, samples, self.gradient[i],
                                      at_once)
            kernels.weight_gradient(
                layer, self.outputs[i], width, self.index if i == 0 else self.identity,
                inputs if i == 0 else layer.k, self.delta_panels, samples, self.nonzero,
                self.gradient[i], at_once)
            if i == 0:
                return
            kernels.tile_layer(&self.transposed[i], self.delta, self.identity, layer.m, vectors,
                               self.other_delta, NULL)
            self.delta, self.other_delta = self.other_delta, self.delta
            if self.kept[i] != NULL:
                kernels.multiply(self.delta, self.kept[i], layer.k * width)
            kernels.backward(self.layers[i - 1].activation, self.layers[i - 1].alpha, self.sums[i],
                             self.delta, layer.k * width)

    cdef void _update(self, nn_update *u) noexcept nogil:
        cdef double norm = 0
        cdef ptrdiff_t i
        for i in range(self.depth):
            if self.clip_value > 0:
                self.kernels.clip(self.gradient[i], self.sizes[i], self.clip_value)
            if self.clip_norm > 0:
                norm += self.kernels.sum_of_squares(self.gradient[i], self.sizes[i])
        if self.clip_norm > 0:
            u.scale = min(1.0, self.clip_norm / (sqrt(norm) + 1e-6))
        for i in range(self.depth):
            self.kernels.update(u, self.parameters[i], self.gradient[i], self.first_state[i],
                                self.second_state[i], self.sizes[i])

    cdef void _transpose_weights(self) noexcept nogil:
        """Weights of all layers but the first, transposed and packed: delta goes back by them."""
        cdef ptrdiff_t line = self.panel * self.itemsize, i, p, q, outputs, inputs
        cdef const nn_layer *layer
        cdef const char *w
        cdef char *to
        cdef ptrdiff_t per_panel = self.panel // self.kernels.lanes
        for i in range(1, self.depth):
            layer = &self.layers[i]
            for p in range((layer.m + self.panel - 1) // self.panel):
                outputs = min(self.panel, layer.m - p * self.panel)
                for q in range((layer.k + self.panel - 1) // self.panel):
                    inputs = min(self.panel, layer.k - q * self.panel)
                    w = <const char *>layer.panels + (p * (1 + layer.k) + 1 + q * self.panel) * line
                    to = (<char *>self.transposed[i].panels
                          + (q * (1 + layer.m) + 1 + p * self.panel) * line)
                    self.kernels.unpack_tile(w, per_panel, outputs, inputs, to, self.panel, 1)


cdef double _power(double base, ptrdiff_t exponent) noexcept:
    """By squaring: multiplications only, the same bits everywhere."""
    cdef double result = 1
    while exponent > 0:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result
