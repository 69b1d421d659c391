"""The kernels on typed memoryviews, for Cython code, ours and other people's: kernels.pxd.

Here are the choice of the instruction set, the packing of weights, and one fused layer (`affine`),
the elementwise activations and softmax as functions that need no GIL. They check shapes and types,
which costs a few comparisons, and then go from arrays to pointers. contract.h says what each
kernel does. array_kernels.pyx offers the same functions to Python.
"""
from cython cimport floating
from libc.stdint cimport int32_t
from libc.math cimport isnan
from libc.stdlib cimport free
from libc.string cimport memcpy

import os

from contract cimport (
    NN_ACTIVATION_COUNT, NN_SLOPE_OF_OUTPUT, NN_ZEROS_LIKELY, NN_float32, NN_float64, NN_identity,
    NN_log_softmax, NN_softmax, nn_activation_row, nn_activations, nn_ahead, nn_aligned_memory,
    nn_enter_fp, nn_isas, nn_kernels, nn_layer, nn_leave_fp, nn_operation_names, nn_source,
    nn_supported,
)
from panels cimport NN_LINE_BYTES, nn_pack, nn_packed_bytes, nn_plain, nn_plain_weights, nn_weights

cdef enum:
    MOST_ROWS = 8         # to give to the row kernel at once
    BUFFER_PANELS = 8     # of outputs, for each of these rows, in a buffer on the stack
    STACK_COLUMNS = 1024  # inputs whose indices have room on the stack
    NARROW_SAMPLES = 16   # in a tile when many inputs are zero

cdef const nn_kernels *_f32 = NULL
cdef const nn_kernels *_f64 = NULL
cdef object _refusal = None  # why no instruction set could be chosen: raised at the first use


def available_instruction_sets():
    """Names of the instruction sets that this build has and this CPU can run, best first."""
    names = []
    cdef int i = 0
    while nn_isas[i].name != NULL:
        if nn_supported(nn_isas[i].name):
            names.append(nn_isas[i].name.decode())
        i += 1
    return names


def known_instruction_sets():
    """Names of all instruction sets of this build, best first, whatever the CPU can run."""
    names = []
    cdef int i = 0
    while nn_isas[i].name != NULL:
        names.append(nn_isas[i].name.decode())
        i += 1
    return names


def instruction_set():
    """Name of the instruction set in use."""
    return (<const nn_kernels *>kernel_table(False)).isa.decode()


cdef _texts(const char *const *names):
    """A list that ends with NULL."""
    texts = []
    cdef int i = 0
    while names[i] != NULL:
        texts.append(names[i].decode())
        i += 1
    return texts


def operation_names():
    """Names of the operations in the order of their codes."""
    return _texts(nn_operation_names)


def activations():
    """The rows of NN_ACTIVATIONS in ext/registries.h as dicts, in the order of their codes.

    alpha and beta are None where the activation has no such parameter.
    """
    rows = []
    cdef nn_activation_row row
    for code in range(NN_ACTIVATION_COUNT):
        row = nn_activations[code]
        rows.append({
            "name": row.name.decode(),
            "alpha": None if isnan(row.alpha) else row.alpha,
            "beta": None if isnan(row.beta) else row.beta,
            "rowwise": code >= NN_softmax,
            "zeros_likely": bool(row.traits & NN_ZEROS_LIKELY),
            "slope_of_output": bool(row.traits & NN_SLOPE_OF_OUTPUT),
            "init": row.init.decode(),
            "formula": row.formula.decode(),
            "slope": row.slope.decode(),
            "note": row.note.decode(),
        })
    return rows


def _choose(wanted):
    global _f32, _f64
    known, available = known_instruction_sets(), available_instruction_sets()
    if wanted and wanted not in known:
        raise ValueError(f"NNCORE_ISA={wanted}: the known instruction sets are {', '.join(known)}")
    if wanted and wanted not in available:
        raise RuntimeError(
            f"NNCORE_ISA={wanted}: this CPU lacks it; it can run {', '.join(available)}"
        )
    cdef int i = known.index(wanted or available[0])
    _f32, _f64 = nn_isas[i].f32, nn_isas[i].f64


try:
    _choose(os.environ.get("NNCORE_ISA"))
except (ValueError, RuntimeError) as error:
    _refusal = error


cpdef int activation_code(str name) except -1:
    """The number of an activation, which `affine`, `activate` and `derive` take.

    Raises
    ------
    ValueError
        There is no activation of that name; the message lists those there are.
    """
    names = [row["name"] for row in activations()]
    if name not in names:
        raise ValueError(f"unknown activation {name!r}, expected one of {', '.join(names)}")
    return names.index(name)


cdef const void *kernel_table(bint is_double) except NULL:
    """The nn_kernels for double or float of the instruction set in use.

    kernels.pxd cannot name that type, because other people's Cython reads the file without our
    headers. Our own modules cimport `table` from kernel_table.pxd.
    """
    if _refusal is not None:
        raise type(_refusal)(*_refusal.args)
    return _f64 if is_double else _f32


cdef int _enter(bint is_double, const nn_kernels **kernels) except -1 nogil:
    """The kernels for double or float; an error where no instruction set could be chosen."""
    kernels[0] = _f64 if is_double else _f32
    if kernels[0] == NULL:
        with gil:
            kernel_table(is_double)
    return 0


cdef int _refuse_lengths(ptrdiff_t x, ptrdiff_t y) except -1 with gil:
    raise ValueError(f"y has {y} elements, x has {x}, expected as many")


cdef int _refuse_activation(int activation) except -1 with gil:
    raise ValueError(
        f"activation is {activation}, expected a code that activation_code gives; softmax and "
        "log_softmax are not functions of single elements"
    )


cdef int activate(int activation, double alpha, double beta, const floating[::1] x,
                  floating[::1] y) except -1 nogil:
    """y[i] = f(x[i]); x (n,), y (n,), which may be x."""
    cdef const nn_kernels *kernels
    cdef ptrdiff_t n = x.shape[0]
    _enter(floating is double, &kernels)
    if y.shape[0] != n:
        _refuse_lengths(n, y.shape[0])
    if not 0 <= activation < NN_softmax:
        _refuse_activation(activation)
    if n == 0:
        return 0
    cdef unsigned long long found = nn_enter_fp()
    kernels.activate(activation, alpha, beta, &x[0], &y[0], n)
    nn_leave_fp(found)
    return 0


cdef int derive(int activation, double alpha, double beta, const floating[::1] x,
                floating[::1] y) except -1 nogil:
    """y[i] = f'(x[i]); x (n,), y (n,), which may be x."""
    cdef const nn_kernels *kernels
    cdef ptrdiff_t n = x.shape[0]
    _enter(floating is double, &kernels)
    if y.shape[0] != n:
        _refuse_lengths(n, y.shape[0])
    if not 0 <= activation < NN_softmax:
        _refuse_activation(activation)
    if n == 0:
        return 0
    cdef unsigned long long found = nn_enter_fp()
    kernels.derive(activation, alpha, beta, &x[0], &y[0], n)
    nn_leave_fp(found)
    return 0


cdef int softmax(bint logarithm, const floating[:, ::1] x, floating[:, ::1] y) except -1 nogil:
    """Softmax of each row or its logarithm; x (n, m), y (n, m), which may be x."""
    cdef const nn_kernels *kernels
    cdef ptrdiff_t i, n = x.shape[0], m = x.shape[1]
    _enter(floating is double, &kernels)
    if y.shape[0] != n or y.shape[1] != m:
        _refuse_shape("y", y.shape[0], y.shape[1], n, m)
    if n == 0 or m == 0:
        return 0
    cdef unsigned long long found = nn_enter_fp()
    for i in range(n):
        kernels.softmax(logarithm, &x[i, 0], &y[i, 0], m)
    nn_leave_fp(found)
    return 0


def fma_probe(bint is_double, ptrdiff_t rounds):
    """Do multiply-adds in registers for `rounds` rounds; returns how many there were."""
    cdef const nn_kernels *kernels = <const nn_kernels *>kernel_table(is_double)
    cdef double result, count
    with nogil:
        count = kernels.fma_probe(rounds, &result)
    return count


cdef void *aligned_memory(size_t size, void **block) except NULL:
    """size bytes that begin on a cache line; block is what to free."""
    cdef void *start = nn_aligned_memory(size, block)
    if start == NULL:
        raise MemoryError(f"{size} bytes")
    return start


cdef class Panels:
    """The packed weights of one layer: immutable, shared by every plan that runs the layer.

    Made by `pack`. A bias of NaN or infinity hinders nothing; a weight of NaN or infinity switches
    off the skipping of zeros, because fma(0, inf, acc) is NaN.
    """

    def __dealloc__(self):
        free(self.block)


cpdef Panels pack(const floating[:, :] w, const floating[:] b):
    """Pack w (k, m) and b (m,), both copied, into the Panels that `affine` takes."""
    kernel_table(floating is double)  # raises where no instruction set could be chosen
    cdef Panels panels = Panels.__new__(Panels)
    cdef ptrdiff_t k = w.shape[0], m = w.shape[1]
    if k == 0 or m == 0:
        raise ValueError(f"w has shape ({k}, {m}), expected (k, m), both at least 1")
    if b.shape[0] != m:
        raise ValueError(f"b has shape ({b.shape[0]},), expected ({m},)")
    cdef nn_weights kind = nn_plain_weights(floating is double)
    cdef nn_plain plain
    plain.w, plain.w_row, plain.w_column = <char *>&w[0, 0], w.strides[0], w.strides[1]
    plain.b, plain.b_column = <char *>&b[0], b.strides[0]
    panels.is_double = floating is double
    panels.k, panels.m = k, m
    panels.data = aligned_memory(nn_packed_bytes(kind, k, m), &panels.block)
    with nogil:
        panels.finite = nn_pack(kind, &plain, k, m, panels.data)
    return panels


cdef int _refuse_shape(const char *name, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t wanted_rows,
                       ptrdiff_t wanted_columns) except -1 with gil:
    raise ValueError(
        f"{name.decode()} has shape ({rows}, {columns}), expected ({wanted_rows}, {wanted_columns})"
    )


cdef int _refuse_weights(Panels weights, bint is_double, int activation) except -1 with gil:
    if weights is None:
        raise TypeError("weights is None, expected what pack returns")
    if weights.is_double != is_double:
        raise TypeError(
            f"x is {'float64' if is_double else 'float32'}, the packed weights are "
            f"{'float64' if weights.is_double else 'float32'}, expected the same"
        )
    raise ValueError(f"activation is {activation}, expected a code that activation_code gives")


cdef int affine(Panels weights, int activation, double alpha, double beta,
                const floating[:, ::1] x, floating[:, ::1] y) except -1 nogil:
    """y = activation(x @ w + b); x (n, k), y (n, m), which must not overlap x."""
    cdef bint is_double = floating is double
    if (weights is None or weights.is_double != is_double
            or not 0 <= activation <= NN_log_softmax):
        _refuse_weights(weights, is_double, activation)
    cdef ptrdiff_t n = x.shape[0]
    if x.shape[1] != weights.k:
        _refuse_shape("x", n, x.shape[1], n, weights.k)
    if y.shape[0] != n or y.shape[1] != weights.m:
        _refuse_shape("y", y.shape[0], y.shape[1], n, weights.m)
    if n > 0:
        affine_rows(weights, activation, alpha, beta, &x[0, 0], &y[0, 0], n)
    return 0


cdef void affine_rows(Panels weights, int activation, double alpha, double beta, const void *x,
                      void *y, ptrdiff_t n) noexcept nogil:
    """`affine` without its checks: x n rows of k, y n rows of m elements of the weights' type."""
    cdef const nn_kernels *kernels = _f64 if weights.is_double else _f32
    cdef ptrdiff_t size = 8 if weights.is_double else 4, tiled = 0
    cdef int final = activation if activation in (NN_softmax, NN_log_softmax) else 0
    cdef nn_layer layer
    layer.panels = weights.data
    layer.k, layer.m = weights.k, weights.m
    layer.activation = NN_identity if final else activation
    layer.alpha, layer.beta = alpha, beta
    layer.skip_zeros = weights.finite
    cdef unsigned long long found = nn_enter_fp()
    if n >= kernels.lanes:
        tiled = _by_tiles(kernels, &layer, final, size, <const char *>x, <char *>y, n)
    if tiled < n:
        _by_rows(kernels, &layer, final, size, <const char *>x + tiled * layer.k * size,
                 <char *>y + tiled * layer.m * size, n - tiled)
    nn_leave_fp(found)


# x (n, k) -> y (n, m), size bytes an element
cdef ptrdiff_t _by_tiles(const nn_kernels *kernels, const nn_layer *layer, int final,
                         ptrdiff_t size, const char *x, char *y, ptrdiff_t n) noexcept nogil:
    """The samples that are worth a tile; returns how many, 0 where there is no memory for one."""
    cdef ptrdiff_t k = layer.k, m = layer.m, lanes = kernels.lanes, line = NN_LINE_BYTES // size
    cdef ptrdiff_t whole = (m + line - 1) // line * line, most = kernels.tile_vectors
    cdef ptrdiff_t width = lanes * min(most, (n + lanes - 1) // lanes)
    # Every part begins on a cache line, because 16 samples of any type are whole lines.
    cdef ptrdiff_t input_bytes = (k + 64) // 16 * 16 * width * size
    cdef ptrdiff_t output_bytes = (whole + 64) * width * size
    cdef void *block
    cdef char *tile = <char *>nn_aligned_memory(
        input_bytes + output_bytes + (k + 16) * <ptrdiff_t>sizeof(int32_t), &block)
    if tile == NULL:
        return 0
    cdef char *outputs = tile + input_bytes
    cdef int32_t *index = <int32_t *>(outputs + output_bytes)
    # A vector of samples in a tile costs k * m; a row costs k * m with m rounded up to whole
    # lines, over the lanes: from so many samples on, a vector that is not full is cheaper.
    cdef ptrdiff_t tile_from = max(1, min(lanes, lanes * m // whole + 1))
    cdef ptrdiff_t first = 0, left, vectors, samples, count
    cdef nn_source source
    cdef nn_ahead next_tile
    source.data, source.end, source.order = x, x + n * k * size, NULL
    source.row_stride, source.column_stride = k * size, size
    source.type = NN_float64 if size == 8 else NN_float32
    source.rescale = source.split = 0
    next_tile.order = NULL
    next_tile.row_stride = next_tile.bytes = k * size
    while first < n:
        left = n - first
        vectors = min(most, left // lanes + (left % lanes >= tile_from))
        if vectors == 0:
            break
        samples = min(left, vectors * lanes)
        count = kernels.pack_tile(
            &source, first, <int>samples, k, layer.skip_zeros, <int>vectors, tile, index)
        next_tile.data = x + (first + samples) * k * size
        next_tile.rows = min(samples, left - samples)
        next_tile.row = next_tile.at = 0
        kernels.tile_layer(layer, tile, index, count, <int>vectors, outputs, &next_tile)
        if final:
            kernels.tile_softmax(final == NN_log_softmax, outputs, m, <int>vectors)
        kernels.unpack_tile(outputs, <int>vectors, <int>samples, m, y + first * m * size, m, 1)
        # The fewer samples in a tile, the more inputs are zero in all of them.
        if 4 * count < 3 * k:
            most = max(1, min(most, <ptrdiff_t>NARROW_SAMPLES // lanes))
        first += samples
    free(block)
    return first


# x (n, k) -> y (n, m), size bytes an element
cdef void _by_rows(const nn_kernels *kernels, const nn_layer *layer, int final, ptrdiff_t size,
                   const char *x, char *y, ptrdiff_t n) noexcept nogil:
    """Rows, several at once.

    The row kernel writes whole lines, which could end behind y: so the last panels of outputs go
    through a buffer, unless m is a multiple of a line.
    """
    cdef ptrdiff_t k = layer.k, m = layer.m, line = NN_LINE_BYTES // size
    cdef ptrdiff_t panels = (m + line - 1) // line, r, i, rows, count
    cdef ptrdiff_t direct = m if m % line == 0 else (panels - 1) // BUFFER_PANELS * (
        BUFFER_PANELS * line)
    cdef ptrdiff_t most = min(<ptrdiff_t>MOST_ROWS, <ptrdiff_t>kernels.row_samples)
    cdef int32_t on_stack[STACK_COLUMNS + 16]
    cdef char buffer[MOST_ROWS * BUFFER_PANELS * NN_LINE_BYTES]
    cdef int32_t *index = on_stack
    cdef const int32_t *used
    cdef void *block = NULL
    cdef nn_layer head = layer[0], tail = layer[0]
    head.m, tail.m = direct, m - direct
    tail.panels = <const char *>layer.panels + direct * (1 + k) * size
    if k > STACK_COLUMNS:
        index = <int32_t *>nn_aligned_memory((k + 16) * <ptrdiff_t>sizeof(int32_t), &block)
    if index == NULL:
        most = 1  # without a list of inputs the row kernel takes one sample
    elif not layer.skip_zeros:
        for i in range(k):
            index[i] = <int32_t>i
    elif n > 2 and 3 * kernels.find_nonzero(x, 0, 1, k, index) < k:
        most = min(<ptrdiff_t>2, most)  # the inputs that are not zero differ between samples
    while n > 0:
        rows, count, used = most, k, index
        while rows > n:
            rows //= 2
        if layer.skip_zeros and index != NULL:
            count = kernels.find_nonzero(x, k, <int>rows, k, index)
        if rows == 1 and count == k:
            used = NULL
        if direct > 0:
            kernels.row_layer(&head, x, k, <int>rows, used, count, y, m)
        if direct < m:
            kernels.row_layer(&tail, x, k, <int>rows, used, count, buffer, BUFFER_PANELS * line)
            for r in range(rows):
                memcpy(y + (r * m + direct) * size, buffer + r * BUFFER_PANELS * NN_LINE_BYTES,
                       (m - direct) * size)
        if final:
            for r in range(rows):
                kernels.softmax(final == NN_log_softmax, y + r * m * size, y + r * m * size, m)
        x += rows * k * size
        y += rows * m * size
        n -= rows
    free(block)
