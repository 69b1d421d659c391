"""Native files that are damaged or made to do harm: each ends in one ValueError with its name."""

from __future__ import annotations

import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_files import (
    describe,
    header_of,
    make_layers,
    members_of,
    npy,
    rebuild,
    refused,
    set_header,
)

from nncore import formats
from nncore.formats import npz
from nncore.layers import Rescaling


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "net.npz"
    npz.write(path, [Rescaling(0.5), *make_layers([3, 2, 2])], "float32")
    return path


# ---- the header


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("format", "something else", 'does not say "format": "nncore network"'),
        ("version", 5, "has format version 5, expected at most 4: a newer"),
        ("version", 0, "the header's version is 0, expected 1 to 4"),
        ("version", "1", "the header's version is '1', expected 1 to 4"),
        ("version", True, "the header's version is True, expected 1 to 4"),
        ("dtype", "float16", "the header's dtype is 'float16', expected float32 or float64"),
        ("dtype", ["float32"], "the header's dtype is ['float32']"),
        ("dtype", "float64", "W1 has dtype <f4, expected float64, as the header says"),
        ("layers", [], "layers are not a list of 1 to 10000 layers"),
        ("layers", {"type": "Dense"}, "layers are not a list of 1 to 10000 layers"),
        ("layers", [3], "layer 1 has the type None, expected Dense, Normalization or Rescaling"),
        ("layers", [{"type": ["Dense"]}], "layer 1 has the type ['Dense']"),
        (
            "layers",
            [{"type": "Conv"}],
            "layer 1 has the type 'Conv', expected Dense, Normalization or Rescaling",
        ),
        (
            "layers",
            [{"type": "Rescaling", "scale": 1}],
            "layers has no Dense layer, expected at least one",
        ),
        ("layers", [{"type": "Rescaling"}], "layer 1 lacks 'scale'"),
        ("comment", "hello", "the header has the unknown key 'comment'"),
    ],
)
def test_header_keys(saved, key, value, text):
    set_header(saved, header_of(saved) | {key: value})
    refused(saved, text)


@pytest.mark.parametrize(
    ("layer", "key", "value", "text"),
    [
        (0, "scale", 10**400, "layer 1: scale is 1000"),
        (0, "scale", "1", "layer 1: scale is '1', expected a finite number"),
        (0, "scale", True, "layer 1: scale is True, expected a finite number"),
        (1, "in_features", -3, "layer 2: in_features is -3, expected a whole number of at least 1"),
        (1, "in_features", 3.0, "layer 2: in_features is 3.0"),
        (1, "in_features", True, "layer 2: in_features is True"),
        (1, "in_features", 2**63, "layer 2: in_features is 9223372036854775808"),
        (1, "in_features", 4, "W1 has shape (3, 2), expected (4, 2), as the header says"),
        (1, "out_features", 0, "layer 2: out_features is 0"),
        (1, "out_features", 3, "layer 3 takes 2 features, expected 3: layer 2 gives so many"),
        (
            2,
            "out_features",
            2**59,
            "W2 has shape (2, 2), expected (2, 576460752303423488), as the header says",
        ),
        (
            1,
            "activation",
            "softmax",
            "layer 2 is Dense(3, 2, softmax), expected it as the last layer only",
        ),
        (1, "activation", ["relu"], "layer 2: the activation is not text, expected a name"),
        (1, "activation", "os.system", "os.system"),
        (1, "alpha", "0.1", "layer 2: alpha is '0.1', expected a finite number"),
        (1, "alpha", 0.1, "activation is 'tanh', which has no alpha, expected one of"),
        (1, "beta", 0.1, "layer 2 has the unknown key 'beta'"),
        (1, "activation", "clip", "layer 2 lacks 'beta'"),
        (1, "use_bias", 1, "layer 2: use_bias is 1, expected a bool"),
        (1, "use_bias", False, "the array 'b1.npy' is not in the header"),
        (1, "code", "print()", "layer 2 has the unknown key 'code'"),
    ],
)
def test_layer_keys(saved, layer, key, value, text):
    header = header_of(saved)
    header["layers"][layer][key] = value
    set_header(saved, header)
    refused(saved, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the header is not JSON"),
        ("", "the header is not JSON"),
        ("[]", 'does not say "format"'),
        ("[" * 100_000, "the header is nested too deeply"),
        ('{"format": "nncore network", "format": "nncore network"}', "has a key twice"),
        ('{"scale": NaN}', "the header holds NaN"),
        ('{"scale": -Infinity}', "the header holds -Infinity"),
        ('{"version": ' + "9" * 5000 + "}", "limit"),
        ("\N{BELL}\N{SNOWMAN}", "the header is not JSON"),
    ],
)
def test_header_text(saved, text, message):
    set_header(saved, text)
    refused(saved, message)


def test_a_scale_beyond_float64(saved):
    with np.load(saved) as archive:
        text = str(archive["header"])
    set_header(saved, text.replace('"scale": 0.5', '"scale": 1e999'))
    refused(saved, "layer 1: scale is inf, expected a finite number")


def test_rescaling_comes_first(saved):
    header = header_of(saved)
    header["layers"].append(header["layers"].pop(0))
    set_header(saved, header)
    refused(saved, "layer 3 is a Rescaling, expected it as the first layer only")


# ---- the members


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("W1.npy", npy(np.ones((3, 2))), "W1 has dtype <f8, expected float32, as the header says"),
        (
            "W1.npy",
            npy(np.ones((3, 2), "i4")),
            "W1 has dtype <i4, expected float32, as the header says",
        ),
        (
            "W1.npy",
            npy(np.ones((2, 3), "f4")),
            "W1 has shape (2, 3), expected (3, 2), as the header says",
        ),
        (
            "b1.npy",
            npy(np.ones((1, 2), "f4")),
            "b1 has shape (1, 2), expected (2,), as the header says",
        ),
        ("W1.npy", npy(np.ones((3, 2), "f4")) + b"junk", "W1 has 28 bytes, expected 24"),
        ("W1.npy", npy(np.ones((3, 2), "f4"))[:-1], "W1 has 23 bytes, expected 24"),
        ("W1.npy", b"", "'W1.npy' is not an array in the .npy format"),
        ("W1.npy", b"\x93NUMPY\x09\x00" + bytes(99), "'W1.npy' is not an array in the .npy format"),
        ("W1.npy", b"\x93NUMPY\x02\x00" + b"\xff" * 9, "an array header of 4294967295 bytes"),
        (
            "W1.npy",
            b"\x93NUMPY\x01\x00\x10\x00{}",
            "has an array header that NumPy would not write",
        ),
        ("header.npy", npy(np.array(b"{}")), "'header.npy' has dtype |S2, shape () and 2 bytes"),
        ("header.npy", npy(np.array(["{}"])), "'header.npy' has dtype <U2, shape (1,)"),
        ("header.npy", npy(np.array("ab")).replace(b"a\0\0\0", b"\0\xdc\0\0"), "holds text that"),
        ("header.npy", npy(np.array("x" * 3_000_000)), "declares a header of 12000"),
    ],
)
def test_members(saved, name, data, text):
    rebuild(saved, members_of(saved) | {name: data})
    refused(saved, text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"(3, 2)", b"(-3,2)"),
        (b"(3, 2)", b"(3, 0)"),
        (b"(3, 2)", b"3*2, 1"),
        (b"'<f4'", b"'|O8'"),
        (b"'<f4'", b"'<V4'"),
        (b"'<f4'", b"f(), "),
        (b"False", b"exit("),
        (b"'shape'", b"'shame'"),
    ],
)
def test_array_headers(saved, old, new):
    members = members_of(saved)
    assert old in members["W1.npy"]
    rebuild(saved, members | {"W1.npy": members["W1.npy"].replace(old, new)})
    refused(saved, "W1")


def test_missing_strange_and_double_members(saved):
    members = members_of(saved)
    rebuild(saved, {name: data for name, data in members.items() if name != "b2.npy"})
    refused(saved, "the array 'b2.npy' is missing")
    rebuild(saved, members | {"W9.npy": members["W1.npy"]})
    refused(saved, "the array 'W9.npy' is not in the header")
    with pytest.warns(UserWarning, match="Duplicate name"):
        rebuild(saved, [*members.items(), ("W1.npy", members["W1.npy"])])
    refused(saved, "holds 'W1.npy' twice")
    rebuild(saved, {"W1.npy": members["W1.npy"], "c1.npy": members["b1.npy"]})
    for activations in (None, ["relu"]):
        refused(saved, "holds arrays but no nncore header, and not W1, b1, W2, ", activations)
    rebuild(saved, {"W1.npy": members["W1.npy"][:-1]})
    refused(saved, "'W1.npy' has ", ["relu"])
    rebuild(saved, {"W1.npy": members["W1.npy"], "W1": members["W1.npy"]})
    refused(saved, "is a zip file, but not one that nncore saved", ["relu"])
    rebuild(saved, {"my/model/data.pkl": b"\x80\x02}."})
    refused(saved, "is like a PyTorch file")
    rebuild(saved, {"word/document.xml": b""})
    refused(saved, "is a zip file, but not one that nncore saved")


def test_compressed_members_are_refused_unread(saved):
    rebuild(saved, members_of(saved) | {"W1.npy": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    refused(saved, "is compressed, expected stored members")


def patch(path, offset, data):
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)


def test_lies_in_the_zip_directory(saved):
    content = saved.read_bytes()
    directory = content.rindex(b"PK\x01\x02")  # the entry of b2.npy
    patch(saved, directory + 20, struct.pack("<II", 1 << 30, 1 << 30))
    refused(saved, "bytes of arrays, expected at most its length")
    saved.write_bytes(content)
    patch(saved, directory + 8, b"\1\0")
    refused(saved, "is encrypted")
    saved.write_bytes(content)
    patch(saved, len(content) - 10, struct.pack("<I", 1 << 30))
    refused(saved, "declares a directory of 1073741824 bytes")
    saved.write_bytes(content)
    patch(saved, len(content) - 2, b"\7\0")
    refused(saved, "has a zip comment")
    saved.write_bytes(content)
    patch(saved, len(content) - 6, struct.pack("<I", directory + 1))
    refused(saved, "has a gap before its end, or bytes before its beginning")
    saved.write_bytes(content)
    patch(saved, directory + 42, struct.pack("<I", 1 << 31))
    refused(saved, "'b2.npy' lies outside of the file")
    end = content[-22:]
    record = b"PK\x06\x06" + bytes(36) + struct.pack("<QQ", 1 << 62, 0)
    saved.write_bytes(content[:-22] + record + b"PK\x06\x07" + bytes(16) + end)
    refused(saved, f"declares a directory of {1 << 62} bytes")


@pytest.mark.parametrize("change", [lambda d: d + b"x", lambda d: d[:-1], lambda d: d[:40]])
def test_trailing_bytes_and_missing_ones(saved, change):
    saved.write_bytes(change(saved.read_bytes()))
    refused(saved, "is cut short, or has other bytes after its end")


def test_a_long_name_does_not_make_a_long_error(saved):
    # zipfile quotes the name it found, which is as long as two damaged bytes say.
    patch(saved, 26, b"\xff\1")
    refused(saved, "is not a whole .npz file: File name in directory 'header.npy' and header")


def test_a_flipped_weight_fails_its_checksum(saved):
    content = saved.read_bytes()
    start = content.index(b"W1.npy")
    patch(saved, content.index(b"\n", start) + 3, b"\xff")
    refused(saved, "Bad CRC-32")


def outcome(path):
    """The layers, or None where the file is refused as a damaged file must be."""
    try:
        return describe(formats.read(path)[0])
    except ValueError as error:
        return None if str(error).startswith(f"{path}: ") else error


def test_truncations_are_refused(saved):
    content = saved.read_bytes()
    for length in [*range(1, len(content) - 100, 9), *range(len(content) - 100, len(content))]:
        saved.write_bytes(content[:length])
        assert outcome(saved) is None, length


def test_flipped_bytes_are_noticed_or_harmless(saved):
    # Dates, attributes and padding may change; no weight, size or activation may.
    content, whole = saved.read_bytes(), outcome(saved)
    places = range(0, len(content), 5)
    refusals = 0
    for at in places:
        patch(saved, at, bytes([content[at] ^ (1 << at % 8)]))
        found = outcome(saved)
        assert found is None or found == whole, at
        refusals += found is None
        patch(saved, at, content[at : at + 1])
    assert refusals > len(places) // 2


@given(data=st.data())
def test_any_damage_is_noticed_or_harmless(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damage") / "net.npz"
    npz.write(path, make_layers([2, 2]), "float64")
    content, whole = path.read_bytes(), outcome(path)
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, min(len(content), start + 40)))
    path.write_bytes(content[:start] + data.draw(st.binary(max_size=40)) + content[stop:])
    if path.stat().st_size:
        assert outcome(path) in (None, whole)
