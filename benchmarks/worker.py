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
        self.precision = peers.precision(name)
        inputs = {"float32": np.load(order["x"])}
        if order["pixels"] is not None:
            inputs["uint8"] = np.load(order["pixels"])
        self.expected = np.load(order["expected"])
        self.atol = nets.tolerance(weights, self.expected)
        labels = None if order.get("labels") is None else np.load(order["labels"])
        self.tried: dict[str, float | str] = {}
        self.right: dict[str, list[int]] = {}
        self.difference = 0.0
        candidates: dict[str, tuple[peers.Model, list[Any]]] = {}
        with tempfile.TemporaryDirectory() as folder:
            samples = np.load(order["samples"])
            peers.save(
                name, Path(folder), weights, biases, order["activations"], batch, samples
            )
            for setting in order["settings"] or peer.settings(threads):
                given = inputs.get(peers.takes(name, setting))
                if given is None:
                    continue
                try:
                    model = peer.load(Path(folder), threads, batch, setting)
                    candidates[setting] = model, self._check(model, given, batch)
                    if labels is not None:
                        self.right[setting] = self._count(*candidates[setting], labels)
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

    def _check(self, model: peers.Model, x: np.ndarray, batch: int) -> list[Any]:
        """Return the prepared inputs; all outputs have been compared with the reference."""
        inputs, outputs = [], []
        for start in range(0, len(x), batch):
            inputs.append(model.prepare(x[start : start + batch]))
            expected = self.expected[start : start + batch]
            # A copy: some peers hand out the same buffer in every call.
            y = np.array(model.to_numpy(model.call(inputs[-1])))
            if self.precision == "float32":
                self.difference = max(self.difference, nets.check(y, expected, self.atol))
            else:
                outputs.append(y.reshape(expected.shape))
        if outputs:
            error = nets.check_narrow(np.concatenate(outputs), self.expected, self.precision)
            self.difference = max(self.difference, error)
        return inputs

    def _count(self, model: peers.Model, inputs: list[Any], labels: np.ndarray) -> list[int]:
        """Return how many labels are right, and how many differ from the reference's."""
        found = np.concatenate(
            [np.array(model.to_numpy(model.call(x))).argmax(axis=-1).reshape(-1) for x in inputs]
        )
        changed = found != self.expected.argmax(axis=1)
        return [int((found == labels).sum()), int(changed.sum())]

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
