"""What becomes of a training: its best epoch, and a file that nobody loses by it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nncore.cli._common import CommandError, dense_layers

if TYPE_CHECKING:
    import argparse

    from nncore import Network
    from nncore.cli._checkpoint import Checkpoint
    from nncore.history import History


class Best:
    """Keeps the weights of the epoch with the least loss; `fit` calls it after each."""

    def __init__(self, checkpoint: Checkpoint | None) -> None:
        self.epoch = 0  # counted from 1; 0: none is finished
        self.weights: list[tuple[Any, Any]] = []
        if checkpoint is not None:
            self.epoch, self.weights = checkpoint.best_epoch, checkpoint.best

    def __call__(self, net: Network, history: History) -> None:
        losses = history.loss
        if self.epoch == 0 or losses[-1] < losses[self.epoch - 1]:
            self.epoch = len(losses)
            # References: weights are read-only, and assigning replaces them.
            self.weights = [(layer.weights, layer.bias) for layer in dense_layers(net)]

    def restore(self, net: Network) -> None:
        """Give the network the weights of that epoch."""
        for layer, (weights, bias) in zip(dense_layers(net), self.weights, strict=True):
            layer.set_weights(weights, bias)


class Target:
    """The file to save in, which is never replaced unasked.

    Parameters
    ----------
    out : str
    overwrite : bool
        Whether a file that exists may be replaced by a run that ends well.
    ours : str or None
        The digest of a network that an earlier part of this run saved: that may be replaced.
    """

    def __init__(self, out: str, overwrite: bool, ours: str | None) -> None:
        self.out, self._overwrite, self._ours = out, overwrite, ours

    def is_taken(self) -> bool:
        """Return whether there is a file that is not of this run."""
        return os.path.lexists(self.out) and not is_ours(self.out, self._ours)

    def untouched(self) -> str:
        """Return what to say about a file that stays."""
        return f", {self.out} is as it was" if self.is_taken() else ""

    def save_result(self, net: Network, result: dict[str, Any]) -> str:
        """Save the network of a run that ended well; return where.

        Raises CommandError where it is no better than guessing and a file would be replaced.
        """
        if result["guessing"] and self.is_taken():
            raise CommandError(
                "the network learned nothing: it is no better than guessing "
                f"({result['measure']}). "
                f"Nothing is saved, {self.out} is as it was"
            )
        return self.save(net, replace=self._overwrite)

    def save(self, net: Network, replace: bool = False) -> str:
        """Save the network, under another name where somebody else took this one; return where."""
        if replace or is_ours(self.out, self._ours):
            net.save(self.out)
            return self.out
        stem = self.out.removesuffix(".npz")
        temporary = f"{stem}.{os.getpid()}.tmp.npz"
        try:
            net.save(temporary)
            number = 1
            name = self.out
            while not _rename(temporary, name):
                number += 1
                name = f"{stem}-{number}.npz"
            return name
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.out) from error
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)


def _rename(old: str, new: str) -> bool:
    """Give a file a name that no file has; return False if one has it."""
    if os.path.lexists(new) and os.path.exists(new):
        return False
    if os.path.islink(new):  # to a file that does not exist yet
        os.replace(old, os.path.realpath(new))
        return True
    try:
        os.link(old, new)  # fails where a file has come between; a rename would replace it
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        os.rename(old, new)
    return True


def is_ours(path: str, digest: str | None) -> bool:
    """Return whether a file has the network with this digest."""
    import nncore
    from nncore.cli._train_report import weights_digest

    if digest is None:
        return False
    try:
        return weights_digest(nncore.load(path)) == digest
    except (OSError, ValueError):
        return False


def check_new(out: str, checkpoint: str, options: argparse.Namespace, ours: str | None) -> None:
    """Refuse, before any work, to replace a network or the checkpoint of another run."""
    if options.overwrite:
        return
    if os.path.exists(out) and not is_ours(out, ours):
        raise CommandError(
            f"{out} exists, and would be replaced: say --overwrite to replace it, or --out FILE to "
            "save elsewhere"
        )
    other = options.resume is None or os.path.realpath(options.resume) != os.path.realpath(
        checkpoint
    )
    if other and os.path.exists(checkpoint):
        raise CommandError(
            f"{checkpoint} exists, of a run that was stopped: go on with nncore train --resume "
            f"{checkpoint}, or say --overwrite, or --out FILE to save elsewhere"
        )
