"""The digits that `nncore train` learns from: MNIST, or drawn ones where it is missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from nncore.cli._common import CommandError, one_line

if TYPE_CHECKING:
    import numpy as np

DRAWN_TRAINING, DRAWN_TEST = 20_000, 2_000
_DRAWN_SEEDS = (20_260_100, 20_260_101)  # of the training and the test images


class TrainingSet(NamedTuple):
    """Images (n, 784) and labels (n,), all uint8, for training and test, and whose they are."""

    x: np.ndarray
    t: np.ndarray
    x_test: np.ndarray
    t_test: np.ndarray
    source: str  # "found", "downloaded" or "drawn"
    why: str

    @property
    def is_mnist(self) -> bool:
        return self.source != "drawn"

    def digest(self) -> str:
        """The sha256 of what is learned from: a checkpoint goes on with the same data only."""
        import hashlib

        digest = hashlib.sha256(self.x.data)
        digest.update(self.t.data)
        return digest.hexdigest()

    def facts(self) -> dict[str, Any]:
        """What `--json` says about the data."""
        return {
            "source": self.source,
            "is_mnist": self.is_mnist,
            "why": self.why,
            "samples": len(self.x),
            "test_samples": len(self.x_test),
        }


def load_training_set(folder: str | None, limit: int | None) -> TrainingSet:
    """MNIST from `folder`, which then must have it, or from where `nncore mnist` finds it.

    Parameters
    ----------
    folder : str or None
        None: NNCORE_DATA_HOME or the cache folder, downloaded if possible, drawn if not.
    limit : int or None
        Only so many training samples.

    Raises
    ------
    CommandError
        If `folder` is given and MNIST is not in it.
    OSError, ValueError
        If a file that is there cannot be read or is damaged.
    """
    from nncore.datasets.mnist import find_mnist, provide_mnist, resolve_home

    if folder is not None:
        if not os.path.isdir(folder):
            what = "a file" if os.path.exists(folder) else "no such folder"
            raise CommandError(f"--data {folder}: expected a folder with MNIST's files, {what}")
        if find_mnist(folder) is None:
            raise CommandError(
                f"--data {folder}: expected MNIST's four files (train-images-idx3-ubyte and so on, "
                ".gz or not) in it, not all of them are there"
            )
        return _real(folder, limit, "found", f"found in {folder} (--data)")
    variable = os.environ.get("NNCORE_DATA_HOME")
    place = f"{resolve_home()} ({'NNCORE_DATA_HOME' if variable else 'the cache folder'})"
    home = find_mnist()
    if home is not None:
        return _real(home, limit, "found", f"found in {place}")
    try:
        home = provide_mnist()
    except ImportError:
        return _drawn(limit, f"not found in {place}; downloading needs pooch: pip install pooch")
    except OSError as error:
        return _drawn(limit, f"not found in {place}; downloading failed: {one_line(error)}")
    return _real(home, limit, "downloaded", f"downloaded into {place}")


def _real(home: str, limit: int | None, source: str, why: str) -> TrainingSet:
    from nncore.datasets.mnist import read_split

    x, t = read_split(home, "train")
    x_test, t_test = read_split(home, "test")
    return TrainingSet(
        x[:limit].reshape(-1, 784), t[:limit], x_test.reshape(-1, 784), t_test, source, why
    )


def _drawn(limit: int | None, why: str) -> TrainingSet:
    from nncore.datasets import make_digits

    n = DRAWN_TRAINING if limit is None else min(limit, DRAWN_TRAINING)
    x, t = make_digits(n, seed=_DRAWN_SEEDS[0])
    x_test, t_test = make_digits(min(DRAWN_TEST, max(n, 10)), seed=_DRAWN_SEEDS[1])
    return TrainingSet(x, t, x_test, t_test, "drawn", why)
