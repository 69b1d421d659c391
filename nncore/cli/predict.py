"""`nncore predict`: a class or a value for every sample of the files it is given."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from nncore.cli._common import (
    CommandError,
    LoadedNetwork,
    add_json_option,
    add_network_options,
    add_sample_options,
    check_has_answers,
    count_of,
    dense_layers,
    gives_values,
    labels_of,
    load_network,
    network_facts,
    network_lines,
    print_json,
    split_activations,
    split_files,
)
from nncore.cli._terminal import WIDEST, columns_of, plain, wrap

if TYPE_CHECKING:
    import argparse

    from nncore.cli._images import Images

HELP = "classify pictures, IDX and .npy files, or the rows of a table"
DESCRIPTION = """\
Classify samples and print a line for each: the file, the number of the sample
in it, the class (its name if the network knows it, else the index of the
largest output) and, where the last activation is softmax, its probability. A
network with one output that is no sigmoid gives a value instead.

A file is a picture of a digit (PNG, JPEG and others; needs Pillow: pip install
pillow); an IDX file, MNIST's own format, compressed with gzip or not; a .npy
file, or an .npz file with x; or a table as .csv. Arrays hold n samples as
(n, features), (n, height, width) or (n, 1, height, width), or one image.

A picture is prepared as MNIST's images were: grey, inverted if its ground is
light, cropped to the ink, fitted into 20x20 pixels, put into 28x28 with its
centre of mass in the middle. What comes out is shown on standard error.

What is assumed about the values is said on standard error: uint8 pixels are
divided by 255 unless the network begins with a Rescaling or Normalization
layer; everything else is used as it is, except that a network that divides by
255 itself gets floats between 0 and 1, and booleans, times 255."""

_MOST_SHOWN = 10  # pictures; more would only scroll by


class Results(NamedTuple):
    """What a network says of the samples of one file."""

    labels: list[int] | None  # None: values
    answers: list[Any]  # names of classes, else labels; or values
    probabilities: list[float] | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    # Not "+": --activations would swallow the files that follow it; see `split_files`.
    parser.add_argument("images", metavar="FILE", nargs="*", help="pictures, arrays or tables")
    add_network_options(parser)
    add_sample_options(parser)
    add_json_option(parser)


def run(options: argparse.Namespace) -> int:
    """Classify and print; return the exit code."""
    from nncore.cli._images import read_images
    from nncore.cli._pictures import Preparation

    activations, files = split_files(options.activations, options.images)
    if not files:
        raise CommandError(
            "no files given, expected pictures, IDX, .npy, .npz or .csv files (see nncore predict "
            "--help)"
        )
    loaded = load_network(options.weights, split_activations(activations))
    check_has_answers(loaded)
    preparation = Preparation(options.invert, options.center, options.raw)
    everything = [
        read_images(file, loaded.net, options.scale, preparation, options.label) for file in files
    ]
    results = [_results(loaded, images) for images in everything]  # before anything is printed
    if options.json:
        _print_json(loaded, everything, results)
    else:
        from nncore.cli._pictures import options_that_change

        _print_text(loaded, everything, results, options_that_change(preparation))
    return 0


def _results(loaded: LoadedNetwork, images: Images) -> Results:
    """Return an answer for each sample, and its probability where the network gives one."""
    import numpy as np

    _check_numbers(loaded, images)
    net = loaded.net
    outputs = net(images.x)
    if gives_values(loaded.net):
        return Results(None, outputs[:, 0].tolist(), None)
    last = dense_layers(net)[-1].activation
    labels = labels_of(net, images.x, outputs)
    if net.out_features == 1:  # a sigmoid: the probability of the second of two classes
        largest = np.where(labels, outputs[:, 0], 1 - outputs[:, 0]).astype(np.float64)
    else:
        largest = outputs[np.arange(len(labels)), labels].astype(np.float64)
    if last == "log_softmax":
        largest = np.exp(largest)
    classes = net.classes
    answers = labels if classes is None else classes[labels]
    has_probabilities = last in ("softmax", "log_softmax") or net.out_features == 1
    return Results(
        labels.tolist(), answers.tolist(), largest.tolist() if has_probabilities else None
    )


def _check_numbers(loaded: LoadedNetwork, images: Images) -> None:
    """Refuse samples without an answer: NaN, or numbers that the network's dtype cannot hold."""
    import numpy as np

    net, x = loaded.net, images.x
    bad = np.zeros(len(x), bool)
    if x.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            overflows = np.isinf(x.astype(net.dtype)) & np.isfinite(x)
        bad |= ~np.isfinite(x).all(axis=1)  # 8 bits take infinity for their largest number
        if not net.layers[0].first_only:
            bad |= overflows.any(axis=1)
    with warnings.catch_warnings():
        if bad.any():
            warnings.simplefilter("ignore")  # of a file that is refused
        asked = np.flatnonzero(~bad)
        bad[asked] = np.isnan(net.logits(x[asked])).any(axis=1)
    if bad.any():
        rows = np.flatnonzero(bad).tolist()
        names = ", ".join(map(str, rows[:5])) + (
            f" and {len(rows) - 5:,} more" if len(rows) > 5 else ""
        )
        raise CommandError(
            f"{images.file}: {'sample' if len(rows) == 1 else 'samples'} {names} (counted from 0) "
            f"{'has' if len(rows) == 1 else 'have'} NaN, or numbers too large for {net.dtype}: "
            "there is no answer for them"
        )


def _print_text(
    loaded: LoadedNetwork, everything: list[Images], results: list[Results], switches: str
) -> None:
    for line in network_lines(network_facts(loaded)):
        print(f"# {plain(line)}", file=sys.stderr)
    shown = 0
    for images, (_, answers, probabilities) in zip(everything, results, strict=True):
        file = plain(images.file)
        print(f"# {file}: {images.assumed}", file=sys.stderr)
        if images.picture is not None and shown < _MOST_SHOWN:
            _show(images, switches)
            shown += 1
        if images.labels is not None and not gives_values(loaded.net):
            print(f"# {file}: {_right(answers, images.labels)}", file=sys.stderr)
        sys.stderr.flush()
        for number, answer in enumerate(answers):
            line = f"{file}\t{number}\t{_shown(answer)}"
            print(line if probabilities is None else f"{line}\t{probabilities[number]:.4f}")


def _show(images: Images, switches: str) -> None:
    """Show a picture as the network sees it, and say how it came about."""
    from nncore.datasets.pictures import as_text

    assert images.picture is not None
    done = ", ".join(images.picture.done)
    text = f"{images.file}: {done}{f' ({switches})' if switches else ''}"
    width = min(columns_of(sys.stderr) or WIDEST, WIDEST)
    for line in wrap(plain(f"# {text}"), width, indent="#   "):
        print(line, file=sys.stderr)
    for line in as_text(images.picture.image):
        print(f"#  |{line}|", file=sys.stderr)


def _shown(answer: Any) -> str:
    """Return a class or a value as text that stays on its line."""
    return format(answer, ".7g") if isinstance(answer, float) else plain(answer)


def _right(answers: list[Any], labels: list[str]) -> str:
    right = sum(str(answer) == label for answer, label in zip(answers, labels, strict=True))
    return f"{right:,} of {count_of(len(labels), 'label')} in the file are the same"


def _print_json(loaded: LoadedNetwork, everything: list[Images], results: list[Results]) -> None:
    predictions: list[dict[str, Any]] = []
    names = loaded.net.classes is not None
    for images, (labels, answers, probabilities) in zip(everything, results, strict=True):
        predictions += [
            {
                "file": images.file,
                "index": number,
                "label": None if labels is None else labels[number],
                "class": answer if names else None,
                "value": answer if labels is None else None,
                "probability": None if probabilities is None else probabilities[number],
            }
            for number, answer in enumerate(answers)
        ]
    print_json(
        {
            "command": "predict",
            "network": network_facts(loaded),
            "inputs": [
                {
                    "file": images.file,
                    "images": len(images.x),
                    "values": images.assumed,
                    "done": None if images.picture is None else images.picture.done,
                }
                for images in everything
            ],
            "predictions": predictions,
        }
    )
