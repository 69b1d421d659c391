"""`nncore predict` and `nncore info`: labels, probabilities, what is assumed of the values."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest

import nncore

SAMPLES = 40


@pytest.mark.parametrize(
    ("image", "count"),
    [
        ("data/t10k-images-idx3-ubyte.gz", SAMPLES),
        ("flat.npy", SAMPLES),
        ("square.npy", SAMPLES),
        ("channel.npy", SAMPLES),
        ("one.npy", 1),
        ("one-flat.npy", 1),
        ("scaled.npy", SAMPLES),
    ],
)
def test_predict_reads_every_form(run, test_set, image, count):
    code, out, err = run("predict", image, "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    images, _ = test_set
    net = nncore.load_pretrained("digits")
    expected = net.predict(images[:count]).tolist()
    assert [row["label"] for row in facts["predictions"]] == expected
    probabilities = [row["probability"] for row in facts["predictions"]]
    assert probabilities == pytest.approx(net(images[:count]).max(axis=1).tolist(), rel=1e-4)
    assert facts["inputs"][0]["images"] == count


def test_predict_takes_booleans_for_black_and_white(run, test_set, tmp_path):
    ink = test_set[0] > 127
    np.save(tmp_path / "ink.npy", ink)
    facts = json.loads(run("predict", tmp_path / "ink.npy", "--json")[1])
    expected = nncore.load_pretrained("digits").predict(ink * np.uint8(255)).tolist()
    assert [row["label"] for row in facts["predictions"]] == expected
    assert facts["inputs"][0]["values"].startswith("bool from 0 to 1 times 255")


def test_predict_says_nothing_of_headers_that_python_2_wrote(run, test_set, tmp_path):
    """NumPy warns of the long integers in them."""
    path = tmp_path / "old.npy"
    np.save(path, test_set[0].reshape(-1, 784))
    data = path.read_bytes()
    shape = b"'shape': (%d, 784), }" % len(test_set[0])
    old = shape.replace(b", 784)", b"L, 784L)")
    path.write_bytes(data.replace(shape + b"  ", old, 1))
    with pytest.warns(UserWarning, match="additional header parsing"):
        np.load(path)
    code, out, err = run("predict", path, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["inputs"][0]["images"] == len(test_set[0])


def test_predict_prints_a_line_an_image(run):
    code, out, err = run("predict", "flat.npy", "one.npy", "--weights", "named.npz")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == SAMPLES + 1
    assert all(re.fullmatch(r"(flat|one)\.npy\t\d+\t\d\t[01]\.\d{4}", line) for line in lines)
    assert "# flat.npy: uint8 pixels as they are, the network scales them" in err


def test_predict_without_softmax_gives_no_probability(run):
    weights = ("--weights", "classic.pkl", "--activations", "relu,identity")
    code, out, err = run("predict", *weights, "one.npy")
    assert code == 0
    assert re.fullmatch(r"one\.npy\t0\t\d\n", out)
    assert "divided by 255 (assumed; --scale 1 leaves them alone)" in err


@pytest.mark.parametrize(
    ("weights", "activation", "label"),
    [
        ([[0.0, 1e-9]], "softmax", 1),  # outputs 0.5 and 0.5
        ([[0.0, 1e-9]], "log_softmax", 1),
        ([[1e-9]], "sigmoid", 1),
        ([[-1e-9]], "sigmoid", 0),
        ([[30.0, 31.0]], "sigmoid", 1),  # outputs 1 and 1: predict gives a label for each
    ],
)
def test_predict_prints_the_labels_of_net_predict(run, tmp_path, weights, activation, label):
    net = nncore.Network.from_arrays([np.array(weights, np.float32)], None, [activation])
    net.save(tmp_path / "net.npz")
    np.save(tmp_path / "x.npy", np.ones((2, 1)))
    if np.shape(weights) == (1, 1) or activation != "sigmoid":
        assert net.predict(np.ones((2, 1))).tolist() == [label, label]
    out = run("predict", tmp_path / "x.npy", "--weights", tmp_path / "net.npz", "--json")[1]
    rows = json.loads(out)["predictions"]
    assert [row["label"] for row in rows] == [label, label]
    if np.shape(weights) == (1, 1) or activation != "sigmoid":
        assert [row["probability"] for row in rows] == pytest.approx([0.5, 0.5])


def test_predict_divides_pixels_only_for_a_network_that_does_not(run, test_set):
    net = nncore.load("classic.pkl", activations=["sigmoid", "softmax"])
    images, _ = test_set

    def probability(*options):
        out = run("predict", "--json", "one.npy", "--weights", "classic.pkl", *options)[1]
        return json.loads(out)["predictions"][0]["probability"]

    assert probability() == float(net(images[0] / np.float32(255)).max())
    assert probability("--scale", "1") == float(net(images[0]).max())
    assert probability("--scale", "0.5") == float(net(images[0] * 0.5).max())


def test_predict_prints_a_warning_as_one_line(tmp_path):
    images, _ = nncore.datasets.make_digits(2, seed=0, normalize=True)
    np.save(tmp_path / "scaled.npy", images)
    command = [sys.executable, "-m", "nncore", "predict", tmp_path / "scaled.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "0 to 1 times 255" in done.stderr
    assert "divides them again" not in done.stderr
    done = subprocess.run([*command, "--scale", "1"], capture_output=True, text=True, check=True)
    (line,) = [line for line in done.stderr.splitlines() if "divides them again" in line]
    assert line.startswith("nncore: x has fractions and no number above 1")
    assert "Warning" not in done.stderr


@pytest.mark.parametrize(("eight_bits", "named"), [(False, "1, 3, 4"), (True, "1, 3")])
def test_predict_names_all_samples_without_an_answer(run, tmp_path, eight_bits, named):
    """1e200 is too large behind a Normalization; in 8 bits, it is the largest number."""
    rng = np.random.default_rng(0)
    layers = [nncore.Normalization(np.zeros(6), np.ones(6)), nncore.Dense(6, 8, "relu")]
    net = nncore.Network([*layers, nncore.Dense(8, 3, "softmax")], seed=0)
    if eight_bits:
        net = nncore.quantize(net, rng.normal(0, 1, (200, 6)))
    net.save(tmp_path / "net.npz")
    x = rng.normal(0, 1, (6, 6))
    x[1, 2], x[3, 0], x[4, 1] = np.nan, np.inf, 1e200
    np.save(tmp_path / "x.npy", x)
    code, out, err = run("predict", "--weights", tmp_path / "net.npz", tmp_path / "x.npy")
    assert (code, out) == (2, "")
    assert f"x.npy: samples {named} (counted from 0) have NaN, or numbers too large for" in err


def test_predict_takes_files_after_the_activations(run):
    options = ("--weights", "classic.pkl", "--activations", "sigmoid", "softmax")
    assert run("predict", *options, "one.npy")[0] == 0
    assert run("predict", *options, "data/t10k-images-idx3-ubyte.gz", "one.npy")[0] == 0


def test_info(run, monkeypatch):
    monkeypatch.setenv("NNCORE_ANYTHING", "7")
    code, out, _ = run("info")
    assert code == 0
    assert nncore.__version__ in out
    assert "NNCORE_ANYTHING=7" in out
    facts = json.loads(run("info", "--json")[1])
    assert facts["environment"]["NNCORE_ANYTHING"] == "7"
    known = json.loads(json.dumps(nncore.info()))
    assert {key: facts[key] for key in known} == known
