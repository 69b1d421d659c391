"""`nncore quantize`: from a float network to one of 8 bits, and what that costs and gains.

Samples of the data choose the ranges; others of them, where there are enough, tell what is lost.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nncore.cli._common import (
    CommandError,
    add_activations_option,
    add_json_option,
    add_threads_option,
    check_float,
    check_has_answers,
    check_target,
    finite_number,
    gives_values,
    labels_of,
    load_network,
    network_facts,
    positive_integer,
    print_json,
    split_activations,
    split_files,
    threads_set,
    whole_number,
)

if TYPE_CHECKING:
    import argparse

    import numpy as np

    from nncore.cli._quantize_data import Samples

HELP = "make a network of 8 bits, and show what that costs and gains"
DESCRIPTION = """\
Read the network of the file IN, in any format that nncore reads, and write it
in whole numbers of 8 bits to OUT, an .npz file, which nncore predict --weights
OUT runs, and nncore.load in Python.

Samples of --data, --samples of those for training, show what numbers each layer
has to take; they need no labels. Both networks are then run on the test samples,
which --data has beside the others, or on a fifth of all, put aside as nncore
train does. Printed are, before and after, the right answers, or the error where
the network gives values; the labels that changed; the largest difference of a
logit (what goes into the last activation); sizes of the files; and times.

If more than --max-drop is lost, OUT is not written and the exit code is 1."""

METHODS = ("mse", "minmax", "percentile")
SAMPLES = 500
BATCHES = (1, 100, 1000)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    add = parser.add_argument
    # Not 2: --activations would swallow the files that follow it; see `split_files`.
    add("files", metavar="IN OUT", nargs="*", help="the file to read and the one to write")
    add(
        "--data",
        metavar="DIR|FILE",
        required=True,
        help="folder with MNIST's four files; or a .csv or .npz file, as for nncore train; or "
        "samples without labels, as for nncore predict",
    )
    add("--label", metavar="COLUMN", help="of a table: the column of the labels, as for predict")
    add(
        "--scale",
        metavar="FACTOR",
        type=finite_number,
        help="multiply the values of a file by FACTOR, as nncore predict does",
    )
    add(
        "--samples",
        metavar="N",
        type=positive_integer,
        default=SAMPLES,
        help=f"how many to calibrate with (default: {SAMPLES})",
    )
    add(
        "--seed",
        metavar="N",
        type=whole_number,
        default=0,
        help="that nncore train had, whose test samples are not calibrated with (default: 0)",
    )
    add(
        "--method",
        choices=METHODS,
        default=METHODS[0],
        help="how the range of a layer's inputs is chosen: mse makes the layer's sums most exact "
        "(default), minmax takes the whole range, percentile leaves out one number in 10,000 at "
        "either end",
    )
    add(
        "--max-drop",
        metavar="SHARE",
        type=finite_number,
        help="the most that may be lost, as a share of the test samples: 0.01 is one in a hundred; "
        "of the right ones, or, without labels, of those whose label changes",
    )
    add_activations_option(parser)
    add("--overwrite", action="store_true", help="replace OUT if there is such a file")
    add_threads_option(parser)
    add_json_option(parser)


def run(options: argparse.Namespace) -> int:
    """Quantize, measure and print; return the exit code."""
    from nncore.cli._quantize_report import print_quantized

    with threads_set(options.threads):
        facts = gather(options)
    if options.json:
        print_json(facts)
    else:
        print_quantized(facts)
    return 0 if facts["out"]["written"] else 1


def gather(options: argparse.Namespace) -> dict[str, Any]:
    """Quantize and measure, and return the facts as `--json` prints them."""
    import nncore
    from nncore.cli._quantize_data import samples_of
    from nncore.cli._quantize_report import print_begin
    from nncore.cli._tables import check_file

    activations, files = split_files(options.activations, options.files)
    if len(files) != 2:
        given = f"got {', '.join(files)}" if files else "got none"
        raise CommandError(f"expected two files, IN and OUT, {given} (see nncore quantize --help)")
    source, target = files
    if not target.lower().endswith(".npz"):
        raise CommandError(f"OUT is {target}, expected a name that ends in .npz")
    if os.path.realpath(source) == os.path.realpath(target):
        raise CommandError(f"IN and OUT are {source}, expected two files: only IN can be trained")
    if options.max_drop is not None and not 0 <= options.max_drop <= 1:
        raise CommandError(f"--max-drop is {options.max_drop:g}, expected a share from 0 to 1")
    check_target(target, options.overwrite)
    check_file(source)
    loaded = load_network(source, split_activations(activations))
    check_float(loaded.net.layers, source)
    check_has_answers(loaded)
    if options.max_drop is not None and gives_values(loaded.net):
        raise CommandError(
            "--max-drop is a share of labels, but this network gives values: leave it out, and "
            "compare the errors that are printed"
        )
    data = samples_of(options, loaded.net)
    begin = {
        "command": "quantize",
        "network": network_facts(loaded),
        "machine": nncore.info(),
        "threads": nncore.get_num_threads(),
        "data": data.facts(),
        "method": options.method,
    }
    quantized = nncore.quantize(loaded.net, data.calibration, method=options.method)
    if not options.json:
        print_begin(begin)
    found = _compared(loaded.net, quantized, data)
    lost = _lost(found, len(data.x))
    written = options.max_drop is None or lost is None or lost <= options.max_drop
    if written:
        check_target(target, options.overwrite)  # somebody may have written it meanwhile
        quantized.save(target)
    return {
        **begin,
        **found,
        "lost": lost,
        "max_drop": options.max_drop,
        "bytes": {
            "before": os.path.getsize(source),
            "after": os.path.getsize(target) if written else None,
        },
        **_times(loaded.net, quantized, data.x),
        "out": {"file": target, "written": written},
    }


def _compared(net: Any, quantized: Any, data: Samples) -> dict[str, Any]:
    """Return what both networks make of the test samples, and how far they are apart."""
    import numpy as np

    sides = {"before": net, "after": quantized}
    logits = [side.logits(data.x).astype(np.float64) for side in sides.values()]
    facts: dict[str, Any] = {
        name: {"largest_logit": float(abs(each).max())}
        for name, each in zip(sides, logits, strict=True)
    }
    changed = None
    if gives_values(net):
        for name, side in sides.items():
            facts[name]["rmse"] = _error(side(data.x)[:, 0].astype(np.float64), data.t)
    else:
        labels = [labels_of(side, data.x, side(data.x)) for side in sides.values()]
        changed = labels[0] != labels[1]
        for name, each in zip(sides, labels, strict=True):
            right = None if data.t is None else int((each == data.t).sum())
            accuracy = None if right is None else right / len(each)
            facts[name] |= {"right": right, "accuracy": accuracy}
    return {
        **facts,
        "labels_changed": None if changed is None else int(changed.sum()),
        "share_changed": None if changed is None else float(changed.mean()),
        "largest_logit_difference": float(abs(logits[0] - logits[1]).max()),
    }


def _error(values: np.ndarray, t: np.ndarray | None) -> float | None:
    """Return the root mean square of the errors of values (n,)."""
    return None if t is None else float(((values - t) ** 2).mean() ** 0.5)


def _lost(found: dict[str, Any], samples: int) -> float | None:
    """Return the share of right answers that is lost, else of labels that change.

    None for a network that gives values.
    """
    before, after = found["before"], found["after"]
    if before.get("right") is None:
        share: float | None = found["share_changed"]
        return share
    # Of the counts: the difference of two rounded shares may be above a --max-drop that it equals.
    return float((before["right"] - after["right"]) / samples)


def _times(net: Any, quantized: Any, x: np.ndarray) -> dict[str, Any]:
    """Return seconds a sample, before and after: of one by one calls and of batches."""
    import numpy as np

    from nncore.cli._compare import batch_of, time_calls

    sizes = sorted({batch_of(net, size) for size in BATCHES})
    given = [x[0], *(np.resize(x, (size, x.shape[1])) for size in sizes[1:])]
    calls = [lambda side=side, x=x: side(x) for x in given for side in (net, quantized)]
    medians, repeats = time_calls(calls)
    seconds = [median / size for median, size in zip(medians, np.repeat(sizes, 2), strict=True)]
    return {
        "times": [
            {"batch": size, "before": float(before), "after": float(after)}
            for size, before, after in zip(sizes, seconds[::2], seconds[1::2], strict=True)
        ],
        "repeats": repeats,
    }
