"""`nncore plot`: what each kind draws, and what is refused in one line."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="nncore plot draws with matplotlib")

import nncore
from nncore import plot
from nncore.cli import build_parser, main
from nncore.cli.plot import KINDS, drawing
from nncore.datasets.idx import write_idx

N = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Digits, networks, a table, and what train, a stopped train and a benchmark wrote."""
    folder = tmp_path_factory.mktemp("plot")
    images, labels = nncore.datasets.make_digits(N, seed=3)
    (folder / "data").mkdir()
    write_idx(folder / "data/t10k-images-idx3-ubyte", np.asarray(images).reshape(N, 28, 28))
    write_idx(folder / "data/t10k-labels-idx1-ubyte", labels)
    layers = [nncore.Dense(784, 12, "relu"), nncore.Dense(12, 10, "softmax")]
    nncore.Network(layers, seed=1).save(folder / "floats.npz")
    layers = [nncore.Dense(3, 4, "tanh"), nncore.Dense(4, 3, "softmax")]
    names = ["cherry", "apple", "banana"]  # not in the order that nncore train gives them
    nncore.Network(layers, seed=2, classes=names).save(folder / "fruit.npz")
    nncore.Network([nncore.Dense(3, 1)], seed=2).save(folder / "value.npz")
    rows = np.random.default_rng(0).normal(size=(40, 3)).round(3)
    lines = [f"{a},{b},{c},{names[i % 2]}" for i, (a, b, c) in enumerate(rows)]
    (folder / "fruit.csv").write_text("a,b,c,kind\n" + "\n".join(lines) + "\n")
    (folder / "other.csv").write_text("\n".join(lines).replace("apple", "plum") + "\n")
    lists = {"loss": [2.0, 1.0, 1.5], "accuracy": [0.1, 0.5, 0.4], "time": [1, 1, 1]}
    record = {"command": "train", "history": lists, "saved_epoch": 2}
    (folder / "train.json").write_text(json.dumps(record))
    run = {
        "command": "mnist", "network": {"sizes": [784, 5, 10]}, "threads": 2,
        "timings": [
            {"batch_size": None, "seconds_per_sample": 4e-6},
            {"batch_size": 10, "seconds_per_sample": 2e-6},
        ],
    }  # fmt: skip
    (folder / "mnist.json").write_text(json.dumps(run))
    (folder / "list.json").write_text("[1, 2]")
    (folder / "text.json").write_text("oh no")
    return folder


@pytest.fixture
def run(folder, monkeypatch, capsys):
    """Run `nncore plot` in the folder; return exit code, output and error."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NNCORE_DATA_HOME", str(folder / "data"))

    def run_main(*arguments):
        code = main(["plot", *map(str, arguments)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run_main


@pytest.fixture
def drawn(folder, monkeypatch, figure):
    """The axes of what a command line draws, without a file."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NNCORE_DATA_HOME", str(folder / "data"))

    def axes_of(*arguments):
        options = build_parser().parse_args(["plot", *map(str, arguments)])
        ax = drawing(options)(figure)
        assert ax is figure.axes[0]
        return ax

    return axes_of


ARGUMENTS = {
    "activation-functions": (["relu", "elu:alpha=0.5"], "elu, alpha=0.5"),
    "batch-sizes": (["--weights", "fruit.npz"], "3 to 3, one by one"),
    "confusion-matrix": ([], " of 30 right "),
    "digits": (["--count", "12"], "12 of 12 right"),
    "history": (["train.json"], "best epoch"),
    "latency": (["--run", "mnist.json"], "784-5-10, 2 threads"),
    "layer-activations": (["--limit", "9"], "1: relu"),
    "layer-gradients": (["--limit", "9"], "3: softmax"),
    "line-and-curve": (["--activation", "relu"], "relu between them: a curve"),
    "loss-surface": ([], "25 steps at rate 0.3"),
    "softmax": ([], "inf / inf = NaN"),
    "step-and-sigmoid": ([], "sigmoid"),
    "weights": (["--weights", "floats.npz"], "12 nodes of the first layer, row by row"),
    "xor-regions": ([], "1 of 4 wrong"),
}


def test_every_function_has_its_kind():
    assert {name.replace("-", "_") for name in KINDS} == set(plot.__all__)
    assert set(ARGUMENTS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_writes_its_picture_and_the_same_again(kind, run, tmp_path):
    arguments, text = ARGUMENTS[kind]
    pictures = [tmp_path / "1.svg", tmp_path / "2.svg"]
    for path in pictures:
        assert run(kind, *arguments, "-o", path) == (0, f"saved in {path}\n", "")
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", pictures[0].read_text())
    assert any(text in found for found in texts), texts
    if kind != "batch-sizes":  # whose times are those of the moment
        assert pictures[0].read_bytes() == pictures[1].read_bytes()


def test_png_and_the_name_by_default(run, folder):
    assert run("softmax", "--out", "softmax.png")[0] == 0
    assert (folder / "softmax.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert run("softmax")[:2] == (0, "saved in softmax.svg\n")
    again = (folder / "softmax.svg").read_bytes()
    code, _, err = run("softmax")
    assert code == 2
    assert err == (
        "nncore: error: softmax.svg exists, and would be replaced: say --overwrite to replace it\n"
    )
    assert run("softmax", "--overwrite")[0] == 0
    assert (folder / "softmax.svg").read_bytes() == again


def test_digits_are_those_of_the_data_with_what_the_network_reads(drawn, folder):
    ax = drawn("digits", "--weights", "floats.npz", "--count", 20)
    images, labels = nncore.datasets.make_digits(N, seed=3)
    read = nncore.load(folder / "floats.npz").predict(np.asarray(images[:20], np.float32) / 255)
    captions = [
        str(t) if t == r else f"✗ {r}, is {t}" for t, r in zip(labels[:20], read, strict=True)
    ]
    assert [text.get_text() for text in ax.texts] == captions
    assert len(ax.patches) == (labels[:20] != read).sum() > 0


def test_mistakes_come_first(drawn, folder):
    ax = drawn("digits", "--weights", "floats.npz", "--mistakes", "--count", 28)
    images, labels = nncore.datasets.make_digits(N, seed=3)
    read = nncore.load(folder / "floats.npz").predict(np.asarray(images, np.float32) / 255)
    wrong = int((labels != read).sum())
    assert 0 < wrong < N
    assert ax.get_title() == f"{wrong} of 30 wrong: mistakes first"
    marks = ["✗" in text.get_text() for text in ax.texts]
    assert marks == sorted(marks, reverse=True)
    assert sum(marks) == min(wrong, 28)


def test_confusion_of_data_of_ones_own_by_the_names_of_the_network(drawn, folder):
    from nncore.cli._own_data import load_own

    ax = drawn("confusion-matrix", "--data", "fruit.csv", "--weights", "fruit.npz")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["cherry", "apple", "banana"]
    own = load_own(str(folder / "fruit.csv"), None, "cross_entropy", None, 0)
    net = nncore.load(folder / "fruit.npz")
    counts = {}
    for sample, t in zip(own.x_test, own.t_test, strict=True):
        row = net.classes.tolist().index(own.classes[t])
        cell = (int(net.predict(sample)), row)
        counts[cell] = counts.get(cell, 0) + 1
    assert {text.get_position(): text.get_text() for text in ax.texts} == {
        cell: str(count) for cell, count in counts.items()
    }


@pytest.mark.parametrize(("kind", "size"), [("weights", "3x1"), ("digits", "1x3")])
def test_images_that_are_not_square(drawn, kind, size):
    table = ["--data", "fruit.csv"] if kind == "digits" else []
    ax = drawn(kind, "--weights", "fruit.npz", *table, "--count", 2, "--image", size)
    rows, columns = ax.images[0].get_array().shape[:2]  # two images side by side, with gaps
    assert rows < columns / 2 if size == "1x3" else rows > columns / 2


def test_gradients_of_a_new_network(drawn):
    ax = drawn("layer-gradients", "--layers", "784,6,5,10", "--activation", "tanh", "--limit", 10)
    assert [text.get_text().split("\n")[0] for text in ax.get_xticklabels()] == [
        "1: tanh", "2: tanh", "3: softmax",
    ]  # fmt: skip


def test_gradients_of_a_new_network_for_data_of_ones_own(drawn):
    ax = drawn("layer-gradients", "--layers", "3,4,2", "--data", "fruit.csv", "--label", "kind")
    assert len(ax.get_xticks()) == 2


def test_history_of_a_record(drawn):
    panels = drawn("history", "train.json").child_axes
    assert list(panels[0].get_lines()[0].get_ydata()) == [2.0, 1.0, 1.5]
    assert list(panels[1].get_lines()[0].get_ydata()) == [0.1, 0.5, 0.4]
    assert set(panels[0].get_lines()[1].get_xdata()) == {2}


def test_history_of_what_nncore_train_really_writes(drawn, folder, monkeypatch, capsys):
    from nncore.cli import train

    monkeypatch.chdir(folder)
    command = ["train", "--json", "--data", "fruit.csv", "--epochs", "4", "--out"]
    assert main([*command, "whole.npz"]) == 0
    (folder / "whole.json").write_text(capsys.readouterr().out)
    whole = json.loads((folder / "whole.json").read_text())
    drawn_loss = drawn("history", "whole.json").child_axes[0].get_lines()[0].get_ydata()
    assert list(drawn_loss) == whole["history"]["loss"]

    # The same, stopped after two epochs.
    import signal

    class Bar(train.ProgressLine):
        def update(self, *given):
            super().update(*given)
            Bar.calls += 1
            if Bar.calls == 2 * batches:
                signal.raise_signal(signal.SIGINT)

    batches = -(-32 // whole["settings"]["batch_size"])
    Bar.calls = 0
    monkeypatch.setattr(train, "ProgressLine", Bar)
    assert main([*command, "part.npz"]) == 130
    capsys.readouterr()
    from nncore.cli._plot_data import history_in

    history = history_in("part.checkpoint.npz")
    assert history.loss == whole["history"]["loss"][: len(history.loss)]
    assert 1 <= history.epochs < 4


def test_drawn_digits_where_there_is_no_mnist(run, monkeypatch, tmp_path):
    monkeypatch.setenv("NNCORE_DATA_HOME", str(tmp_path))
    code, _, err = run("digits", "--count", 3, "--limit", 5, "-o", tmp_path / "digits.svg")
    assert code == 0
    assert err.startswith("nncore: not MNIST but digits drawn by nncore: not found in ")
    assert "3 of 3 right" in (tmp_path / "digits.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: KIND (see nncore plot --help)"),
        (["cubes"], "argument KIND: invalid choice: 'cubes' (choose from "),
        (["softmax", "-o", "x.jpg"], "--out: the file is 'x.jpg', expected a name that ends in "),
        (["softmax", "-o", "no folder/x.svg"], "no folder/x.svg: the folder "),
        (["softmax", "--data", "data"], "unrecognized arguments: --data data"),
        (["activation-functions", "elu:alpha=x"], "NAME is 'elu:alpha=x', expected one like elu:"),
        (["activation-functions", "rely"], "activation is 'rely', expected one of identity"),
        (["activation-functions", "softmax"], "activation is 'softmax', expected an elementwise "),
        (["line-and-curve", "--activation", "x"], "activation is 'x', expected one of identity"),
        (["digits", "--data", "nowhere"], "--data nowhere: is no folder, expected a folder with"),
        (["digits", "--label", "kind"], "--label needs --data FILE: digits have their labels "),
        (["digits", "--count", "0"], "argument --count: is '0', expected a whole number of at "),
        (["digits", "--weights", "fruit.npz"], "x has 784 features, this network takes 3"),
        (["digits", "--activations", "relu"], "--activations needs a file of weights: the shipped"),
        (["weights", "--weights", "fruit.npz"], "the weights have 3 pixels, expected a square num"),
        (
            ["confusion-matrix", "--data", "other.csv", "--weights", "fruit.npz"],
            "the data have the class plum, expected cherry, apple, banana",
        ),
        (
            ["confusion-matrix", "--data", "fruit.csv", "--weights", "value.npz"],
            "the network has one output without sigmoid, expected one for each class",
        ),
        (["weights", "--weights", "fruit.npz", "--image", "2x2"], "the weights have 3 pixels, ex"),
        (["weights", "--image", "28"], "argument --image: is '28', expected HEIGHTxWIDTH such "),
        (["layer-gradients", "--activation", "relu"], "--activation needs --layers: a trained net"),
        (["layer-gradients", "--layers", "784"], "--layers is 784, expected sizes such as 784,50"),
        (
            ["layer-gradients", "--layers", "784,10", "--weights", "floats.npz"],
            "--layers and --weights exclude each other: the file has its own",
        ),
        (["history", "nothing.json"], "nothing.json: No such file or directory"),
        (["history", "text.json"], "text.json: is no JSON object, expected what nncore train "),
        (["history", "list.json"], "list.json: is no JSON object, expected what nncore train "),
        (["history", "mnist.json"], "mnist.json: has no history, expected what nncore train --j"),
        (["history", "fruit.npz"], "fruit.npz: is no checkpoint of nncore train"),
        (["latency"], "the following arguments are required: --run (see nncore plot latency"),
        (["latency", "--run", "list.json"], "list.json: is no JSON object, expected what nncore b"),
        (["latency", "--run", "train.json"], "run has the keys command, history, saved_epoch, exp"),
    ],
)  # fmt: skip
def test_refusals_are_one_line_and_write_nothing(arguments, message, run, folder):
    before = sorted(folder.iterdir())
    if arguments and "-o" not in arguments:
        arguments = [*arguments, "-o", "refused.svg"]
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"nncore: error: {message}"), err
    assert err.count("\n") == 1
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ({"loss": []}, "has no history"),
        ({"accuracy": [1.0]}, "has no history"),
        ({"loss": [1.0], "best_epoch": [1.0]}, "has no history"),
        ({"loss": [1.0], "accuracy": [1.0, 2.0]}, "its accuracy has not one number for each epoch"),
        ({"loss": [1.0], "accuracy": "x"}, "its accuracy has not one number for each epoch"),
        ({"loss": [None]}, "its loss has not one number for each epoch"),
        ("x", "has no history"),
    ],
)
def test_a_history_that_does_not_fit_is_refused(history, message, run, tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"history": history, "saved_epoch": 1}))
    code, _, err = run("history", path, "-o", tmp_path / "x.svg")
    assert code == 2
    assert err.startswith(f"nncore: error: {path}: {message}")


def test_without_matplotlib_the_error_says_what_to_install(run, tmp_path, no_matplotlib):
    code, out, err = run("softmax", "-o", tmp_path / "x.svg")
    assert (code, out) == (2, "")
    assert err == "nncore: error: plot needs matplotlib: pip install matplotlib\n"
    assert list(tmp_path.iterdir()) == []
