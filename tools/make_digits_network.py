"""Make the network that ships inside the package: nncore/pretrained/digits.npz.

    python tools/make_digits_network.py --data DIR     # a folder with MNIST's four IDX files

Trains Rescaling(1/255), 784-50-100-10, ReLU and softmax, on MNIST's training images, each of them
turned, stretched and shifted a little anew in each epoch, and on digits drawn anew in each epoch.
Plain NumPy: backpropagation, Adam, a step size that falls to zero.  MNIST's test images
are only looked at when all is done.  The order in which NumPy's matrix product adds depends on the
machine, so another one makes other weights, of the same quality.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

import nncore
from nncore._random import Random
from nncore.datasets import make_digits
from nncore.datasets.mnist import read_split
from nncore.formats import npz

SIZES = [784, 50, 100, 10]
SEED = 1
EPOCHS = 60
DRAWN = 10_000  # an epoch; the seeds are [SEED, epoch], which no int equals
BATCH = 100
STEP = 2e-3
FRESH_SEED = 20_000  # of the drawn digits that the result is tried on

TARGET = Path(__file__).parent.parent / "nncore" / "pretrained" / "digits.npz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with MNIST's IDX files")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--output", type=Path, default=TARGET)
    arguments = parser.parse_args()

    weights, biases = train(*read_split(arguments.data, "train"), arguments.epochs)
    save(arguments.output, weights, biases)

    net = nncore.load(str(arguments.output))
    images, labels = read_split(arguments.data, "test")
    drawn, drawn_labels = make_digits(10_000, seed=FRESH_SEED)
    print(f"MNIST's test images: {np.sum(net.predict(images) == labels)} of {len(labels)} right")
    print(f"drawn, seed {FRESH_SEED}: {np.sum(net.predict(drawn) == drawn_labels)} of 10000 right")
    content = arguments.output.read_bytes()
    print(f"{arguments.output}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


def train(images, labels, epochs):
    """Weights and biases from images (n, 28, 28) and labels (n,), both uint8."""
    random = Random(SEED)
    parameters = []
    for k, m in pairwise(SIZES):
        parameters.append((random.normal((k, m)) * np.sqrt(2 / k)).astype(np.float32))
        parameters.append(np.zeros(m, np.float32))
    first = [np.zeros_like(p) for p in parameters]
    second = [np.zeros_like(p) for p in parameters]
    steps = epochs * ((len(images) + DRAWN) // BATCH)
    step = 0
    for epoch in range(epochs):
        began = time.perf_counter()
        drawn, drawn_labels = make_digits(DRAWN, seed=[SEED, epoch])
        x = np.concatenate([vary(images, random), drawn.astype(np.float32) / 255])
        t = np.concatenate([labels, drawn_labels])
        order = random.permutation(len(x))
        loss = 0.0
        for start in range(0, len(x) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            batch_loss, gradients = backpropagate(parameters, x[rows], t[rows])
            loss += batch_loss
            rate = STEP * (1 - step / steps)
            step += 1
            for p, g, m, v in zip(parameters, gradients, first, second, strict=True):
                m += 0.1 * (g - m)
                v += 0.001 * (g * g - v)
                p -= rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        seconds = time.perf_counter() - began
        print(f"epoch {epoch + 1:3}: loss {loss * BATCH / len(x):.4f}, {seconds:.1f} s", flush=True)
    return parameters[0::2], parameters[1::2]


def backpropagate(parameters, x, t):
    """The mean cross-entropy of a batch x (n, 784), t (n,), and its gradients."""
    w1, b1, w2, b2, w3, b3 = parameters
    h1 = np.maximum(x @ w1 + b1, 0)
    h2 = np.maximum(h1 @ w2 + b2, 0)
    z = h2 @ w3 + b3
    z -= z.max(axis=1, keepdims=True)
    p = np.exp(z)
    p /= p.sum(axis=1, keepdims=True)
    rows = np.arange(len(t))
    loss = -np.log(p[rows, t] + 1e-12).mean()
    p[rows, t] -= 1
    d3 = p / np.float32(len(t))
    d2 = (d3 @ w3.T) * (h2 > 0)
    d1 = (d2 @ w2.T) * (h1 > 0)
    gradients = [x.T @ d1, d1.sum(0), h1.T @ d2, d2.sum(0), h2.T @ d3, d3.sum(0)]
    return loss, gradients


def vary(images, random, chunk=2000):
    """Images (n, 28, 28) turned, stretched, slanted and shifted a little: float32 (n, 784)."""
    n = len(images)
    out = np.empty((n, 784), np.float32)
    padded = np.zeros((n, 32, 32), np.float32)  # so that nothing is looked up outside
    padded[:, 2:30, 2:30] = images / np.float32(255)
    u = (2 * random.uniform((n, 6)) - 1).astype(np.float32)
    grid = np.arange(28, dtype=np.float32) - np.float32(13.5)
    gx, gy = grid[None, None, :], grid[None, :, None]
    for start in range(0, n, chunk):
        a = u[start : start + chunk, :, None, None]
        turn = 0.15 * a[:, 0]
        x = gx * (1 + 0.08 * a[:, 1]) + gy * (0.12 * a[:, 2] + turn) + 1.0 * a[:, 3] + 15.5
        y = gy * (1 + 0.08 * a[:, 4]) - gx * turn + 1.0 * a[:, 5] + 15.5
        x, y = np.clip(x, 0, 30.99), np.clip(y, 0, 30.99)
        left, top = x.astype(np.intp), y.astype(np.intp)
        fx, fy = x - left, y - top
        first = np.arange(start, start + len(a))[:, None, None] * 1024
        at = first + top * 32 + left
        flat = padded.reshape(-1)
        upper = flat[at] * (1 - fx) + flat[at + 1] * fx
        lower = flat[at + 32] * (1 - fx) + flat[at + 33] * fx
        out[start : start + chunk] = (upper * (1 - fy) + lower * fy).reshape(len(a), 784)
    return out


def save(path, weights, biases):
    activations = ["relu", "relu", "softmax"]
    net = nncore.Network.from_arrays(weights, biases, activations)
    layers = [nncore.Rescaling(1 / 255), *net.layers]
    path.parent.mkdir(exist_ok=True)
    npz.write(str(path), layers, np.dtype(np.float32))


if __name__ == "__main__":
    main()
