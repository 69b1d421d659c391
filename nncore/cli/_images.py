"""Read images to classify from IDX and .npy files, and give them a network's scale.

The first bytes of a file tell what it is, not its name.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nncore._pixels import takes_bytes
from nncore.cli._common import CommandError, count_of

if TYPE_CHECKING:
    from nncore import Network

_NPY_MAGIC = b"\x93NUMPY"
_GZIP_MAGIC = b"\x1f\x8b"
_IDX_MAGIC = b"\0\0"
_OTHER_FORMATS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"BM": "a BMP image",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"P5": "a PGM image",
    b"P6": "a PPM image",
    b"RIFF": "a WebP image",
    b"PK\x03\x04": "a zip or .npz archive",
}
_HINT = "expected an IDX file (.gz or not) or a .npy file; numpy.save writes one from any array"


class Images(NamedTuple):
    """The samples of one file, (n, k), and what was assumed about them."""

    file: str
    x: np.ndarray
    assumed: str


def read_images(path: str, net: Network, scale: float | None) -> Images:
    """Read the images of one file as samples for `net`.

    Parameters
    ----------
    path : str
        An IDX file, compressed with gzip or not, or a .npy file, of the shape (n, k), (n, h, w)
        or (n, 1, h, w), or of a single image: (k,) or (h, w).
    net : Network
        Says how many features a sample has and whether it scales them itself.
    scale : float or None
        Multiplied into the values; None chooses by their type, see `_scaled`.

    Raises
    ------
    CommandError
        If the file is of another format or the shape does not fit `net`.
    OSError, ValueError
        If the file cannot be read or is damaged.
    """
    array = _read_array(path)
    if array.dtype.kind not in "biuf":
        raise CommandError(f"{path}: holds {array.dtype}, expected real numbers")
    x = _as_samples(array, net.in_features, path)
    if len(x) == 0:
        raise CommandError(f"{path}: has shape {array.shape}, expected at least one image")
    return Images(path, *_scaled(x, net, scale))


def _read_array(path: str) -> np.ndarray:
    from nncore.datasets.idx import read_idx

    if os.path.isdir(path):
        raise CommandError(f"{path}: is a folder, expected a file")
    if os.path.exists(path) and not os.path.isfile(path):
        raise CommandError(f"{path}: is a device or a pipe, expected a file")
    with open(path, "rb") as file:
        start = file.read(8)
    if start.startswith(_NPY_MAGIC):
        import warnings

        try:
            with warnings.catch_warnings():  # on odd headers, such as those of Python 2
                warnings.simplefilter("ignore")
                array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
            return array
        except OSError:
            raise
        except Exception as error:  # what NumPy raises for a damaged header differs by version
            raise CommandError(f"{path}: damaged .npy file ({error})") from error
    if start.startswith((_GZIP_MAGIC, _IDX_MAGIC)):
        return read_idx(path)
    for magic, what in _OTHER_FORMATS.items():
        if start.startswith(magic):
            raise CommandError(f"{path}: {what}; {_HINT}")
    if not start:
        raise CommandError(f"{path}: the file is empty; {_HINT}")
    raise CommandError(f"{path}: unknown format; {_HINT}")


def _as_samples(array: np.ndarray, features: int, path: str) -> np.ndarray:
    """Return `array` as (n, features), without a copy; a single image becomes one sample."""
    shape = array.shape
    if len(shape) == 2 and shape[1] == features:
        return array
    if len(shape) in (1, 2) and array.size == features:
        return array.reshape(1, features)
    if (len(shape) == 3 or (len(shape) == 4 and shape[1] == 1)) and (
        shape[-2] * shape[-1] == features
    ):
        return array.reshape(shape[0], features)
    what = "labels, by its shape, not images" if len(shape) == 1 else "other images"
    raise CommandError(
        f"{path}: holds {what}: shape {shape}, this network takes "
        f"{count_of(features, 'feature')} a sample"
    )


def _scaled(x: np.ndarray, net: Network, scale: float | None) -> tuple[np.ndarray, str]:
    """Return `x` as `net` wants it, and one line that says what was assumed.

    Whole numbers of one byte are pixels, 0 to 255; so a network that does not scale them itself
    gets them divided by 255. Floats from 0 to 1, and booleans, are pixels already scaled; so a
    network that would scale them again gets them multiplied by 255. All else is left alone.
    """
    if scale is not None:
        if scale == 1:
            return x, "as they are (--scale 1)"
        with np.errstate(over="ignore", invalid="ignore"):  # infinity travels through, as it came
            return x * np.float64(scale), f"times {scale:g} (--scale)"
    if x.dtype == np.uint8:
        if net.layers[0].first_only:
            return x, "uint8 pixels as they are, the network scales them"
        return x.astype(np.float32) / np.float32(255), (
            "uint8 pixels divided by 255 (assumed; --scale 1 leaves them alone)"
        )
    if x.dtype.kind in "bf" and takes_bytes(net.layers) and bool(((x >= 0) & (x <= 1)).all()):
        return x * np.float64(255), (
            f"{x.dtype} from 0 to 1 times 255, as this network takes pixels of 0 to 255 "
            "(assumed; --scale 1 leaves them alone)"
        )
    return x, f"{x.dtype} as they are (assumed; --scale FACTOR multiplies them)"
