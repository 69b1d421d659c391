"""One process that runs one peer with one number of threads, told what to do line by line.

Started by `workers.py` as `python -m benchmarks.worker PEER THREADS`; reads JSON commands from
standard input and answers each with one line of JSON. Peers have thread pools, allocators and
global settings of their own; a process for each keeps them out of each other's way.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from . import nets, peers, timing

# The name under which the machine's own limits are measured, in turn with the peers.
LIMITS = "limits"


class Task:
    """What an order asks for: a network, its inputs, and what must come out."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.activations: list[str] = order["activations"]
        self.batch: int = order["batch"]
        with np.load(order["net"]) as file:
            layers = range(len(self.activations))
            self.weights = [file[f"w{i}"] for i in layers]
            self.biases = [file[f"b{i}"] for i in layers]
        self.inputs = {"float32": np.load(order["x"])}
        if order["pixels"] is not None:
            self.inputs["uint8"] = np.load(order["pixels"])
        self.samples = np.load(order["samples"])
        self.expected = np.load(order["expected"])
        self.labels = None if order["labels"] is None else np.load(order["labels"])

    def check(self, y: np.ndarray, precision: str) -> float:
        """Compare all outputs with the reference; return how far they are from it."""
        if precision == "float32":
            return nets.check(y, self.expected, nets.tolerance(self.weights, self.expected))
        return nets.check_narrow(y, self.expected, precision)

    def count(self, y: np.ndarray) -> list[int]:
        """Return how many labels are right, and how many differ from the reference's."""
        found = y.argmax(axis=1)
        changed = found != self.expected.argmax(axis=1)
        return [int((found == self.labels).sum()), int(changed.sum())]


class Cell:
    """One network, batch and input, loaded in the best of a peer's settings."""

    def __init__(self, name: str, threads: int, order: dict[str, Any]) -> None:
        peer, task, self.cold = peers.get(name), Task(order), order["cold"]
        self.tried: dict[str, float | str] = {}
        self.right: dict[str, list[int]] = {}
        self.difference = 0.0
        candidates: dict[str, tuple[peers.Model, list[Any]]] = {}
        with tempfile.TemporaryDirectory() as folder:
            arrays = task.weights, task.biases, task.activations
            peers.save(name, Path(folder), *arrays, task.batch, task.samples)
            for setting in order["settings"] or peer.settings(threads):
                x = task.inputs.get(peers.takes(name, setting))
                if x is None:
                    continue
                try:
                    model = peer.load(Path(folder), threads, task.batch, setting)
                    inputs, y = _first_pass(model, x, task)
                    # Outputs first, speed later: all of them, in each setting.
                    difference = task.check(y, peers.precision(name))
                    self.difference = max(self.difference, difference)
                    if task.labels is not None:
                        self.right[setting] = task.count(y)
                    candidates[setting] = model, inputs
                except Exception as error:
                    self.tried[setting] = f"{type(error).__name__}: {error}"
        if not candidates:
            raise RuntimeError("; ".join(f"{k}: {v}" for k, v in self.tried.items()))
        passes: dict[str, list[float]] = {setting: [] for setting in candidates}
        for _ in range(2 if len(candidates) > 1 else 0):
            for setting, (model, inputs) in candidates.items():
                slice_seconds = order["seconds"] / 2
                passes[setting].append(
                    median(timing.samples(model.call, inputs, slice_seconds, self.cold))
                )
        self.tried |= {setting: min(times) for setting, times in passes.items() if times}
        self.setting = min(candidates, key=lambda setting: min(passes[setting], default=0.0))
        self.model, self.inputs = candidates[self.setting]

    def measure(self, seconds: float) -> float:
        """Return the median seconds of a call."""
        return median(timing.samples(self.model.call, self.inputs, seconds, self.cold))


def _first_pass(model: peers.Model, x: np.ndarray, task: Task) -> tuple[list[Any], np.ndarray]:
    """Return the prepared batches of `x`, and all outputs (n, m)."""
    batches = [x[start : start + task.batch] for start in range(0, len(x), task.batch)]
    inputs = [model.prepare(batch) for batch in batches]
    # Copies: some peers hand out the same buffer in every call.
    outputs = [np.array(model.to_numpy(model.call(prepared))) for prepared in inputs]
    return inputs, np.concatenate([y.reshape(-1, task.expected.shape[1]) for y in outputs])


def main() -> None:
    """Serve until standard input ends."""
    name, threads = sys.argv[1], int(sys.argv[2])
    # Libraries print to standard output; the answers keep it for themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    probe = cell = None
    for line in sys.stdin:
        order = json.loads(line)
        try:
            if order["do"] == "about":
                if name == LIMITS:
                    from .limits import Probe

                    probe = Probe(threads)
                    answer: dict[str, Any] = {"version": f"{32 * probe.lanes}-bit vectors"}
                else:
                    answer = {"version": peers.version(name)}
            elif order["do"] == "open":
                cell = None
                cell = Cell(name, threads, order)
                answer = {
                    "setting": cell.setting,
                    "tried": cell.tried,
                    "difference": cell.difference,
                }
                if cell.right:
                    answer["right"] = cell.right
            elif order["do"] == "measure" and cell is not None:
                answer = {"seconds": cell.measure(order["seconds"])}
            elif order["do"] == "probe" and probe is not None:
                answer = {
                    "fma_peak": probe.fma_peak(),
                    "read_bandwidth": probe.read_bandwidth(order["weight_bytes"]),
                }
            else:
                raise ValueError(f"{name} cannot {order['do']} now")
        except peers.Missing as error:
            answer = {"missing": str(error)}
        except Exception as error:
            if os.environ.get("NNCORE_BENCH_DEBUG"):
                traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
