"""`nncore inspect` on terminals: widths, colours, encodings, and names that are hostile to them."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest

import nncore
import nncore.cli
from nncore.cli._terminal import cut, pad, plain, width_of, wrap

from .inspected import INPUTS, NETWORKS, blocks, nodes, rows

pty = pytest.importorskip("pty", reason="this system has no pseudo terminals")

from .test_cli_terminal import on_terminal  # noqa: E402

ESCAPE = re.compile(r"\x1b\[[0-9]*m")


@pytest.fixture(scope="module")
def folder(files):
    for name, net in NETWORKS.items():
        net.save(files / f"{name}.npz")
    return files


def digit(columns, folder, *options, **variables):
    """The shipped network and the first test image, on a terminal so wide."""
    home = str(folder / "data")
    return on_terminal(
        columns, folder, "inspect", "--index", "0", *options, NNCORE_DATA_HOME=home, **variables
    )


@pytest.mark.parametrize("columns", [60, 200])
@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_is_wider_than_the_terminal(folder, name, columns):
    text = on_terminal(columns, folder, "inspect", f"{name}.npz", "--input", INPUTS[name])
    text = ESCAPE.sub("", text)
    assert max(map(width_of, text.split("\n"))) <= columns
    found = blocks(text)
    traces = NETWORKS[name].trace([float(part) for part in INPUTS[name].split(",")])
    if name != "korean":  # whose wide characters move the columns to the right of them
        for i, trace in enumerate(traces, start=1):
            assert len(nodes(found[f"layer {i}"])) == min(10, len(trace.activation))


@pytest.mark.parametrize("columns", [30, 41, 60, 79, 80, 110, 150, 200])
def test_the_digit_fits_every_terminal(folder, columns):
    text = ESCAPE.sub("", digit(columns, folder))
    assert max(map(len, text.split("\n"))) <= columns
    assert len([line for line in text.split("\n") if line.startswith("│")]) == 14


def test_the_digit_stands_beside_the_layers_where_there_is_room(folder):
    found = {width: ESCAPE.sub("", digit(width, folder)) for width in (60, 80, 125, 200)}
    titles = {
        width: [re.findall(r"(input|layer \d): ", line) for line in text.split("\n")]
        for width, text in found.items()
    }
    together = {width: [row for row in all_ if row] for width, all_ in titles.items()}
    assert together[60] == [["input"], ["layer 1"], ["layer 2"], ["layer 3"]]
    assert together[80] == [["input", "layer 1"], ["layer 2", "layer 3"]]
    assert together[125] == [["input", "layer 1", "layer 2"], ["layer 3"]]
    assert together[200] == [["input", "layer 1", "layer 2", "layer 3"]]
    assert max(map(len, found[200].split("\n"))) > 150
    for i in (1, 2, 3):  # the same numbers at each width
        several = [nodes(blocks(text)[f"layer {i}"]) for text in found.values()]
        assert several[1:] == several[:-1]
        assert len(several[0]) == 10


def test_the_longest_bar_is_as_long_as_there_is_room(folder):
    for width in (60, 200):
        text = ESCAPE.sub("", digit(width, folder))
        lines = [line for line in blocks(text)["layer 3"] if line.split()[:1] == [">"]]
        share = float(lines[0].split()[3])
        assert share > 0.9
        assert re.search("█{17,}", lines[0])


@pytest.mark.parametrize(("name", "layer"), [("several", 2), ("classic", 1), ("regression", 1)])
def test_bars_are_as_long_as_their_numbers(folder, name, layer):
    out = on_terminal(60, folder, "inspect", f"{name}.npz", "--input", INPUTS[name])
    lines = blocks(ESCAPE.sub("", out))[f"layer {layer}"][3:]
    eighths = [8 * line.count("█") + sum(map(" ▏▎▍▌▋▊▉".find, re.findall("[▏▎▍▌▋▊▉]", line)))
               for line in lines]  # fmt: skip
    values = np.array([numbers[1] for _, _, numbers in rows(lines)])
    assert len(values) == len(lines)
    longest = int(values.argmax())
    expected = np.maximum(values, 0) * eighths[longest] / values[longest]
    np.testing.assert_allclose(eighths, expected, atol=1.0)


COLOURS = [
    ({}, (), True),
    ({"NO_COLOR": "1"}, (), False),
    ({"NO_COLOR": ""}, (), True),  # as no-color.org has it: an empty one does not count
    ({"TERM": "dumb"}, (), False),
    ({}, ("--color", "never"), False),
    ({"NO_COLOR": "1"}, ("--color", "always"), True),
    ({"TERM": "dumb"}, ("--color=auto",), False),
]


@pytest.mark.parametrize(("variables", "options", "expected"), COLOURS)
def test_colours_on_a_terminal(folder, monkeypatch, variables, options, expected):
    monkeypatch.setitem(os.environ, "NO_COLOR", "")
    text = digit(80, folder, *options, **{"NO_COLOR": "", **variables})
    assert ("\x1b[" in text) is expected
    assert text.count("\x1b") == len(ESCAPE.findall(text))  # nothing but colours
    if expected:
        assert ESCAPE.sub("", text) == digit(80, folder, "--color", "never")
        # No line leaves a colour behind, so that `head` and pagers can cut anywhere.
        marked = [found for line in text.split("\n") if (found := ESCAPE.findall(line))]
        assert {found[-1] for found in marked} == {"\x1b[0m"}


def test_colours_in_a_pipe(run, folder):
    piped = run("inspect", "xor.npz", "--input", "1,0")[1]
    assert "\x1b" not in piped
    coloured = run("inspect", "xor.npz", "--input", "1,0", "--color", "always")[1]
    assert coloured != piped
    assert ESCAPE.sub("", coloured) == piped


def test_right_and_wrong_are_said_in_words(run, folder, tmp_path):
    (tmp_path / "rows.csv").write_text("1,2,3,4,setosa\n1,2,3,4,virginica\n1,2,3,4,versicolor\n")
    words = set()
    for index in range(3):
        out = run("inspect", "log.npz", "--input", tmp_path / "rows.csv", "--index", index,
                  "--color", "always")[1]  # fmt: skip
        last = out.splitlines()[-1]
        words.add(ESCAPE.sub("", last).split()[0])
        assert last.startswith("\x1b[31m" if "WRONG" in last else "\x1b[32m")
    assert words == {"right:", "WRONG:"}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "utf-8"])
def test_only_characters_that_the_encoding_has(folder, encoding):
    home = str(folder / "data")
    command = [sys.executable, "-P", "-m", "nncore", "inspect", "--color", "never"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "NNCORE_DATA_HOME": home,
                   "PYTHONPATH": os.path.dirname(os.path.dirname(nncore.__file__))}  # fmt: skip

    def output(*arguments):
        done = subprocess.run([*command, *arguments], capture_output=True, check=True, cwd=folder,
                              env=environment)  # fmt: skip
        assert done.stderr == b""
        return done.stdout.decode(encoding)

    text = output("--index", "0")
    assert "\\u" not in text  # no replacement for one that is missing
    image = blocks(text)["input"][1:]
    blocks_of = {"ascii": "|", "latin-1": "|", "cp437": "│", "utf-8": "│"}[encoding]
    assert all(line.startswith(blocks_of) and line.endswith(blocks_of) for line in image)
    assert {len(line) for line in image} == {30}
    bars = "".join(blocks(text)["layer 3"])
    assert ("█" in bars) is (encoding == "utf-8")
    assert ("###" in bars) is (encoding != "utf-8")
    korean = output("korean.npz", "--input", "1,0.5")
    assert ("고양이" in korean) is (encoding == "utf-8")
    assert (r"\uace0\uc591\uc774" in korean) is (encoding != "utf-8")


def test_wide_characters_line_up(run, folder):
    lines = blocks(run("inspect", "korean.npz", "--input", "1,0.5", "--color", "never")[1])
    table = lines["layer 2"][3:]
    assert len(table) == 3
    points = [width_of(line[: line.index(".")]) for line in table]
    assert len(set(points)) == 1


HOSTILE = [
    "\x1b[2J\x1b]0;title\x07",
    "a\rb\nc\td",
    "\u202egnp.exe",
    "\x9b31m",
    "x" * 5000,
    "\ud800",
]


def test_hostile_names_are_shown_as_text(run, tmp_path, monkeypatch):
    """Names of classes, of files and of columns; also what `predict` says of them."""
    monkeypatch.chdir(tmp_path)
    name = "net\x1b[31m\x07.npz"
    names = HOSTILE[:5]
    nncore.Network([nncore.Dense(2, 5, "softmax")], seed=0, classes=names).save(name)
    table = "t\x1b[31m.csv"
    with open(table, "w", newline="") as file:
        file.write('"one\x1b[5m","two\u202e",kind\n1,2,"\x1b[41mred"\n')
    nodes_shown = run("inspect", name, "--input", table)
    predicted = run("predict", "--weights", name, table)
    for code, out, err in (nodes_shown, run("inspect", name), predicted,
                           run("inspect", name, "--input", "1,2"),
                           run("convert", name, "out\x07.npz", "--check", "0")):  # fmt: skip
        assert code == 0
        for text in (out, err):
            assert all(c.isprintable() or c in "\n\t" for c in text)
            assert "\u202e" not in text
    out = nodes_shown[1]
    assert r"net\x1b[31m\x07.npz" in out
    assert r"one\x1b[5m" in out
    assert r"two\u202e" in out
    assert r"\x1b[2J\x1b]0;title\x07" in out
    assert r"it is \x1b[41mred" in out
    assert max(map(width_of, out.splitlines())) <= 80
    for arguments in (["inspect", "no\x1b[31m"], ["inspect", name, "--input", "no\x1b[31m"],
                      ["predict", "no\x1b[31m"]):  # fmt: skip
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert err == "nncore: error: no\\x1b[31m: No such file or directory\n"


def test_only_the_beginning_of_a_long_name_is_looked_at():
    class Long(str):
        def __iter__(self):
            raise AssertionError("all of it is read")

    assert cut(Long("\x1b" * 10_000_000), 12) == r"\x1b\x1b\..."
    assert cut(Long("말" * 10_000_000), 12) == "말말말말..."
    assert cut(Long("e" + "\u0301" * 10_000_000), 12).endswith("...")


@pytest.mark.parametrize("name", HOSTILE)
def test_plain_text_only_shows_itself(name):
    shown = plain(name)
    assert shown.isprintable()
    assert plain(shown) == shown
    if name.isprintable():
        assert shown == name


def test_widths_of_text():
    assert width_of("cafe\u0301") == 4
    assert width_of("고양이") == 6
    assert [pad("고양이", 8), pad("cat", 8, left=False)] == ["고양이  ", "     cat"]
    assert cut("고양이고양이", 8) == "고양..."
    assert cut("short", 8) == "short"
    assert wrap("고양이 강아지 말", 9) == ["고양이", "  강아지", "  말"]
    assert wrap("", 9) == []
    assert wrap("/a/long/path/that/stays whole", 9, "") == ["/a/long/path/that/stays", "whole"]
