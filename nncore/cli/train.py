"""`nncore train`: learn to read digits, and save the network.

Ctrl-C or SIGTERM stops it after the batches in work and saves a checkpoint, from which `--resume`
goes on to the same bits as if nothing had happened.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import sys
from typing import TYPE_CHECKING, Any

from nncore.cli import _checkpoint
from nncore.cli._common import (
    CommandError,
    add_json_option,
    add_threads_option,
    count_of,
    dense_layers,
    one_line,
    print_json,
    refuse_extra,
    threads_set,
)
from nncore.cli._digits import load_training_set
from nncore.cli._own_data import OwnData, is_own, load_own
from nncore.cli._terminal import ProgressLine
from nncore.cli._train_report import (
    evaluate,
    facts_of,
    finish,
    in_words,
    print_begin,
    print_data,
    print_report,
    weights_digest,
)
from nncore.cli._train_result import Best, Target, check_new
from nncore.cli._train_settings import (
    DEFAULTS,
    OWN_OUT,
    add_setting_options,
    check_sizes,
    make_augment,
    make_network,
    make_optimizer,
    settings_of,
)
from nncore.datasets import find_mnist

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nncore import Network
    from nncore.cli._digits import TrainingSet
    from nncore.fit.loop import Fit
    from nncore.history import Progress

HELP = "train a network to read digits, or on data of your own, and save it"
DESCRIPTION = f"""\
Train a network on MNIST and save it as an .npz file. Without options: the
layers {DEFAULTS["layers"]}, {DEFAULTS["epochs"]} epochs of Adam with a one-cycle schedule.

The images come from the folder of --data; else from NNCORE_DATA_HOME or the
cache folder; else they are downloaded (needs pooch); and where that fails,
nncore draws digits itself and says so.

Data of your own: --data FILE, with any number of features and classes.
  .csv   numbers, with headings or without; the last column, or the one of
         --label, is learned: text and whole numbers are classes, other numbers
         are values (regression)
  .npz   the arrays x and t (or y), or x_train, t_train, x_test and t_test
A fifth of the samples is put aside for the test where the file has none.
Features are standardised by a Normalization layer of the network (bytes are
divided by 255) unless --no-normalize is given. nncore predict takes such files.

The weights of the epoch with the least loss are saved. No file that exists is
replaced without --overwrite, nor by a run that fails.

Ctrl-C or SIGTERM saves a checkpoint beside the network, and
  nncore train --resume FILE
goes on from there, to the same weights, bit for bit. The same options and seed
give the same weights on any machine, with any number of threads."""


_CHECKPOINT = ".checkpoint.npz"  # in place of the network's ".npz"


class _Stopped(Exception):
    """Ctrl-C or SIGTERM came."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("extra", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument(
        "--data",
        metavar="DIR|FILE",
        help="folder with MNIST's four files, .gz or not; or a .csv or .npz file of your own",
    )
    add_setting_options(parser)
    add_threads_option(parser)
    parser.add_argument(
        "--out",
        metavar="FILE",
        help=f"where to save the network (default: {DEFAULTS['out']}, of your own data {OWN_OUT})",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the file if there is one already"
    )
    parser.add_argument(
        "--resume",
        metavar="FILE",
        help="go on from a checkpoint, with the settings it has: a run cannot be extended or "
        "changed, only --out, --data, --threads and --overwrite may be others",
    )
    add_json_option(parser)


def run(options: argparse.Namespace) -> int:
    """Train, save and print; return the exit code."""
    refuse_extra(options)
    with threads_set(options.threads):
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    checkpoint = None if options.resume is None else _checkpoint.read(options.resume)
    resumed = None if checkpoint is None else checkpoint.settings
    own = _own_data(options, resumed)
    settings = settings_of(options, resumed, own)
    out = settings["out"]
    net = _network_of(settings, own)
    _check_out(out)
    ours = None if checkpoint is None else _so_far(net, checkpoint, own)
    check_new(out, _checkpoint_of(out), options, ours)
    if options.json:
        data = own or load_training_set(options.data, settings["limit"])
    else:
        data = _announced(options, settings, own)
    if own is None and not data.facts()["is_mnist"]:
        print(
            "nncore: NOT MNIST: training on digits that nncore draws itself, which are easier: "
            f"{data.facts()['why']}",
            file=sys.stderr,
        )
    if checkpoint is not None and checkpoint.data != data.digest():
        count = count_of(len(data.x), "image" if own is None else "sample")
        raise CommandError(
            f"{options.resume}: was made with other training data than the {count} that "
            f"{'were' if len(data.x) != 1 else 'was'} {data.facts()['why']}"
        )
    best = Best(checkpoint)
    fit = _fit_of(net, settings, data, checkpoint, options.resume, best)
    target = Target(out, options.overwrite, ours)
    with _signals_remembered() as came:
        try:
            finished = _run_fit(fit, came, quiet=options.json)
        except FloatingPointError as error:
            saved = _rescue(net, best, data, target)
            raise CommandError(f"{error} (--lr, --clip-norm). {saved}") from None
        if not finished:
            return _stop(net, fit, settings, data, target, best, came[0])
        best.restore(net)
        result = evaluate(finish(net, data), data)
        saved = target.save_result(finish(net, data), result)
        deleted = _delete(options.resume)
        facts = facts_of(finish(net, data), fit.history, settings, data, deleted)
        facts |= {"file": saved, "saved_epoch": best.epoch, **result}
    if came:
        gone = "" if deleted is None else f"; the checkpoint {deleted} is deleted"
        print(f"nncore: training was finished, saved in {saved}{gone}", file=sys.stderr)
        return 128 + came[0]
    if options.json:
        print_json(facts)
    else:
        print_report(facts)
    return 0


def _own_data(options: argparse.Namespace, resumed: dict[str, Any] | None) -> OwnData | None:
    """Return the data of one's own, if --data names such."""
    if not is_own(options.data):
        if resumed is not None and resumed["task"] != "digits":
            raise CommandError(
                f"--resume {options.resume}: was made with data of your own: name their file again "
                "as --data FILE"
            )
        return None
    if resumed is not None and resumed["task"] == "digits":
        raise CommandError(f"--data {options.data}: the checkpoint was made with digits")
    known = resumed or {key: getattr(options, key) for key in ("label", "loss", "limit", "seed")}
    return load_own(
        options.data, known["label"], known["loss"], known["limit"],
        DEFAULTS["seed"] if known["seed"] is None else known["seed"],
    )  # fmt: skip


def _network_of(settings: dict[str, Any], own: OwnData | None) -> Network:
    if own is not None:
        names = ("features", "classes" if own.classes is not None else "value")
        check_sizes(settings["layers"], own.x.shape[1], own.outputs, *names)
    return make_network(settings, own)


def _announced(
    options: argparse.Namespace, settings: dict[str, Any], own: OwnData | None
) -> TrainingSet | OwnData:
    """Say what will be done before the work begins; return the data."""
    # Folders and files that are named are read at once, and errors come first.
    here = own is not None or options.data is not None or find_mnist() is not None
    data = (own or load_training_set(options.data, settings["limit"])) if here else None
    print_begin(settings)
    if data is None:
        data = load_training_set(options.data, settings["limit"])
    print_data(data.facts())
    return data


def _so_far(net: Network, checkpoint: _checkpoint.Checkpoint, own: OwnData | None) -> str:
    """Return the digest of what the run that was stopped saved."""
    for layer, (weights, bias) in zip(dense_layers(net), checkpoint.weights, strict=True):
        layer.set_weights(weights, bias)
    return weights_digest(finish(net, own))


def _rescue(net: Network, best: Best, data: TrainingSet | OwnData, target: Target) -> str:
    """Save the best epoch of a run that diverged, if that replaces nothing; say what is where."""
    if best.epoch == 0:
        return f"Nothing is saved{target.untouched()}"
    best.restore(net)
    done = finish(net, data)
    how_good = f"the network of epoch {best.epoch}, {in_words(evaluate(done, data))}"
    if target.is_taken():
        return f"Nothing is saved{target.untouched()}; the best was {how_good}"
    return f"{target.save(done)} has {how_good}"


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
    data: TrainingSet | OwnData,
    checkpoint: _checkpoint.Checkpoint | None,
    name: str | None,
    best: Best,
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
            for layer, (weights, bias) in zip(dense_layers(net), checkpoint.weights, strict=True):
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
            optimizer=optimizer, seed=settings["seed"], loss=settings["loss"],
            augment=make_augment(settings, data if isinstance(data, OwnData) else None),
            callbacks=[best],
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
        with ProgressLine(total, " batches") as bar:
            bar.start_at(done)

            def progress(p: Progress) -> None:
                """Move the bar on; leave the fit where a signal has come."""
                nonlocal done
                now = (p.epoch - 1) * p.batches + p.batch
                right = "" if p.accuracy is None else f", {p.accuracy:.2%} right"
                bar.update(now - done, f"loss {p.loss:.4f}{right}")
                done = now
                if p.batch == p.batches and not quiet and _is_shown(p):
                    _print_epoch(p, bar)
                if came and now < total:
                    raise _Stopped

            settings.progress = progress
            fit.run()
    except _Stopped:
        return False
    return True


def _is_shown(p: Progress) -> bool:
    """Return whether an epoch gets a line: of more than 100, some twenty do."""
    return p.epochs <= 100 or p.epoch % -(-p.epochs // 20) == 0 or p.epoch == p.epochs


def _print_epoch(p: Progress, bar: ProgressLine) -> None:
    bar.clear()
    right = "" if p.accuracy is None else f", {p.accuracy:.2%} right in training"
    print(
        f"epoch {p.epoch:>{len(str(p.epochs))}} of {p.epochs}: loss {p.loss:.4f}{right}", flush=True
    )


def _stop(
    net: Network,
    fit: Fit,
    settings: dict[str, Any],
    data: TrainingSet | OwnData,
    target: Target,
    best: Best,
    number: int,
) -> int:
    """Save a checkpoint and the network so far, say so, and return the exit code."""
    at = fit.position
    state = fit.settings.optimizer._state
    assert state is not None  # it was stopped in `run`
    path = _checkpoint_of(target.out)
    checkpoint = _checkpoint.Checkpoint(
        settings, data.digest(), at._asdict(), fit.history.to_dict(), state["steps"], best.epoch,
        [(layer.weights, layer.bias) for layer in dense_layers(net)], best.weights, state["arrays"],
    )  # fmt: skip
    _checkpoint.write(path, checkpoint)  # first, because it matters more where the disk is full
    more = f" --data {shlex.quote(data.file)}" if isinstance(data, OwnData) else ""
    if target.is_taken():
        network = f"{target.out} is as it was"
        more += " --overwrite"
    else:
        try:
            network = f"the network so far is in {target.save(finish(net, data))}"
        except OSError as error:
            network = f"the network so far cannot be saved ({one_line(error)})"
    print(
        f"nncore: stopped after batch {at.batch} of {fit.settings.batches} of epoch "
        f"{at.epoch + 1} of {fit.settings.epochs}; {network}. To go on: nncore train --resume "
        f"{path}{more}",
        file=sys.stderr,
    )
    return 128 + number
