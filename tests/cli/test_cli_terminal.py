"""Tables, text and progress on terminals of several widths, and where there is no terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

import nncore
import nncore.cli
from nncore.cli._terminal import Column, table

pty = pytest.importorskip("pty", reason="this system has no pseudo terminals")

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")},
    "PYTHONPATH": os.path.dirname(os.path.dirname(nncore.__file__)),
    "TERM": "xterm",
}
# Progress at once and all the time, or a fast machine would show none.
EAGER = (
    "import sys, nncore.cli._terminal as t, nncore.cli;"
    "t.ProgressLine.DELAY, t.ProgressLine.INTERVAL = -1.0, 0.0;"
    "sys.exit(nncore.cli.main(sys.argv[1:]))"
)


def resize(descriptor, columns):
    import fcntl
    import struct
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def read_all(descriptor):
    parts = []
    try:
        while part := os.read(descriptor, 65536):
            parts.append(part)
    except OSError:  # Linux: the other side is closed
        pass
    return b"".join(parts).decode()


def on_terminal(columns, folder, *arguments, **variables):
    """Return what a run of the command line writes to a terminal so wide.

    variables: of the environment, besides those that every run has.
    """
    ours, theirs = pty.openpty()
    resize(theirs, columns)
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", EAGER, *map(str, arguments)],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env={**ENVIRONMENT, **variables},
    )  # fmt: skip
    os.close(theirs)
    try:
        text = read_all(ours)
    finally:
        os.close(ours)
    assert process.wait(60) == 0, text
    return text.replace("\r\n", "\n")


COMMANDS = [
    ("mnist", "--data", "data", "--limit", "12"),
    ("train", "--data", "iris.csv", "--epochs", "40"),
    ("inspect", "named.npz"),
    ("info",),
    ("quantize", "named.npz", "eight.npz", "--data", "flat.npy", "--overwrite"),
    ("mnist", "--data", "data", "--limit", "12", "--int8"),
]


@pytest.fixture(scope="module")
def folder(files):
    rows = [f"{i % 7},{i * 5 % 11},{'ab'[i % 7 > 3]}" for i in range(60)]
    (files / "iris.csv").write_text("\n".join(rows))
    return files


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_nothing_is_wider_than_the_terminal(folder, tmp_path, command, columns):
    out = ("--out", tmp_path / "net.npz") if command[0] == "train" else ()
    text = on_terminal(columns, folder, *command, *out)
    progress = [part for part in re.split(r"[\n\r]", text) if part.startswith("\x1b[J")]
    if command[0] in ("mnist", "train"):
        assert any(re.search(r"\d+% .* of .* left", part) for part in progress)
    for part in progress:
        # One column less than there is: some terminals go to the next line after the last one.
        assert len(part.replace("\x1b[J", "")) < columns
    lines = [line.rpartition("\r")[2].replace("\x1b[J", "") for line in text.split("\n")]
    long = [line for line in lines if len(line) > min(columns, 80)]
    # What people copy stays whole: digests and paths.
    assert [line for line in long if not re.search(r"[0-9a-f]{64}|/", line)] == []
    # Every line of progress is erased before something else is written.
    assert re.search(r"left[^\r]*\r[^\x1b]", text) is None


def test_a_terminal_that_is_resized(tmp_path):
    program = (
        "import sys, nncore.cli._terminal as t\n"
        "t.ProgressLine.DELAY, t.ProgressLine.INTERVAL = -1.0, 0.0\n"
        "with t.ProgressLine(4, ' samples') as line:\n"
        "    for _ in range(4):\n"
        "        sys.stdin.readline()\n"
        "        line.update(1, 'a note of some thirty characters')\n"
    )
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", program], stdin=subprocess.PIPE, stdout=theirs,
        stderr=theirs, env=ENVIRONMENT, text=True,
    )  # fmt: skip
    seen = []
    for columns in (100, 50, 20, 200):
        resize(theirs, columns)
        process.stdin.write("\n")
        process.stdin.flush()
        text = ""
        while "\r" not in text:  # behind the last one the line is erased
            text += os.read(ours, 4096).decode()
        assert "Traceback" not in text
        assert text.startswith("\x1b[J")
        seen.append(text.removeprefix("\x1b[J").partition("\r")[0])
        assert len(seen[-1]) < columns
    process.stdin.close()
    assert process.wait(60) == 0
    os.close(theirs)
    os.close(ours)
    assert len(seen[2]) < len(seen[1]) < len(seen[0])
    assert "a note of" in seen[0]
    assert "a note of" not in seen[1]


@pytest.mark.parametrize("command", COMMANDS[:2], ids=lambda command: command[0])
def test_a_pipe_gets_lines_and_nothing_else(folder, tmp_path, command):
    out = ("--out", tmp_path / "net.npz") if command[0] == "train" else ()
    done = subprocess.run(
        [sys.executable, "-P", "-c", EAGER, *command, *map(str, out)],
        capture_output=True, cwd=folder, env=ENVIRONMENT, check=True,
    )  # fmt: skip
    assert done.stderr == b""
    assert b"\r" not in done.stdout
    assert b"\x1b" not in done.stdout


def test_the_header_comes_before_the_work(files, monkeypatch, capsys):
    """Loading and measuring fail here: what was printed by then is the header."""
    monkeypatch.chdir(files)

    def stop(*_, **__):
        raise RuntimeError("the work begins")

    monkeypatch.setattr("nncore.cli._measure.measure", stop)
    assert nncore.cli.main(["mnist", "--data", "data"]) == 2
    printed = capsys.readouterr()
    assert "the work begins" in printed.err
    assert "784-50-100-10" in printed.out
    assert "found in data" in printed.out
    monkeypatch.setenv("NNCORE_DATA_HOME", str(files / "empty"))
    monkeypatch.setattr("nncore.cli._digits.load_test_set", stop)
    assert nncore.cli.main(["mnist"]) == 2
    assert "784-50-100-10" in capsys.readouterr().out
    monkeypatch.setattr("nncore.cli._bench_network.pixels_of", stop)
    assert nncore.cli.main(["bench"]) == 2
    assert "784-50-100-10" in capsys.readouterr().out


def test_a_table_leaves_out_what_has_no_room():
    columns = [
        Column("", "", ["batches of 10"], left=True),
        Column("time a sample", "time", ["1.00 ms"], 15),
        Column("samples a second", "samples/s", ["1,000"], 17, 2),
        Column("right", "right", ["9"], 5, 1),
    ]
    widths = {width: max(map(len, table(columns, width))) for width in range(20, 90)}
    assert all(found <= width for width, found in widths.items() if width >= 21)
    assert table(columns, 80)[0].split("  ")[-1] == "right"
    assert "samples a second" in table(columns, 57)[0]
    assert "samples/s" in table(columns, 45)[0]
    assert table(columns, 30) == ["                  time  right", "batches of 10  1.00 ms      9"]
    assert table(columns, 22) == ["                  time", "batches of 10  1.00 ms"]
