"""`nncore inspect`: what is in a weights file: layers, parameters, how the weights are spread."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nncore.cli._common import (
    NETWORK_FILE,
    CommandError,
    add_activations_option,
    add_json_option,
    count_of,
    dense_layers,
    load_network,
    network_facts,
    network_lines,
    print_field,
    print_json,
    split_activations,
    split_files,
)
from nncore.cli._terminal import Column, table, text_width

if TYPE_CHECKING:
    import argparse

    import numpy as np

    from nncore import Network

HELP = "show the layers and the weights of a network"
DESCRIPTION = """\
Show what a network is made of: its layers, its parameters, and for the weights
and the biases of each layer the mean, the standard deviation, the least and the
greatest, and how many are zero; likewise for the means and deviations of a
Normalization. NaN and infinite ones are counted apart."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("file", metavar="FILE", nargs="?", help=NETWORK_FILE)
    add_activations_option(parser)
    add_json_option(parser)


def run(options: argparse.Namespace) -> int:
    """Load the network and print what it is; return the exit code."""
    activations, files = split_files(
        options.activations, [] if options.file is None else [options.file]
    )
    if len(files) > 1:
        raise CommandError(f"FILE is given {len(files)} times, expected once: {', '.join(files)}")
    loaded = load_network(files[0] if files else None, split_activations(activations))
    facts: dict[str, Any] = {
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
                "weights": statistics(layer.weights),
                "bias": None if layer.bias is None else statistics(layer.bias),
            }
            for layer in dense_layers(loaded.net)
        ],
    }
    if options.json:
        print_json(facts)
        return 0
    lines = network_lines(facts["network"])
    lines += _first_lines(facts["network"], facts["normalization"])
    print_field("network", lines)
    if facts["bytes"] is not None:
        print_field("file", [f"{loaded.file}, {count_of(facts['bytes'], 'byte')}"])
    print()
    _print_layers(facts["layers"], facts["normalization"])
    return 0


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
