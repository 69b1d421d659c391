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
    columns = "".join(f"{name:>11}" for name in ("mean", "std", "least", "greatest"))
    print(f"{'layer':17}{'numbers':>10}{columns}{'zeros':>9}")
    if normalization is not None:
        print(f"0  {count_of(normalization['in_features'], 'feature')}, normalized")
        for name in ("mean", "std"):
            print(f"   {name:14}{_numbers(normalization[name])}")
    for number, layer in enumerate(layers, start=1):
        parameters = "".join(
            f", {key} {layer[key]:g}" for key in ("alpha", "beta") if layer[key] is not None
        )
        sizes = f"{layer['in_features']} -> {layer['out_features']}"
        print(f"{number}  {sizes}, {layer['activation']}{parameters}")
        for name in ("weights", "bias"):
            print(f"   {name:14}{_numbers(layer[name])}")


def _numbers(found: dict[str, Any] | None) -> str:
    if found is None:
        return f"{'none':>10}"
    spread = "".join(
        f"{'-' if found[name] is None else format(found[name], '.3g'):>11}"
        for name in ("mean", "standard_deviation", "least", "greatest")
    )
    line = f"{found['numbers']:>10,}{spread}{found['zeros']:>9,}"
    if found["not_finite"]:
        line += f"\n   !! {found['not_finite']:,} of them are NaN or infinite"
    return line
