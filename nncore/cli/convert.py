"""`nncore convert`: from any format that nncore reads to any that it writes, and a check of both.

The new file is written to a temporary folder first, read back and compared with what the old one
gives, run by the library that it came from. Only then it goes where it was asked for.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

from nncore.cli._common import (
    CommandError,
    LoadedNetwork,
    add_activations_option,
    add_json_option,
    check_float,
    check_target,
    network_facts,
    one_line,
    positive_integer,
    print_json,
    split_activations,
    split_files,
    whole_number,
)
from nncore.cli._dtype import in_dtype
from nncore.cli._terminal import plain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from nncore import Network
    from nncore.cli._origins import Read

HELP = "convert a network to another format, and compare the two"
DESCRIPTION = """\
Read the network of the file IN and write it to the file OUT. What IN is, its
content tells; what OUT becomes, its ending: .npz is nncore's own.

Then both are run on 1,000 random samples (--check N; 0 for none). IN is run by
the library that it came from where that is installed, else by NumPy in double
precision; OUT is read back from the file and run by nncore, and by the library
that the format is of. Printed are the largest difference, the labels that
differ, and the time of one sample and of a batch on either side.

Rounding explains small differences: that of a sum of K products grows as the
square root of K. Ten standard deviations of it, carried from layer to layer,
are the bound. Where --weights bfloat16 rounds the weights, that counts too. If
a difference is larger, OUT is not written and the exit code is 1."""

SAMPLES = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    add = parser.add_argument
    # Not 2: --activations would swallow the files that follow it; see `split_files`.
    add("files", metavar="IN OUT", nargs="*", help="the file to read and the one to write")
    add_activations_option(parser)
    add(
        "--classes",
        metavar="NAMES",
        help="names of the classes, in order and separated by commas, to be kept with the network",
    )
    add("--dtype", choices=("float32", "float64"), help="of OUT (default: that of IN)")
    add(
        "--weights",
        choices=("float32", "bfloat16"),
        help="what OUT keeps weights as: bfloat16 takes half the bytes, in .npz files only "
        "(default: as IN; nncore quantize makes int8)",
    )
    add("--overwrite", action="store_true", help="replace OUT if there is such a file")
    add(
        "--check",
        metavar="N",
        type=whole_number,
        default=SAMPLES,
        help=f"compare IN and OUT on N random samples (default: {SAMPLES:,}; 0: do not)",
    )
    add("--keep", action="store_true", help="write OUT even if the check fails")
    add("--seed", metavar="N", type=whole_number, default=0, help="of the samples (default: 0)")
    add(
        "--threads",
        metavar="N",
        type=positive_integer,
        default=1,
        help="of each side while it is run (default: 1, the fairest comparison)",
    )
    add_json_option(parser)


def run(options: argparse.Namespace) -> int:
    """Convert, check and print; return the exit code."""
    from nncore.cli._convert_report import print_conversion

    facts = convert(options)
    if options.json:
        print_json(facts)
    else:
        print_conversion(facts)
    return 0 if facts["ok"] else 1


def convert(options: argparse.Namespace) -> dict[str, Any]:
    """Convert and check, and return the facts as `--json` prints them."""
    import tempfile

    from nncore.cli._convert_check import check_conversion

    activations, files = split_files(options.activations, options.files)
    if len(files) != 2:
        given = f"got {', '.join(files)}" if files else "got none"
        raise CommandError(f"expected two files, IN and OUT, {given} (see nncore convert --help)")
    source, target = files
    check_target(target, options.overwrite)
    read = _read(source, split_activations(activations))
    net = _with_options(read.loaded.net, options, target)
    with tempfile.TemporaryDirectory(prefix="nncore-") as folder:
        draft = os.path.join(folder, os.path.basename(target))
        with _named_as(draft, target):
            net.save(draft)
            again = _read(draft, None)
        check = None
        if options.check:
            check = check_conversion(read, net, again, options)
        ok = check is None or all(each["beyond"] == 0 for each in check["differences"])
        written = ok or options.keep
        if written:
            _place(draft, target, options.overwrite)
        size = os.path.getsize(draft)
    return {
        "command": "convert",
        "in": {**_facts(read), "notes": list(read.notes)},
        "out": {**_facts(again._replace(loaded=again.loaded._replace(
            name=os.path.basename(target), file=target))), "bytes": size, "written": written},
        "check": check,
        "ok": ok,
    }  # fmt: skip


def _read(path: str, activations: list[str] | None) -> Read:
    """Read a file; one of W1, b1, ... that names no activations gets the classic ones."""
    import warnings

    from nncore import Dense, Network, formats
    from nncore.cli._origins import Read
    from nncore.formats.arrays import ActivationsAssumed, ActivationsMissing

    kind = formats.find_format(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            contents = formats.read(path, activations)
        except ActivationsMissing as error:
            raise CommandError(f"{error} (here: --activations relu ... softmax)") from error
    assumed = False
    for each in caught:
        if issubclass(each.category, ActivationsAssumed):
            assumed = True
        else:
            text = plain(" ".join(str(each.message).split()))
            print(f"nncore: warning: {text}", file=sys.stderr)
    check_float(contents.layers, path)
    net = Network(contents.layers, dtype=contents.dtype, classes=contents.classes)
    if assumed:
        activations = [str(layer.activation) for layer in net.layers if isinstance(layer, Dense)]
    loaded = LoadedNetwork(net, os.path.basename(path), path, assumed)
    return Read(loaded, path, kind.name, contents.notes, activations)


def _facts(read: Read) -> dict[str, Any]:
    classes = read.loaded.net.classes
    return {
        **network_facts(read.loaded),
        "format": read.format,
        "classes": None if classes is None else classes.tolist(),
    }


def _with_options(net: Network, options: argparse.Namespace, target: str) -> Network:
    """Return the network in the dtype, with the weights and the names that were asked for."""
    from nncore import Network

    net = net if options.dtype is None else in_dtype(net, options.dtype)
    if options.weights is not None:
        if options.weights == "bfloat16" and not target.endswith(".npz"):
            raise CommandError(f"OUT is {target}, expected a name in .npz for --weights bfloat16")
        if options.weights == "bfloat16" and net.dtype != "float32":
            raise CommandError(
                f"the network is a {net.dtype} one, expected float32 for --weights bfloat16: say "
                "--dtype float32 as well"
            )
        net = net.with_weights(options.weights)
    if options.classes is None:
        return net
    names: list[Any] = [name.strip() for name in options.classes.split(",")]
    if all(name.isdecimal() and str(int(name)) == name for name in names):
        names = [int(name) for name in names]  # labels that are numbers stay numbers
    return Network(net.layers, dtype=net.dtype, classes=names)


@contextlib.contextmanager
def _named_as(draft: str, target: str) -> Iterator[None]:
    """Let errors about the draft name the file that was asked for."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise CommandError(one_line(error).replace(draft, target)) from error


def _place(draft: str, target: str, overwrite: bool) -> None:
    """Copy the file that was checked, byte for byte, to where it was asked for: all or nothing."""
    import shutil

    from nncore.formats._files import replacing

    check_target(target, overwrite)  # somebody may have written it meanwhile
    with open(draft, "rb") as checked, replacing(target) as file:
        shutil.copyfileobj(checked, file)
