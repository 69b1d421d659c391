"""The fixtures of all tests."""

from __future__ import annotations

import signal

import pytest

import nncore
from nncore import _table

# Of files of one name, as these are, only one can be looked through for doctests.
collect_ignore = ["conftest.py", "cli/conftest.py", "plot/conftest.py"]

# A shell starts its background jobs with SIGINT ignored, and Python then leaves it so. The tests of
# interrupts need Python's own handler, here and in the processes that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def threads():
    """Sets the number of threads; afterwards it is what it was."""
    before = nncore.get_num_threads()
    yield nncore.set_num_threads
    nncore.set_num_threads(before)


@pytest.fixture(params=_table.known_instruction_sets())
def instruction_set(request):
    """Each instruction set of this build; skipped, visibly, where the CPU lacks it."""
    if request.param not in _table.available_instruction_sets():
        pytest.skip(f"this CPU lacks {request.param}")
    return request.param
