"""What the commands share: their error, the network they run, and how they print.

Nothing here measures or classifies; see `_measure.py` and the files named after the commands.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from nncore.cli._terminal import can_show, cut, field, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np

    from nncore import Network

NETWORK_FILE = (
    "an .npz file that nncore saved, or an .npz or pickled dict of W1, b1, W2, b2, ... "
    "(default: the digit network that comes with nncore)"
)


class CommandError(Exception):
    """Something the user can put right; `main` prints it as one line and exits with 2."""


def one_line(error: Exception) -> str:
    """Return what `error` says, on one line, with the file it is about."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{os.fsdecode(error.filename)}: {error.strerror}"
    elif isinstance(error, MemoryError):
        text = str(error) or "not enough memory"
    elif isinstance(error, (CommandError, OSError, TypeError, ValueError, ImportError)):
        text = str(error) or type(error).__name__
    else:  # a mistake of ours: its type helps whoever reads the report
        text = f"{type(error).__name__}: {error} (a mistake in nncore; please report it)"
    return plain(" ".join(text.split()))


class LoadedNetwork(NamedTuple):
    """A network and where it comes from, as every command says it."""

    net: Network
    name: str
    file: str | None
    activations_assumed: bool

    @property
    def title(self) -> str:
        """Its name for a page, which is text: bytes of a file's name that are none are escaped."""
        return self.name.encode(errors="backslashreplace").decode()


def positive_integer(text: str) -> int:
    """Return `text` as an integer of at least 1; argparse turns the error into its own."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"is {text!r}, expected a whole number of at least 1")
    return value


def image_size(text: str) -> tuple[int, int]:
    """Return `28x28` as height and width; argparse turns the error into its own."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})[xX]([1-9][0-9]{0,5})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"is {text!r}, expected HEIGHTxWIDTH such as 28x28")
    return int(found[1]), int(found[2])


def refuse_extra(options: argparse.Namespace) -> None:
    """Refuse arguments without an option's name; a folder or a file was meant as --data."""
    if options.extra:
        here = os.path.exists(options.extra[0]) and len(options.extra) == 1
        hint = f" (did you mean --data {options.extra[0]}?)" if here else ""
        raise CommandError(
            f"unrecognized arguments: {' '.join(options.extra)}{hint} (see nncore "
            f"{options.command} --help)"
        )


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add `--json`, which means the same in every command."""
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object and nothing else"
    )


def add_threads_option(parser: argparse.ArgumentParser) -> None:
    """Add `--threads`, which means the same in every command: see `threads_set`."""
    parser.add_argument(
        "--threads",
        metavar="N",
        type=positive_integer,
        help="threads to use (default: NNCORE_NUM_THREADS, else OMP_NUM_THREADS, else the CPUs)",
    )


@contextmanager
def threads_set(count: int | None) -> Iterator[None]:
    """Run the block with `count` threads (None: as many as before); restore the count after it."""
    import nncore

    before = nncore.get_num_threads()
    if count is not None:
        nncore.set_num_threads(count)
    try:
        yield
    finally:
        nncore.set_num_threads(before)


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """Add `--weights` and `--activations`, which mean the same in every command."""
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help=f"the network: {NETWORK_FILE}",
    )
    add_activations_option(parser)


def add_sample_options(parser: argparse.ArgumentParser) -> None:
    """Add how files of samples are read, which means the same in every command."""
    parser.add_argument(
        "--scale",
        metavar="FACTOR",
        type=finite_number,
        help="multiply the values by FACTOR (1: use them as they are)",
    )
    parser.add_argument(
        "--label",
        metavar="COLUMN",
        help="of a table: the column that is no feature, by its heading or number (default: the "
        "last, if there is one more than the network takes)",
    )
    parser.add_argument(
        "--invert",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="of a picture: the ink is darker than the ground, or not (default: its border tells)",
    )
    parser.add_argument(
        "--no-center",
        dest="center",
        action="store_false",
        help="of a picture: the middle of the ink's box in the middle, not its centre of mass",
    )
    parser.add_argument(
        "--raw", action="store_true", help="of a picture: only make it grey, it is prepared already"
    )


def finite_number(text: str) -> float:
    """Return `text` as a finite number; argparse turns the error into its own."""
    import math

    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"is {text!r}, expected a finite number")
    return value


def whole_number(text: str) -> int:
    """Return `text` as an integer of at least 0; argparse turns the error into its own."""
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise argparse.ArgumentTypeError(f"is {text!r}, expected a whole number of at least 0")
    return int(text)


def add_activations_option(parser: argparse.ArgumentParser) -> None:
    """Add `--activations`, for network files that do not name theirs."""
    parser.add_argument(
        "--activations",
        metavar="NAME",
        nargs="+",
        help="one activation for each layer, for example: sigmoid sigmoid softmax, separated by "
        "spaces or commas, for a file that names none (default: sigmoid for the hidden layers, "
        "softmax for the last; what nncore saved names its own)",
    )


def split_activations(tokens: Sequence[str] | None) -> list[str] | None:
    """Return the activation names in `tokens`, separated by spaces or commas."""
    if tokens is None:
        return None
    names = [name.strip() for token in tokens for name in token.split(",")]
    if not all(names):
        raise CommandError(f"--activations is {','.join(tokens)!r}, expected no empty name in it")
    return names


def split_files(
    activations: list[str] | None, files: list[str]
) -> tuple[list[str] | None, list[str]]:
    """Return the activations and the files, where `--activations a b c FILE...` took both."""
    if activations is None:
        return None, files
    for number, token in enumerate(activations):
        if number and (os.path.exists(token) or any(mark in token for mark in "./\\")):
            return activations[:number], activations[number:] + files
    return activations, files


def load_network(weights: str | None, activations: list[str] | None) -> LoadedNetwork:
    """Return the network of the file `weights`, or the one that ships with nncore.

    A file that names no activations gets sigmoid for the hidden layers and softmax for the
    last unless `activations` are given; `activations_assumed` tells so.
    """
    import warnings

    import nncore
    from nncore.formats.arrays import ActivationsAssumed

    if weights is None:
        if activations is not None:
            raise CommandError(
                "--activations needs a file of weights: the shipped network has its own"
            )
        return LoadedNetwork(nncore.load_pretrained("digits"), "shipped with nncore", None, False)
    if os.path.isdir(weights):
        raise CommandError(f"--weights {weights}: is a folder, expected a file")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net = nncore.load(weights, activations=activations)
    assumed = any(issubclass(each.category, ActivationsAssumed) for each in caught)
    for each in caught:
        if not issubclass(each.category, ActivationsAssumed):
            print(f"nncore: {plain(' '.join(str(each.message).split()))}", file=sys.stderr)
    return LoadedNetwork(net, os.path.basename(weights), weights, assumed)


def check_target(path: str, overwrite: bool) -> None:
    """Refuse, before any work, a place where a file cannot be written."""
    from nncore.formats._files import permissions_of

    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise CommandError(f"{path}: the folder {folder} does not exist")
    if not os.access(folder, os.W_OK):
        raise CommandError(f"{path}: the folder {folder} cannot be written to")
    if permissions_of(os.path.realpath(path), path) is not None and not overwrite:
        raise CommandError(f"{path} exists, and would be replaced: say --overwrite to replace it")


def rescaling_of(net: Network) -> float | None:
    """Return the scale of the Rescaling that `net` begins with, None if it has none."""
    import nncore

    first = net.layers[0]
    return float(first.scale) if isinstance(first, nncore.Rescaling) else None


def check_float(layers: Sequence[Any], name: str) -> None:
    """Refuse a quantized network where the weights of a float one are needed."""
    if layers[-1].is_quantized:
        raise CommandError(
            f"{name}: is a quantized network, expected the float network that it was made of"
        )


def dense_layers(net: Network) -> list[Any]:
    """Return the layers of `net` that have weights."""
    return [layer for layer in net.layers if layer.is_dense]


def gives_values(net: Network) -> bool:
    """Return whether a network gives a value for each sample, not a class."""
    return net.out_features == 1 and dense_layers(net)[-1].activation != "sigmoid"


def check_has_answers(loaded: LoadedNetwork) -> None:
    """Refuse a network that has the same answer for all samples."""
    if gives_values(loaded.net) and "softmax" in str(dense_layers(loaded.net)[-1].activation):
        raise CommandError(
            f"{loaded.name}: the network has 1 output, expected two or more, one for each class"
        )


def labels_of(net: Network, x: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Return one label (n,) for each sample of x (n, k): that of `predict`, where it gives one.

    By the logits, as there: two that differ may be rounded to outputs that are equal.
    """
    last = dense_layers(net)[-1].activation
    if last in ("softmax", "log_softmax") or (last == "sigmoid" and net.out_features == 1):
        return net.predict(x)
    largest: np.ndarray = (net.logits(x) if last == "sigmoid" else outputs).argmax(axis=1)
    return largest


def network_facts(loaded: LoadedNetwork) -> dict[str, Any]:
    """Return what `--json` says about a network."""
    import nncore

    first = loaded.net.layers[0]
    dense = dense_layers(loaded.net)
    return {
        "name": loaded.name,
        "source": "shipped" if loaded.file is None else "file",
        "file": loaded.file,
        "sizes": [dense[0].in_features, *(layer.out_features for layer in dense)],
        "activations": [layer.activation for layer in dense],
        "classes": None if loaded.net.classes is None else loaded.net.classes.tolist(),
        "activations_assumed": loaded.activations_assumed,
        "rescaling": rescaling_of(loaded.net),
        "rescaling_offset": first.offset if isinstance(first, nncore.Rescaling) else None,
        "normalization": isinstance(first, nncore.Normalization),
        "parameters": loaded.net.parameters,
        "dtype": loaded.net._number_type,
        "weight_type": dense[0].weight_type,
    }


def network_lines(facts: dict[str, Any]) -> list[str]:
    """Return the lines of text that describe a network, from its `network_facts`."""
    sizes = "-".join(str(size) for size in facts["sizes"])
    parameters = count_of(facts["parameters"], "parameter")
    activations = abbreviated(facts["activations"])
    lines = [f"{facts['name']}: {sizes}, {parameters}, {types_of(facts)}"]
    if facts["activations_assumed"]:
        lines.append(f"{activations} (assumed: the file names none;")
        lines.append("  say --activations if that is wrong)")
    else:
        lines.append(activations)
    if facts["classes"] is not None:
        names = abbreviated(cut(name, 24) for name in facts["classes"])
        lines.append(f"classes: {names}")
    return lines


def types_of(facts: dict[str, Any]) -> str:
    """Return the dtype of a network, and the type of its weights if that is another one.

    Examples
    --------
    >>> types_of({"dtype": "float32", "weight_type": "bfloat16"})
    'float32, bfloat16 weights'
    """
    narrow = facts["weight_type"] not in (None, facts["dtype"])
    return f"{facts['dtype']}, {facts['weight_type']} weights" if narrow else facts["dtype"]


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun, for people: `1 sample`, `1,000 samples`."""
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def abbreviated(names: Iterable[str]) -> str:
    """Return `names` joined by commas, the middle of a long list left out."""
    items = list(names)
    if len(items) > 6:
        items = [*items[:3], "...", *items[-2:]]
    return ", ".join(items)


def print_json(facts: dict[str, Any]) -> None:
    """Print `facts` as one JSON object; what is not finite becomes null, as JSON has no NaN."""
    import json

    print(json.dumps(_finite(facts), indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    import math

    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def print_field(name: str, lines: Sequence[str], indent: int = 10) -> None:
    """Print `lines` beside the name of what they tell, wrapped to the terminal's width."""
    for line in field(name, lines, indent):
        print(line, flush=True)


def microseconds_unit() -> str:
    """Return the sign for microseconds that standard output can show."""
    return "µs" if can_show("µs") else "us"
