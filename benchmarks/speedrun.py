"""From a fresh Python to a network that reads MNIST: `python -m benchmarks.speedrun`.

Each seed is a process of its own, timed by the wall clock from before it is started until it has
said how many of the 10,000 test images it gets right: starting Python, importing, reading and
unzipping the files, training and testing are all in it. NNCORE_DATA_HOME names the folder with
MNIST's four files.

The settings were found by trials with the same test images and seeds: what is shown is how fast a
given accuracy can be had, not how well a network of this shape reads digits it was not chosen by.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from statistics import median
from time import perf_counter
from typing import NamedTuple

from .workers import cpus

THREADS = 2


class Run(NamedTuple):
    """How a network is trained whose goal is an accuracy."""

    hidden: tuple[int, ...]
    batch: int
    epochs: int
    rate: float  # the largest of the one-cycle schedule


RUNS = {
    97.4: Run((80,), 128, 3, 1e-2),
    98.0: Run((160,), 200, 4, 1.2e-2),
}
# What the fresh process runs: the library as anyone would use it.
CODE = """
import gzip, os, threading

def unzip(name):
    with open(os.path.join(os.environ["NNCORE_DATA_HOME"], name + "-ubyte.gz"), "rb") as file:
        files[name] = gzip.decompress(file.read())

# zlib works without the GIL: the files are unzipped while NumPy and nncore are imported, and the
# test images while the network learns.
files = {{}}
names = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"]
train, test = (
    threading.Thread(target=lambda pair: [unzip(name) for name in pair], args=[pair])
    for pair in (names[:2], names[2:])
)
train.start()

import numpy as np
import nncore

def arrays(pair):
    images, labels = (np.frombuffer(files[name], np.uint8) for name in pair)
    n = int.from_bytes(files[pair[0]][4:8], "big")
    return images[16:].reshape(n, 784), labels[8:]

hidden, batch, epochs, rate, seed = {settings}
sizes = [784, *hidden]
layers = [nncore.Dense(k, m, "relu") for k, m in zip(sizes, hidden)]
net = nncore.Network(
    [nncore.Rescaling(1 / 255), *layers, nncore.Dense(sizes[-1], 10, "softmax")], seed=seed
)
optimizer = nncore.Adam(nncore.OneCycle(rate))
train.join()
test.start()
net.fit(*arrays(names[:2]), epochs=epochs, batch_size=batch, seed=seed, optimizer=optimizer)
test.join()
images, labels = arrays(names[2:])
print(int((net.predict(images) == labels).sum()), flush=True)
"""


def attempt(settings: Run, seed: int) -> tuple[float, float]:
    """Per cent right and seconds of wall time, of a fresh process."""
    values = [*settings, seed]
    command = [sys.executable, "-c", CODE.format(settings=repr(values))]
    environment = dict(os.environ, NNCORE_NUM_THREADS=str(min(THREADS, len(cpus()))))
    began = perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = perf_counter() - began
    if process.returncode:
        raise SystemExit(f"the process of seed {seed} failed with {process.returncode}")
    return int(line) / 100, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--goals", type=float, nargs="+", default=list(RUNS), choices=list(RUNS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--settings", help="others, as JSON: [[80], 128, 3, 0.01] (for trials)")
    arguments = parser.parse_args()
    if not os.environ.get("NNCORE_DATA_HOME"):
        parser.error("NNCORE_DATA_HOME is not set: name the folder with MNIST's four files")
    for goal in arguments.goals:
        settings = Run(*json.loads(arguments.settings)) if arguments.settings else RUNS[goal]
        shape = "-".join(map(str, (784, *settings.hidden, 10)))
        threads = min(THREADS, len(cpus()))
        print(f"{goal} %: {shape}, batch {settings.batch}, {settings.epochs} epochs, "
              f"one cycle up to {settings.rate:g}, {threads} threads")  # fmt: skip
        accuracies, times = [], []
        for seed in range(arguments.seeds):
            accuracy, seconds = attempt(settings, seed)
            accuracies.append(accuracy)
            times.append(seconds)
            print(f"  seed {seed}: {accuracy:.2f} % in {seconds:.3f} s", flush=True)
        reached = sum(accuracy >= goal for accuracy in accuracies)
        print(f"  median {median(accuracies):.2f} % in {median(times):.3f} s; "
              f"{reached} of {len(times)} seeds reach {goal} %")  # fmt: skip


if __name__ == "__main__":
    main()
