"""Threads: how many, and from how much work on. The only place where either is decided."""
import os

from contract cimport NN_MOST_THREADS, nn_pool_threads, nn_share, nn_watch_forks, nn_work

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


def _number_of_threads(text):
    """Return the number in an environment variable; None if it is not from 1 to MOST_THREADS."""
    try:
        number = int(text)
    except ValueError:  # also for a number of thousands of digits
        return None
    return number if 1 <= number <= MOST_THREADS else None


def _threads_of_nncore():
    text = os.environ.get("NNCORE_NUM_THREADS", "")
    if not text.strip():
        return None
    number = _number_of_threads(text)
    if number is None:
        raise ValueError(
            f"NNCORE_NUM_THREADS is {text[:40]!r}, "
            f"expected a whole number from 1 to {MOST_THREADS}")
    return number


def _threads_of_openmp():
    """Return OMP_NUM_THREADS, None if it is unusable: it is not ours, so it is never refused."""
    # OpenMP allows a list, with one number for each level of nesting. The first is the outermost.
    text = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return _number_of_threads(text) if text.isdecimal() else None


cpdef double parallel_min() except -1:
    """Return the multiply-adds from which a call is shared: NNCORE_PARALLEL_MIN, else as measured.

    The variable is read when a call first needs it; changes after that have no effect.
    """
    global _parallel_min
    if _parallel_min >= 0:
        return _parallel_min
    cdef double number = PARALLEL_MIN
    text = os.environ.get("NNCORE_PARALLEL_MIN", "")
    if text.strip():
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not number >= 0:
            raise ValueError(
                f"NNCORE_PARALLEL_MIN is {text[:40]!r}, expected a number of at least 0")
    _parallel_min = number
    return number


def _cgroup_limit():
    """Return the CPUs that the control group's quota amounts to, rounded up; None without one."""
    try:
        with open("/proc/self/cgroup") as file:
            fields = [line.rstrip("\n").split(":", 2) for line in file]
        paths = {controllers: path for _, controllers, path in fields}
    except (OSError, ValueError):
        return None
    limits = []
    # Version 2 has one hierarchy, under the empty name; the quota of every parent limits us too.
    place = paths.get("", "")
    while place:
        try:
            with open(f"/sys/fs/cgroup{place.rstrip('/')}/cpu.max") as file:
                quota, period = file.read().split()[:2]
            if quota != "max":
                limits.append(-(-int(quota) // int(period)))
        except (OSError, ValueError, ZeroDivisionError):
            pass
        place = "" if place == "/" else os.path.dirname(place)
    try:
        with open("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") as file:
            version_1_quota = int(file.read())
        with open("/sys/fs/cgroup/cpu/cpu.cfs_period_us") as file:
            version_1_period = int(file.read())
        if version_1_quota > 0:
            limits.append(-(-version_1_quota // version_1_period))
    except (OSError, ValueError, ZeroDivisionError):
        pass
    return max(1, min(limits)) if limits else None


def usable_cpus():
    """Return how many CPUs this process may use: by its affinity, and by its group's quota."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        count = os.cpu_count() or 1
    limit = _cgroup_limit()
    return count if limit is None else max(1, min(count, limit))


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
        _chosen = _threads_of_nncore() or _threads_of_openmp() or min(usable_cpus(), MOST_THREADS)
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
    import operator

    global _chosen
    expected = f"expected a whole number from 1 to {MOST_THREADS}"
    if isinstance(count, bool):
        raise TypeError(f"count is a bool, {expected}")
    try:
        number = operator.index(count)
    except TypeError:
        raise TypeError(f"count is of type {type(count).__name__}, {expected}") from None
    if number < 1:
        raise ValueError(f"count is {number}, expected at least 1")
    if number > MOST_THREADS:
        raise ValueError(f"count is {number}, expected at most {MOST_THREADS}")
    _chosen = number


cdef void share_work(nn_work *work, void *job, ptrdiff_t threads, bint urgent) noexcept nogil:
    """Run `work` on a job with up to `threads` threads, the calling one included: see nn_share."""
    nn_share(work, job, <int>threads - 1, urgent)


def pool_threads():
    """Return how many helper threads have been started."""
    return nn_pool_threads()
