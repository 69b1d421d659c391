"""The kernel table in use, packed weights, and the kernels on plain NumPy arrays.

Here the instruction set is chosen. The functions on arrays rely on their callers to check shapes,
dtypes and overlaps. contract.h says what each kernel does.
"""
from libc.math cimport isnan
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free

import os

cimport ndarrays as cnp

from contract cimport (
    NN_ACTIVATION_COUNT, NN_SLOPE_OF_OUTPUT, NN_ZEROS_LIKELY, NN_softmax, nn_activation_row,
    nn_activations, nn_aligned_memory, nn_enter_fp, nn_int8_isas, nn_int8_kernels, nn_isas,
    nn_kernels, nn_leave_fp, nn_loss_names, nn_operation_names, nn_optimizer_momentum_states,
    nn_optimizer_names, nn_optimizer_settings, nn_optimizer_states, nn_supported,
)
from panels cimport (
    NN_bfloat16_weights, NN_float64_weights, nn_pack, nn_packed_bytes, nn_packed_fits, nn_plain,
    nn_plain_weights, nn_unpack_bfloat16, nn_weights,
)

include "threads.pxi"

cnp.import_array()

cdef enum:
    FEW_ELEMENTS = 4096  # take some microseconds at most, which is not worth releasing the GIL for

cdef const nn_kernels *_f32 = NULL
cdef const nn_kernels *_f64 = NULL
cdef const nn_int8_kernels *_int8 = NULL  # chosen at the first use
cdef object _refusal = None  # why no instruction set could be chosen: raised at the first use


def available_instruction_sets():
    """Return the names of the instruction sets of this build that this CPU can run, best first."""
    names = []
    cdef int i = 0
    while nn_isas[i].name != NULL:
        if nn_supported(nn_isas[i].name):
            names.append(nn_isas[i].name.decode())
        i += 1
    return names


def known_instruction_sets():
    """Return the names of all instruction sets of this build, best first, on any CPU."""
    names = []
    cdef int i = 0
    while nn_isas[i].name != NULL:
        names.append(nn_isas[i].name.decode())
        i += 1
    return names


def instruction_set():
    """Return the name of the instruction set in use."""
    return table(False).isa.decode()


cdef _texts(const char *const *names):
    """Return the names in a list that ends with NULL."""
    texts = []
    cdef int i = 0
    while names[i] != NULL:
        texts.append(names[i].decode())
        i += 1
    return texts


def operation_names():
    """Return the names of the operations in the order of their codes."""
    return _texts(nn_operation_names)


def loss_names():
    """Return the names of the losses in the order of ext/registries.h: a place is a code."""
    return _texts(nn_loss_names)


def optimizer_rows():
    """Return the rows of NN_OPTIMIZERS, in the order of their codes.

    Each is (name, states, more states with a momentum, names of the settings).
    """
    return [
        (name, nn_optimizer_states[i], nn_optimizer_momentum_states[i],
         _texts(nn_optimizer_settings[i]))
        for i, name in enumerate(_texts(nn_optimizer_names))
    ]


def activations():
    """Return the rows of NN_ACTIVATIONS (ext/registries.h) as dicts, in the order of their codes.

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
        raise ValueError(f"NNCORE_ISA is {wanted}, expected one of {', '.join(known)}")
    if wanted and wanted not in available:
        raise RuntimeError(
            f"NNCORE_ISA is {wanted}, which this CPU lacks, expected one of "
            f"{', '.join(available)}"
        )
    cdef int i = known.index(wanted or available[0])
    _f32, _f64 = nn_isas[i].f32, nn_isas[i].f64


try:
    _choose(os.environ.get("NNCORE_ISA"))
except (ValueError, RuntimeError) as error:
    _refusal = error


cdef const nn_kernels *table(bint is_double) except NULL:
    """Return the kernels for double or float of the instruction set in use."""
    if _refusal is not None:
        raise type(_refusal)(*_refusal.args)
    return _f64 if is_double else _f32


cdef void *aligned_memory(size_t size, void **block) except NULL:
    """Allocate size bytes that begin on a cache line; block is what to free."""
    cdef void *start = nn_aligned_memory(size, block)
    if start == NULL:
        raise MemoryError(f"{size} bytes")
    return start


# ---- the kernels of eight bits ----

def int8_kernels():
    """Return the names of the kernels of eight bits that this CPU can run, best first.

    They are among those of the instruction set in use.
    """
    known = known_instruction_sets()
    allowed = known[known.index(instruction_set()):]
    names = []
    cdef int i = 0
    while nn_int8_isas[i].name != NULL:
        if nn_int8_isas[i].with_isa.decode() in allowed and nn_int8_isas[i].supported():
            names.append(nn_int8_isas[i].name.decode())
        i += 1
    return names


cdef const nn_int8_kernels *int8_table() except NULL:
    """Return the kernels that NNCORE_INT8 names, else the best ones that the process may use."""
    global _int8
    cdef int i = 0
    if _int8 != NULL:
        return _int8
    available = int8_kernels()
    wanted = os.environ.get("NNCORE_INT8")
    if wanted and wanted not in available:
        raise ValueError(f"NNCORE_INT8 is {wanted}, expected one of {', '.join(available)}")
    while nn_int8_isas[i].name != NULL:
        name = nn_int8_isas[i].name.decode()
        if name in ([wanted] if wanted else available) and nn_int8_isas[i].may_use():
            _int8 = nn_int8_isas[i].kernels
            return _int8
        i += 1
    raise RuntimeError(f"NNCORE_INT8 is {wanted}, which the system does not let this process use")


def int8_kernel():
    """Return the name of the kernels of eight bits in use."""
    return int8_table().name.decode()


def int8_probe(ptrdiff_t rounds):
    """Do multiply-adds of bytes in registers for `rounds` rounds; return how many there were."""
    cdef const nn_int8_kernels *kernels = int8_table()
    cdef double result, count
    with nogil:
        count = kernels.probe(rounds, &result)
    return count


def to_codes(cnp.ndarray values not None, float inverse, int zero):
    """Return the codes of float32 numbers: uint8, of the same shape."""
    if cnp.PyArray_TYPE(values) != cnp.NPY_FLOAT or not cnp.PyArray_ISCARRAY_RO(values):
        raise TypeError("values is no contiguous float32 array, expected one")
    cdef const nn_int8_kernels *kernels = int8_table()
    cdef cnp.ndarray codes = cnp.PyArray_EMPTY(
        cnp.PyArray_NDIM(values), cnp.PyArray_DIMS(values), cnp.NPY_UBYTE, 0)
    cdef unsigned long long found = nn_enter_fp()
    kernels.to_codes(<const float *>cnp.PyArray_DATA(values), cnp.PyArray_SIZE(values), inverse,
                     zero, <uint8_t *>cnp.PyArray_DATA(codes))
    nn_leave_fp(found)
    return codes


# ---- packed weights ----

cdef class Panels:
    """The packed weights of one layer: immutable, shared by every plan that runs the layer.

    Made by `pack`. A bias of NaN or infinity hinders nothing; a weight of NaN or infinity switches
    off the skipping of zeros, because fma(0, inf, acc) is NaN.
    """

    def __dealloc__(self):
        free(self.block)


cdef Panels pack_plain(nn_weights kind, const nn_plain *plain, ptrdiff_t k, ptrdiff_t m):
    """Pack weights that lie where `plain` says."""
    cdef Panels panels = Panels.__new__(Panels)
    panels.is_double = kind == NN_float64_weights
    table(panels.is_double)  # raises where no instruction set could be chosen
    panels.is_narrow = kind == NN_bfloat16_weights
    panels.kind, panels.k, panels.m = kind, k, m
    # Weights may take less memory than their sizes say: a broadcast array repeats its elements.
    if not nn_packed_fits(kind, k, m):
        raise MemoryError(f"weights of shape ({k}, {m}) cannot be packed: no memory is so large")
    panels.data = aligned_memory(nn_packed_bytes(kind, k, m), &panels.block)
    with nogil:
        panels.finite = nn_pack(kind, plain, k, m, panels.data)
    return panels


def pack(cnp.ndarray w not None, cnp.ndarray b=None, bint narrow=False):
    """Pack w (k, m) and b (m,) or None, of one dtype, float32 or float64, and of any layout.

    narrow: the weights are rounded to bfloat16; w is float32.
    """
    cdef int type = cnp.PyArray_TYPE(w)
    cdef nn_plain plain
    if (type not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) or not cnp.PyArray_ISNOTSWAPPED(w)
            or cnp.PyArray_NDIM(w) != 2 or cnp.PyArray_SIZE(w) == 0
            or narrow and type != cnp.NPY_FLOAT):
        raise TypeError(
            f"w has shape {w.shape} and dtype {w.dtype}, expected weights (k, m)")
    if b is not None and (cnp.PyArray_TYPE(b) != type or not cnp.PyArray_ISNOTSWAPPED(b)
                          or cnp.PyArray_NDIM(b) != 1
                          or cnp.PyArray_DIM(b, 0) != cnp.PyArray_DIM(w, 1)):
        raise TypeError(f"b has shape {b.shape} and dtype {b.dtype}, "
                        f"expected ({w.shape[1]},) of {w.dtype}")
    plain.w = cnp.PyArray_BYTES(w)
    plain.w_row, plain.w_column = cnp.PyArray_STRIDE(w, 0), cnp.PyArray_STRIDE(w, 1)
    plain.b, plain.b_column = NULL, 0
    if b is not None:
        plain.b, plain.b_column = cnp.PyArray_BYTES(b), cnp.PyArray_STRIDE(b, 0)
    cdef nn_weights kind = nn_plain_weights(type == cnp.NPY_DOUBLE)
    return pack_plain(NN_bfloat16_weights if narrow else kind, &plain, cnp.PyArray_DIM(w, 0),
                      cnp.PyArray_DIM(w, 1))


def unpack(Panels panels not None):
    """Return (1 + k, m) of bfloat16 panels as float32: the biases, then the weights."""
    cdef cnp.npy_intp shape[2]
    cdef nn_plain plain
    if not panels.is_narrow:
        raise ValueError("the panels are of another type, expected bfloat16")
    shape[0], shape[1] = 1 + panels.k, panels.m
    cdef cnp.ndarray w = cnp.PyArray_EMPTY(2, shape, cnp.NPY_FLOAT, 0)
    plain.w_row, plain.w_column = cnp.PyArray_STRIDE(w, 0), cnp.PyArray_STRIDE(w, 1)
    plain.b, plain.b_column = cnp.PyArray_BYTES(w), plain.w_column
    plain.w = plain.b + plain.w_row
    nn_unpack_bfloat16(<const char *>panels.data, panels.k, panels.m, &plain)
    return w


def packed_size(ptrdiff_t k, ptrdiff_t m, bint is_double):
    """Bytes that the packed weights of a layer take."""
    return nn_packed_bytes(nn_plain_weights(is_double), k, m)


# ---- kernels on arrays ----

cdef int _check(cnp.ndarray x, cnp.ndarray y) except -1:
    """Refuse arrays that a kernel would overrun: only a mistake in nncore leads here."""
    cdef int type = cnp.PyArray_TYPE(x)
    if (type not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) or cnp.PyArray_TYPE(y) != type
            or not cnp.PyArray_ISCARRAY_RO(x) or not cnp.PyArray_ISCARRAY(y)
            or cnp.PyArray_SIZE(x) != cnp.PyArray_SIZE(y)):
        raise TypeError(
            "x and y are not contiguous, aligned arrays of one floating-point dtype and size, "
            "expected such")
    return type == cnp.NPY_DOUBLE


cdef _each(bint derivative, int activation, double alpha, double beta, cnp.ndarray x,
           cnp.ndarray y):
    cdef const nn_kernels *kernels = table(_check(x, y))
    cdef const char *a = cnp.PyArray_BYTES(x)
    cdef char *b = cnp.PyArray_BYTES(y)
    cdef ptrdiff_t n = cnp.PyArray_SIZE(x)
    cdef unsigned long long found
    with nogil:
        found = nn_enter_fp()
        if derivative:
            kernels.derive(activation, alpha, beta, a, b, n)
        else:
            kernels.activate(activation, alpha, beta, a, b, n)
        nn_leave_fp(found)


def activate(int activation, double alpha, double beta, cnp.ndarray x not None,
             cnp.ndarray y not None):
    """Compute y = f(x) for each element; x and y of one size; y may be x."""
    _each(False, activation, alpha, beta, x, y)


def derive(int activation, double alpha, double beta, cnp.ndarray x not None,
           cnp.ndarray y not None):
    """Compute y = f'(x) for each element; x and y of one size; y may be x."""
    _each(True, activation, alpha, beta, x, y)


def softmax(bint logarithm, cnp.ndarray x not None, cnp.ndarray y not None):
    """Compute softmax or its logarithm along the last axis; x, y (..., m); y may be x."""
    cdef const nn_kernels *kernels = table(_check(x, y))
    cdef ptrdiff_t size = cnp.PyArray_ITEMSIZE(x)
    cdef const char *a = cnp.PyArray_BYTES(x)
    cdef char *b = cnp.PyArray_BYTES(y)
    cdef const char *end = a + cnp.PyArray_NBYTES(x)
    cdef ptrdiff_t m = cnp.PyArray_DIM(x, cnp.PyArray_NDIM(x) - 1)
    cdef unsigned long long found
    with nogil:
        found = nn_enter_fp()
        while a < end:
            kernels.softmax(logarithm, a, b, m)
            a += m * size
            b += m * size
        nn_leave_fp(found)


cdef bint _is_apart(cnp.ndarray x, cnp.ndarray y):
    """Return whether y has x's shape and type, and is x itself or memory of its own."""
    cdef int i
    if (cnp.PyArray_TYPE(y) != cnp.PyArray_TYPE(x) or not cnp.PyArray_ISCARRAY(y)
            or cnp.PyArray_NDIM(y) != cnp.PyArray_NDIM(x)):
        return False
    for i in range(cnp.PyArray_NDIM(x)):
        if cnp.PyArray_DIM(y, i) != cnp.PyArray_DIM(x, i):
            return False
    cdef const char *a = cnp.PyArray_BYTES(x)
    cdef const char *b = cnp.PyArray_BYTES(y)
    return a == b or a + cnp.PyArray_NBYTES(x) <= b or b + cnp.PyArray_NBYTES(y) <= a


def apply_plainly(int activation, double alpha, double beta, x, out=None):
    """Compute y = f(x) if x and out need no further looks: the short way for small arrays.

    Return y, or None where the caller has to look: x is no contiguous float array with elements, or
    `out` no array like it.
    """
    cdef cnp.ndarray a, y
    cdef ptrdiff_t m
    cdef unsigned long long found
    if not cnp.PyArray_CheckExact(x):
        return None
    a = x
    if (cnp.PyArray_TYPE(a) not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE)
            or not cnp.PyArray_ISCARRAY_RO(a) or cnp.PyArray_NDIM(a) == 0
            or not 0 < cnp.PyArray_SIZE(a) <= FEW_ELEMENTS):
        return None
    if out is None:
        y = cnp.PyArray_EMPTY(
            cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a), cnp.PyArray_TYPE(a), 0)
    elif cnp.PyArray_CheckExact(out) and _is_apart(a, out):
        y = out
    else:
        return None
    cdef const nn_kernels *kernels = table(cnp.PyArray_TYPE(a) == cnp.NPY_DOUBLE)
    cdef ptrdiff_t size = cnp.PyArray_ITEMSIZE(a), at = 0
    found = nn_enter_fp()
    if activation < NN_softmax:
        kernels.activate(activation, alpha, beta, cnp.PyArray_BYTES(a), cnp.PyArray_BYTES(y),
                         cnp.PyArray_SIZE(a))
    else:
        m = cnp.PyArray_DIM(a, cnp.PyArray_NDIM(a) - 1)
        while at < cnp.PyArray_NBYTES(a):
            kernels.softmax(activation != NN_softmax, cnp.PyArray_BYTES(a) + at,
                            cnp.PyArray_BYTES(y) + at, m)
            at += m * size
    nn_leave_fp(found)
    return y


def order_of(cnp.ndarray words not None):
    """Return the places (n,), int64, of random words uint64 (n,) in ascending order.

    Of two equal words the first comes first. The highest bits of a word say about where it belongs;
    little is left to sort then, as long as the words are random.
    """
    cdef cnp.npy_intp n = cnp.PyArray_SIZE(words), size = 2, i, j
    cdef int shift = 63
    if not cnp.PyArray_ISCARRAY_RO(words) or words.dtype != "uint64":
        raise ValueError("the words are not a C-contiguous array of uint64")
    while size < n:
        size *= 2
        shift -= 1
    cdef cnp.ndarray order = cnp.PyArray_EMPTY(1, &n, cnp.NPY_INT64, 0)
    # A place before those with the same high bits holds a smaller word, or 0 as long as it is not
    # filled. Either ends the search for a word's place.
    cdef cnp.ndarray ascending = cnp.PyArray_ZEROS(1, &n, cnp.NPY_UINT64, 0)
    cdef cnp.ndarray next_places = cnp.PyArray_ZEROS(1, &size, cnp.NPY_INT64, 0)
    cdef const uint64_t *word = <const uint64_t *>cnp.PyArray_DATA(words)
    cdef uint64_t *sorted_ = <uint64_t *>cnp.PyArray_DATA(ascending)
    cdef int64_t *places = <int64_t *>cnp.PyArray_DATA(order)
    cdef int64_t *next_ = <int64_t *>cnp.PyArray_DATA(next_places)
    cdef int64_t before = 0, count
    with nogil:
        for i in range(n):
            next_[word[i] >> shift] += 1
        for i in range(size):
            count = next_[i]
            next_[i] = before
            before += count
        for i in range(n):
            j = next_[word[i] >> shift]
            next_[word[i] >> shift] += 1
            while j > 0 and sorted_[j - 1] > word[i]:
                sorted_[j], places[j] = sorted_[j - 1], places[j - 1]
                j -= 1
            sorted_[j], places[j] = word[i], i
    return order


def fma_probe(bint is_double, ptrdiff_t rounds):
    """Do multiply-adds in registers for `rounds` rounds; return how many there were."""
    cdef const nn_kernels *kernels = table(is_double)
    cdef double result, count
    with nogil:
        count = kernels.fma_probe(rounds, &result)
    return count
