"""A network's call: what came is checked, a plan runs it, and `predict` makes labels of it.

Arrays go to the executors as they are. Of a sparse matrix the row kernels take what it holds, where
that is little; else it is made dense, a block of rows at a time.
"""
from libc.stdint cimport int32_t, int64_t

cimport ndarrays as cnp

from contract cimport (
    NN_float16, NN_float32, NN_float64, NN_operation_dense, nn_enter_fp, nn_layer, nn_leave_fp,
    nn_operation,
)
from nncore._plan cimport Compiled, Parameters, Plan, Scratch, Slot, publications, type_code
from nncore._table cimport parallel_min

from nncore import _arrays, _table

import numpy as np

include "execute.pxi"
include "quantized.pxi"

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    ctypedef class numpy.dtype [object PyArray_Descr, check_size ignore]:
        pass

    object PyArray_Scalar(void *data, dtype type, object base)

cdef const int64_t *_published = publications()
cdef dtype _INT64 = np.dtype(np.int64)


# ---- arrays ----

def run(Compiled plan not None, x, out=None):
    """Run a plan on x (k,) or (n, k), or what `_arrays.samples` makes such of."""
    return _run(plan, x, out, False)


cdef bint _plainly_fits(Compiled plan, cnp.ndarray x, object out):
    """The common case of _arrays.output, without going through Python."""
    if not cnp.PyArray_CheckExact(out):
        return False
    cdef cnp.ndarray y = out
    cdef int dimensions = cnp.PyArray_NDIM(x)
    if (not cnp.PyArray_ISCARRAY(y) or cnp.PyArray_NDIM(y) != dimensions
            or cnp.PyArray_TYPE(y) != <int>(cnp.NPY_DOUBLE if plan.is_double else cnp.NPY_FLOAT)
            or cnp.PyArray_DIM(y, dimensions - 1) != plan.m
            or (dimensions == 2 and cnp.PyArray_DIM(y, 0) != cnp.PyArray_DIM(x, 0))
            or not cnp.PyArray_IS_C_CONTIGUOUS(x)):
        return False
    cdef const char *a = cnp.PyArray_BYTES(x)
    cdef const char *b = cnp.PyArray_BYTES(y)
    return a + cnp.PyArray_NBYTES(x) <= b or b + cnp.PyArray_NBYTES(y) <= a


cdef _run(Compiled plan, x, out, bint sums_only):
    cdef int code
    cdef cnp.ndarray samples
    if not cnp.PyArray_CheckExact(x) and type(x) is not list and _arrays.is_sparse(x):
        return _run_sparse(plan, x, out, sums_only)
    samples = plan.reader.check(x, &code)
    if out is not None and not _plainly_fits(plan, samples, out):
        _arrays.output(out, samples, plan.m, plan.is_double)
    if plan.watch is not None:
        _show(plan, samples, code)
    return _execute(plan, samples, code, out, sums_only)


cdef inline cnp.ndarray _execute(Compiled plan, cnp.ndarray x, int code, cnp.ndarray out,
                                 bint sums_only):
    if plan.is_quantized:
        return run_quantized(<QuantizedPlan>plan, x, code, out, sums_only)
    return run_plan(<Plan>plan, x, code, out, sums_only)


def threads_for(Compiled plan not None, ptrdiff_t n):
    """Return how many threads share a call with n samples."""
    cdef bint few
    if plan.is_quantized:
        return _threads_of_codes(<QuantizedPlan>plan, n, &few)
    if plan.multiply_adds * n < parallel_min():
        return 1
    return _threads_of(<Plan>plan, n, plan.multiply_adds * n, &few)


cdef _show(Compiled plan, cnp.ndarray samples, int code):
    """Show floating-point samples to the plan's watch, until it has seen enough."""
    if code in (NN_float16, NN_float32, NN_float64) and plan.watch.look(samples):
        plan.watch = None


# ---- sparse matrices ----

cdef enum:
    SPARSE_SHARE = 4      # rows with more than a quarter of the inputs are faster as dense ones
    BLOCK_BYTES = 1 << 21  # of rows that are made dense at a time


cdef _run_sparse(Compiled plan, x, out, bint sums_only):
    """Run the rows of a sparse matrix of scipy's: out (m,) or (n, m), made here if None.

    Where few inputs are not zero, the row kernels take just these. Other rows are made dense, a
    block of them at a time.
    """
    cdef cnp.ndarray values, columns, starts
    cdef tuple parts = _arrays.sparse_rows(x, plan.k, plan.reader.converts_to_double)
    values, columns, starts = parts[0], parts[1], parts[2]
    if plan.watch is not None:
        _show(plan, values, type_code(values))
    cdef ptrdiff_t n = cnp.PyArray_DIM(starts, 0) - 1
    cdef Sparse sparse
    sparse.values, sparse.value_bytes = cnp.PyArray_BYTES(values), cnp.PyArray_ITEMSIZE(values)
    sparse.columns, sparse.starts = cnp.PyArray_BYTES(columns), cnp.PyArray_BYTES(starts)
    sparse.count, sparse.wide = cnp.PyArray_DIM(values, 0), cnp.PyArray_ITEMSIZE(columns) == 8
    sparse.damaged = False
    out = _arrays.sparse_output(out, n, plan.m, plan.is_double, parts)
    if _takes_sparse_rows(plan) and <double>sparse.count * SPARSE_SHARE <= <double>n * plan.k:
        _run_sparse_rows(<Plan>plan, &sparse, values, out, sums_only)
    else:
        _run_dense_blocks(plan, &sparse, values, n, out, sums_only)
    if sparse.damaged:
        raise ValueError(
            "x is a sparse matrix with column indices that do not ascend or do not fit, expected "
            "one that x.check_format() accepts")
    return out


cdef _run_dense_blocks(Compiled plan, Sparse *sparse, cnp.ndarray values, ptrdiff_t n, out,
                       bint sums_only):
    cdef ptrdiff_t rows = max(plan.kernels.lanes, BLOCK_BYTES // (plan.k * sparse.value_bytes))
    cdef ptrdiff_t first
    cdef cnp.ndarray block, index = np.empty(plan.k, np.int32)
    for first in range(0, n, rows):
        block = None  # freed before the next one is made
        block = np.zeros((min(rows, n - first), plan.k), values.dtype)
        if not make_dense(sparse, first, cnp.PyArray_DIM(block, 0), plan.k,
                          cnp.PyArray_BYTES(block), <int32_t *>cnp.PyArray_DATA(index)):
            sparse.damaged = True
            return
        _execute(plan, block, plan.reader.code_of(block), out[first:first + rows], sums_only)


cdef bint _takes_sparse_rows(Compiled plan):
    """Return whether the first operation can leave out the inputs that a sparse row lacks."""
    if plan.is_quantized:
        return False
    cdef const nn_operation *operation = &(<Plan>plan).outputs.list[0]
    return (operation.kind == NN_operation_dense and operation.layer.skip_zeros
            and plan.reader.keeps_zeros())


cdef _run_sparse_rows(Plan plan, Sparse *sparse, cnp.ndarray values, cnp.ndarray out,
                      bint sums_only):
    cdef ptrdiff_t n = cnp.PyArray_DIM(out, 0), threads = 1
    cdef Call call
    cdef Trial trial
    cdef Scratch *scratch
    cdef unsigned long long found
    prepare_call(plan, sums_only, &call)
    plan.reader.locate(values, type_code(values), &call.source)
    call.sparse = sparse
    call.out.data = cnp.PyArray_BYTES(out)
    call.out.row_stride = cnp.PyArray_STRIDE(out, 0) // plan.itemsize
    call.out.column_stride = cnp.PyArray_STRIDE(out, 1) // plan.itemsize
    # The first layer multiplies what is stored only, and each row costs something besides.
    cdef const nn_layer *layer = &plan.outputs.list[0].layer
    cdef double work = ((plan.multiply_adds - <double>layer.k * layer.m) * n
                        + <double>layer.m * sparse.count)
    cdef double least = parallel_min()
    if n > 2 and work >= least:
        threads = _table.get_num_threads()
        if least > 0:
            threads = <ptrdiff_t>min(<double>threads, 1 + work / least)
    trial.began = 0
    if threads > 1 and begin_call(plan, n, work, least, threads, &trial):
        run_shared(plan, &call, n, threads, False, work >= least * <double>_table.URGENT)
    else:
        scratch = plan.take_scratch()
        with nogil:
            found = nn_enter_fp()
            run_sparse_rows(&call, 0, n, scratch)
            nn_leave_fp(found)
        plan.give_back(scratch)
    end_call(&trial)


# ---- labels ----

cdef enum:
    NO_LABELS, LABEL_LARGEST, LABEL_EACH  # what `predict` makes of the logits


cdef ptrdiff_t _best(const char *z, ptrdiff_t m, bint is_double) noexcept nogil:
    """Return the place of the largest of m numbers, the lowest on a tie; -1 if one is NaN."""
    cdef ptrdiff_t best = 0, j
    cdef double most, value
    most = (<const double *>z)[0] if is_double else (<const float *>z)[0]
    cdef bint has_nan = most != most
    for j in range(1, m):
        value = (<const double *>z)[j] if is_double else (<const float *>z)[j]
        if value > most:
            most, best = value, j
        has_nan |= value != value
    return -1 if has_nan else best


cdef _labels(cnp.ndarray logits, bint each):
    """Return the labels of logits (m,) or (n, m), C-contiguous: of each output, or the largest."""
    cdef int dimensions = cnp.PyArray_NDIM(logits)
    cdef ptrdiff_t m = cnp.PyArray_DIM(logits, dimensions - 1), size = cnp.PyArray_ITEMSIZE(logits)
    cdef ptrdiff_t n = cnp.PyArray_SIZE(logits) // m, i
    cdef const char *z = cnp.PyArray_BYTES(logits)
    cdef bint is_double = size == 8
    cdef int kept = dimensions  # dimensions of the labels: a single output gives one label a sample
    cdef int64_t label
    cdef cnp.npy_intp shape[2]
    shape[0], shape[dimensions - 1] = n, m
    if not each or m == 1:
        kept, shape[0] = dimensions - 1, n
    cdef bint has_nan = False
    if kept == 0:
        label = _best(z, m, is_double)
        if label < 0:
            _arrays.refuse_nan(logits)
        if each:
            label = (<const double *>z)[0] > 0 if is_double else (<const float *>z)[0] > 0
        return PyArray_Scalar(&label, _INT64, None)
    cdef cnp.ndarray labels = cnp.PyArray_EMPTY(kept, shape, cnp.NPY_INT64, 0)
    cdef int64_t *to = <int64_t *>cnp.PyArray_DATA(labels)
    cdef double value
    with nogil:
        if each:
            for i in range(n * m):
                value = (<const double *>z)[i] if is_double else (<const float *>z)[i]
                to[i] = value > 0
                has_nan |= value != value
        else:
            for i in range(n):
                to[i] = _best(z, m, is_double)
                has_nan |= to[i] < 0
                z += m * size
    if has_nan:
        _arrays.refuse_nan(logits)
    return labels


cdef class Engine:
    """What `Network` is underneath: the call, on the plan in force.

    `_plan` is None while an activation is a Python callable: the network is then run by
    `_run_layer_by_layer`. That method, and `_make_plan`, are those of the class below this one.
    """

    def _use(self, Compiled plan, list slots not None, list records not None):
        """Run this plan as long as the slots hold these records."""
        if len(slots) != len(records):
            raise ValueError(f"{len(records)} records for {len(slots)} slots, expected as many")
        cdef Slot slot
        cdef Parameters record
        cdef ptrdiff_t i
        for i in range(len(slots)):
            slot = slots[i]
            record = records[i]
            if slot is None or record is None:
                raise TypeError("a slot or a record is None")
        # In one step: what was there is freed afterwards, so another thread sees all or nothing.
        old = (self._plan, self._slots, self._records)
        self._plan, self._slots, self._records = plan, slots, records
        self._seen = -1
        del old

    def _set_labels(self, kind):
        """Say what `predict` makes of logits: the place of the "largest", a label of "each", or
        None, no labels."""
        self._label_kind = (NO_LABELS if kind is None else LABEL_EACH if kind == "each"
                            else LABEL_LARGEST)

    cdef Compiled current_plan(self):
        """Return the plan of the present weights, a new one if a layer has others by now."""
        cdef ptrdiff_t i
        if self._seen == _published[0]:
            return self._plan
        for i in range(len(self._slots)):
            if (<Slot>self._slots[i]).current is not <Parameters>self._records[i]:
                return self._make_plan()
        self._seen = _published[0]
        return self._plan

    def __call__(self, x, out=None):
        """Run the network.

        Parameters
        ----------
        x : array_like
            (in_features,) or (n, in_features), of any real dtype and memory layout; images
            (n, h, w) and (n, 1, h, w) with h * w = in_features are flattened. A sparse matrix of
            scipy's is taken as compressed rows, without a dense copy of the whole. Numbers are read
            as ``x.astype(net.dtype)`` would read them: one that is too large for the dtype (1e300
            in float32) becomes infinity. NaN and infinity travel through as IEEE 754 says (in a
            `QuantizedNetwork`, infinity is its largest number); a call does not warn of them,
            because its result shows them.
        out : ndarray, optional
            Where to write, of the result's shape and dtype: filled, or refused.

        Returns
        -------
        ndarray
            (out_features,) or (n, out_features), of the network's dtype.

        Raises
        ------
        TypeError, ValueError
            `x` or `out` has a shape or dtype that does not fit.

        Warns
        -----
        ScalingWarning
            Once a network: it begins with a `Rescaling` for pixels of 0 to 255, and `x` has
            pixels that were divided by 255 already.
        """
        cdef Compiled plan = self.current_plan()
        if plan is None:
            return self._run_layer_by_layer(x, out, True)
        return _run(plan, x, out, False)

    def predict(self, x):
        """Return what the outputs say, as the last activation decides.

        Parameters
        ----------
        x : array_like
            (in_features,) or (n, in_features), or images, as for a call.

        Returns
        -------
        ndarray
            softmax or log_softmax: the class, int64 () or (n,), the largest logit, the lowest index
            on a tie; no exponential is computed. identity, if the network has `classes`: likewise,
            because the outputs are logits then. sigmoid: 1 where the weighted sum is positive,
            else 0, int64, of the outputs' shape, but () or (n,) if there is one output. Otherwise
            the outputs themselves.

            ``net.classes[net.predict(x)]`` gives the names of the classes.

        Raises
        ------
        TypeError, ValueError
            As for a call; and where a label would have to come from NaN.

        Examples
        --------
        >>> import numpy as np, nncore
        >>> net = nncore.Network.from_arrays([np.eye(3)], None, ["softmax"])
        >>> net.predict([[0, 2, 1], [5, 0, 0]])
        array([1, 0])
        >>> net.classes = ["cat", "dog", "bird"]
        >>> net.classes[net.predict([[0, 2, 1], [5, 0, 0]])].tolist()
        ['dog', 'cat']
        """
        cdef Compiled plan = self.current_plan()
        if self._label_kind == NO_LABELS:
            return self(x)
        if plan is None:
            logits = np.ascontiguousarray(self._run_layer_by_layer(x, None, False))
        else:
            logits = _run(plan, x, None, True)
        return _labels(logits, self._label_kind == LABEL_EACH)

    def logits(self, x, out=None):
        """Return the last layer's weighted sums, before its activation.

        Parameters
        ----------
        x, out
            As for a call.

        Returns
        -------
        ndarray
            (out_features,) or (n, out_features).

        Examples
        --------
        >>> import numpy as np, nncore
        >>> net = nncore.Network.from_arrays([np.eye(2)], None, ["softmax"])
        >>> net.logits([1.0, 2.0])
        array([1., 2.])
        """
        cdef Compiled plan = self.current_plan()
        if plan is None:
            return self._run_layer_by_layer(x, out, False)
        return _run(plan, x, out, True)
