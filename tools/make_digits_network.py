"""Make the network that ships inside the package: nncore/pretrained/digits.npy.

    python tools/make_digits_network.py --data DIR     # a folder with MNIST's four IDX files

Trains Rescaling(1/255), 784-50-100-10, ReLU and softmax, by `Network.fit`, on MNIST's training
images and on drawn digits, all of them warped anew in each epoch. The same weights come out on
every machine and with any number of threads. MNIST's test images are only looked at when all is
done; settings were chosen with `--held-out`, which learns from 50,000 of the training images, is
tried on the 10,000 others and writes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from pathlib import Path

import numpy as np

import nncore
from nncore.datasets import make_digits
from nncore.datasets.mnist import read_split

SEED = 1
EPOCHS = 160
BATCH = 100
LARGEST_RATE = 5e-3
AUGMENT = nncore.Augment(shift=1.0, rotate=8.0, scale=0.08, shear=0.1, elastic=0.8)
DRAWN = 20_000
DRAWN_SEED = [SEED, 0]  # a pair, which no int equals: no user's drawn digits are these
FRESH_SEED = 20_000  # of the drawn digits that the result is tried on
HELD_OUT = 10_000
HELD_OUT_SEED = [SEED + 1, 0]  # of the drawn digits that settings are tried on

TARGET = Path(__file__).parent.parent / "nncore" / "pretrained" / "digits.npy"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with MNIST's IDX files")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--held-out", action="store_true", help="try settings, write nothing")
    parser.add_argument("--output", type=Path, default=TARGET)
    arguments = parser.parse_args()

    images, labels = read_split(arguments.data, "train")
    images = images.reshape(-1, 784)
    if arguments.held_out:
        net = train(images[:-HELD_OUT], labels[:-HELD_OUT], arguments.epochs)
        try_on("held-out training images", net, images[-HELD_OUT:], labels[-HELD_OUT:])
        try_on(f"drawn, seed {HELD_OUT_SEED}", net, *make_digits(HELD_OUT, seed=HELD_OUT_SEED))
        return
    net = train(images, labels, arguments.epochs)
    arguments.output.parent.mkdir(exist_ok=True)
    # As load_pretrained reads it: each row has one byte of all numbers.
    np.save(arguments.output, numbers_of(net).view(np.uint8).reshape(-1, 4).T.copy())

    try_on("MNIST's test images", net, *read_split(arguments.data, "test"))
    try_on(f"drawn, seed {FRESH_SEED}", net, *make_digits(10_000, seed=FRESH_SEED))
    content = arguments.output.read_bytes()
    print(f"{arguments.output.name}: {len(content)} bytes")
    print(f"sha256 of the file:    {hashlib.sha256(content).hexdigest()}")
    print(f"sha256 of the weights: {weights_hash(net)}")


def train(images: np.ndarray, labels: np.ndarray, epochs: int) -> nncore.Network:
    """A network that learned from images (n, 784) and labels (n,), both uint8, and drawn digits."""
    drawn, drawn_labels = make_digits(DRAWN, seed=DRAWN_SEED)
    net = nncore.Network(
        [
            nncore.Rescaling(1 / 255),
            nncore.Dense(784, 50, "relu"),
            nncore.Dense(50, 100, "relu"),
            nncore.Dense(100, 10, "softmax"),
        ],
        seed=SEED,
    )
    began = time.perf_counter()
    history = net.fit(
        np.concatenate([images, drawn]), np.concatenate([labels, drawn_labels]), epochs=epochs,
        batch_size=BATCH, optimizer=nncore.Adam(nncore.OneCycle(LARGEST_RATE)), seed=SEED,
        augment=AUGMENT, callbacks=[tell] if sys.stderr.isatty() else [],
    )  # fmt: skip
    seconds = time.perf_counter() - began
    print(f"{epochs} epochs in {seconds:.0f} s, loss {history.loss[-1]:.4f}")
    return net


def tell(_: nncore.Network, history: nncore.History) -> None:
    print(f"epoch {history.epochs:3}: loss {history.loss[-1]:.4f}", end="\r", file=sys.stderr)


def try_on(what: str, net: nncore.Network, images: np.ndarray, labels: np.ndarray) -> None:
    right = int((net.predict(images) == labels).sum())
    print(f"{what}: {right} of {len(labels)} right")


def weights_hash(net: nncore.Network) -> str:
    """sha256 of all weights and biases, layer by layer, as little-endian float32."""
    return hashlib.sha256(numbers_of(net).tobytes()).hexdigest()


def numbers_of(net: nncore.Network) -> np.ndarray:
    """All weights and biases, layer by layer, as little-endian float32, (45360,)."""
    dense = [layer for layer in net.layers if isinstance(layer, nncore.Dense)]
    arrays = [array.ravel() for layer in dense for array in (layer.weights, layer.bias)]
    return np.concatenate(arrays).astype("<f4")


if __name__ == "__main__":
    main()
