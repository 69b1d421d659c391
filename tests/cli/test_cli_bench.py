"""`nncore bench`: its numbers fit together, its errors are one line, and it finds other bits."""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pytest

import nncore
from nncore import _table
from nncore.cli import _bench_network, _measure, _report, bench

SAMPLES = 40


@pytest.fixture(autouse=True)
def few_passes(monkeypatch):
    """The times are of no interest here."""
    monkeypatch.setattr(bench, "TIME_BUDGET", 0.01)


def test_bench_json_fits_together(run):
    code, out, err = run("bench", "--json", "--threads", 1)
    facts = json.loads(out)
    assert (code, err) == (0, "")
    assert facts["data"]["source"] == "found"
    assert facts["network"]["sizes"] == [784, 50, 100, 10]
    assert facts["network"]["activations"] == ["sigmoid", "sigmoid", "softmax"]
    assert facts["network"]["multiply_adds_per_sample"] == 784 * 50 + 50 * 100 + 100 * 10
    assert (facts["threads"], facts["peak"]["cores"]) == (1, 1)
    assert facts["weights"] == "hot"
    assert facts["same_bits"] is True
    assert [entry["dtype"] for entry in facts["inputs"]] == ["float32", "uint8"]
    for entry in facts["inputs"]:
        assert 0 < entry["nonzero"] < 1
        assert [row["batch_size"] for row in entry["timings"]] == [None, 8, 32, SAMPLES]
        for row in entry["timings"]:
            gflops = 2e-9 * 45_200 * row["samples_per_second"]
            assert row["gflops"] == pytest.approx(gflops)
            assert row["share_of_peak"] == pytest.approx(gflops / facts["peak"]["gflops"])


def test_bench_prints_80_columns(run):
    code, out, err = run("bench", "--layers", "784,20,10", "--activation", "relu")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "random weights (seed 0): 784-20-10" in out
    assert "relu, softmax" in out
    assert "weights hot" in out
    assert "the share of the peak may exceed 100 %" in " ".join(out.split())
    assert nncore.info()["instruction_set"] in out
    assert sum(line.startswith("one by one") for line in out.splitlines()) == 2


def test_bench_compares_with_the_cores_that_are_used(run, monkeypatch):
    monkeypatch.setattr("nncore._cpus.usable_cpus", lambda: 3)
    facts = json.loads(run("bench", "--json", "--threads", 2)[1])
    peak = facts["peak"]
    assert peak["gflops"] == pytest.approx(2 * peak["gflops_one_core"])
    for entry in facts["inputs"]:
        # 45,200 multiply-adds a sample; a call is shared from 300,000 on.
        cores = {row["batch_size"]: row["cores"] for row in entry["timings"]}
        assert cores == {None: 1, 8: 2, 32: 2, SAMPLES: 2}
        for row in entry["timings"]:
            of_peak = row["gflops"] / (row["cores"] * peak["gflops_one_core"])
            assert row["share_of_peak"] == pytest.approx(of_peak)


@pytest.mark.parametrize(
    ("sizes", "samples", "cores"),
    [
        ((100, 100), 8, 1), ((200, 200), 8, 2), ((400, 500), 8, 4),
        # One sample is shared layer by layer, and the threads meet after each.
        ((300, 300, 300, 300, 300, 300), 1, 1), ((800, 800), 1, 3),
    ],
)  # fmt: skip
def test_bench_knows_who_shares_a_call(sizes, samples, cores):
    before = nncore.get_num_threads()
    nncore.set_num_threads(4)
    try:
        layers = [nncore.Dense(k, m) for k, m in itertools.pairwise(sizes)]
        assert bench.cores_of(nncore.Network(layers, seed=0), samples, 4) == cores
    finally:
        nncore.set_num_threads(before)


def test_bench_says_what_the_share_is_of(run, monkeypatch):
    monkeypatch.setattr("nncore._cpus.usable_cpus", lambda: 2)
    text = "of the cores that share a call, up to 2; calls of less than 300,000 multiply-adds run"
    assert text in " ".join(run("bench", "--threads", 2)[1].split())
    assert "share a call" not in run("bench", "--threads", 1)[1]


def test_bench_of_one_multiply_add(run):
    out = run("bench", "--layers", "1,1")[1]
    assert "1 multiply-add a sample" in out
    assert re.search(r"one by one .* 0\.0[0-9]+ +0\.[0-9]+ %\n", out)


def test_bench_of_a_large_network_repeats_its_weights(run, monkeypatch):
    monkeypatch.setattr(_bench_network, "DRAWN", 997)
    drawn = _bench_network._new_layers("40,30,20", "relu")
    first, second = (layer.weights for layer in drawn)
    np.testing.assert_array_equal(first.ravel()[:203], first.ravel()[997:])
    for weights in (first, second):
        assert weights.var() * len(weights) == pytest.approx(1, rel=0.2)
    facts = json.loads(run("bench", "--layers", "40,30,20", "--dtype", "float64", "--json")[1])
    assert facts["same_bits"] is True
    assert all(layer.weights is None for layer in _bench_network._new_layers("4,3", "relu"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.01863027, "18.63 ms"), (9.9e-4, "990.00 "), (1.65e-6, "1.65 "), (1.7e-8, "17.00 ns")],
)
def test_times_have_a_fitting_unit(seconds, text):
    assert _report.duration(seconds).startswith(text)


def test_bench_downloads_nothing(run, monkeypatch, tmp_path):
    def refuse(**_):
        raise AssertionError("asked for a download")

    monkeypatch.setattr(nncore.datasets.mnist, "provide_mnist", refuse)
    monkeypatch.setenv("NNCORE_DATA_HOME", str(tmp_path))
    digits = np.ones((3, 784), np.uint8), np.zeros(3, np.uint8)
    monkeypatch.setattr(nncore.datasets, "make_digits", lambda n, *, seed: digits)
    code, out, _ = run("bench")
    assert code == 0
    assert "3 samples: digits that nncore drew" in out


def test_bench_of_other_inputs(run):
    facts = json.loads(run("bench", "--layers", "4,3", "--dtype", "float64", "--json")[1])
    assert facts["data"]["source"] == "random"
    assert facts["network"]["dtype"] == "float64"
    assert [entry["dtype"] for entry in facts["inputs"]] == ["float64", "uint8"]


@pytest.mark.parametrize("name", ["classic.pkl", "named.npz"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bench_of_a_file(run, name, dtype):
    facts = json.loads(run("bench", "--weights", name, "--dtype", dtype, "--json")[1])
    assert facts["network"]["file"] == name
    assert facts["network"]["dtype"] == dtype
    assert facts["same_bits"] is True


def test_bench_leaves_the_number_of_threads_alone(run):
    before = nncore.get_num_threads()
    assert run("bench", "--layers", "4,3", "--threads", before + 1)[0] == 0
    assert nncore.get_num_threads() == before


def test_bench_finds_other_bits(run, monkeypatch):
    def unsteady(net, x):
        return np.full((*np.shape(x)[:-1], net.out_features), np.ndim(x), np.float32)

    monkeypatch.setattr(nncore.Network, "__call__", unsteady)
    code, out, _ = run("bench", "--layers", "784,10")
    assert code == 1
    assert "DIFFERENT from one by one: float32 batches of 8," in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--layers", "784"], "--layers is 784, expected sizes such as 784,50,100,10"),
        (["--layers", "784,x"], "--layers is 784,x, expected sizes such as 784,50,100,10"),
        (["--layers", "784,0"], "--layers is 784,0, expected sizes such as 784,50,100,10"),
        (
            ["--activation", "softmax"],
            "--activation is softmax, expected one for hidden layers: identity",
        ),
        (
            ["--weights", "classic.pkl", "--layers", "784,10"],
            "--layers and --weights exclude each other: the file has its own",
        ),
        (["--activations", "relu"], "--activations needs a file of weights; --layers has"),
        (["--weights", "nowhere"], "nowhere: No such file or directory"),
    ],
)
def test_bench_errors(run, arguments, text):
    code, out, err = run("bench", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"nncore: error: {text}")
    assert err.count("\n") == 1


def test_int8_is_measured_beside_the_peak_of_integers(run, monkeypatch):
    probed = []
    probe = _table.int8_probe
    monkeypatch.setattr(_table, "int8_probe", lambda rounds: probed.append(rounds) or probe(rounds))
    monkeypatch.setattr(_table, "fma_probe", None)
    code, out, err = run("bench", "--int8", "--json", "--threads", 1)
    facts = json.loads(out)
    assert (code, err) == (0, "")
    assert probed
    assert (facts["unit"], facts["network"]["dtype"]) == ("GOP/s", "int8")
    assert facts["same_bits"] is True
    assert [entry["dtype"] for entry in facts["inputs"]] == ["float32", "uint8"]
    for entry in facts["inputs"]:
        for row in entry["timings"]:
            rate = 2e-9 * 45_200 * row["samples_per_second"]
            assert row["share_of_peak"] == pytest.approx(rate / facts["peak"]["gflops"])


def test_int8_runs_a_quantized_network(run, monkeypatch):
    seen = []
    measure = _measure.measure
    monkeypatch.setattr(
        _measure,
        "measure",
        lambda net, *rest, **more: seen.append(net) or measure(net, *rest, **more),
    )
    out = run("bench", "--int8", "--weights", "classic.pkl")[1]
    assert [type(net) for net in seen] == [nncore.QuantizedNetwork] * 2
    floats, scaled = seen
    assert floats.layers[0].step == pytest.approx(1 / 255)
    assert isinstance(scaled.layers[0], nncore.Rescaling)
    assert "GOP/s of int8 multiply-adds on one core" in out
    assert "FLOP" not in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("samples", "cores"), [(2, 1), (5, 1), (6, 2), (35, 2), (40, 3), (1000, 4)]
)
def test_bench_knows_who_shares_a_call_of_int8(samples, cores):
    before = nncore.get_num_threads()
    nncore.set_num_threads(4)
    try:
        net = nncore.Network([nncore.Dense(200, 250)], seed=0)
        quantized = nncore.quantize(net, np.eye(200))
        # 50,000 multiply-adds a sample; two threads from 300,000 on, and then one more for each
        # 900,000.
        assert bench.cores_of(quantized, samples, 4) == cores
        # One sample is shared where a layer has so many.
        large = nncore.quantize(
            nncore.Network([nncore.Dense(1000, 1000)], seed=0), np.eye(1000)[:9]
        )
        assert bench.cores_of(large, 1, 4) == 2
    finally:
        nncore.set_num_threads(before)


def test_int8_has_no_dtype(run):
    code, out, err = run("bench", "--int8", "--dtype", "float32")
    assert (code, out) == (2, "")
    assert "--int8 and --dtype exclude each other" in err
