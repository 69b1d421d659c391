"""The benchmarks themselves: do they compare what they say, and would they notice a fault?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from . import cells, nets, peers, plots, report, run, tables, timing, trained, worker

FLOATS = [name for name in peers.MODULES if peers.precision(name) == "float32"]
NARROW = [name for name in peers.MODULES if peers.precision(name) != "float32"]


def bfloat16(x: np.ndarray) -> np.ndarray:
    """Round float32 to the upper half of its bits."""
    return ((x.view(np.uint32) + np.uint32(0x8000)) & np.uint32(0xFFFF0000)).view(np.float32)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("hidden", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("output", ["identity", "softmax"])
@pytest.mark.parametrize("name", [name for name in FLOATS if name != "nncore uint8"])
def test_every_setting_of_every_peer_agrees_with_the_reference(
    name: str, output: str, hidden: str, batch: int
) -> None:
    net = nets.Net((5, 7, 6, 3), hidden, output)
    weights, biases = nets.draw_weights(net)
    x = nets.dense_inputs(net, batch)
    expected = nets.reference(weights, biases, net.activations, x)
    try:
        settings = peers.get(name).settings(1)
    except peers.Missing as error:
        pytest.skip(str(error))
    for setting in settings:
        model = peers.build(name, weights, biases, net.activations, 1, batch, setting)
        y = model.to_numpy(model.call(model.prepare(x)))
        nets.check(y, expected, nets.tolerance(weights, expected))


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize("kind", ["pixels", "dense"])
@pytest.mark.parametrize("name", NARROW)
def test_every_setting_in_fewer_bits_is_as_exact_as_its_bits(
    name: str, kind: str, batch: int
) -> None:
    net = nets.Net((20, 32, 24, 5), "relu", "softmax" if kind == "pixels" else "identity")
    weights, biases = nets.draw_weights(net)
    pixels = (nets.uniform((64, 20), 5) * 256).astype(np.uint8)
    pixels[0], pixels[1] = 0, 255
    x = pixels / np.float32(255) if kind == "pixels" else nets.dense_inputs(net, 64)
    expected = nets.reference(weights, biases, net.activations, x)
    try:
        settings = peers.get(name).settings(1)
    except peers.Missing as error:
        pytest.skip(str(error))
    for setting in settings:
        given = {"float32": x, "uint8": pixels}[peers.takes(name, setting)]
        if kind == "dense" and given is pixels:
            continue
        model = peers.build(name, weights, biases, net.activations, 1, batch, setting, x)
        batches = [model.prepare(given[i : i + batch]) for i in range(0, 64, batch)]
        y = [np.array(model.to_numpy(model.call(prepared))) for prepared in batches]
        found = np.concatenate(y).reshape(expected.shape)
        nets.check_narrow(found, expected, peers.precision(name))


def test_float32_in_a_peer_of_fewer_bits_would_be_noticed() -> None:
    expected = nets.uniform((64, 5), 1).astype(np.float64)
    with pytest.raises(ValueError, match=r"error of .*, expected 0.0001 to 0.1 of int8"):
        nets.check_narrow(expected.astype(np.float32), expected, "int8")
    noise = nets.uniform((64, 5), 2) - 0.5
    with pytest.raises(ValueError, match=r"error of .*, expected 0.0001 to 0.1 of int8"):
        nets.check_narrow(expected + noise, expected, "int8")
    assert 0.005 < nets.check_narrow(expected + 0.01 * noise, expected, "int8") < 0.02


def test_a_peer_that_calibrates_needs_samples(tmp_path: Path) -> None:
    arrays = *nets.draw_weights(nets.CLASSIC), nets.CLASSIC.activations
    with pytest.raises(ValueError, match="litert int8 has no samples to calibrate with"):
        peers.save("litert int8", tmp_path, *arrays, 1, None)


def test_like_is_compared_with_like() -> None:
    by_section = {cell.section: cell for cell in cells.cells(["batches", "narrow"], [], [])}
    in_float = [name for name in peers.MODULES if cells.takes_part(name, by_section["batches"])]
    assert in_float == FLOATS
    narrow = cells.Cell("narrow", nets.CLASSIC, "digits", 1, 64)
    assert [name for name in peers.MODULES if cells.takes_part(name, narrow)] == [
        "nncore", "nncore uint8", *NARROW
    ]  # fmt: skip
    dense = narrow._replace(input="dense")
    assert not cells.takes_part("nncore uint8", dense)


def test_the_shipped_network_is_there_with_its_weights() -> None:
    weights, biases, activations = trained.load("shipped")
    assert [w.shape for w in weights] == [(784, 50), (50, 100), (100, 10)]
    assert [b.shape for b in biases] == [(50,), (100,), (10,)]
    assert activations == ["relu", "relu", "softmax"]


def test_a_worker_counts_right_and_changed_labels(tmp_path: Path) -> None:
    images = np.arange(3 * 784, dtype=np.uint32).astype(np.uint8).reshape(3, 784)
    cell = run.Cell("labels", nets.CLASSIC, "digits", 1, 3)
    files = run.Files(tmp_path)
    files.images = images
    order = files.order(cell)
    expected = np.load(order["expected"])
    np.save(tmp_path / "labels.npy", (expected.argmax(axis=1) + np.array([0, 0, 1])) % 10)
    order["labels"] = str(tmp_path / "labels.npy")
    task = worker.Task(order)
    assert task.count(expected) == [2, 0]
    wrong = expected.copy()
    wrong[0] = -expected[0]
    assert task.count(wrong) == [1, 1]


@pytest.mark.parametrize("net", nets.GRID[:5], ids=lambda net: net.name)
def test_arithmetic_in_bfloat16_would_be_noticed(net: nets.Net) -> None:
    weights, biases = nets.draw_weights(net)
    x = nets.dense_inputs(net, 8)
    expected = nets.reference(weights, biases, net.activations, x)
    low = nets.reference([bfloat16(w) for w in weights], biases, net.activations, bfloat16(x))
    with pytest.raises(ValueError, match="output differs from the reference by"):
        nets.check(low, expected, nets.tolerance(weights, expected))


def test_outputs_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("output has shape (2,), expected (3,)")):
        nets.check(np.zeros(2), np.zeros(3), 1.0)


def test_nan_is_not_within_tolerance() -> None:
    with pytest.raises(ValueError, match="differs from the reference by nan"):
        nets.check(np.array([np.nan]), np.zeros(1), 1.0)


def test_an_unknown_peer_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="peer must be one of nncore, nncore uint8, numpy"):
        peers.get("abacus")


def test_a_peer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(peers.MODULES, "abacus", "no_such_module")
    with pytest.raises(peers.Missing, match="abacus is not installed"):
        peers.get("abacus")


@pytest.mark.parametrize("cold", [False, True])
def test_samples_use_every_input_in_turn(cold: bool) -> None:
    seen: list[int] = []
    times = timing.samples(seen.append, [1, 2, 3], 0.01, cold)
    assert len(times) > 0
    assert min(times) > 0
    # A slow machine may find time for two cold calls only.
    assert len(seen) >= 2
    assert seen[:3] == [1, 2, 3][: len(seen)]


def test_every_network_of_the_grid_has_a_cell_for_each_batch() -> None:
    found = list(run.cells(["grid"], [], []))
    assert len(found) == sum(len(n.batches) * (2 if n.sizes[0] == 784 else 1) for n in nets.GRID)


def test_every_pool_holds_whole_batches() -> None:
    sections = ["batches", "grid", "narrow"]
    assert all(cell.rows % cell.batch == 0 for cell in run.cells(sections, [], []))


def test_folders_of_this_machine_do_not_reach_the_results() -> None:
    assert run.without_folders("no file /home/me/lib/x.so: gone") == "no file x.so: gone"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (1.234, "1.23 s"), (0.0456, "45.6 ms"), (1.5e-7, "150 ns"), (2e-10, "0.20 ns")],
)
def test_durations_have_three_figures(value: float | None, text: str) -> None:
    assert tables.duration(value) == text


def _cell(section: str, batch: int, ours: float, theirs: float) -> dict[str, Any]:
    return {
        "section": section,
        "net": nets.CLASSIC.name,
        "multiply_adds": nets.CLASSIC.multiply_adds,
        "weight_bytes": nets.CLASSIC.weight_bytes,
        "input": "digits",
        "batch": batch,
        "threads": 1,
        "limits": {"fma_peak": 1e11, "read_bandwidth": 1e11},
        "peers": {
            "nncore": {"setting": "call", "rounds": [ours] * 3},
            "numpy": {"setting": "plain", "rounds": [theirs] * 3},
            "litert": {"error": "the process died"},
        },
    }


def test_a_run_becomes_a_page_and_plots(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plots need matplotlib")
    record = {
        "date": "2026-01-02T03:04:05+00:00",
        "machine": {
            "processor": "a processor",
            "cpus": 1,
            "memory_gib": 1,
            "caches": {"L1": "32K"},
            "system": "Linux",
            "python": "3.11",
            "nncore_isa": "",
        },
        "temperature": "hot",
        "rounds": 3,
        "seconds": 0.01,
        "versions": {"numpy": "2.0"},
        "missing": {"jax": "jax is not installed"},
        "digits": "mnist",
        "cells": [
            _cell("batches", 1, 2e-6, 1e-5),
            _cell("batches", 100, 1e-4, 3e-4),
            _cell("grid", 1, 2e-6, 1e-5),
        ],
    }
    pictures = plots.draw(json.loads(json.dumps(record)), tmp_path)
    assert pictures == ["latency-1-thread.svg", "grid-1-thread.svg"]
    assert all("<svg" in (tmp_path / name).read_text() for name in pictures)
    page = report.page(record, pictures)
    assert "**Skipped**: jax: jax is not installed" in page
    assert "| 100 | 1.00 µs | 3.00 µs |" in page
    assert "| numpy 10.0 µs | 5.00 | 5.00 to 5.00 |" in page
    assert "geometric mean **5.00** over 1 cells, least 5.00; 0 cells" in page
    assert "litert failed on 784-50-100-10 sigmoid, 1: the process died" in page
