"""The command line as a process: help, pipes, full disks, terminals, Ctrl-C."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

import nncore
from nncore.cli import COMMANDS, _terminal
from nncore.datasets.idx import write_idx

# The very nncore that is under test, whatever the working folder holds (hence -P).
PYTHON = (sys.executable, "-P")
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(nncore.__file__))}


def start(*arguments, **options):
    """Start `python -m nncore` as a process of its own."""
    return start_python("-m", "nncore", *arguments, **options)


def start_python(*arguments, **options):
    """Start Python as a process of its own, its output kept."""
    kept = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ENVIRONMENT}
    command = [*PYTHON, *map(str, arguments)]
    return subprocess.Popen(command, text=True, **{**kept, **options})


def test_errors_of_a_process(files):
    process = start("mnist", "--weights", files / "nowhere.npz")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err == f"nncore: error: {files / 'nowhere.npz'}: No such file or directory\n"


def test_help_and_version(run):
    code, out, _ = run("--help")
    assert code == 0
    for command in (each.__name__.rpartition(".")[2] for each in COMMANDS):
        assert f"    {command} " in out
        code, text, err = run(command, "--help")
        assert (code, err) == (0, "")
        assert text.startswith(f"usage: nncore {command}")
        if command != "plot":  # its results are pictures
            assert "--json" in text
    assert run("--version")[:2] == (0, f"nncore {nncore.__version__}\n")


def test_a_closed_pipe_is_silent(files):
    reader, writer = os.pipe()
    os.close(reader)
    process = start("predict", files / "flat.npy", "--weights", files / "named.npz", stdout=writer)
    os.close(writer)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 141
    assert [line for line in err.splitlines() if not line.startswith("# ")] == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_an_error():
    with open("/dev/full", "w") as full:
        process = start("info", stdout=full)
        err = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert err == "nncore: error: [Errno 28] No space left on device\n"


def test_a_terminal_without_the_micro_sign(files):
    process = start(
        "mnist",
        *("--data", files / "data", "--limit", "2"),
        env={**ENVIRONMENT, "PYTHONIOENCODING": "ascii"},
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert re.search(r"one by one +[\d,.]+ us", out)


def test_progress_only_for_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def show(stream, delay):
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(_terminal.ProgressLine, "DELAY", delay)
        with _terminal.ProgressLine(total=10, unit=" samples") as line:
            line.update(4)
            line.update(6)
        return stream.getvalue()

    assert "10 of 10 samples" in show(Terminal(), -1.0) or "4 of 10" in show(Terminal(), -1.0)
    assert show(Terminal(), 1.0) == ""  # it shows itself after a second only
    assert show(io.StringIO(), -1.0) == ""
    monkeypatch.setenv("TERM", "dumb")
    assert show(Terminal(), -1.0) == ""


def test_interrupt_in_this_process(run, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("nncore.cli._digits.load_test_set", interrupted)
    assert run("mnist") == (130, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_interrupt_of_a_process(files, tmp_path):
    # A network large enough to still be at work when the signal comes.
    net = nncore.Network([nncore.Dense(784, 3000), nncore.Dense(3000, 10)], seed=0)
    net.save(tmp_path / "large.npz")
    folder = tmp_path / "many"
    folder.mkdir()
    write_idx(folder / "t10k-images-idx3-ubyte", np.ones((20000, 28, 28), np.uint8))
    write_idx(folder / "t10k-labels-idx1-ubyte", np.zeros(20000, np.uint8))
    program = (
        "import sys, nncore.cli._measure as m; import nncore.cli\n"
        "first = m._first_pass\n"
        "def announce(*a): print('working', flush=True); return first(*a)\n"
        "m._first_pass = announce\n"
        "sys.exit(nncore.cli.main(sys.argv[1:]))"
    )
    arguments = ["mnist", "--data", folder, "--weights", tmp_path / "large.npz"]
    process = start_python("-c", program, *arguments)
    lines = iter(process.stdout.readline, "")
    assert "working\n" in lines
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=60)[1]
    assert (process.returncode, err) == (130, "")


def test_the_package_does_not_import_the_command_line():
    program = "import sys, nncore; print([n for n in sys.modules if n.startswith('nncore.cli')])"
    assert start_python("-c", program).communicate(timeout=60) == ("[]\n", "")
