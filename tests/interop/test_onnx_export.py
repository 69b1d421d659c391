"""Networks as ONNX models: run by onnxruntime, and read back bit for bit."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import nncore
from nncore import Dense, Network, Normalization, Rescaling
from nncore.layers import assign

from .onnx_bounds import assert_agree
from .onnx_zoo import UNITS, onnx, random_network

ACTIVATIONS = [
    *((name, {}) for name in nncore.activations.REGISTRY),
    ("leaky_relu", {"alpha": 0.3}), ("leaky_relu", {"alpha": -1.5}), ("elu", {"alpha": 0.3}),
    ("clip", {"alpha": -0.25, "beta": 0.75}), ("hard_sigmoid", {"alpha": 0.2, "beta": 0.5}),
    ("hard_sigmoid", {"alpha": -0.3, "beta": 0.4}),
]  # fmt: skip
IDS = [f"{name} {' '.join(map(str, given.values()))}".strip() for name, given in ACTIVATIONS]
FRONTS = {
    "none": None,
    "rescaling": Rescaling(1 / 255),
    "offset": Rescaling(1 / 127.5, -1),
    "offset alone": Rescaling(1.0, 0.25),
    "nothing": Rescaling(1.0),
    "normalization": Normalization(
        [0.5, -2, 1e6, 3, 0, 1, 1 / 3], [1, 2, 0.5, 1 / 3, 7, 255, 1e-3]
    ),
}


def assert_same(ours, theirs):
    """Every layer is the same, with the same bits."""
    assert list(map(repr, ours.layers)) == list(map(repr, theirs.layers))
    assert ours.dtype == theirs.dtype
    for a, b in zip(ours.layers, theirs.layers, strict=True):
        names = ("weights", "bias", "alpha", "beta") if isinstance(a, Dense) else ()
        names = ("mean", "std") if isinstance(a, Normalization) else names
        for name in names:
            left, right = getattr(a, name), getattr(b, name)
            assert (left is None) == (right is None), name
            assert left is None or np.asarray(left).tobytes() == np.asarray(right).tobytes(), name
    np.testing.assert_array_equal(ours.classes, theirs.classes)


def onnxruntime_outputs(data, x):
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    return ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"input": x})[0]


@pytest.mark.parametrize(("name", "given"), ACTIVATIONS, ids=IDS)
def test_every_activation(name, given, dtype):
    net = random_network(name, dtype, **given)
    data = net.to_onnx()
    assert_same(net, nncore.from_onnx(data))
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    x = np.random.default_rng(2).standard_normal((300, 7)).astype(dtype) * 2
    assert_agree(net, x, onnxruntime_outputs(data, x), UNITS[dtype])


@pytest.mark.parametrize("front", FRONTS)
def test_every_front(front, dtype):
    net = random_network("relu", dtype, FRONTS[front])
    data = net.to_onnx()
    assert_same(net, nncore.from_onnx(data))
    x = np.random.default_rng(2).integers(0, 256, (100, 7)).astype(dtype)
    if front == "normalization":
        x = x / 100 + FRONTS[front].mean.astype(dtype)
    theirs = onnxruntime_outputs(data, x)
    # What stands in front is computed in double there, too, so that it adds no error.
    given = x if FRONTS[front] is None else fronted(FRONTS[front], x, dtype)
    assert_agree(Network(without(net), dtype=dtype), given, theirs, UNITS[dtype])


def without(net):
    layers = []
    for layer in net.layers[1:] if not isinstance(net.layers[0], Dense) else net.layers:
        layers.append(Dense(layer.in_features, layer.out_features, layer.activation,
                            bias=layer.use_bias))  # fmt: skip
        layers[-1].set_weights(layer.weights, layer.bias)
    return layers


def fronted(layer, x, dtype):
    x = x.astype(np.float64)
    x = (x - layer.mean) / layer.std if isinstance(layer, Normalization) else (
        x * layer.scale + layer.offset
    )  # fmt: skip
    return x.astype(dtype)


def test_one_feature_and_one_output(dtype):
    net = Network([Normalization([3.0], [0.1]), Dense(1, 1, "sigmoid")], seed=0, dtype=dtype)
    assert_same(net, nncore.from_onnx(net.to_onnx()))
    net = Network([Rescaling(0.1), Dense(1, 1, bias=False)], seed=0, dtype=dtype)
    assert_same(net, nncore.from_onnx(net.to_onnx()))


@pytest.mark.parametrize("classes", [["a", "b", "c"], [3, 1, 2], [0.5, 1.5, 2.5]])
def test_names_of_classes(classes):
    net = random_network("softmax", "float32")
    net.classes = classes
    again = nncore.from_onnx(net.to_onnx())
    assert_same(net, again)
    assert again.classes.dtype.kind == np.array(classes).dtype.kind


def test_two_names_for_one_sigmoid():
    net = Network([Dense(4, 1, "sigmoid")], seed=0, classes=["no", "yes"])
    assert_same(net, nncore.from_onnx(net.to_onnx()))


def test_files(tmp_path):
    net = random_network("gelu", "float32")
    net.to_onnx(tmp_path / "a.onnx")
    net.save(tmp_path / "b.onnx")
    data = (tmp_path / "a.onnx").read_bytes()
    assert data == (tmp_path / "b.onnx").read_bytes() == net.to_onnx()
    for path in ("a.onnx", "b.onnx"):
        assert_same(net, nncore.load(tmp_path / path))
    (tmp_path / "c").write_bytes(data)  # known by what is in it
    assert_same(net, nncore.load(tmp_path / "c"))


def test_many_layers():
    net = Network([Dense(3, 3, "silu") for _ in range(600)], seed=0)
    assert_same(net, nncore.from_onnx(net.to_onnx()))


def test_weights_of_one_moment(tmp_path):
    """Another thread assigns meanwhile: a file has all old weights or all new ones."""
    net = Network([Dense(40, 40, bias=False) for _ in range(3)], seed=0)
    stop = threading.Event()

    def fill(value):
        assign(net.layers, [(np.full((40, 40), value), None)] * 3)

    def keep_filling():
        value = 0.0
        while not stop.is_set():
            value += 1
            fill(value)

    fill(0.0)
    thread = threading.Thread(target=keep_filling)
    thread.start()
    try:
        for _ in range(30):
            again = nncore.from_onnx(net.to_onnx())
            assert len(np.unique([layer.weights for layer in again.layers])) == 1
    finally:
        stop.set()
        thread.join()


def test_what_cannot_be_written(tmp_path):
    net = Network([Dense(2, 2, lambda x: x)], seed=0)
    with pytest.raises(ValueError, match=r"layers\[0\] has a custom activation"):
        net.to_onnx()
    with pytest.raises(ValueError, match=r"layers\[0\] has a custom activation"):
        net.save(tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):
        random_network("relu", "float32").to_onnx(tmp_path / "missing" / "net.onnx")


def test_too_large_a_network(monkeypatch):
    from nncore.interop.onnx import _export

    monkeypatch.setattr(_export, "_MOST_BYTES", 100)
    with pytest.raises(ValueError, match="the weights take 2 GiB or more"):
        random_network("relu", "float32").to_onnx()
