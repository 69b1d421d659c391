"""What `nncore train` says when it has finished, as JSON and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nncore.cli._common import print_field

if TYPE_CHECKING:
    from nncore import Network
    from nncore.cli._digits import TrainingSet
    from nncore.history import History


def weights_digest(net: Network) -> str:
    """Return the sha256 of all weights and biases in order, as little-endian float32."""
    import hashlib

    digest = hashlib.sha256()
    for layer in net._dense:
        for array in (layer.weights, layer.bias):
            if array is not None:
                digest.update(array.astype("<f4").tobytes())
    return digest.hexdigest()


def facts_of(
    net: Network,
    history: History,
    settings: dict[str, Any],
    data: TrainingSet,
    deleted: str | None,
) -> dict[str, Any]:
    """Return what `--json` says; `deleted` is the checkpoint that is no longer needed."""
    import nncore

    right = int((net.predict(data.x_test) == data.t_test).sum())
    return {
        "command": "train",
        "data": data.facts(),
        "settings": settings,
        "threads": nncore.get_num_threads(),
        "history": history.to_dict(),
        "seconds": sum(history.time),
        "right": right,
        "accuracy": right / len(data.t_test),
        "sha256": weights_digest(net),
        "file": settings["out"],
        "deleted": deleted,
    }


def print_report(facts: dict[str, Any]) -> None:
    """Print the same as text."""
    data, settings = facts["data"], facts["settings"]
    what = "MNIST" if data["is_mnist"] else "NOT MNIST but digits drawn by nncore"
    print()
    count = f"{data['samples']:,} image{'s' if data['samples'] != 1 else ''}"
    print_field("data", [f"{what}, {count} to learn from, {data['why']}"])
    print_field("network", [f"{settings['layers']}, {settings['activation']}, softmax"])
    print_field(
        "training",
        [
            f"{settings['epochs']} epoch{'s' if settings['epochs'] != 1 else ''} of "
            f"{settings['optimizer']}, {settings['schedule']} {settings['lr']:g}, batches of "
            f"{settings['batch_size']}, seed {settings['seed']}"
            + (", augmented" if settings["augment"] else ""),
            f"{facts['seconds']:.2f} s on {facts['threads']} "
            f"thread{'s' if facts['threads'] > 1 else ''}",
        ],
    )
    print_field(
        "test", [f"{facts['right']:,} of {data['test_samples']:,} right, {facts['accuracy']:.2%}"]
    )
    print_field("sha256", [facts["sha256"]])
    print_field("saved in", [facts["file"]])
    if facts["deleted"] is not None:
        print_field("deleted", [f"{facts['deleted']}, the checkpoint it went on from"])
