"""`nncore inspect`: what a network is made of, and what each of its nodes makes of an input."""

from __future__ import annotations

import argparse
import os
import re
from typing import TYPE_CHECKING, Any

from nncore.cli._common import (
    NETWORK_FILE,
    CommandError,
    LoadedNetwork,
    add_activations_option,
    add_json_option,
    add_sample_options,
    check_float,
    check_target,
    count_of,
    dense_layers,
    image_size,
    load_network,
    network_facts,
    network_lines,
    positive_integer,
    print_field,
    print_json,
    split_activations,
    split_files,
    whole_number,
)
from nncore.cli._terminal import Column, table, text_width

if TYPE_CHECKING:
    import numpy as np

    from nncore import Network
    from nncore.cli._inspect_input import Sample

HELP = "show a network's layers, and what each node makes of an input"
DESCRIPTION = """\
Show what a network is made of: its layers, its parameters, and for the weights
and the biases of each layer the mean, the standard deviation, the least and the
greatest, and how many are zero; likewise for the means and deviations of a
Normalization. NaN and infinite ones are counted apart. Of a quantized network,
the weights are what its codes stand for.

With an input, show what the network makes of it instead: the input (an image as
characters), the weighted sum and the activation of each node, the probabilities
as bars, and the answer. Of a wide layer the nodes with the largest activations
are shown (--nodes), and the least and the greatest sum of all. In the layers
before the last, a whole bar is 1 where an activation is at most 1, such as
sigmoid, else the largest activation of the layer. The input is

  --input 1,0.5        numbers, separated by commas
  --input seven.png    a file that nncore predict reads; --index N: which sample
  --digit 7            of MNIST's test images, one of this digit
  --index 12           of MNIST's test images, this one

MNIST is looked for in NNCORE_DATA_HOME and the cache folder, as by nncore mnist;
where it is missing, nncore draws the digit itself, and says so.

With --html, write a page for the browser that computes node after node."""

_SHOWN = 10  # nodes of a layer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    add = parser.add_argument
    add("file", metavar="FILE", nargs="?", help=NETWORK_FILE)
    add_activations_option(parser)
    add("--input", metavar="INPUT", help="numbers such as 1,0.5, or a file with samples")
    add("--digit", metavar="D", type=_digit, help="an image of this digit, 0 to 9")
    add("--index", metavar="N", type=whole_number, help="the sample, counted from 0 (default: 0)")
    add(
        "--image",
        metavar="HxW",
        type=image_size,
        help="the inputs are the pixels of an image of this height and width (default: as in the "
        "file; 784 inputs, or a square number of bytes that the network rescales)",
    )
    add_sample_options(parser)
    add(
        "--nodes",
        metavar="N",
        type=positive_integer,
        default=_SHOWN,
        help=f"nodes to show of each layer, and inputs (default: {_SHOWN})",
    )
    add(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colours (default: auto, on a terminal, unless NO_COLOR is set or TERM is dumb)",
    )
    add("--html", metavar="PAGE", help="write a page for the browser to this file")
    add("--overwrite", action="store_true", help="replace PAGE if there is such a file")
    add_json_option(parser)


def run(options: argparse.Namespace) -> int:
    """Load the network and print what it is, or what it makes of an input; return the exit code."""
    activations, files = split_files(
        options.activations, [] if options.file is None else [options.file]
    )
    if len(files) > 1:
        raise CommandError(f"FILE is given {len(files)} times, expected once: {', '.join(files)}")
    if options.html is not None:
        check_target(options.html, options.overwrite)
    loaded = load_network(files[0] if files else None, split_activations(activations))
    sample = _sample_of(options, loaded.net)
    facts = _facts(loaded)
    shown: list[str] = []
    if sample is not None:
        from nncore.cli._inspect_sample import inspect_sample

        found, shown = inspect_sample(loaded.net, sample, options.nodes, options.color)
        facts |= found
    if options.html is not None:
        facts["page"] = _write_page(options, loaded, sample)
    if options.json:
        print_json(facts)
        return 0
    lines = network_lines(facts["network"])
    lines += _first_lines(facts["network"], facts["normalization"])
    print_field("network", lines)
    if facts["bytes"] is not None:
        print_field("file", [f"{loaded.file}, {count_of(facts['bytes'], 'byte')}"])
    if sample is None:
        print()
        _print_layers(facts["layers"], facts["normalization"])
    for line in shown:
        print(line)
    if options.html is not None:
        print_field("page", [f"{options.html}, {count_of(facts['page']['bytes'], 'byte')}"])
    return 0


def join_negative(arguments: list[str]) -> list[str]:
    """Join `--input` and values that begin with a minus: argparse would take these for an option.

    Examples
    --------
    >>> join_negative(["inspect", "--input", "-1,0", "--raw"])
    ['inspect', '--input=-1,0', '--raw']
    """
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == "--input" and re.match(r"-(\d|\.\d|inf|nan)", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _digit(text: str) -> int:
    if not re.fullmatch("[0-9]", text):
        raise argparse.ArgumentTypeError(f"is {text!r}, expected a digit, 0 to 9")
    return int(text)


def _sample_of(options: argparse.Namespace, net: Network) -> Sample | None:
    """Return the input that the options ask for, None if they do not."""
    if any(value is not None for value in (options.input, options.digit, options.index)):
        from nncore.cli._inspect_input import read_sample

        return read_sample(options, net)
    for name in ("scale", "label", "invert", "raw"):
        if getattr(options, name):
            raise CommandError(f"--{name} needs an input: say --input, --digit or --index, too")
    return None


def _facts(loaded: LoadedNetwork) -> dict[str, Any]:
    return {
        "command": "inspect",
        "network": network_facts(loaded),
        "bytes": None if loaded.file is None else os.path.getsize(loaded.file),
        "normalization": _normalization(loaded.net),
        "layers": [
            {
                "in_features": layer.in_features,
                "out_features": layer.out_features,
                "activation": layer.activation,
                "alpha": layer.alpha,
                "beta": layer.beta,
                "weights": statistics(_weights(layer)),
                "bias": None if layer.bias is None else statistics(layer.bias),
            }
            for layer in dense_layers(loaded.net)
        ],
    }


def _weights(layer: Any) -> np.ndarray:
    """Return the weights (in, out) of a Dense, or what those of a QuantizedDense stand for."""
    weights: np.ndarray = layer.weights
    return weights * layer.scale if layer.weight_type == "int8" else weights


def _write_page(
    options: argparse.Namespace, loaded: LoadedNetwork, sample: Sample | None
) -> dict[str, Any]:
    """Write the page for the browser, and return what `--json` says of it."""
    path = options.html
    check_float(loaded.net.layers, loaded.title)
    x = None if sample is None else sample.x
    image = options.image if sample is None else sample.image
    title = None if loaded.file is None else loaded.title
    loaded.net.to_html(x, path, title=title, image=image)
    return {"file": path, "bytes": os.path.getsize(path)}


def _normalization(net: Network) -> dict[str, Any] | None:
    """Return how the means and deviations of a network's Normalization are spread."""
    import nncore

    first = net.layers[0]
    if not isinstance(first, nncore.Normalization):
        return None
    return {
        "in_features": first.in_features,
        "mean": statistics(first.mean),
        "std": statistics(first.std),
    }


def _first_lines(network: dict[str, Any], normalization: dict[str, Any] | None) -> list[str]:
    """Return the line of text about a Rescaling or a Normalization, if the network has one."""
    if normalization is not None:
        return ["begins with Normalization: its input minus the mean, divided by std"]
    if network["rescaling"] is None:
        return []
    offset = network["rescaling_offset"]
    added = f", {'plus' if offset > 0 else 'minus'} {abs(offset):.6g}" if offset else ""
    return [f"begins with Rescaling: its input times {network['rescaling']:.6g}{added}"]


def statistics(array: np.ndarray) -> dict[str, Any]:
    """Return how the numbers of `array` are spread, in double precision.

    Mean, standard deviation, least and greatest are those of the finite numbers, None if there
    are none.

    Examples
    --------
    >>> import numpy as np
    >>> found = statistics(np.array([[-1.0, 0.0], [4.0, np.nan]]))
    >>> found["mean"], found["least"], found["greatest"], found["zeros"], found["not_finite"]
    (1.0, -1.0, 4.0, 1, 1)
    """
    import numpy as np

    finite = array[np.isfinite(array)].astype(np.float64)
    some = finite.size > 0
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(finite.mean()) if some else None
        deviation = float(finite.std()) if some else None
    return {
        "numbers": array.size,
        "mean": mean,
        "standard_deviation": deviation,
        "least": float(finite.min()) if some else None,
        "greatest": float(finite.max()) if some else None,
        "zeros": int((array == 0).sum()),
        "not_finite": array.size - finite.size,
    }


def _print_layers(layers: list[dict[str, Any]], normalization: dict[str, Any] | None) -> None:
    groups: list[tuple[str, dict[str, dict[str, Any] | None]]] = []
    if normalization is not None:
        title = f"0  {count_of(normalization['in_features'], 'feature')}, normalized"
        groups.append((title, {name: normalization[name] for name in ("mean", "std")}))
    for number, layer in enumerate(layers, start=1):
        parameters = "".join(
            f", {key} {layer[key]:g}" for key in ("alpha", "beta") if layer[key] is not None
        )
        sizes = f"{layer['in_features']} -> {layer['out_features']}"
        title = f"{number}  {sizes}, {layer['activation']}{parameters}"
        groups.append((title, {name: layer[name] for name in ("weights", "bias")}))
    rows = [(name, found) for _, parts in groups for name, found in parts.items()]
    lines = iter(table(_columns(rows), text_width()))
    print(next(lines))
    for title, parts in groups:
        print(title)
        for found in parts.values():
            print(next(lines))
            if found is not None and found["not_finite"]:
                print(f"   !! {found['not_finite']:,} of them are NaN or infinite")


def _columns(rows: list[tuple[str, dict[str, Any] | None]]) -> list[Column]:
    """Return the table of the numbers of each array, the names at the left."""

    def cells(key: str, form: str) -> list[str]:
        return [
            "" if found is None else "-" if found[key] is None else format(found[key], form)
            for _, found in rows
        ]

    numbers = [text or "none" for text in cells("numbers", ",")]
    return [
        Column("layer", "layer", [f"   {name}" for name, _ in rows], 15, left=True),
        Column("numbers", "numbers", numbers, 10),
        Column("mean", "mean", cells("mean", ".3g"), 9, 2),
        Column("std", "std", cells("standard_deviation", ".3g"), 9, 1),
        Column("least", "least", cells("least", ".3g"), 9, 4),
        Column("greatest", "greatest", cells("greatest", ".3g"), 9, 3),
        Column("zeros", "zeros", cells("zeros", ","), 7, 5),
    ]
