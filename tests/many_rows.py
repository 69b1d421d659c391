"""A million rows in files, and a network: what the tests of Dask, Ray and Spark begin with."""

from __future__ import annotations

import os

import numpy as np
from helpers import PACKAGE

import nncore

PAGE = "13-many-machines.md"
ROWS, FEATURES, FILES = 1_000_000, 16, 50


def write(folder):
    """Write model.npz and rows/*.npy, files of different lengths; return the labels of all rows.

    These are found by this process alone, in one call.
    """
    layers = [nncore.Dense(FEATURES, 32, "relu"), nncore.Dense(32, 5, "softmax")]
    net = nncore.Network(layers, seed=3)
    net.save(folder / "model.npz")
    (folder / "rows").mkdir()
    rng = np.random.default_rng(5)
    ends = np.sort(rng.choice(np.arange(1, ROWS), FILES - 1, replace=False))
    x = rng.standard_normal((ROWS, FEATURES), dtype=np.float32)
    for i, rows in enumerate(np.split(x, ends)):
        np.save(folder / "rows" / f"{i:03}.npy", rows)
    labels = net.predict(x)
    assert len(np.unique(labels)) == 5
    return labels


def environment(**more):
    """What a worker inherits: where nncore is, and nothing that says how many threads it has."""
    names = ("NNCORE_NUM_THREADS", "OMP_NUM_THREADS")
    paths = [str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    inherited = {name: value for name, value in os.environ.items() if name not in names}
    return inherited | {"PYTHONPATH": os.pathsep.join(filter(None, paths))} | more
