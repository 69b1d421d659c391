"""A forked child can compute, whatever the threads of its parent were doing."""

from __future__ import annotations

import os

import pytest
from helpers import SETUP, run_python

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def test_a_forked_child_computes():
    code = (
        SETUP
        + """
import warnings
warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
assert_same_bits(net(x), wanted)
assert pool_threads() == 3
children = []
for _ in range(5):
    child = os.fork()
    if child == 0:
        try:
            assert pool_threads() == 0
            for _ in range(3):
                assert_same_bits(net(x), wanted)
            assert pool_threads() == 3
            status = 0
        except BaseException:
            import traceback
            traceback.print_exc()
            status = 1
        sys.stderr.flush()
        os._exit(status)
    children.append(child)
for _ in range(10):
    assert_same_bits(net(x), wanted)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""
    )
    assert run_python(code, NNCORE_PARALLEL_MIN="0").stdout.strip() == "[0, 0, 0, 0, 0]"


def test_a_fork_in_the_midst_of_work():
    """Fork while other threads compute, and let the child run its exit handlers.

    The other threads may be starting the pool at that moment, and the child then inherits their
    locks.
    """
    code = (
        SETUP
        + """
import warnings
warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
stop = False
def compute():
    while not stop:
        net(x)
others = [threading.Thread(target=compute) for _ in range(3)]
for other in others:
    other.start()
import signal
statuses = []
for _ in range(8):
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that hangs is ended
        assert_same_bits(net(x), wanted)
        assert_same_bits(net(x), wanted)
        sys.exit(0)
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    if statuses[-1]:
        break
stop = True
for other in others:
    other.join()
print(statuses)
"""
    )
    assert run_python(code, NNCORE_PARALLEL_MIN="0").stdout.strip() == str([0] * 8)


def test_a_child_forked_during_calls_that_wake_nobody_gets_help():
    """The calls of its parent do not count as its own, even if the parent never had a pool."""
    code = (
        SETUP
        + """
import warnings
warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
wide = nncore.Network([nncore.Dense(30, 700), nncore.Dense(700, 10)], seed=0)
stop = False
def compute():
    while not stop:
        wide(x[:700])  # enough to be shared, too little to wake anybody
        time.sleep(0.0002)
other = threading.Thread(target=compute)
other.start()
statuses = []
for _ in range(20):
    child = os.fork()
    if child == 0:
        wide(np.concatenate([x, x]))
        os._exit(0 if pool_threads() == 3 else 1)
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
stop = True
other.join()
print(pool_threads(), set(statuses))
"""
    )
    assert run_python(code, NNCORE_PARALLEL_MIN="1e7").stdout.strip() == "0 {0}"
