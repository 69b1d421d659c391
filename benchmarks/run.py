"""Runs the comparison, peers taking turns, and stores it as JSON: `python -m benchmarks.run`."""

from __future__ import annotations

import datetime
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from . import data, machine, nets, peers, presence
from . import options as command_line
from .worker import LIMITS
from .workers import Worker, cpus

BATCHES = (1, 2, 8, 32, 100, 1000, 10_000)


class Cell(NamedTuple):
    """One line of the result: a network, its input and a batch size."""

    section: str
    net: nets.Net
    input: str
    batch: int
    # Samples in the pool from which the batches are cut.
    rows: int


def cells(sections: list[str], names: list[str], batches: list[int]) -> Iterator[Cell]:
    """Yield the cells asked for; an empty list of names or batches means all."""
    if "batches" in sections and (not names or nets.CLASSIC.name in names):
        for batch in BATCHES:
            if not batches or batch in batches:
                # All images, so that batches stream through the caches as they do in use;
                # whole batches only, because several peers are told a fixed size.
                rows = data.IMAGES // batch * batch
                yield Cell("batches", nets.CLASSIC, "digits", batch, rows)
    if "grid" in sections:
        for net in nets.GRID:
            if names and net.name not in names:
                continue
            for kind in ("dense", "digits") if net.sizes[0] == 784 else ("dense",):
                for batch in net.batches:
                    if not batches or batch in batches:
                        # Several batches in turn, few enough to stay in the caches.
                        yield Cell("grid", net, kind, batch, batch * max(2, min(64, 256 // batch)))


class Files:
    """Weights, inputs and expected outputs on disk, from where every worker reads the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images: np.ndarray | None = None
        self.source = ""
        self._order: dict[tuple[str, str, int], dict[str, Any]] = {}

    def order(self, cell: Cell) -> dict[str, Any]:
        """Write what a cell needs, once, and return the part of the order that names it."""
        key = cell.net.name, cell.input, cell.rows
        if key not in self._order:
            self._order[key] = self._write(cell, self.folder / f"{len(self._order)}")
        return self._order[key] | {"batch": cell.batch}

    def _write(self, cell: Cell, folder: Path) -> dict[str, Any]:
        folder.mkdir()
        weights, biases = nets.draw_weights(cell.net)
        arrays: dict[str, Any] = {f"w{i}": w for i, w in enumerate(weights)}
        arrays |= {f"b{i}": b for i, b in enumerate(biases)}
        np.savez(folder / "net.npz", **arrays)
        order: dict[str, Any] = {"activations": cell.net.activations, "pixels": None}
        if cell.input == "digits":
            if self.images is None:
                self.images, self.source = data.digits()
            pixels = self.images[: cell.rows]
            np.save(folder / "pixels.npy", pixels)
            order["pixels"] = str(folder / "pixels.npy")
            x = data.as_float32(pixels)
        else:
            x = nets.dense_inputs(cell.net, cell.rows)
        np.save(folder / "x.npy", x)
        np.save(folder / "expected.npy", nets.reference(weights, biases, cell.net.activations, x))
        names = {"net": "net.npz", "x": "x.npy", "expected": "expected.npy"}
        return order | {key: str(folder / name) for key, name in names.items()}


def compare(
    cell: Cell, files: Files, workers: list[Worker], probe: Worker | None, options: Any
) -> dict[str, Any]:
    """Time one cell: every peer opens it, then they take turns, another one first each round."""
    order = files.order(cell)
    results: dict[str, dict[str, Any]] = {}
    racing: list[Worker] = []
    for worker in workers:
        if worker.input == "uint8" and order["pixels"] is None:
            continue
        answer = worker.ask(
            do="open", settings=[], seconds=options.seconds, cold=options.cold, **order
        )
        results[worker.peer] = answer
        if "error" not in answer:
            answer["rounds"] = []
            racing.append(worker)
    limits: dict[str, float] = {}
    for turn in range(options.rounds):
        shift = turn % max(1, len(racing))
        for worker in racing[shift:] + racing[:shift]:
            answer = worker.ask(do="measure", seconds=options.seconds)
            if "error" in answer:
                results[worker.peer] = answer
            elif "rounds" in results[worker.peer]:
                results[worker.peer]["rounds"].append(answer["seconds"])
        if probe is not None:
            # A limit is what the machine reached at its best.
            answer = probe.ask(do="probe", weight_bytes=cell.net.weight_bytes)
            for key, value in answer.items() if "error" not in answer else ():
                limits[key] = max(limits.get(key, 0.0), value)
    for peer in results.values():
        if "error" in peer:
            peer["error"] = without_folders(peer["error"])
    return {
        "section": cell.section,
        "net": cell.net.name,
        "multiply_adds": cell.net.multiply_adds,
        "weight_bytes": cell.net.weight_bytes,
        "input": cell.input,
        "batch": cell.batch,
        "threads": workers[0].threads if workers else 0,
        "limits": limits,
        "peers": results,
    }


def without_folders(text: str) -> str:
    """Drop folders from the paths in a message: results are committed, machines are private."""
    return re.sub(r"/[^\s:)]*/", "", text)


def summary(result: dict[str, Any]) -> str:
    """One line for the terminal: the median microseconds of every peer."""
    times = []
    for name, peer in result["peers"].items():
        if peer.get("rounds"):
            times.append(f"{name} {median(peer['rounds']) * 1e6:.1f}")
    place = f"{result['net']}, {result['input']}, {result['batch']}, {result['threads']} thr."
    failures = [
        f"\n  FAILED {name}: {peer['error']}"
        for name, peer in result["peers"].items()
        if "error" in peer
    ]
    return f"{place}: " + ", ".join(times) + " µs" + "".join(failures)


def introduce(worker: Worker, record: dict[str, Any]) -> bool:
    """Note a worker's version, or, if its peer is not there, say so and return False."""
    about = worker.ask(do="about")
    if "version" in about:
        record["versions"][worker.peer] = about["version"]
        worker.input = about.get("input", worker.input)
        return True
    reason = without_folders(about.get("missing") or about["error"])
    record["missing"][worker.peer] = reason
    print(f"SKIPPED {worker.peer}: {reason}", file=sys.stderr)
    return False


def save(record: dict[str, Any], path: Path) -> None:
    """Write the run so far; whoever reads the file meets a whole one, whenever that is."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(record, indent=1) + "\n")
    beside.replace(path)


def new_record(options: Any) -> dict[str, Any]:
    """What is known before anything has run."""
    return {
        "format": 1,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "temperature": "cold" if options.cold else "hot",
        "rounds": options.rounds,
        "seconds": options.seconds,
        "versions": {},
        "missing": {},
        "digits": "",
        "cells": [],
    }


def run(record: dict[str, Any], options: Any) -> None:
    """Run all that `options` asks for; add it to `record` and store that after each cell."""
    with tempfile.TemporaryDirectory() as folder:
        files = Files(Path(folder))
        for threads in options.threads:
            started = [Worker(name, threads) for name in [*options.peers, LIMITS]]
            try:
                there = [worker for worker in started if introduce(worker, record)]
                workers = [worker for worker in there if worker.peer != LIMITS]
                probe = next((worker for worker in there if worker.peer == LIMITS), None)
                for cell in cells(options.sections, options.nets, options.batches):
                    result = compare(cell, files, workers, probe, options)
                    record["cells"].append(result)
                    record["digits"] = files.source
                    save(record, options.output)
                    print(summary(result), file=sys.stderr)
            finally:
                for worker in started:
                    worker.stop()
    if "presence" in options.sections:
        print("presence: import, memory, disk, start, idle CPU ...", file=sys.stderr)
        record["presence"] = presence.measure(options.peers, max(3, options.rounds))
        save(record, options.output)


def main() -> None:
    """Parse the command line and run."""
    parser = command_line.parser()
    options = parser.parse_args()
    options.peers = options.peers or list(peers.MODULES)
    options.threads = options.threads or sorted({1, len(cpus())})
    if not options.output.parent.is_dir():
        parser.error(f"--output {options.output}: no such folder")
    if any(name in options.peers for name in peers.OURS):
        try:
            peers.require_nncore()
        except peers.Missing as error:
            parser.exit(1, f"{error}\nwithout nncore: --peers numpy onnxruntime ...\n")
    record = new_record(options)
    try:
        run(record, options)
    except KeyboardInterrupt:
        kept = f"{len(record['cells'])} cells are in {options.output}"
        parser.exit(130, f"stopped; {kept if record['cells'] else 'no cell was finished'}\n")
    if not record["cells"] and "presence" not in record:
        parser.exit(1, "nothing was run: no section has these networks and batches\n")
    print(f"wrote {options.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
