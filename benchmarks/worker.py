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


class Cell:
    """One network, batch and input, loaded in the best of a peer's settings."""

    def __init__(self, name: str, threads: int, order: dict[str, Any]) -> None:
        peer = peers.get(name)
        batch, self.cold = order["batch"], order["cold"]
        with np.load(order["net"]) as file:
            layers = range(len(order["activations"]))
            weights = [file[f"w{i}"] for i in layers]
            biases = [file[f"b{i}"] for i in layers]
        x = np.load(order["pixels"] if peer.INPUT == "uint8" else order["x"])
        expected = np.load(order["expected"])
        atol = nets.tolerance(weights, expected)
        self.tried: dict[str, float | str] = {}
        self.difference = 0.0
        candidates: dict[str, tuple[peers.Model, list[Any]]] = {}
        with tempfile.TemporaryDirectory() as folder:
            peer.save(Path(folder), weights, biases, order["activations"], batch)
            for setting in order["settings"] or peer.settings(threads):
                try:
                    model = peer.load(Path(folder), threads, batch, setting)
                    inputs = []
                    for start in range(0, len(x), batch):
                        prepared = model.prepare(x[start : start + batch])
                        # Outputs first, speed later: all of them, in each setting.
                        y = model.to_numpy(model.call(prepared))
                        error = nets.check(y, expected[start : start + batch], atol)
                        self.difference = max(self.difference, error)
                        inputs.append(prepared)
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
                    answer = {"version": peers.version(name), "input": peers.get(name).INPUT}
            elif order["do"] == "open":
                cell = None
                cell = Cell(name, threads, order)
                answer = {
                    "setting": cell.setting,
                    "tried": cell.tried,
                    "difference": cell.difference,
                }
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
