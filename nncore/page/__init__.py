"""One self-contained HTML page in which a network computes before the reader's eyes.

The page holds its styles, its scripts and the network, and needs nothing else: it works from disk,
and its own policy forbids it to fetch anything. The scripts, *.js in this folder, share one scope;
each says in its first lines what it does. They compute with the rounding and the order of additions
of the kernels: arithmetic.js. setup.py puts them and the styles into template.html and writes the
whole as page.html, which alone is installed.
"""

from __future__ import annotations

import base64
import json
import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import activations
from nncore._info import __version__
from nncore._pixels import image_size, takes_bytes
from nncore.formats._files import file_name, replacing
from nncore.formats._header import name_of
from nncore.formats.npz import described
from nncore.layers import Dense

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from nncore._inference import Inference

_KINDS = ("Dense", "Normalization", "Rescaling")  # of layers that network.js computes


def render(
    net: Inference,
    x: ArrayLike | None = None,
    *,
    title: str | None = None,
    image: tuple[int, int] | None = None,
    results: dict[str, Any] | None = None,
) -> str:
    """Return the page of a network: `nncore.Network.to_html` says what it shows.

    `results` are what `nncore.page.results` makes of a test set, for the section below the network.
    """
    header, arrays = described(net.layers, net.dtype, net.classes)
    network = json.loads(header)
    sample = _sample(net, x)
    data = {
        "nncore": __version__,
        "title": title or f"{net.in_features}-" + "-".join(map(str, _sizes(net))),
        "network": network,
        "arrays": {name: encoded(array) for name, array in arrays.items()},
        "activations": _activations(network["layers"]),
        "input": sample.tolist(),
        "outputs": encoded(net(sample)),
        "image": _image(net, image),
        "results": results,
    }
    texts = {
        "title": _escaped(str(data["title"])),
        "data": script_safe(data),
    }
    # In one pass: a title that looks like one of the other places is a title still.
    return re.sub("@(title|data)@", lambda place: texts[place[1]], _template())


def write(path: str | os.PathLike[str], page: str) -> None:
    """Write a page to a file, all of it or nothing."""
    with replacing(file_name(path)) as file:
        file.write(
            page.encode(errors="backslashreplace")
        )  # a title may be a file name that is no text


def encoded(array: NDArray[Any]) -> str:
    """Return an array's little-endian bytes in base64.

    Examples
    --------
    >>> encoded(np.array([1.0, 2.0], np.float32))
    'AACAPwAAAEA='
    """
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()


def script_safe(data: Any) -> str:
    """Return data as JSON that may stand in a script element: no tag can begin in it.

    Examples
    --------
    >>> script_safe({"name": "</script>"})
    '{"name": "\\\\u003c/script\\\\u003e"}'
    """
    text = json.dumps(data, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _activations(layers: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what a page says of each activation; refuse layers that it does not compute."""
    known = re.findall(r"^ (\w+): \(", _template(), re.MULTILINE)
    for i, layer in enumerate(layers):
        if layer["type"] not in _KINDS:
            raise ValueError(
                f"{name_of(i)} is a {layer['type']}, expected {_KINDS[0]}, {_KINDS[1]} or "
                f"{_KINDS[2]}: a page computes no other layers"
            )
        name = layer.get("activation")
        if name is not None and name not in known:
            raise ValueError(
                f"{name_of(i)} has the activation {name}, expected one that a page computes: "
                f"{', '.join(known)}"
            )
    return {
        name: {
            "alpha": function.alpha,
            "beta": function.beta,
            "formula": function.formula,
            "rowwise": isinstance(function, activations.Softmax),
        }
        for name, function in activations.REGISTRY.items()
        if name in known
    }


def _template() -> str:
    path = os.path.join(os.path.dirname(__file__), "page.html")
    with open(path, encoding="utf-8") as file:
        return file.read()


def _escaped(text: str) -> str:
    from html import escape

    return escape(text)


def _sizes(net: Inference) -> list[int]:
    return [layer.out_features for layer in net.layers if isinstance(layer, Dense)]


def _sample(net: Inference, x: ArrayLike | None) -> NDArray[np.float64]:
    """Return the one sample that the page begins with, as numbers that JSON can hold."""
    if x is None:
        return np.zeros(net.in_features)
    sample = np.asarray(x)
    if sample.size != net.in_features or sample.ndim > 3:
        raise ValueError(
            f"x has shape {sample.shape}, expected one sample of {net.in_features} features"
        )
    sample = sample.reshape(-1)
    net(sample)  # which refuses what is no array of real numbers
    if not np.isfinite(sample).all():
        raise ValueError("x has NaN or infinity, expected finite numbers for a page")
    return sample.astype(np.float64)


def _image(net: Inference, size: tuple[int, int] | None) -> dict[str, float] | None:
    """Return how the inputs are drawn, if they are the pixels of an image."""
    size = size or image_size(net.layers, net.in_features)
    if size is None:
        return None
    height, width = size
    if height * width != net.in_features:
        raise ValueError(
            f"image is {height} x {width} pixels, expected {net.in_features} pixels in all"
        )
    return {"height": height, "width": width, "high": 255 if takes_bytes(net.layers) else 1}
