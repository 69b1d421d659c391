"""The thread pool alone, as a C program, on a machine that its stand-ins make believe."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig

import pytest
from helpers import TESTS

POOL = TESTS.parent / "ext" / "pool.c"
COMPILER = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these calls"),
    pytest.mark.skipif(not POOL.exists(), reason="the C sources are not beside these tests"),
    pytest.mark.skipif(not shutil.which(COMPILER[0]), reason="there is no C compiler"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """tests/pool_affinity.c, compiled with the pool."""
    path = tmp_path_factory.mktemp("pool") / "pool_affinity"
    sources = [str(TESTS / "pool_affinity.c"), str(POOL)]
    flags = ["-std=c11", "-O1", "-Wall", "-Wextra", f"-I{POOL.parent}", "-pthread"]
    command = [*COMPILER, *flags, *sources, "-o", str(path)]
    subprocess.run(command, check=True, timeout=120)
    return path


ALL = "CPUs: 64, helpers: 3 of 3"
ONE = "CPUs: 1, helpers: 3 of 3"


@pytest.mark.parametrize(
    ("options", "lines"),
    [([], [ALL, ONE, ALL]), (["pinned-first"], [ONE, ALL])],
    ids=["pinned later", "pinned first"],
)
def test_a_pinned_caller_confines_the_helpers_only_while_it_calls(program, options, lines):
    run = subprocess.run(
        [program, *options], capture_output=True, text=True, timeout=120, check=True
    )
    assert run.stdout.splitlines() == lines
