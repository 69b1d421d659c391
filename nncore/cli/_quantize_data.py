"""The samples of `nncore quantize`: those to calibrate with, and those that tell what is lost."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore.cli._common import CommandError, abbreviated, count_of, gives_values
from nncore.cli._digits import load_training_set
from nncore.cli._images import read_images, scaled
from nncore.cli._own_data import check_finite, load_own, put_aside
from nncore.cli._pictures import Preparation
from nncore.cli._tables import check_file, is_table, pick, read_csv, read_npz

if TYPE_CHECKING:
    import argparse

    from nncore import Network

_CALIBRATION_STREAM = 2**34  # of random numbers: not one that a fit or a split uses


class Samples(NamedTuple):
    """Samples (n, k) as the network takes them, and what is right for those of the test."""

    calibration: np.ndarray
    x: np.ndarray  # of the test
    t: np.ndarray | None  # (n,), labels as the network counts them, or values; None: not known
    of: int  # from so many the calibration's were drawn
    why: str
    assumed: str
    notes: list[str]

    def facts(self) -> dict[str, Any]:
        """Return what `--json` says about the data."""
        return {
            "why": self.why, "values": self.assumed, "calibration_samples": len(self.calibration),
            "training_samples": self.of, "test_samples": len(self.x),
            "labels": self.t is not None, "notes": self.notes,
        }  # fmt: skip


def samples_of(options: argparse.Namespace, net: Network) -> Samples:
    """Return the samples of --data."""
    path = options.data
    notes: list[str] = []
    t: np.ndarray | None = None
    why = f"found in {path} (--data)"
    if os.path.isdir(path):
        if options.label is not None or options.scale is not None:
            raise CommandError("--label and --scale need --data FILE: MNIST's have their own")
        digits = load_training_set(path, None)
        training, x, why = digits.x, digits.x_test, digits.origin.why
        _check_features(x, net, path)
        t = _labels(net, np.arange(10), digits.t_test, path)
    elif _has_labels(options, net):
        loss = "mse" if gives_values(net) else "cross_entropy"
        own = load_own(path, options.label, loss, None, options.seed)
        training, x, t = own.x, own.x_test, own.t_test
        _check_features(x, net, path)
        if own.classes is not None:
            t = _labels(net, own.classes, t, path)
        notes += own.notes[is_table(path) :]  # the first one tells what is learned from a table
    else:
        images = read_images(path, net, 1.0, Preparation(None, True, False), options.label)
        check_finite(images.x, f"{path}: sample")
        zeros = np.zeros(len(images.x), np.int64)
        training, _, x, _ = put_aside(images.x, zeros, options.seed, notes, False)
    training, assumed = scaled(training, net, options.scale)
    x, _ = scaled(x, net, options.scale)
    return Samples(_drawn(training, options), x, t, len(training), why, assumed, notes)


def _has_labels(options: argparse.Namespace, net: Network) -> bool:
    """Return whether a file has labels, or values, beside its samples."""
    path = options.data
    check_file(path)
    if is_table(path):
        return read_csv(path, options.label, net.in_features).labels is not None
    if not path.lower().endswith(".npz"):
        return False
    return pick(read_npz(path), ("t", "y", "t_train", "y_train")) is not None


def _check_features(x: np.ndarray, net: Network, path: str) -> None:
    if x.shape[1] != net.in_features:
        raise CommandError(
            f"{path}: a sample has {count_of(x.shape[1], 'feature')}, this network takes "
            f"{net.in_features}"
        )


def _labels(net: Network, classes: np.ndarray, t: np.ndarray, path: str) -> np.ndarray:
    """Return labels t, which count `classes`, as the network counts its own."""
    count = max(2, net.out_features)
    names = range(count) if net.classes is None else net.classes.tolist()
    known = {str(name): i for i, name in enumerate(names)}
    if classes.dtype.kind == "b":
        classes = classes.astype(int)
    unknown = [str(name) for name in classes.tolist() if str(name) not in known]
    if unknown:
        hint = " (nncore convert --classes names them)" if net.classes is None else ""
        raise CommandError(
            f"{path}: has the label {unknown[0]}, the network's classes are "
            f"{abbreviated(known)}{hint}"
        )
    labels: np.ndarray = np.array([known[str(name)] for name in classes.tolist()])[t]
    return labels


def _drawn(training: np.ndarray, options: argparse.Namespace) -> np.ndarray:
    """Return the samples to calibrate with, drawn at random."""
    from nncore._random import Random

    order = Random([options.seed, _CALIBRATION_STREAM]).permutation(len(training))
    return training[np.sort(order[: options.samples])]
