"""The command lines of the suite: what they take, what they keep, what they say when they stop."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from . import options, peers, report, run, summary, workers


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


@pytest.mark.usefixtures("no_peers_started")
def test_a_run_in_avx2_tells_nncore_and_the_peers_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in workers.AVX2:
        monkeypatch.setenv(name, "")
    path = tmp_path / "run.json"
    order = ["--sections", "narrow", "--batches", "1", "--threads", "1", "--output", str(path)]
    main_of(run, monkeypatch, *order, "--avx2")
    assert workers.environment(1)["NNCORE_ISA"] == "avx2"
    flags = workers.environment(2)["XLA_FLAGS"].split()
    assert flags == ["--xla_cpu_max_isa=AVX2", "--xla_cpu_multi_thread_eigen=true"]
    record = json.loads(path.read_text()) | {"machine": _machine(), "versions": {}, "cells": []}
    assert "Peers kept to AVX2: all that have a switch" in report.page(record, [])


@pytest.mark.usefixtures("no_peers_started")
def test_only_peers_that_a_cell_compares_are_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(run, "introduce", lambda worker, record: asked.append(worker.peer))
    order = ["--sections", "narrow", "--nets", "17-64-64-6", "--batches", "1", "--threads", "1"]
    main_of(run, monkeypatch, *order, "--output", str(tmp_path / "run.json"))
    assert "nncore int8" in asked
    assert "numpy" not in asked
    assert "nncore uint8" not in asked


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


def _machine() -> dict[str, Any]:
    """What a run says of its machine."""
    about = {"processor": "A Processor, family 6", "cpus": 1, "memory_gib": 1, "caches": {}}
    return about | {"system": "s", "python": "3.11", "nncore_isa": "", "nncore_int8": ""}


def _stored(folder: Path, **more: Any) -> Path:
    """A run of one cell of the grid, as a file."""
    rounds = {"nncore": [2e-6], "litert": [3e-6], "nncore int8": [1e-6], "litert int8": [4e-6]}
    cell = {"section": "grid", "net": "4-3 relu", "input": "dense", "batch": 1, "threads": 1}
    cell |= {"limits": {}, "multiply_adds": 12, "weight_bytes": 60, "weights": ""}
    section = more.pop("section", "grid")
    names = ["nncore", "litert"] if section == "grid" else ["nncore", "nncore int8", "litert int8"]
    cell |= {"section": section}
    cell["peers"] = {name: {"setting": "call", "rounds": rounds[name]} for name in names}
    record = {
        "date": "2026-01-02T03:04:05+00:00",
        "machine": _machine() | more.pop("machine", {}),
        "temperature": "hot",
        "rounds": 1,
        "seconds": 0.01,
        "versions": {},
        "missing": {"openvino bfloat16": "not on this CPU"},
        "digits": "",
        "cells": [cell],
    }
    path = folder / f"{section}.run"
    path.write_text(json.dumps(record | more))
    return path


def test_every_machine_has_a_page_and_all_stand_side_by_side(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="the plots need matplotlib")
    place = ["--folder", str(tmp_path)]
    main_of(report, monkeypatch, str(_stored(tmp_path)), *place)
    kept = _stored(tmp_path, machine={"nncore_isa": "avx2"})
    main_of(report, monkeypatch, str(kept), *place)
    other = _stored(tmp_path, section="narrow")
    main_of(report, monkeypatch, str(other), *place, "--machine", "other")
    pages = sorted(path.name for path in (tmp_path / "results").glob("*.md"))
    assert pages == ["a-processor-family-6-avx2.md", "a-processor-family-6.md", "other.md"]
    page = (tmp_path / "results" / "other.md").read_text()
    assert (
        "| 4-3 relu | dense | 1 | 1.00 µs | 2.00 µs | 2.00 | - | - | litert int8 4.00 µs | 4.00 |"
        in page
    )
    assert "**Skipped**: openvino bfloat16: not on this CPU" in page
    text = (tmp_path / "RESULTS.md").read_text()
    assert "nncore kept to avx2" in text
    assert "| network, input, batch | a-processor-family-6 | a-processor-family-6-avx2 |" in text
    assert "| 4-3 relu, dense, 1 | 1.50 | 1.50 |" in text
    assert "## Fewer bits, one thread" in text
    assert "| 4-3 relu, dense, 1 | 4.00 |" in text
    assert "nncore's float32 over its int8: least 2.00 of 1 cells" in text


def test_a_further_run_is_added_to_a_page_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="the plots need matplotlib")
    place = ["--folder", str(tmp_path), "--machine", "mine"]
    main_of(report, monkeypatch, str(_stored(tmp_path)), *place)
    more = _stored(tmp_path, section="narrow", date="2026-02-03")
    main_of(report, monkeypatch, str(more), *place, "--add")
    page = (tmp_path / "results" / "mine.md").read_text()
    assert page.startswith("# Results: mine\n")
    assert page.index("## The grid, one thread") < page.index("## A further run\n")
    assert "- Date: 2026-02-03" in page
    assert len(json.loads((tmp_path / "results" / "mine.json").read_text())["cells"]) == 2
    with pytest.raises(SystemExit):
        main_of(report, monkeypatch, str(more), *place, "--add")
    assert "mine has 'Fewer bits, one thread' already" in capsys.readouterr().err
    assert (tmp_path / "results" / "mine.md").read_text() == page


def test_the_committed_summary_is_that_of_the_committed_machines(tmp_path: Path) -> None:
    summary.write(target=tmp_path / "RESULTS.md")
    committed = summary.HERE / "RESULTS.md"
    assert (tmp_path / "RESULTS.md").read_text() == committed.read_text()


def test_every_blas_keeps_to_the_threads_that_the_results_name(threads: int) -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="it asks BLAS how many it uses")
    found = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    if not found:
        pytest.skip("threadpoolctl does not know this BLAS")
    assert {pool["num_threads"] for pool in found} == {threads}
