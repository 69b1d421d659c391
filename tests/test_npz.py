"""The native format: bit for bit there and back, and every broken file refused by name."""

from __future__ import annotations

import os
import pathlib
import re
import stat
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_files import bits, describe, header_of, make_layers, npy, refused

import nncore
from nncore import formats
from nncore.activations import REGISTRY
from nncore.formats import npz
from nncore.layers import Dense, Rescaling

# Not a number with a payload, signalling, negative zero, subnormals, infinities, the largest.
ODD_BITS = {
    "float32": [
        0x7FC12345,
        0x7F800001,
        0xFFC00000,
        0x80000000,
        1,
        0x807FFFFF,
        0x7F800000,
        0x7F7FFFFF,
    ],
    "float64": [
        0x7FF8000012345678,
        0x7FF0000000000001,
        0xFFF8000000000000,
        0x8000000000000000,
        1,
        0x800FFFFFFFFFFFFF,
        0x7FF0000000000000,
        0x7FEFFFFFFFFFFFFF,
    ],
}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "net.npz"
    npz.write(path, [Rescaling(0.5), *make_layers([3, 2, 2])], "float32")
    return path


# ---- there and back


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_odd_numbers_keep_every_bit(tmp_path, dtype):
    odd = np.array(ODD_BITS[dtype], dtype=f"u{np.dtype(dtype).itemsize}").view(dtype)
    layer = Dense(2, 4, "leaky_relu", alpha=0.1)
    layer.weights, layer.bias = odd.reshape(2, 4), odd[:4]
    npz.write(tmp_path / "net.npz", [layer], dtype)
    (copy,), found, *_ = formats.read(tmp_path / "net.npz")
    assert found == np.dtype(dtype)
    assert bits(copy.weights.ravel()) == ODD_BITS[dtype]
    assert bits(copy.bias) == ODD_BITS[dtype][:4]
    assert (copy.activation, copy.alpha) == ("leaky_relu", 0.1)


@given(
    sizes=st.lists(st.integers(1, 7), min_size=2, max_size=5),
    dtype=st.sampled_from(["float32", "float64"]),
    bias=st.booleans(),
    scale=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_network_comes_back(tmp_path_factory, sizes, dtype, bias, scale):
    layers = make_layers(sizes, dtype, bias=bias)
    layers = layers if scale is None else [Rescaling(scale), *layers]
    path = tmp_path_factory.mktemp("any") / "net.npz"
    npz.write(path, layers, dtype)
    copies, found, *_ = npz.read(path)
    assert found == np.dtype(dtype)
    assert describe(copies) == describe(layers)


WITH_PARAMETERS = [
    (name, parameters)
    for parameters in ({}, {"alpha": 0.1}, {"beta": 0.25})
    for name, activation in REGISTRY.items()
    if all(getattr(activation, key) is not None for key in parameters)
]


@pytest.mark.parametrize(("name", "parameters"), WITH_PARAMETERS, ids=str)
def test_every_activation_comes_back(tmp_path, name, parameters):
    layer = Dense(2, 2, name, **parameters)
    layer.weights = np.eye(2, dtype=np.float32)
    npz.write(tmp_path / "net.npz", [layer], "float32")
    assert describe(npz.read(tmp_path / "net.npz")[0]) == describe([layer])


def test_the_header_says_of_each_activation_what_it_always_said(tmp_path):
    """Files of networks that earlier versions could make have the same bytes as theirs."""
    written = {}
    for name in ("relu", "leaky_relu", "elu", "clip"):
        layer = Dense(2, 2, name)
        layer.weights = np.eye(2)
        npz.write(tmp_path / "net.npz", [layer], "float64")
        (written[name],) = header_of(tmp_path / "net.npz")["layers"]
    dense = {"type": "Dense", "in_features": 2, "out_features": 2, "use_bias": True}
    assert written["relu"] == {**dense, "activation": "relu", "alpha": None}
    assert written["leaky_relu"] == {**dense, "activation": "leaky_relu", "alpha": 0.01}
    assert written["elu"] == {**dense, "activation": "elu", "alpha": None}
    assert written["clip"] == {**dense, "activation": "clip", "alpha": -1.0, "beta": 1.0}


def test_same_network_same_bytes(tmp_path):
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    npz.write(first, make_layers([4, 3]), "float32")
    npz.write(second, make_layers([4, 3]), "float32")
    assert first.read_bytes() == second.read_bytes()


def test_the_classic_network_stays_under_200_kB(tmp_path):
    npz.write(tmp_path / "net.npz", make_layers([784, 50, 100, 10]), "float32")
    assert (tmp_path / "net.npz").stat().st_size < 200_000


def test_numpy_reads_it_and_writes_it_back(saved):
    before = describe(formats.read(saved)[0])
    with np.load(saved, allow_pickle=False) as archive:
        arrays = dict(archive)
    assert list(arrays) == ["header", "W1", "b1", "W2", "b2"]
    arrays["W1"] = np.asfortranarray(arrays["W1"]).astype(">f4")
    np.savez(saved, **arrays)
    assert describe(formats.read(saved)[0]) == before


def test_what_cannot_be_saved(tmp_path):
    path = tmp_path / "net.npz"

    def twice(z):
        return 2 * z

    custom, empty = make_layers([2, 2], activation=twice), [Dense(2, 2)]
    for layers, dtype, text in [
        (custom, "float32", "layer 1 has a custom activation"),
        (empty, "float32", "layer 1 has no weights yet"),
        ([], "float32", "0 layers"),
        (make_layers([2, 2]), "float16", "dtype is float16, expected float32 or float64"),
        (["relu"], "float32", "layer 1 is a str, expected Dense, Normalization or Rescaling"),
    ]:
        with pytest.raises(ValueError, match=text):
            npz.write(path, layers, dtype)
        assert os.listdir(tmp_path) == []
    with pytest.raises(ValueError, match=r"give a path that ends in \.npz"):
        npz.write(tmp_path / "net", make_layers([2, 2]), "float32")


# ---- the file system


def test_a_failed_write_leaves_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"No space left on device.*net\.npz"):
        npz.write(saved, make_layers([5, 5]), "float32")
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == ["net.npz"]


@pytest.mark.skipif(sys.platform == "win32", reason="does not ask about processes there")
def test_what_killed_saves_left_behind_is_removed(saved):
    folder = saved.parent
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                           capture_output=True, text=True, check=True)  # fmt: skip
    dead, alive = int(child.stdout), os.getpid()
    hex16 = "0123456789abcdef"
    names = {  # name -> whether it goes
        f".nncore-{dead}-{hex16}.tmp": True,
        f".nncore-{hex16}.tmp": True,  # as older versions named them
        f".nncore-{alive}-{hex16}.tmp": False,
        f".nncore-{'9' * 19}-{hex16}.tmp": False,  # no process here can have that number
        f".nncore-{dead}-{hex16}.tmp.bak": False,
        f"net-{dead}-{hex16}.tmp": False,
    }
    young = f".nncore-{dead}-{hex16[::-1]}.tmp"  # perhaps of another machine, at work
    long_ago = time.time() - 4000
    for name in [*names, young]:
        (folder / name).write_bytes(b"half")
        if name != young:
            os.utime(folder / name, (long_ago, long_ago))
    npz.write(saved, make_layers([2, 2]), "float32")
    kept = {name for name, goes in names.items() if not goes} | {young, "net.npz"}
    assert set(os.listdir(folder)) == kept
    assert formats.read(saved)[0][0].in_features == 2


def test_a_temporary_file_names_its_process(saved, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.extend(os.listdir(saved.parent)))
    npz.write(saved, make_layers([2, 2]), "float32")
    (temporary,) = set(seen) - {"net.npz"}
    assert re.fullmatch(rf"\.nncore-{os.getpid()}-[0-9a-f]{{16}}\.tmp", temporary)


@pytest.mark.parametrize("name", ["net.pkl", "net.pickle", "net.bin", "net"])
def test_other_endings_are_refused(tmp_path, name):
    text = rf"{name}: the ending says the format, expected a path that ends in .*\.npz"
    with pytest.raises(ValueError, match=text):
        formats.write(tmp_path / name, make_layers([2, 2]), "float32")
    assert os.listdir(tmp_path) == []


def test_load_without_memory_names_the_file(saved, monkeypatch):
    def fail(*_):
        raise MemoryError

    for owner, name in [(formats, "read"), (nncore.network.Network, "_make_plan")]:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fail)
            with pytest.raises(ValueError, match=r"net\.npz: takes more memory than this process"):
                nncore.load(saved)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")
def test_permissions_follow_the_umask_and_then_the_file(tmp_path):
    path = tmp_path / "net.npz"
    before = os.umask(0o027)
    try:
        npz.write(path, make_layers([2, 2]), "float32")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    npz.write(path, make_layers([2, 3]), "float32")
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need rights on Windows")
def test_a_symbolic_link_stays_one(saved):
    link = saved.with_name("link.npz")
    link.symlink_to(saved)
    npz.write(link, make_layers([4, 4]), "float32")
    assert link.is_symlink()
    assert formats.read(saved)[0][0].in_features == 4


def test_paths(tmp_path, saved):
    for path in (saved, str(saved), os.fsencode(saved), pathlib.PurePath(saved)):
        assert len(formats.read(path)[0]) == 3
    with pytest.raises(FileNotFoundError, match=r"nothing\.npz"):
        formats.read(tmp_path / "nothing.npz")
    with pytest.raises(OSError, match=re.escape(str(tmp_path))):
        formats.read(tmp_path)
    with pytest.raises(FileNotFoundError, match=re.escape("nowhere")):
        npz.write(tmp_path / "nowhere" / "net.npz", make_layers([2, 2]), "float32")
    with pytest.raises(TypeError, match=r"path is of type int, expected a str or an os\.PathLike"):
        formats.read(0)
    with pytest.raises(ValueError, match="path is empty, expected the name of a file"):
        formats.read("")
    with pytest.raises(ValueError, match="no null character"):
        formats.read("net\0.npz")
    with pytest.raises(ValueError, match="names its activations itself"):
        formats.read(saved, ["relu", "relu"])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "is empty"),
        (npy(np.eye(2)), "is a single array (.npy)"),
        (b"\x1f\x8b\x08\0\0", "is compressed with gzip"),
        (b"\0\0\x08\x03\0\0\0\1", "is an IDX file of images"),
        (b"weights: 1 2 3", "begins with b'weights:', expected "),
    ],
)
def test_other_kinds_of_file(tmp_path, data, text):
    path = tmp_path / "net.npz"
    path.write_bytes(data)
    refused(path, text)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    refused(tmp_path / "pipe.npz", "is not a regular file")
    with pytest.raises(ValueError, match="is not a regular file"):
        npz.write(tmp_path / "pipe.npz", make_layers([2, 2]), "float32")


def test_the_ending_may_be_in_capitals(tmp_path):
    net = nncore.Network([nncore.Dense(2, 2)], seed=0)
    net.save(tmp_path / "NET.NPZ")
    again = nncore.load(tmp_path / "NET.NPZ")
    assert again.layers[0].weights.tobytes() == net.layers[0].weights.tobytes()
