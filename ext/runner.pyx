"""A network run from Cython code without the GIL: in a simulator's inner loop, for example.

runner.pxd, which is installed with the package, is what such code cimports.
"""
from cython cimport floating
from libc.stdlib cimport free

from contract cimport NN_float32, NN_float64, nn_enter_fp, nn_leave_fp
from nncore._execute cimport Call, prepare_call, run_rows, run_span
from nncore._plan cimport Plan, Scratch

from nncore._execute import Engine


cdef class Runner:
    """A network, ready to be run without the GIL by one thread at a time.

    Made with the GIL; `run` of runner.pxd then runs it without. It runs the weights that the
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
        `network` is no Network, or one of its activations is a Python function.

    Examples
    --------
    >>> import nncore
    >>> from nncore.runner import Runner
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
        >>> from nncore.runner import Runner
        >>> net = nncore.Network([nncore.Dense(1, 1)], seed=0)
        >>> runner = Runner(net)
        >>> net.layers[0].weights = [[2.0]]
        >>> runner.refresh()
        """
        cdef Plan plan = self.network._plan
        if plan is None:
            raise TypeError(
                "network has an activation that is a Python function, which cannot run without "
                "the GIL, expected named ones"
            )
        cdef Scratch *scratch = plan.take_scratch()
        free(self.block)
        self.plan, self.scratch, self.block = plan, scratch, scratch.block
        self.k, self.m, self.is_double = plan.k, plan.m, plan.is_double

    cdef void run_unchecked(self, const void *x, void *y, ptrdiff_t n) noexcept nogil:
        _run(<Plan>self.plan, <Scratch *>self.scratch, <const char *>x, <char *>y, n)


cdef void _run(Plan plan, Scratch *scratch, const char *x, char *y, ptrdiff_t n) noexcept nogil:
    cdef Call call
    cdef unsigned long long found
    if n < 1:
        return
    prepare_call(plan, False, &call)
    call.source = plan.source
    call.source.data, call.source.end = x, x + n * plan.k * plan.itemsize
    call.source.order = NULL
    call.source.type = NN_float64 if plan.is_double else NN_float32
    call.source.row_stride, call.source.column_stride = plan.k * plan.itemsize, plan.itemsize
    call.out.data = y
    call.out.row_stride, call.out.column_stride = plan.m, 1
    found = nn_enter_fp()
    if n == 1:
        run_rows(&call, 0, 1, scratch)
    else:
        run_span(&call, 0, n, scratch)
    nn_leave_fp(found)


cdef int run(Runner runner, const floating[:, ::1] x, floating[:, ::1] y) except -1 nogil:
    """y = net(x); x (n, k), y (n, m), of the network's dtype, not overlapping."""
    cdef bint is_double = floating is double
    if runner is None or runner.is_double != is_double:
        _refuse_type(runner, is_double)
    cdef ptrdiff_t n = x.shape[0]
    if x.shape[1] != runner.k:
        _refuse_shape("x", n, x.shape[1], n, runner.k)
    if y.shape[0] != n or y.shape[1] != runner.m:
        _refuse_shape("y", y.shape[0], y.shape[1], n, runner.m)
    if n > 0:
        runner.run_unchecked(&x[0, 0], &y[0, 0], n)
    return 0


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
