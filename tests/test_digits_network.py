"""The network that ships inside the package reads digits as well as its page says."""

import hashlib
import os
import re
from pathlib import Path

import numpy as np
import pytest

import nncore
import nncore.pretrained
from nncore.cli._digits import DRAWN_SEED
from nncore.datasets import make_digits
from nncore.datasets.mnist import find_mnist, read_split

FOLDER = Path(nncore.pretrained.__file__).parent
REAL = find_mnist(os.environ["NNCORE_DATA_HOME"]) if os.environ.get("NNCORE_DATA_HOME") else None


@pytest.fixture(scope="module")
def page():
    return (FOLDER / "README.md").read_text(encoding="utf-8")


def documented(page, what):
    """The number of images right that the page names for `what`."""
    return int(re.search(rf"{what}.*\*\*([0-9,]+)\*\* of 10,000", page)[1].replace(",", ""))


def test_it_is_small_and_is_the_file_that_the_page_is_about(page):
    content = (FOLDER / "digits.npy").read_bytes()
    assert len(content) < 200_000
    assert f"sha256 of the file: `{hashlib.sha256(content).hexdigest()}`" in page


def test_the_weights_are_those_that_the_page_is_about(page):
    digest = hashlib.sha256()
    for layer in nncore.load_pretrained("digits").layers:
        if isinstance(layer, nncore.Dense):
            digest.update(layer.weights.astype("<f4").tobytes())
            digest.update(layer.bias.astype("<f4").tobytes())
    assert f"sha256 of the weights: `{digest.hexdigest()}`" in page


def test_its_layers():
    net = nncore.load_pretrained("digits")
    rescaling, *dense = net.layers
    assert rescaling.scale == 1 / 255
    assert [(d.in_features, d.out_features) for d in dense] == [(784, 50), (50, 100), (100, 10)]
    assert [d.activation for d in dense] == ["relu", "relu", "softmax"]
    assert net.dtype == np.float32


# The seed of its training is a pair: these are fresh.
@pytest.mark.parametrize(
    ("seed", "what"), [(20_000, "drawn digits"), (DRAWN_SEED, "what `nncore mnist` draws")]
)
def test_drawn_digits(page, seed, what):
    x, t = make_digits(10_000, seed=seed)
    right = int((nncore.load_pretrained("digits").predict(x) == t).sum())
    assert right == documented(page, what)
    assert right >= 9900


@pytest.mark.skipif(REAL is None, reason="NNCORE_DATA_HOME names no folder with MNIST's files")
def test_mnist(page):
    images, labels = read_split(REAL, "test")
    right = int((nncore.load_pretrained("digits").predict(images) == labels).sum())
    assert right == documented(page, "MNIST's test images")
    assert right >= 9800
