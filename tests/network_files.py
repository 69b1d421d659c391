"""Small network files for the tests of the formats, and the ways to take them apart."""

from __future__ import annotations

import io
import itertools
import json
import re
import zipfile

import numpy as np
import pytest

from nncore import formats
from nncore.layers import Dense, Rescaling


def bits(array):
    """Elements as unsigned integers, so that NaN equals itself and -0.0 does not equal 0.0."""
    return array.view(f"u{array.itemsize}").tolist()


def make_layers(sizes, dtype="float32", activation="tanh", bias=True):
    """Dense layers from sizes[0] inputs to sizes[-1] outputs, always with the same weights."""
    rng = np.random.default_rng(3)
    layers = []
    for k, m in itertools.pairwise(sizes):
        layer = Dense(k, m, activation, bias=bias)
        layer.weights = rng.random((k, m)).astype(dtype)
        if bias:
            layer.bias = rng.random(m).astype(dtype)
        layers.append(layer)
    return layers


def describe(layers):
    """Everything about layers that a file must keep."""
    return [
        layer.scale
        if isinstance(layer, Rescaling)
        else (
            (
                layer.in_features,
                layer.out_features,
                layer.activation,
                layer.alpha,
                layer.beta,
                layer.use_bias,
            ),
            bits(layer.weights),
            bits(layer.bias) if layer.use_bias else None,
        )
        for layer in layers
    ]


def npy(array):
    """An array as the bytes of an .npy file."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=(1, 0))
    return stream.getvalue()


def members_of(path):
    """The members of a zip file, as a dict of names and bytes."""
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def rebuild(path, members, compression=zipfile.ZIP_STORED):
    """Writes a dict, or pairs, of names and bytes as a zip file."""
    pairs = members.items() if isinstance(members, dict) else members
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in pairs:
            archive.writestr(name, data)


def header_of(path):
    """The JSON header of a network file."""
    with np.load(path) as archive:
        return json.loads(str(archive["header"]))


def set_header(path, header):
    """Puts another header, a text or what JSON can hold, into a network file."""
    text = header if isinstance(header, str) else json.dumps(header)
    rebuild(path, members_of(path) | {"header.npy": npy(np.array(text))})


def refused(path, text, activations=None):
    """Reading must end in a ValueError that begins with the file's name and holds `text`."""
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        formats.read(path, activations)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
