"""Threads: how many, and from how much work on. The only place where either is decided.

What the environment and the machine say of it is read in cpus.py.
"""
from contract cimport NN_MOST_THREADS, nn_pool_threads, nn_share, nn_watch_forks, nn_work

from nncore import _cpus

if nn_watch_forks():
    raise MemoryError("there is no memory to watch forks")

# Multiply-adds below which a call stays on its own thread, and for each further thread. With a
# helper awake, sharing a call costs about a microsecond, in which one core does some 60,000 of
# them: two threads took 0.77 times as long as one for 340,000 (4-120-84-2, 32 samples).
PARALLEL_MIN = 300_000
# Sleeping threads are woken for a call that has this many times as much work. Waking takes 30
# microseconds, 10 of them the caller's. Single calls of 2.8 million multiply-adds took as long on
# two threads as on one; of 4.3 million 1.02 times as long, of 5.7 million 0.82, of 8.9 million
# 0.67.
URGENT = 15
MOST_THREADS = NN_MOST_THREADS

_chosen = None  # the number of threads, once it has been set or asked for

# The multiply-adds in force; less than 0 until they are first asked for. The variable is read once,
# so that what `info` reports is always what calls do, whenever the environment changes. It is not
# read while the package is imported, because an unusable value is an error.
cdef double _parallel_min = -1


cpdef double parallel_min() except -1:
    """Return the multiply-adds from which a call is shared: NNCORE_PARALLEL_MIN, else as measured.

    The variable is read when a call first needs it; changes after that have no effect.
    """
    global _parallel_min
    if _parallel_min >= 0:
        return _parallel_min
    _parallel_min = _cpus.parallel_min(PARALLEL_MIN)
    return _parallel_min


def get_num_threads():
    """Return how many threads a call may use, the calling one included.

    The first of these that is set: `set_num_threads`, the environment variables
    ``NNCORE_NUM_THREADS`` and ``OMP_NUM_THREADS``, the CPUs that the process may use (affinity and
    control-group quota). Results do not depend on it, bit for bit.

    Examples
    --------
    >>> import nncore
    >>> nncore.get_num_threads() >= 1
    True
    """
    global _chosen
    if _chosen is None:
        _chosen = _cpus.default_threads(MOST_THREADS)
    return _chosen


def set_num_threads(count):
    """Set how many threads a call may use, the calling one included.

    Parameters
    ----------
    count : int
        From 1 to 1024. More than there are CPUs is allowed.

    Raises
    ------
    TypeError, ValueError
        `count` is not a whole number, or not from 1 to 1024.

    Examples
    --------
    >>> import nncore
    >>> before = nncore.get_num_threads()
    >>> nncore.set_num_threads(1)
    >>> nncore.get_num_threads()
    1
    >>> nncore.set_num_threads(before)
    """
    global _chosen
    _chosen = _cpus.chosen_threads(count, MOST_THREADS)


cdef void share_work(nn_work *work, void *job, ptrdiff_t threads, bint urgent) noexcept nogil:
    """Run `work` on a job with up to `threads` threads, the calling one included: see nn_share."""
    nn_share(work, job, <int>threads - 1, urgent)


def pool_threads():
    """Return how many helper threads have been started."""
    return nn_pool_threads()
