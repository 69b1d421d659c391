"""How many CPUs there are, how large their last cache is, what the environment says of threads.

threads.pxi asks once for each number that it keeps; plan.pyx asks for the cache.
"""

from __future__ import annotations

import operator
import os


def default_threads(most: int) -> int:
    """Return how many threads a call may use as long as nobody has said otherwise."""
    return _threads_of_nncore(most) or _threads_of_openmp(most) or min(usable_cpus(), most)


def _number_of_threads(text: str, most: int) -> int | None:
    """Return the number in an environment variable; None if it is not from 1 to `most`."""
    try:
        number = int(text)
    except ValueError:  # also for a number of thousands of digits
        return None
    return number if 1 <= number <= most else None


def _threads_of_nncore(most: int) -> int | None:
    text = os.environ.get("NNCORE_NUM_THREADS", "")
    if not text.strip():
        return None
    number = _number_of_threads(text, most)
    if number is None:
        raise ValueError(
            f"NNCORE_NUM_THREADS is {text[:40]!r}, expected a whole number from 1 to {most}"
        )
    return number


def _threads_of_openmp(most: int) -> int | None:
    """Return OMP_NUM_THREADS, None if it is unusable: it is not ours, so it is never refused."""
    # OpenMP allows a list, with one number for each level of nesting. The first is the outermost.
    text = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return _number_of_threads(text, most) if text.isdecimal() else None


def chosen_threads(count: object, most: int) -> int:
    """Return a number of threads that a user has chosen, or refuse it."""
    expected = f"expected a whole number from 1 to {most}"
    if isinstance(count, bool):
        raise TypeError(f"count is a bool, {expected}")
    try:
        number = operator.index(count)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"count is of type {type(count).__name__}, {expected}") from None
    if number < 1:
        raise ValueError(f"count is {number}, expected at least 1")
    if number > most:
        raise ValueError(f"count is {number}, expected at most {most}")
    return number


def parallel_min(measured: float) -> float:
    """Return what NNCORE_PARALLEL_MIN says, else `measured`."""
    text = os.environ.get("NNCORE_PARALLEL_MIN", "")
    if not text.strip():
        return measured
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not number >= 0:
        raise ValueError(f"NNCORE_PARALLEL_MIN is {text[:40]!r}, expected a number of at least 0")
    return number


def last_cache_bytes() -> int:
    """Return the bytes of a CPU's last cache before memory: 32 MiB unless the system says more.

    Virtual machines may say less than there is.
    """
    least = 32 << 20
    try:
        with open("/sys/devices/system/cpu/cpu0/cache/index3/size") as file:
            return max(least, int(file.read().strip().removesuffix("K")) << 10)
    except (OSError, ValueError):
        return least


def _cgroup_limit() -> int | None:
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


def usable_cpus() -> int:
    """Return how many CPUs this process may use: by its affinity, and by its group's quota."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        count = os.cpu_count() or 1
    limit = _cgroup_limit()
    return count if limit is None else max(1, min(count, limit))
