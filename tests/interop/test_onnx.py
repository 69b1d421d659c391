"""ONNX models of real exporters against onnxruntime's own outputs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import nncore
from nncore.interop.onnx import LABELS_NOTE, from_model, read

from .onnx_bounds import assert_agree
from .onnx_zoo import ZOO, Graph, labels_alone, made, onnx

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
    if LABELS_NOTE in read(model.path).notes:
        scores = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
    assert_agree(net, flat, scores, model.unit, model.folded)
    np.testing.assert_array_equal(net(flat), nncore.from_onnx(model.path)(flat))
    if labels:
        ours = net.predict(flat)
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


def linear_classifier(transform, classes=3):
    """LinearClassifier with labels, and scores of which many sigmoids are equal."""
    rng = np.random.default_rng(classes)
    scores = (100 * rng.standard_normal((classes, 6))).ravel().tolist()
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node(
        "LinearClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml",
        coefficients=scores, intercepts=[1.0] * classes, post_transform=transform,
        classlabels_strings=["ant", "bee", "cat"][:classes],
    )  # fmt: skip
    outputs = [
        helper.make_tensor_value_info("label", onnx.TensorProto.STRING, ["n"]),
        helper.make_tensor_value_info("scores", real, ["n", classes]),
    ]
    given = helper.make_tensor_value_info("x", real, ["n", 6])
    graph = helper.make_graph([node], "g", [given], outputs)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_labels_of_a_linear_classifier(transform):
    model = linear_classifier(transform)
    net = nncore.from_onnx(model)
    x = samples((6,), "float32", 500)
    labels = run(model.SerializeToString(), x, "label")[0]
    assert len(set(labels)) == 3
    np.testing.assert_array_equal(net.classes[net.predict(x)], labels)
    notes = from_model(model).notes
    assert (LABELS_NOTE in notes) == (transform != "SOFTMAX")


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", ["SGDClassifier", "Perceptron", "RidgeClassifier"])
def test_labels_of_classifiers_without_probabilities(name, classes):
    skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    linear_model = pytest.importorskip("sklearn.linear_model")
    x = samples((6,), "float32", 300)
    made = x[:, :classes].argmax(axis=1)
    names = np.array(["ant", "bee", "cat"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = getattr(linear_model, name)(random_state=0).fit(x, names[made])
        proto = skl2onnx.to_onnx(model, x[:1])
    if (name, classes) == ("RidgeClassifier", 2):  # chooses a column of two
        with pytest.raises(ValueError, match="chooses among features"):
            nncore.from_onnx(proto)
        return
    net = nncore.from_onnx(proto)
    labels = run(proto.SerializeToString(), x, proto.graph.output[0].name)[0]
    np.testing.assert_array_equal(net.classes[net.predict(x)], labels)


def test_labels_of_other_scores_than_the_probabilities():
    g = Graph()
    scores = g.dense(6, 4)
    g.then("Neg")
    probabilities = g.then("Softmax", axis=-1)
    label = g.add("ArgMax", scores, axis=1, keepdims=0)
    model = g.model(probabilities, label)
    model.graph.output[1].type.tensor_type.elem_type = onnx.TensorProto.INT64
    net = nncore.from_onnx(model)
    x = samples((6,), "float32", 300)
    np.testing.assert_array_equal(net.predict(x), run(model.SerializeToString(), x, label)[0])


def test_rounding_to_16_bits_on_the_way_is_said():
    g = Graph()
    g.dense(6, 4)
    g.then("Cast", to=onnx.TensorProto.FLOAT16)
    g.then("Cast", to=onnx.TensorProto.FLOAT)
    assert from_model(g.model()).notes == (
        "node 'n2' (Cast) rounds to 16 bits, which the network does not do",
    )
