"""Keras models, live and from files, against Keras' own outputs; and what is refused by name."""

from __future__ import annotations

import json
import logging
import types

import numpy as np
import pytest

import nncore

from . import keras_zoo
from .keras_zoo import PRECISION, ZOO, L, keras, leaves, make, outputs, samples, sequential
from .rounding import bound

# Keras' own, with NumPy 2 and where a config is asked for that holds a lambda.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The object being serialized includes:UserWarning"),
]

FOLDED = 8.0  # |beta| + |mean * scale| + |bias * scale| of what keras_zoo draws


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("absl").setLevel(logging.ERROR)  # .h5 is called a legacy format


def same(net, other):
    return repr(net) == repr(other) and all(
        a.weights.tobytes() == b.weights.tobytes()
        and (not a.use_bias or a.bias.tobytes() == b.bias.tobytes())
        if isinstance(a, nncore.Dense)
        else vars(a).keys() == vars(b).keys()
        and all(np.array_equal(value, vars(b)[key]) for key, value in vars(a).items())
        for a, b in zip(net.layers, other.layers, strict=True)
    )


@pytest.mark.parametrize("name", ZOO)
def test_the_zoo(name, tmp_path):
    model, rng = make(name)
    net = nncore.from_keras(model)
    x = samples(rng, model, name)
    wanted = outputs(model, x)
    has_statistics = any(isinstance(each, L.BatchNormalization) for each in leaves(model))
    exact, allowed = bound(net, x, PRECISION.get(name, 2.0**-24), FOLDED * has_statistics)
    assert (np.abs(net(x.reshape(len(x), -1)) - wanted) <= allowed).all()
    assert (np.abs(exact - wanted) <= allowed).all()
    if name not in PRECISION:
        assert allowed.max() <= 0.1 * max(1, np.abs(exact).max()), "a bound that says nothing"
        labels = net(x.reshape(len(x), -1)).argmax(axis=1)
        np.testing.assert_array_equal(labels, wanted.argmax(axis=1))
    model.save(tmp_path / "net.keras")
    model.save(tmp_path / "net.h5")
    for path in ("net.keras", "net.h5"):
        assert same(nncore.load(tmp_path / path), net)


@pytest.mark.parametrize("policy", ["float64", "float16", "bfloat16"])
def test_weights_become_what_they_are_exactly(policy):
    model, _ = make(f"policy {policy}")
    net = nncore.from_keras(model)
    kernel, bias = model.layers[0].get_weights()
    assert net.dtype == ("float64" if policy == "float64" else "float32")
    np.testing.assert_array_equal(net.layers[0].weights, kernel.astype(net.dtype))
    np.testing.assert_array_equal(net.layers[0].bias, bias.astype(net.dtype))


def test_double_precision_stays_double():
    model, rng = make("policy float64")
    net = nncore.from_keras(model)
    x = rng.standard_normal((9, 6))
    (w1, b1), (w2, b2) = (layer.get_weights() for layer in model.layers)
    np.testing.assert_allclose(net(x), np.maximum(x @ w1 + b1, 0) @ w2 + b2, rtol=1e-14, atol=1e-15)


def test_scalers_at_the_front_stay_layers():
    model, _ = make("normalised")
    front = nncore.from_keras(model).layers[0]
    mean, variance, _ = model.layers[0].get_weights()
    np.testing.assert_array_equal(front.mean, mean)
    np.testing.assert_array_equal(front.std, np.sqrt(variance.astype(np.float64)))
    model, _ = make("images")
    assert repr(nncore.from_keras(model).layers[0]) == repr(nncore.Rescaling(1 / 255))
    # A feature that never varies is divided by Keras' epsilon, not by 0.
    model, _ = make("mean and variance")
    assert nncore.from_keras(model).layers[0].std.tolist() == [2.0, 0.5, 1e-7]


def test_batch_normalisation_is_folded():
    model, _ = make("batch normalisation")
    net = nncore.from_keras(model)
    assert [layer.activation for layer in net.layers] == ["relu", "identity"]
    kernel, bias = model.layers[0].get_weights()
    gamma, beta, mean, variance = (w.astype(np.float64) for w in model.layers[1].get_weights())
    scale = gamma / np.sqrt(variance + 1e-3)
    np.testing.assert_array_equal(net.layers[0].weights, (kernel * scale).astype("f4"))
    np.testing.assert_allclose(net.layers[0].bias, (bias - mean) * scale + beta, rtol=3e-7)


def line(*layers, shape=(6,)):
    return lambda: sequential(*(layer() for layer in layers), shape=shape)


def functional(build):
    def made():
        start = keras.Input((6,))
        return keras.Model(start, build(start))

    return made


def shared(x):
    layer = L.Dense(6, name="twice")
    return layer(layer(x))


def of_two_inputs():
    a, b = keras.Input((6,)), keras.Input((6,))
    return keras.Model([a, b], L.Add()([a, b]))


def of_two_outputs():
    a = keras.Input((6,))
    return keras.Model(a, [L.Dense(2)(a), L.Dense(3)(a)])


def quantized():
    model = sequential(L.Dense(4, name="small"))
    model.layers[0].quantize("int8")
    return model


def with_lora():
    model = sequential(L.Dense(4, name="tuned"))
    model.layers[0].enable_lora(2)
    return model


def slopes():
    model = sequential(L.Dense(3), L.PReLU(name="slopes"))
    model.layers[1].set_weights([np.array([0.1, 0.2, 0.3], "f4")])
    return model


class Dense(L.Dense):
    """Not Keras' own, in spite of its name."""


def relu(x):
    return x + 1


def other_layer():
    return sequential(Dense(3, name="fake"))


class Subclassed(keras.Model):
    def call(self, x):
        return x


class Changed(keras.Sequential):
    def call(self, x, **options):
        return super().call(x, **options) + 1


REFUSED = {
    r"layer 'conv1d' \(Conv1D\) is not understood, expected one of ":
        line(lambda: L.Conv1D(2, 2, name="conv1d"), L.Flatten, shape=(4, 2)),
    r"layer 'code' \(Lambda\) is not understood":
        line(lambda: L.Lambda(lambda x: x + 1, name="code"), lambda: L.Dense(3)),
    r"layer 'norm' \(LayerNormalization\) is not understood":
        line(lambda: L.Dense(3), lambda: L.LayerNormalization(name="norm")),
    r"'odd' \(Dense\) has the activation 'exponential', expected one of sigmoid, tanh":
        line(lambda: L.Dense(3, "exponential", name="odd")),
    r"'odd' \(Activation\) has the activation 'log_sigmoid', expected one of":
        line(lambda: L.Dense(3), lambda: L.Activation("log_sigmoid", name="odd")),
    r"'own' \(Dense\) is, or has as its activation, something of module .*test_keras, expected":
        line(lambda: L.Dense(3, activation=relu, name="own")),
    r"'own' \(Activation\) is, or has as its activation, something of module .*test_keras":
        line(lambda: L.Dense(3), lambda: L.Activation(relu, name="own")),
    r"'own' \(Dense\) has as its activation gelu of keras.*ops.nn, expected that of keras.activ":
        line(lambda: L.Dense(3, activation=keras.ops.gelu, name="own")),
    r"'anonymous' \(Dense\) is, or has|'anonymous' \(Dense\) has the activation":
        line(lambda: L.Dense(3, activation=lambda x: x, name="anonymous")),
    r"the model: layer 1 is of class Dense from module .*, expected layers of Keras itself":
        other_layer,
    r"'r' \(ReLU\) has max_value None, negative_slope 0.0 and threshold 0.5, expected threshold 0":
        line(lambda: L.Dense(3), lambda: L.ReLU(threshold=0.5, name="r")),
    r"'r' \(ReLU\) has max_value 2.0, negative_slope 0.1 and threshold 0.0, expected":
        line(lambda: L.Dense(3), lambda: L.ReLU(2.0, 0.1, name="r")),
    r"'slopes' \(PReLU\) has a slope of its own for each feature, expected the same for all":
        slopes,
    r"'soft' \(Softmax\): softmax stands before the end":
        line(lambda: L.Dense(3), lambda: L.Softmax(name="soft"), lambda: L.Dense(3)),
    r"'wide' \(Dense\) works on samples of shape \(2, 3\), expected flat ones: put a Flatten":
        line(lambda: L.Dense(3, name="wide"), L.Flatten, shape=(2, 3)),
    r"'soft' \(Softmax\) works on samples of shape \(2, 3\), expected flat ones":
        line(lambda: L.Softmax(name="soft"), L.Flatten, lambda: L.Dense(2), shape=(2, 3)),
    r"'f' \(Flatten\) works on samples of shape \(2, 3\), expected flat ones":
        line(lambda: L.Flatten(data_format="channels_first", name="f"), lambda: L.Dense(2),
             shape=(2, 3)),
    r"the model branches: layer '.*' goes to 'left' and to 'right', expected one layer after":
        functional(lambda x: L.Add()([L.Dense(2, name="left")(x), L.Dense(2, name="right")(x)])),
    r"layer 'add' \(Add\) takes several inputs, or none, expected one":
        functional(lambda x: L.Add(name="add")([x, x])),
    r"layer 'times' \(Multiply\) takes several arguments, expected the layer before it":
        functional(lambda x: keras.ops.multiply(L.Dense(3)(x), 2.0)),
    r"layer 'twice' \(Dense\) is called 2 times, expected once: it is shared":
        functional(shared),
    r"layer 'drop' \(Dropout\) is called with training=True, expected the layer before it":
        functional(lambda x: L.Dense(2)(L.Dropout(0.5, name="drop")(x, training=True))),
    "the model has 2 inputs, expected one": of_two_inputs,
    "the model (has 2 outputs, expected one|branches)": of_two_outputs,
    r"layer 'small' \(Dense\) has the dtype 'QuantizedDTypePolicy', expected one of float32":
        quantized,
    r"layer 'tuned' \(Dense\) has lora_rank=2, which is not understood": with_lora,
    r"layer 'inner/bad' \(LayerNormalization\) is not understood":
        lambda: sequential(sequential(L.LayerNormalization(name="bad"), name="inner")),
    "the model has no dense layer": line(lambda: L.ReLU()),
    r"'late' \(Dense\) has 0 arrays of weights, expected 2: kernel, bias \(has the model been":
        lambda: keras.Sequential([L.Dense(3, name="late")]),
    "model is of class Subclassed, which may compute anything": Subclassed,
    "model is of class Changed, which may compute anything": lambda: Changed([L.Dense(2)]),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message):
    keras.backend.clear_session()
    model = REFUSED[message]()
    message = message.replace("'times'", "'multiply'")
    with pytest.raises(ValueError, match=message):
        nncore.from_keras(model)


@pytest.mark.parametrize("message", [m for m in REFUSED if "Lambda" in m or "branches" in m])
def test_files_are_refused_for_the_same_reasons(message, tmp_path):
    keras.backend.clear_session()
    model = REFUSED[message]()
    for path in (tmp_path / "net.keras", tmp_path / "net.h5"):
        model.save(path)
        with pytest.raises(ValueError, match=f"^{path}: .*{message}"):
            nncore.load(path)


@pytest.mark.parametrize("name", [
    "celu", "elu", "hard_sigmoid", "hard_silu", "leaky_relu", "relu", "relu6", "selu", "sigmoid",
    "silu", "softmax", "softplus", "softsign", "tanh",
])  # fmt: skip
def test_functions_of_keras_ops(name):
    model = sequential(L.Dense(5, activation=getattr(keras.ops, name)))
    x = np.linspace(-3, 3, 6 * model.input_shape[1], dtype=np.float32).reshape(6, -1)
    theirs = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(nncore.from_keras(model)(x), theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("thing", [None, "net.keras", np.eye(2), L.Dense(3)])
def test_what_is_no_model(thing):
    with pytest.raises(TypeError, match=r"^model is of type .*, expected a Sequential or functio"):
        nncore.from_keras(thing)


# ---- tf.keras 2, whose configs were written down from its releases


def old_layer(kind, name, weights=(), **config):
    config = {"name": name, "trainable": True, "dtype": "float32", **config}
    fake = types.new_class(kind, exec_body=lambda body: body.update(__module__="tf_keras.layers"))()
    fake.name, fake.described = name, {"class_name": kind, "config": config}
    fake.get_weights = lambda: list(weights)
    return fake


def old_model(kind, layers, config):
    fake = types.new_class(kind, exec_body=lambda body: body.update(__module__="tf_keras.models"))()
    fake.layers, fake.get_config = layers, lambda: config
    return fake


def old_layers():
    rng = np.random.default_rng(0)
    w1, b1, w2 = (rng.normal(size=shape).astype("f4") for shape in ((4, 3), (3,), (3, 2)))
    statistics = [np.array(v, "f4") for v in ([1, 2, 3], [0, 1, 0], [1, 1, 2], [1, 4, 9])]
    policy = {"class_name": "Policy", "config": {"name": "mixed_float16"}}
    return (w1, b1, w2, statistics), [
        old_layer("Dense", "dense", [w1, b1], units=3, activation="linear", use_bias=True,
                  batch_input_shape=[None, 4], kernel_regularizer=None, dtype=policy),
        old_layer("BatchNormalization", "bn", statistics, axis=[1], momentum=0.99, epsilon=0.001,
                  center=True, scale=True, gamma_initializer={"class_name": "Ones"}),
        old_layer("LeakyReLU", "leaky", alpha=0.3),
        old_layer("ReLU", "relu6", max_value=6.0, negative_slope=0.0, threshold=0.0),
        old_layer("Dropout", "dropout", rate=0.5, noise_shape=None, seed=None),
        old_layer("Dense", "out", [w2], units=2, activation="softmax", use_bias=False),
    ]  # fmt: skip


def old_outputs(arrays, x):
    w1, b1, w2, (gamma, beta, mean, variance) = arrays
    z = (x @ w1 + b1 - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    z = np.minimum(np.maximum(np.where(z > 0, z, 0.3 * z), 0), 6) @ w2
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("kind", ["Sequential", "Functional", "Model", "a list"])
def test_models_of_tf_keras_2(kind):
    arrays, layers = old_layers()
    described = [layer.described for layer in layers]
    config = {"name": "old", "layers": described}
    if kind in ("Functional", "Model"):
        described.insert(0, old_layer("InputLayer", "in", batch_input_shape=[None, 4]).described)
        names = [layer["config"]["name"] for layer in described]
        for number, layer in enumerate(described):
            layer["name"] = names[number]
            layer["inbound_nodes"] = [[[names[number - 1], 0, 0, {}]]] if number else []
        described[-1]["inbound_nodes"][0][0][3] = {"training": False}
        config |= {"input_layers": [["in", 0, 0]], "output_layers": [["out", 0, 0]]}
    if kind == "a list":
        kind, config = "Sequential", described
    net = nncore.from_keras(old_model(kind, layers, config))
    x = np.random.default_rng(1).normal(size=(20, 4)).astype("f4")
    np.testing.assert_allclose(net(x), old_outputs(arrays, x), rtol=1e-5, atol=1e-6)
    json.dumps(config)  # what a file would hold


def test_hard_sigmoid_was_another_function(monkeypatch):
    import sys

    w = np.array([[1.0]], "f4")
    layer = old_layer("Dense", "d", [w], units=1, activation="hard_sigmoid", use_bias=False)
    model = old_model("Sequential", [layer], {"layers": [layer.described]})
    for version, expected in (("2.15.0", 0.5 + 0.2), ("3.0.1", 0.5 + 1 / 6), (None, None)):
        module = types.ModuleType("tf_keras")
        if version:
            module.__version__ = version
        monkeypatch.setitem(sys.modules, "tf_keras", module)
        if expected is None:
            with pytest.raises(ValueError, match="hard_sigmoid, which is another function since"):
                nncore.from_keras(model)
        else:
            assert nncore.from_keras(model)([1.0]) == pytest.approx([expected], rel=1e-6)


def test_the_zoo_is_large():
    assert len(ZOO) >= 25
    assert len(keras_zoo.ACTIVATIONS) == 22
