"""Whatever is wrong, the command line says so in one line and exits with 2, without traceback."""

from __future__ import annotations

import json
import os
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nncore.cli import COMMANDS
from nncore.cli._tables import DAMAGED

SAMPLES = 40
NAMES = [command.__name__.rpartition(".")[2] for command in COMMANDS]
SLOW = {"train", "bench"}

ERRORS = [
    (
        [],
        f"no command given, expected one of {', '.join(NAMES)} (see .*",
    ),
    (["mnits"], "argument COMMAND: invalid choice: 'mnits' .*"),
    (["mnist", "extra"], "unrecognized arguments: extra (see nncore mnist --help)"),
    (
        ["mnist", "data"],
        "unrecognized arguments: data (did you mean --data data?) (see nncore mnist --help)",
    ),
    (
        ["train", "text.csv"],
        "unrecognized arguments: text.csv (did you mean --data text.csv?) (see nncore train --he.*",
    ),
    (["mnist", "--lim", "3"], "unrecognized arguments: --lim (see nncore mnist --help)"),
    (["mnist", "--limit"], "argument --limit: expected one argument (see nncore mnist --help)"),
    *(
        (
            ["mnist", option, value],
            (
                f"argument {option}: is '{value}', expected a whole number of at least 1 "
                "(see nncore mnist --help)"
            ),
        )
        for option in ("--limit", "--batch-size", "--threads")
        for value in ("0", "-3", "2.5", "many", "")
    ),
    (
        ["mnist", "--data", "nowhere"],
        "--data nowhere: is no folder, expected a folder with MNIST.*",
    ),
    (
        ["mnist", "--data", "one.npy"],
        "--data one.npy: is a file, expected a folder with MNIST's .*",
    ),
    (
        ["mnist", "--data", "empty"],
        "--data empty: lacks some of its files, expected t10k-images-idx3-ubyte and .*",
    ),
    (["mnist", "--activations", "relu"], "--activations needs a file of weights: .*"),
    (["mnist", "--weights", "nowhere.npz"], "nowhere.npz: No such file or directory"),
    (["mnist", "--weights", "empty"], "--weights empty: is a folder, expected a file"),
    (["mnist", "--weights", "broken.npz"], "broken.npz: .*"),
    (["mnist", "--weights", "one.npy"], "one.npy: .*"),
    (["mnist", "--weights", "nothing"], "nothing: .*"),
    (
        ["mnist", "--weights", "small.pkl"],
        ("small.pkl: the network has 4 -> 10 features, expected 784 (28x28 pixels) -> 10"),
    ),
    (
        ["mnist", "--weights", "one-output.pkl"],
        ("one-output.pkl: the network has 784 -> 1 features, expected 784 (28x28 pixels) -> 10"),
    ),
    (
        ["mnist", "--weights", "named.npz", "--activations", "relu", "softmax"],
        "named.npz: names its activations itself, .*",
    ),
    (
        ["mnist", "--weights", "classic.pkl", "--activations", "relu"],
        "classic.pkl: .*activations.*",
    ),
    (["mnist", "--weights", "classic.pkl", "--activations", "relu", "oops"], ".*oops.*"),
    (
        ["mnist", "--weights", "classic.pkl", "--activations", "relu,,"],
        ".* is 'relu,,', expected no empty .*",
    ),
    (["mnist", "--weights", "classic.pkl", "--activations", "softmax,relu"], ".*softmax.*"),
    (["predict"], "no files given, expected pictures, IDX, .npy, .npz or .csv files (see nncore.*"),
    (["predict", "nowhere.npy"], "nowhere.npy: No such file or directory"),
    (["predict", "empty"], "empty: is a folder, expected a file"),
    (["predict", os.devnull], f"{os.devnull}: is a device or a pipe, expected a file"),
    (["predict", "text.csv"], "text.csv: holds other images: shape (1, 3), this network takes .*"),
    (["predict", "text.bin"], "text.bin: unknown format; expected a picture, .*numpy.save.*"),
    (["predict", "nothing"], "nothing: the file is empty; expected a picture, an IDX file .*"),
    (["predict", "named.npz"], "named.npz: has the arrays header, W1, b1, W2, b2, expected x, .*"),
    (["predict", "broken.npz"], "broken.npz: .*"),
    (["predict", "nan.npy"], "nan.npy: sample 2 (counted from 0) has NaN, or numbers too large.*"),
    (
        ["predict", "large.npy"],
        "large.npy: samples 0, 1, 2, 3, 4 and 35 more (counted from 0) have NaN, or numbers too .*",
    ),
    (["predict", "brackets.npy"], f"brackets.npy: {DAMAGED}"),
    (["predict", "object.npy"], f"object.npy: {DAMAGED}"),
    (["predict", "brackets.npz"], f"brackets.npz: the array 'x' {DAMAGED}"),
    (["train", "--data", "brackets.npz"], f"brackets.npz: the array 'x' {DAMAGED}"),
    (["predict", "broken-zip.npz"], "broken-zip.npz: is damaged or of another kind, .*"),
    (["predict", "broken.npy"], f"broken.npy: {DAMAGED}"),
    (["predict", "broken.gz"], "broken.gz: .*"),
    (["predict", "complex.npy"], "complex.npy: holds complex128, expected real numbers"),
    (["predict", "none.npy"], "none.npy: has shape (0, 784), expected at least one image"),
    (
        ["predict", "wide.npy"],
        "wide.npy: holds other images: shape (3, 100), this network takes 784 features a sample",
    ),
    (
        ["predict", "data/t10k-labels-idx1-ubyte"],
        (
            "data/t10k-labels-idx1-ubyte: holds labels, by its shape, not images: "
            f"shape ({SAMPLES},), this network takes 784 features a sample"
        ),
    ),
    (
        ["predict", "one.npy", "--weights", "one-output.pkl"],
        "one-output.pkl: the network has 1 output, expected two or more, one for each class",
    ),
    (
        ["predict", "one.npy", "--scale", "big"],
        "argument --scale: is 'big', expected a finite number (see nncore predict --help)",
    ),
    (
        ["predict", "one.npy", "--scale", "inf"],
        "argument --scale: is 'inf', expected a finite number (see nncore predict --help)",
    ),
    (["inspect", "broken.npz"], "broken.npz: .*"),
    (["inspect", "nowhere"], "nowhere: No such file or directory"),
    (["inspect", "a.npz", "b.npz"], "unrecognized arguments: b.npz (see nncore inspect --help)"),
    (
        ["inspect", "a.pkl", "--activations", "relu", "b.pkl"],
        "FILE is given 2 times, expected once: b.pkl, a.pkl",
    ),
    (["info", "extra"], "unrecognized arguments: extra (see nncore info --help)"),
]


@pytest.mark.parametrize(
    ("arguments", "text"), ERRORS, ids=[" ".join(arguments) or "none" for arguments, _ in ERRORS]
)
def test_errors_are_one_line(run, arguments, text):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    pattern = re.escape("nncore: error: " + text).replace(r"\.\*", ".*") + "\n"
    assert re.fullmatch(pattern, err), err
    assert run(*arguments, "--json")[0] == 2


def test_a_line_break_in_a_name_does_not_break_the_line(run):
    err = run("predict", "no\nsuch\nfile")[2]
    assert err == "nncore: error: no such file: No such file or directory\n"


OPTIONS = {
    "--data": ["data", "empty", "nowhere"],
    "--weights": ["classic.pkl", "named.npz", "small.pkl", "broken.npz", "nowhere"],
    "--activations": ["sigmoid,softmax", "relu identity", "softmax", "oops", ","],
    "--batch-size": ["1", "7", "1000000", "0", "x"],
    "--limit": ["1", "5", "99999999999999999999", "-1"],
    "--threads": ["1", "3", "0", "99999999999999999999"],
    "--scale": ["1", "-1", "0", "1e308", "nan"],
}
VALUES = {name: st.sampled_from(values) for name, values in OPTIONS.items()}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    command=st.sampled_from([name for name in NAMES if name not in SLOW]),
    options=st.fixed_dictionaries({}, optional=VALUES),
    images=st.lists(st.sampled_from(["one.npy", "flat.npy", "text.csv", "nowhere"]), max_size=2),
    as_json=st.booleans(),
)
def test_no_combination_ends_in_a_traceback(run, command, options, images, as_json):
    arguments = [command, *(images if command in ("predict", "inspect", "convert") else [])]
    for name, value in options.items():
        arguments += [name, *value.split(" ")]
    code, out, err = run(*arguments, *(["--json"] if as_json else []))
    assert code in (0, 2)
    if code == 2:
        assert out == ""
        assert err.startswith("nncore: error: ")
        assert err.count("\n") == 1
        assert "a mistake in nncore" not in err
    elif as_json:
        assert isinstance(json.loads(out), dict)
    else:
        assert out
