"""The digits that the commands run and learn from: MNIST, or drawn ones where it is missing.

Whichever it is, and why, comes along with them. A folder that the user names must hold MNIST; only
without one does a command fall back to drawing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from nncore.cli._common import CommandError, one_line

if TYPE_CHECKING:
    import numpy as np

DRAWN_MOST = 10_000  # as many as MNIST's test set has
DRAWN_TRAINING, DRAWN_TEST = 20_000, 2_000
# Not a seed that the shipped network was trained with, so that it has seen none of the digits.
DRAWN_SEED = 20_260_000
_TRAINING_SEEDS = (20_260_100, 20_260_101)  # of the training and the test images


class Origin(NamedTuple):
    """Where digits come from."""

    source: str  # "found", "downloaded" or "drawn"
    folder: str | None  # that has MNIST's files; None for drawn digits
    why: str
    get_real_ones: list[str]  # lines to type, either will do; empty where these are real ones

    @property
    def is_mnist(self) -> bool:
        """Whether the digits are MNIST's."""
        return self.source != "drawn"

    def facts(self) -> dict[str, Any]:
        """Return what `--json` says about the data."""
        return {
            "source": self.source,
            "is_mnist": self.is_mnist,
            "folder": self.folder,
            "why": self.why,
            "get_real_ones": self.get_real_ones,
        }


class TestSet(NamedTuple):
    """Images (n, 784) and labels (n,), both uint8, and where they come from."""

    images: np.ndarray
    labels: np.ndarray
    origin: Origin

    def facts(self) -> dict[str, Any]:
        """Return what `--json` says about the data."""
        return {**self.origin.facts(), "samples": len(self.images)}


class TrainingSet(NamedTuple):
    """Images (n, 784) and labels (n,), all uint8, for training and test."""

    x: np.ndarray
    t: np.ndarray
    x_test: np.ndarray
    t_test: np.ndarray
    origin: Origin

    def digest(self) -> str:
        """Return the sha256 of what is learned from: a checkpoint needs the same data again."""
        import hashlib

        digest = hashlib.sha256(self.x.data)
        digest.update(self.t.data)
        return digest.hexdigest()

    def facts(self) -> dict[str, Any]:
        """Return what `--json` says about the data."""
        return {
            **self.origin.facts(), "samples": len(self.x), "test_samples": len(self.x_test)
        }  # fmt: skip


def load_test_set(folder: str | None, limit: int | None, *, download: bool = True) -> TestSet:
    """Return the first `limit` samples of the test set, None for all; see `find_origin`."""
    from nncore.datasets import make_digits

    origin = find_origin(folder, "test", download=download)
    if origin.folder is not None:
        return TestSet(*_read(origin.folder, "test", limit), origin)
    n = DRAWN_MOST if limit is None else min(limit, DRAWN_MOST)
    images, labels = make_digits(n, seed=DRAWN_SEED)
    return TestSet(images.reshape(-1, 784), labels, origin)


def load_training_set(folder: str | None, limit: int | None) -> TrainingSet:
    """Return the first `limit` training samples, and a test set; see `find_origin`."""
    from nncore.datasets import make_digits

    origin = find_origin(folder, None)
    if origin.folder is not None:
        training, test = _read(origin.folder, "train", limit), _read(origin.folder, "test", None)
        return TrainingSet(*training, *test, origin)
    n = DRAWN_TRAINING if limit is None else min(limit, DRAWN_TRAINING)
    training = make_digits(n, seed=_TRAINING_SEEDS[0])
    test = make_digits(min(DRAWN_TEST, max(n, 10)), seed=_TRAINING_SEEDS[1])
    return TrainingSet(*training, *test, origin)


def calibration_images(origin: Origin, n: int) -> tuple[np.ndarray, str]:
    """Return n images (n, 784) that are none of the test's, and words for them.

    Training images, where they stand beside the test's; else drawn ones.
    """
    from nncore.datasets import find_mnist, make_digits

    if origin.folder is not None and find_mnist(origin.folder, split="train") is not None:
        images, _ = _read(origin.folder, "train", None)
        return images[:: -(-len(images) // n)], "of MNIST's training images"
    return make_digits(n, seed=_TRAINING_SEEDS[0])[0], "digits that nncore drew"


def find_origin(folder: str | None, split: str | None, *, download: bool = True) -> Origin:
    """Look for MNIST, and download it if need be.

    Parameters
    ----------
    folder : str or None
        Where MNIST's files are; None looks in NNCORE_DATA_HOME or the cache folder, downloads
        them there if that is possible, and leaves it to the caller to draw digits if it is not.
    split : {"train", "test"} or None
        The half that is needed; None: both.
    download : bool, optional
        False does not download.

    Raises
    ------
    CommandError
        If `folder` is given and the files are not in it.
    OSError, ValueError
        If a file that is there cannot be read or is damaged.
    """
    from nncore.datasets.mnist import find_mnist, provide_mnist, resolve_home

    if folder is not None:
        if not os.path.isdir(folder):
            what = "is a file" if os.path.exists(folder) else "is no folder"
            raise CommandError(f"--data {folder}: {what}, expected a folder with MNIST's files")
        if find_mnist(folder, split=split) is None:
            files = "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (.gz or not)"
            if split is None:
                files = "MNIST's four files (train-images-idx3-ubyte and so on, .gz or not)"
            raise CommandError(f"--data {folder}: lacks some of its files, expected {files}")
        return Origin("found", os.path.abspath(folder), f"found in {folder} (--data)", [])

    variable = os.environ.get("NNCORE_DATA_HOME")
    place = f"{resolve_home()} ({'NNCORE_DATA_HOME' if variable else 'the cache folder'})"
    home = find_mnist(split=split)
    if home is not None:
        return Origin("found", os.path.abspath(home), f"found in {place}", [])
    if not download:
        return _missing(f"not found in {place}", None)
    try:
        home = provide_mnist(split=split)
    except (OSError, ImportError) as error:
        return _missing(f"not found in {place}", error)
    return Origin("downloaded", os.path.abspath(home), f"downloaded into {place}", [])


def _missing(not_found: str, error: Exception | None) -> Origin:
    """Say why digits have to be drawn, and what to do about it."""
    online = "nncore mnist"
    if error is None:
        why = not_found
    elif isinstance(error, ImportError):
        why = f"{not_found}; downloading needs pooch, which is not installed"
        online = "pip install pooch && nncore mnist"
    else:
        reason = one_line(error)
        if isinstance(error, ConnectionError) and "can be reached" in reason:
            reason = "no mirror can be reached"  # the rest of it is in `why` already
        why = f"{not_found}; downloading failed: {reason}"
    lines = [
        f"{online}  # with internet access",
        "nncore mnist --data DIR  # with MNIST's files in DIR",
    ]
    return Origin("drawn", None, why, lines)


def _read(folder: str, split: str, limit: int | None) -> tuple[np.ndarray, np.ndarray]:
    from nncore.datasets.mnist import read_split

    images, labels = read_split(folder, split)
    return images[:limit].reshape(-1, 784), labels[:limit]
