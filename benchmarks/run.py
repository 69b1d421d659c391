"""Runs the comparison, peers taking turns, and stores it as JSON: `python -m benchmarks.run`."""

from __future__ import annotations

import datetime
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from . import data, machine, nets, peers, presence, trained
from . import options as command_line
from .cells import Cell, cells, labelled, takes_part
from .worker import LIMITS
from .workers import AVX2, Worker, cpus


class Files:
    """Weights, inputs and expected outputs on disk, from where every worker reads the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images: np.ndarray | None = None
        self.source = ""
        self._order: dict[tuple[str, str, int, str], dict[str, Any]] = {}

    def order(self, cell: Cell) -> dict[str, Any]:
        """Write what a cell needs, once, and return the part of the order that names it."""
        key = cell.net.name, cell.input, cell.rows, cell.weights
        if key not in self._order:
            self._order[key] = self._write(cell, self.folder / f"{len(self._order)}")
        return self._order[key] | {"batch": cell.batch}

    def _write(self, cell: Cell, folder: Path) -> dict[str, Any]:
        folder.mkdir()
        trained_arrays = trained.load(cell.weights) if cell.weights else None
        weights, biases = trained_arrays[:2] if trained_arrays else nets.draw_weights(cell.net)
        arrays: dict[str, Any] = {f"w{i}": w for i, w in enumerate(weights)}
        arrays |= {f"b{i}": b for i, b in enumerate(biases)}
        np.savez(folder / "net.npz", **arrays)
        order: dict[str, Any] = {"activations": cell.net.activations}
        order |= {"pixels": None, "labels": None}
        if cell.input == "digits":
            if self.images is None:
                self.images, self.source = data.digits()
            pixels = self.images[: cell.rows]
            np.save(folder / "pixels.npy", pixels)
            order["pixels"] = str(folder / "pixels.npy")
            x, samples = data.as_float32(pixels), data.as_float32(data.calibration())
        else:
            x = nets.dense_inputs(cell.net, cell.rows)
            samples = nets.dense_inputs(cell.net, data.SAMPLES, seed=7)
        np.save(folder / "x.npy", x)
        np.save(folder / "samples.npy", samples)
        if cell.weights:
            np.save(folder / "labels.npy", data.labels())
            order["labels"] = str(folder / "labels.npy")
        np.save(folder / "expected.npy", nets.reference(weights, biases, cell.net.activations, x))
        names = {"net": "net.npz", "x": "x.npy", "expected": "expected.npy"}
        names["samples"] = "samples.npy"
        return order | {key: str(folder / name) for key, name in names.items()}


def compare(
    cell: Cell, files: Files, workers: list[Worker], probe: Worker | None, options: Any
) -> dict[str, Any]:
    """Time one cell: every peer opens it, then they take turns, another one first each round."""
    order = files.order(cell)
    results: dict[str, dict[str, Any]] = {}
    racing: list[Worker] = []
    for worker in workers:
        if not takes_part(worker.peer, cell):
            continue
        answer = worker.ask(
            do="open", settings=[], seconds=options.seconds, cold=options.cold, **order
        )
        results[worker.peer] = answer
        if "error" not in answer and cell.section != "labels":
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
        if probe is not None and racing:
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
        "weights": cell.weights,
        "batch": cell.batch,
        "threads": workers[0].threads if workers else 0,
        "limits": limits,
        "peers": results,
    }


def without_folders(text: str) -> str:
    """Drop folders from the paths in a message: results are committed, machines are private."""
    return re.sub(r"/[^\s:)]*/", "", text)


def summary(result: dict[str, Any]) -> str:
    """One line for the terminal: the median microseconds, or the right labels, of every peer."""
    times = []
    for name, peer in result["peers"].items():
        if peer.get("rounds"):
            times.append(f"{name} {median(peer['rounds']) * 1e6:.2f}")
        elif "right" in peer:
            times.append(f"{name} {peer['right'][peer['setting']][0]} right")
    place = f"{result['net']}, {result['input']}, {result['batch']}, {result['threads']} thr."
    failures = [
        f"\n  FAILED {name}: {peer['error']}"
        for name, peer in result["peers"].items()
        if "error" in peer
    ]
    unit = "" if result["weights"] else " µs"
    return f"{place}: " + ", ".join(times) + unit + "".join(failures)


def introduce(worker: Worker, record: dict[str, Any]) -> bool:
    """Note a worker's version, or, if its peer is not there, say so and return False."""
    about = worker.ask(do="about")
    if "version" in about:
        record["versions"][worker.peer] = about["version"]
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
        "peers_kept_to": "avx2" if options.avx2 else "",
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
            wanted = list(cells(options.sections, options.nets, options.batches))
            if "labels" in options.sections and threads == options.threads[0]:
                wanted += labelled()
            names = [n for n in options.peers if any(takes_part(n, cell) for cell in wanted)]
            started = [Worker(name, threads) for name in [*names, LIMITS]]
            try:
                there = [worker for worker in started if introduce(worker, record)]
                workers = [worker for worker in there if worker.peer != LIMITS]
                probe = next((worker for worker in there if worker.peer == LIMITS), None)
                for cell in wanted:
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
    if options.avx2:
        os.environ.update(AVX2)
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
