"""`nncore train`: learn to read digits, and save the network.

Ctrl-C or SIGTERM stops it after the batches in work and saves a checkpoint, from which `--resume`
goes on to the same bits as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from nncore.cli import _checkpoint
from nncore.cli._common import (
    CommandError,
    add_json_option,
    add_threads_option,
    one_line,
    print_json,
    progress_bar,
    threads_set,
)
from nncore.cli._train_report import facts_of, print_report
from nncore.cli._train_settings import (
    DEFAULTS,
    add_setting_options,
    make_augment,
    make_network,
    make_optimizer,
    settings_of,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from nncore import Network
    from nncore.cli._digits import TrainingSet
    from nncore.fit.loop import Fit
    from nncore.history import Progress

HELP = "train a network to read digits, and save it"
DESCRIPTION = f"""\
Train a network on MNIST and save it as an .npz file. Without options: the
layers {DEFAULTS["layers"]}, {DEFAULTS["epochs"]} epochs of Adam with a one-cycle schedule.

The images come from the folder of --data; else from NNCORE_DATA_HOME or the
cache folder; else they are downloaded (needs pooch); and where that fails,
nncore draws digits itself and says so.

Ctrl-C or SIGTERM saves a checkpoint beside the network, and
  nncore train --resume FILE
goes on from there, to the same weights, bit for bit. The same options and seed
give the same weights on any machine, with any number of threads."""


_CHECKPOINT = ".checkpoint.npz"  # in place of the network's ".npz"


class _Stopped(Exception):
    """Ctrl-C or SIGTERM came."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--data", metavar="DIR", help="folder with MNIST's four files, .gz or not")
    add_setting_options(parser)
    add_threads_option(parser)
    parser.add_argument(
        "--out", metavar="FILE", help=f"where to save the network (default: {DEFAULTS['out']})"
    )
    parser.add_argument(
        "--resume",
        metavar="FILE",
        help="go on from a checkpoint, with the settings it has: a run cannot be extended or "
        "changed, only --out, --data and --threads may be others",
    )
    add_json_option(parser)


def run(options: argparse.Namespace) -> int:
    """Train, save and print; return the exit code."""
    with threads_set(options.threads):
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    from nncore.cli._digits import load_training_set

    checkpoint = None if options.resume is None else _checkpoint.read(options.resume)
    settings = settings_of(options, None if checkpoint is None else checkpoint.settings)
    out = settings["out"]
    _check_out(out)
    data = load_training_set(options.data, settings["limit"])
    if not data.origin.is_mnist:
        print(
            "nncore: NOT MNIST: training on digits that nncore draws itself, which are easier: "
            f"{data.origin.why}",
            file=sys.stderr,
        )
    if checkpoint is not None and checkpoint.data != data.digest():
        raise CommandError(
            f"{options.resume}: was made with other training data than the {len(data.x):,} "
            f"image{'s that were' if len(data.x) != 1 else ' that was'} {data.origin.why}"
        )
    net = make_network(settings)
    fit = _fit_of(net, settings, data, checkpoint, options.resume)
    with _signals_remembered() as came:
        try:
            finished = _run_fit(fit, came, quiet=options.json)
        except FloatingPointError as error:
            net.save(out)
            raise CommandError(f"{error} (--lr). It is saved in {out}") from None
        if not finished:
            return _stop(net, fit, settings, data, out, came[0])
        net.save(out)
        deleted = _delete(options.resume)
        facts = facts_of(net, fit.history, settings, data, deleted)
    if came:
        gone = "" if deleted is None else f"; the checkpoint {deleted} is deleted"
        print(f"nncore: training was finished, saved in {out}{gone}", file=sys.stderr)
        return 128 + came[0]
    if options.json:
        print_json(facts)
    else:
        print_report(facts)
    return 0


def _delete(checkpoint: str | None) -> str | None:
    """Delete the checkpoint of a run that is finished, and return its name; None if it stays.

    Only under the name that `_stop` gave it: one that was renamed is the user's.
    """
    if checkpoint is None or not checkpoint.endswith(_CHECKPOINT):
        return None
    try:
        os.unlink(checkpoint)
    except OSError as error:
        print(f"nncore: cannot delete {checkpoint}: {error.strerror}", file=sys.stderr)
        return None
    return checkpoint


def _check_out(out: str) -> None:
    """Refuse, before minutes of training, a place where nothing can be saved."""
    from nncore.formats._files import permissions_of

    folder = os.path.dirname(os.path.realpath(out))
    if not out.endswith(".npz"):
        raise CommandError(f"--out is {out}, expected a file name that ends in .npz")
    if os.path.isdir(out):
        raise CommandError(f"--out {out}: is a folder, expected a file")
    if not os.path.isdir(folder):
        raise CommandError(f"--out {out}: the folder {folder} does not exist")
    if not os.access(folder, os.W_OK):
        raise CommandError(f"--out {out}: the folder {folder} cannot be written to")
    for path in (out, _checkpoint_of(out)):
        try:
            permissions_of(os.path.realpath(path), path)
        except OSError as error:
            raise CommandError(f"--out {out}: {path}: {error.strerror}") from None
        except ValueError as error:
            raise CommandError(f"--out {out}: {error}") from None


def _checkpoint_of(out: str) -> str:
    return out.removesuffix(".npz") + _CHECKPOINT


def _fit_of(
    net: Network,
    settings: dict[str, Any],
    data: TrainingSet,
    checkpoint: _checkpoint.Checkpoint | None,
    name: str | None,
) -> Fit:
    """Return the fit that was asked for, at its beginning or where the checkpoint stopped."""
    from nncore.fit.loop import Fit, Position
    from nncore.fit.methods import with_defaults
    from nncore.fit.settings import Settings
    from nncore.fit.trainer import shapes_of
    from nncore.history import History

    optimizer = make_optimizer(settings)
    position, history = None, History()
    try:
        if checkpoint is not None:
            for layer, (weights, bias) in zip(net._dense, checkpoint.weights, strict=True):
                layer.set_weights(weights, bias)
            optimizer.keep_state(
                {"steps": checkpoint.steps, "arrays": checkpoint.state}, shapes_of(net), net.dtype
            )
            if set(checkpoint.position) != set(Position._fields):
                raise ValueError("has a position with unknown or missing fields")
            position = Position(**checkpoint.position)
            for key, values in checkpoint.history.items():
                if not isinstance(getattr(history, key, None), list):
                    raise ValueError(f"has the unknown history {key!r}")
                setattr(history, key, [float(value) for value in values])
        given = with_defaults(
            x=data.x, t=data.t, epochs=settings["epochs"], batch_size=settings["batch_size"],
            optimizer=optimizer, seed=settings["seed"], augment=make_augment(settings),
        )  # fmt: skip
        fit = Fit(Settings(net, given), position, history)
        if checkpoint is not None:
            _checkpoint.check_position(fit)
    except ValueError as error:
        if checkpoint is None:
            raise
        raise CommandError(f"{name}: is no checkpoint that can go on: {error}") from None
    return fit


@contextlib.contextmanager
def _signals_remembered() -> Iterator[list[int]]:
    """Give a list; Ctrl-C and SIGTERM only add their numbers to it inside the block."""
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda number, _: came.append(number)) for number in numbers]
    try:
        yield came
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _run_fit(fit: Fit, came: list[int], quiet: bool) -> bool:
    """Run a fit; return False if a signal stopped it before the last batch."""
    settings, at = fit.settings, fit.position
    total = settings.epochs * settings.batches
    done = at.epoch * settings.batches + at.batch
    try:
        with progress_bar(total, " batches") as bar:
            bar.update(done)

            def progress(p: Progress) -> None:
                """Move the bar on; leave the fit where a signal has come."""
                nonlocal done
                now = (p.epoch - 1) * p.batches + p.batch
                if hasattr(bar, "set_postfix_str"):
                    bar.set_postfix_str(f"loss {p.loss:.4f}, {p.accuracy:.2%} right", refresh=False)
                bar.update(now - done)
                done = now
                if p.batch == p.batches and not quiet:
                    _print_epoch(p, bar)
                if came and now < total:
                    raise _Stopped

            settings.progress = progress
            fit.run()
    except _Stopped:
        return False
    return True


def _print_epoch(p: Progress, bar: Any) -> None:
    if hasattr(bar, "clear"):
        bar.clear()
    print(
        f"epoch {p.epoch:>{len(str(p.epochs))}} of {p.epochs}: loss {p.loss:.4f}, "
        f"{p.accuracy:.2%} of the training digits right",
        flush=True,
    )


def _stop(
    net: Network,
    fit: Fit,
    settings: dict[str, Any],
    data: TrainingSet,
    out: str,
    number: int,
) -> int:
    """Save a checkpoint and the network so far, say so, and return the exit code."""
    at = fit.position
    state = fit.settings.optimizer._state
    assert state is not None  # it was stopped in `run`
    path = _checkpoint_of(out)
    checkpoint = _checkpoint.Checkpoint(
        settings, data.digest(), at._asdict(), fit.history.to_dict(), state["steps"],
        [(layer.weights, layer.bias) for layer in net._dense], state["arrays"],
    )  # fmt: skip
    _checkpoint.write(path, checkpoint)  # first, because it matters more where the disk is full
    try:
        net.save(out)
        network = f"the network so far is in {out}"
    except OSError as error:
        network = f"the network so far cannot be saved ({one_line(error)})"
    print(
        f"nncore: stopped after batch {at.batch} of {fit.settings.batches} of epoch "
        f"{at.epoch + 1} of {fit.settings.epochs}; {network}. To go on: nncore train --resume "
        f"{path}",
        file=sys.stderr,
    )
    return 128 + number
