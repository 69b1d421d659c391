"""One thread's way through a whole network: loop nests, tiles and scratch memory.

The way of the data:
x -> checked once -> [GIL released] tile of samples packed -> layer by layer inside the cache:
accumulators start at the bias, k in order, activation on each block of sums (relu in registers, the
others while the block is in the first-level cache) -> written to out
"""
from libc.stdint cimport int32_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from contract cimport (
    NN_LINE_BYTES, NN_identity, NN_log_softmax, NN_relu, NN_softmax, NN_step, nn_ahead, nn_kernels,
    nn_layer, nn_source,
)
from nncore._source cimport Reader, rows_are_reals
from nncore.kernels cimport Panels, aligned_memory, table

cdef enum:
    WIDE_BYTES = 4194304     # of weights beyond which tiles are wide
    NARROW_BYTES = 524288    # of the first layer's, up to which many zeros make tiles narrow
    NARROW_SAMPLES = 16


cdef class Plan:
    """Packed layers, and all that is decided about them once: what a call needs to run.

    Immutable: when weights change, the network takes a new plan, and calls that are under way
    finish with the one they began with.

    Parameters
    ----------
    layers : list of (Panels, activation code, alpha)
        The codes of nn_activation; softmax and log_softmax only for the last layer.
    scale : float or None
        Factor of a Rescaling before the first layer.
    **preprocessing
        What else Reader takes: offset, mean, std.
    """

    def __cinit__(self, layers, scale=None, **preprocessing):
        cdef Panels panels
        cdef nn_layer *layer
        cdef ptrdiff_t widest = 1, line
        cdef double row_work = 0
        self.panels = [entry[0] for entry in layers]
        self.depth = len(layers)
        panels = self.panels[0]
        self.is_double = panels.is_double
        self.kernels = table(self.is_double)
        self.itemsize = 8 if self.is_double else 4
        self.k = panels.k
        self.layers = <nn_layer *>malloc(self.depth * sizeof(nn_layer))
        if self.layers == NULL:
            raise MemoryError()
        line = NN_LINE_BYTES // self.itemsize
        for i in range(self.depth):
            panels = self.panels[i]
            layer = &self.layers[i]
            layer.panels = panels.data
            layer.k, layer.m = panels.k, panels.m
            layer.activation = layers[i][1]
            layer.alpha = layers[i][2]
            layer.skip_zeros = panels.finite
            widest = max(widest, layer.k, (layer.m + line - 1) // line * line)
            self.multiply_adds += <double>layer.k * layer.m
            row_work += <double>layer.k * ((layer.m + line - 1) // line * line)
        layer = &self.layers[self.depth - 1]
        self.m = layer.m
        self.final_step = 0
        if layer.activation in (NN_softmax, NN_log_softmax):
            self.final_step = layer.activation
            layer.activation = NN_identity
        self.last_sums = layer[0]
        self.last_sums.activation = NN_identity
        self.reader = Reader(self.k, self.is_double, scale=scale, **preprocessing)
        # A vector of samples in a tile costs k * m; one sample by rows k * m with m rounded up to
        # whole lines, over the lanes: from here on the tile is cheaper.
        self.tile_from = <ptrdiff_t>(self.kernels.lanes * self.multiply_adds / row_work) + 1
        self.tile_from = max(1, min(self.kernels.lanes, self.tile_from))
        self.by_rows = self.rows_are_cheaper()
        # Weights beyond the second-level cache come from memory for each tile: a wider one pays.
        self.is_wide = self.multiply_adds * self.itemsize > WIDE_BYTES
        self.tile_vectors = (self.kernels.wide_vectors if self.is_wide
                             else self.kernels.tile_vectors)
        layer = &self.layers[0]
        if layer.k * layer.m * self.itemsize <= NARROW_BYTES:
            self.narrow_vectors = min(
                self.tile_vectors, <ptrdiff_t>NARROW_SAMPLES // self.kernels.lanes)
        cdef ptrdiff_t samples = max(
            self.kernels.lanes * self.tile_vectors, self.kernels.row_samples)
        self.buffer_size = (widest + 64) * samples * self.itemsize
        self.index_size = (widest + 64) * <ptrdiff_t>sizeof(int32_t)
        self.identity = <int32_t *>malloc(self.index_size)
        if self.identity == NULL:
            raise MemoryError()
        for line in range(widest):
            self.identity[line] = <int32_t>line

    def __dealloc__(self):
        cdef Scratch *scratch
        while self.spare != NULL:
            scratch = self.spare
            self.spare = scratch.next
            free(scratch.block)
        free(self.layers)
        free(self.identity)

    cdef bint rows_are_cheaper(self):
        """Whether a batch of dense samples, too, is cheaper by rows than in tiles.

        Costs of a sample in multiply-adds of a vector, as measured with 19 networks of one to three
        layers: rows take whole panels of outputs, and something for each input and output; a tile
        has to be transposed when it enters and when it leaves, which long inputs to few outputs, or
        few inputs to many, never make up for.
        """
        cdef ptrdiff_t line = NN_LINE_BYTES // self.itemsize, i
        cdef double rows = 0, tile = 1.08 * self.multiply_adds
        cdef double each, input, output, packing
        if self.kernels.row_samples < 4 or self.multiply_adds * self.itemsize > NARROW_BYTES:
            return False
        if self.kernels.row_samples >= 8:
            each, input, output, packing = 1.1, 4, 5, 11
        else:
            each, input, output, packing = 1.25, 8, 6, 16
        for i in range(self.depth):
            rows += each * self.layers[i].k * ((self.layers[i].m + line - 1) // line * line)
            rows += input * self.layers[i].k + output * self.layers[i].m
        return rows < tile + packing * (self.k + self.m)

    cdef Scratch *take_scratch(self) except NULL:
        """Some that nobody uses; with the GIL, like giving it back."""
        cdef Scratch *scratch = self.spare
        if scratch != NULL:
            self.spare = scratch.next
            return scratch
        cdef void *block
        scratch = <Scratch *>aligned_memory(
            NN_LINE_BYTES + 2 * self.buffer_size + self.index_size, &block)
        scratch.block = block
        scratch.first = <char *>scratch + NN_LINE_BYTES
        scratch.second = scratch.first + self.buffer_size
        scratch.index = <int32_t *>(scratch.second + self.buffer_size)
        return scratch

    cdef void give_back(self, Scratch *scratch) noexcept:
        scratch.next = self.spare
        self.spare = scratch

    cdef void run_span(self, const nn_source *x, ptrdiff_t first, ptrdiff_t end,
                       const Output *out, Scratch *scratch) noexcept nogil:
        """Samples first .. end - 1, in tiles while they fill one, then by rows."""
        cdef ptrdiff_t lanes = self.kernels.lanes, most = self.tile_vectors
        cdef ptrdiff_t left, vectors, samples, lines
        while first < end:
            left = end - first
            vectors = 0 if self.by_rows else left // lanes + (left % lanes >= self.tile_from)
            if vectors == 0:
                samples = self.kernels.row_samples
                if left > 2:
                    samples = self.row_samples(x, first, scratch)
                # 3 are taken as 4, and 7 as 8, which costs less than 2 + 1 or 4 + 2 + 1.
                while samples > left + (left > 2):
                    samples //= 2
                samples = min(samples, left)
                self.run_rows(x, first, samples, out, scratch)
            else:
                if most < vectors < 2 * most:
                    vectors = (vectors + 1) // 2
                vectors = min(vectors, most)
                samples = min(left, vectors * lanes)
                lines = self.run_tile(x, first, samples, end, vectors, out, scratch)
                # The fewer samples in a tile, the more inputs are zero in all of them.
                if 4 * lines < 3 * self.k and self.narrow_vectors > 0:
                    most = self.narrow_vectors
            first += samples

    cdef const nn_layer *layer(self, ptrdiff_t i, const Output *out) noexcept nogil:
        """Layer i, the last one without its activation where only weighted sums are wanted."""
        return &self.last_sums if out.sums_only and i == self.depth - 1 else &self.layers[i]

    cdef bint zeros_likely(self, ptrdiff_t layer) noexcept nogil:
        """Whether many outputs of the layer are zeros."""
        return self.layers[layer].activation in (NN_relu, NN_step)

    cdef ptrdiff_t row_samples(self, const nn_source *x, ptrdiff_t sample,
                               Scratch *scratch) noexcept nogil:
        """How many samples to take through the row kernel at once: few where most inputs are zero,
        because the inputs that are not differ from sample to sample."""
        cdef const nn_kernels *kernels = self.kernels
        cdef ptrdiff_t used = self.k
        if self.layers[0].skip_zeros:
            kernels.load_row(x, sample, self.k, scratch.first)
            used = kernels.find_nonzero(scratch.first, 0, 1, self.k, scratch.index)
        return min(2, kernels.row_samples) if 3 * used < self.k else kernels.row_samples

    cdef ptrdiff_t run_tile(self, const nn_source *x, ptrdiff_t first, ptrdiff_t samples,
                            ptrdiff_t end, ptrdiff_t vectors, const Output *out,
                            Scratch *scratch) noexcept nogil:
        """Samples first .. first + samples - 1; those up to end that fill the next tile are fetched
        from memory meanwhile. Returns how many inputs are not zero in all of them."""
        cdef const nn_kernels *kernels = self.kernels
        cdef const int32_t *index = scratch.index
        cdef char *a = scratch.first
        cdef char *b = scratch.second
        cdef ptrdiff_t count = kernels.pack_tile(
            x, first, samples, self.k, self.layers[0].skip_zeros, vectors, a, scratch.index)
        cdef ptrdiff_t lines = count, i
        cdef nn_ahead next_tile
        next_tile.data = x.data + (first + samples) * x.row_stride
        next_tile.order = NULL
        next_tile.row_stride = x.row_stride
        next_tile.bytes = self.k * x.column_stride
        next_tile.rows = min(samples, end - first - samples)
        next_tile.row = next_tile.at = 0
        for i in range(self.depth):
            kernels.tile_layer(self.layer(i, out), a, index, count, vectors, b,
                               &next_tile if i == 0 and next_tile.bytes > 0 else NULL)
            a, b = b, a
            index, count = self.identity, self.layers[i].m
            if self.zeros_likely(i) and i + 1 < self.depth and self.layers[i + 1].skip_zeros:
                count = kernels.find_lines(a, count, vectors, scratch.index)
                index = scratch.index
        self.finish_tile(a, first, samples, vectors, out)
        return lines

    cdef void finish_tile(self, char *tile, ptrdiff_t first, ptrdiff_t samples, ptrdiff_t vectors,
                          const Output *out) noexcept nogil:
        """The last layer's tile -> out, softmax on the way."""
        if out.final_step:
            self.kernels.tile_softmax(
                out.final_step == NN_log_softmax, tile, self.m, vectors)
        self.kernels.unpack_tile(
            tile, vectors, samples, self.m, out.data + first * out.row_stride * self.itemsize,
            out.row_stride, out.column_stride)

    cdef void run_rows(self, const nn_source *x, ptrdiff_t first, ptrdiff_t rows,
                       const Output *out, Scratch *scratch) noexcept nogil:
        cdef const nn_kernels *kernels = self.kernels
        cdef const nn_layer *layer
        cdef const int32_t *index
        cdef ptrdiff_t size = self.itemsize, line = NN_LINE_BYTES // size
        cdef ptrdiff_t ldx, ldy, count, i, r, together = 1
        cdef const char *a = x.data + first * x.row_stride
        cdef char *b = scratch.second
        cdef bint zeros_likely = True
        while together < rows:
            together *= 2
        if (together == rows and rows_are_reals(x, self.is_double) and x.row_stride % size == 0
                and <uintptr_t>a % size == 0):
            ldx = x.row_stride // size
        else:
            a, ldx = scratch.first, (self.k + line - 1) // line * line
            for r in range(rows):
                kernels.load_row(x, first + r, self.k, scratch.first + r * ldx * size)
            memset(scratch.first + rows * ldx * size, 0, (together - rows) * ldx * size)
        for i in range(self.depth):
            layer = self.layer(i, out)
            index, count = NULL, layer.k
            if zeros_likely and layer.skip_zeros:
                count = kernels.find_nonzero(a, ldx, together, layer.k, scratch.index)
                index = scratch.index
            if index == NULL or count == layer.k:
                index = NULL if together == 1 else self.identity
            ldy = (layer.m + line - 1) // line * line
            kernels.row_layer(layer, a, ldx, together, index, count, b, ldy)
            a, ldx = b, ldy
            b = scratch.first if a == scratch.second else scratch.second
            zeros_likely = self.zeros_likely(i)
        self.finish_rows(<char *>a, ldx, first, rows, out)

    cdef void finish_rows(self, char *row, ptrdiff_t apart, ptrdiff_t first, ptrdiff_t rows,
                          const Output *out) noexcept nogil:
        """The last layer's rows -> out, softmax on the way."""
        cdef ptrdiff_t r
        for r in range(rows):
            if out.final_step:
                self.kernels.softmax(out.final_step == NN_log_softmax, row, row, self.m)
            self.write_row(row, first + r, out)
            row += apart * self.itemsize

    cdef void write_row(self, const char *row, ptrdiff_t sample,
                        const Output *out) noexcept nogil:
        cdef ptrdiff_t j
        cdef char *to = out.data + sample * out.row_stride * self.itemsize
        if out.column_stride == 1:
            memcpy(to, row, self.m * self.itemsize)
        elif self.is_double:
            for j in range(self.m):
                (<double *>to)[j * out.column_stride] = (<const double *>row)[j]
        else:
            for j in range(self.m):
                (<float *>to)[j * out.column_stride] = (<const float *>row)[j]


# ---- the present weights of layers
#
# A layer's weights, bias and packed panels are one immutable record. An assignment makes another
# record, packing included, and publishes it last; whoever has read a record has weights that belong
# together. That records are different objects is all that a network has to look at to know that its
# plan is out of date.


cdef class Parameters:
    """What a layer has learned, as it was at one time; never changed.

    Parameters
    ----------
    weights : ndarray or None
        (in_features, out_features); None while no network and no assignment has filled them.
    bias : ndarray or None
        (out_features,).
    panels : Panels or None
        Both of them packed; None while the layer is in no network.
    dtype : numpy.dtype or None
        Of the networks that the layer is in; None before it joins the first one.
    """

    def __init__(self, weights=None, bias=None, Panels panels=None, dtype=None):
        self.weights, self.bias, self.panels, self.dtype = weights, bias, panels, dtype


cdef class Slot:
    """Where a layer keeps its present record."""

    def __init__(self, Parameters current not None):
        self.current = current


def publish(list slots, list records, list expected=None):
    """Put a record into each slot, into all of them in one step.

    Parameters
    ----------
    slots : list of Slot
    records : list of Parameters
    expected : list of Parameters, optional
        What the slots hold now; if one of them holds something else by now, nothing is published.

    Returns
    -------
    bool
        Whether the records were published.
    """
    cdef ptrdiff_t i, count = len(slots)
    cdef Slot slot
    cdef Parameters record
    if len(records) != count or (expected is not None and len(expected) != count):
        raise ValueError(f"{len(records)} records for {count} slots, expected as many")
    for i in range(count):
        slot = slots[i]
        record = records[i]
        if slot is None or record is None:
            raise TypeError("a slot or a record is None")
    # The old records live to the end of the call: were one freed in the loop, code of somebody
    # else (a weak reference's callback) could run while only some of the slots are filled.
    cdef list old = [None] * count
    # From here on nothing is allocated or freed, so nothing but this code runs: the GIL is held.
    for i in range(count):
        old[i] = (<Slot>slots[i]).current
        if expected is not None and old[i] is not expected[i]:
            return False
    for i in range(count):
        (<Slot>slots[i]).current = <Parameters>records[i]
    return True


def snapshot(list slots):
    """Return the record of each slot, all of them read in one step."""
    cdef ptrdiff_t i, count = len(slots)
    cdef Slot slot
    cdef list found = [None] * count
    for i in range(count):
        slot = slots[i]
        if slot is None:
            raise TypeError("a slot is None")
        found[i] = slot.current
    return found
