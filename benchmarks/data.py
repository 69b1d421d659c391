"""Digit images for the benchmarks: MNIST's test images if they are there, else drawn digits."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np

IMAGES = 10_000
# Images to calibrate with: some hundreds are enough, and none of them is tested.
SAMPLES = 500


def digits() -> tuple[np.ndarray, str]:
    """Return 10,000 images (n, 784), uint8, and what they are: `mnist` or `drawn digits`.

    MNIST is taken from `NNCORE_DATA_HOME` (`t10k-images-idx3-ubyte`, with or without `.gz`).
    Raises `FileNotFoundError` if it is not there and nncore, which draws digits, is missing too.
    """
    images = _mnist("t10k-images-idx3-ubyte", 16, IMAGES * 784)
    if images is not None:
        return images.reshape(-1, 784), "mnist"
    return _drawn(IMAGES, 0), "drawn digits"


def calibration() -> np.ndarray:
    """Return 500 images (n, 784), uint8, that are not among `digits`: MNIST's training images."""
    images = _mnist("train-images-idx3-ubyte", 16, SAMPLES * 784)
    return _drawn(SAMPLES, 1) if images is None else images.reshape(-1, 784)


def labels() -> np.ndarray | None:
    """Return what the images of MNIST's test set show, uint8, or None if that is not there."""
    return _mnist("t10k-labels-idx1-ubyte", 8, IMAGES)


def _mnist(name: str, header: int, size: int) -> np.ndarray | None:
    """Return `size` bytes after an IDX file's header, None if the file is not there."""
    home = os.environ.get("NNCORE_DATA_HOME")
    for path in (Path(home) / f"{name}.gz", Path(home) / name) if home else ():
        if path.is_file():
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
                file.seek(header)
                return np.frombuffer(file.read(size), np.uint8).copy()
    return None


def _drawn(n: int, seed: int) -> np.ndarray:
    try:
        from nncore.datasets import make_digits
    except ImportError as error:
        raise FileNotFoundError(
            "no digit images: set NNCORE_DATA_HOME to a folder with t10k-images-idx3-ubyte.gz, "
            "or install nncore, which draws digits"
        ) from error
    images, _ = make_digits(n, seed=seed)
    return np.ascontiguousarray(images, np.uint8).reshape(-1, 784)


def as_float32(images: np.ndarray) -> np.ndarray:
    """Pixels (n, k) uint8 as float32 in [0, 1], as MNIST's `normalize` does it."""
    return images / np.float32(255)
