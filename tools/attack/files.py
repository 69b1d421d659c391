"""Trials of files: networks come back as they were; damaged files end in one documented error."""

from __future__ import annotations

import copy
import functools
import gzip
import itertools
import os
import pickle
import tempfile
import zipfile
from pathlib import Path

import draw
import numpy as np
from reference import assert_same_bits

import nncore
from nncore.datasets import idx

FOLDER = tempfile.TemporaryDirectory(prefix="nncore-attack-")
CANARY = Path(FOLDER.name, "code was run")
COMMAND = f"touch '{CANARY}'".encode()
# What a hostile pickle would put in the place of an array.
CALLS = [
    b"cos\nsystem\n(U%c%b\ntR" % (len(COMMAND), COMMAND),
    b"cos\nsystem\n(V%b\ntR" % COMMAND,
    b"c__builtin__\nexec\n(V%b\ntR" % f"open({str(CANARY)!r}, 'w')".encode(),
    b"cnumpy\nfromfile\n(V/dev/zero\ntR",
    b"(V%b\nios\nsystem\n" % COMMAND,
]


def attack_copies(rng):
    """Saved and loaded, pickled, copied: the same outputs, bit for bit."""
    net = draw.network(rng, narrow=draw.chance(rng, 0.2))
    x = draw.numbers(rng, (7, net.in_features), net.dtype)
    wanted = net(x)
    path = Path(FOLDER.name, "net.npz")
    net.save(path)
    for other in (nncore.load(path), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert_same_bits(other(x), wanted)
        assert repr(other) == repr(net)
    return draw.digest(wanted)


# ---- damage


def damage(rng, data):
    """The bytes with one to four accidents."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        if not data:
            break
        # Half of the accidents happen where headers are.
        at = int(rng.integers(min(len(data), 200) if draw.chance(rng, 0.5) else len(data)))
        length = int(rng.choice([1, 2, 4, 8, 40]))
        how = int(rng.integers(8))
        if how == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif how == 1:
            data[at : at + length] = rng.integers(0, 256, length, np.uint8).tobytes()
        elif how == 2:
            data[at : at + length] = bytes([int(rng.choice([0, 255, 127]))]) * length
        elif how == 3:
            del data[at : at + length]
        elif how == 4:
            del data[at:]
        elif how == 5:
            data[at:at] = data[at : at + length]
        elif how == 6:
            other = int(rng.integers(len(data)))
            data[at : at + length] = data[other : other + length]
        else:
            numbers = [2**31 - 1, 2**32 - 1, 2**63 - 1, 10**30, -1]
            data[at:at] = str(rng.choice(numbers)).encode()
    return bytes(data)


def read_or_refuse(path, read, use):
    """Reading gives something that works, or one of the documented errors."""
    refusal = None
    try:
        use(read(path))
    except ValueError as error:
        refusal = error
    except OSError:
        pass
    if refusal:
        text = str(refusal)
        if not text.startswith(str(path)) or "\n" in text:
            raise AssertionError("not one line that begins with the file's name") from refusal
    assert not CANARY.exists(), "a file ran code"


def use_network(net):
    x = np.ones((3, net.in_features))
    with np.errstate(all="ignore"):
        y = net(x)
    assert_same_bits(net(x[0]), y[0])


def write(path, data):
    path.write_bytes(data)
    return path


@functools.cache
def valid_npz(seed):
    rng = np.random.default_rng(seed)
    path = Path(FOLDER.name, "valid.npz")
    draw.network(rng, plain=True, narrow=draw.chance(rng, 0.2)).save(path)
    with zipfile.ZipFile(path) as archive:
        return path.read_bytes(), {name: archive.read(name) for name in archive.namelist()}


def attack_npz(rng):
    """Damaged native files: anywhere, or inside a member, whose checksum then is right."""
    whole, members = valid_npz(int(rng.integers(20)))
    path = Path(FOLDER.name, "damaged.npz")
    if draw.chance(rng, 0.5):
        write(path, damage(rng, whole))
    else:
        members = dict(members)
        for name in rng.choice(list(members), int(rng.integers(1, 3))).tolist():
            how = rng.random()
            if how < 0.7:
                members[name] = damage(rng, members[name])
            elif how < 0.8:
                del members[name]
                break
            else:
                members[name] = members[str(rng.choice(list(members)))]
        packing = int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
        with zipfile.ZipFile(path, "w", packing) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
    read_or_refuse(path, nncore.load, use_network)
    return "-"


def attack_pickle(rng):
    """Damaged pickles, and some that ask for code to be run."""
    sizes = [int(n) for n in rng.integers(1, 9, 3)]
    dtype = str(rng.choice(["f4", "f8", ">f4", "f2", "i4"]))
    arrays = {}
    for i, (k, m) in enumerate(itertools.pairwise(sizes), start=1):
        arrays[f"W{i}"] = np.asarray(rng.standard_normal((k, m)) * 4, dtype, order="F")
        arrays[f"b{i}"] = (rng.standard_normal(m) * 4).astype(dtype)
    data = pickle.dumps(arrays, protocol=int(rng.integers(0, 6)))
    if draw.chance(rng, 0.3):
        at = int(rng.integers(len(data)))
        data = data[:at] + CALLS[int(rng.integers(len(CALLS)))] + data[at:]
    if draw.chance(rng, 0.9):
        data = damage(rng, data)
    path = write(Path(FOLDER.name, "damaged.pkl"), data)
    read = functools.partial(nncore.load, activations=["relu", "softmax"])
    read_or_refuse(path, read, use_network)
    return "-"


def attack_idx(rng):
    """Damaged IDX files, plain ones and such as gzip has compressed, before or after the damage."""
    shape = tuple(int(n) for n in rng.integers(0, 6, int(rng.integers(1, 4))))
    dtype = str(rng.choice(["u1", "i1", "i2", "i4", "f4", "f8"]))
    path = Path(FOLDER.name, "damaged-idx")
    array = draw.numbers(rng, shape, dtype)
    idx.write_idx(path, array)
    data = path.read_bytes()
    assert_same_bits_of_idx(idx.read_idx(path), array)
    if draw.chance(rng, 0.5):
        data = damage(rng, data)
    if draw.chance(rng, 0.5):
        data = gzip.compress(data, 1)
        if draw.chance(rng, 0.5):
            data = damage(rng, data)
    read_or_refuse(write(path, data), functools.partial(idx.read_idx, max_bytes=2**20), np.asarray)
    os.unlink(path)
    return "-"


def assert_same_bits_of_idx(a, b):
    assert a.shape == b.shape
    assert a.astype(b.dtype).tobytes() == b.tobytes()
