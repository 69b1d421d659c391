"""Threads: how many, when they start, and that nothing around them changes a bit or hangs."""

from __future__ import annotations

import os

import numpy as np
import pytest
from helpers import SETUP, run_python

import nncore
from nncore import _cpus

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
        ({"NNCORE_NUM_THREADS": "1024"}, 1024), ({"OMP_NUM_THREADS": "1024"}, 1024),
    ],
)  # fmt: skip
def test_counts_from_the_environment(environment, count):
    assert int(run_python(COUNT, **environment).stdout) == count


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "1025", str(2**63), "9" * 5000])
def test_an_unusable_count_in_the_environment(value):
    process = run_python(COUNT, check=False, NNCORE_NUM_THREADS=value)
    last = process.stderr.strip().splitlines()[-1]
    wanted = "expected a whole number from 1 to 1024"
    assert last == f"ValueError: NNCORE_NUM_THREADS is '{value[:40]}', {wanted}"


@pytest.mark.parametrize("value", ["0", "-1", "two", "1025", str(2**63), "9" * 5000, ","])
def test_an_unusable_count_of_openmp_is_passed_over(value):
    assert run_python(COUNT, OMP_NUM_THREADS=value).stdout == run_python(COUNT).stdout


@pytest.mark.parametrize("value", ["none", "-1", "nan"])
def test_an_unusable_threshold(value):
    code = "import nncore; nncore.Network([nncore.Dense(1, 1)], seed=0)([1.0])"
    process = run_python(code, check=False, NNCORE_PARALLEL_MIN=value)
    last = process.stderr.strip().splitlines()[-1]
    wanted = "expected a number of at least 0"
    assert last == f"ValueError: NNCORE_PARALLEL_MIN is '{value}', {wanted}"


def test_the_threshold_is_read_once_and_info_reports_the_one_in_force():
    code = (
        SETUP
        + """
net(x[0])
assert nncore.info()["parallel_min"] == 1e9
os.environ["NNCORE_PARALLEL_MIN"] = "0"
net(x)
print(nncore.info()["parallel_min"], pool_threads())
"""
    )
    assert run_python(code, NNCORE_PARALLEL_MIN="1e9").stdout.split() == ["1000000000.0", "0"]
    code = code.replace("net(x[0])\n", "nncore.info()\n")
    assert run_python(code, NNCORE_PARALLEL_MIN="1e9").stdout.split() == ["1000000000.0", "0"]


def test_an_unusable_threshold_may_be_corrected():
    code = """
import os, nncore
net = nncore.Network([nncore.Dense(1, 1)], seed=0)
try:
    net([1.0])
except ValueError as error:
    print(error)
os.environ["NNCORE_PARALLEL_MIN"] = "7"
net([1.0])
print(nncore.info()["parallel_min"])
"""
    refused, value = run_python(code, NNCORE_PARALLEL_MIN="x").stdout.splitlines()
    assert refused == "NNCORE_PARALLEL_MIN is 'x', expected a number of at least 0"
    assert value == "7.0"


@HAS_AFFINITY
def test_counts_from_the_affinity():
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);" + COUNT
    assert int(run_python(code).stdout) == 1
    assert int(run_python(code, NNCORE_NUM_THREADS="2").stdout) == 2
    assert 1 <= int(run_python(COUNT).stdout) <= len(os.sched_getaffinity(0))


def test_counts_from_a_control_group(monkeypatch):
    monkeypatch.setattr(_cpus, "_cgroup_limit", lambda: 1)
    assert _cpus.usable_cpus() == 1
    monkeypatch.setattr(_cpus, "_cgroup_limit", lambda: 10_000)
    assert 1 <= _cpus.usable_cpus() < 10_000


def test_set_num_threads(threads):
    threads(7)
    assert nncore.get_num_threads() == 7
    assert nncore.info()["num_threads"] == 7
    threads(np.int64(2))
    for value, error, text in [
        (0, ValueError, "count is 0, expected at least 1"),
        (-2, ValueError, "count is -2, expected at least 1"),
        (1025, ValueError, "count is 1025, expected at most 1024"),
        (2**63, ValueError, "count is 9223372036854775808, expected at most 1024"),
        (1.0, TypeError, "count is of type float, expected a whole number from 1 to 1024"),
        ("2", TypeError, "count is of type str"),
        (None, TypeError, "count is of type NoneType"),
        (True, TypeError, "count is a bool"),
    ]:
        with pytest.raises(error, match=text):
            nncore.set_num_threads(value)
    assert nncore.get_num_threads() == 2


def test_no_thread_before_there_is_work():
    code = SETUP + "net(x); net(x[0]); nncore.softmax(x); net(x[:100]); print(pool_threads())"
    assert int(run_python(code, NNCORE_PARALLEL_MIN="1e9").stdout) == 0
    code = SETUP + "net(x[0]); net(x[:10]); nncore.softmax(x); print(pool_threads())"
    assert int(run_python(code).stdout) == 0
    code = SETUP + "net(x); print(pool_threads())"
    assert int(run_python(code, NNCORE_PARALLEL_MIN="0").stdout) == 3


def test_idle_threads_use_no_cpu():
    code = (
        SETUP
        + """
for _ in range(20):
    net(x)
assert pool_threads() == 3
time.sleep(0.1)
start = time.process_time()
time.sleep(1)
print(time.process_time() - start)
"""
    )
    # A spinning thread would use the whole second.
    assert float(run_python(code, NNCORE_PARALLEL_MIN="0").stdout) < 0.25


def test_calls_that_are_tried_on_one_thread_and_on_several():
    """Enough calls of some microseconds for two decisions (ext/choice.h), in turn of two sizes."""
    code = (
        SETUP
        + """
quantized = nncore.quantize(net, x[:200])
nncore.set_num_threads(1)
wanted = {each: each(x) for each in (net, quantized)}
nncore.set_num_threads(2)
for each in (net, quantized):
    for i in range(5000):
        n = 9 if i % 60 == 0 else 8
        assert_same_bits(each(x[:n]), wanted[each][:n])
print(pool_threads())
"""
    )
    assert int(run_python(code, NNCORE_PARALLEL_MIN="5000").stdout) >= 1


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


def test_a_burst_of_threads_leaves_no_memory_behind():
    """Each call that is under way has scratch memory of its own; few of them are kept."""
    code = (
        SETUP
        + """
net = nncore.Network([nncore.Dense(2000, 200), nncore.Dense(200, 200)], seed=0)
x = np.ones((16, 2000), np.float32)
nncore.set_num_threads(1)
kept = 0
for _ in range(10):
    gate = threading.Barrier(40)
    def call():
        gate.wait()
        for _ in range(4):
            net(x)
    threads = [threading.Thread(target=call) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = max(kept, net._plan.spare_count)
print(kept)
"""
    )
    assert 1 <= int(run_python(code).stdout) <= 4


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
    code = SETUP + f"net(x)\nassert pool_threads() == 3\n{how}"
    process = run_python(code, NNCORE_PARALLEL_MIN="0")
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


@pytest.mark.skipif(_cpus.usable_cpus() < 2, reason="this machine has one CPU")
def test_threads_that_help_really_help():
    """Their CPU time shows it: they do about half of a long call."""
    code = (
        SETUP
        + """
nncore.set_num_threads(2)
wide = nncore.Network([nncore.Dense(30, 700), nncore.Dense(700, 700)], seed=0)
for _ in range(20):
    start = time.process_time(), time.thread_time()
    for _ in range(10):
        wide(x)
    whole, mine = time.process_time() - start[0], time.thread_time() - start[1]
    if mine < 0.9 * whole:
        break
print(pool_threads(), mine < 0.9 * whole)
"""
    )
    assert run_python(code, NNCORE_PARALLEL_MIN="0").stdout.split() == ["1", "True"]


def test_small_calls_wake_nobody_unless_they_follow_closely():
    code = (
        SETUP
        + """
nncore.set_num_threads(2)
least = nncore.info()["parallel_min"]
some = x[: int(2 * least / 1560)]
for _ in range(10):
    net(some)
    time.sleep(0.002)
alone = pool_threads()
for _ in range(1000):
    net(some)
print(alone, pool_threads())
"""
    )
    assert run_python(code).stdout.split() == ["0", "1"]


@HAS_AFFINITY
def test_threads_keep_to_the_processors_of_the_process():
    code = (
        SETUP
        + """
one = min(os.sched_getaffinity(0))
net(x)
os.sched_setaffinity(0, [one])  # of this thread: those that help follow
for _ in range(3):
    time.sleep(0.01)
    assert_same_bits(net(x), wanted)
end, helpers = time.monotonic() + 20, []
while len(helpers) < 3 and time.monotonic() < end:  # each takes its name when it starts
    tasks = [int(t) for t in os.listdir("/proc/self/task")]
    helpers = [t for t in tasks if open(f"/proc/self/task/{t}/comm").read() == "nncore\\n"]
print(len(helpers), [os.sched_getaffinity(t) == {one} for t in helpers])
"""
    )
    process = run_python(code, NNCORE_PARALLEL_MIN="0")
    assert process.stdout.strip() == "3 [True, True, True]"


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="this system has no /proc")
def test_signals_are_for_the_threads_of_the_program():
    """Helpers block all signals, except those that report a fault in a helper."""
    code = (
        SETUP
        + """
import signal
net(x)
wanted = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
faults = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
end, helpers = time.monotonic() + 20, []
while len(helpers) < 3 and time.monotonic() < end:  # each takes its name when it starts
    tasks = [open(f"/proc/self/task/{t}/status").read() for t in os.listdir("/proc/self/task")]
    fields = [dict(line.split(":", 1) for line in task.splitlines()) for task in tasks]
    helpers = [each for each in fields if each["Name"].strip() == "nncore"]
for each in helpers:
    blocked = int(each["SigBlk"], 16)
    print({s for s in wanted if blocked >> s - 1 & 1} == wanted - faults)
"""
    )
    assert run_python(code, NNCORE_PARALLEL_MIN="0").stdout.split() == ["True"] * 3


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="this system has no limit on threads")
def test_calls_do_without_threads_that_cannot_be_started():
    code = (
        SETUP
        + """
import resource
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 20), resource.RLIM_INFINITY))
for _ in range(3):
    assert_same_bits(net(x[:100]), wanted[:100])
print(pool_threads() < 3)
"""
    )
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("this system has no /proc")
    assert run_python(code, NNCORE_PARALLEL_MIN="0").stdout.split() == ["True"]


def test_large_calls_use_threads_by_themselves():
    """They do so from the measured number of multiply-adds on, and the bits stay the same."""
    code = (
        SETUP
        + """
large = nncore.Network([nncore.Dense(30, 700, "relu"), nncore.Dense(700, 10)], seed=0)
least = nncore.info()["parallel_min"]
some = np.concatenate([x] * 3)[: int(16 * least / 28000)]
nncore.set_num_threads(1)
wanted = large(some)
nncore.set_num_threads(4)
print(pool_threads())
assert_same_bits(large(some), wanted)
print(pool_threads())
"""
    )
    assert run_python(code).stdout.split() == ["0", "3"]


@pytest.mark.parametrize(
    ("hidden", "batch_size", "work", "shared"),
    [
        # 39,700 weights: all forward, 500 back, all again for their gradients, 16 times each step
        (50, 32, "fit", True),
        (50, 24, "fit", True),
        (50, 16, "fit", False),
        (200, 16, "fit", True),
        (200, 8, "fit", True),  # one part of samples: the threads share its outputs
        (80, 8, "fit", False),
        (200, 1, "fit", True),
        (20, 128, "fit", True),
        (20, 129, "fit", False),  # two chunks, of 128 samples and of one
        (50, 128, "evaluate", True),
        (50, 32, "evaluate", False),
        (2000, 16, "evaluate", True),
        (2000, 1, "evaluate", False),
    ],
)
def test_learning_is_shared_where_there_is_enough_work(hidden, batch_size, work, shared):
    code = f"""
import numpy as np, nncore
from nncore._table import pool_threads
net = nncore.Network([nncore.Dense(784, {hidden}, "relu"), nncore.Dense({hidden}, 10, "softmax")])
x, labels = np.ones((300, 784), np.float32), np.zeros(300, int)
nncore.set_num_threads(2)
if "{work}" == "fit":
    net.fit(x, labels, epochs=1, batch_size={batch_size})
else:
    net.evaluate(x[:{batch_size}], labels[:{batch_size}])
print(pool_threads())
"""
    assert int(run_python(code).stdout) == shared
