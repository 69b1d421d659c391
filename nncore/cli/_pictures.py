"""Read PNG, JPEG and other pictures of digits, prepared as MNIST's images were.

Pillow opens them: only the kinds that are named here, whole files, no more pixels than it allows.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from nncore.cli._common import CommandError

if TYPE_CHECKING:
    import numpy as np

MAGICS = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"P4": "PPM",
    b"P5": "PPM",
    b"P6": "PPM",
    b"RIFF": "WEBP",
}


class Preparation(NamedTuple):
    """What the options ask for."""

    invert: bool | None = None  # None: the border tells
    center: bool = True
    raw: bool = False


class Picture(NamedTuple):
    """A picture (h, w) uint8, and what was done to it."""

    image: np.ndarray
    done: list[str]


def read_picture(path: str, kind: str, preparation: Preparation) -> Picture:
    """Read one picture of a kind in `MAGICS`, and prepare it."""
    from nncore.datasets.pictures import prepare

    image, more = _open(path, kind)
    try:
        if preparation.raw:
            return _raw(image, preparation, more)
        found = prepare(image, invert=preparation.invert, center=preparation.center)
    except ValueError as error:
        raise CommandError(f"{path}: {str(error).removeprefix('image ')}") from None
    except MemoryError:
        raise CommandError(f"{path}: takes more memory than this process may have") from None
    return Picture(found.image, more + found.done)


def _open(path: str, kind: str) -> tuple[Any, list[str]]:
    """Return a Pillow image, all of it decoded."""
    try:
        from PIL import Image
    except ImportError:
        raise CommandError(
            f"{path}: reading {kind} pictures needs Pillow: pip install pillow"
        ) from None
    try:
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata
            image = Image.open(file, formats=(kind,))
            most = Image.MAX_IMAGE_PIXELS or 1 << 26
            if image.width * image.height > most:
                raise CommandError(
                    f"{path}: has {image.width} x {image.height} pixels, expected at most {most:,}"
                )
            done = ["first of several pictures"] if getattr(image, "n_frames", 1) > 1 else []
            image.seek(0)  # some kinds have gone to the end, to count
            image.load()
            image.getexif()  # read now, and kept
    except CommandError:
        raise
    except OSError as error:
        if error.filename is not None:
            raise
        raise CommandError(f"{path}: is no whole {kind} picture ({error})") from None
    except MemoryError:
        raise CommandError(f"{path}: takes more memory than this process may have") from None
    except Exception as error:  # what Pillow raises for a damaged file differs by its kind
        raise CommandError(f"{path}: is a damaged {kind} picture ({error})") from None
    return image, done


def _raw(image: Any, preparation: Preparation, done: list[str]) -> Picture:
    """Return the pixels as they are, only grey."""
    import numpy as np

    pixels = np.asarray(image.convert("L"))
    if preparation.invert:
        return Picture(255 - pixels, [*done, "inverted"])
    return Picture(pixels, [*done, "as it is (--raw)"])


def options_that_change(preparation: Preparation) -> str:
    """Return what can be switched off, as a line for people."""
    if preparation.raw:
        return ""
    return "switch off: --no-invert, --no-center, or all of it with --raw"
