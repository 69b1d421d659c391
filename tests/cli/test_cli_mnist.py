"""`nncore mnist`: what it prints, as text and as JSON, and that it finds bits that differ."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest

import nncore
from nncore.cli._digits import Origin, calibration_images
from nncore.cli._measure import batch_sizes_for, measure, same_bits
from nncore.datasets.idx import write_idx

SAMPLES = 40


def test_mnist_prints_what_it_did(run, test_set):
    code, out, err = run("mnist", "--data", "data", "--weights", "classic.pkl")
    assert (code, err) == (0, "")
    images, labels = test_set
    net = nncore.load("classic.pkl", activations=["sigmoid", "softmax"])
    right = int((net.predict(images / np.float32(255)) == labels).sum())
    assert f"{right} of {SAMPLES} right" in out
    assert "found in data (--data)" in out
    assert "784-7-10, 5,575 parameters, float32" in out
    assert re.search(r"sigmoid, softmax \(assumed: the file names none", out)
    assert "pixels / 255 as float32" in out
    assert nncore.info()["instruction_set"] in out
    for way in ("one by one", "batches of 1 ", "batches of 10 ", f"all {SAMPLES} in one batch"):
        (line,) = (line for line in out.splitlines() if line.startswith(way))
        assert line.split()[-1] == str(right)
    assert f"all {SAMPLES} samples are the same, byte for byte" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80


def test_mnist_json_has_the_same_facts(run, test_set):
    code, out, err = run("mnist", "--json", "--batch-size", 7, "--threads", 2)
    facts = json.loads(out)
    assert (code, err) == (0, "")
    images, labels = test_set
    right = int((nncore.load_pretrained("digits").predict(images) == labels).sum())
    assert facts["right"] == right
    assert facts["accuracy"] == right / SAMPLES
    assert facts["data"]["source"] == "found"
    assert facts["data"]["is_mnist"] is True
    assert facts["network"]["source"] == "shipped"
    assert facts["network"]["sizes"] == [784, 50, 100, 10]
    assert facts["network"]["activations_assumed"] is False
    assert facts["threads"] == 2
    assert facts["same_bits"] is True
    sizes = [row["batch_size"] for row in facts["timings"]]
    assert sizes == [None, 1, 7, 10, SAMPLES]
    for row in facts["timings"]:
        assert row["right"] == right
        assert row["same_bits"] is True
        assert row["seconds_per_sample"] >= row["best_seconds_per_sample"] > 0
        assert row["samples_per_second"] == pytest.approx(1 / row["seconds_per_sample"])
    assert facts["timings"][0]["speedup"] == 1


def test_mnist_leaves_the_number_of_threads_alone(run):
    before = nncore.get_num_threads()
    assert run("mnist", "--threads", before + 1, "--limit", 2)[0] == 0
    assert nncore.get_num_threads() == before


def test_limit_takes_the_first_images(run):
    out = run("mnist", "--limit", 3, "--json")[1]
    facts = json.loads(out)
    assert facts["samples"] == 3
    assert [row["batch_size"] for row in facts["timings"]] == [None, 1, 3]


def test_limit_of_one(run):
    code, out, _ = run("mnist", "--limit", 1)
    assert code == 0
    assert "of 1 right" in out


@pytest.mark.parametrize(
    "spelling", [["sigmoid", "softmax"], ["sigmoid,softmax"], ["sigmoid,", "softmax"]]
)
def test_activations_that_are_given_are_not_assumed(run, spelling):
    spelling = [token.rstrip(",") for token in spelling]
    out = run("mnist", "--weights", "classic.pkl", "--limit", 2, "--activations", *spelling)[1]
    assert "sigmoid, softmax" in out
    assert "assumed" not in out


def test_activations_that_the_file_names_are_not_assumed(run):
    out = run("mnist", "--weights", "named.npz", "--limit", 2)[1]
    assert "relu, softmax" in out
    assert "assumed" not in out
    assert "scaled by the network's Rescaling layer" in out


class Unsteady:
    """A network whose outputs depend on how many samples come at once."""

    dtype = np.dtype("float32")
    out_features = 10

    def __call__(self, x):
        y = np.zeros((*x.shape[:-1], 10), np.float32)
        y[..., 0] = 1 if x.ndim == 1 or len(x) < 10 else np.nextafter(np.float32(1), np.float32(2))
        return y


def test_different_bits_are_found():
    ways = measure(Unsteady(), np.zeros((12, 784)), np.zeros(12), [1, 10], time_budget=0)
    assert [way.same_bits for way in ways] == [True, True, False]
    assert [way.right for way in ways] == [12, 12, 12]


def test_different_bits_are_shouted_out(run, monkeypatch):
    net = nncore.load_pretrained("digits")
    monkeypatch.setattr(nncore.Network, "__call__", lambda _, x: Unsteady()(np.asarray(x)))
    monkeypatch.setattr(nncore, "load_pretrained", lambda _: net)
    code, out, _ = run("mnist", "--limit", 12)
    assert code == 1
    assert "DIFFERENT from one by one: batches of 10, all 12 in one batch" in " ".join(out.split())


def test_same_bits_knows_nan_and_the_sign_of_zero():
    assert same_bits(np.float32([1, np.nan]), np.float32([1, -np.nan]))
    assert not same_bits(np.float64([0.0]), np.float64([-0.0]))
    assert not same_bits(np.float32([1]), np.float64([1]))
    assert not same_bits(np.float32([1]), np.float32([1, 1]))
    assert not same_bits(np.float32([np.nan]), np.float32([1]))


@pytest.mark.parametrize(
    ("n", "extra", "sizes"),
    [
        (10000, None, [1, 10, 100, 1000, 10000]),
        (10000, 256, [1, 10, 100, 256, 1000, 10000]),
        (50, 99, [1, 10, 50]),
        (1, None, [1]),
    ],
)
def test_batch_sizes(n, extra, sizes):
    assert batch_sizes_for(n, extra) == sizes


def write_training(folder, n):
    images, labels = nncore.datasets.make_digits(n, seed=8)
    write_idx(folder / "train-images-idx3-ubyte", images.reshape(n, 28, 28))
    write_idx(folder / "train-labels-idx1-ubyte", labels)
    return images.reshape(n, 784)


def test_int8_beside_float(run, files, test_set, tmp_path):
    shutil.copytree(files / "data", tmp_path / "data")
    training = write_training(tmp_path / "data", 60)
    code, out, err = run("mnist", "--int8", "--data", tmp_path / "data", "--json")
    facts = json.loads(out)
    assert (code, err) == (0, "")
    images, labels = test_set
    net = nncore.load_pretrained("digits")
    quantized = nncore.quantize(net, training)
    for found, each in ((facts, quantized), (facts["float"], net)):
        right = int((each.predict(images) == labels).sum())
        assert (found["right"], found["accuracy"]) == (right, right / SAMPLES)
    changed = (net.predict(images) != quantized.predict(images)).sum()
    assert facts["float"]["labels_changed"] == changed
    assert facts["calibration"] == {"samples": 60, "what": "of MNIST's training images"}
    assert (facts["network"]["dtype"], facts["float"]["dtype"]) == ("int8", "float32")
    assert facts["same_bits"] is True


def test_int8_calibrates_with_drawn_digits_where_there_are_no_training_images(run):
    code, out, err = run("mnist", "--int8", "--limit", 5)
    assert (code, err) == (0, "")
    assert "784-50-100-10, 45,360 parameters, int8" in out
    assert "int8      calibrated with 500 digits that nncore drew" in out
    assert "float32   5 of 5 right (100.00 %); 0 labels changed by 8 bits" in out
    assert f"{nncore.info()['int8_kernel']} kernel for 8 bits" in " ".join(out.split())


def test_calibration_images_are_spread_over_the_training_images(tmp_path):
    training = write_training(tmp_path, 41)
    origin = Origin("found", str(tmp_path), "", [])
    images, what = calibration_images(origin, 20)
    np.testing.assert_array_equal(images, training[::3])
    assert what == "of MNIST's training images"


def test_int8_has_no_page(run):
    code, out, err = run("mnist", "--int8", "--html", "page.html")
    assert (code, out) == (2, "")
    assert "--int8 and --html exclude each other: the page computes with the float" in err
