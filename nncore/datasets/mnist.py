"""MNIST: 70,000 handwritten digits, from local IDX files or downloaded once.

Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST database of handwritten digits (1998).

The files lie directly in one folder, the home: `data_home`, else the environment variable
``NNCORE_DATA_HOME``, else the user's cache folder.  Local files are checked for their form, not by
hash: any images of 28x28 pixels with their labels will do.  How a download goes is in _download.py.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ._arrays import arrange
from .idx import read_idx

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def load_mnist(
    normalize: bool = True,
    flatten: bool = True,
    one_hot_label: bool = False,
    *,
    data_home: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> tuple[tuple[NDArray[Any], NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]:
    """Load MNIST's training and test sets.

    Parameters
    ----------
    normalize : bool, default True
        Pixels as float32 in [0, 1], that is divided by 255; if False, uint8 from 0 to 255, as
        ``nncore.load_pretrained("digits")`` takes them, and every network that begins with
        ``nncore.Rescaling(1 / 255)``.
    flatten : bool, default True
        Images as rows (n, 784); if False, as (n, 1, 28, 28).
    one_hot_label : bool, default False
        Labels as rows (n, 10) of zeros and a one, float64; if False, uint8 numbers (n,).
    data_home : str or path-like, optional
        The folder with the four IDX files, compressed (``.gz``) or not.  Without it: what
        ``NNCORE_DATA_HOME`` says, else ``nncore`` in the user's cache folder.
    download : bool, default True
        Download the files that are not there (needs ``pip install pooch tqdm``).

    Returns
    -------
    (x_train, t_train), (x_test, t_test)
        60,000 and 10,000 images and their labels.

    Raises
    ------
    FileNotFoundError
        If files are missing and `download` is False.
    ModuleNotFoundError
        If files are missing and pooch, which downloads them, is not installed.
    ConnectionError
        If the files cannot be downloaded.  Without a network this takes 5 seconds at most.
    OSError
        If a file cannot be read, or the folder cannot be written to.
    ValueError
        If a file is damaged or does not hold what its name says.

    Examples
    --------
    >>> (x_train, t_train), (x_test, t_test) = load_mnist()             # doctest: +SKIP
    >>> x_train.shape, x_train.dtype, t_train.shape                      # doctest: +SKIP
    ((60000, 784), dtype('float32'), (60000,))
    """
    home = provide_mnist(data_home, download=download)
    train, test = (
        arrange(
            *read_split(home, split),
            normalize=normalize,
            flatten=flatten,
            one_hot_label=one_hot_label,
        )
        for split in ("train", "test")
    )
    return train, test


def find_mnist(
    data_home: str | os.PathLike[str] | None = None, *, split: str | None = None
) -> str | None:
    """Return the folder that holds MNIST, None if there is none.  Nothing is read or downloaded.

    Parameters
    ----------
    data_home : str or path-like, optional
        Where to look, as in `load_mnist`.
    split : {"train", "test"}, optional
        Look for the files of this set only; without it, for all four.

    Examples
    --------
    >>> find_mnist("a folder that is not there") is None
    True
    """
    home = resolve_home(data_home)
    return None if _missing(home, split) else home


def provide_mnist(
    data_home: str | os.PathLike[str] | None = None,
    *,
    split: str | None = None,
    download: bool = True,
) -> str:
    """Return MNIST's folder, after downloading what is missing; errors as in `load_mnist`."""
    home = resolve_home(data_home)
    missing = _missing(home, split)
    if missing and download:
        from ._download import download_mnist

        download_mnist([f"{name}.gz" for name in missing], home)
    elif missing:
        raise FileNotFoundError(
            f"MNIST is not in {home}: {', '.join(missing)} (.gz or not) not found"
        )
    return home


def read_split(home: str, split: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return one set as it is in its files: images (n, 28, 28) and labels (n,), both uint8.

    Raises
    ------
    OSError, ValueError
        If a file cannot be read, or does not hold images or labels.  The message names the file.
    """
    images_path, labels_path = (_find(home, name) for name in _files(split))
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.dtype != "uint8" or images.ndim != 3 or images.shape[1:] != (28, 28):
        raise ValueError(
            f"{images_path}: holds {images.dtype} {images.shape}, "
            "expected images, uint8 (n, 28, 28)"
        )
    if labels.dtype != "uint8" or labels.ndim != 1:
        raise ValueError(
            f"{labels_path}: holds {labels.dtype} {labels.shape}, expected labels, uint8 (n,)"
        )
    if len(images) != len(labels):
        raise ValueError(
            f"{labels_path}: the number of labels is {len(labels)}, expected {len(images)}, one "
            "for each image"
        )
    if not len(images):
        raise ValueError(f"{images_path}: has no images, expected at least one")
    if labels.max() > 9:
        raise ValueError(f"{labels_path}: a label is {labels.max()}, expected 0 to 9")
    return images, labels


def resolve_home(data_home: str | os.PathLike[str] | None = None) -> str:
    """Return the folder in which MNIST's files lie or would lie: an absolute path."""
    home = os.fsdecode(data_home) if data_home is not None else os.environ.get("NNCORE_DATA_HOME")
    if data_home is not None and not home:
        raise ValueError("data_home is empty, expected the name of a folder")
    return os.path.abspath(os.path.expanduser(home or _cache_folder()))


def _cache_folder() -> str:
    """Return the folder in which this system keeps what a program can fetch again."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.join("~", "AppData", "Local")
    elif sys.platform == "darwin":
        base = os.path.join("~", "Library", "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    return os.path.join(base, "nncore")


def _files(split: str | None) -> tuple[str, ...]:
    if split is None:
        return _FILES["train"] + _FILES["test"]
    if split not in _FILES:
        raise ValueError(f"split is {split!r}, expected 'train' or 'test'")
    return _FILES[split]


def _missing(home: str, split: str | None) -> list[str]:
    return [name for name in _files(split) if not os.path.isfile(_find(home, name))]


def _find(home: str, name: str) -> str:
    """Return the path of a file in the spelling that is there; if none is, the compressed one."""
    dotted = name.replace("-idx", ".idx")  # as some collections have it
    spellings = [name, f"{name}.gz", dotted, f"{dotted}.gz"]
    paths = [os.path.join(home, spelling) for spelling in spellings]
    return next((path for path in paths if os.path.isfile(path)), paths[1])
