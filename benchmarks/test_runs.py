"""The command lines of the suite: what they take, what they keep, what they say when they stop."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from . import options, peers, report, run


@pytest.fixture
def no_peers_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells without times, and no process for them."""
    monkeypatch.setattr(run, "introduce", lambda worker, record: True)
    monkeypatch.setattr(run.machine, "describe", dict)

    def compare(cell: run.Cell, *_: Any) -> dict[str, Any]:
        return {"net": cell.net.name, "batch": cell.batch}

    monkeypatch.setattr(run, "compare", compare)
    monkeypatch.setattr(run, "summary", str)


def main_of(module: Any, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Run `module.main()` with a command line."""
    monkeypatch.setattr(sys, "argv", ["prog", *arguments])
    module.main()


@pytest.mark.parametrize("text", ["4-120-84-2", "4-120-84-2 relu"])
def test_a_network_is_named_by_its_sizes_or_in_full(text: str) -> None:
    assert options.parser().parse_args(["--nets", text]).nets == ["4-120-84-2 relu"]


def test_an_unknown_network_is_an_error_that_lists_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        options.parser().parse_args(["--nets", "4-120"])
    assert "network must be one of 4-120-84-2 relu, 17-64-64-6 tanh" in capsys.readouterr().err


def test_help_names_every_peer_and_network() -> None:
    text = options.parser().format_help()
    assert all(f'"{name}"' in text for name in [*peers.MODULES, "4-120-84-2 relu"])


@pytest.mark.usefixtures("no_peers_started")
def test_a_run_that_is_stopped_keeps_its_cells(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare, path = run.compare, tmp_path / "run.json"

    def compare_and_stop(cell: run.Cell, *rest: Any) -> dict[str, Any]:
        if cell.batch == 32:
            raise KeyboardInterrupt
        return compare(cell, *rest)

    monkeypatch.setattr(run, "compare", compare_and_stop)
    with pytest.raises(SystemExit) as stop:
        main_of(run, monkeypatch, "--sections", "grid", "--threads", "1", "--output", str(path))
    assert stop.value.code == 130
    assert f"stopped; 2 cells are in {path}" in capsys.readouterr().err
    assert [cell["batch"] for cell in json.loads(path.read_text())["cells"]] == [1, 8]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("no_peers_started")
def test_a_run_of_nothing_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.json"
    with pytest.raises(SystemExit):
        main_of(run, monkeypatch, "--sections", "grid", "--batches", "3", "--output", str(path))
    assert "nothing was run: no section has these networks" in capsys.readouterr().err
    assert not path.exists()


def test_a_run_without_an_nncore_that_works_stops_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "nncore", None)
    with pytest.raises(SystemExit):
        main_of(run, monkeypatch, "--peers", "nncore", "numpy")
    error = capsys.readouterr().err
    assert "nncore, with which all is compared, cannot be imported" in error
    assert 'pip install -e ".[bench]"' in error


def test_a_report_without_a_run_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main_of(report, monkeypatch, str(tmp_path / "none.json"))
    expected = f"no run in {tmp_path / 'none.json'}: python -m benchmarks.run writes one\n"
    assert capsys.readouterr().err == expected


def test_a_report_of_something_else_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.json").write_text("[")
    with pytest.raises(SystemExit):
        main_of(report, monkeypatch, str(tmp_path / "run.json"))
    error = capsys.readouterr().err
    assert "run.json is not a run of python -m benchmarks.run: Expecting value" in error
    assert error.count("\n") == 1


def test_a_report_of_a_part_leaves_out_what_was_not_there() -> None:
    about = {"processor": "p", "cpus": 1, "memory_gib": 1, "caches": {}, "system": "s"}
    record = {
        "date": "2026-01-02T03:04:05+00:00",
        "machine": about | {"python": "3.11", "nncore_isa": ""},
        "temperature": "hot",
        "rounds": 3,
        "seconds": 0.01,
        "versions": {"numpy": "2.0", "limits": "512-bit vectors"},
        "missing": {},
        "digits": "",
        "cells": [],
    }
    page = report.page(record, [])
    assert "- Versions: numpy 2.0\n- Limits: measured with 512-bit vectors\n- Weights" in page
    assert "Images" not in page


def test_every_blas_keeps_to_the_threads_that_the_results_name(threads: int) -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="it asks BLAS how many it uses")
    found = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    if not found:
        pytest.skip("threadpoolctl does not know this BLAS")
    assert {pool["num_threads"] for pool in found} == {threads}
