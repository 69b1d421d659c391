"""`nncore quantize`: what it measures, what it writes, and what other commands make of its file."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import nncore
from nncore.cli import _compare, quantize
from nncore.datasets.idx import write_idx
from nncore.quantized.ranges import METHODS

TRAINING, TEST = 120, 60


@pytest.fixture(autouse=True)
def few_repeats(monkeypatch):
    """The times are of no interest here."""
    monkeypatch.setattr(_compare, "TIME_BUDGET", 0.0)
    monkeypatch.setattr(_compare, "_WARM_UP", 0.0)


@pytest.fixture
def go(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run_quantize(*arguments, code=0):
        found, out, err = run("quantize", *arguments, "--json")
        assert (found, err) == (code, "")
        return json.loads(out)

    return run_quantize


def write_mnist(folder):
    """Write files like MNIST's, of drawn digits; return the test images (n, 784) and labels."""
    folder.mkdir()
    for name, n, seed in (("train", TRAINING, 1), ("t10k", TEST, 2)):
        images, labels = nncore.datasets.make_digits(n, seed=seed)
        write_idx(folder / f"{name}-images-idx3-ubyte", images.reshape(n, 28, 28))
        write_idx(folder / f"{name}-labels-idx1-ubyte", labels)
    return images.reshape(TEST, 784), labels


def larger():
    """A network that says which of two numbers is larger, samples for it, and the answers.

    The test samples are a hundred times as large as those for training.
    """
    x = np.random.default_rng(0).random((50, 2))
    net = nncore.Network.from_arrays([np.eye(2), np.eye(2)], None, ["relu", "softmax"])
    return net, x, x.argmax(axis=1)


def write_larger(factor):
    net, x, t = larger()
    net.save("larger.npz")
    np.savez("data.npz", x=x, t=t, x_test=factor * x, t_test=t)
    return net


def test_mnist_in_a_folder(go, tmp_path):
    x, t = write_mnist(tmp_path / "mnist")
    net = nncore.load_pretrained("digits")
    net.save("in.npz")
    facts = go("in.npz", "out.npz", "--data", "mnist", "--samples", 70, "--threads", 1)
    again = nncore.load("out.npz")
    assert isinstance(again, nncore.QuantizedNetwork)
    for name, side in (("before", net), ("after", again)):
        right = int((side.predict(x) == t).sum())
        assert (facts[name]["right"], facts[name]["accuracy"]) == (right, right / TEST)
        assert facts[name]["largest_logit"] == np.abs(side.logits(x)).max()
    assert facts["labels_changed"] == (net.predict(x) != again.predict(x)).sum()
    apart = np.abs(net.logits(x).astype(float) - again.logits(x)).max()
    assert facts["largest_logit_difference"] == apart > 0
    sizes = {"before": (tmp_path / "in.npz"), "after": (tmp_path / "out.npz")}
    assert facts["bytes"] == {name: path.stat().st_size for name, path in sizes.items()}
    assert facts["bytes"]["after"] < 0.3 * facts["bytes"]["before"]
    assert [row["batch"] for row in facts["times"]] == [1, 100, 1000]
    assert all(row["before"] > 0 and row["after"] > 0 for row in facts["times"])
    data = facts["data"]
    assert (data["calibration_samples"], data["training_samples"]) == (70, TRAINING)
    assert (data["test_samples"], data["labels"]) == (TEST, True)
    assert facts["out"] == {"file": "out.npz", "written": True}
    assert (facts["network"]["dtype"], facts["threads"]) == ("float32", 1)


def test_only_training_samples_calibrate(go):
    write_larger(factor=100)
    go("larger.npz", "out.npz", "--data", "data.npz", "--method", "minmax")
    first = nncore.load("out.npz").layers[0]
    assert first.step * 255 == pytest.approx(larger()[1].max())


def test_the_samples_are_drawn_by_the_seed(go):
    write_larger(factor=1)
    steps = []
    for seed in (0, 0, 1):
        go(
            "larger.npz", "out.npz", "--data", "data.npz", "--samples", 3, "--seed", seed,
            "--overwrite", "--method", "minmax",
        )  # fmt: skip
        steps.append(nncore.load("out.npz").layers[0].step)
    assert steps[0] == steps[1] != steps[2]


def test_a_drop_that_is_too_large_writes_nothing(go, run, tmp_path):
    net = write_larger(factor=100)
    given = ("larger.npz", "out.npz", "--data", "data.npz")
    # Numbers beyond those that it was calibrated with are all the same to the network.
    lost = go(*given)["lost"]
    _, x, t = larger()
    assert lost == 1 - (nncore.load("out.npz").predict(100 * x) == t).mean() > 0.3
    (tmp_path / "out.npz").unlink()
    facts = go(*given, "--max-drop", lost - 0.01, code=1)
    assert (facts["before"]["accuracy"], facts["after"]["accuracy"]) == (1, 1 - lost)
    assert facts["out"]["written"] is False
    assert facts["bytes"]["after"] is None
    assert not (tmp_path / "out.npz").exists()
    net.save("out.npz")
    before = (tmp_path / "out.npz").read_bytes()
    code, out, _ = run("quantize", *given, "--max-drop", "0.1", "--overwrite")
    assert (code, (tmp_path / "out.npz").read_bytes()) == (1, before)
    text = " ".join(out.split())
    assert f"the accuracy fell by {100 * lost:.2g} points" in text
    assert "--max-drop allows 10%" in text
    assert (
        "(--samples) or with others, of all kinds (--data), try another --method, or keep" in text
    )
    assert "written NOTHING" in text
    assert go(*given, "--max-drop", lost, "--overwrite")["out"]["written"] is True


def test_values_have_an_error(go, run):
    random = np.random.default_rng(1)
    x = random.normal(size=(80, 3))
    y = x @ [1.0, -2.0, 0.5] + 3
    np.savez("data.npz", x=x[:50], y=y[:50], x_test=x[50:], y_test=y[50:])
    net = nncore.Network.from_arrays([[[1.01], [-2.0], [0.5]]], [[3.0]], ["identity"])
    net.save("in.npz")
    facts = go("in.npz", "out.npz", "--data", "data.npz")
    for name, side in (("before", net), ("after", nncore.load("out.npz"))):
        error = side(x[50:])[:, 0].astype(float) - y[50:]
        assert facts[name]["rmse"] == pytest.approx((error**2).mean() ** 0.5)
        assert "right" not in facts[name]
    assert (facts["labels_changed"], facts["lost"]) == (None, None)
    out = run("quantize", "in.npz", "out.npz", "--data", "data.npz", "--overwrite")[1]
    row = (
        rf"error \(root mean square\) +{facts['before']['rmse']:.5g} +{facts['after']['rmse']:.5g}"
    )
    assert re.search(row, out)
    assert "the error grew from" in out
    assert "--max-drop" not in out
    refused = run("quantize", "in.npz", "new.npz", "--data", "data.npz", "--max-drop", "0.1")
    assert refused[0] == 2
    assert "--max-drop is a share of labels, but this network gives values" in refused[2]


def test_samples_without_labels(go, files):
    net = nncore.load(files / "named.npz")
    facts = go(files / "named.npz", "out.npz", "--data", files / "flat.npy")
    assert (facts["data"]["labels"], facts["data"]["test_samples"]) == (False, 8)
    assert facts["data"]["calibration_samples"] == 32
    assert facts["before"]["right"] is facts["before"]["accuracy"] is None
    x = np.load(files / "flat.npy")
    changed = net.predict(x) != nncore.load("out.npz").predict(x)
    assert facts["labels_changed"] <= changed.sum()
    assert facts["lost"] == facts["labels_changed"] / 8


@pytest.mark.parametrize("names", [["red", "blue"], [7, 3], None])
def test_labels_are_those_of_the_network(go, names):
    net, x, t = larger()
    net.classes = names
    net.save("in.npz")
    labels = t if names is None else np.array(names)[t]
    rows = [f"{a!r},{b!r},{label}" for (a, b), label in zip(x.tolist(), labels, strict=True)]
    with open("table.csv", "w") as file:
        file.write("\n".join(["a,b,class", *rows]))
    facts = go("in.npz", "out.npz", "--data", "table.csv")
    assert facts["before"]["accuracy"] == 1
    assert facts["data"]["test_samples"] == 10
    assert facts["data"]["notes"] == [
        "10 samples drawn at random (--seed) and put aside for the test"
    ]


def test_labels_that_the_network_has_not(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net, x, t = larger()
    net.save("in.npz")
    np.savez("data.npz", x=x, t=np.array(["yes", "no"])[t])
    code, out, err = run("quantize", "in.npz", "out.npz", "--data", "data.npz")
    assert (code, out) == (2, "")
    assert "data.npz: has the label no, the network's classes are 0, 1 (nncore convert" in err


def test_pixels_are_divided_as_predict_does(go, files):
    images = np.load(files / "flat.npy")
    np.savez("bytes.npz", x=images, t=np.arange(len(images)) % 10)
    net = nncore.load(files / "classic.pkl", activations=["sigmoid", "softmax"])
    net.save("in.npz")
    facts = go("in.npz", "out.npz", "--data", "bytes.npz")
    assert facts["data"]["values"].startswith("uint8 pixels divided by 255")
    first = nncore.load("out.npz").layers[0]
    assert (first.step, first.zero_point) == (pytest.approx(1 / 255), 0)


def test_text_names_what_it_did(run, files, tmp_path):
    out_file = tmp_path / "out.npz"
    code, out, err = run("quantize", "named.npz", out_file, "--data", "flat.npy")
    assert (code, err) == (0, "")
    assert "calibrated with 32 of 32 samples, method mse" in out
    assert "measured with 8 test samples, which have no labels" in " ".join(out.split())
    assert nncore.info()["int8_kernel"] in out
    for row in ("labels changed", "bytes of the file", "  one by one", "  batches of 1,000"):
        assert sum(line.startswith(row) for line in out.splitlines()) == 1
    assert max(map(len, out.replace(str(out_file), "").splitlines())) <= 80


def test_the_methods_are_those_of_the_function():
    import inspect

    assert set(quantize.METHODS) == set(METHODS)
    assert inspect.signature(nncore.quantize).parameters["method"].default == quantize.METHODS[0]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["one.npz"], "expected two files, IN and OUT, got one.npz (see nncore quantize --help)"),
        (["named.npz", "out.onnx"], "OUT is out.onnx, expected a name that ends in .npz"),
        (["named.npz", "./named.npz"], "IN and OUT are named.npz, expected two files: only IN .*"),
        (["named.npz", "names.npz"], "names.npz exists, and would be replaced: say --overwrite .*"),
        (["empty", "o.npz"], "empty: is a folder, expected a file"),
        (["named.npz", "o.npz", "--max-drop", "2"], "--max-drop is 2, expected a share from 0 .*"),
        (["named.npz", "o.npz", "--samples", "0"], "argument --samples: is '0', expected .*"),
        (["named.npz", "o.npz", "--data", "nan.npy"], "nan.npy: sample 3, number 8 is nan, .*"),
        (["named.npz", "o.npz", "--data", "wide.npy"], "wide.npy: holds other images: .*"),
        (["named.npz", "o.npz", "--data", "data"], "--data data: lacks some of its files, .*"),
        (["named.npz", "o.npz", "--data", "data", "--scale", "2"], "--label and --scale need .*"),
        (["int8.npz", "o.npz"], "int8.npz: is a quantized network, expected the float network .*"),
        (["one-output.pkl", "o.npz"], "--max-drop .*"),
    ],
)
def test_errors_are_one_line(run, files, arguments, text):
    net = nncore.load(files / "named.npz")
    net.save(files / "names.npz")
    if not (files / "int8.npz").exists():
        nncore.quantize(net, np.load(files / "flat.npy")).save(files / "int8.npz")
    if arguments[0] == "one-output.pkl":
        arguments = [*arguments, "--activations", "relu", "identity", "--max-drop", "0.1"]
    data = () if "--data" in arguments else ("--data", "flat.npy")
    code, out, err = run("quantize", *data, *arguments)
    assert (code, out) == (2, "")
    pattern = re.escape("nncore: error: " + text).replace(r"\.\*", ".*") + "\n"
    assert re.fullmatch(pattern, err), err


def test_other_commands_with_its_file(run, files):
    x = np.load(files / "flat.npy")
    net = nncore.quantize(nncore.load(files / "named.npz"), x)
    net.save(files / "int8.npz")
    code, out, err = run("predict", "flat.npy", "--weights", "int8.npz")
    assert code == 0
    assert "784-9-10, 7,165 parameters, int8" in err
    lines = [line.split("\t") for line in out.splitlines()]
    assert [int(line[2]) for line in lines] == net.predict(x).tolist()
    np.testing.assert_allclose([float(line[3]) for line in lines], net(x).max(axis=1), atol=6e-5)
    shown = json.loads(run("inspect", "int8.npz", "--json")[1])["layers"]
    dense = [layer for layer in net.layers if layer.is_dense]
    for layer, whole in zip(shown, dense, strict=True):
        meant = whole.weights * whole.scale.astype(np.float64)  # not the codes, up to 127
        assert layer["weights"]["greatest"] == pytest.approx(meant.max())
        assert layer["weights"]["mean"] == pytest.approx(meant.mean())
    assert run("mnist", "--weights", "int8.npz", "--limit", 3)[0] == 0
    for command in (
        ("mnist", "--weights", "int8.npz", "--int8"),
        ("mnist", "--weights", "int8.npz", "--html", "page.html"),
        ("bench", "--weights", "int8.npz"),
        ("inspect", "int8.npz", "--html", "page.html"),
        ("convert", "int8.npz", "other.npz"),
    ):
        code, out, err = run(*command)
        assert (code, out) == (2, "")
        assert "int8.npz: is a quantized network, expected the float network that it was" in err
    assert not (files / "page.html").exists()


@pytest.mark.parametrize("labels", [["no", "yes"], [False, True]])
def test_one_sigmoid_tells_two_classes_apart(go, labels):
    x = np.random.default_rng(3).normal(size=(60, 2))
    t = (x.sum(axis=1) > 0.3).astype(int)
    names = labels if isinstance(labels[0], str) else None
    net = nncore.Network.from_arrays([[[9.0], [9.0]]], None, ["sigmoid"])
    net.classes = names
    net.save("in.npz")
    np.savez("data.npz", x=x, t=np.array(labels)[t], x_test=x, t_test=np.array(labels)[t])
    facts = go("in.npz", "out.npz", "--data", "data.npz")
    right = [int(((side(x)[:, 0] > 0.5) == t).sum()) for side in (net, nncore.load("out.npz"))]
    assert [facts["before"]["right"], facts["after"]["right"]] == right
    assert 40 < right[0] < 60
