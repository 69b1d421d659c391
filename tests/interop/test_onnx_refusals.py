"""What a dense network does not have is refused by name, and hostile models in bounded time."""

from __future__ import annotations

import itertools
import os
import re
import time

import numpy as np
import pytest

import nncore

from .onnx_zoo import (
    FLOAT,
    HAND,
    Graph,
    by_other_parts,
    by_parts,
    gelu_tanh,
    helper,
    numpy_helper,
    onnx,
    steps,
    tensorflow,
)


def activations_of(net):
    return [layer.activation for layer in net.layers if isinstance(layer, nncore.Dense)]


def test_what_exporters_take_apart_is_put_together():
    found = {
        make.__name__: activations_of(nncore.from_onnx(make()))
        for make in (tensorflow, gelu_tanh, by_parts, by_other_parts, steps)
    }
    assert found == {
        "tensorflow": ["gelu", "relu", "silu", "softmax"],
        "gelu_tanh": ["gelu_tanh", "identity"],
        "by_parts": ["leaky_relu", "elu", "sigmoid", "hard_sigmoid"],
        "by_other_parts": ["hard_swish", "softsign", "mish", "silu", "step", "log_softmax"],
        "steps": ["relu", "tanh", "relu", "elu", "hard_sigmoid", "leaky_relu", "sigmoid",
                  "softmax"],
    }  # fmt: skip
    net = nncore.from_onnx(by_parts())
    assert [layer.alpha for layer in net.layers[:2]] == [0.2, 0.7]


def test_weights_keep_their_bits():
    g = Graph()
    g.dense(6, 5)
    g.then("Gemm", g.weights(4, 5), g.weights(4), transB=1)
    net = nncore.from_onnx(g.model())
    tensors = [numpy_helper.to_array(t) for t in g.model().graph.initializer]
    assert net.layers[0].weights.tobytes() == tensors[0].tobytes()
    assert net.layers[0].bias.tobytes() == tensors[1].tobytes()
    assert net.layers[1].weights.tobytes() == tensors[2].T.tobytes()


# ---- what is refused


def ending(*then, opset=17, **attributes):
    """A small network with something at its end."""

    def make():
        g = Graph(opset=opset)
        g.dense(6, 4)
        g.then(*then, **attributes)
        return g.model()

    return make


def residual():
    g = Graph()
    x = g.dense(6, 6)
    g.add("Add", g.add("Relu", g.dense(6, 6)), x)
    return g.model()


def attention():
    g = Graph()
    x = g.dense(6, 6)
    g.add("MatMul", x, g.add("Transpose", x, perm=[1, 0]))
    return g.model()


def branch(op="If"):
    g = Graph()
    g.dense(6, 4)
    body = helper.make_graph([], "body", [], [])
    names = {"then_branch": body, "else_branch": body} if op == "If" else {"body": body}
    g.then(op, **names)
    return g.model()


def function():
    g = Graph()
    g.dense(6, 4)
    g.then("Twice", domain="mine")
    model = g.model()
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("mine", "Twice", ["a"], ["b"], body, opsets))
    return model


def two_inputs():
    g = Graph()
    g.add("Add", "x", "y")
    model = g.model()
    model.graph.input.append(helper.make_tensor_value_info("y", FLOAT, ["n", 6]))
    return model


def two_heads():
    g = Graph()
    x = g.then("Relu")
    one = g.add("MatMul", x, g.weights(6, 2))
    two = g.add("MatMul", x, g.weights(6, 2))
    return g.model(one, two)


def labels_of_another_head():
    g = Graph()
    one = g.add("MatMul", "x", g.weights(6, 2))
    two = g.add("ArgMax", g.add("MatMul", "x", g.weights(6, 2)), axis=1)
    return g.model(two, one)


def one_column():
    g = Graph()
    g.dense(6, 1)
    g.then("ArgMax", axis=1)
    return g.model(elem=onnx.TensorProto.INT64)


def constant_output():
    g = Graph()
    g.dense(6, 4)
    return g.model(g.last, g.add("Identity", g.weights(3)))


def softmax_in_the_middle():
    g = Graph()
    g.dense(6, 4)
    g.then("Softmax")
    g.dense(4, 2)
    return g.model()


def sequence_input():
    model = ending("Relu")()
    tensor = helper.make_tensor_type_proto(FLOAT, ["n", 6])
    model.graph.input[0].type.CopyFrom(helper.make_sequence_type_proto(tensor))
    return model


def text_input():
    model = ending("Relu")()
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.STRING
    return model


def several_logistic():
    g = Graph()
    g.then("LinearClassifier", domain="ai.onnx.ml", coefficients=[0.5] * 18,
           intercepts=[0.1] * 3, classlabels_ints=[0, 1, 2], post_transform="LOGISTIC")  # fmt: skip
    g.nodes[-1].output[:] = ["labels", "scores"]
    g.add("Normalizer", "scores", domain="ai.onnx.ml", norm="L1")
    return g.model()


def sparse():
    model = ending("Relu")()
    model.graph.sparse_initializer.add()
    return model


W = np.ones((4, 4), np.float32)
REFUSED = [
    (ending("Conv", W), "node 'n2' (Conv) is no operator of a dense network"),
    (ending("LayerNormalization", W[0]), "node 'n2' (LayerNormalization) is no operator"),
    (ending("Expand", np.array([1 << 40, 4])), "node 'n2' (Expand) is no operator"),
    (ending("LSTM", W, W), "node 'n2' (LSTM) is no operator"),
    (ending("ThresholdedRelu", alpha=2.0), "node 'n2' (ThresholdedRelu) is no operator"),
    (ending("Sin"), "node 'n2' (Sin): what it makes of the steps before it is no activation"),
    (residual, "(Add): what it makes of the steps before it is no activation of nncore"),
    (attention, "(Transpose) turns the axes [1, 0] of (n, 6), expected them in order"),
    (branch, "node 'n2' (If) holds a graph of its own"),
    (lambda: branch("Loop"), "node 'n2' (Loop) holds a graph of its own"),
    (function, "node 'n2' (Twice) is a function of the model's own"),
    (ending("Fused", W, domain="com.microsoft"), "(Fused) is of the domain 'com.microsoft'"),
    (ending("QuantizeLinear", np.float32(1)), "(QuantizeLinear) is of a quantised network"),
    (ending("MatMulInteger", W), "(MatMulInteger) is of a quantised network"),
    (ending("QLinearMatMul", W), "(QLinearMatMul) is of a quantised network"),
    (two_inputs, "the model's inputs are 'x', 'y', expected exactly one"),
    (two_heads, "the outputs 'v1', 'v2' are several heads, expected one"),
    (labels_of_another_head, "are several heads, expected one"),
    (constant_output, "the output 'v2' does not depend on the input"),
    (lambda: Graph().model(), "the model's inputs are none that is used"),
    (ending("Identity", opset=6), "the model is of opset 6, expected at least 7"),
    (sequence_input, "the model's input is no tensor"),
    (text_input, "the model's input is text"),
    (sparse, "the model has sparse tensors"),
    (ending("BatchNormalization", *[W[0]] * 4, training_mode=1), "is in training mode"),
    (ending("BatchNormalization", *[-W[0]] * 4), "has a variance below 0"),
    (ending("BatchNormalization", W[0]), "has no constant scale, bias, mean and variance"),
    (ending("Dropout", np.float32(0.5), np.array(True)), "is in training mode"),
    (ending("Softmax", axis=0), "works along axis 0 of (n, 4), expected the features"),
    (ending("ArgMax"), "works along axis 0"),
    (ending("Softmax", axis=2), "has axis 2, expected one of (n, 4)"),
    (softmax_in_the_middle, "(Softmax): softmax stands before the end"),
    (ending("Gemm", W, transA=1), "transposes the samples (transA)"),
    (ending("Reshape", np.array([2, -1, 4])), "turns (n, 4) into (2, -1, 4)"),
    (ending("Reshape", np.array([-1, 2])), "turns (n, 4) into (-1, 2)"),
    (ending("Flatten", axis=0), "keeps more than the samples"),
    (ending("Concat", W, axis=1), "joins several inputs"),
    (ending("PRelu", np.arange(4, dtype="f4")), "a constant that differs between features"),
    (ending("Normalizer", domain="ai.onnx.ml", norm="L2"), "normalises each sample"),
    (several_logistic, "(Normalizer) normalises each sample"),
    (ending("Binarizer", domain="ai.onnx.ml", treshold=2.0), "has the attribute 'treshold'"),
    (ending("LeakyRelu", alpha=2), "has an attribute alpha of another type, expected a number"),
    (ending("Selu", gamma=2.0), "has alpha 1.6732632423543772 and gamma 2.0"),
    (ending("Gelu", approximate="fast", opset=20), "has approximate 'fast', expected none or tanh"),
    (ending("Cast", to=onnx.TensorProto.INT32), "rounds the samples to whole numbers"),
    (ending("MatMul", W.astype(np.int32)), "the weights have dtype int32"),
    (ending("MatMul", np.ones((3, 4), "f4")), "takes 3 features, expected 4"),
    (ending("MatMul", np.ones(4, "f4")), "has weights of shape (4,), expected two axes"),
    (ending("Add", np.ones((2, 4), "f4")), "has a constant of shape (2, 4), expected a number"),
    (ending("Add", np.ones(3, "f4")), "has a constant of shape (3,)"),
    (ending("Div", np.float32([1, 2, 0, 4])), "divides by 0"),
    (ending("Sub", np.uint8([1, 2, 0, 4])), "has a constant of dtype uint8, expected floating"),
    (ending("Add", np.ones((1, 1, 4), "f4")), "has a constant of shape (1, 1, 4)"),
    (ending("Clip", np.float32(np.nan)), "has the bound NaN"),
    (ending("Clip", W), "has a bound that is not constant, expected one number"),
    (ending("Gather", np.array([0, 1]), axis=1), "chooses among features"),
    (ending("Celu", alpha=0.0), "has alpha 0.0, expected a number above 0"),
    (ending("Celu", alpha=-0.5), "has alpha -0.5, expected a number above 0"),
    (one_column, "takes the highest of one score, expected several"),
    (ending("Relu", W, "missing"), "takes 'missing', which nothing before it gives"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "text"), REFUSED, ids=[text[-40:] for _, text in REFUSED])
def test_refused_by_name(make, text):
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        nncore.from_onnx(make())
    assert len(str(caught.value)) < 600


def test_a_file_is_named(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(residual(), path)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: node 'n5' \\(Add\\)"):
        nncore.load(path)
    onnx.save(ending("Relu")(), path)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: names its activations itself"):
        nncore.load(path, activations=["relu"])


def test_other_things_than_models():
    with pytest.raises(TypeError, match="model is of type int, expected a path, bytes or"):
        nncore.from_onnx(3)
    with pytest.raises(ValueError, match="no output"):
        nncore.from_onnx(b"")
    with pytest.raises(FileNotFoundError):
        nncore.from_onnx("no such file.onnx")


def test_without_the_onnx_package(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    net = nncore.Network([nncore.Dense(2, 2)], seed=0)
    path = tmp_path / "net.onnx"
    path.write_bytes(b"\x08\x08:\x00")
    for call in (net.to_onnx, lambda: nncore.from_onnx(path), lambda: net.save(path)):
        with pytest.raises(
            ImportError, match=r"^ONNX files need the onnx package: pip install onnx$"
        ):
            call()
    assert path.read_bytes() == b"\x08\x08:\x00"


@pytest.mark.parametrize(
    "shape", [(-1, 6), (0, 6), (7, 6), (0, -1), (-1, 1, 6), (0, 3, 2), (0, 0, 2)]
)
def test_shapes_that_keep_the_samples_apart(shape):
    g = Graph(("n", 3, 2))
    g.then("Reshape", np.array(shape))
    g.then("Flatten")
    g.then("MatMul", g.weights(6, 1))
    g.then("Reshape", np.array([-1]))
    g.then("Unsqueeze", np.array([1]))
    assert nncore.from_onnx(g.model()).in_features == 6


# ---- hostile graphs


def chain(*ops, count):
    def make():
        g = Graph()
        g.dense(6, 4)
        for op in itertools.islice(itertools.cycle(ops), count):
            if op == "Silu":
                x = g.last
                g.add("Mul", x, g.add("Sigmoid", x))
            else:
                g.then(op)
        return g.model()

    return make


def quickly(function, seconds=20.0):
    start = time.perf_counter()
    result = function()
    assert time.perf_counter() - start < seconds
    return result


@pytest.mark.parametrize(
    "ops", [("Relu",), ("Relu", "Neg"), ("Tanh", "Sigmoid"), ("Silu",), ("Identity",)], ids=str
)
def test_long_chains(ops):
    count = 3000 if ops == ("Silu",) else 9000
    net = quickly(lambda: nncore.from_onnx(chain(*ops, count=count)()))
    assert net.in_features == 6


def test_more_nodes_than_any_network():
    with pytest.raises(ValueError, match="the model has 12002 nodes, expected at most 10000"):
        quickly(lambda: nncore.from_onnx(chain("Relu", count=12000)()))


@pytest.mark.parametrize("op", ["Mul", "Add"])
def test_doubling(op):
    """Each node takes the one before it twice: 2^200 paths."""

    def make():
        g = Graph()
        x = g.dense(6, 4)
        for _ in range(200):
            x = g.add(op, x, x)
        return g.model()

    with pytest.raises(ValueError, match=r"is no activation of nncore|too large for float32"):
        quickly(lambda: nncore.from_onnx(make()))


def test_circles_missing_parts_and_twins():
    g = Graph()
    g.dense(6, 4)
    g.then("Relu")
    model = g.model()
    model.graph.node[0].input[0] = "v2"
    with pytest.raises(ValueError, match=r"takes 'v2', which nothing before it gives: .* circle"):
        nncore.from_onnx(_with_input_used(model))
    model = g.model()
    model.graph.node[2].output[0] = "v1"
    model.graph.output[0].name = "v1"
    with pytest.raises(ValueError, match="gives 'v1', which is there already"):
        nncore.from_onnx(model)
    model = g.model()
    model.graph.initializer.append(model.graph.initializer[0])
    with pytest.raises(ValueError, match="two tensors of one name"):
        nncore.from_onnx(model)
    model = g.model()
    model.graph.output[0].name = "nothing"
    with pytest.raises(ValueError, match="inputs are none that is used"):
        nncore.from_onnx(model)


def _with_input_used(model):
    """A model whose circle is all that it has takes no input: give it one."""
    model.graph.node.add(op_type="Add", input=["x", "v2"], output=["sum"])
    model.graph.output[0].name = "sum"
    return model


def amplifying(kind):
    g = Graph()
    if kind == "activations":
        g.then("MatMul", g.weights(6, 4096))
        for _ in range(500):
            g.then("Relu")
            g.then("Tanh")
    elif kind == "one tensor again and again":
        w = g.tensor(g.weights(300, 300))
        g.then("MatMul", g.weights(6, 300))
        for _ in range(3000):
            g.then("MatMul", w)
    elif kind == "casts":
        w = g.tensor(g.weights(300, 300))
        for _ in range(3000):
            w = g.add("Cast", w, to=onnx.TensorProto.DOUBLE)
        g.add("MatMul", "x", w)
    elif kind == "gather":
        w = g.weights(1, 100000)
        for _ in range(3):
            w = g.add("Gather", w, np.zeros(1000, np.int64), axis=0)
        g.add("MatMul", "x", w)
    elif kind == "input":
        g = Graph(("n", 1 << 40, 1000))
        g.then("Mul", g.weights(1000))
    return g.model()


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("activations", "nor could many steps before it"),
        ("one tensor again and again", "expected at most"),
        ("casts", "expected at most"),
        ("gather", "expected at most"),
        ("input", "expected at most"),
    ],
)
def test_small_models_that_would_be_large(kind, text):
    with pytest.raises(ValueError, match=text):
        quickly(lambda: nncore.from_onnx(amplifying(kind)))


# ---- hostile tensors


def tensor_case(change):
    model = ending("Relu")()
    change(model.graph.initializer[0])
    return model


def dims(*sizes):
    def change(tensor):
        tensor.dims[:] = sizes

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (dims(6, 5), "the tensor 't0' holds 96 bytes, expected 120, as its shape (6, 5) says"),
        (dims(1 << 40, 1 << 40), "holds 96 bytes, expected"),
        (dims(-6, -4), "has shape (-6, -4), expected at most 16 sizes of at least 0"),
        (dims(*[1] * 200000), "expected at most 16 sizes"),
        (lambda t: setattr(t, "data_type", 99), "is of type 99"),
        (lambda t: setattr(t, "data_type", 14), "is of type COMPLEX64"),
        (lambda t: setattr(t, "data_type", 22), "is of type INT4"),
        (lambda t: t.ClearField("raw_data"), "holds 0 elements, expected 24"),
        (lambda t: setattr(t.segment, "end", 3), "is a segment of a tensor"),
    ],
)
def test_tensors_that_lie(change, text):
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        nncore.from_onnx(tensor_case(change))
    assert len(str(caught.value)) < 600


def outside(tmp_path, location, offset="0", length="96"):
    """A model whose first tensor lies in another file."""
    folder = tmp_path / "models"
    folder.mkdir(exist_ok=True)
    model = ending("Relu")()
    tensor = model.graph.initializer[0]
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = tensor.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            tensor.external_data.add(key=key, value=value)
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    for place in (folder / "weights", tmp_path / "secret"):
        place.write_bytes(b"\0" * 8 + data)
    return folder / "net.onnx"


def test_numbers_beside_the_file(tmp_path):
    wanted = nncore.from_onnx(ending("Relu")())
    for length in ("96", None):
        net = nncore.load(outside(tmp_path, "weights", "8", length))
        np.testing.assert_array_equal(net.layers[0].weights, wanted.layers[0].weights)
    os.symlink("weights", tmp_path / "models" / "link")
    nncore.load(outside(tmp_path, "link", "8"))


@pytest.mark.parametrize(
    ("location", "offset", "length", "text"),
    [
        ("../secret", "0", "96", "expected a file in the model's own folder, named without a path"),
        ("/etc/passwd", "0", "96", "expected a file in the model's own folder"),
        ("..", "0", "96", "expected a file in the model's own folder"),
        (".", "0", "96", "expected a file in the model's own folder"),
        ("", "0", "96", "expected a file in the model's own folder"),
        (None, "0", "96", "expected a file in the model's own folder"),
        ("sub/weights", "0", "96", "expected a file in the model's own folder"),
        ("..\\secret", "0", "96", "expected a file in the model's own folder"),
        ("C:secret", "0", "96", "expected a file in the model's own folder"),
        ("weights\0", "0", "96", "expected a file in the model's own folder"),
        ("link out", "0", "96", "expected a file in the model's own folder"),
        ("weights", "9", "96", "takes 96 bytes at 9 of 'weights', which has 104 bytes"),
        ("weights", "1" + "0" * 17, "96", "takes 96 bytes at 1000"),
        ("weights", "-8", "96", "offset is '-8', expected a whole number"),
        ("weights", "9" * 5000, "96", "offset is '9999"),
        ("weights", "8", "97", "declares 97 bytes, expected 96"),
        ("folder", "0", "96", "directory"),
        ("pipe", "0", "96", "is not a regular file"),
        ("missing", "0", "96", "No such file"),
    ],
)
def test_numbers_elsewhere(tmp_path, location, offset, length, text):
    path = outside(tmp_path, location, offset, length)
    os.symlink("../secret", path.parent / "link out")
    (path.parent / "folder").mkdir()
    os.mkfifo(path.parent / "pipe")
    with pytest.raises((ValueError, OSError), match=re.escape(text)) as caught:
        quickly(lambda: nncore.load(path), 5)
    assert len(str(caught.value)) < 600
    if isinstance(caught.value, ValueError):
        assert str(caught.value).startswith(f"{path}: ")


def test_numbers_elsewhere_of_a_model_in_memory(tmp_path):
    path = outside(tmp_path, "weights", "8")
    model = onnx.load(path, load_external_data=False)
    for source in (model, path.read_bytes()):
        with pytest.raises(ValueError, match=r"lies in the file 'weights', .* give the path"):
            nncore.from_onnx(source)


def test_numbers_that_overlap(tmp_path):
    path = outside(tmp_path, "weights", "8")
    model = onnx.load(path, load_external_data=False)
    first = model.graph.initializer[0]
    for i in range(50):
        twin = model.graph.initializer.add()
        twin.CopyFrom(first)
        twin.name = f"twin{i}"
        twin.dims[:] = (4, 6) if i % 2 == 0 else (6, 4)
        previous = model.graph.node[-1].output[0]
        model.graph.node.add(op_type="MatMul", input=[previous, twin.name], output=[f"w{i}"])
    model.graph.output[0].name = "w49"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="8 of them not yet taken"):
        nncore.load(path)


# ---- hostile bytes


def error_of(data):
    """What reading some bytes ends in: ValueError, or a network."""
    try:
        nncore.from_onnx(data)
    except ValueError as error:
        return str(error)
    return ""


def test_every_truncation(tmp_path):
    data = tensorflow().SerializeToString()
    path = tmp_path / "net.onnx"
    read = [length for length in range(len(data)) if not error_of(data[:length])]
    # The opset of ai.onnx.ml, which stands at the end and is not used, may be missing.
    assert len(read) <= 1
    assert all(length > len(data) - 20 for length in read)
    for length in (1, 2, 30, len(data) // 2):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: "):
            nncore.load(path)


@pytest.mark.parametrize("name", ["tf2onnx", "computed weights", "activations by parts"])
def test_changed_bytes(name):
    data = bytearray(HAND[name][0]().SerializeToString())
    rng = np.random.default_rng(0)
    for _ in range(400):
        changed = bytearray(data)
        for place in rng.integers(0, len(data), int(rng.integers(1, 4))):
            changed[place] = rng.integers(0, 256)
        error = quickly(lambda changed=changed: error_of(bytes(changed)), 10)
        assert len(error) < 1000, error


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x3a\x80\x80\x80\x01" + b"\x0a\x00" * (1 << 20), "more than 500000 messages"),
        (b"\x3a\xff\xff\xff\xff\x0f", "is cut short"),
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "is not protobuf"),
        (b"\x0b\x08", "is not protobuf"),
        (b"text, not a model", "is no whole ONNX model"),
    ],
)
def test_bytes_that_are_no_model(data, text):
    with pytest.raises(ValueError, match=text):
        quickly(lambda: nncore.from_onnx(data), 10)


def test_deep_nesting():
    data = b""
    for _ in range(200):  # a graph of a node of an attribute of a graph ...
        data = b"\x32" + _length(data) + data
        data = b"\x2a" + _length(data) + data
        data = b"\x0a" + _length(data) + data
    with pytest.raises(ValueError, match="more than 32 deep"):
        nncore.from_onnx(b"\x3a" + _length(data) + data)


def _length(data):
    size, out = len(data), b""
    while True:
        size, low = size >> 7, size & 127
        out += bytes([low | (128 if size else 0)])
        if not size:
            return out


@pytest.mark.parametrize(
    "text", ["[", "3", "[[1]]", "{}", '["a", 1]', "[" * 100000, '["a", "a", "b", "c"]', '["a"]']
)
def test_names_of_classes_that_are_none(text):
    model = ending("Softmax")()
    helper.set_model_props(model, {"nncore.classes": text})
    with pytest.raises(ValueError, match="class"):
        nncore.from_onnx(model)


def test_files_are_known_by_their_beginning():
    from nncore.formats import FORMATS

    (row,) = [row for row in FORMATS if row.name == "onnx"]
    models = [make() for make, *_ in HAND.values()]
    model = models[0]
    proto = onnx.ModelProto()
    for field in ("producer_name", "opset_import", "graph", "ir_version"):
        proto.CopyFrom(model)
        proto.ClearField("ir_version")
        if field != "producer_name":
            proto.ClearField("producer_name")
        first = onnx.ModelProto()
        first.MergeFrom(proto)
        for name in ("producer_name", "opset_import", "graph", "ir_version"):
            if name != field:
                first.ClearField(name)
        beginning = first.SerializeToString() or model.SerializeToString()
        assert re.match(row.begins, beginning[:64]), field
    for other in (
        b"PK\x03\x04", b"\x80\x04\x95", b"\x93NUMPY", b"\x89HDF\r\n", b"weights: 1 2 3",
        b"\x08\x01\x12\x00\x00\x00\x00\x00{", b'{"a": 1}', b"(dp0\n", b"# text",
    ):  # fmt: skip
        assert not re.match(row.begins, other), other
