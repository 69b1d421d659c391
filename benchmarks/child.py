"""What a process of its own does for presence.py; imports little, because its start is timed."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import numpy as np

from . import nets, peers

NET = nets.CLASSIC


def run(task: str, name: str, folder: str, threads: str) -> None:
    """Do `save`, `first` or `idle` for one peer and print the answer on the last line."""
    {"save": _save, "first": _first, "idle": _idle}[task](name, Path(folder), int(threads))


def _save(name: str, folder: Path, threads: int) -> None:
    """Write the models that the other two read, and print the peer's size on disk."""
    import json

    from .presence import disk

    peer = peers.get(name)
    weights, biases = nets.draw_weights(NET)
    for batch in (1, 1000):
        (folder / f"{batch}").mkdir()
        peer.save(folder / f"{batch}", weights, biases, NET.activations, batch)
    print(json.dumps(disk(peer.DISTRIBUTION)))


def _load(name: str, folder: Path, threads: int, batch: int) -> tuple[peers.Model, object]:
    peer = peers.get(name)
    model = peer.load(folder / f"{batch}", threads, batch, peer.settings(threads)[0])
    prepared = model.prepare(np.full((batch, NET.sizes[0]), 0.5, np.float32))
    model.to_numpy(model.call(prepared))
    return model, prepared


def _first(name: str, folder: Path, threads: int) -> None:
    """Print the system's monotonic clock after the first prediction."""
    _load(name, folder, threads, 1)
    print(monotonic())


def _idle(name: str, folder: Path, threads: int) -> None:
    """Work for a moment, rest for a second, and print the CPU seconds of the rest."""
    import json
    import time

    import psutil

    model, prepared = _load(name, folder, threads, 1000)
    end = monotonic() + 0.2
    while monotonic() < end:
        model.call(prepared)
    # CPU time of the whole process, all its threads, while its main thread sleeps.
    before = time.process_time()
    time.sleep(1.0)
    print(json.dumps([time.process_time() - before, psutil.Process().num_threads()]))
