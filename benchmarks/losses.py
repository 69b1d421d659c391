"""What int8 costs in accuracy, over 20 trained networks: `python -m benchmarks.losses`.

Ten shapes with two seeds each learn MNIST for a few epochs, and every int8 peer quantises them
with the same 500 training images, in the plainest of its settings. NNCORE_DATA_HOME names the
folder with MNIST's four files. Writes EIGHT_BITS.md; nncore's columns are the same on every
machine.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np

import nncore
from nncore.datasets import load_mnist

from . import data, peers
from .tables import table

HERE = Path(__file__).parent
INT8 = [name for name in peers.MODULES if peers.precision(name) == "int8"]
BATCH = 1000


class Shape(NamedTuple):
    """A network to train: its hidden layers and their activation."""

    hidden: tuple[int, ...]
    activation: str

    @property
    def name(self) -> str:
        """`784-50-100-10 sigmoid`."""
        return "-".join(map(str, (784, *self.hidden, 10))) + " " + self.activation


SHAPES = (
    Shape((16,), "relu"),
    Shape((100,), "sigmoid"),
    Shape((200,), "tanh"),
    Shape((50, 100), "sigmoid"),
    Shape((50, 100), "relu"),
    Shape((64, 64), "tanh"),
    Shape((128, 64), "relu"),
    Shape((300, 100), "relu"),
    Shape((64, 64, 64, 64), "relu"),
    Shape((512, 512), "relu"),
)
# Right and changed labels of 10,000.
Count = tuple[int, int]


def train(shape: Shape, seed: int, x: np.ndarray, t: np.ndarray, epochs: int) -> Any:
    """Return a network that learned from images (n, 784), float32 in [0, 1]."""
    sizes = (784, *shape.hidden)
    layers = [nncore.Dense(k, m, shape.activation) for k, m in zip(sizes, shape.hidden)]  # noqa: B905
    net = nncore.Network([*layers, nncore.Dense(sizes[-1], 10, "softmax")], seed=seed)
    net.fit(x, t, epochs=epochs, batch_size=128, seed=seed, optimizer=nncore.Adam(1e-3))
    return net


def predicted(name: str, net: Any, x: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Return the labels (n,) that a peer finds for `x` (n, 784) with the quantised network."""
    weights = [np.array(layer.weights) for layer in net.layers]
    biases = [np.array(layer.bias) for layer in net.layers]
    activations = [layer.activation for layer in net.layers]
    model = peers.build(name, weights, biases, activations, 1, BATCH, samples=samples)
    found = []
    for start in range(0, len(x), BATCH):
        y = model.to_numpy(model.call(model.prepare(x[start : start + BATCH])))
        found.append(np.array(y).argmax(axis=1))
    return np.concatenate(found)


def count(labels: np.ndarray, plain: np.ndarray, t: np.ndarray) -> Count:
    """Return how many labels are right, and how many differ from float32's."""
    return int((labels == t).sum()), int((labels != plain).sum())


def page(rows: list[tuple[str, int, dict[str, Count]]], names: list[str], epochs: int) -> str:
    """Return the page: a row a network, the mean loss of each peer in points at the end."""
    cells = [
        [name, str(right), *(f"{found[peer][0]} ({found[peer][1]})" for peer in names)]
        for name, right, found in rows
    ]
    losses = {peer: [(right - found[peer][0]) / 100 for _, right, found in rows] for peer in names}
    for title, statistic in (("mean loss, points", mean), ("largest loss, points", max)):
        cells.append([f"**{title}**", "", *(f"**{statistic(losses[p]):.3f}**" for p in names)])
    changed = [mean(found[peer][1] for _, _, found in rows) for peer in names]
    cells.append(["**changed labels, mean**", "", *(f"**{number:.1f}**" for number in changed)])
    versions = ", ".join(f"{peer} {peers.version(peer)}" for peer in names)
    return "\n".join(
        [
            "# What eight bits cost",
            "",
            "Written by `python -m benchmarks.losses`: how many of MNIST's 10,000 test images are "
            "right in float32 and in int8, and in brackets how many labels changed. "
            f"{len(rows)} networks "
            f"after {epochs} epochs; every library quantised them with the same {data.SAMPLES} "
            "training images, in the plainest of its settings. A point is 100 images.",
            "",
            f"Versions: {versions}",
            "",
            *table(["network, seed", "float32", *names], cells),
        ]
    )


def main() -> None:
    """Train, quantise, count, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.losses", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="networks of each shape (default: 2)")
    parser.add_argument("--epochs", type=int, default=4, help="epochs of training (default: 4)")
    parser.add_argument("--shapes", type=int, default=len(SHAPES), help="the first N shapes alone")
    parser.add_argument("--output", type=Path, default=HERE / "EIGHT_BITS.md")
    options = parser.parse_args()
    home = os.environ.get("NNCORE_DATA_HOME")
    if not home:
        parser.error("NNCORE_DATA_HOME is not set: name the folder with MNIST's four files")
    (x, t), (x_test, t_test) = load_mnist(normalize=True, data_home=home, download=False)
    samples, names, rows = data.as_float32(data.calibration()), [], []
    for name in INT8:
        with contextlib.suppress(peers.Missing):
            peers.get(name)
            names.append(name)
    for shape in SHAPES[: options.shapes]:
        for seed in range(options.seeds):
            net = train(shape, seed, x, t, options.epochs)
            plain = net.predict(x_test)
            found = {
                name: count(predicted(name, net, x_test, samples), plain, t_test) for name in names
            }
            rows.append((f"{shape.name}, {seed}", int((plain == t_test).sum()), found))
            print(rows[-1], flush=True)
    options.output.write_text(page(rows, names, options.epochs).rstrip() + "\n")
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
