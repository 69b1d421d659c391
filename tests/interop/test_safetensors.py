"""safetensors: round trips, PyTorch's own files, and hostile ones."""

from __future__ import annotations

import json
import re
import struct
import sys
import time

import numpy as np
import pytest
from network_files import refused

import nncore
from nncore import formats

pytest.importorskip("safetensors", reason="safetensors is not installed")
from safetensors.numpy import load_file, save_file


def network(dtype="float32"):
    layers = [
        nncore.Normalization([1.0, -2.0, 0.1], [0.1, 1e3, 3.0]),
        nncore.Dense(3, 5, "leaky_relu", alpha=0.3),
        nncore.Dense(5, 4, bias=False), nncore.Dense(4, 3, "log_softmax"),
    ]  # fmt: skip
    return nncore.Network(layers, seed=3, dtype=dtype, classes=[3, 5, 7])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def same(a, b):
    assert repr(a) == repr(b)
    for one, other in zip(a.layers, b.layers, strict=True):
        for name in ("weights", "bias", "mean", "std", "scale", "offset"):
            x, y = getattr(one, name, None), getattr(other, name, None)
            assert (x is None) == (y is None)
            assert x is None or np.asarray(x).tobytes() == np.asarray(y).tobytes()


@pytest.mark.parametrize(
    "front",
    [[], [nncore.Rescaling(1 / 255)], [nncore.Normalization([1e6] * 3, [1e-3, 1 / 3, 7e5])]],
)
@pytest.mark.parametrize("activation", sorted(nncore.activations.REGISTRY))
def test_round_trips(path, dtype, front, activation):
    layers = [*front, nncore.Dense(3, 11, "tanh", bias=False), nncore.Dense(11, 7, activation)]
    net = nncore.Network(layers, seed=1, dtype=dtype)
    net.save(path)
    assert formats.find_format(path).name == "safetensors"
    again = nncore.load(path)
    same(again, net)
    x = np.random.default_rng(0).standard_normal((40, 3))
    assert again(x).tobytes() == net(x).tobytes()


def test_classes_and_names(path):
    net = network()
    net.save(path)
    assert nncore.load(path).classes.tolist() == [3, 5, 7]
    arrays = load_file(path)
    assert sorted(arrays) == [
        "0.num_batches_tracked", "0.running_mean", "0.running_var", "1.bias", "1.weight",
        "3.weight", "4.bias", "4.weight",
    ]  # fmt: skip
    np.testing.assert_array_equal(arrays["1.weight"], net.layers[1].weights.T)
    with pytest.raises(ValueError, match=r"net\.safetensors: names its activations itself"):
        nncore.load(path, ["relu"] * 3)


def test_every_network_is_the_same_file_twice(path):
    network().save(path)
    before = path.read_bytes()
    nncore.load(path).save(path)
    assert path.read_bytes() == before


def test_pytorch_reads_it(path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from safetensors.torch import load_file

    net = network()
    net.save(path)
    module = net.to_torch()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    module.load_state_dict(load_file(path), strict=True)
    x = np.random.default_rng(0).standard_normal((50, 3)).astype("f4")
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.tensor(x)), net(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_files_of_pytorch(path, dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from safetensors.torch import save_file

    module = torch.nn.Sequential(
        torch.nn.Linear(5, 4), torch.nn.ReLU(), torch.nn.BatchNorm1d(4),
        *(torch.nn.Linear(4, 4) for _ in range(9)), torch.nn.Linear(4, 2), torch.nn.Softmax(1),
    ).to(getattr(torch, dtype))  # fmt: skip
    save_file(module.state_dict(), path)
    same(nncore.load(path, ["relu", *["identity"] * 9, "softmax"]), nncore.from_torch(module))


def linear(*names, sizes):
    """Arrays of Linear layers (out_features, in_features); each bias tells which it is."""
    return {
        f"{name}.{kind}": array
        for i, name in enumerate(names)
        for kind, array in (
            ("weight", np.ones((sizes[i + 1], sizes[i]), "f4")),
            ("bias", np.full(sizes[i + 1], float(i), "f4")),
        )
    }


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        (("stem", "body", "head"), (5, 4, 3, 2)),  # only the sizes tell: the file is sorted
        (("fc1", "fc2", "fc10", "out"), (5, 4, 4, 4, 2)),
        (("input", "h.1", "h.2", "a"), (5, 4, 4, 4, 2)),
        (("fc1", "fc2", "fc3", "a"), (4, 4, 4, 4, 2)),
        (("2", "10", "11"), (4, 4, 4, 4)),
    ],
)
def test_the_order_of_layers(path, names, sizes):
    save_file(linear(*names, sizes=sizes), path)
    net = nncore.load(path, ["relu"] * len(names))
    assert [layer.bias[0] for layer in net.layers] == list(range(len(names)))


@pytest.mark.parametrize(
    ("names", "sizes"),
    [(("stem", "body", "head"), (4, 4, 4, 4)), (("a", "b", "c", "d"), (5, 4, 4, 4, 2))],
)
def test_an_order_that_nothing_tells(path, names, sizes):
    save_file(linear(*names, sizes=sizes), path)
    refused(path, "is sorted by name, which does not tell where layer", ["relu"] * len(names))


def test_very_many_layers_are_refused_soon(path):
    for count, text in ((3000, "does not tell where layer"), (11_000, "11000 layers, expected at")):
        names = [f"{'ab'[i % 2]}{i}" for i in range(count)]
        save_file({f"{name}.weight": np.ones((2, 2), "f4") for name in names}, path)
        start = time.monotonic()
        refused(path, text, ["relu"] * count)
        assert time.monotonic() - start < 20


def test_norms_with_names_without_numbers(path):
    norm = {f"bn.{kind}": np.ones(4, "f4") for kind in ("running_mean", "running_var")}
    save_file(linear("fc", "out", sizes=(5, 4, 2)) | norm, path)
    refused(path, "does not tell where layer 'bn' stands", ["relu"] * 2)


# ---- hostile files


def file_of(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


ONE = {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}
HUGE = {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (file_of({"weight": ONE}, bytes(8))[:40], "of 69 bytes, expected at most 32"),
        (file_of({"weight": ONE}, bytes(7)), "is not a whole .safetensors file"),
        (file_of({"weight": ONE}, bytes(9)), "is not a whole .safetensors file"),
        (file_of({"weight": ONE, "a.weight": ONE}, bytes(8)), "invalid offset"),
        (file_of({"weight": ONE, "a.weight": ONE | {"data_offsets": [12, 20]}}, bytes(20)),
         "invalid offset"),
        (file_of({"weight": ONE | {"shape": [1, 3]}}, bytes(8)), "is not a whole"),
        (file_of({"weight": ONE | {"shape": [-1, -2]}}, bytes(8)), "is not a whole"),
        (file_of({"weight": ONE | {"dtype": "X9"}}, bytes(8)), "is not a whole"),
        (file_of({"weight": HUGE}, bytes(8)), "overflow"),
        (file_of({"weight": ONE | {"shape": [0, 1 << 60], "data_offsets": [0, 0]}}),
         "the weights have shape"),
        (file_of(b'{"weight": {}, "weight": {}}'), "the header has a key twice"),
        (file_of(b'{"a": ' + b'{"a":' * 200_000 + b"1" + b"}" * 200_001), "nested too deeply"),
        (file_of(b'{"a": ' + b"9" * 5000 + b"}"), "net.safetensors: "),
        (file_of(b'{"a": NaN}'), "the header holds NaN"),
        (file_of(b"{]"), "the header is not JSON"),
        (file_of(b'{"\xff": 1}'), "holds text that cannot be decoded"),
        (file_of({"weight": ONE}, bytes(8), length=(1 << 32) - 1), "header of 4294967295"),
        (file_of({"weight": ONE}, bytes(8), length=1 << 60), "begins with"),
        (file_of({}), "there is no weight of a Linear layer"),
        (file_of({"__metadata__": None}), "there is no weight"),
        (file_of({"__metadata__": {"nncore": 1}}), "is not a whole"),
        (file_of({"__metadata__": {"nncore": "{}"}}), "the header does not say"),
        (file_of({"weight": ONE | {"dtype": "I64", "shape": [1, 1]}}, bytes(8)), "dtype int64"),
        (file_of({"weight": ONE | {"dtype": "F8_E4M3", "shape": [1, 8]}}, bytes(8)),
         "'weight' has dtype F8_E4M3, expected one of F64, F32"),
        (file_of({"weight": ONE}, bytes(8)), "does not name its activations"),
    ],
)  # fmt: skip
def test_hostile_files(path, data, text):
    path.write_bytes(data)
    activations = None if "activations" in text or b"nncore" in data else ["relu"]
    refused(path, text, activations)


def test_a_header_longer_than_any_network_needs(path):
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", 50_000_000) + b"{")
        file.truncate(60_000_000)
    refused(path, "declares a header of 50000000 bytes, expected at most 8388608")


def rewritten(path, change_header=None, change_arrays=None):
    """Change the description, or the arrays, of a file that nncore wrote."""
    network().save(path)
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    arrays = load_file(path)
    header = json.loads(metadata["nncore"])
    if change_header:
        change_header(header)
    if change_arrays:
        change_arrays(arrays)
    save_file(arrays, path, metadata | {"nncore": json.dumps(header)})


@pytest.mark.parametrize(
    ("header", "arrays", "text"),
    [
        (lambda h: h.update(version=99), None, "has format version 99"),
        (lambda h: [h["layers"].pop(), h.pop("classes")], None, "'4.bias' is not in its"),
        (lambda h: h["layers"][1].update(out_features=1 << 50), None, "takes 5 features"),
        (lambda h: [h["layers"][1].update(out_features=9), h["layers"][2].update(in_features=9)],
         None, "'1.weight' has shape (5, 3), expected (9, 3)"),
        (lambda h: h["layers"][1].update(activation="swoosh"), None, "activation is 'swoosh'"),
        (lambda h: h["layers"][2].update(use_bias=True), None, "'3.bias' is missing"),
        (lambda h: h["layers"][0].update(type="Rescaling"), None, "layer 1"),
        (None, lambda a: a.pop("1.weight"), "'1.weight' is missing, which its description names"),
        (None, lambda a: a.update(other=np.ones(3)), "'other' is not in its description"),
        (None, lambda a: a.update({"0.running_var": np.zeros(3)}), "not above 0"),
        (None, lambda a: a.update({"0.running_var": np.full(3, np.nan)}), "not above 0"),
        (None, lambda a: a.update({"0.running_mean": np.full(3, np.nan)}), "mean[0] is nan"),
        (None, lambda a: a.update({"0.num_batches_tracked": np.ones((), int)}), "not what its"),
        (None, lambda a: a.update({"1.weight": np.full((5, 3), 1e300)}), "too large for float32"),
    ],
)  # fmt: skip
def test_descriptions_that_lie(path, header, arrays, text):
    rewritten(path, header, arrays)
    refused(path, text)


def test_a_rescaling_that_is_not_what_its_tensors_are(path):
    nncore.Network([nncore.Rescaling(0.5), nncore.Dense(2, 2)], seed=0).save(path)
    data = path.read_bytes().replace(b'\\"scale\\": 0.5', b'\\"scale\\": 0.7')
    path.write_bytes(data)
    refused(path, "0.weight is not what its description says: Rescaling(0.7)")


def test_a_description_of_far_more_than_there_is(path):
    nncore.Network([nncore.Rescaling(0.5), nncore.Dense(2, 2)], seed=0).save(path)
    data = path.read_bytes()
    start = struct.unpack("<Q", data[:8])[0] + 8
    header = data[8:start].replace(b'\\"in_features\\": 2', b'\\"in_features\\": 99999999999')
    assert len(header) > start - 8
    path.write_bytes(struct.pack("<Q", len(header)) + header + data[start:])
    refused(path, "'0.running_mean' has shape (2,), expected (99999999999,)")


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bytes_and_cuts(path, seed):
    rng = np.random.default_rng(seed)
    network().save(path)
    data = bytearray(path.read_bytes())
    for place in rng.integers(0, len(data), 2):
        data[place] = rng.integers(0, 256)
    path.write_bytes(data[: rng.integers(1, len(data))] if seed % 2 else data)
    message = f"{path}: "
    try:
        nncore.load(path)
    except (ValueError, OSError) as error:
        message = str(error)
    assert message.startswith(f"{path}: ")


def test_without_the_package(path, monkeypatch):
    network().save(path)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for use in (lambda: nncore.load(path), lambda: network().save(path.with_name("b.safetensors"))):
        with pytest.raises(ImportError, match=r"pip install safetensors$"):
            use()
    assert not path.with_name("b.safetensors").exists()


def test_what_cannot_be_written(path):
    net = nncore.Network([nncore.Dense(2, 2, np.tanh)], seed=0)
    with pytest.raises(ValueError, match="custom activation"):
        net.save(path)
    net = nncore.Network([nncore.Normalization([0.0], [1e-200]), nncore.Dense(1, 1)], seed=0)
    with pytest.raises(ValueError, match=re.escape("std is 1e-200, whose square")):
        net.save(path)
    assert not path.exists()
