"""`nncore plot`: the pictures of `nncore.plot` as files, each a kind with options of its own."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from nncore.cli._common import (
    CommandError,
    add_network_options,
    check_float,
    check_target,
    image_size,
    positive_integer,
)
from nncore.cli._plot_data import (
    history_in,
    json_in,
    labels_read,
    network_of,
    new_network,
    samples_for,
    samples_of,
)
from nncore.cli._terminal import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Given = dict[str, Any]

HELP = "draw a network, its results, or how networks work, as .svg or .png"
DESCRIPTION = """\
Draw a picture with matplotlib and write it as .svg or .png. The same command
writes the same bytes again, except where it takes times. What a kind takes:
  nncore plot KIND --help

Digits come from the folder of --data, else from NNCORE_DATA_HOME or the cache
folder, else nncore draws them; nothing is downloaded."""

GRID = 40  # digits that are shown where nobody says how many


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
    from nncore.plot import _files
    from nncore.plot._axes import need_matplotlib

    out = options.out
    try:
        _files.ending_of(out)
    except ValueError as error:
        raise CommandError(f"--out: {error}") from None
    check_target(out, options.overwrite)
    need_matplotlib()
    _files.save(out, drawing(options))
    print(f"saved in {plain(out)}")
    return 0


def drawing(options: argparse.Namespace) -> Callable[[Figure], Axes]:
    """Return what draws a kind to an empty figure: the function of its name, with what it takes."""
    from nncore import plot

    given = KINDS[options.kind][2](options)
    function = getattr(plot, options.kind.replace("-", "_"))
    return lambda figure: function(**given, ax=figure)


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


# ---- what the functions of the kinds take


def _activations_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names",
        metavar="NAME",
        nargs="*",
        help="activations, with parameters of your own: relu elu:alpha=0.5 clip:alpha=0,beta=6 "
        "(default: those of the classic texts)",
    )


def _activations(options: argparse.Namespace) -> Given:
    names = [_name_and_parameters(text) for text in options.names]
    return {"names": names} if names else {}


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


def _between_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--activation", metavar="NAME", default="tanh", help="between the layers (default: tanh)"
    )


def _count_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", metavar="N", type=positive_integer, help="how many to show")


def _image_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image", metavar="HxW", type=image_size,
        help="height and width of an image (default: it is square)",
    )  # fmt: skip


def _mistakes_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mistakes", action="store_true", help="show the wrong ones first")


def _digits(options: argparse.Namespace) -> Given:
    import numpy as np

    net = network_of(options)
    x, t, classes = samples_for(net, samples_of(options))
    count = options.count or GRID
    some = len(x) if options.mistakes else count
    read = labels_read(net, x[:some])
    is_right = read == t[:some]
    title = None
    shown = np.arange(len(read))
    if options.mistakes:
        shown = np.argsort(is_right, kind="stable")
        title = f"{int((~is_right).sum()):,} of {len(x):,} wrong: mistakes first"
    shown = shown[:count]
    return {
        "images": x[shown], "labels": t[shown], "predictions": read[shown], "classes": classes,
        "title": title, "shape": options.image,
    }  # fmt: skip


def _weights(options: argparse.Namespace) -> Given:
    count = options.count or 100
    return {"net": network_of(options), "count": count, "shape": options.image}


def _confusion(options: argparse.Namespace) -> Given:
    net = network_of(options)
    x, t, classes = samples_for(net, samples_of(options))
    return {"t": t, "predictions": labels_read(net, x), "classes": classes}


def _layers_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--layers", metavar="SIZES", help="draw a new network of these sizes: 784,50,50,10"
    )
    parser.add_argument(
        "--activation", metavar="NAME", help="of its hidden layers (default: sigmoid)"
    )


def _activations_of_layers(options: argparse.Namespace) -> Given:
    net = network_of(options)
    return {"net": net, "x": samples_for(net, samples_of(options))[0]}


def _gradients(options: argparse.Namespace) -> Given:
    if options.layers is None and options.activation is not None:
        raise CommandError("--activation needs --layers: a trained network has its own")
    data = samples_of(options)
    net = network_of(options) if options.layers is None else new_network(options, data)
    check_float(net.layers, str(options.weights))
    x, t, _ = samples_for(net, data)
    return {"net": net, "x": x, "t": t}


def _history_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", help="what nncore train --json printed, or a checkpoint of it"
    )


def _run(options: argparse.Namespace) -> Given:
    return {"run": json_in(options.measured, "nncore bench --json or nncore mnist --json")}


def _nothing(_: argparse.Namespace) -> Given:
    return {}


# ---- the kinds


_NET = (add_network_options,)
_DATA = (*_NET, _data_options)

# What each kind is, which options it has, and what the function of its name takes.
KINDS: dict[
    str,
    tuple[
        str,
        tuple[Callable[[argparse.ArgumentParser], None], ...],
        Callable[[argparse.Namespace], Given],
    ],
] = {
    "digits": (
        "digits with what a network reads in them, wrong ones marked",
        (*_DATA, _count_option, _mistakes_option, _image_option), _digits,
    ),
    "confusion-matrix": ("how often each class is taken for each", _DATA, _confusion),
    "history": (
        "the course of a training", (_history_options,),
        lambda options: {"history": history_in(options.file)},
    ),
    "weights": (
        "the weights of the first layer as images", (*_NET, _count_option, _image_option), _weights,
    ),
    "layer-activations": (
        "how the activations are spread, layer by layer", _DATA, _activations_of_layers,
    ),
    "layer-gradients": (
        "how large the gradients are, layer by layer", (*_DATA, _layers_option), _gradients,
    ),
    "latency": ("the time a sample takes, from a benchmark run", (_run_option,), _run),
    "batch-sizes": (
        "the time a sample takes by batch size, measured now", _NET,
        lambda options: {"net": network_of(options)},
    ),
    "activation-functions": (
        "activation functions and their derivatives", (_activations_options,), _activations,
    ),
    "step-and-sigmoid": ("step beside sigmoid", (), _nothing),
    "line-and-curve": (
        "two layers without and with an activation between them", (_between_option,),
        lambda options: {"activation": options.activation},
    ),
    "softmax": ("softmax, and its naive formula, which overflows", (), _nothing),
    "xor-regions": ("XOR before and after a hidden layer", (), _nothing),
    "loss-surface": ("a loss over two weights, and the way down", (), _nothing),
}  # fmt: skip
