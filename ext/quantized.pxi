"""Networks of eight bits: the executor for weights and activations that are bytes.

x -> checked once -> [GIL released] a tile of samples as codes, read where they lie if they are
bytes -> layer by layer inside the cache: sums of whole numbers, made floats, activation, codes ->
written to out

contract.h has the rule of the arithmetic. The sums are exact, so samples, groups of inputs and
panels of outputs may be taken in any order.
"""
from libc.stdint cimport PTRDIFF_MAX, int32_t, uint8_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

cimport ndarrays as cnp

from contract cimport (
    NN_MOST_THREADS, NN_float32, NN_identity, NN_log_softmax, NN_softmax, NN_uint8,
    NN_unchanged, nn_aligned_memory, nn_count, nn_enter_fp, nn_fetch, nn_finish, nn_int8_kernels,
    nn_int8_layer, nn_kernels, nn_leave_fp, nn_source, nn_take, nn_wait, nn_work,
)
from panels cimport (
    NN_INT8_MOST_INPUTS, NN_INT8_OUTPUTS, NN_INT8_SPARE_ROWS, NN_LINE_BYTES, nn_int8_groups,
    nn_int8_pack, nn_int8_panel_bytes, nn_int8_panel_count, nn_int8_row_bytes,
)
from nncore._plan cimport Compiled, Program, Scratch
from nncore._table cimport aligned_memory, int8_table, parallel_min, share_work

from nncore._plan import ZEROS_LIKELY

cdef enum:
    TILE_SAMPLES = 96     # whole tiles of AMX, and whole groups of rows of the other kernels
    SMALL_QUANTIZED = 400000   # multiply-adds of one sample not worth releasing the GIL for
    FEW_GROUPS = 16       # so few groups are multiplied faster than zeros are found among them
    FEW_SAMPLES = 16      # of a network that is wide
    WHOLE_VECTORS = 64    # floats; to_codes takes longer for fewer
    AHEAD = 8             # samples whose codes are fetched into the cache meanwhile
    DENSE_SHARE = 2       # with more than one of so many groups, samples are faster together
    # Bytes take less time, but threads take as long to wake and to meet. They are woken from this
    # many times the multiply-adds of float on, and each thread after the second gets as many.
    QUICKER = 3


# ---- what a network is compiled to ----

cdef class QuantizedPlan(Compiled):
    """A compiled network of eight bits, ready to run. Immutable but for `watch`.

    Parameters
    ----------
    program : Program
        How the samples are read: of float32, with a Normalization or unchanged. It has no
        operations.
    layers : list of tuple
        For each layer: weights int8 (k, m), scale float32 (m,), bias float32 (m,), the code of the
        activation, alpha, beta, and inverse and zero of its inputs.
    """

    cdef const nn_int8_kernels *int8
    cdef nn_int8_layer *layers
    cdef ptrdiff_t count
    cdef void *block        # the packed weights of all layers
    # For the samples of a tile: bytes of codes, floats of sums, groups and bytes of one sample.
    cdef ptrdiff_t codes_size, sums_size, index_size, row_size

    def __cinit__(self, Program program not None, list layers not None):
        cdef ptrdiff_t k = program.k, widest = 0, bytes_of_row = 0, groups = 0
        cdef double packed = 0  # bytes
        cdef cnp.ndarray weights, scale, bias
        cdef nn_int8_layer *layer
        cdef char *data
        if program.is_double or program.entries or not layers:
            raise ValueError("the program is not that of a quantised network")
        self.int8 = int8_table()
        self.is_quantized = True
        self.layers = <nn_int8_layer *>calloc(len(layers), sizeof(nn_int8_layer))
        if self.layers == NULL:
            raise MemoryError()
        for weights, scale, bias, activation, alpha, beta, inverse, zero in layers:
            _check_quantized(weights, scale, bias, k, zero)
            layer = &self.layers[self.count]
            layer.k, layer.m = k, cnp.PyArray_DIM(weights, 1)
            layer.activation, layer.alpha, layer.beta = activation, alpha, beta
            layer.inverse, layer.zero = inverse, zero
            # What the samples hold is not known.
            layer.zeros_likely = (
                self.count == 0 or ZEROS_LIKELY[self.layers[self.count - 1].activation])
            groups = max(groups, nn_int8_groups(k))
            bytes_of_row = max(bytes_of_row, nn_int8_row_bytes(k))
            packed += <double>nn_int8_panel_count(layer.m) * nn_int8_panel_bytes(k)
            self.multiply_adds += <double>k * layer.m
            widest = max(widest, _whole_panels(layer.m))
            k = layer.m
            self.count += 1
        self.m = k
        # In double, because a ptrdiff_t may have 32 bits.
        if 4.0 * TILE_SAMPLES * (widest + bytes_of_row + 64) + packed > PTRDIFF_MAX // 2:
            raise MemoryError("no memory is so large as this network needs")
        data = <char *>aligned_memory(<size_t>packed, &self.block)
        for i, (weights, scale, bias, _, _, _, _, zero) in enumerate(layers):
            layer = &self.layers[i]
            layer.panels = data
            nn_int8_pack(<const signed char *>cnp.PyArray_DATA(weights),
                         <const float *>cnp.PyArray_DATA(scale),
                         <const float *>cnp.PyArray_DATA(bias), zero, layer.k, layer.m, data)
            data += nn_int8_panel_count(layer.m) * nn_int8_panel_bytes(layer.k)
        # Spare rows for samples that are missing, and spare bytes for what is written in vectors.
        # Where codes are, there is room for the last sums as a tile, too.
        self.codes_size = _lines(
            TILE_SAMPLES * max(widest, max(bytes_of_row, 4 * (k + 16))) + NN_LINE_BYTES)
        self.sums_size = _lines((TILE_SAMPLES + NN_INT8_SPARE_ROWS) * widest * 4 + NN_LINE_BYTES)
        self.index_size = _lines((max(groups, k) + 16) * 4)
        self.row_size = _lines(program.k * 4 + NN_LINE_BYTES)

    def __dealloc__(self):
        free(self.layers)
        free(self.block)

    cdef Scratch *new_scratch(self) noexcept nogil:
        cdef void *block
        cdef Scratch *scratch = <Scratch *>nn_aligned_memory(
            2 * NN_LINE_BYTES + self.codes_size + self.sums_size + self.index_size
            + self.row_size + TILE_SAMPLES, &block)
        if scratch == NULL:
            return NULL
        scratch.block = block
        scratch.values = <void **>(<char *>scratch + NN_LINE_BYTES)
        cdef char *at = <char *>scratch + 2 * NN_LINE_BYTES
        scratch.values[CODES] = at
        scratch.values[SUMS] = at + self.codes_size
        scratch.index = <int32_t *>(at + self.codes_size + self.sums_size)
        scratch.values[ROW] = <char *>scratch.index + self.index_size
        scratch.values[HAS_NAN] = <char *>scratch.values[ROW] + self.row_size
        return scratch


cdef enum:
    CODES, SUMS, ROW, HAS_NAN  # what scratch.values points to


cdef _check_quantized(cnp.ndarray weights, cnp.ndarray scale, cnp.ndarray bias, ptrdiff_t k, zero):
    """Refuse what the kernels would not survive: only a mistake in nncore leads here."""
    if (weights.dtype != np.int8 or not cnp.PyArray_ISCARRAY_RO(weights)
            or cnp.PyArray_NDIM(weights) != 2 or cnp.PyArray_DIM(weights, 0) != k
            or cnp.PyArray_DIM(weights, 1) < 1 or not 0 < k <= NN_INT8_MOST_INPUTS
            or not 0 <= zero <= 255):
        raise ValueError(f"a quantised layer does not take {k} inputs")
    for array in (scale, bias):
        if (array.dtype != np.float32 or not cnp.PyArray_ISCARRAY_RO(array)
                or array.shape != (cnp.PyArray_DIM(weights, 1),)):
            raise ValueError("scale and bias do not fit the weights")


cdef inline ptrdiff_t _lines(ptrdiff_t size) noexcept nogil:
    return (size + NN_LINE_BYTES - 1) // NN_LINE_BYTES * NN_LINE_BYTES


cdef inline ptrdiff_t _whole_panels(ptrdiff_t m) noexcept nogil:
    return nn_int8_panel_count(m) * NN_INT8_OUTPUTS


# ---- a tile of samples ----

cdef struct CodesCall:
    const nn_kernels *kernels
    const nn_int8_kernels *int8
    const nn_int8_layer *layers
    ptrdiff_t count
    nn_source source
    bint are_codes   # whether the samples' bytes are the codes
    bint sums_only
    float *out
    ptrdiff_t row_stride, column_stride  # in elements


cdef void _run_codes_span(const CodesCall *call, ptrdiff_t first, ptrdiff_t end,
                          const Scratch *scratch) noexcept nogil:
    cdef ptrdiff_t samples
    while first < end:
        samples = min(<ptrdiff_t>TILE_SAMPLES, end - first)
        _run_codes(call, first, samples, scratch)
        first += samples


cdef void _run_codes(const CodesCall *call, ptrdiff_t first, ptrdiff_t samples,
                     const Scratch *scratch) noexcept nogil:
    cdef const nn_int8_layer *layer
    cdef float *z = <float *>scratch.values[SUMS]
    cdef const uint8_t *codes
    cdef ptrdiff_t apart, width, i
    cdef bint has_nan = _read_codes(call, first, samples, scratch, &codes, &apart)
    for i in range(call.count):
        layer = &call.layers[i]
        width = _whole_panels(layer.m)
        _sums(call.int8, layer, codes, apart, samples, z, width, scratch.index)
        if i < call.count - 1:
            _make_codes(call, layer, z, samples * width, <uint8_t *>scratch.values[CODES])
            codes, apart = <const uint8_t *>scratch.values[CODES], width
    _write_sums(call, &call.layers[call.count - 1], z, first, samples,
                <const char *>scratch.values[HAS_NAN] if has_nan else NULL,
                scratch.values[CODES], scratch.index)


cdef inline void _sums(const nn_int8_kernels *int8, const nn_int8_layer *layer,
                       const uint8_t *codes, ptrdiff_t apart, ptrdiff_t samples, float *z,
                       ptrdiff_t width, int32_t *index) noexcept nogil:
    """Compute a layer's sums, without the groups of codes that are zero, if there are many."""
    cdef ptrdiff_t groups = nn_int8_groups(layer.k), count
    if layer.zeros_likely and groups > FEW_GROUPS and samples < int8.dense_from:
        while samples > 0:
            if samples > AHEAD:
                nn_fetch(codes + AHEAD * apart, layer.k)
            count = int8.find_groups(codes, groups, index)
            if samples > 1 and count * DENSE_SHARE > groups:
                break  # the samples that are left are taken together
            int8.sums(layer, codes, apart, 1, index, count, z, width)
            codes += apart
            z += width
            samples -= 1
        if samples == 0:
            return
    int8.sums(layer, codes, apart, samples, NULL, 0, z, width)


cdef inline void _make_codes(const CodesCall *call, const nn_int8_layer *layer, float *z,
                             ptrdiff_t n, uint8_t *codes) noexcept nogil:
    """Turn n sums of a layer into what the next layer reads."""
    if layer.activation != NN_identity:
        call.kernels.activate(layer.activation, layer.alpha, layer.beta, z, z, n)
    call.int8.to_codes(z, n, layer[1].inverse, layer[1].zero, codes)


# ---- in and out ----

cdef bint _read_codes(const CodesCall *call, ptrdiff_t first, ptrdiff_t samples,
                      const Scratch *scratch, const uint8_t **codes,
                      ptrdiff_t *apart) noexcept nogil:
    """Find or make the codes of some samples; return whether any of them has a NaN.

    Which ones have is then in the scratch memory.
    """
    cdef const nn_source *source = &call.source
    cdef const nn_int8_layer *layer = &call.layers[0]
    cdef const char *x = source.data + first * source.row_stride
    cdef ptrdiff_t k = layer.k, whole = 4 * nn_int8_groups(k), row = 0
    cdef uint8_t *to = <uint8_t *>scratch.values[CODES]
    cdef char *has_nan = <char *>scratch.values[HAS_NAN]
    cdef bint any_nan = False
    codes[0], apart[0] = to, whole
    if call.are_codes:
        if k == whole or (source.row_stride >= 0 and source.gapless_end != NULL
                          and x + (samples - 1) * source.row_stride + whole <= source.gapless_end):
            codes[0], apart[0] = <const uint8_t *>x, source.row_stride
            return False
        for row in range(samples):
            memcpy(to + row * whole, x + row * source.row_stride, k)
        return False
    cdef bint are_floats = (
        source.type == <int>NN_float32 and source.preprocess == <int>NN_unchanged
        and source.column_stride == 4 and (<uintptr_t>x | <uintptr_t>source.row_stride) % 4 == 0)
    cdef const float *values = <const float *>scratch.values[ROW]
    if samples > 1 and k < WHOLE_VECTORS and are_floats:
        row = _read_whole_vectors(call, x, samples, to, whole)
        memset(has_nan, 0, row)
    for row in range(row, samples):
        if are_floats:
            values = <const float *>(x + row * source.row_stride)
        else:
            call.kernels.load_row(source, first + row, k, <float *>scratch.values[ROW])
        has_nan[row] = call.int8.to_codes(
            values, k, layer.inverse, layer.zero, to + row * whole)
        any_nan |= has_nan[row]
    return any_nan


cdef ptrdiff_t _read_whole_vectors(const CodesCall *call, const char *x, ptrdiff_t samples,
                                   uint8_t *codes, ptrdiff_t apart) noexcept nogil:
    """Make codes of few inputs together with those that follow them in memory.

    What is written beyond a sample is written again, or meets weights of 0. Return how many samples
    are done: those before a NaN, or before the end of memory.
    """
    cdef const nn_source *source = &call.source
    cdef ptrdiff_t row
    if source.gapless_end == NULL or source.row_stride < 0:
        return 0
    for row in range(samples):
        if (source.gapless_end - x < WHOLE_VECTORS * <ptrdiff_t>sizeof(float)
                or call.int8.to_codes(<const float *>x, WHOLE_VECTORS, call.layers.inverse,
                                      call.layers.zero, codes)):
            return row
        x += source.row_stride
        codes += apart
    return samples


cdef void _write_sums(const CodesCall *call, const nn_int8_layer *last, float *z, ptrdiff_t first,
                      ptrdiff_t samples, const char *has_nan, void *tile,
                      int32_t *index) noexcept nogil:
    """Write the outputs of some samples, whose last sums are z.

    tile, index: room for the sums of a tile and for a list of them.
    """
    cdef ptrdiff_t row, _, j, m = last.m, width = _whole_panels(m)
    cdef const nn_kernels *kernels = call.kernels
    cdef float *out = call.out + first * call.row_stride
    if has_nan != NULL:
        for row in range(samples):
            if has_nan[row]:
                for j in range(m):
                    z[row * width + j] = _nan
    if call.sums_only or last.activation == NN_identity:
        pass
    elif last.activation < NN_softmax:
        kernels.activate(last.activation, last.alpha, last.beta, z, z, samples * width)
    elif samples >= kernels.lanes:
        _write_softmax(call, last, z, samples, tile, index, out)
        return
    else:
        for row in range(samples):
            kernels.softmax(last.activation == NN_log_softmax, z + row * width, z + row * width, m)
    for _ in range(samples):
        if call.column_stride == 1:
            memcpy(out, z, m * sizeof(float))
        else:
            for j in range(m):
                out[j * call.column_stride] = z[j]
        z += width
        out += call.row_stride


cdef void _write_softmax(const CodesCall *call, const nn_int8_layer *last, float *z,
                         ptrdiff_t samples, void *tile, int32_t *index,
                         float *out) noexcept nogil:
    """Write the softmax of many samples, with the lanes over the samples: the bits are the same."""
    cdef const nn_kernels *kernels = call.kernels
    cdef ptrdiff_t m = last.m, first = 0, most = kernels.lanes * kernels.tile_vectors, taken
    cdef int vectors
    cdef nn_source sums
    memset(&sums, 0, sizeof(nn_source))
    sums.data, sums.type, sums.preprocess = <const char *>z, NN_float32, NN_unchanged
    sums.row_stride, sums.column_stride = _whole_panels(m) * sizeof(float), sizeof(float)
    while first < samples:
        taken = min(most, samples - first)
        vectors = <int>((taken + kernels.lanes - 1) // kernels.lanes)
        kernels.pack_tile(&sums, first, <int>taken, m, False, vectors, tile,
                          vectors * kernels.lanes, index, NULL)
        kernels.tile_softmax(last.activation == NN_log_softmax, tile, m, vectors)
        kernels.unpack_tile(tile, vectors, <int>taken, m, out + first * call.row_stride,
                            call.row_stride, call.column_stride)
        first += taken


cdef float _nan = float("nan")


# ---- sharing: a few samples by the outputs of each layer ----

cdef struct SharedCodes:
    const CodesCall *call
    const Scratch *scratch
    nn_count *stages
    const uint8_t *codes
    ptrdiff_t apart, samples, threads
    bint has_nan


cdef void _work_on_codes(SharedCodes *shared, int thread) noexcept nogil:
    """Do pieces of all stages: what one thread does of a call.

    The first stage reads the samples. Each layer has two stages: the sums, of which a piece is some
    panels, and what follows from them, which is one piece. A thread waits only for pieces that a
    running thread has taken.
    """
    cdef unsigned long long found = nn_enter_fp()
    cdef const CodesCall *call = shared.call
    cdef ptrdiff_t stage, panels, size, piece, pieces
    cdef const nn_int8_layer *layer
    for stage in range(2 * call.count + 1):
        pieces = size = 1
        layer = &call.layers[max(stage - 1, 0) // 2]
        if stage % 2 == 1:
            panels = nn_int8_panel_count(layer.m)
            size = max(1, min(<ptrdiff_t>MOST_PANELS, panels // (4 * shared.threads)))
            pieces = (panels + size - 1) // size
        while True:
            piece = nn_take(&shared.stages[stage].taken)
            if piece >= pieces:
                break
            if stage % 2 == 1:
                _sums_of_panels(shared, layer, piece * size, size)
            else:
                _between_layers(shared, layer, stage)
            nn_finish(&shared.stages[stage].done)
        nn_wait(&shared.stages[stage].done, pieces)
    nn_leave_fp(found)


cdef void _sums_of_panels(const SharedCodes *shared, const nn_int8_layer *layer,
                          ptrdiff_t first, ptrdiff_t panels) noexcept nogil:
    cdef nn_int8_layer part = layer[0]
    part.panels += first * nn_int8_panel_bytes(layer.k)
    part.m = min(layer.m - first * NN_INT8_OUTPUTS, panels * NN_INT8_OUTPUTS)
    shared.call.int8.sums(
        &part, shared.codes, shared.apart, shared.samples, NULL, 0,
        <float *>shared.scratch.values[SUMS] + first * NN_INT8_OUTPUTS, _whole_panels(layer.m))


cdef void _between_layers(SharedCodes *shared, const nn_int8_layer *layer,
                          ptrdiff_t stage) noexcept nogil:
    """Read the samples, make codes of a layer's sums, or write the outputs."""
    cdef const Scratch *scratch = shared.scratch
    cdef float *z = <float *>scratch.values[SUMS]
    if stage == 0:
        shared.has_nan = _read_codes(
            shared.call, 0, shared.samples, scratch, &shared.codes, &shared.apart)
    elif stage < 2 * shared.call.count:
        shared.apart = _whole_panels(layer.m)
        shared.codes = <const uint8_t *>scratch.values[CODES]
        _make_codes(shared.call, layer, z, shared.samples * shared.apart,
                    <uint8_t *>scratch.values[CODES])
    else:
        _write_sums(shared.call, layer, z, 0, shared.samples,
                    <const char *>scratch.values[HAS_NAN] if shared.has_nan else NULL,
                    scratch.values[CODES], scratch.index)


cdef _share_codes(QuantizedPlan plan, const CodesCall *call, ptrdiff_t n, ptrdiff_t threads,
                  bint urgent):
    cdef SharedCodes shared
    cdef Scratch *scratch = plan.take_scratch()
    shared.call, shared.scratch, shared.samples, shared.threads = call, scratch, n, threads
    shared.stages = <nn_count *>calloc(2 * call.count + 1, sizeof(nn_count))
    if shared.stages != NULL:
        with nogil:
            share_work(<nn_work *>_work_on_codes, &shared, threads, urgent)
    plan.give_back(scratch)
    if shared.stages == NULL:
        raise MemoryError()
    free(shared.stages)


# ---- a call ----

cdef ptrdiff_t _threads_of_codes(QuantizedPlan plan, ptrdiff_t n, bint *few) except -1:
    """Return how many threads share a call with n samples; few: by the outputs of each layer."""
    cdef double work = plan.multiply_adds * n
    cdef ptrdiff_t threads
    if plan.least < 0:
        plan.least = parallel_min()
    # Weights beyond the caches are fetched once if threads share the outputs of each layer.
    few[0] = (n <= 2 or n <= FEW_SAMPLES and plan.multiply_adds > plan.kernels.costs.near_bytes) \
        and work >= plan.count * plan.least
    if work < plan.least or (n <= 2 and not few[0]):
        return 1
    threads = min(_table.get_num_threads(), NN_MOST_THREADS)
    if plan.least > 0:
        threads = <ptrdiff_t>min(<double>threads, max(2, 1 + work / (QUICKER * plan.least)))
    return threads


cdef cnp.ndarray run_quantized(QuantizedPlan plan, cnp.ndarray x, int code, cnp.ndarray out,
                               bint sums_only):
    """Run x (k,) or (n, k) into out (m,) or (n, m), made here if None: as run_plan does."""
    cdef CodesCall call
    cdef Trial trial
    cdef int dimensions = cnp.PyArray_NDIM(x)
    cdef bint few, urgent
    cdef ptrdiff_t n = 1 if dimensions == 1 else cnp.PyArray_DIM(x, 0)
    cdef ptrdiff_t threads = _threads_of_codes(plan, n, &few)
    cdef double work = plan.multiply_adds * n
    cdef cnp.npy_intp shape[2]
    if out is None:
        shape[0] = n if dimensions == 2 else plan.m
        shape[1] = plan.m
        out = cnp.PyArray_EMPTY(dimensions, shape, cnp.NPY_FLOAT, 0)
    call.kernels, call.int8 = plan.kernels, plan.int8
    call.layers, call.count, call.sums_only = plan.layers, plan.count, sums_only
    plan.reader.locate(x, code, &call.source)
    call.are_codes = (
        code == <int>NN_uint8 and call.source.column_stride == 1
        and call.source.preprocess == <int>NN_unchanged
        and plan.layers.inverse == 1 and plan.layers.zero == 0)
    call.out = <float *>cnp.PyArray_DATA(out)
    call.column_stride = cnp.PyArray_STRIDE(out, dimensions - 1) // 4
    call.row_stride = cnp.PyArray_STRIDE(out, 0) // 4 if dimensions == 2 else 0
    trial.began = 0
    if threads > 1 and begin_call(plan, n, work, plan.least, threads, &trial):
        urgent = work >= QUICKER * plan.least * <double>_table.URGENT
        if few:
            _share_codes(plan, &call, n, threads, urgent)
        else:
            share_samples(plan, <span_function>_run_codes_span, &call, n, TILE_SAMPLES, threads,
                          urgent)
    else:
        _run_codes_alone(plan, &call, n, work)
    end_call(&trial)
    return out


cdef int _run_codes_alone(QuantizedPlan plan, const CodesCall *call, ptrdiff_t n,
                          double work) except -1:
    cdef Scratch *scratch = plan.take_scratch()
    cdef unsigned long long found
    if n == 1 and work < SMALL_QUANTIZED:
        found = nn_enter_fp()
        _run_codes(call, 0, 1, scratch)
        nn_leave_fp(found)
    else:
        with nogil:
            found = nn_enter_fp()
            _run_codes_span(call, 0, n, scratch)
            nn_leave_fp(found)
    plan.give_back(scratch)
    return 0
