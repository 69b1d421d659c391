"""`nncore plot`: the pictures of `nncore.plot` as files, each a kind with options of its own."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from nncore.cli._common import CommandError, add_network_options, positive_integer
from nncore.cli._plot_data import (
    history_in,
    json_in,
    labels_read,
    network_of,
    new_network,
    samples_for,
    samples_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

    Draw = Callable[[Figure], object]

HELP = "draw a network, its results, or how networks work, as .svg or .png"
DESCRIPTION = """\
Draw a picture with matplotlib and write it as .svg or .png. The same command
writes the same bytes again, except where it takes times. What a kind takes:
  nncore plot KIND --help

Digits come from the folder of --data, else from NNCORE_DATA_HOME or the cache
folder, else nncore draws them; nothing is downloaded."""

GRID = 40  # images that are shown where nobody says how many


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the kinds, and the options of each."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for name, (text, groups, _) in KINDS.items():
        kind = kinds.add_parser(name, help=text, description=text, allow_abbrev=False)
        for add in groups:
            add(kind)
        kind.add_argument(
            "-o", "--out", metavar="FILE", default=f"{name}.svg", help="(default: %(default)s)"
        )
        kind.add_argument(
            "--overwrite", action="store_true", help="replace the file if there is one already"
        )


def run(options: argparse.Namespace) -> int:
    """Draw and write; return the exit code."""
    from nncore.formats._files import permissions_of
    from nncore.plot import _files
    from nncore.plot._axes import need_matplotlib

    try:
        _files.ending_of(options.out)
    except ValueError as error:
        raise CommandError(f"--out: {error}") from None
    exists = permissions_of(os.path.realpath(options.out), options.out) is not None
    if exists and not options.overwrite:
        raise CommandError(
            f"{options.out} exists, and would be replaced: say --overwrite to replace it"
        )
    need_matplotlib()
    _files.save(options.out, KINDS[options.kind][2](options))
    print(f"saved in {options.out}")
    return 0


# ---- options that several kinds have


def _data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        metavar="DIR|FILE",
        help="folder with MNIST's test images; or a .csv or .npz file, as for nncore train",
    )
    parser.add_argument(
        "--label", metavar="NAME", help="the column of the labels (default: the last)"
    )
    parser.add_argument(
        "--limit", metavar="N", type=positive_integer, help="only the first N samples"
    )


def _run_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run", metavar="FILE", dest="measured", required=True,
        help="what nncore bench --json or nncore mnist --json printed",
    )  # fmt: skip


# ---- what the kinds draw


def _activations_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names",
        metavar="NAME",
        nargs="*",
        help="activations, with parameters of your own: relu elu:alpha=0.5 clip:alpha=0,beta=6 "
        "(default: those of the classic texts)",
    )


def _activations(options: argparse.Namespace) -> Draw:
    from nncore import plot

    names = [_name_and_parameters(text) for text in options.names]
    return lambda figure: plot.activation_functions(*([names] if names else []), ax=figure)


def _name_and_parameters(text: str) -> tuple[str, dict[str, float]]:
    """Return `leaky_relu:alpha=0.2` as name and parameters."""
    name, _, rest = text.partition(":")
    parameters = {}
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        try:
            parameters[key] = float(value)
        except ValueError:
            raise CommandError(f"NAME is {text!r}, expected one like elu:alpha=0.5") from None
    return name, parameters


def _line_and_curve_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--activation", metavar="NAME", default="tanh", help="between the layers (default: tanh)"
    )


def _line_and_curve(options: argparse.Namespace) -> Draw:
    from nncore import plot

    return lambda figure: plot.line_and_curve(options.activation, ax=figure)


def _plain(name: str) -> Callable[[argparse.Namespace], Draw]:
    """Return what draws a kind that takes nothing."""

    def drawing(options: argparse.Namespace) -> Draw:
        from nncore import plot

        return lambda figure: getattr(plot, name)(ax=figure)

    return drawing


def _digits_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--count", metavar="N", type=positive_integer, help=f"images to show (default: {GRID})"
    )
    parser.add_argument("--mistakes", action="store_true", help="show the wrong ones first")


def _digits(options: argparse.Namespace) -> Draw:
    import numpy as np

    from nncore import plot

    net = network_of(options)
    x, t, classes = samples_for(net, samples_of(options))
    count = options.count or GRID
    some = len(x) if options.mistakes else count
    read = labels_read(net, x[:some])
    is_right = read == t[:some]
    order = np.argsort(is_right, kind="stable") if options.mistakes else np.arange(len(read))
    shown = order[:count]

    def draw(figure: Figure) -> None:
        ax = plot.digits(x[shown], t[shown], read[shown], classes=classes, ax=figure)
        if options.mistakes:
            ax.set_title(f"{int((~is_right).sum()):,} of {len(x):,} wrong: mistakes first")

    return draw


def _confusion(options: argparse.Namespace) -> Draw:
    from nncore import plot

    net = network_of(options)
    x, t, classes = samples_for(net, samples_of(options))
    read = labels_read(net, x)
    return lambda figure: plot.confusion_matrix(t, read, classes=classes, ax=figure)


def _weights_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--count", metavar="N", type=positive_integer, default=100,
        help="nodes to show of a wide layer (default: 100)",
    )  # fmt: skip


def _weights(options: argparse.Namespace) -> Draw:
    from nncore import plot

    net = network_of(options)
    return lambda figure: plot.weights(net, count=options.count, ax=figure)


def _layer_activations(options: argparse.Namespace) -> Draw:
    from nncore import plot

    net = network_of(options)
    x, _, _ = samples_for(net, samples_of(options))
    return lambda figure: plot.layer_activations(net, x, ax=figure)


def _layers_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--layers", metavar="SIZES", help="draw a new network of these sizes: 784,50,50,10"
    )
    parser.add_argument(
        "--activation", metavar="NAME", help="of its hidden layers (default: sigmoid)"
    )


def _layer_gradients(options: argparse.Namespace) -> Draw:
    from nncore import plot

    data = samples_of(options)
    net = new_network(options, data) if options.layers is not None else network_of(options)
    if options.layers is None and options.activation is not None:
        raise CommandError("--activation needs --layers: a trained network has its own")
    x, t, _ = samples_for(net, data)
    return lambda figure: plot.layer_gradients(net, x, t, ax=figure)


def _history_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", help="what nncore train --json printed, or a checkpoint of it"
    )


def _history(options: argparse.Namespace) -> Draw:
    from nncore import plot

    history = history_in(options.file)
    return lambda figure: plot.history(history, ax=figure)


def _latency(options: argparse.Namespace) -> Draw:
    from nncore import plot

    facts = json_in(options.measured, "nncore bench --json or nncore mnist --json")
    return lambda figure: plot.latency(facts, ax=figure)


def _batch_sizes(options: argparse.Namespace) -> Draw:
    from nncore import plot

    net = network_of(options)
    return lambda figure: plot.batch_sizes(net, ax=figure)


# ---- the kinds


_DATA = (add_network_options, _data_options)

# What each kind is, which options it has, and what draws it.
KINDS: dict[str, tuple[str, tuple[Callable[[argparse.ArgumentParser], None], ...], Any]] = {
    "digits": (
        "digits with what a network reads in them, wrong ones marked",
        (*_DATA, _digits_options), _digits,
    ),
    "confusion-matrix": ("how often each class is taken for each", _DATA, _confusion),
    "history": ("the course of a training", (_history_options,), _history),
    "weights": (
        "the weights of the first layer as images",
        (add_network_options, _weights_options), _weights,
    ),
    "layer-activations": (
        "how the activations are spread, layer by layer", _DATA, _layer_activations,
    ),
    "layer-gradients": (
        "how large the gradients are, layer by layer", (*_DATA, _layers_option), _layer_gradients,
    ),
    "latency": ("the time a sample takes, from a benchmark run", (_run_option,), _latency),
    "batch-sizes": (
        "the time a sample takes by batch size, measured now", (add_network_options,),
        _batch_sizes,
    ),
    "activation-functions": (
        "activation functions and their derivatives", (_activations_options,), _activations,
    ),
    "step-and-sigmoid": ("step beside sigmoid", (), _plain("step_and_sigmoid")),
    "line-and-curve": (
        "two layers without and with an activation between them",
        (_line_and_curve_options,), _line_and_curve,
    ),
    "softmax": ("softmax, and its naive formula, which overflows", (), _plain("softmax")),
    "xor-regions": ("XOR before and after a hidden layer", (), _plain("xor_regions")),
    "loss-surface": ("a loss over two weights, and the way down", (), _plain("loss_surface")),
}  # fmt: skip
