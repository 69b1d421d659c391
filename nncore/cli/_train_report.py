"""What `nncore train` says when it has finished, as JSON and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nncore.cli._common import abbreviated, count_of, dense_layers, print_field
from nncore.cli._own_data import OwnData

if TYPE_CHECKING:
    from nncore import Network
    from nncore.cli._digits import TrainingSet
    from nncore.history import History


def weights_digest(net: Network) -> str:
    """Return the sha256 of all weights and biases in order, as little-endian float32."""
    import hashlib

    digest = hashlib.sha256()
    for layer in dense_layers(net):
        for array in (layer.weights, layer.bias):
            if array is not None:
                digest.update(array.astype("<f4").tobytes())
    return digest.hexdigest()


def finish(net: Network, data: TrainingSet | OwnData | None) -> Network:
    """Return the network that is saved, from the one that learns."""
    return data.finished(net) if isinstance(data, OwnData) else net


def evaluate(net: Network, data: TrainingSet | OwnData) -> dict[str, Any]:
    """Return how good a network is on the test data, and whether that is better than guessing.

    Guessing is the answer that is right most often, or the mean.
    """
    import numpy as np

    t = data.t_test
    if isinstance(data, OwnData) and data.classes is None:
        errors = net(data.x_test)[:, 0].astype(np.float64) - t
        squares = float((errors**2).sum())
        around = float(((t - t.mean()) ** 2).sum())
        r2 = 1 - squares / around if around > 0 else None
        rmse = (squares / len(t)) ** 0.5
        share = "" if r2 is None else f", {r2:.2%} of the variance explained"
        return {
            "rmse": rmse, "r2": r2, "guessing": r2 is not None and r2 <= 0,
            "measure": f"off by {rmse:.4g} (root mean square) on {count_of(len(t), 'test sample')}"
            f"{share}",
        }  # fmt: skip
    right = int((net.predict(data.x_test) == t).sum())
    most = int(np.unique(t, return_counts=True)[1].max())
    return {
        "right": right, "accuracy": right / len(t), "guessing": right <= most < len(t),
        "measure": f"{right:,} of {len(t):,} right, {right / len(t):.2%}",
    }  # fmt: skip


def in_words(result: dict[str, Any]) -> str:
    """Return what `evaluate` found, within a sentence."""
    return f"{result['measure']} of the test" if "right" in result else str(result["measure"])


def facts_of(
    net: Network,
    history: History,
    settings: dict[str, Any],
    data: TrainingSet | OwnData,
    deleted: str | None,
) -> dict[str, Any]:
    """Return what `--json` says; `deleted` is the checkpoint that is no longer needed."""
    import nncore

    return {
        "command": "train",
        "data": data.facts(),
        "settings": settings,
        "threads": nncore.get_num_threads(),
        "history": history.to_dict(),
        "seconds": sum(history.time),
        "sha256": weights_digest(net),
        "deleted": deleted,
    }


def print_begin(settings: dict[str, Any]) -> None:
    """Print, before the work begins, what will be learned and how."""
    import nncore

    what = {"digits": "to read digits", "classes": "to tell classes apart", "values": "values"}
    print(f"nncore {nncore.__version__}: learning {what[settings['task']]}\n", flush=True)
    last = "identity" if settings["task"] == "values" else "softmax"
    print_field("network", [f"{settings['layers']}, {settings['activation']}, {last}"])
    clipped = "" if settings["clip_norm"] is None else f", clipped to {settings['clip_norm']:g}"
    loss = "" if settings["loss"] is None else f", {settings['loss']}"
    print_field(
        "training",
        [
            f"{count_of(settings['epochs'], 'epoch')} of {settings['optimizer']}, "
            f"{settings['schedule']} {settings['lr']:g}{clipped}{loss}, batches of "
            f"{settings['batch_size']}, seed {settings['seed']}"
            + (", augmented" if settings["augment"] else "")
        ],
    )


def print_data(data: dict[str, Any]) -> None:
    """Print what is learned from."""
    if data["source"] != "file":
        what = "MNIST" if data["is_mnist"] else "NOT MNIST but digits drawn by nncore"
        count = count_of(data["samples"], "image")
        print_field("data", [f"{what}, {count} to learn from, {data['why']}"])
    else:
        lines = [
            f"{data['file']}: {count_of(data['samples'], 'sample')} of "
            f"{count_of(data['features'], 'feature')} to learn from"
        ]
        if data["classes"] is not None:
            names = abbreviated(map(str, data["classes"]))
            lines.append(f"{len(data['classes'])} classes: {names}")
        print_field("data", [*lines, *data["notes"]])
    print(flush=True)


def print_report(facts: dict[str, Any]) -> None:
    """Print what came out."""
    print()
    print_field("time", [f"{facts['seconds']:.2f} s on {count_of(facts['threads'], 'thread')}"])
    epochs = facts["settings"]["epochs"]
    if facts["saved_epoch"] != epochs:
        print_field(
            "best", [f"epoch {facts['saved_epoch']} had the least loss: its weights are kept"]
        )
    print_field("test", [facts["measure"]])
    if facts["guessing"]:
        print_field("!!", ["the network learned nothing: this is no better than guessing"])
    print_field("sha256", [facts["sha256"]])
    print_field("saved in", [facts["file"]])
    if facts["file"] != facts["settings"]["out"]:
        print_field("", [f"because meanwhile there is a file {facts['settings']['out']}"])
    if facts["deleted"] is not None:
        print_field("deleted", [f"{facts['deleted']}, the checkpoint it went on from"])
