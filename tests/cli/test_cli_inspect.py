"""`nncore inspect`: layers, parameters and how the weights are spread."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

import nncore
from nncore.cli.inspect import statistics


def test_inspect_prints_every_layer(run):
    code, out, err = run("inspect", "classic.pkl")
    assert (code, err) == (0, "")
    assert "784-7-10, 5,575 parameters, float32" in out
    assert "assumed: the file names none" in out
    assert "1  784 -> 7, sigmoid\n" in out
    assert "2  7 -> 10, softmax\n" in out
    assert max(map(len, out.splitlines())) <= 80
    net = nncore.load("classic.pkl", activations=["sigmoid", "softmax"])
    (line,) = (
        line for line in out.splitlines() if line.startswith("   weights") and "5,488" in line
    )
    w = net.layers[0].weights.astype(np.float64)
    expected = [f"{value:.3g}" for value in (w.mean(), w.std(), w.min(), w.max())]
    assert line.split() == ["weights", "5,488", *expected, "0"]


def test_inspect_json(run):
    facts = json.loads(run("inspect", "named.npz", "--json")[1])
    assert facts["network"]["activations"] == ["relu", "softmax"]
    assert facts["network"]["rescaling"] == 1 / 255
    first, second = facts["layers"]
    assert (first["in_features"], first["out_features"], first["alpha"]) == (784, 9, None)
    assert second["weights"]["numbers"] == 90
    w = nncore.load("named.npz").layers[2].weights.astype(np.float64)
    assert first["bias"]["zeros"] == 9
    assert second["weights"]["mean"] == pytest.approx(w.mean())
    assert second["weights"]["standard_deviation"] == pytest.approx(w.std())
    assert second["weights"]["least"] == w.min()


def test_inspect_the_shipped_network(run):
    out = run("inspect")[1]
    assert "shipped with nncore: 784-50-100-10, 45,360 parameters" in out
    assert "begins with Rescaling" in out


def test_inspect_shows_the_offset_of_a_rescaling(run, tmp_path):
    path = tmp_path / "offset.npz"
    nncore.Network([nncore.Rescaling(0.5, offset=-1), nncore.Dense(2, 1)], seed=0).save(path)
    assert "begins with Rescaling: its input times 0.5, minus 1\n" in run("inspect", path)[1]
    network = json.loads(run("inspect", path, "--json")[1])["network"]
    assert (network["rescaling"], network["rescaling_offset"]) == (0.5, -1)
    assert network["normalization"] is False


def test_inspect_shows_a_normalization(run, tmp_path):
    path = tmp_path / "normalized.npz"
    front = nncore.Normalization(mean=[1.0, 0.0, 5.0], std=[2.0, 4.0, 8.0])
    nncore.Network([front, nncore.Dense(3, 1)], seed=0).save(path)
    out = run("inspect", path)[1]
    assert "begins with Normalization: its input minus the mean, divided by std\n" in out
    assert "0  3 features, normalized\n" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["mean", "3", "2", "2.16", "0", "5", "1"] in rows
    assert ["std", "3", "4.67", "2.49", "2", "8", "0"] in rows
    facts = json.loads(run("inspect", path, "--json")[1])
    assert (facts["network"]["rescaling"], facts["network"]["normalization"]) == (None, True)
    assert facts["normalization"]["in_features"] == 3
    assert facts["normalization"]["mean"]["greatest"] == 5
    assert facts["normalization"]["std"]["least"] == 2


def test_inspect_takes_the_file_after_the_activations(run):
    out = run("inspect", "--activations", "relu", "identity", "classic.pkl")[1]
    assert "7 -> 10, identity" in out


def test_inspect_shouts_about_nan(run, tmp_path):
    path = tmp_path / "sick.pkl"
    arrays = {"W1": np.float32([[1, np.nan], [np.inf, 3]]), "b1": np.full(2, np.nan)}
    path.write_bytes(pickle.dumps(arrays))
    out = run("inspect", path)[1]
    assert "!! 2 of them are NaN or infinite" in out
    bias = json.loads(run("inspect", path, "--json")[1])["layers"][0]["bias"]
    assert bias["mean"] is None
    assert bias["not_finite"] == 2


def test_statistics_of_extremes_do_not_warn():
    largest = np.finfo(np.float64).max
    found = statistics(np.array([largest, largest]))
    assert (found["least"], found["greatest"]) == (largest, largest)
    assert statistics(np.zeros(3))["zeros"] == 3
