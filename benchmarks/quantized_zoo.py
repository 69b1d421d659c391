"""What eight bits cost: twenty networks, trained here, before and after `nncore.quantize`.

Run: python -m benchmarks.quantized_zoo [--samples 300] [--draws 10] [--outlier 1] [--output FILE]

The networks differ in data, sizes, activations and what stands in front. Each is quantized by every
method, with calibration samples drawn from those it was trained with, and measured on others. The
loss is in points: of accuracy in percent, or of 100 R^2 where the network estimates numbers. The
error is that of the logits, root mean square, in percent of their standard deviation. Needs
scikit-learn for its data; `NNCORE_DATA_HOME` names the folder with MNIST's files, else digits that
nncore draws take their place.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import nncore

METHODS = ("minmax", "percentile", "mse")
PIXELS = nncore.Rescaling(1 / 255)


class Data(NamedTuple):
    """Samples and targets to learn from, and others to measure with."""

    name: str
    x: Any
    t: Any
    x_test: Any
    t_test: Any


class Trained(NamedTuple):
    """A network, what it was trained with, and how well it does."""

    name: str
    net: Any
    data: Data


class Result(NamedTuple):
    """Of one network and one method, the mean over the draws of calibration samples."""

    loss: float  # points
    error: float  # percent
    changed: float  # percent of the labels


def digits_28() -> Data:
    """MNIST, or drawn digits where it is not there."""
    try:
        train, test = nncore.datasets.load_mnist(normalize=False)
    except OSError:
        return drawn()
    return Data("MNIST", *train, *test)


def drawn() -> Data:
    """Digits that nncore draws."""
    train = nncore.datasets.make_digits(12_000, seed=1)
    return Data("drawn digits", *train, *nncore.datasets.make_digits(10_000, seed=2))


def halves(name: str, x: Any, t: Any) -> Data:
    """Every other sample, shuffled, to learn from."""
    order = np.random.default_rng(0).permutation(len(x))
    x, t = np.asarray(x, np.float32)[order], np.asarray(t)[order]
    return Data(name, x[::2], t[::2], x[1::2], t[1::2])


def numbers(name: str, x: Any, t: Any) -> Data:
    """The same for targets that are numbers, standardised."""
    t = (t - t.mean()) / t.std()
    return halves(name, x, t.astype(np.float32))


def standardised(data: Data) -> nncore.Normalization:
    """The layer that standardises the features as those to learn from."""
    std = data.x.std(axis=0)
    return nncore.Normalization(data.x.mean(axis=0), np.where(std > 0, std, 1))


def train(
    data: Data,
    hidden: tuple[int, ...],
    activation: str,
    front: Any = None,
    last: str = "softmax",
    *,
    epochs: int = 10,
    rate: float = 2e-3,
    batch_size: int = 100,
) -> Trained:
    """Return a network that has learned the data."""
    outputs = int(data.t.max()) + 1 if last == "softmax" else 1
    sizes = (data.x.shape[1], *hidden, outputs)
    names = [activation] * len(hidden) + [last]
    pairs = zip(itertools.pairwise(sizes), names, strict=True)
    dense = [nncore.Dense(k, m, name) for (k, m), name in pairs]
    net = nncore.Network([*([] if front is None else [front]), *dense], seed=0)
    optimizer = nncore.Adam(nncore.OneCycle(rate))
    net.fit(data.x, data.t, epochs=epochs, batch_size=batch_size, optimizer=optimizer)
    shape = "-".join(map(str, sizes))
    return Trained(f"{data.name} {shape} {activation}", net, data)


def zoo() -> Iterator[Trained]:
    """The twenty networks."""
    from sklearn import datasets

    mnist, digits = digits_28(), drawn()
    yield train(mnist, (50, 100), "sigmoid", PIXELS)
    yield train(mnist, (128,), "relu", PIXELS)
    yield train(mnist, (300, 100), "relu", PIXELS)
    yield train(mnist, (100, 100), "tanh", PIXELS)
    yield train(mnist, (64, 64, 64), "leaky_relu", PIXELS)
    yield train(mnist, (100, 50), "gelu", PIXELS)
    yield train(mnist, (100, 50), "silu", PIXELS)
    yield train(mnist, (100, 50), "elu", PIXELS)
    yield train(mnist, (50, 50, 50, 50), "selu", PIXELS)
    yield train(mnist, (100, 50), "mish", nncore.Rescaling(1 / 127.5, offset=-1))
    yield train(digits, (32,), "relu6", PIXELS)
    yield train(digits, (64, 32), "softplus", PIXELS)
    floats = digits._replace(
        name="drawn digits / 255",
        x=digits.x / np.float32(255), x_test=digits.x_test / np.float32(255),
    )  # fmt: skip
    yield train(floats, (64, 32), "hard_swish")
    small = halves("8x8 digits", *datasets.load_digits(return_X_y=True))
    yield train(small, (64, 64), "relu", nncore.Rescaling(1 / 16), epochs=60)
    for name, load, hidden, activation in (
        ("cancer", datasets.load_breast_cancer, (32, 16), "relu"),
        ("wine", datasets.load_wine, (16,), "tanh"),
        ("iris", datasets.load_iris, (8,), "sigmoid"),
    ):
        table = halves(name, *load(return_X_y=True))
        front = standardised(table)
        yield train(table, hidden, activation, front, epochs=100, rate=1e-2, batch_size=16)
    made = halves(
        "20 features",
        *datasets.make_classification(20_000, 20, n_informative=10, n_classes=4, random_state=0),
    )
    yield train(made, (64, 32), "gelu_tanh", standardised(made), epochs=30)
    friedman = numbers("friedman", *datasets.make_friedman1(20_000, random_state=0))
    yield train(friedman, (64, 32), "silu", None, "identity", epochs=30)
    diabetes = numbers("diabetes", *datasets.load_diabetes(return_X_y=True))
    yield train(diabetes, (16,), "softsign", standardised(diabetes), "identity", epochs=40)


def score(net: Any, data: Data) -> float:
    """Accuracy in percent, or 100 R^2 where the network estimates numbers."""
    y, t = net.predict(data.x_test), data.t_test
    if y.dtype == np.int64:
        return 100 * float((y == t).mean())
    return 100 * (1 - float(((y.ravel() - t) ** 2).mean() / t.var()))


def measure(trained: Trained, method: str, options: argparse.Namespace) -> Result:
    """Quantize a network by one method, several times, and compare."""
    _, net, data = trained
    wanted, labels, before = net.logits(data.x_test), net.predict(data.x_test), score(net, data)
    found = []
    for draw in range(options.draws):
        rows = np.random.default_rng(draw).permutation(len(data.x))[: options.samples]
        samples = data.x[rows]
        if options.outlier != 1:
            samples = samples.astype(np.float32)
            samples[0] *= options.outlier
        quantized = nncore.quantize(net, samples, method=method)
        z = quantized.logits(data.x_test)
        error = np.sqrt(((z - wanted) ** 2).mean() / (wanted - wanted.mean(axis=0)).var())
        changed = quantized.predict(data.x_test) != labels if labels.ndim == 1 else np.nan
        found.append((before - score(quantized, data), 100 * error, 100 * np.mean(changed)))
    return Result(*np.mean(found, axis=0))


def table(options: argparse.Namespace) -> str:
    """Measure all of it; return Markdown."""
    lines = [
        "| network | float | " + " | ".join(f"{name}: loss | error" for name in METHODS) + " |",
        "|---|---|" + "---|---|" * len(METHODS),
    ]
    every: dict[str, list[Result]] = {name: [] for name in METHODS}
    for trained in zoo():
        row = [trained.name, f"{score(trained.net, trained.data):.2f}"]
        for method in METHODS:
            result = measure(trained, method, options)
            every[method].append(result)
            row += [f"{result.loss:+.3f}", f"{result.error:.2f} %"]
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
    heads = ("over all", "mean loss", "mean size of the loss", "error (geometric mean)", "changed")
    lines += ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for method, results in every.items():
        loss, error, changed = np.array(results).T
        mean = np.exp(np.log(error).mean())
        lines.append(
            f"| {method} | {loss.mean():+.4f} | {np.abs(loss).mean():.4f} | {mean:.3f} % | "
            f"{np.nanmean(changed):.3f} % |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the tables, and write them to a file if one is named."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--samples", type=int, default=300, help="to calibrate with (300)")
    parser.add_argument("--draws", type=int, default=10, help="of such samples (10)")
    parser.add_argument(
        "--outlier", type=float, default=1, help="what one of the samples is multiplied by (1)"
    )
    parser.add_argument("--output", type=Path, help="a Markdown file to write")
    options = parser.parse_args()
    began = time.perf_counter()
    text = table(options)
    print(text)
    print(f"{time.perf_counter() - began:.0f} s")
    if options.output:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
