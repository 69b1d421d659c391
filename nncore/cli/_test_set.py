"""The digits that `mnist` and `bench` run: MNIST's test set, or drawn ones where it is missing.

Whichever it is, and why, comes along with them. A folder that somebody names must hold the real
ones; only without one does the command fall back to drawing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from nncore.cli._common import CommandError, one_line

if TYPE_CHECKING:
    import numpy as np

DRAWN_MOST = 10_000  # as many as MNIST's test set has
# Not a seed that the shipped network was trained with, so that no digit is an old acquaintance.
DRAWN_SEED = 20_260_000


class TestSet(NamedTuple):
    """Images (n, 784) and labels (n,), both uint8, and how they were come by."""

    images: np.ndarray
    labels: np.ndarray
    source: str  # "found", "downloaded" or "drawn"
    folder: str | None
    why: str
    get_real_ones: list[str]  # lines to type, either will do; empty where these are they

    def facts(self) -> dict[str, Any]:
        """Return what `--json` says about the data."""
        return {
            "source": self.source,
            "is_mnist": self.source != "drawn",
            "folder": self.folder,
            "why": self.why,
            "get_real_ones": self.get_real_ones,
            "samples": len(self.images),
        }


def load_test_set(folder: str | None, limit: int | None, *, download: bool = True) -> TestSet:
    """Return the first `limit` samples of the test set.

    Parameters
    ----------
    folder : str or None
        Where MNIST's files are; None looks in NNCORE_DATA_HOME or the cache folder, downloads
        them if that is possible, and draws digits if it is not.
    limit : int or None
        None for all 10,000.
    download : bool, optional
        False draws digits where the files are not on this machine.

    Raises
    ------
    CommandError
        If `folder` is given and MNIST's test set is not in it.
    OSError, ValueError
        If a file that is there cannot be read or is damaged.
    """
    from nncore.datasets.mnist import find_mnist, provide_mnist, resolve_home

    if folder is not None:
        if not os.path.isdir(folder):
            what = "a file" if os.path.exists(folder) else "no such folder"
            raise CommandError(f"--data {folder}: expected a folder with MNIST's files, {what}")
        if find_mnist(folder, split="test") is None:
            raise CommandError(
                f"--data {folder}: expected t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte "
                "(.gz or not) in it, they are missing"
            )
        return _real(folder, limit, "found", f"found in {folder} (--data)")

    variable = os.environ.get("NNCORE_DATA_HOME")
    place = f"{resolve_home()} ({'NNCORE_DATA_HOME' if variable else 'the cache folder'})"
    home = find_mnist(split="test")
    if home is not None:
        return _real(home, limit, "found", f"found in {place}")
    if not download:
        return _drawn(limit, f"not found in {place}", None)
    try:
        home = provide_mnist(split="test")
    except (OSError, ImportError) as error:
        return _drawn(limit, f"not found in {place}", error)
    return _real(home, limit, "downloaded", f"downloaded into {place}")


def _real(folder: str, limit: int | None, source: str, why: str) -> TestSet:
    from nncore.datasets.mnist import read_split

    images, labels = read_split(folder, "test")
    images = images[:limit].reshape(-1, 784)
    return TestSet(images, labels[:limit], source, os.path.abspath(folder), why, [])


def _drawn(limit: int | None, not_found: str, error: Exception | None) -> TestSet:
    from nncore.datasets import make_digits

    n = DRAWN_MOST if limit is None else min(limit, DRAWN_MOST)
    images, labels = make_digits(n, seed=DRAWN_SEED)
    if error is None:
        why, online = not_found, "nncore mnist"
    elif isinstance(error, ImportError):
        why = f"{not_found}; downloading needs pooch, which is not installed"
        online = "pip install pooch && nncore mnist"
    else:
        reason = one_line(error)
        if isinstance(error, ConnectionError) and "can be reached" in reason:
            reason = "no mirror can be reached"  # what else it says is in `why` already
        why = f"{not_found}; downloading failed: {reason}"
        online = "nncore mnist"
    lines = [
        f"{online}  # with internet access",
        "nncore mnist --data DIR  # with MNIST's files in DIR",
    ]
    return TestSet(images.reshape(-1, 784), labels, "drawn", None, why, lines)
