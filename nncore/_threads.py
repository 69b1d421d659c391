"""Threads: how many, and the pool they come from. The only place where either is decided."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

# Multiply-adds below which a call stays on its own thread: handing work to a sleeping thread costs
# 30 to 130 microseconds, in which one core does millions of them. Measured with 784-512-512-10: at
# 8 million two threads took 1.3 times as long as one, at 11 million 0.93, at 21 million 0.75.
PARALLEL_MIN = 12_000_000

_chosen: int | None = None  # by set_num_threads, else by the environment, else the CPUs
_pool: ThreadPoolExecutor | None = None
_pool_size = 0


def _positive(text: str | None, name: str) -> int | None:
    if text is None or not text.strip():
        return None
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ValueError(f"{name} is {text!r}, expected a whole number of at least 1")
    return number


def parallel_min() -> float:
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


def _cgroup_limit() -> int | None:
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


def usable_cpus() -> int:
    """CPUs this process may use: its affinity, and its control group's quota."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        count = os.cpu_count() or 1
    limit = _cgroup_limit()
    return count if limit is None else max(1, min(count, limit))


def get_num_threads() -> int:
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


def set_num_threads(count: int) -> None:
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


def _executor(size: int) -> ThreadPoolExecutor:
    """The pool, with at least `size` threads; they start one by one when there is work."""
    global _pool, _pool_size
    old = None
    with _pool_lock:
        if _pool is None or _pool_size < size:
            from concurrent.futures import ThreadPoolExecutor

            old, _pool = _pool, ThreadPoolExecutor(size, thread_name_prefix="nncore")
            _pool_size = size
        pool = _pool
    if old is not None:
        # What it has begun it still finishes. Not under our lock: a fork takes the executors' locks
        # and ours, in an order that is not ours to choose.
        old.shutdown(wait=False)
    return pool


def share(work: Callable[[], None], helpers: int) -> None:
    """Run `work` here and on `helpers` other threads; return when all that began have ended.

    `work` takes its share from a common counter, so a helper that starts late finds nothing left,
    and one that has not started is not waited for.
    """
    # Counted here, not by futures: an executor that cannot start another thread raises, and what it
    # took in may be run all the same, by a thread it has.
    ended = threading.Condition()
    running, closed = 0, False
    failures: list[BaseException] = []

    def help_out() -> None:
        nonlocal running
        with ended:
            if closed:
                return
            running += 1
        try:
            work()
        except BaseException as error:
            failures.append(error)
        finally:
            with ended:
                running -= 1
                ended.notify_all()

    try:
        for _ in range(helpers):
            _executor(helpers).submit(help_out)
    except RuntimeError:
        pass  # the interpreter is shutting down, or no thread can be started: do it alone
    try:
        work()
    finally:
        with ended:
            closed = True
            while running:
                ended.wait()
    if failures:
        raise failures[0]


def _forget_pool() -> None:
    """In a forked child the pool's threads do not exist: the child makes its own."""
    global _pool, _pool_size
    _pool, _pool_size = None, 0
    _pool_lock.release()


# A fork waits until no thread is importing or making the pool: in the child, the lock of a module
# that a thread of the parent was just importing would never be released.
_pool_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_pool_lock.acquire,
        after_in_parent=_pool_lock.release,
        after_in_child=_forget_pool,
    )
