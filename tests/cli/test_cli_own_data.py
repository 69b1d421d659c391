"""`nncore train --data FILE` with data of one's own, and `nncore predict` of such files."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest

import nncore
from nncore.cli import train
from nncore.fit import loop

COLOURS = np.array(["blue", "green", "red"])


def flowers(n=150, seed=0):
    """Three classes of four features on very different scales."""
    random = np.random.default_rng(seed)
    t = np.arange(n) % 3
    x = random.normal(0, 1, (n, 4)) + t[:, None] * [4, 0, -4, 0]
    return x * [1, 1000, 0.001, 5] + [0, 1e6, 0, -3], t


def write_csv(path, x, labels, head="a,b,c,d,colour", mark=","):
    lines = [mark.join([*(repr(float(v)) for v in row), str(t)]) for row, t in zip(x, labels)]  # noqa: B905
    Path(path).write_text("\n".join(([head.replace(",", mark)] if head else []) + lines) + "\n")


@pytest.fixture
def go(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return run


def train_json(go, *arguments):
    code, out, err = go("train", *arguments, "--json", "--overwrite")
    assert (code, err) == (0, "")
    return json.loads(out)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("head", ["a,b,c,d,colour", ""])
def test_a_table_with_names_of_classes(go, mark, head):
    x, t = flowers()
    write_csv("flowers.csv", x, COLOURS[t], head, mark)
    facts = train_json(go, "--data", "flowers.csv")
    assert facts["accuracy"] >= 0.9
    assert (facts["data"]["samples"], facts["data"]["test_samples"]) == (120, 30)
    net = nncore.load("network.npz")
    assert net.classes.tolist() == COLOURS.tolist()
    assert isinstance(net.layers[0], nncore.Normalization)
    code, out, err = go("predict", "flowers.csv", "--weights", "network.npz")
    assert code == 0
    named = [line.split("\t")[2] for line in out.splitlines()]
    assert named == COLOURS[net.predict(x)].tolist()
    right = (np.array(named) == COLOURS[t]).sum()
    assert f"{right} of 150 labels in the file are the same" in err
    assert "classes: blue, green, red" in err
    rows = json.loads(go("predict", "flowers.csv", "--weights", "network.npz", "--json")[1])
    assert rows["predictions"][0]["class"] == named[0]
    assert rows["network"]["classes"] == COLOURS.tolist()


def test_the_features_are_standardised_or_not(go):
    x, t = flowers()
    write_csv("flowers.csv", x, COLOURS[t])
    train_json(go, "--data", "flowers.csv", "--seed", 3)
    first = nncore.load("network.npz").layers[0]
    used = np.array([row for row in x if not any((row == r).all() for r in _aside(x, t, 3))])
    np.testing.assert_allclose(first.mean, used.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(first.std, used.std(axis=0), rtol=1e-9)
    write_csv("flowers.csv", (x - first.mean) / first.std, COLOURS[t])
    facts = train_json(go, "--data", "flowers.csv", "--no-normalize", "--clip-norm", "1")
    assert isinstance(nncore.load("network.npz").layers[0], nncore.Dense)
    assert facts["settings"]["clip_norm"] == 1.0


def _aside(x, t, seed):
    from nncore.cli._own_data import load_own

    return load_own("flowers.csv", None, None, None, seed).x_test


def test_the_column_to_learn_is_named_or_numbered(go):
    x, t = flowers()
    lines = ["kind,a,b,c,d"] + [f"{k},{a},{b},{c},{d}" for k, (a, b, c, d) in zip(t, x)]  # noqa: B905
    Path("kinds.csv").write_text("\n".join(lines))
    accuracies = {
        train_json(go, "--data", "kinds.csv", "--label", label)["accuracy"]
        for label in ("kind", "1", "-5")
    }
    assert len(accuracies) == 1
    assert nncore.load("network.npz").classes.tolist() == [0, 1, 2]
    options = ("--weights", "network.npz", "--label", "kind")
    code, out, _ = go("predict", "kinds.csv", *options)
    assert (code, len(out.splitlines())) == (0, 150)


@pytest.mark.parametrize("rare", [1, 2, 6])
def test_rare_classes_are_learned_whatever_is_put_aside(go, rare):
    from nncore.cli._own_data import load_own

    x, t = flowers(60)
    labels = COLOURS[t]
    labels[:rare] = [f"rare{i // 2}" for i in range(rare)]
    write_csv("rare.csv", x, labels)
    for seed in range(40):
        data = load_own("rare.csv", None, None, None, seed)
        assert data.classes.tolist() == sorted(set(labels.tolist()))
        assert set(data.t.tolist()) == set(range(len(data.classes)))
        assert 12 - (rare + 1) // 2 <= len(data.x_test) <= 12
        assert len(data.x) + len(data.x_test) == 60
        got = np.concatenate([data.classes[data.t], data.classes[data.t_test]])
        assert sorted(got.tolist()) == sorted(labels.tolist())
    assert train_json(go, "--data", "rare.csv", "--epochs", 1)["data"]["task"] == "classes"


def test_where_every_class_has_one_sample_none_is_put_aside(go):
    x, _ = flowers(12)
    write_csv("each.csv", x, [f"kind{i}" for i in range(12)])
    data = train_json(go, "--data", "each.csv", "--epochs", 1)["data"]
    assert (data["samples"], data["test_samples"]) == (12, 12)
    assert "too few to put any aside: the test is on what was learned" in data["notes"]


def test_a_class_that_is_no_number_is_refused(go):
    x, t = flowers(30)
    np.savez("nan.npz", x=x, t=np.where(np.arange(30) == 7, np.nan, t))
    code, out, err = go("train", "--data", "nan.npz", "--loss", "cross_entropy")
    assert (code, out) == (2, "")
    assert "is nan, expected a finite number" in err


@pytest.mark.parametrize("names", [("x", "y"), ("X", "t"), ("x_train", "y_train")])
def test_arrays(go, names):
    x, t = flowers()
    arrays = {names[0]: x, names[1]: COLOURS[t], "names": np.array(["a"])}
    if names[0] == "x_train":
        arrays |= dict(zip(("x_test", "y_test"), flowers(60, 1), strict=True))
        arrays["y_test"] = COLOURS[arrays["y_test"]]
    np.savez("data.npz", **arrays)
    facts = train_json(go, "--data", "data.npz")
    assert facts["accuracy"] >= 0.9
    assert "not used: names" in facts["data"]["notes"]
    assert facts["data"]["test_samples"] == (60 if names[0] == "x_train" else 30)
    code, out, err = go("predict", "data.npz", "--weights", "network.npz")
    assert (code, len(out.splitlines())) == (0, 60 if names[0] == "x_train" else 150)
    assert "labels in the file are the same" in err
    np.save("rows.npy", x)
    assert go("predict", "rows.npy", "--weights", "network.npz")[0] == 0


def test_images_of_bytes(go):
    x, t = nncore.datasets.make_digits(400, seed=1, flatten=False)
    np.savez("images.npz", x=x[:, 0, ::2, ::2], y=t)
    facts = train_json(go, "--data", "images.npz", "--augment", "--epochs", 3)
    assert facts["settings"]["layers"] == "196,64,32,10"
    assert repr(nncore.load("network.npz").layers[0]) == repr(nncore.Rescaling(1 / 255))


@pytest.mark.parametrize("loss", [None, "mse", "mae", "huber"])
def test_values_are_estimated_in_their_own_unit(go, loss):
    x, _ = flowers(300)
    y = 200_000 + 30_000 * x[:, 0] - 10 * (x[:, 1] - 1e6)
    write_csv("prices.csv", x, y, "a,b,c,d,price")
    options = () if loss is None else ("--loss", loss)
    facts = train_json(go, "--data", "prices.csv", *options)
    assert facts["r2"] > 0.95
    assert "accuracy" not in facts
    net = nncore.load("network.npz")
    assert (net.out_features, net.classes) == (1, None)
    out = go("predict", "prices.csv", "--weights", "network.npz")[1]
    values = np.array([float(line.split("\t")[2]) for line in out.splitlines()])
    np.testing.assert_allclose(values, net(x)[:, 0], rtol=1e-6)
    assert np.corrcoef(values, y)[0, 1] > 0.97
    out = go("train", "--data", "prices.csv", "--overwrite")[1]
    assert "of the variance explained" in " ".join(out.split())


class StopAt:
    """In place of the progress line: Ctrl-C after so many batches."""

    def __init__(self, batches):
        self.left = batches

    def __call__(self, total, unit):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def start_at(self, done):
        pass

    def clear(self):
        pass

    def update(self, n, note=""):
        self.left -= n
        if self.left <= 0 < self.left + n:
            signal.raise_signal(signal.SIGINT)


def test_stopping_and_going_on_gives_the_same_bits(go, monkeypatch):
    x, _ = flowers()
    write_csv("flowers.csv", x, x[:, 0])
    options = ("--data", "flowers.csv", "--epochs", 30)
    assert go("train", *options, "--out", "whole.npz")[0] == 0
    monkeypatch.setattr(loop, "_CALL_SECONDS", 0.0)
    monkeypatch.setattr(train, "ProgressLine", StopAt(50))
    code, _, err = go("train", *options, "--out", "net.npz")
    assert code == 130
    assert err.endswith("nncore train --resume net.checkpoint.npz --data flowers.csv\n")
    monkeypatch.setattr(train, "ProgressLine", StopAt(10**9))
    code, _, err = go("train", "--resume", "net.checkpoint.npz")
    assert code == 2
    assert "was made with data of your own: name their file again as --data FILE" in err
    code, _, err = go("train", "--resume", "net.checkpoint.npz", "--data", "flowers.csv")
    assert (code, err) == (0, "")
    assert Path("net.npz").read_bytes() == Path("whole.npz").read_bytes()


TABLES = {
    "text.csv": ("a,b,k\n1,red,x\n2,3,y\n", "text.csv: b, row 1: has the text 'red', expected a"),
    "missing.csv": ("a,b,k\n1,2,x\n2,,y\n", "missing.csv: b, row 2: has no value, expected"),
    "nan.csv": ("a,b,k\n1,2,x\n2,NaN,y\n", "nan.csv: b, row 2: has no value, expected"),
    "inf.csv": ("a,b,k\n1,2,x\n2,inf,y\n", "inf.csv: training sample 2, number 2 is inf, expected"),
    "short.csv": ("a,b,k\n1,2,x\n2,y\n", "short.csv: row 2 has 2 fields, expected 3"),
    "unlabelled.csv": ("a,b,k\n1,2,x\n2,3,\n", "unlabelled.csv: k, row 2: has no label"),
    "one.csv": ("a,b,k\n1,2,x\n2,3,x\n", "one.csv: all labels are x, expected two classes or more"),
    "head.csv": ("a,b,k\n", "head.csv: has headings and no rows"),
    "column.csv": ("k\n1\n2\n", "column.csv: has one column, expected numbers and a label"),
    "empty.csv": ("", "empty.csv: is empty (0 bytes)"),
    "index.csv": (",a,k\n0,1,x\n1,2,y\n", "index.csv: the first column has no name, as that of"),
    "bytes.csv": (b"\xff\xfe\x00", "bytes.csv: holds text that cannot be decoded"),
    "many.csv": (
        "a,k\n" + "\n".join(f"{i},{i}" for i in range(300)),
        "many.csv: the labels are 300 different whole numbers in 300 samples: say --loss mse if",
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_that_are_refused(go, name):
    content, text = TABLES[name]
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    code, out, err = go("train", "--data", name)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"nncore: error: {text}" in err


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"a": np.ones(3)}, "has the arrays a, expected x and t (or y), or x_train, t_train,"),
        ({"x": np.ones((4, 2)), "t": np.ones(3)}, "t is float64 of shape (3,), expected one label"),
        ({"x": np.ones(4), "t": np.ones(4)}, "x is float64 of shape (4,), expected numbers, (n, f"),
        ({"x": np.array([["a"]]), "t": np.ones(1)}, "x is <U1 of shape (1, 1), expected numbers"),
        ({"x": np.array([[{}]]), "t": np.ones(1)}, "the array 'x' is damaged or holds"),
        ({"x": np.ones((2, 2)), "X": np.ones((2, 2))}, "the arrays x and X mean the same"),
        (
            {"x": np.full((20, 2), np.nan), "t": np.arange(20) % 2},
            "training sample 1, number 1 is nan, expected a finite number",
        ),
        (
            {"x_train": np.ones((4, 2)), "t_train": np.arange(4) % 2, "x_test": np.ones((2, 3)),
             "t_test": np.arange(2)}, "samples have shape (2,) for training and (3,) for the test",
        ),
        (
            {"x_train": np.ones((4, 2)), "t_train": np.arange(4) % 2, "x_test": np.ones((2, 2)),
             "t_test": np.array([0, 7])}, "the test data have the label 7, which the training data",
        ),
    ],
)  # fmt: skip
def test_arrays_that_are_refused(go, arrays, text):
    np.savez("data.npz", **arrays)
    code, out, err = go("train", "--data", "data.npz")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("nncore: error: data.npz: ")
    assert text in err


def test_options_that_do_not_fit(go):
    x, t = flowers(30)
    write_csv("flowers.csv", x, COLOURS[t])
    for options, text in (
        (
            ("--data", "flowers.csv", "--layers", "5,3"),
            "expected 4 at the beginning (features)",
        ),
        (
            ("--data", "flowers.csv", "--loss", "mse"),
            "the labels are <U5, expected numbers for --",
        ),
        (("--data", "flowers.csv", "--augment"), "--augment needs images: samples of (h, w)"),
        (("--data", "flowers.csv", "--label", "z"), "has no single column 'z' (--label), expected"),
        (("--data", "no.csv"), "no.csv: No such file or directory"),
        (("--label", "a"), "--label is for data of your own: --data FILE"),
        (("--no-normalize",), "--no-normalize is for data of your own: --data FILE"),
        (("--clip-norm", "0"), "argument --clip-norm: is '0', expected a finite number above 0"),
    ):
        code, out, err = go("train", *options)
        assert (code, err.count("\n")) == (2, 1)
        assert out == "" or "--augment" in options
        assert text in err
