"""Pictures of digits, photographed, scanned or drawn, made into what MNIST's images are.

MNIST's digits are grey ink on black ground, fitted into 20x20 pixels, with their centre of mass in
the middle of 28x28. A network that learned from them reads other pictures only if these have been
prepared in the same way. The thresholds here were chosen by measurement: see the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Grey = NDArray[np.float64]

SIDE, BOX = 28, 20  # pixels of an image, and of the ink in it
_WORK = 256  # the longest side that is looked at: ten times what is needed in the end
_LEAST_CONTRAST = 12.0  # of 255: less is paper without ink
_NOISE_FACTOR = 4.0  # standard deviations of the ground's noise that count as ink
_SPECK = 0.05  # of the largest stroke's area: smaller ones are dust
_INNER = 1 / 6  # of the longest side: a stroke so long makes those at the border no part of it
_THINNEST = 1.7  # pixels in the box of 20: thinner lines are drawn thicker; MNIST's have 2 to 3
_NO_INK = "image has no ink that stands out from its ground"


class Prepared(NamedTuple):
    """An image (28, 28) uint8, and what was done to get it, in a few words each."""

    image: NDArray[np.uint8]
    done: list[str]


def prepare_digit(image: Any, *, invert: bool | None = None, center: bool = True) -> Any:
    """Make a picture of one digit into an image like those of MNIST.

    The picture is made grey (what is transparent becomes the ground, a photograph is turned
    upright), inverted if its ground is light, freed of shading, noise and specks, cropped to the
    ink, scaled into 20x20 pixels without changing its proportions, and put into 28x28 with its
    centre of mass in the middle.

    Parameters
    ----------
    image : PIL.Image.Image or array_like
        An array is (h, w), (h, w, 3) or (h, w, 4): uint8, or floats or booleans from 0 to 1.
    invert : bool, optional
        Whether the ink is darker than the ground; by default the pixels at the border tell.
    center : bool, optional
        False puts the middle of the box, not the centre of mass, in the middle.

    Returns
    -------
    ndarray
        (28, 28) uint8, the ink 255, the ground 0.

    Raises
    ------
    TypeError, ValueError
        It is no picture, or there is no ink in it.

    Notes
    -----
    With Pillow: ``prepare_digit(PIL.Image.open("seven.png"))``. The size of a picture is the
    caller's to bound; `nncore predict` refuses what Pillow takes for a decompression bomb.

    Examples
    --------
    >>> paper = np.full((200, 100), 230, np.uint8)
    >>> paper[40:160, 40:64] = 30  # a one, in ink
    >>> image = prepare_digit(paper)
    >>> image.shape, image.dtype
    ((28, 28), dtype('uint8'))
    >>> rows, columns = np.nonzero(image > 127)
    >>> int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    (20, 4)
    """
    return prepare(image, invert=invert, center=center).image


def prepare(image: Any, *, invert: bool | None = None, center: bool = True) -> Prepared:
    """Do what `prepare_digit` does, and tell what was done."""
    grey, done = grey_of(image)
    ink, light = _ink_of(grey, invert)
    if light:
        done.append("inverted" + (" (the ground is light)" if invert is None else ""))
    mask = _strokes(ink)
    rows, columns = np.nonzero(mask)
    area = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    height, width = mask[area].shape
    # Just outside the mask lie the soft edges of the strokes; farther away only noise.
    near = _grow(mask, 1)
    full = max(float(np.percentile(ink[mask], 75)), 1.0)  # a dot: what is blurred, is mostly ground
    soft = np.clip(ink / full, 0.0, 1.0) * near
    done.append(f"cropped to {width}x{height} of {mask.shape[1]}x{mask.shape[0]} pixels")
    thickness = _thickness(mask) * BOX / max(height, width)
    if thickness < _THINNEST:
        more = (_THINNEST - thickness) * max(height, width) / BOX / 2
        soft = _thicken(soft, more)
        done.append("lines drawn thicker")
    margin = np.pad(soft, _WORK)[  # thick lines reach beyond the ink's box
        tuple(slice(part.start + _WORK, part.stop + _WORK) for part in area)
    ]
    scale = BOX / max(height, width)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small = resize(margin, size)
    if small.max() <= 0.1:
        raise ValueError(_NO_INK)
    small = np.clip(small / max(float(np.percentile(small[small > 0.1], 80)), 0.5), 0.0, 1.0)
    done.append(f"scaled to {size[1]}x{size[0]}")
    top, left = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    if center:
        top, left = (_offset(small.sum(axis=1 - axis), size[axis]) for axis in (0, 1))
        done.append("centred by its mass")
    whole = np.zeros((SIDE, SIDE), np.uint8)
    whole[top : top + size[0], left : left + size[1]] = np.rint(small * 255)
    return Prepared(whole, done)


def grey_of(image: Any) -> tuple[Grey, list[str]]:
    """Return a picture as (h, w) floats from 0 to 255, at most 256 long, and what was done.

    Raises
    ------
    TypeError, ValueError
        It is no picture.
    """
    done: list[str] = []
    if hasattr(image, "convert") and hasattr(image, "getbbox"):
        array = _array_of_pillow(image, done)
    else:
        array = np.asarray(image)
        if array.dtype.kind not in "buif":
            raise TypeError(f"image has dtype {array.dtype}, expected uint8, or floats from 0 to 1")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ValueError(f"image has shape {array.shape}, expected (h, w), (h, w, 3) or (h, w, 4)")
    if 0 in array.shape:
        raise ValueError(f"image has shape {array.shape}, expected at least one pixel")
    values = array.astype(np.float64)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 255):
        raise ValueError("image has values outside of 0 to 255")
    if array.dtype.kind == "b" or (array.dtype.kind == "f" and values.max() <= 1):
        values *= 255
    if values.ndim == 3:
        values = _one_channel(values, done)
    longest = max(values.shape)
    if longest > _WORK:
        values = resize(values, tuple(max(1, n * _WORK // longest) for n in values.shape))
    return values, done


def _array_of_pillow(image: Any, done: list[str]) -> NDArray[Any]:
    """Return a Pillow image as an array, turned upright and small enough to be looked at."""
    from PIL import ImageOps

    if image.getexif().get(0x0112, 1) != 1:
        image = ImageOps.exif_transpose(image)
        done.append("turned upright")
    if image.mode.startswith(("I", "F")):  # 16 bits or floats: convert("L") would cut them off
        values = np.asarray(image, dtype=np.float64)
        low, high = float(values.min()), float(values.max())
        return (values - low) * (255 / (high - low) if high > low else 0.0)
    mode = "RGBA" if image.has_transparency_data else "L"
    if image.mode != mode:
        image = image.convert(mode)
    if max(image.size) > 2 * _WORK:  # one step of whole pixels; the rest is done like an array's
        image = image.reduce(max(image.size) // (2 * _WORK))
    return np.asarray(image)


def _one_channel(values: Grey, done: list[str]) -> Grey:
    """Return (h, w) from (h, w, c): the brightness, in front of a ground that shows the ink."""
    if values.shape[2] == 1:
        return values[:, :, 0]
    grey: Grey = values[:, :, :3] @ np.array([0.299, 0.587, 0.114])
    if values.shape[2] == 4 and values[:, :, 3].min() < 255:
        alpha = values[:, :, 3] / 255
        weight = float(alpha.sum())
        # White ink on transparent ground would vanish on white paper.
        ink = float((grey * alpha).sum()) / weight if weight > 0 else 0.0
        grey = grey * alpha + (255.0 if ink < 128 else 0.0) * (1 - alpha)
        done.append(f"put in front of {'white' if ink < 128 else 'black'}")
    return grey


def resize(image: Grey, size: tuple[int, ...]) -> Grey:
    """Scale (h, w) to `size`; each new pixel is the mean of the area that it covers.

    Examples
    --------
    >>> resize(np.array([[0.0, 4.0, 8.0, 12.0]]), (1, 2))
    array([[ 2., 10.]])
    """
    result: Grey = _shares(image.shape[0], size[0]) @ image @ _shares(image.shape[1], size[1]).T
    return result


def _shares(n: int, m: int) -> Grey:
    """Return (m, n): how much each of n pixels counts in each of m new ones."""
    edges = np.arange(m + 1) * (n / m)
    pixels = np.arange(n)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    shares: Grey = np.maximum(covered, 0.0) * (m / n)
    return shares


def _ink_of(grey: Grey, invert: bool | None) -> tuple[Grey, bool]:
    """Return how much each pixel differs from the ground, towards the ink, and if that is darker.

    Raises ValueError where nothing differs.
    """
    width = max(1, min(grey.shape) // 32)
    inside = np.zeros(grey.shape, bool)
    inside[width:-width, width:-width] = True
    border = grey[~inside]
    ground = float(np.median(border))
    low, high = np.percentile(grey, (0.5, 99.5))
    if high - low < _LEAST_CONTRAST:
        low, high = grey.min(), grey.max()  # a few pixels of ink in a large picture
    if high - low < _LEAST_CONTRAST:
        raise ValueError("image has the same brightness everywhere, expected ink on a ground")
    light = ground > (low + high) / 2 if invert is None else invert
    values = 255 - grey if light else grey
    return np.maximum(values - _ground(values), 0.0), bool(light)


def _ground(values: Grey) -> Grey:
    """Return the brightness of the ground below the ink: shading as a surface of degree 2."""
    h, w = values.shape
    y, x = np.linspace(-1, 1, h)[:, None], np.linspace(-1, 1, w)[None, :]
    terms = np.stack([np.broadcast_to(t, (h, w)) for t in (y * 0 + 1, x, y, x * x, y * y, x * y)])
    step = max(1, max(h, w) // 64)  # so smooth a surface needs no more points
    columns = terms[:, ::step, ::step].reshape(6, -1).T
    flat = values[::step, ::step].ravel()
    middle = _otsu(flat)
    ground = flat <= middle
    for _ in range(4):
        if ground.sum() < max(12, flat.size // 10):  # hardly any ground is seen: take it as even
            return np.full(values.shape, float(np.percentile(flat, 5)))
        fit, *_ = np.linalg.lstsq(columns[ground], flat[ground], rcond=None)
        rest = flat - columns @ fit
        spread = 1.4826 * float(np.median(np.abs(rest[ground])))
        ground = (rest < max(3 * spread, 6.0)) & (rest > -max(6 * spread, 30.0))
    surface: Grey = np.tensordot(fit, terms, 1)
    return surface


def _otsu(values: Grey) -> float:
    """Return the threshold that divides values from 0 to 255 into two groups as narrow as can be.

    The largest value where all are alike. N. Otsu, "A threshold selection method from gray-level
    histograms", 1979.
    """
    counts, edges = np.histogram(values, bins=256, range=(0.0, 256.0))
    centres = (edges[:-1] + edges[1:]) / 2
    below, sums = np.cumsum(counts), np.cumsum(counts * centres)
    above, rest = below[-1] - below, sums[-1] - sums
    places = np.flatnonzero((below > 0) & (above > 0))
    if not len(places):
        return float(values.max())
    below, above, sums, rest = (array[places] for array in (below, above, sums, rest))
    between = below * above * (sums / below - rest / above) ** 2
    return float(edges[1 + places[between.argmax()]])


def _strokes(ink: Grey) -> NDArray[np.bool_]:
    """Return where the pen was: above the noise, without specks and what comes in at the border."""
    smooth = _blur(ink, max(ink.shape) // 128)
    peak = float(smooth.max())
    if peak < _LEAST_CONTRAST:
        raise ValueError(_NO_INK)
    level = _otsu(smooth)
    quiet = smooth[smooth < level]
    noise = 1.4826 * float(np.median(quiet)) if quiet.size else 0.0
    # Below Otsu's threshold, or the soft edges of thin lines would be lost.
    mask = smooth > min(max(0.8 * level, _NOISE_FACTOR * noise, 0.2 * peak), 0.9 * peak)
    labels = _components(mask)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    inner = areas.copy()
    inner[edge] = 0
    largest = np.nonzero(labels == inner.argmax()) if inner.any() else ([0], [0])
    if max(map(np.ptp, largest)) >= _INNER * max(mask.shape):
        areas = inner  # what comes in is the edge of the paper, a shadow, a thumb
    kept: NDArray[np.bool_] = (areas >= max(_SPECK * areas.max(), 1))[labels]
    return kept


def _components(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Number the connected parts of a mask from 1, neighbours at the corners included; 0 outside.

    Runs of each row are joined with those that they touch in the row above.
    """
    labels = np.zeros(mask.shape, np.intp)
    parents = [0]

    def root(label: int) -> int:
        while parents[label] != label:
            parents[label] = label = parents[parents[label]]
        return label

    for y, row in enumerate(mask):
        changes = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
        for start, stop in zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True):
            above = labels[y - 1, max(0, start - 1) : stop + 1] if y else labels[:0, 0]
            touched = {root(label) for label in np.unique(above).tolist() if label}
            if not touched:
                parents.append(len(parents))
                touched = {len(parents) - 1}
            first = min(touched)
            for label in touched:
                parents[label] = first
            labels[y, start:stop] = first
    return np.array([root(label) for label in range(len(parents))], np.intp)[labels]


def _blur(image: Grey, radius: int) -> Grey:
    """Return the mean over squares of side 2 radius + 1, the border continued."""
    if radius < 1:
        return image
    n = 2 * radius + 1
    for axis in (0, 1):
        around = [(0, 0), (0, 0)]
        around[axis] = (radius, radius)
        sums = np.cumsum(np.pad(image, around, mode="edge"), axis=axis)
        sums = np.concatenate([np.zeros_like(np.take(sums, [0], axis=axis)), sums], axis=axis)
        stop, start = (
            np.take(sums, np.arange(first, first + image.shape[axis]), axis=axis)
            for first in (n, 0)
        )
        image = (stop - start) / n
    return image


def _grow(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    grown: NDArray[np.bool_] = _thicken(mask.astype(np.float64), radius) > 0
    return grown


def _thicken(image: Grey, radius: float) -> Grey:
    """Return the largest value within a circle around each pixel; its edge counts in part."""
    reach = int(np.ceil(radius))
    padded = np.pad(image, reach)
    h, w = image.shape
    largest = image.copy()
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            share = min(1.0, radius + 1 - float(np.hypot(dy, dx)))
            if share > 0:
                part = padded[reach + dy : reach + dy + h, reach + dx : reach + dx + w]
                np.maximum(largest, part * share, out=largest)
    return largest


def _thickness(mask: NDArray[np.bool_]) -> float:
    """Return the width of the lines, in pixels: a long line has half its outline on either side."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    outline = sum(
        int((inside & ~padded[1 + dy : padded.shape[0] - 1 + dy, 1 + dx : padded.shape[1] - 1 + dx])
            .sum())
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0))
    )  # fmt: skip
    # Outlines along pixels are longer than the curves they follow, by 4/pi on the mean.
    return 2 * float(mask.sum()) / max(outline * np.pi / 4, 1.0)


def _offset(mass: Grey, size: int) -> int:
    """Return where a box of `size` pixels begins, its mass in the middle, all of it inside."""
    middle = float((mass * np.arange(len(mass))).sum() / mass.sum())
    return min(max(round((SIDE - 1) / 2 - middle), 0), SIDE - size)


def as_text(image: NDArray[np.uint8], ramp: str = " .:-=+*#%@") -> list[str]:
    """Return an image as lines of characters, each for two rows of pixels, as these are narrow.

    `ramp` has the characters from black to white.

    Examples
    --------
    >>> as_text(np.array([[0, 255, 90], [0, 255, 0]], np.uint8))
    [' @.']
    """
    h, w = image.shape
    rows = np.pad(image, ((0, h % 2), (0, 0))).reshape(-1, 2, w).mean(axis=1)
    steps = np.minimum(rows * len(ramp) / 256, len(ramp) - 1).astype(int)
    return ["".join(ramp[step] for step in row) for row in steps]
