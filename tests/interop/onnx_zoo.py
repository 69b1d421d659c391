"""ONNX models of many kinds, made by the real exporters or as these write them."""

from __future__ import annotations

import functools
import itertools
import os
import warnings
from typing import NamedTuple

import numpy as np
import pytest

import nncore

os.environ.setdefault("KERAS_BACKEND", "torch")  # it takes TensorFlow otherwise
onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT, DOUBLE = onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE
UNITS = {"float16": 2.0**-11, "float32": 2.0**-24, "float64": 2.0**-53}


class Model(NamedTuple):
    """A model, how to make inputs of it, and what to allow."""

    path: str
    shape: tuple[int, ...]  # of one sample
    unit: float = UNITS["float32"]
    folded: float = 0.0
    dtype: str = "float32"
    labels: str | None = None  # the output with the labels
    scores: str | None = None  # the output with the scores; None: the first


def silently(function):
    """The exporters' own warnings, of which there are many, are not ours."""

    @functools.wraps(function)
    def quiet(*args):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*args)

    return quiet


# ---- PyTorch


def torch_networks():
    """Networks of PyTorch by name: function that makes one, shape of a sample, folded."""
    from torch import nn

    def mlp(*sizes, act=nn.ReLU, bias=True):
        layers = []
        for k, m in itertools.pairwise(sizes):
            layers += [nn.Linear(k, m, bias=bias), act()]
        return nn.Sequential(*layers[:-1])

    def norms():
        return nn.Sequential(
            nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 9), nn.BatchNorm1d(9), nn.ReLU(),
            nn.Dropout(0.5), nn.Linear(9, 7, bias=False), nn.Tanh(), nn.BatchNorm1d(7),
            nn.Linear(7, 5), nn.Identity(), nn.Softmax(dim=1),
        )  # fmt: skip

    activations = [
        nn.SiLU, nn.Softplus, lambda: nn.Softplus(beta=2.0), nn.GELU,
        lambda: nn.GELU(approximate="tanh"), nn.Hardswish, nn.Hardsigmoid, nn.Mish, nn.ReLU6,
        nn.Hardtanh, lambda: nn.ELU(0.5), nn.SELU, lambda: nn.CELU(0.7),
        lambda: nn.LeakyReLU(0.2), nn.PReLU, nn.Softsign, nn.LogSigmoid, nn.Sigmoid, nn.Tanh,
    ]  # fmt: skip

    def some(start):
        layers = [nn.Flatten()]
        for act in activations[start::4]:
            layers += [nn.Linear(11, 11, bias=len(layers) % 3 > 0), act()]
        return nn.Sequential(*layers, nn.Linear(11, 4), nn.LogSoftmax(dim=-1))

    return {
        "one layer": (lambda: nn.Linear(13, 1), (13,), 0.0),
        "one layer without bias": (lambda: nn.Linear(5, 3, bias=False), (5,), 0.0),
        "odd sizes": (lambda: mlp(17, 1, 31, 2), (17,), 0.0),
        "no biases": (lambda: mlp(6, 37, 5, act=nn.GELU, bias=False), (6,), 0.0),
        "ten layers": (lambda: mlp(7, *[23] * 9, 3, act=nn.Tanh), (7,), 0.0),
        "images": (lambda: nn.Sequential(nn.Flatten(), mlp(784, 50, 10)), (1, 28, 28), 0.0),
        "batch normalisation": (norms, (3, 4), 30.0),
        **{
            f"activations {i}": (functools.partial(some, i), (11,), 4.0) for i in range(4)
        },
        "mish and silu": (lambda: nn.Sequential(
            mlp(9, 33, 8, act=nn.Mish), nn.SiLU(), nn.Linear(8, 2)), (9,), 0.0),
        "unflattened": (lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(6, 8), nn.Unflatten(1, (2, 4)), nn.Flatten(), nn.Linear(8, 2)
        ), (2, 3), 0.0),
    }  # fmt: skip


def torch_model(name, folder, dynamo, dtype="float32"):
    import torch

    torch.manual_seed(len(name))
    make, shape, folded = torch_networks()[name]
    net = make().to(getattr(torch, dtype))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(-2, 2)
            module.bias.data.uniform_(-1, 1)
    net.eval()
    path = os.path.join(folder, f"{name}.onnx")
    x = torch.zeros(3, *shape, dtype=getattr(torch, dtype))
    if dynamo:
        batch = ({0: torch.export.Dim("n")},)
        torch.onnx.export(net, (x,), path, dynamo=True, dynamic_shapes=batch, verbose=False)
    else:
        names = {"input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}}
        torch.onnx.export(net, (x,), path, dynamo=False, **names)
    return Model(path, shape, UNITS[dtype], folded, dtype)


# ---- Keras


def keras_model(name, folder):
    import keras
    from keras import layers as L

    if keras.config.backend() != "torch":
        pytest.skip("Keras exports without TensorFlow with its torch backend only")
    keras.utils.set_random_seed(len(name))

    def dense(*activations, size=6):
        return [L.Dense(size, a, bias_initializer="normal") for a in activations]

    rng = np.random.default_rng(4)
    scaler = L.Normalization(mean=rng.standard_normal(7), variance=rng.uniform(0.5, 2, 7))
    shape, layers, folded = {
        "keras digits": (
            (8, 8), [L.Rescaling(1 / 255), L.Flatten(), *dense("relu", "softmax")], 0.0
        ),
        "keras activations": (
            (5,),
            dense("leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "hard_sigmoid", size=7)
            + dense("log_softmax", size=3),
            0.0,
        ),
        "more keras activations": (
            (5,),
            dense("hard_silu", "mish", "relu6", "softsign", "tanh", "log_sigmoid", "celu",
                  "sigmoid", size=7) + dense("softmax", size=3),
            0.0,
        ),
        "keras layers": (
            (7,),
            [scaler, *dense("linear"), L.LeakyReLU(negative_slope=0.3), *dense("linear"), L.ELU(),
             *dense("linear"), L.ReLU(max_value=4.0), L.Dropout(0.3), *dense("linear"), L.PReLU(),
             L.Dense(2, use_bias=False), L.Activation("tanh")],
            0.0,
        ),
        "keras batch normalisation": (
            (4, 3),
            [L.Rescaling(1 / 127.5, offset=-1), L.Flatten(), L.BatchNormalization(),
             *dense("linear"), L.BatchNormalization(), L.ReLU(), *dense("softmax", size=5)],
            30.0,
        ),
        "keras one layer": ((13,), [L.Dense(1)], 0.0),
    }[name]  # fmt: skip
    net = keras.Sequential([keras.Input(shape), *layers])
    net(np.zeros((2, *shape), np.float32))
    for layer in net.layers:
        if isinstance(layer, L.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
    path = os.path.join(folder, f"{name}.onnx")
    net.export(path, format="onnx", verbose=False)
    return Model(path, shape, folded=folded)


KERAS = (
    "keras digits", "keras activations", "more keras activations", "keras layers",
    "keras batch normalisation", "keras one layer",
)  # fmt: skip


# ---- scikit-learn


def sklearn_model(name, folder):
    from skl2onnx import to_onnx
    from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron, Ridge
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Binarizer, MaxAbsScaler, MinMaxScaler, StandardScaler

    rng = np.random.default_rng(5)
    x = (rng.standard_normal((90, 5)) * [1, 2, 3, 4, 5] + 3).astype(np.float32)
    sums = x @ [1.0, -1.0, 0.5, 0.2, -0.3]
    number = np.digitize(sums, np.quantile(sums, [0.3, 0.6]))
    text = np.array(["ant", "bee", "cat"])[number]
    several = np.stack([sums > 0, x[:, 0] > 2, x[:, 1] > 3], axis=1).astype(int)
    quick = {"hidden_layer_sizes": (7, 4), "max_iter": 8, "random_state": 0}
    model, y, options = {
        "multiclass": (MLPClassifier(**quick), text, {}),
        "multiclass of numbers": (MLPClassifier(activation="tanh", **quick), number, {}),
        "multiclass without ZipMap": (MLPClassifier(**quick), text, {"zipmap": False}),
        "binary": (MLPClassifier(**quick), text == "ant", {}),
        "binary of text": (
            MLPClassifier(activation="logistic", **quick), np.where(sums > 1, "up", "down"), {},
        ),
        "multilabel": (MLPClassifier(**quick), several, {}),
        "in double": (MLPClassifier(**quick), text, {"zipmap": False}),
        "regressor": (MLPRegressor(**quick), sums, {}),
        "scaled classifier": (make_pipeline(StandardScaler(), MLPClassifier(**quick)), text, {}),
        "scaled regressor": (make_pipeline(MinMaxScaler(), MLPRegressor(**quick)), sums, {}),
        "clipped regressor": (
            make_pipeline(MinMaxScaler(clip=True), MLPRegressor(**quick)), sums, {},
        ),
        "binarized regressor": (
            make_pipeline(Binarizer(threshold=1.5), MLPRegressor(**quick)), sums, {},
        ),
        "logistic": (make_pipeline(StandardScaler(), LogisticRegression()), text, {}),
        "binary logistic": (make_pipeline(MinMaxScaler(), LogisticRegression()), several[:, 0], {}),
        "bare binary logistic": (LogisticRegression(), np.where(sums > 1, "up", "down"), {}),
        "linear": (LinearRegression(), sums, {}),
        "ridge": (make_pipeline(MaxAbsScaler(), Ridge()), sums, {}),
        "ridge of two": (Ridge(), np.stack([sums, -2 * sums], axis=1), {}),
        "perceptron": (Perceptron(), number > 0, {}),
    }[name]  # fmt: skip
    dtype = "float64" if name == "in double" else "float32"
    model.fit(x.astype(dtype), y)
    final = model[-1] if hasattr(model, "steps") else model
    proto = to_onnx(model, x[:1].astype(dtype), options={id(final): options} if options else None)
    path = os.path.join(folder, f"{name}.onnx")
    onnx.save(proto, path)
    names = [output.name for output in proto.graph.output]
    labels, scores = (names[0], names[1]) if len(names) > 1 else (None, None)
    return Model(path, (5,), UNITS[dtype], 0.0, dtype, labels, scores)


SKLEARN = (
    "multiclass", "multiclass of numbers", "multiclass without ZipMap", "binary", "binary of text",
    "multilabel", "in double", "regressor", "scaled classifier", "scaled regressor",
    "clipped regressor", "binarized regressor", "logistic", "binary logistic",
    "bare binary logistic", "linear", "ridge", "ridge of two", "perceptron",
)  # fmt: skip


# ---- by hand


class Graph:
    """Writes a graph node by node."""

    def __init__(self, shape=("n", 6), opset=17, elem=FLOAT):
        self.nodes, self.tensors, self.outputs, self.shape = [], [], [], shape
        self.opset, self.elem, self.last = opset, elem, "x"
        self.rng = np.random.default_rng(9)

    def add(self, op, *inputs, domain="", **attributes):
        """Append a node; arrays become tensors. The first input is the last output unless given."""
        names = [self.tensor(i) if isinstance(i, (np.ndarray, np.generic)) else i for i in inputs]
        self.last = f"v{len(self.nodes)}"
        node = helper.make_node(op, names, [self.last], f"n{len(self.nodes)}", domain=domain,
                                **attributes)  # fmt: skip
        self.nodes.append(node)
        return self.last

    def then(self, op, *inputs, **attributes):
        return self.add(op, self.last, *inputs, **attributes)

    def tensor(self, array):
        name = f"t{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def weights(self, *shape):
        return (0.4 * self.rng.standard_normal(shape)).astype(np.float32)

    def dense(self, k, m):
        self.then("MatMul", self.weights(k, m))
        return self.then("Add", self.weights(m))

    def model(self, *outputs, ml=3, elem=None):
        elem = elem or self.elem
        shown = [helper.make_tensor_value_info(o, elem, None) for o in outputs or [self.last]]
        graph = helper.make_graph(
            self.nodes, "g", [helper.make_tensor_value_info("x", self.elem, self.shape)], shown,
            self.tensors,
        )  # fmt: skip
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("ai.onnx.ml", ml)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def tensorflow():
    """As tf2onnx writes Keras' Rescaling, Flatten, gelu, swish and BatchNormalization."""
    g = Graph(("unk__1", 3, 2))
    g.then("Mul", np.float32(1 / 255))
    g.then("Add", np.float32(-0.5))
    g.then("Reshape", np.array([-1, 6]))
    x = g.dense(6, 9)
    erf = g.add("Erf", g.add("Mul", x, np.float32(0.70710677)))
    half = g.add("Mul", g.add("Add", erf, np.float32(1)), np.float32(0.5))
    g.add("Mul", half, x)
    g.dense(9, 5)
    g.then("Mul", g.weights(5))
    g.then("Add", g.weights(5))
    x = g.then("Relu")
    x = g.dense(5, 7)
    g.add("Mul", g.add("Sigmoid", x), x)
    g.dense(7, 3)
    g.then("Softmax", axis=-1)
    g.then("Identity")
    return g.model()


def gelu_tanh():
    g = Graph()
    x = g.dense(6, 8)
    cube = g.add("Pow", x, np.float32(3))
    inner = g.add("Add", x, g.add("Mul", cube, np.float32(0.044715)))
    t = g.add("Tanh", g.add("Mul", inner, np.float32(np.sqrt(2 / np.pi))))
    g.add("Mul", g.add("Mul", x, np.float32(0.5)), g.add("Add", t, np.float32(1)))
    g.dense(8, 3)
    return g.model()


def by_parts():
    """Activations taken apart in other ways."""
    g = Graph()
    x = g.dense(6, 7)
    g.add("Max", x, g.add("Mul", x, np.float32(0.2)))  # leaky_relu
    x = g.dense(7, 7)
    below = g.add("Mul", g.add("Sub", g.add("Exp", x), np.float32(1)), np.float32(0.7))
    g.add("Where", g.add("Greater", x, np.float32(0)), x, below)  # elu
    g.dense(7, 7)
    g.then("Neg")
    g.then("Exp")
    g.then("Add", np.float32(1))
    g.add("Div", np.float32(1), g.last)  # sigmoid
    g.dense(7, 7)
    g.then("Add", np.float32(3))
    g.then("Clip", np.float32(0), np.float32(6))
    g.then("Div", np.float32(6))  # hard_sigmoid
    return g.model()


def by_other_parts():
    g = Graph()
    x = g.dense(6, 7)
    three = g.add("Add", x, np.float32(3))
    g.add("Div", g.add("Mul", x, g.add("Min", g.add("Relu", three), np.float32(6))), np.float32(6))
    x = g.dense(7, 7)  # after hard_swish
    g.add("Div", x, g.add("Add", g.add("Abs", x), np.float32(1)))  # softsign
    x = g.dense(7, 7)
    g.add("Mul", x, g.add("Tanh", g.add("Log", g.add("Add", g.add("Exp", x), np.float32(1)))))
    x = g.dense(7, 7)  # after mish
    g.add("Mul", x, g.add("Sigmoid", g.add("Mul", x, np.float32(1.702))))
    x = g.dense(7, 7)  # after silu, steeper
    g.add("Cast", g.add("Less", np.float32(0.25), x), to=FLOAT)  # step
    g.dense(7, 4)
    g.then("Softmax")
    g.then("Log")
    return g.model()


def steps():
    """Bounds on one side, activations in a row, one after another without weights."""
    g = Graph()
    g.dense(6, 5)
    g.then("Max", np.float32(-0.5))
    g.then("Tanh")
    g.dense(5, 5)
    g.then("Clip", "", np.float32(0.75))
    g.then("Elu", alpha=0.5)
    g.then("HardSigmoid", alpha=0.3, beta=0.4)
    g.dense(5, 4)
    g.then("LeakyRelu", alpha=0.0)
    g.then("Sigmoid")
    g.then("Softmax", axis=1)
    return g.model()


def gemms():
    """Every kind of Gemm."""
    g = Graph()
    g.then("Gemm", g.weights(6, 5), g.weights(5))
    g.then("Gemm", g.weights(4, 5), g.weights(1, 4), transB=1, alpha=0.5, beta=2.0)
    g.then("Gemm", g.weights(4, 3), alpha=-1.5)
    g.then("Gemm", g.weights(3, 3), g.weights(1), beta=0.25)
    g.then("Gemm", g.weights(3, 3), np.float32(0.5), beta=0.0)
    g.then("Gemm", g.weights(3, 2), g.weights(2), transA=0)
    return g.model()


def folded():
    """Weights that are computed: transposed, cast, put together."""
    g = Graph()
    w = g.add("Transpose", g.weights(5, 6), perm=[1, 0])
    g.add("MatMul", "x", w)
    bias = g.add("Concat", g.weights(2), g.weights(3), axis=0)
    g.add("Add", bias, g.nodes[1].output[0])
    flow = g.then("Tanh")
    w = g.add("Cast", g.weights(5, 4).astype(np.float16), to=FLOAT)
    w = g.add("Reshape", w, np.array([2, 10]))
    w = g.add("Reshape", w, np.array([5, 4]))
    g.add("MatMul", flow, w)
    flow = g.then("Dropout")
    w = g.add("Div", g.weights(4, 2), np.float32(3))
    g.add("MatMul", flow, w)
    return g.model()


def keras_flatten():
    """Shape, Gather and Concat, and axes that come and go."""
    g = Graph(("batch", 3, 2))
    g.then("Shape")
    first = g.then("Gather", np.array(0), axis=0)
    first = g.add("Unsqueeze", first, np.array([0]))
    shape = g.add("Concat", first, np.array([-1]), axis=0)
    g.add("Reshape", "x", shape)
    g.then("Unsqueeze", np.array([1]))
    g.then("MatMul", g.weights(6, 4))
    g.then("Transpose", perm=[0, 2, 1])
    g.then("Squeeze", np.array([-1]))
    g.then("Flatten")
    g.then("Softmax")
    return g.model()


def bfloat16():
    g = Graph()
    for k, m in ((6, 9), (9, 3)):
        bits = (g.weights(k, m).view(np.uint32) >> 16).astype(np.uint16)
        name = f"t{len(g.tensors)}"
        tensor = helper.make_tensor(name, onnx.TensorProto.BFLOAT16, (k, m), bits.tobytes(), True)
        flow = g.last
        g.tensors.append(tensor)
        g.add("MatMul", flow, g.add("Cast", name, to=FLOAT))
    return g.model()


def float16():
    g = Graph()
    for k, m in ((6, 9), (9, 3)):
        weights, bias = g.weights(k, m).astype(np.float16), g.weights(m).astype(np.float16)
        flow = g.last
        w, b = g.add("Cast", weights, to=FLOAT), g.add("Cast", bias, to=FLOAT)
        g.add("Gemm", flow, w, b)
    return g.model()


def typed_fields():
    """Numbers in float_data instead of raw_data, and Constant nodes of every form."""
    g = Graph()
    w = g.weights(6, 3)
    g.tensors.append(helper.make_tensor("w", FLOAT, w.shape, w.ravel().tolist()))
    g.add("MatMul", "x", "w")
    flow = g.last
    one = g.add("Constant", value_floats=[0.5, 0.25, 2.0])
    g.add("Mul", flow, one)
    flow = g.last
    two = g.add("Constant", value_float=0.125)
    g.add("Sub", flow, two)
    return g.model()


def old_opset():
    """Opset 9: softmax along axis 1, Clip and Squeeze by attributes."""
    g = Graph(("n", 1, 6), opset=9)
    g.then("Squeeze", axes=[1])
    g.then("MatMul", g.weights(6, 5))
    g.then("Clip", min=-0.5, max=1.5)
    g.then("Gemm", g.weights(5, 4), g.weights(4))
    g.then("Softmax")
    return g.model()


def prelu():
    g = Graph()
    g.dense(6, 5)
    g.then("PRelu", np.float32([0.3]))
    g.dense(5, 5)
    g.then("PRelu", np.full((1, 5), 0.1, np.float32))
    g.dense(5, 2)
    return g.model()


def labels_alone():
    """Only the number of the highest score."""
    g = Graph()
    g.dense(6, 9)
    g.then("Relu")
    g.dense(9, 5)
    g.then("ArgMax", axis=-1, keepdims=0)
    return g.model(elem=onnx.TensorProto.INT64)


HAND = {
    "tf2onnx": (tensorflow, (3, 2), 20.0),
    "gelu by tanh": (gelu_tanh, (6,), 0.0),
    "activations by parts": (by_parts, (6,), 1.0),
    "activations by other parts": (by_other_parts, (6,), 1.0),
    "activations in a row": (steps, (6,), 0.0),
    "every Gemm": (gemms, (6,), 4.0),
    "computed weights": (folded, (6,), 0.0),
    "flatten by shape": (keras_flatten, (3, 2), 0.0),
    "bfloat16 weights": (bfloat16, (6,), 0.0),
    "float16 weights": (float16, (6,), 0.0),
    "numbers in fields": (typed_fields, (6,), 4.0),
    "opset 9": (old_opset, (1, 6), 0.0),
    "prelu": (prelu, (6,), 0.0),
}


@silently
def made(kind, name, folder):
    """The model of that name, written into a folder."""
    if kind == "hand":
        make, shape, extra = HAND[name]
        path = os.path.join(folder, f"{name}.onnx")
        onnx.save(make(), path)
        return Model(path, shape, folded=extra)
    if kind == "keras":
        return keras_model(name, folder)
    if kind == "skl2onnx":
        return sklearn_model(name, folder)
    dtype = "float32" if kind in ("legacy", "dynamo") else kind.split()[1]
    return torch_model(name, folder, kind.startswith("dynamo"), dtype)


TORCH = (
    "one layer", "one layer without bias", "odd sizes", "no biases", "ten layers", "images",
    "batch normalisation", "mish and silu", "unflattened",
    *(f"activations {i}" for i in range(4)),
)  # fmt: skip
ZOO = [
    *(("legacy", name) for name in TORCH if name != "unflattened"),  # with Mod of the batch size
    *(("dynamo", name) for name in TORCH),
    ("legacy float64", "ten layers"),
    ("dynamo float64", "odd sizes"),
    ("legacy float16", "no biases"),
    ("dynamo float16", "one layer"),
    *(("keras", name) for name in KERAS),
    *(("skl2onnx", name) for name in SKLEARN),
    *(("hand", name) for name in HAND),
]


def random_network(activation, dtype, front=None, seed=0, **parameters):
    """A network of nncore with an activation everywhere, with and without bias."""
    rng = np.random.default_rng(seed)
    last = activation.endswith("softmax")
    middle = [] if last else [
        nncore.Dense(9, 5, activation, **parameters),
        nncore.Dense(5, 5, activation, bias=False, **parameters),
    ]  # fmt: skip
    net = nncore.Network(
        [*filter(None, [front]), nncore.Dense(7, 9, "tanh"), *middle,
         nncore.Dense(9 if last else 5, 3, activation, **parameters)],
        seed=seed, dtype=dtype,
    )  # fmt: skip
    for layer in net.layers:
        if isinstance(layer, nncore.Dense) and layer.use_bias:
            layer.bias = rng.standard_normal(layer.bias.shape)
    return net
