"""Threads: how many, when they start, and that nothing around them changes a bit or hangs."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future

import numpy as np
import pytest
from helpers import SETUP, run_python
from reference import assert_same_bits

import nncore
from nncore import _threads

COUNT = "import nncore; print(nncore.get_num_threads())"
HAS_AFFINITY = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity"
)


@pytest.mark.parametrize(
    ("environment", "count"),
    [
        ({"NNCORE_NUM_THREADS": "3"}, 3), ({"OMP_NUM_THREADS": "5"}, 5),
        ({"NNCORE_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3),
        ({"OMP_NUM_THREADS": "6,2"}, 6), ({"NNCORE_NUM_THREADS": "100"}, 100),
        ({"NNCORE_NUM_THREADS": "", "OMP_NUM_THREADS": "5"}, 5),
    ],
)  # fmt: skip
def test_counts_from_the_environment(environment, count):
    assert int(run_python(COUNT, **environment).stdout) == count


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_count_that_is_none(value):
    process = run_python(COUNT, check=False, NNCORE_NUM_THREADS=value)
    last = process.stderr.strip().splitlines()[-1]
    wanted = "expected a whole number of at least 1"
    assert last == f"ValueError: NNCORE_NUM_THREADS is '{value}', {wanted}"


@pytest.mark.parametrize("value", ["none", "-1", "nan"])
def test_a_threshold_that_is_none(value):
    code = "import nncore; nncore.Network([nncore.Dense(1, 1)], seed=0)([1.0])"
    process = run_python(code, check=False, NNCORE_PARALLEL_MIN=value)
    last = process.stderr.strip().splitlines()[-1]
    wanted = "expected a number of at least 0"
    assert last == f"ValueError: NNCORE_PARALLEL_MIN is '{value}', {wanted}"


@HAS_AFFINITY
def test_counts_from_the_affinity():
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);" + COUNT
    assert int(run_python(code).stdout) == 1
    assert int(run_python(code, NNCORE_NUM_THREADS="2").stdout) == 2
    assert 1 <= int(run_python(COUNT).stdout) <= len(os.sched_getaffinity(0))


def test_counts_from_a_control_group(monkeypatch):
    monkeypatch.setattr(_threads, "_cgroup_limit", lambda: 1)
    assert _threads.usable_cpus() == 1
    monkeypatch.setattr(_threads, "_cgroup_limit", lambda: 10_000)
    assert 1 <= _threads.usable_cpus() < 10_000


def test_set_num_threads(threads):
    threads(7)
    assert nncore.get_num_threads() == 7
    assert nncore.info()["num_threads"] == 7
    threads(np.int64(2))
    for value, error, text in [
        (0, ValueError, "count is 0, expected at least 1"),
        (-2, ValueError, "count is -2, expected at least 1"),
        (1.0, TypeError, "count is of type float, expected a whole number of at least 1"),
        ("2", TypeError, "count is of type str"),
        (None, TypeError, "count is of type NoneType"),
        (True, TypeError, "count is a bool"),
    ]:
        with pytest.raises(error, match=text):
            nncore.set_num_threads(value)
    assert nncore.get_num_threads() == 2


def test_no_thread_before_there_is_work():
    code = SETUP + "net(x); net(x[0]); nncore.softmax(x); net(x[:100]); print(len(mine()))"
    assert int(run_python(code).stdout) == 0
    code = SETUP + "before = len(mine()); net(x); print(before, len(mine()))"
    before, after = map(int, run_python(code, NNCORE_PARALLEL_MIN="0").stdout.split())
    assert before == 0
    assert 1 <= after <= 3


def test_idle_threads_use_no_cpu():
    code = (
        SETUP
        + """
for _ in range(20):
    net(x)
assert mine()
time.sleep(0.1)
start = time.process_time()
time.sleep(1)
print(time.process_time() - start)
"""
    )
    # A thread that spins would take the whole second.
    assert float(run_python(code, NNCORE_PARALLEL_MIN="0").stdout) < 0.25


def test_a_hundred_python_threads_share_a_network():
    code = (
        SETUP
        + """
nncore.set_num_threads(3)
failures = []
def use(i):
    try:
        for n in (1, 2, 17, 50, 400, 3000):
            assert_same_bits(net(x[i : i + n]), wanted[i : i + n])
        assert_same_bits(net(x[i]), wanted[i])
        out = np.empty_like(wanted)
        assert_same_bits(net(x, out=out), wanted)
        if i % 10 == 0:
            nncore.set_num_threads(2 + i // 20)
    except BaseException as error:
        failures.append(repr(error))
users = [threading.Thread(target=use, args=(i,)) for i in range(100)]
for user in users:
    user.start()
for user in users:
    user.join()
print(failures)
"""
    )
    assert run_python(code, NNCORE_PARALLEL_MIN="0").stdout.strip() == "[]"


def test_a_call_under_way_keeps_the_weights_it_began_with():
    code = (
        SETUP
        + """
ones, twos = np.full((30, 40), 0.01), np.full((30, 40), 0.02)
net.layers[0].weights = ones
a = net(x)
net.layers[0].weights = twos
b = net(x)
stop = False
def assign():
    while not stop:
        net.layers[0].weights = ones
        net.layers[0].weights = twos
other = threading.Thread(target=assign)
other.start()
seen = set()
for _ in range(300):
    y = net(x)
    seen.add("old" if (y == a).all() else "new" if (y == b).all() else "mixed")
stop = True
other.join()
print(sorted(seen))
"""
    )
    for least in ("0", "1e18"):
        seen = run_python(code, NNCORE_PARALLEL_MIN=least).stdout
        assert "mixed" not in seen
        assert "old" in seen or "new" in seen


class Started:
    """A pool whose helper is at work, and whose next one cannot be started."""

    def __init__(self):
        self.calls = 0
        self.running = threading.Event()
        self.go_on = threading.Event()

    def submit(self, work):
        self.calls += 1
        if self.calls > 1:
            assert self.running.wait(10)
            raise RuntimeError("can't start new thread")
        future = Future()
        future.set_running_or_notify_cancel()

        def run():
            self.running.set()
            work()
            future.set_result(None)

        self.thread = threading.Thread(target=run)
        self.thread.start()
        return future


def test_helpers_that_began_are_waited_for_even_if_the_next_cannot_start(monkeypatch):
    """Else a call returns before its last samples are written."""
    pool = Started()
    monkeypatch.setattr(_threads, "_executor", lambda size: pool)
    here, ended = threading.current_thread(), []

    def work():
        if threading.current_thread() is here:
            threading.Timer(0.2, pool.go_on.set).start()  # the helper is late
            return
        pool.go_on.wait(10)
        ended.append("helper")

    _threads.share(work, 3)
    seen = list(ended)
    pool.thread.join()
    assert seen == ["helper"]


class Overfull:
    """A pool that takes work in, then cannot start a thread for it; one that it has runs it."""

    def submit(self, work):
        began = threading.Event()

        def run():
            began.set()
            work()

        self.thread = threading.Thread(target=run)
        self.thread.start()
        assert began.wait(10)
        raise RuntimeError("can't start new thread")


def test_work_that_a_failing_pool_took_in_is_waited_for(monkeypatch):
    """The executor queues its work before it starts a thread: an idle one may take it."""
    pool = Overfull()
    monkeypatch.setattr(_threads, "_executor", lambda size: pool)
    here, ended = threading.current_thread(), []
    inside, go_on = threading.Event(), threading.Event()

    def work():
        if threading.current_thread() is here:
            assert inside.wait(10)
            threading.Timer(0.2, go_on.set).start()
            return
        inside.set()
        go_on.wait(10)
        ended.append("helper")

    _threads.share(work, 1)
    seen = list(ended)
    pool.thread.join()
    assert seen == ["helper"]


def test_an_exception_in_a_helper_reaches_the_caller():
    here = threading.current_thread()
    began = threading.Event()

    def work():
        if threading.current_thread() is here:
            assert began.wait(10)
            return
        began.set()
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        _threads.share(work, 1)
    done = []
    _threads.share(lambda: done.append(1), 1)
    assert done


def test_exceptions_in_a_custom_activation_come_out_and_all_goes_on():
    code = (
        SETUP
        + """
def broken(z):
    if z.shape[0] == 3000:
        raise KeyError("mine")
    return z
custom = nncore.Network([nncore.Dense(30, 4, broken), nncore.Dense(4, 2)], seed=0)
for _ in range(3):
    try:
        custom(x)
    except KeyError as error:
        assert error.args == ("mine",)
    else:
        raise AssertionError
    assert custom(x[:2999]).shape == (2999, 2)
assert_same_bits(net(x), wanted)
print("well")
"""
    )
    assert run_python(code, NNCORE_PARALLEL_MIN="0").stdout.strip() == "well"


@pytest.mark.parametrize("how", ["pass", "sys.exit(0)", "net(x); raise SystemExit(0)"])
def test_the_interpreter_exits_while_the_pool_exists(how):
    process = run_python(SETUP + f"net(x)\nassert mine()\n{how}", NNCORE_PARALLEL_MIN="0")
    assert process.stderr == ""


def test_calls_at_exit_still_compute():
    code = (
        SETUP
        + """
import atexit
def late():
    assert_same_bits(net(x), wanted)
    print("computed")
atexit.register(late)
threading._register_atexit(late)
if len(sys.argv) == 1:
    net(x)
"""
    )
    process = run_python(code, NNCORE_PARALLEL_MIN="0")
    assert process.stdout.split() == ["computed", "computed"]
    assert process.stderr == ""


def test_large_calls_use_threads_by_themselves(threads):
    """From the measured number of multiply-adds on; and the bits stay what they are."""
    net = nncore.Network([nncore.Dense(300, 200, "relu"), nncore.Dense(200, 10)], seed=0)
    x = np.random.default_rng(0).standard_normal((400, 300)).astype(np.float32)
    assert len(x) * 62_000 > _threads.PARALLEL_MIN
    threads(1)
    wanted = net(x)
    threads(4)
    assert_same_bits(net(x), wanted)
