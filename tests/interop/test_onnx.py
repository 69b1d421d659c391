"""ONNX models of real exporters against onnxruntime's own outputs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import nncore

from .onnx_bounds import assert_agree
from .onnx_zoo import ZOO, labels_alone, made, onnx

ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
NEEDS = {"keras": ("keras", "torch"), "skl2onnx": ("skl2onnx",), "hand": ()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("onnx"))


def run(model, x, *names):
    """What onnxruntime gives for the samples, in one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # skl2onnx declares the shapes of labels wrongly
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    return session.run(list(names) or None, {entry.name: x})


def samples(shape, dtype, count=64):
    x = np.random.default_rng(1).standard_normal((count, *shape)) * 2
    return x.astype(dtype)


@pytest.mark.parametrize(("kind", "name"), ZOO, ids=[f"{kind}: {name}" for kind, name in ZOO])
def test_outputs_are_onnxruntimes(kind, name, folder):
    for needed in NEEDS.get(kind, ("torch",)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pytest.importorskip(needed, reason=f"{needed} is not installed")
    model = made(kind, name, folder)
    net = nncore.load(model.path)
    assert net.dtype == ("float64" if model.dtype == "float64" else "float32")
    x = samples(model.shape, model.dtype)
    names = [name for name in (model.scores or None, model.labels) if name]
    scores, *labels = run(model.path, x, *names)
    if isinstance(scores, list):  # of ZipMap
        scores = np.array([list(row.values()) for row in scores])
    flat = x.reshape(len(x), -1).astype(net.dtype)
    assert_agree(net, flat, scores, model.unit, model.folded)
    np.testing.assert_array_equal(net(flat), nncore.from_onnx(model.path)(flat))
    if labels:
        ours = net.predict(flat)
        if net.layers[-1].activation == "identity":
            ours = ours.argmax(axis=1)
        ours = ours if "multilabel" in name else net.classes[ours]
        np.testing.assert_array_equal(ours, labels[0].astype(ours.dtype))


def test_a_model_that_only_gives_labels():
    model = labels_alone()
    net = nncore.from_onnx(model)
    x = samples((6,), "float32", 500)
    np.testing.assert_array_equal(net.predict(x), run(model.SerializeToString(), x)[0])


def test_a_path_bytes_and_a_message_are_the_same(folder):
    model = made("hand", "tf2onnx", folder)
    proto = onnx.load(model.path)
    nets = [nncore.from_onnx(source) for source in (model.path, proto, proto.SerializeToString())]
    x = samples((6,), "float32")
    for net in nets[1:]:
        np.testing.assert_array_equal(net(x), nets[0](x))


def test_weights_beside_the_file(folder, tmp_path):
    model = made("hand", "tf2onnx", folder)
    proto = onnx.load(model.path)
    path = tmp_path / "net.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    assert (tmp_path / "net.onnx.data").stat().st_size > 0
    x = samples((6,), "float32")
    np.testing.assert_array_equal(nncore.load(path)(x), nncore.load(model.path)(x))


def test_names_of_classes(folder):
    pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    for name, classes in (
        ("multiclass", ["ant", "bee", "cat"]), ("binary of text", ["down", "up"]),
        ("multiclass of numbers", [0, 1, 2]), ("bare binary logistic", ["down", "up"]),
        ("multiclass without ZipMap", ["ant", "bee", "cat"]), ("regressor", None),
    ):  # fmt: skip
        net = nncore.from_onnx(made("skl2onnx", name, folder).path)
        assert (None if net.classes is None else net.classes.tolist()) == classes, name
