"""A call: what came is checked, work is shared between threads where that pays, and run.

Two ways to share: a batch by its samples; few samples through a wide network by the outputs of each
layer, so that every weight is fetched from memory once. Which way, and how many threads, changes no
bit (contract.h).
"""
from libc.stdint cimport int32_t
from libc.stdlib cimport calloc, free

cimport numpy as cnp

from contract cimport (
    NN_LINE_BYTES, nn_count, nn_enter_fp, nn_finish, nn_kernels, nn_layer, nn_leave_fp, nn_source,
    nn_take, nn_wait, nn_work,
)
from nncore._threads cimport share_work
from nncore._plan cimport Output, Parameters, Plan, Scratch, Slot

from nncore import _source, _threads

cnp.import_array()

cdef enum:
    SMALL_WORK = 100000  # multiply-adds of one sample not worth releasing the GIL for
    MOST_THREADS = 1024  # of a call
    MANY_SPANS = 16      # for each thread: that one has one more no longer matters
    NEAR_BYTES = 1048576  # of weights that a core has at hand

cdef double _parallel_min = -1  # not asked yet: what the environment says may be an error


cdef cnp.ndarray _run_plan(Plan plan, cnp.ndarray x, cnp.ndarray out, bint with_final):
    """x (k,) or (n, k) -> out (m,) or (n, m), made here when None. Both have been checked."""
    global _parallel_min
    cdef Scratch *scratch
    cdef nn_source source
    cdef Output to
    cdef int dimensions = cnp.PyArray_NDIM(x)
    cdef ptrdiff_t n = 1 if dimensions == 1 else cnp.PyArray_DIM(x, 0)
    cdef cnp.npy_intp shape[2]
    if out is None:
        shape[0] = n if dimensions == 2 else plan.m
        shape[1] = plan.m
        out = cnp.PyArray_EMPTY(
            dimensions, shape, cnp.NPY_DOUBLE if plan.is_double else cnp.NPY_FLOAT, 0)
    plan.reader.describe(x, &source)
    to.data = cnp.PyArray_BYTES(out)
    to.column_stride = cnp.PyArray_STRIDE(out, dimensions - 1) // plan.itemsize
    to.row_stride = cnp.PyArray_STRIDE(out, 0) // plan.itemsize if dimensions == 2 else 0
    to.final_step = plan.final_step if with_final else 0
    to.sums_only = not with_final

    cdef double work = plan.multiply_adds * n
    cdef ptrdiff_t threads = 1
    cdef bint few
    cdef Job job
    if _parallel_min < 0:
        _parallel_min = _threads.parallel_min()
    if work >= _parallel_min and n > 0:
        threads = _threads_of(plan, n, work, &few)
    if threads > 1:
        job = OutputJob.__new__(OutputJob) if few else SampleJob.__new__(SampleJob)
        job.plan, job.source, job.to, job.n = plan, source, to, n
        job.run(threads, work >= _parallel_min * <double>_threads.URGENT)
        return out
    scratch = plan.take_scratch()
    cdef unsigned long long found
    if n == 1 and work < SMALL_WORK:
        found = nn_enter_fp()
        plan.run_rows(&source, 0, 1, &to, scratch)
        nn_leave_fp(found)
    else:
        with nogil:
            found = nn_enter_fp()
            plan.run_span(&source, 0, n, &to, scratch)
            nn_leave_fp(found)
    plan.give_back(scratch)
    return out


cdef ptrdiff_t _threads_of(Plan plan, ptrdiff_t n, double work, bint *few) except -1:
    """Threads for a call that is large enough to be shared; few: by the outputs of each layer."""
    cdef ptrdiff_t threads = _threads.get_num_threads()
    if _parallel_min > 0:  # no more than have enough to do
        threads = <ptrdiff_t>min(<double>threads, 1 + work / _parallel_min)
    few[0] = _few_samples(plan, n) and work >= plan.depth * _parallel_min * (2.0 / 3)
    return threads if few[0] or n > 2 else 1


def threads_for(Plan plan, ptrdiff_t n):
    """How many threads share a call with n samples."""
    global _parallel_min
    cdef bint few
    if _parallel_min < 0:
        _parallel_min = _threads.parallel_min()
    if plan.multiply_adds * n < _parallel_min:
        return 1
    return _threads_of(plan, n, plan.multiply_adds * n, &few)


cdef bint _few_samples(Plan plan, ptrdiff_t n):
    """Whether threads should rather share the outputs of each layer, and meet after it: where there
    are hardly samples to share, and where the weights are far, so that each fetches its own."""
    cdef ptrdiff_t lanes = plan.kernels.lanes, vectors = (n + lanes - 1) // lanes
    if plan.is_wide and n > lanes:  # unless a good part of the last vector would be empty
        return vectors <= plan.tile_vectors and 4 * n >= 3 * vectors * lanes
    return n <= (lanes if plan.multiply_adds * plan.itemsize > NEAR_BYTES else 2)


cdef class Job:
    """A call that threads share."""

    cdef Plan plan
    cdef nn_source source
    cdef Output to
    cdef ptrdiff_t n, threads
    cdef Scratch **scratch  # one for each thread

    def __dealloc__(self):
        free(self.scratch)

    cdef run(self, ptrdiff_t threads, bint urgent):
        """By so many threads at most; urgent: those that sleep are woken for it."""
        cdef ptrdiff_t i
        threads = min(threads, MOST_THREADS)
        self.threads = threads = min(threads, self.set_up(threads))
        self.scratch = <Scratch **>calloc(threads, sizeof(Scratch *))
        if self.scratch == NULL:
            raise MemoryError()
        try:
            for i in range(threads):
                self.scratch[i] = self.plan.take_scratch()
            with nogil:
                share_work(<nn_work *>_work, <void *>self, threads, urgent)
        finally:
            # The last first, so that the next call gives each thread what its cache holds.
            for i in range(threads - 1, -1, -1):
                if self.scratch[i] != NULL:
                    self.plan.give_back(self.scratch[i])

    cdef ptrdiff_t set_up(self, ptrdiff_t threads) except -1:
        """Divide the work for so many threads; returns how many have something to do."""
        raise NotImplementedError

    cdef void work(self, Scratch *own) noexcept nogil:
        """A thread's part: pieces until none is left."""


cdef void _work(Job job, int thread) noexcept nogil:
    cdef unsigned long long found = nn_enter_fp()
    job.work(job.scratch[thread])
    nn_leave_fp(found)


cdef class SampleJob(Job):
    """A batch shared between threads: each takes the next span of samples until none is left."""

    cdef ptrdiff_t span, next

    cdef ptrdiff_t set_up(self, ptrdiff_t threads) except -1:
        """As many spans for each thread, of some tiles if it can be; if they are many, of whole
        tiles."""
        cdef ptrdiff_t tile = self.plan.kernels.lanes * self.plan.tile_vectors
        cdef ptrdiff_t rounds = max(1, self.n // (4 * tile * threads))
        cdef ptrdiff_t pieces = rounds * threads
        self.span = (self.n + pieces - 1) // pieces
        if rounds >= MANY_SPANS:
            self.span = self.span // tile * tile
        return (self.n + self.span - 1) // self.span

    cdef void work(self, Scratch *own) noexcept nogil:
        cdef ptrdiff_t first
        while True:
            first = nn_take(&self.next) * self.span
            if first >= self.n:
                return
            self.plan.run_span(&self.source, first, min(first + self.span, self.n), &self.to, own)


cdef class OutputJob(Job):
    """A few samples shared between threads: each takes the next panels of a layer's outputs.

    Stage 0 reads the input, stage i computes layer i - 1, the last one writes out. A thread goes on
    to the next stage when all pieces of this one are done; it only ever waits for pieces that a
    running thread has taken, so one that starts late, or never, holds up nobody.
    """

    cdef ptrdiff_t vectors, lines
    cdef nn_count *stages

    def __dealloc__(self):
        free(self.stages)

    cdef ptrdiff_t set_up(self, ptrdiff_t threads) except -1:
        cdef ptrdiff_t i, most = 1, lanes = self.plan.kernels.lanes
        self.stages = <nn_count *>calloc(self.plan.depth + 2, sizeof(nn_count))
        if self.stages == NULL:
            raise MemoryError()
        if self.n >= self.plan.tile_from:
            self.vectors = (self.n + lanes - 1) // lanes
        for i in range(self.plan.depth):
            most = max(most, self.line_count(self.plan.layers[i].m))
        return most

    cdef void work(self, Scratch *own) noexcept nogil:
        cdef ptrdiff_t stage, piece, pieces, panels, size = 1
        for stage in range(self.plan.depth + 2):
            pieces = 1
            if 0 < stage <= self.plan.depth:
                panels = self.line_count(self.plan.layers[stage - 1].m)
                size = max(1, min(<ptrdiff_t>8, panels // (4 * self.threads)))
                pieces = (panels + size - 1) // size
            while True:
                piece = nn_take(&self.stages[stage].taken)
                if piece >= pieces:
                    break
                if stage == 0:
                    self.read()
                elif stage <= self.plan.depth:
                    self.compute(stage, piece * size, size, own)
                else:
                    self.write()
                nn_finish(&self.stages[stage].done)
            nn_wait(&self.stages[stage].done, pieces)

    cdef ptrdiff_t line_count(self, ptrdiff_t m) noexcept nogil:
        cdef ptrdiff_t line = NN_LINE_BYTES // self.plan.itemsize
        return (m + line - 1) // line

    cdef ptrdiff_t row_length(self, ptrdiff_t m) noexcept nogil:
        """A row's elements in scratch memory: whole lines."""
        return self.line_count(m) * NN_LINE_BYTES // self.plan.itemsize

    cdef char *buffer(self, ptrdiff_t stage) noexcept nogil:
        """What a stage writes: in the caller's scratch memory."""
        return self.scratch[0].second if stage % 2 else self.scratch[0].first

    cdef void read(self) noexcept nogil:
        cdef ptrdiff_t r, row = self.row_length(self.plan.k) * self.plan.itemsize
        if self.vectors:
            self.lines = self.plan.kernels.pack_tile(
                &self.source, 0, self.n, self.plan.k, self.plan.layers[0].skip_zeros, self.vectors,
                self.buffer(0), self.scratch[0].index)
        else:
            for r in range(self.n):
                self.plan.kernels.load_row(&self.source, r, self.plan.k, self.buffer(0) + r * row)

    cdef void compute(self, ptrdiff_t stage, ptrdiff_t first, ptrdiff_t panels,
                      Scratch *own) noexcept nogil:
        """Panels first .. first + panels - 1 of one layer, for all samples."""
        cdef const nn_kernels *kernels = self.plan.kernels
        cdef nn_layer layer = self.plan.layer(stage - 1, &self.to)[0]
        cdef ptrdiff_t size = self.plan.itemsize, line = NN_LINE_BYTES // size
        cdef ptrdiff_t ldx = self.row_length(layer.k), ldy = self.row_length(layer.m)
        cdef ptrdiff_t r, rows, count = layer.k
        cdef const int32_t *index = self.plan.identity
        cdef const char *x = self.buffer(stage - 1)
        cdef char *y = self.buffer(stage)
        cdef bint zeros = layer.skip_zeros and (stage == 1 or self.plan.zeros_likely(stage - 2))
        layer.panels = <const char *>layer.panels + first * (1 + layer.k) * NN_LINE_BYTES
        layer.m = min(layer.m - first * line, panels * line)
        if self.vectors:
            if stage == 1:
                index, count = self.scratch[0].index, self.lines
            elif zeros:
                index, count = own.index, kernels.find_lines(x, layer.k, self.vectors, own.index)
            y += first * line * self.vectors * kernels.lanes * size
            kernels.tile_layer(&layer, x, index, count, self.vectors, y, NULL)
            return
        r = 0
        while r < self.n:
            rows = kernels.row_samples
            while rows > self.n - r:
                rows //= 2
            if zeros:
                index = own.index
                count = kernels.find_nonzero(x + r * ldx * size, ldx, rows, layer.k, own.index)
            kernels.row_layer(&layer, x + r * ldx * size, ldx, rows, index, count,
                              y + (r * ldy + first * line) * size, ldy)
            r += rows

    cdef void write(self) noexcept nogil:
        cdef char *y = self.buffer(self.plan.depth)
        if self.vectors:
            self.plan.finish_tile(y, 0, self.n, self.vectors, &self.to)
        else:
            self.plan.finish_rows(y, self.row_length(self.plan.m), 0, self.n, &self.to)


def run(Plan plan, x, out=None):
    """Run a plan on x (k,) or (n, k), or what `_source.samples` makes such of."""
    return _run(plan, x, out, True)


cdef bint _plainly_fits(Plan plan, cnp.ndarray x, object out):
    """The common case of _source.output, without going through Python."""
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


cdef _run(Plan plan, x, out, bint with_final):
    cdef cnp.ndarray samples = plan.reader.check(x)
    if out is not None and not _plainly_fits(plan, samples, out):
        _source.output(out, samples, plan.m, plan.is_double)
    return _run_plan(plan, samples, out, with_final)


cdef class Engine:
    """What `Network` is underneath: the call, on the plan in force.

    `_plan` is None while an activation is a Python callable: the network is then run by
    `_run_layer_by_layer`. That method, and `_make_plan`, are those of the class below this one.
    """

    cdef readonly Plan _plan
    cdef list _slots    # of the layers
    cdef list _records  # what the plan was made of: what the slots held then

    def _use(self, Plan plan, list slots not None, list records not None):
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
        # In one step, what was there is freed only afterwards: another thread sees all or nothing.
        old = (self._plan, self._slots, self._records)
        self._plan, self._slots, self._records = plan, slots, records
        del old

    cdef Plan _current_plan(self):
        """The plan of the present weights: the one there is, or a new one if a layer has others."""
        cdef ptrdiff_t i
        for i in range(len(self._slots)):
            if ((<Slot>self._slots[i]).current is not <Parameters>self._records[i]):
                return self._make_plan()
        return self._plan

    def __call__(self, x, out=None):
        """Run the network.

        Parameters
        ----------
        x : array_like
            (in_features,) or (n, in_features), of any real dtype and memory layout; images
            (n, h, w) and (n, 1, h, w) with h * w = in_features are flattened.
        out : ndarray, optional
            Where to write, of the result's shape and dtype: filled, or refused.

        Returns
        -------
        ndarray
            (out_features,) or (n, out_features), of the network's dtype.

        Raises
        ------
        TypeError, ValueError
            What came, and what was expected.
        """
        cdef Plan plan = self._current_plan()
        if plan is None:
            return self._run_layer_by_layer(x, out, True)
        return _run(plan, x, out, True)

    def logits(self, x, out=None):
        """The last layer's weighted sums, before its activation.

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
        cdef Plan plan = self._current_plan()
        if plan is None:
            return self._run_layer_by_layer(x, out, False)
        return _run(plan, x, out, False)
