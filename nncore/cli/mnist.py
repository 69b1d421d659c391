"""`nncore mnist`: classify MNIST one by one and in batches, and show what that takes.

Which data, which network, which machine, how many are right, how fast, and whether all ways
give the same bits.
"""

from __future__ import annotations

import os
import sys
from argparse import SUPPRESS
from typing import TYPE_CHECKING, Any

from nncore.cli._common import (
    CommandError,
    LoadedNetwork,
    add_json_option,
    add_network_options,
    add_threads_option,
    check_float,
    check_target,
    count_of,
    load_network,
    network_facts,
    positive_integer,
    print_field,
    print_json,
    refuse_extra,
    split_activations,
    threads_set,
)

if TYPE_CHECKING:
    import argparse

    import numpy as np

    from nncore.cli._digits import TestSet
    from nncore.cli._measure import Way

HELP = "classify MNIST one by one and in batches, with accuracy and times"
DESCRIPTION = """\
Classify MNIST's test images one by one and in batches of 1, 10, 100, 1,000 and
all, and print how many are right, how long a sample takes, and whether every
way gives the same bits.

The images come from the folder of --data; else from NNCORE_DATA_HOME or the
cache folder; else they are downloaded (needs pooch); and where that fails,
nncore draws digits itself and says so. The exit code is 1 if any bit differs.

--html PAGE writes a page for the browser as well: the network, which computes
there node by node, and below it the accuracy, the confusion matrix, the most
confident mistakes (a click puts one into the network) and the times.

--int8 quantizes the network and runs it in whole numbers of 8 bits. It is
calibrated with some hundreds of MNIST's training images where they stand beside
the test images, else with digits that nncore draws. Its accuracy stands beside
that of the float network."""

PIXELS, CLASSES = 784, 10
CALIBRATION = 500  # images


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("extra", nargs="*", help=SUPPRESS)
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="folder with t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, .gz or not",
    )
    add_network_options(parser)
    parser.add_argument(
        "--batch-size",
        metavar="N",
        type=positive_integer,
        help="run batches of N as well",
    )
    parser.add_argument(
        "--limit", metavar="N", type=positive_integer, help="only the first N images"
    )
    parser.add_argument(
        "--int8", action="store_true", help="quantize the network first, and run that"
    )
    parser.add_argument(
        "--html",
        metavar="PAGE",
        help="write a page of the network and its results to this file, which needs no other",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace PAGE if there is such a file"
    )
    add_threads_option(parser)
    add_json_option(parser)


def run(options: argparse.Namespace) -> int:
    """Classify, measure and print; return the exit code."""
    refuse_extra(options)
    if options.html is not None:
        if options.int8:
            raise CommandError(
                "--int8 and --html exclude each other: the page computes with the float network"
            )
        check_target(options.html, options.overwrite)
    loaded = load_network(options.weights, split_activations(options.activations))
    if options.html is not None or options.int8:
        check_float(loaded.net.layers, loaded.title)
    _check_shape(loaded)
    with threads_set(options.threads):
        return _run(options, loaded)


def _run(options: argparse.Namespace, loaded: LoadedNetwork) -> int:
    from nncore.cli._digits import load_test_set
    from nncore.cli._measure import batch_sizes_for, measure
    from nncore.cli._report import print_begin, print_calibration, print_data, print_results
    from nncore.datasets import find_mnist

    # What is here is read at once, and errors come first; to download or to draw takes seconds.
    here = options.data is not None or find_mnist(split="test") is not None
    data = load_test_set(options.data, options.limit) if here else None
    values = _values(loaded)
    begin = _begin(loaded, values)
    if options.int8:
        begin["network"] |= {"dtype": "int8", "weight_type": "int8"}
    if not options.json:
        print_begin(begin, "handwritten digits, one by one and in batches")
    if data is None:
        data = load_test_set(options.data, options.limit)
    if not options.json:
        print_data(data.facts())
    x = _inputs(loaded, data.images)
    sizes = batch_sizes_for(len(x), options.batch_size)
    net: Any = loaded.net
    before: dict[str, Any] = {}
    if options.int8:
        net, before = _quantized(loaded, data, x)
        if not options.json:
            print_calibration(before["calibration"])
    ways = measure(net, x, data.labels, sizes)
    facts = {**begin, "data": data.facts(), **before, **_results(data, ways)}
    if options.json:
        if not data.origin.is_mnist:
            print(
                f"nncore: not MNIST but digits drawn by nncore: {data.origin.why}", file=sys.stderr
            )
        print_json(facts)
    else:
        print_results(facts)
    if options.html is not None:
        _write_page(options.html, loaded, data, facts)
        if not options.json:
            size = count_of(os.path.getsize(options.html), "byte")
            print_field("page", [f"{options.html}, {size}"])
    return 0 if facts["same_bits"] else 1


def _check_shape(loaded: LoadedNetwork) -> None:
    net = loaded.net
    if (net.in_features, net.out_features) != (PIXELS, CLASSES):
        raise CommandError(
            f"{loaded.name}: the network has {net.in_features} -> {net.out_features} features, "
            f"expected {PIXELS} (28x28 pixels) -> {CLASSES}"
        )


def _values(loaded: LoadedNetwork) -> str:
    """Return the words for what the network is given."""
    first = loaded.net.layers[0]
    if first.first_only:
        return f"uint8 pixels, scaled by the network's {type(first).__name__} layer"
    return "pixels / 255 as float32 (the network has no layer that scales them)"


def _divisor(loaded: LoadedNetwork) -> int:
    """Return what the pixels are divided by before the network is given them."""
    return 1 if loaded.net.layers[0].first_only else 255


def _inputs(loaded: LoadedNetwork, images: np.ndarray) -> np.ndarray:
    """Return the images as the network wants them."""
    import numpy as np

    divisor = _divisor(loaded)
    return images if divisor == 1 else images.astype(np.float32) / np.float32(divisor)


def _quantized(loaded: LoadedNetwork, data: TestSet, x: np.ndarray) -> tuple[Any, dict[str, Any]]:
    """Return the quantized network, and what `--json` says of the float one and the calibration."""
    import nncore
    from nncore.cli._digits import calibration_images

    images, what = calibration_images(data.origin, CALIBRATION)
    net = nncore.quantize(loaded.net, _inputs(loaded, images))
    float_labels = loaded.net(x).argmax(axis=1)
    right = int((float_labels == data.labels).sum())
    return net, {
        "calibration": {"samples": len(images), "what": what},
        "float": {
            "dtype": str(loaded.net.dtype),
            "right": right,
            "accuracy": right / len(x),
            "labels_changed": int((float_labels != net(x).argmax(axis=1)).sum()),
        },
    }


def _write_page(path: str, loaded: LoadedNetwork, data: TestSet, facts: dict[str, Any]) -> None:
    """Write the page of the network, which begins with the first image, and the results."""
    from nncore import page
    from nncore.page.results import results_of

    results = results_of(
        loaded.net,
        data.images,
        data.labels,
        divisor=_divisor(loaded),
        timings=facts["timings"],
        passes=min(row["passes"] for row in facts["timings"]),
        same_bits=facts["same_bits"],
        is_mnist=data.origin.is_mnist,
        machine=facts["machine"],
        threads=facts["threads"],
    )
    sizes = "-".join(map(str, facts["network"]["sizes"]))
    title = sizes if loaded.file is None else f"{loaded.title}: {sizes}"
    first = _inputs(loaded, data.images[:1])
    page.write(path, page.render(loaded.net, first, title=title, results=results))


def _begin(loaded: LoadedNetwork, values: str) -> dict[str, Any]:
    """Return what is known before the work begins."""
    import nncore

    return {
        "command": "mnist",
        "network": {**network_facts(loaded), "inputs": values},
        "machine": nncore.info(),
        "threads": nncore.get_num_threads(),
    }


def _results(data: TestSet, ways: list[Way]) -> dict[str, Any]:
    one_by_one = ways[0]
    # The largest batch: how anyone would classify a whole set.
    whole = max(ways[1:], key=lambda way: way.batch_size or 0)
    return {
        "right": whole.right,
        "samples": len(data.images),
        "accuracy": whole.right / len(data.images),
        "timings": [
            {
                "way": way.name,
                "batch_size": way.batch_size,
                "seconds_per_sample": way.seconds_per_sample,
                "best_seconds_per_sample": way.best_seconds_per_sample,
                "samples_per_second": 1 / way.seconds_per_sample,
                "speedup": one_by_one.seconds_per_sample / way.seconds_per_sample,
                "passes": way.passes,
                "right": way.right,
                "same_bits": way.same_bits,
            }
            for way in ways
        ],
        "same_bits": all(way.same_bits for way in ways),
    }
