"""The one input that `nncore inspect` looks at: numbers typed, a sample of a file, or a digit."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore._pixels import image_size
from nncore.cli._common import CommandError, count_of
from nncore.cli._images import Images, read_images, scaled
from nncore.cli._pictures import Preparation, options_that_change
from nncore.cli._terminal import cut

if TYPE_CHECKING:
    import argparse

    from nncore import Network

_PIXELS = 784
_LEAST_SIDE = 4  # pixels; what is smaller is read more easily as numbers
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|[-+]?(?:inf|nan)", re.IGNORECASE)


class Sample(NamedTuple):
    """One input, (k,), where it comes from, and what is known of it."""

    x: np.ndarray  # as the network is given it
    source: str
    notes: list[str]
    file: str | None
    number: int | None  # in the file, counted from 0
    samples: int  # that there are to choose from
    label: str | None  # the right answer, if the file says it
    names: list[str] | None  # of the features
    image: tuple[int, int] | None  # height and width, if the features are pixels

    def facts(self) -> dict[str, Any]:
        """Return what `--json` says of it."""
        facts = {**self._asdict(), "x": self.x.tolist()}
        facts["index"] = facts.pop("number")
        return facts


def read_sample(options: argparse.Namespace, net: Network) -> Sample:
    """Return the sample that the options ask for."""
    if options.input is None:
        return _test_image(options, net)
    if options.digit is not None:
        raise CommandError("--digit and --input are both given, expected one of them")
    values = _typed(options.input)
    if values is not None:
        return _of_values(options, net, values)
    return _of_file(options, net)


def _typed(text: str) -> list[float] | None:
    """Return the numbers in a text such as 1,0.5, None if it is the name of a file."""
    parts = re.split(r"\s*[,;]\s*|\s+", text.strip())
    return [float(part) for part in parts] if all(map(_NUMBER.fullmatch, parts)) else None


def _of_values(options: argparse.Namespace, net: Network, values: list[float]) -> Sample:
    if len(values) != net.in_features:
        raise CommandError(
            f"--input has {count_of(len(values), 'value')}, this network takes {net.in_features:,}"
        )
    if options.index:
        raise CommandError(f"--index is {options.index}, expected 0: --input has one sample")
    x = np.array([values])
    images = Images("--input", *scaled(x, net, options.scale))
    sample = _sample(images, 0, options, net, f"--input {cut(options.input, 36)}", [])
    notes = sample.notes if images.x is not x else []  # nothing was assumed of them
    return sample._replace(notes=notes, file=None, number=None)


def _of_file(options: argparse.Namespace, net: Network) -> Sample:
    path = options.input
    if not os.path.lexists(path) and ("," in path or not path.strip()):
        raise CommandError(
            f"--input is {path!r}, expected numbers such as 1,0.5, or a file that exists"
        )
    preparation = Preparation(options.invert, options.center, options.raw)
    images = read_images(path, net, options.scale, preparation, options.label)
    index = _index(options, len(images.x), path)
    notes = []
    if images.picture is not None:
        switches = options_that_change(preparation)
        notes.append(", ".join(images.picture.done) + (f" ({switches})" if switches else ""))
    source = path
    if len(images.x) > 1:
        source += f": sample {index} of {len(images.x):,}, counted from 0"
        source += " (--index N: another one)" if options.index is None else ""
    return _sample(images, index, options, net, source, notes)


def _index(options: argparse.Namespace, count: int, where: str) -> int:
    index: int = options.index or 0
    if index >= count:
        raise CommandError(
            f"--index is {index}, expected 0 to {count - 1}: {where} has "
            f"{count_of(count, 'sample')}"
        )
    return index


def _test_image(options: argparse.Namespace, net: Network) -> Sample:
    """Return one of MNIST's test images, or a drawn one where MNIST is missing."""
    from nncore.cli._digits import DRAWN_MOST, load_test_set
    from nncore.datasets import find_mnist

    if net.in_features != _PIXELS:
        name = "--index" if options.digit is None else "--digit"
        raise CommandError(
            f"{name} without --input is of MNIST's images, of {_PIXELS} pixels; this network takes "
            f"{count_of(net.in_features, 'feature')}: say --input"
        )
    number = options.index or 0
    needed = None
    if find_mnist(split="test") is None and number < DRAWN_MOST:
        needed = (number + 1) * (1 if options.digit is None else 10)  # each ten have every digit
    data = load_test_set(None, needed, download=False)
    count = DRAWN_MOST if needed else len(data.images)
    index = number
    if options.digit is not None:
        found = np.flatnonzero(data.labels == options.digit)
        index = int(found[_index(options, len(found), f"the digit {options.digit}")])
    else:
        _index(options, count, "the test set")
    source = f"MNIST's test image {index} of {count:,}, counted from 0"
    if not data.origin.is_mnist:
        source = f"image {index} of {count:,} that nncore draws itself, counted from 0"
    notes = [] if data.origin.is_mnist else [f"NOT MNIST: {data.origin.why}"]
    images = Images("", *scaled(data.images[index : index + 1], net, options.scale))
    images = images._replace(labels=[str(data.labels[index])], shape=(28, 28))
    sample = _sample(images, 0, options, net, source, notes)
    return sample._replace(file=None, number=index, samples=count)


def _sample(
    images: Images, index: int, options: argparse.Namespace, net: Network, source: str,
    notes: list[str],
) -> Sample:  # fmt: skip
    return Sample(
        images.x[index],
        source,
        [*notes, images.assumed],
        images.file,
        index,
        len(images.x),
        None if images.labels is None else images.labels[index],
        images.names,
        _image(options, net, images.shape),
    )


def _image(
    options: argparse.Namespace, net: Network, shape: tuple[int, ...]
) -> tuple[int, int] | None:
    """Return the size of the image whose pixels the features are: told, or the file's, or known."""
    if options.image is not None:
        height, width = options.image
        if height * width != net.in_features:
            raise CommandError(
                f"--image {height}x{width} is {height * width:,} pixels, this network takes "
                f"{net.in_features:,}"
            )
        return height, width
    if len(shape) >= 2 and min(shape[-2:]) >= _LEAST_SIDE:
        return shape[-2], shape[-1]
    return image_size(net.layers, net.in_features)
