"""Threads: how many, and from how much work on. The only place where either is decided."""
import os

from contract cimport nn_pool_threads, nn_share, nn_watch_forks, nn_work

if nn_watch_forks():
    raise MemoryError("there is no memory to watch forks")

# Multiply-adds below which a call stays on its own thread, and for each further thread. With a
# helper awake, sharing a call costs about a microsecond, in which one core does some 60,000 of
# them: two threads took 0.77 times as long as one for 340,000 (4-120-84-2, 32 samples).
PARALLEL_MIN = 300_000
# So many times as much is worth waking threads that sleep, which takes 30 microseconds, 10 of them
# the caller's: single calls of 2.8 million took as long on two threads as on one, of 4.3 million
# 1.02 times, of 5.7 million 0.82, of 8.9 million 0.67.
URGENT = 15

_chosen = None  # by set_num_threads, else by the environment, else the CPUs


def _positive(text, name):
    if text is None or not text.strip():
        return None
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ValueError(f"{name} is {text!r}, expected a whole number of at least 1")
    return number


def parallel_min():
    """Multiply-adds from which a call is shared out: NNCORE_PARALLEL_MIN, else as measured."""
    text = os.environ.get("NNCORE_PARALLEL_MIN")
    if text is None or not text.strip():
        return float(PARALLEL_MIN)
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not number >= 0:
        raise ValueError(f"NNCORE_PARALLEL_MIN is {text!r}, expected a number of at least 0")
    return number


def _cgroup_limit():
    """CPUs that the control group's quota amounts to, rounded up; None without one."""
    try:
        with open("/proc/self/cgroup") as file:
            fields = [line.rstrip("\n").split(":", 2) for line in file]
        paths = {controllers: path for _, controllers, path in fields}
    except (OSError, ValueError):
        return None
    limits = []
    # Version 2 has one hierarchy under the empty name, and every parent's quota holds too.
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
    """CPUs this process may use: its affinity, and its control group's quota."""
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
        # OpenMP allows a list, one number for each level of nesting: the first is the outermost.
        # The variable is not ours: what OpenMP would not understand is passed over, not refused.
        openmp = (os.environ.get("OMP_NUM_THREADS") or "").split(",")[0].strip()
        _chosen = (
            _positive(os.environ.get("NNCORE_NUM_THREADS"), "NNCORE_NUM_THREADS")
            or (int(openmp) if openmp.isdecimal() else 0)
            or usable_cpus()
        )
    return _chosen


def set_num_threads(count):
    """Set how many threads a call may use, the calling one included.

    Parameters
    ----------
    count : int
        At least 1. More than there are CPUs is allowed.

    Raises
    ------
    TypeError, ValueError
        `count` is no whole number, or less than 1.

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
    if isinstance(count, bool):
        raise TypeError("count is a bool, expected a whole number of at least 1")
    try:
        number = operator.index(count)
    except TypeError:
        raise TypeError(
            f"count is of type {type(count).__name__}, expected a whole number of at least 1"
        ) from None
    if number < 1:
        raise ValueError(f"count is {number}, expected at least 1")
    _chosen = number


cdef void share_work(nn_work *work, void *job, ptrdiff_t threads, bint urgent) noexcept nogil:
    """Have `threads` threads, this one among them, do some work: nn_share, for other modules."""
    nn_share(work, job, <int>threads - 1, urgent)


def pool_threads():
    """How many threads the pool has."""
    return nn_pool_threads()
