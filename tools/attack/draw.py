"""What trials draw at random: sizes, numbers, memory layouts, networks."""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import mmap
import sys

import numpy as np
from reference import bits

import nncore
from nncore.activations import REGISTRY, last_layer_only

EDGES = [1, 2, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 47, 48, 49, 63, 64, 65, 97, 127, 129]
INPUT_DTYPES = [
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16",
    "float32", "float64", "longdouble",
]  # fmt: skip
HIDDEN = [name for name in REGISTRY if not last_layer_only(name)]


def digest(*arrays: np.ndarray) -> str:
    """A hash of the arrays' bits, every NaN being equal to every other."""
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(f"{array.dtype}{array.shape}".encode())
        whole.update(bits(array).tobytes() if array.dtype.kind == "f" else array.tobytes())
    return whole.hexdigest()[:16]


def chance(rng, share):
    return rng.random() < share


def size(rng, most=200):
    """A size, often one at which a kernel changes its ways; large ones are rare."""
    how = rng.random()
    if how < 0.4:
        return int(rng.choice(EDGES))
    if how < 0.9:
        return int(rng.integers(1, 41))
    return int(rng.integers(1, most + 1))


def batch(rng):
    return int(rng.integers(0, 5)) if chance(rng, 0.2) else size(rng, 300)


def special(dtype):
    """Numbers at the ends of a floating-point type."""
    limits = np.finfo(dtype)
    tiny, least = limits.tiny, limits.smallest_subnormal
    values = [0.0, least, tiny / 2, tiny, limits.eps, 1, limits.max, np.inf]
    return np.array([*values, *(-np.array(values, dtype)), np.nan], dtype)


def numbers(rng, shape, dtype):
    """Random numbers of any real type: sparse ones, and with some at the ends of the type."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        x = rng.random(shape) < 0.5
    elif dtype.kind in "iu":
        limits = np.iinfo(dtype)
        high = limits.max if chance(rng, 0.5) else min(limits.max, 255)
        low = limits.min if high == limits.max else 0
        x = rng.integers(low, high, shape, dtype, endpoint=True)
    else:
        scale = 10.0 ** rng.integers(-3, 3)
        x = (rng.standard_normal(shape) * scale).astype(dtype)
        if chance(rng, 0.15):
            place = rng.random(shape) < rng.choice([0.01, 0.3])
            x[place] = rng.choice(special(dtype), place.sum())
    if chance(rng, 0.5):
        x[rng.random(shape) < rng.choice([0.2, 0.7, 0.95, 1.0])] = 0
    if chance(rng, 0.3) and len(shape) == 2:
        x[:, rng.random(shape[1]) < 0.5] = 0
    return x


# ---- memory layouts: each gives the same numbers, x (n, k) or (k,), in another place


def _strided(rng, x):
    steps = [int(rng.integers(1, 4)) for _ in x.shape]
    wide = np.ones([n * step for n, step in zip(x.shape, steps, strict=True)], x.dtype)
    view = wide[tuple(slice(None, None, step) for step in steps)]
    view[...] = x
    return view


def _reversed(rng, x):
    turn = tuple(slice(None, None, int(rng.choice([-1, 1]))) for _ in x.shape)
    return x[turn].copy()[turn]


def _unaligned(rng, x):
    offset = int(rng.integers(1, 8))
    place = np.zeros(x.nbytes + offset, np.uint8)[offset:].view(x.dtype).reshape(x.shape)
    place[...] = x
    return place


def _frozen(rng, x):
    x = x.copy()
    x.flags.writeable = False
    return x


def _record(rng, x):
    records = np.zeros(x.shape[:-1], [("odd", "u1"), ("x", x.dtype, x.shape[-1:])])
    records["x"] = x
    return records["x"]


def _before_a_wall(rng, x):
    """The array ends where memory ends: reading on crashes. With a wall behind each row, or one."""
    if sys.platform != "linux" or not x.size:
        return x
    page = mmap.PAGESIZE
    rows = x.reshape(-1, x.shape[-1]) if chance(rng, 0.5) else x.reshape(1, -1)
    pages = -(-rows.shape[1] * x.itemsize // page)  # of a row
    stride = (pages + 1) * page
    memory = mmap.mmap(-1, len(rows) * stride)
    whole = np.frombuffer(memory, np.uint8)
    end = pages * page
    place = np.lib.stride_tricks.as_strided(
        whole[end - rows.shape[1] * x.itemsize :][: x.itemsize].view(x.dtype),
        rows.shape, (stride, x.itemsize),
    )  # fmt: skip
    place[...] = rows
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for row in range(len(rows)):
        if protect(whole.ctypes.data + row * stride + end, page, mmap.PROT_READ * 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    return place.reshape(x.shape) if len(rows) == 1 else place


LAYOUTS = {
    "C": lambda rng, x: x.copy(),
    "Fortran": lambda rng, x: np.asfortranarray(x),
    "strided": _strided,
    "reversed": _reversed,
    "unaligned": _unaligned,
    "read-only": _frozen,
    "byte-swapped": lambda rng, x: x.astype(x.dtype.newbyteorder()),
    "record": _record,
    "wall": _before_a_wall,
}


def layout(rng, x):
    """The same numbers in a random layout, and its name."""
    name = str(rng.choice(list(LAYOUTS)))
    return LAYOUTS[name](rng, x), name


def front(rng, k):
    """A layer that prepares the inputs."""
    scale = float(rng.choice([1 / 255, -0.1, 1.0, 3.5]))
    if not hasattr(nncore, "Normalization") or chance(rng, 0.4):
        return nncore.Rescaling(scale)
    if chance(rng, 0.4):
        return nncore.Rescaling(scale, offset=float(rng.choice([-1.0, 0.25])))
    return nncore.Normalization(rng.standard_normal(k) * 100, rng.random(k) + 0.01)


def network(rng, *, hidden=None, last=None, dtype=None, plain=False, narrow=False, sizes=None):
    """A random network; `plain`: without numbers that spoil a training.

    narrow: its weights are bfloat16 if it is a float32 one.
    """
    if sizes is None:
        sizes = [size(rng) for _ in range(int(rng.integers(1, 5)) + 1)]
    depth = len(sizes) - 1
    if chance(rng, 0.1) and not plain:
        sizes[0] = int(rng.integers(300, 2000))
    dtype = dtype or str(rng.choice(["float32", "float64"]))
    layers = []
    if chance(rng, 0.4):
        layers.append(front(rng, sizes[0]))
    for i, (k, m) in enumerate(itertools.pairwise(sizes)):
        names = (last or list(REGISTRY)) if i == depth - 1 else (hidden or HIDDEN)
        layer = nncore.Dense(k, m, str(rng.choice(names)), bias=chance(rng, 0.8))
        w = rng.standard_normal((k, m)) / np.sqrt(k)
        b = rng.standard_normal(m)
        if not plain:
            w, b = w * 10.0 ** rng.integers(-1, 3), b * 10.0 ** rng.integers(-3, 3)
            if chance(rng, 0.3):
                w[rng.random(w.shape) < 0.5] = rng.choice([0.0, -0.0])
            if chance(rng, 0.05):
                place = rng.random(w.shape) < 0.02
                w[place] = rng.choice(special("float64"), place.sum())
        with np.errstate(all="ignore"):
            layer.set_weights(w.astype(dtype), b.astype(dtype) if layer.use_bias else None)
        layers.append(layer)
    net = nncore.Network(layers, dtype=dtype)
    return net.with_weights("bfloat16") if narrow and dtype == "float32" else net
