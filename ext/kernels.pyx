"""nncore for Cython code: single layers, functions and whole networks without the GIL.

nncore/kernels.pxd is what such code cimports. Its functions take memoryviews and call those of this
module, which take where these lie; nothing in nncore itself needs it. Everything here goes through
the executors of execute.pxi, on the thread that calls.
"""
from libc.stdlib cimport free

cimport ndarrays as cnp

from contract cimport (
    NN_float32, NN_float64, NN_identity, NN_log_softmax, NN_operation_log_softmax,
    NN_operation_softmax, NN_softmax, nn_enter_fp, nn_kernels, nn_leave_fp, nn_operation,
)
from nncore._engine cimport Call, Engine, prepare_call, run_rows, run_span
from nncore._plan cimport Compiled, Operations, Plan, Program, Scratch
from nncore._table cimport pack_plain, table
from panels cimport nn_plain, nn_plain_weights

from nncore._table import activations

cnp.import_array()

cdef const nn_kernels *_f32 = table(False)
cdef const nn_kernels *_f64 = table(True)


cdef void _run(Plan plan, Call *call, const char *x, char *y, ptrdiff_t n,
               Scratch *scratch) noexcept nogil:
    """A prepared call on contiguous rows."""
    cdef unsigned long long found
    call.source = plan.reader.template
    call.source.data, call.source.gapless_end = x, x + n * plan.k * plan.itemsize
    call.source.type = NN_float64 if plan.is_double else NN_float32
    call.source.row_stride, call.source.column_stride = plan.k * plan.itemsize, plan.itemsize
    call.out.data = y
    call.out.row_stride, call.out.column_stride = plan.m, 1
    found = nn_enter_fp()
    if n == 1:
        run_rows(call, 0, 1, scratch, NULL)
    else:
        run_span(call, 0, n, scratch)
    nn_leave_fp(found)


# ---- single layers ----

cdef class Weights:
    """The packed weights of one layer, made by `pack`: immutable, so threads may share them.

    Attributes
    ----------
    k, m : int
        Inputs and outputs.
    is_double : bool
        Whether they are float64 rather than float32.
    """


def pack_arrays(cnp.ndarray w not None, cnp.ndarray b not None):
    """Pack w (k, m) and b (m,), whose dtypes and numbers of dimensions kernels.py has checked."""
    return pack_at(
        cnp.PyArray_TYPE(w) == cnp.NPY_DOUBLE, cnp.PyArray_DATA(w), cnp.PyArray_DIM(w, 0),
        cnp.PyArray_DIM(w, 1), cnp.PyArray_STRIDE(w, 0), cnp.PyArray_STRIDE(w, 1),
        cnp.PyArray_DATA(b), cnp.PyArray_DIM(b, 0), cnp.PyArray_STRIDE(b, 0))


cdef Weights pack_at(bint is_double, const void *w, ptrdiff_t k, ptrdiff_t m, ptrdiff_t row_stride,
                     ptrdiff_t column_stride, const void *b, ptrdiff_t size, ptrdiff_t stride):
    """Pack weights (k, m) and a bias (size,) that lie there, with strides in bytes."""
    cdef Weights weights = Weights.__new__(Weights)
    cdef nn_plain plain
    if k == 0 or m == 0:
        raise ValueError(f"w has shape ({k}, {m}), expected (k, m), both at least 1")
    if size != m:
        raise ValueError(f"b has shape ({size},), expected ({m},)")
    plain.w, plain.w_row, plain.w_column = <char *>w, row_stride, column_stride
    plain.b, plain.b_column = <char *>b, stride
    program = Program({}, k, is_double)
    program.affine(pack_plain(nn_plain_weights(is_double), &plain, k, m), NN_identity)
    weights.plan = Plan(program)
    weights.k, weights.m, weights.is_double = k, m, is_double
    return weights


cpdef int activation_code(str name) except -1:
    """Return the number of an activation, which `affine`, `activate` and `derive` take.

    Raises
    ------
    ValueError
        There is no activation of that name; the message lists those there are.

    Examples
    --------
    >>> from nncore.kernels import activation_code
    >>> activation_code("identity")
    0
    """
    names = [row["name"] for row in activations()]
    if name not in names:
        raise ValueError(f"activation is {name!r}, expected one of {', '.join(names)}")
    return names.index(name)


cdef int affine_at(Weights weights, int activation, double alpha, double beta, bint is_double,
                   const void *x, ptrdiff_t n, ptrdiff_t k,
                   void *y, ptrdiff_t rows, ptrdiff_t columns) except -1 nogil:
    """Compute y = activation(x @ w + b); x (n, k) and y (rows, columns) must not overlap."""
    if (weights is None or weights.is_double != is_double
            or not 0 <= activation <= NN_log_softmax):
        _refuse_weights(weights, is_double, activation)
    _check_shapes(n, k, weights.k, rows, columns, weights.m)
    if n > 0 and not _affine(<Plan>weights.plan, activation, alpha, beta, <const char *>x,
                             <char *>y, n):
        _refuse_memory()
    return 0


cdef bint _affine(Plan plan, int activation, double alpha, double beta, const char *x, char *y,
                  ptrdiff_t n) noexcept nogil:
    """Run the plan's one operation with this activation; False where memory is lacking."""
    cdef nn_operation list[2]
    cdef Operations operations
    cdef Call call
    cdef Scratch *scratch = plan.new_scratch()
    if scratch == NULL:
        return False
    list[0] = list[1] = plan.outputs.list[0]
    list[0].layer.alpha, list[0].layer.beta = alpha, beta
    operations.list, operations.last_dense, operations.dense_count = list, 0, 1
    operations.count = 1
    if activation in (NN_softmax, NN_log_softmax):
        list[1].kind = (NN_operation_softmax if activation == NN_softmax
                        else NN_operation_log_softmax)
        list[1].layer.k, list[1].input_apart = plan.m, list[0].output_apart
        operations.count = 2
    else:
        list[0].layer.activation = activation
    prepare_call(plan, False, &call)
    call.operations = &operations
    _run(plan, &call, x, y, n, scratch)
    free(scratch.block)
    return True


# ---- functions ----

cdef int apply_at(bint derivative, int activation, double alpha, double beta, bint is_double,
                  const void *x, ptrdiff_t n, void *y, ptrdiff_t size) except -1 nogil:
    """Compute y[i] = f(x[i]), or its derivative; x (n,), y (size,), which may be x."""
    cdef const nn_kernels *kernels = _f64 if is_double else _f32
    if n != size or not 0 <= activation < NN_softmax:
        _refuse_function(activation, n, size)
    if n == 0:
        return 0
    cdef unsigned long long found = nn_enter_fp()
    if derivative:
        kernels.derive(activation, alpha, beta, x, y, n)
    else:
        kernels.activate(activation, alpha, beta, x, y, n)
    nn_leave_fp(found)
    return 0


cdef int softmax_at(bint logarithm, bint is_double, const void *x, ptrdiff_t n, ptrdiff_t m,
                    void *y, ptrdiff_t rows, ptrdiff_t columns) except -1 nogil:
    """Compute the softmax of each row, or its logarithm; y (rows, columns) may be x (n, m)."""
    cdef const nn_kernels *kernels = _f64 if is_double else _f32
    cdef ptrdiff_t i, row = m * (8 if is_double else 4)
    _check_shapes(n, m, m, rows, columns, m)
    if n == 0 or m == 0:
        return 0
    cdef unsigned long long found = nn_enter_fp()
    for i in range(n):
        kernels.softmax(logarithm, <const char *>x + i * row, <char *>y + i * row, m)
    nn_leave_fp(found)
    return 0


# ---- whole networks ----

cdef class Runner:
    """A network, ready to be run without the GIL by one thread at a time.

    Made with the GIL; `run` of kernels.pxd then runs it without. It runs the weights that the
    network had when it was made, until `refresh`. A Runner runs on the thread that calls it and
    shares no work with others. Threads that run at the same time need a Runner each.

    Parameters
    ----------
    network : Network
        Its activations are all named ones, because a Python function needs the GIL.

    Attributes
    ----------
    network : Network
    k, m : int
        The network's in_features and out_features.
    is_double : bool
        Whether its dtype is float64 rather than float32.

    Raises
    ------
    TypeError
        `network` is not a Network, or one of its activations is a Python function.

    Examples
    --------
    >>> import nncore
    >>> from nncore.kernels import Runner
    >>> runner = Runner(nncore.Network([nncore.Dense(4, 2)], seed=0))
    >>> runner.k, runner.m, runner.is_double
    (4, 2, False)
    """

    def __cinit__(self, network):
        if not isinstance(network, Engine):
            raise TypeError(f"network is of type {type(network).__name__}, expected a Network")
        self.network = network
        self.refresh()

    def __dealloc__(self):
        free(self.block)

    def refresh(self):
        """Take the weights that the network has now. No thread may be in `run` meanwhile.

        Examples
        --------
        >>> import nncore
        >>> from nncore.kernels import Runner
        >>> net = nncore.Network([nncore.Dense(1, 1)], seed=0)
        >>> runner = Runner(net)
        >>> net.layers[0].weights = [[2.0]]
        >>> runner.refresh()
        """
        cdef Compiled compiled = (<Engine>self.network).current_plan()
        if compiled is None:
            raise TypeError(
                "network has an activation that is a Python function, which cannot run without "
                "the GIL, expected named ones"
            )
        if compiled.is_quantized:
            raise TypeError("network has eight bits, expected one of float32 or float64")
        cdef Plan plan = <Plan>compiled
        cdef Scratch *scratch = plan.new_scratch()
        if scratch == NULL:
            raise MemoryError("there is no memory to run the network in")
        free(self.block)
        self.plan, self.scratch, self.block = plan, scratch, scratch.block
        self.k, self.m, self.is_double = plan.k, plan.m, plan.is_double

    cdef void run_unchecked(self, const void *x, void *y, ptrdiff_t n) noexcept nogil:
        cdef Call call
        if n < 1:
            return
        prepare_call(<Plan>self.plan, False, &call)
        _run(<Plan>self.plan, &call, <const char *>x, <char *>y, n, <Scratch *>self.scratch)


cdef int run_at(Runner runner, bint is_double, const void *x, ptrdiff_t n, ptrdiff_t k,
                void *y, ptrdiff_t rows, ptrdiff_t columns) except -1 nogil:
    """Compute y = net(x); x (n, k) and y (rows, columns) must not overlap."""
    if runner is None or runner.is_double != is_double:
        _refuse_type(runner, is_double)
    _check_shapes(n, k, runner.k, rows, columns, runner.m)
    runner.run_unchecked(x, y, n)
    return 0


# ---- refusals ----

cdef int _check_shapes(ptrdiff_t n, ptrdiff_t k, ptrdiff_t wanted_k, ptrdiff_t rows,
                       ptrdiff_t columns, ptrdiff_t wanted_columns) except -1 nogil:
    """Refuse x (n, k) or y (rows, columns) if they do not fit."""
    if k != wanted_k:
        _refuse_shape("x", n, k, n, wanted_k)
    if rows != n or columns != wanted_columns:
        _refuse_shape("y", rows, columns, n, wanted_columns)
    return 0


cdef int _refuse_function(int activation, ptrdiff_t x, ptrdiff_t y) except -1 with gil:
    if x != y:
        raise ValueError(f"y has {y} elements, x has {x}, expected as many")
    raise ValueError(
        f"activation is {activation}, expected a code that activation_code gives; softmax and "
        "log_softmax are not functions of single elements"
    )


cdef int _refuse_weights(Weights weights, bint is_double, int activation) except -1 with gil:
    if weights is None:
        raise TypeError("weights is None, expected what pack returns")
    if weights.is_double != is_double:
        raise TypeError(
            f"x is {'float64' if is_double else 'float32'}, the packed weights are "
            f"{'float64' if weights.is_double else 'float32'}, expected the same"
        )
    raise ValueError(f"activation is {activation}, expected a code that activation_code gives")


cdef int _refuse_memory() except -1 with gil:
    raise MemoryError("there is no memory to run the layer in")


cdef int _refuse_type(Runner runner, bint is_double) except -1 with gil:
    if runner is None:
        raise TypeError("runner is None, expected a Runner")
    raise TypeError(
        f"x is {'float64' if is_double else 'float32'}, expected the network's dtype, "
        f"{'float64' if runner.is_double else 'float32'}"
    )


cdef int _refuse_shape(const char *name, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t wanted_rows,
                       ptrdiff_t wanted_columns) except -1 with gil:
    raise ValueError(
        f"{name.decode()} has shape ({rows}, {columns}), expected ({wanted_rows}, {wanted_columns})"
    )
