"""`nncore predict`: a label for every image of the files it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nncore.cli._common import (
    CommandError,
    LoadedNetwork,
    add_json_option,
    add_network_options,
    dense_layers,
    labels_of,
    load_network,
    network_facts,
    network_lines,
    print_json,
    split_activations,
    split_files,
)

if TYPE_CHECKING:
    import argparse

    from nncore.cli._images import Images

HELP = "classify the images of IDX or .npy files"
DESCRIPTION = """\
Classify images and print a line for each: the file, the number of the image in
it, the label (the index of the network's largest output) and, where the last
activation is softmax, its probability.

A file is an IDX file, MNIST's own format, compressed with gzip or not, or a
.npy file of NumPy. It holds n images as (n, features), (n, height, width) or
(n, 1, height, width), or one image.

What is assumed about the values is said on standard error: uint8 pixels are
divided by 255 unless the network begins with a Rescaling or Normalization
layer; everything else is used as it is, except that a network that divides by
255 itself gets floats between 0 and 1, and booleans, times 255."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    # Not "+": --activations would swallow the files that follow it; see `split_files`.
    parser.add_argument("images", metavar="IMAGES", nargs="*", help="IDX or .npy files")
    add_network_options(parser)
    parser.add_argument(
        "--scale",
        metavar="FACTOR",
        type=_finite_number,
        help="multiply the values by FACTOR (1: use them as they are)",
    )
    add_json_option(parser)


def run(options: argparse.Namespace) -> int:
    """Classify and print; return the exit code."""
    from nncore.cli._images import read_images

    activations, files = split_files(options.activations, options.images)
    if not files:
        raise CommandError(
            "no images given, expected IDX or .npy files (see nncore predict --help)"
        )
    loaded = load_network(options.weights, split_activations(activations))
    _check_is_classifier(loaded)
    everything = [read_images(file, loaded.net, options.scale) for file in files]
    if options.json:
        _print_json(loaded, everything)
    else:
        _print_text(loaded, everything)
    return 0


def _finite_number(text: str) -> float:
    import argparse
    import math

    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"is {text!r}, expected a finite number")
    return value


def _check_is_classifier(loaded: LoadedNetwork) -> None:
    if loaded.net.out_features < 2:
        raise CommandError(
            f"{loaded.name}: the network has {loaded.net.out_features} output, expected two or "
            "more, one for each class"
        )


def _results(loaded: LoadedNetwork, images: Images) -> tuple[list[int], list[float] | None]:
    """Return a label for each image, and its probability where the network gives one."""
    import numpy as np

    outputs = loaded.net(images.x)
    labels = labels_of(outputs)
    largest = outputs[np.arange(len(labels)), labels].astype(np.float64)
    last = dense_layers(loaded.net)[-1].activation
    if last == "log_softmax":
        largest = np.exp(largest)
    elif last != "softmax":
        return labels.tolist(), None
    return labels.tolist(), largest.tolist()


def _print_text(loaded: LoadedNetwork, everything: list[Images]) -> None:
    import sys

    for line in network_lines(network_facts(loaded)):
        print(f"# {line}", file=sys.stderr)
    for images in everything:
        print(f"# {images.file}: {images.assumed}", file=sys.stderr)
        labels, probabilities = _results(loaded, images)
        for number, label in enumerate(labels):
            line = f"{images.file}\t{number}\t{label}"
            print(line if probabilities is None else f"{line}\t{probabilities[number]:.4f}")


def _print_json(loaded: LoadedNetwork, everything: list[Images]) -> None:
    predictions: list[dict[str, Any]] = []
    for images in everything:
        labels, probabilities = _results(loaded, images)
        predictions += [
            {
                "file": images.file,
                "index": number,
                "label": label,
                "probability": None if probabilities is None else probabilities[number],
            }
            for number, label in enumerate(labels)
        ]
    print_json(
        {
            "command": "predict",
            "network": network_facts(loaded),
            "inputs": [
                {"file": images.file, "images": len(images.x), "values": images.assumed}
                for images in everything
            ],
            "predictions": predictions,
        }
    )
