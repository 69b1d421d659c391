"""Digit images for the benchmarks: MNIST's test images if they are there, else drawn digits."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np

IMAGES = 10_000


def digits() -> tuple[np.ndarray, str]:
    """Return 10,000 images (n, 784), uint8, and what they are: `mnist` or `drawn digits`.

    MNIST is taken from `NNCORE_DATA_HOME` (`t10k-images-idx3-ubyte`, with or without `.gz`).
    Raises `FileNotFoundError` if it is not there and nncore, which draws digits, is missing too.
    """
    home = os.environ.get("NNCORE_DATA_HOME")
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte"):
        if home and (Path(home) / name).is_file():
            raw = (Path(home) / name).read_bytes()
            if name.endswith(".gz"):
                raw = gzip.decompress(raw)
            # An IDX file of images: a header of four big-endian integers, then the pixels.
            return np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 784)[:IMAGES], "mnist"
    try:
        from nncore.datasets import make_digits
    except ImportError as error:
        raise FileNotFoundError(
            "no digit images: set NNCORE_DATA_HOME to a folder with t10k-images-idx3-ubyte.gz, "
            "or install nncore, which draws digits"
        ) from error
    images, _ = make_digits(IMAGES, seed=0)
    return np.ascontiguousarray(images, np.uint8).reshape(-1, 784), "drawn digits"


def as_float32(images: np.ndarray) -> np.ndarray:
    """Pixels (n, k) uint8 as float32 in [0, 1], as MNIST's `normalize` does it."""
    return images / np.float32(255)
