"""The kernels on typed memoryviews: elementwise functions, softmax, and the packing of weights.

Sizes, dtypes and shapes have been checked by the Python layer; what is left here is the choice of
the instruction set and the step from arrays to pointers. contract.h says what each kernel
does.
"""
from cython cimport floating
from libc.math cimport isfinite
from libc.stdlib cimport free

import os

from contract cimport (
    NN_LINE_BYTES, nn_activation_names, nn_aligned_memory, nn_enter_fp, nn_isas, nn_kernels,
    nn_leave_fp, nn_loss_names, nn_optimizer_momentum_states, nn_optimizer_names,
    nn_optimizer_states, nn_supported,
)

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
    return table(False).isa.decode()


def activation_names():
    """Names of the activations in the order of their codes."""
    names = []
    cdef int i = 0
    while nn_activation_names[i] != NULL:
        names.append(nn_activation_names[i].decode())
        i += 1
    return names


def loss_names():
    """The names of the losses in the order of ext/registries.h: a name's place is its code."""
    return _names(nn_loss_names)


def optimizer_rows():
    """(name, states, more states with a momentum) of each optimizer, in the order of its code."""
    return [(name, nn_optimizer_states[i], nn_optimizer_momentum_states[i])
            for i, name in enumerate(_names(nn_optimizer_names))]


cdef _names(const char *const *names):
    """A NULL-terminated array of names as a list."""
    found = []
    while names[0] != NULL:
        found.append(names[0].decode())
        names += 1
    return found


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


cdef const nn_kernels *table(bint is_double) except NULL:
    """The kernels for double or float of the instruction set in use."""
    if _refusal is not None:
        raise type(_refusal)(*_refusal.args)
    return _f64 if is_double else _f32


def activate(int activation, double alpha, const floating[::1] x, floating[::1] y):
    """y[i] = f(x[i]); x (n,), y (n,), which may be x."""
    cdef const nn_kernels *kernels = table(floating is double)
    cdef ptrdiff_t n = x.shape[0]
    if n == 0:
        return
    cdef unsigned long long found
    with nogil:
        found = nn_enter_fp()
        kernels.activate(activation, alpha, &x[0], &y[0], n)
        nn_leave_fp(found)


def derive(int activation, double alpha, const floating[::1] x, floating[::1] y):
    """y[i] = f'(x[i]); x (n,), y (n,), which may be x."""
    cdef const nn_kernels *kernels = table(floating is double)
    cdef ptrdiff_t n = x.shape[0]
    if n == 0:
        return
    cdef unsigned long long found
    with nogil:
        found = nn_enter_fp()
        kernels.derive(activation, alpha, &x[0], &y[0], n)
        nn_leave_fp(found)


def softmax(bint logarithm, const floating[:, ::1] x, floating[:, ::1] y):
    """Softmax of each row or its logarithm; x (n, m), y (n, m), which may be x."""
    cdef const nn_kernels *kernels = table(floating is double)
    cdef ptrdiff_t i, n = x.shape[0], m = x.shape[1]
    if n == 0 or m == 0:
        return
    cdef unsigned long long found
    with nogil:
        found = nn_enter_fp()
        for i in range(n):
            kernels.softmax(logarithm, &x[i, 0], &y[i, 0], m)
        nn_leave_fp(found)


def fma_probe(bint is_double, ptrdiff_t rounds):
    """Do multiply-adds in registers for `rounds` rounds; returns how many there were."""
    cdef const nn_kernels *kernels = table(is_double)
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


# w (k, m)  b (m,)  ->  panels: ceil(m / PANEL) times (1 + k) lines of PANEL
cdef void _pack(const floating[:, :] w, const floating[:] b, floating *panels) noexcept nogil:
    cdef ptrdiff_t k = w.shape[0], m = w.shape[1], i, j, p, first, here
    cdef ptrdiff_t panel = NN_LINE_BYTES // <ptrdiff_t>sizeof(floating)
    cdef floating *line = panels
    for p in range((m + panel - 1) // panel):
        first = p * panel
        here = min(panel, m - first)
        for i in range(-1, k):
            for j in range(here):
                line[j] = b[first + j] if i < 0 else w[i, first + j]
            for j in range(here, panel):
                line[j] = 0
            line += panel


cdef bint _all_finite(const floating[:, :] w) noexcept nogil:
    cdef ptrdiff_t i, j
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            if not isfinite(w[i, j]):
                return False
    return True


cdef class Panels:
    """The packed weights of one layer: immutable, shared by every plan that runs the layer.

    Made by `pack`. A bias of NaN or infinity hinders nothing; a weight of NaN or infinity switches
    off the skipping of zeros, because fma(0, inf, acc) is NaN.
    """

    def __dealloc__(self):
        free(self.block)


def pack(const floating[:, :] w, const floating[:] b):
    """Pack w (k, m) and b (m,) into Panels."""
    cdef Panels panels = Panels.__new__(Panels)
    cdef ptrdiff_t k = w.shape[0], m = w.shape[1]
    cdef ptrdiff_t line = NN_LINE_BYTES // <ptrdiff_t>sizeof(floating)
    cdef ptrdiff_t lines = (m + line - 1) // line * (1 + k)
    panels.is_double = floating is double
    panels.k, panels.m = k, m
    panels.data = aligned_memory(lines * NN_LINE_BYTES, &panels.block)
    with nogil:
        _pack(w, b, <floating *>panels.data)
        panels.finite = _all_finite(w)
    return panels
