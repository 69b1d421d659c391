"""What a network is compiled to: a list of operations, and what is decided about them once.

The layers tell a `Program`, one after the other, what they compile to. A `Plan` turns it into the
operations that the executors of execute.pxi run, and decides by their costs how samples go through
them best. training.pyx compiles the same program with a tape.
"""
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free, malloc

cimport ndarrays as cnp

from contract cimport (
    NN_identity, NN_log_softmax, NN_operation_activate, NN_operation_dense,
    NN_operation_log_softmax, NN_operation_softmax, NN_softmax, nn_aligned_memory, nn_costs,
    nn_kernels, nn_layer, nn_operation,
)
from panels cimport (
    NN_LINE_BYTES, nn_line_bytes, nn_panel_outputs, nn_plain_weights,
    nn_weights, nn_whole_panels,
)
from nncore._table cimport Panels, table

import numpy as np

from nncore import _cpus, _table

include "source.pxi"

cnp.import_array()

OPERATIONS = _table.operation_names()  # in the order of nn_operation_kind
# By the code of the activation: registries.h says what they mean.
ZEROS_LIKELY = [row["zeros_likely"] for row in _table.activations()]
SLOPE_OF_OUTPUT = [row["slope_of_output"] for row in _table.activations()]

cdef enum:
    FEW_SPARE = 4  # blocks of scratch memory that are kept, unless a call needs more


# ---- the present weights of layers ----

cdef int64_t _publications = 0


cdef const int64_t *publications() noexcept:
    """Return how often weights were published: as long as that stays the same, no plan is stale."""
    return &_publications


cdef class Parameters:
    """What a layer has learned, as it was at one time; never changed.

    Parameters
    ----------
    weights : ndarray or None
        (in_features, out_features); None while no network and no assignment has filled them, or
        where the panels alone hold them. bfloat16 ones are the uint16 of their bits.
    bias : ndarray or None
        (out_features,).
    panels : Panels or None
        Both of them packed; None while the layer is in no network.
    dtype : numpy.dtype or None
        Of the networks that the layer is in; None before it joins the first one.
    """

    def __init__(self, weights=None, bias=None, Panels panels=None, dtype=None):
        self.plain, self.bias, self.panels, self.dtype = weights, bias, panels, dtype

    @property
    def kept(self):
        """The object that holds the weights: their array, or the panels alone."""
        return self.panels if self.plain is None else self.plain

    @property
    def weights(self):
        """The weights, read-only, in the type of the arithmetic: bfloat16 ones are widened anew."""
        if self.plain is None and self.panels is not None:
            return _arrays.widened(_table.unpack(self.panels)[1:])
        return _arrays.widened(self.plain)


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
    global _publications
    _publications += 1
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


# ---- what layers compile to ----

cdef class Program:
    """What the layers of a network compile to, in order: each adds its part in `Layer.compile`.

    Parameters
    ----------
    records : mapping
        The present weights, a `Parameters` for each layer's `Slot`.
    k : int
        Inputs of the network.
    is_double : bool
        Whether it computes in float64, else in float32.
    sums_only : bool, optional
        Whether the activations of dense layers are left out.
    """

    def __cinit__(self, records, ptrdiff_t k, bint is_double, bint sums_only=False):
        self.records = records
        self.k = self.m = k
        self.is_double, self.sums_only = is_double, sums_only
        self.entries = []
        self.reader = Reader(k, is_double)

    def rescale(self, scale, offset=0.0):
        """Multiply each input and add to it, while it is read: before everything else."""
        self.reader = Reader(self.k, self.is_double, scale=scale, offset=offset)

    def normalize(self, mean, std):
        """Subtract from each input, and divide it, while it is read: before everything else."""
        self.reader = Reader(self.k, self.is_double, mean=mean, std=std)

    def dense(self, layer, int activation, double alpha=0, double beta=0):
        """Append activation(x @ weights + bias) of a layer with a slot and `use_bias`."""
        cdef Parameters record = self.records[layer.slot]
        self.affine(record.panels, activation, alpha, beta, bias=layer.use_bias)

    def affine(self, Panels panels not None, int activation, double alpha=0, double beta=0, *,
               bint bias=True):
        """Append activation(x @ w + b) with packed weights; bias: whether there is one to learn."""
        # The kernels trust the program: other panels would be read beyond their end.
        if panels.is_double != self.is_double:
            raise ValueError("a layer has joined a network of another dtype meanwhile")
        if panels.k != self.m:
            raise ValueError(f"a layer takes {panels.k} inputs, expected {self.m}")
        if self.sums_only:
            activation = NN_identity
        self.entries.append((NN_operation_dense, panels.m, bias, panels, activation, alpha, beta))
        self.m = panels.m
        self.multiply_adds += <double>panels.k * panels.m
        self.is_narrow |= panels.kind != nn_plain_weights(self.is_double)

    def widen(self):
        """Take copies of all weights that are narrower than the arithmetic, in its type."""
        if self.is_narrow:
            self.entries = _arrays.with_plain_panels(self.entries, _table)
            self.is_narrow = False

    def add(self, str kind, int activation=NN_identity, double alpha=0, double beta=0,
            parameters=None):
        """Append an operation of NN_OPERATIONS, which gives as many numbers as it takes.

        Its kernels find `activation`, `alpha` and `beta` in their nn_layer, and in its `panels` the
        parameters: one number or several for each feature, (m,) or (rows, m), m = `self.m`. They
        are a C-contiguous copy in the network's dtype, which lives as long as the program.
        """
        if kind in ("dense", "dropout") or kind not in OPERATIONS:
            raise ValueError(f"kind is {kind!r}, expected another operation of registries.h")
        if parameters is not None:
            with np.errstate(all="ignore"):
                parameters = np.array(
                    parameters, np.float64 if self.is_double else np.float32, order="C")
            # The kernels trust the program here, too.
            if parameters.shape[max(parameters.ndim - 1, 0):] != (self.m,):
                raise ValueError(f"the parameters of {kind} have shape {parameters.shape}, "
                                 f"expected (..., {self.m})")
        self.entries.append(
            (OPERATIONS.index(kind), self.m, False, parameters, activation, alpha, beta))


cdef nn_operation *compile_program(Program program, bint taped, bint sums_only,
                                   Operations *operations) except NULL:
    """Return a program's operations; the caller frees them.

    taped: for training, which keeps the results of every operation. The activation of a dense one
    becomes an operation of its own, unless its slope follows from the activation alone.
    sums_only: up to the weighted sums of the last dense operation.
    """
    cdef ptrdiff_t most = 2 * len(program.entries), count = 0, k = program.k, m, i
    cdef nn_weights weights = nn_plain_weights(program.is_double)
    cdef nn_operation *made = <nn_operation *>calloc(most, sizeof(nn_operation))
    cdef nn_operation *operation
    cdef Panels panels
    cdef int kind, activation
    cdef bint zeros_likely = not taped  # of the inputs: nothing is known, so look
    if made == NULL:
        raise MemoryError()
    operations.list, operations.last_dense, operations.dense_count = made, -1, 0
    for kind, m, _, parameters, activation, alpha, beta in program.entries:
        operation = &made[count]
        count += 1
        operation.kind = kind
        operation.zeros_likely = zeros_likely
        operation.layer.k, operation.layer.m = k, m
        operation.layer.activation = activation
        operation.layer.alpha, operation.layer.beta = alpha, beta
        k = m
        if kind == NN_operation_dense:
            panels = parameters
            operations.last_dense = count - 1
            operations.dense_count += 1
            if taped and panels.kind != weights:  # memory is allocated for plain weights
                free(made)
                operations.list = NULL
                raise ValueError("the weights are bfloat16, expected the type of the arithmetic")
            operation.layer.panels, operation.layer.weights = panels.data, panels.kind
            operation.layer.skip_zeros = panels.finite
            if (activation in (NN_softmax, NN_log_softmax)
                    or taped and not SLOPE_OF_OUTPUT[activation]):
                operation.layer.activation = NN_identity
                made[count].kind = (NN_operation_softmax if activation == NN_softmax
                                    else NN_operation_log_softmax
                                    if activation == NN_log_softmax else NN_operation_activate)
                made[count].layer = operation.layer
                made[count].layer.k = m
                made[count].layer.activation = activation
                made[count].layer.panels = NULL
                count += 1
            zeros_likely = not taped and ZEROS_LIKELY[activation]
        elif parameters is not None:
            operation.layer.panels = cnp.PyArray_DATA(<cnp.ndarray>parameters)
    if sums_only and operations.last_dense >= 0:
        count = operations.last_dense + 1
        made[count - 1].layer.activation = NN_identity
    for i in range(count):
        made[i].input_apart = nn_whole_panels(weights, made[i].layer.k)
        made[i].output_apart = nn_whole_panels(weights, made[i].layer.m)
    operations.count = count
    return made


cdef class Compiled:
    """A compiled network, ready to run: a `Plan` or a `QuantizedPlan`.

    Immutable but for `watch`: when weights change, the network takes a new plan, and calls that are
    under way finish with the one they began with.
    """

    def __cinit__(self, Program program not None, *_):
        if type(self) is Compiled:
            raise TypeError("Compiled is made as a Plan or a QuantizedPlan")
        self.reader, self.is_double = program.reader, program.is_double
        self.kernels = table(self.is_double)
        self.k, self.m = program.k, program.m
        self.most_spare, self.least = FEW_SPARE, -1

    def __dealloc__(self):
        cdef Scratch *scratch
        while self.spare != NULL:
            scratch = self.spare
            self.spare = scratch.next
            free(scratch.block)

    cdef Scratch *new_scratch(self) noexcept nogil:
        """Allocate the memory for one thread, or return NULL; its block is what to free."""
        return NULL

    cdef Scratch *take_scratch(self) except NULL:
        """Return scratch memory that nobody uses; call it with the GIL, and `give_back` as well."""
        cdef Scratch *scratch = self.spare
        if scratch != NULL:
            self.spare = scratch.next
            self.spare_count -= 1
        else:
            scratch = self.new_scratch()
            if scratch == NULL:
                raise MemoryError("there is no memory to run the network in")
        return scratch

    cdef void give_back(self, Scratch *scratch) noexcept:
        """Keep scratch memory for the next call; free some of it after a burst of calls."""
        if self.spare_count >= self.most_spare:
            free(scratch.block)
            return
        self.spare_count += 1
        scratch.next = self.spare
        self.spare = scratch


cdef class Plan(Compiled):
    """What the executors of execute.pxi run."""

    def __cinit__(self, Program program not None):
        cdef ptrdiff_t widest = program.k, i
        cdef nn_layer *layer
        self.program = program
        self.itemsize = 8 if self.is_double else 4
        self.weights = nn_plain_weights(self.is_double)
        # Few weights are read as fast as they are used: widening them each time takes longer. A
        # plan for sums only is for one call of one layer: it is not worth widening a copy.
        if (program.multiply_adds * self.itemsize <= self.kernels.costs.wide_bytes
                and not program.sums_only):
            program.widen()
        self.multiply_adds = program.multiply_adds
        compile_program(program, False, False, &self.outputs)
        compile_program(program, False, True, &self.sums)
        for i in range(self.outputs.count):
            layer = &self.outputs.list[i].layer
            widest = max(widest, nn_whole_panels(self.weights, layer.m))
        self.strategy = choose_strategy(self.kernels, &self.outputs, self.weights)
        if self.strategy.is_wide:
            self.suit_last_cache(_cpus.last_cache_bytes())
        cdef ptrdiff_t samples = max(
            self.kernels.lanes * self.strategy.tile_vectors, self.kernels.row_samples)
        self.buffer_size = (widest + 64) * samples * self.itemsize
        self.index_size = 2 * (widest + 64) * <ptrdiff_t>sizeof(int32_t)
        self.identity = <int32_t *>malloc(widest * <ptrdiff_t>sizeof(int32_t))
        if self.identity == NULL:
            raise MemoryError()
        for i in range(widest):
            self.identity[i] = <int32_t>i

    cdef int suit_last_cache(self, double size) except -1:
        """Decide what depends on where weights beyond the second-level cache come from."""
        cdef Strategy *strategy = &self.strategy
        cdef ptrdiff_t rows = self.kernels.costs.memory_rows
        strategy.is_far = strategy.weight_bytes > size
        # Half of it, because a last cache has other users, too.
        strategy.from_memory = 2 * strategy.weight_bytes > size
        if strategy.from_memory:
            strategy.vector_from = min(strategy.vector_from, rows + 1)
            strategy.tile_from = strategy.vector_from
            # A slice of the outputs has weights that stay in the cache for some more rows.
            strategy.few_tile_from = min(strategy.few_tile_from, rows + rows // 2)

    def __dealloc__(self):
        free(self.outputs.list)
        free(self.sums.list)
        free(self.identity)

    cdef Scratch *new_scratch(self) noexcept nogil:
        cdef ptrdiff_t count = self.outputs.count, i
        cdef ptrdiff_t pointers = (count + 2) * <ptrdiff_t>sizeof(void *)
        cdef char *first
        cdef char *second
        cdef void *block
        pointers = (pointers + NN_LINE_BYTES - 1) // NN_LINE_BYTES * NN_LINE_BYTES
        cdef Scratch *scratch = <Scratch *>nn_aligned_memory(
            NN_LINE_BYTES + pointers + 2 * self.buffer_size + self.index_size, &block)
        if scratch == NULL:
            return NULL
        scratch.block = block
        scratch.values = <void **>(<char *>scratch + NN_LINE_BYTES)
        first = <char *>scratch.values + pointers
        second = first + self.buffer_size
        scratch.index = <int32_t *>(second + self.buffer_size)
        # Two buffers that the dense operations alternate between; the others work in place.
        for i in range(count + 1):
            if i > 0 and self.outputs.list[i - 1].kind == NN_operation_dense:
                first, second = second, first
            scratch.values[i] = first
        scratch.values[count + 1] = first  # for one more operation
        return scratch


cdef double weight_bytes(const nn_layer *layer) noexcept nogil:
    """Return the bytes of a dense layer's weights, without those that fill up the panels."""
    cdef nn_weights kind = <nn_weights>layer.weights
    return <double>layer.k * layer.m * nn_line_bytes(kind) / nn_panel_outputs(kind)


cdef Strategy choose_strategy(const nn_kernels *kernels, const Operations *operations,
                              nn_weights weights) noexcept nogil:
    """Return how samples go through these operations best."""
    cdef Strategy strategy
    cdef const nn_costs *costs = &kernels.costs
    cdef double multiply_adds = 0, row_work = 0
    cdef ptrdiff_t itemsize = 8 if weights == nn_plain_weights(True) else 4, i
    cdef const nn_layer *layer
    strategy.weight_bytes = 0
    strategy.is_narrow = False
    for i in range(operations.count):
        layer = &operations.list[i].layer
        if operations.list[i].kind == NN_operation_dense:
            multiply_adds += <double>layer.k * layer.m
            row_work += <double>layer.k * nn_whole_panels(weights, layer.m)
            strategy.weight_bytes += weight_bytes(layer)
            strategy.is_narrow |= layer.weights != <int>weights
    # A vector of samples in a tile costs k * m; one sample by rows k * m with m rounded up to
    # whole lines, over the lanes: from here on the tile is cheaper.
    strategy.vector_from = <ptrdiff_t>(kernels.lanes * multiply_adds / max(row_work, 1.0)) + 1
    strategy.vector_from = max(1, min(<ptrdiff_t>kernels.lanes, strategy.vector_from))
    strategy.tile_from = strategy.few_tile_from = strategy.vector_from
    # Weights beyond the second-level cache come from memory for each tile: a wider one pays.
    strategy.is_wide = multiply_adds * itemsize > costs.wide_bytes
    strategy.tile_vectors = kernels.wide_vectors if strategy.is_wide else kernels.tile_vectors
    # A vector alone takes more loads for each multiply-add than rows do. But a tile fetches weights
    # from far before it needs them.
    if not strategy.is_wide and rows_are_cheaper(
            costs, operations, weights, costs.lone_multiply_add):
        strategy.few_tile_from = kernels.lanes + 1  # never: few samples are at most a vector
        # One less than two vectors are two vectors if rows cost more than lanes without a sample.
        strategy.tile_from = 2 * kernels.lanes - (strategy.vector_from < kernels.lanes)
    strategy.by_rows = (
        strategy.weight_bytes <= costs.row_bytes
        and rows_are_cheaper(costs, operations, weights, costs.tile_multiply_add))
    strategy.is_far = strategy.from_memory = False  # until Plan asks: that takes reading a file
    strategy.narrow_vectors = 0
    layer = &operations.list[0].layer
    if weight_bytes(layer) <= costs.narrow_bytes:
        strategy.narrow_vectors = min(strategy.tile_vectors, costs.narrow_samples // kernels.lanes)
    return strategy


cdef bint rows_are_cheaper(const nn_costs *costs, const Operations *operations,
                           nn_weights weights, double multiply_add) noexcept nogil:
    """Return whether dense samples, too, are cheaper by rows than in tiles.

    multiply_add: what one costs in such tiles. Rows compute whole panels of outputs, and cost
    something for each input and output. A tile is transposed when it is read and when it is
    written, which does not pay for layers with many inputs and few outputs, or few inputs and many
    outputs.
    """
    cdef double rows = 0, tile = 0
    cdef ptrdiff_t i, m = operations.list[operations.count - 1].layer.m
    cdef const nn_layer *layer
    for i in range(operations.count):
        layer = &operations.list[i].layer
        if operations.list[i].kind == NN_operation_dense:
            rows += costs.row_multiply_add * layer.k * nn_whole_panels(weights, layer.m)
            rows += costs.row_input * layer.k + costs.row_output * layer.m
            tile += multiply_add * layer.k * layer.m
    return rows < tile + costs.tile_value * (operations.list[0].layer.k + m)
