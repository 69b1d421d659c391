"""Read samples to classify: pictures, arrays and tables; and give them a network's scale.

The first bytes of a file tell what it is, not its name, except for tables of text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nncore._pixels import takes_bytes
from nncore.cli._common import CommandError, count_of
from nncore.cli._pictures import MAGICS, Preparation, read_picture
from nncore.cli._tables import DAMAGED, check_file, is_table, pick, read_csv, read_npz

if TYPE_CHECKING:
    from nncore import Network
    from nncore.cli._pictures import Picture

_NPY_MAGIC = b"\x93NUMPY"
_GZIP_MAGIC = b"\x1f\x8b"
_IDX_MAGIC = b"\0\0"
_ZIP_MAGIC = b"PK\x03\x04"
_HINT = (
    "expected a picture, an IDX file (.gz or not), a .npy or .npz file, or a table as .csv; "
    "numpy.save writes any array"
)


class Images(NamedTuple):
    """The samples of one file, (n, k), and what was assumed about them."""

    file: str
    x: np.ndarray
    assumed: str
    picture: Picture | None = None
    labels: list[str] | None = None  # where the file has them: text of each
    names: list[str] | None = None  # of the features, where a table has headings
    shape: tuple[int, ...] = ()  # of a sample in the file


def read_images(
    path: str, net: Network, scale: float | None, preparation: Preparation, label: str | None
) -> Images:
    """Read one file as samples for `net`.

    Parameters
    ----------
    path : str
        A picture; an IDX file, compressed with gzip or not, or a .npy file, of the shape (n, k),
        (n, h, w) or (n, 1, h, w), or of a single image: (k,) or (h, w); an .npz file with such an
        array x or x_test; or a table of text.
    net : Network
        Says how many features a sample has and whether it scales them itself.
    scale : float or None
        Multiplied into the values; None chooses by their type, see `scaled`.
    preparation : Preparation
        Of pictures.
    label : str or None
        The column of a table that is no feature.

    Raises
    ------
    CommandError
        If the file is of another format or the shape does not fit `net`.
    OSError, ValueError
        If the file cannot be read or is damaged.
    """
    check_file(path)
    labels = picture = names = None
    if is_table(path):
        table = read_csv(path, label, net.in_features)
        array, labels, names = table.x, table.labels, table.names
    else:
        with open(path, "rb") as file:
            start = file.read(8)
        kind = next((kind for magic, kind in MAGICS.items() if start.startswith(magic)), None)
        if kind is not None:
            picture = read_picture(path, kind, preparation)
            array = picture.image
        elif start.startswith(_ZIP_MAGIC):
            array, labels = _from_npz(path)
        else:
            array = _read_array(path, start)
    if array.dtype.kind not in "biuf":
        raise CommandError(f"{path}: holds {array.dtype}, expected real numbers")
    x = _as_samples(array, net.in_features, path)
    if len(x) == 0:
        raise CommandError(f"{path}: has shape {array.shape}, expected at least one image")
    whole = array.size == net.in_features and array.ndim <= 2  # one image alone
    shape = array.shape if whole else array.shape[1:]
    return Images(path, *scaled(x, net, scale), picture, labels, names, shape)


def _from_npz(path: str) -> tuple[np.ndarray, list[str] | None]:
    """Return the samples of an .npz file, those of the test if it has such, and their labels."""
    arrays = read_npz(path)
    x = pick(arrays, ("x_test",)) or pick(arrays, ("x",))
    if x is None and len(arrays) == 1:
        (x,) = arrays
    if x is None:
        names = ", ".join(arrays)[:200] or "none"
        raise CommandError(f"{path}: has the arrays {names}, expected x, x_test or one alone")
    t = pick(arrays, ("t_test", "y_test") if x.lower() == "x_test" else ("t", "y"))
    labels = None
    if t is not None and arrays[t].shape in (arrays[x].shape[:1], (len(arrays[x]), 1)):
        labels = [str(each) for each in arrays[t].ravel().tolist()]
    return arrays[x], labels


def _read_array(path: str, start: bytes) -> np.ndarray:
    from nncore.datasets.idx import read_idx

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
            raise CommandError(f"{path}: {DAMAGED}") from error
    if start.startswith((_GZIP_MAGIC, _IDX_MAGIC)):
        return read_idx(path)
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


def scaled(x: np.ndarray, net: Network, scale: float | None) -> tuple[np.ndarray, str]:
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
