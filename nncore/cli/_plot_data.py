"""What `nncore plot` draws: the network, the samples and the history that its options name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore.cli._common import CommandError, load_network, split_activations
from nncore.cli._terminal import plain

if TYPE_CHECKING:
    import argparse

    from nncore import History, Network


class Samples(NamedTuple):
    """Samples (n, k) and their classes (n,), counted from 0, before a network is known."""

    x: np.ndarray
    t: np.ndarray
    classes: list[Any] | None  # their names; None: digits
    front: list[Any]  # the layers that a new network for them begins with


def network_of(options: argparse.Namespace) -> Network:
    """Return the network of --weights, or the one that ships with nncore."""
    return load_network(options.weights, split_activations(options.activations)).net


def new_network(options: argparse.Namespace, data: Samples) -> Network:
    """Return a network of random weights, of the sizes of --layers."""
    import itertools

    import nncore
    from nncore.cli._layers import check_activation, sizes_of

    if options.weights is not None or options.activations is not None:
        raise CommandError("--layers and --weights exclude each other: the file has its own")
    activation = options.activation or "sigmoid"
    check_activation(activation)
    pairs = list(itertools.pairwise(sizes_of(options.layers)))
    hidden = [nncore.Dense(k, m, activation) for k, m in pairs[:-1]]
    last = nncore.Dense(*pairs[-1], "softmax")
    return nncore.Network([*data.front, *hidden, last], seed=0)


def samples_of(options: argparse.Namespace) -> Samples:
    """Return the test samples of --data: a file of one's own, MNIST's, or drawn digits."""
    import nncore
    from nncore.cli._digits import load_test_set
    from nncore.cli._own_data import is_own, load_own
    from nncore.cli._train_settings import DEFAULTS

    n = options.limit
    if is_own(options.data):
        # The seed of nncore train, so that the samples that it puts aside are those drawn here.
        own = load_own(options.data, options.label, "cross_entropy", None, DEFAULTS["seed"])
        assert own.classes is not None
        front = own.first_layers(normalize=True)
        return Samples(own.x_test[:n], own.t_test[:n], own.classes.tolist(), front)
    if options.label is not None:
        raise CommandError("--label needs --data FILE: digits have their labels beside them")
    data = load_test_set(options.data, n, download=False)
    if not data.origin.is_mnist:
        why = plain(data.origin.why)
        print(f"nncore: not MNIST but digits drawn by nncore: {why}", file=sys.stderr)
    return Samples(data.images, data.labels.astype(int), None, [nncore.Rescaling(1 / 255)])


def samples_for(net: Network, data: Samples) -> tuple[np.ndarray, np.ndarray, list[Any] | None]:
    """Return samples, classes and their names as the network has them."""
    x, t = data.x, data.t
    names = None if net.classes is None else net.classes.tolist()
    if data.classes is None:
        if not net.layers[0].first_only:  # nothing that scales: it takes pixels / 255
            x = x.astype(np.float32) / np.float32(255)
        return x, t, names
    if names is None:
        return x, t, data.classes
    known = [str(name) for name in names]
    unknown = [str(name) for name in data.classes if str(name) not in known]
    if unknown:
        raise CommandError(f"the data have the class {unknown[0]}, expected {', '.join(known)}")
    return x, np.array([known.index(str(name)) for name in data.classes])[t], names


def labels_read(net: Network, x: np.ndarray) -> np.ndarray:
    """Return which class the network reads each sample as."""
    labels = np.asarray(net.predict(x))
    if labels.ndim == 1 and labels.dtype.kind == "i":
        return labels
    if net.out_features > 1:  # outputs without softmax: the largest decides
        largest: np.ndarray = np.asarray(net.logits(x)).argmax(axis=1)
        return largest
    raise CommandError("the network has one output without sigmoid, expected one for each class")


def json_in(path: str, printed: str) -> dict[str, Any]:
    """Return the JSON object in a file."""
    import json

    from nncore.formats._files import named_errors, open_regular

    with named_errors(path), open_regular(path) as (file, _):
        try:
            facts = json.load(file)
        except (ValueError, RecursionError):
            facts = None
        if not isinstance(facts, dict):
            raise ValueError(f"is no JSON object, expected what {printed} printed")
        return facts


def history_in(path: str) -> History:
    """Return the history in the JSON of `nncore train --json`, or in a checkpoint."""
    from nncore import History

    history = History()
    lists: Any
    best: Any
    if path.lower().endswith(".npz"):
        from nncore.cli import _checkpoint

        checkpoint = _checkpoint.read(path)
        lists, best = checkpoint.history, checkpoint.best_epoch
    else:
        facts = json_in(path, "nncore train --json")
        lists, best = facts.get("history"), facts.get("saved_epoch")
    known = history.__dict__.keys() - {"best_epoch"}
    if not isinstance(lists, dict) or not lists.get("loss") or not lists.keys() <= known:
        raise CommandError(f"{path}: has no history, expected what nncore train --json printed")
    for name, values in lists.items():
        numbers = isinstance(values, list) and all(type(v) in (int, float) for v in values)
        if not numbers or len(values) != len(lists["loss"]):
            raise CommandError(f"{path}: its {name} has not one number for each epoch")
        setattr(history, name, [float(value) for value in values])
    if type(best) is int and 0 < best <= history.epochs:
        history.best_epoch = best
    return history
