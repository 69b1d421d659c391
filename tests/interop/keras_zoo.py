"""Keras models of every layer that is understood, and how far rounding may take two runs apart."""

from __future__ import annotations

import importlib.util
import os
import warnings

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch" if importlib.util.find_spec("torch") else "numpy")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what its own imports warn of is Keras' business
    keras = pytest.importorskip("keras", reason="Keras is needed to make Keras models")
    pytest.importorskip("h5py", reason="h5py is needed to read Keras files")

L = keras.layers
ZOO = {}  # name -> a function that makes a model


def zoo(function):
    ZOO[function.__name__] = function
    return function


def sequential(*layers, shape=(6,), **options):
    return keras.Sequential([keras.Input(shape), *layers], **options)


def add(name, *layers, shape=(6,)):
    """A model of one line; `layers` are functions, so that nothing is made before it is needed."""
    ZOO[name] = lambda: sequential(*(layer() for layer in layers), shape=shape)


def dense(units, activation=None, **options):
    return lambda: L.Dense(units, activation, **options)


ACTIVATIONS = [
    "linear", "sigmoid", "tanh", "relu", "relu6", "elu", "selu", "gelu", "silu", "swish",
    "softplus", "softsign", "mish", "leaky_relu", "celu", "hard_sigmoid", "hard_silu", "hard_swish",
    "hard_tanh", "sparse_sigmoid", "softmax", "log_softmax",
]  # fmt: skip
for _name in ACTIVATIONS:
    _hidden = "relu" if "softmax" in _name else _name
    add(f"activation {_name}", dense(9, _hidden), dense(5, _name))

add("one layer", dense(1))
add("no bias", dense(7, "relu", use_bias=False), dense(3, use_bias=False))
add("classic", dense(50, "sigmoid"), dense(100, "sigmoid"), dense(10, "softmax"), shape=(784,))
add("ten layers", *[dense(size, "tanh") for size in (8, 13, 5, 17, 1, 3, 9, 31, 2)], dense(4))
add("odd sizes", dense(13, "relu"), dense(1, "sigmoid"), shape=(7,))
add("wide", dense(33, "relu"), dense(3), shape=(1013,))
add("images", lambda: L.Rescaling(1 / 255), L.Flatten, dense(8, "relu"), dense(3), shape=(5, 4))
add("offset", lambda: L.Rescaling(1 / 127.5, offset=-1), dense(3))
add("channels", lambda: L.Rescaling([0.5, 0.25, 2.0], offset=[1.0, 0.0, -1.0]), L.Flatten,
    dense(4), shape=(3, 2, 3))  # fmt: skip
add("negative scale", lambda: L.Rescaling(np.array([-0.5, 2.0])), dense(4, "tanh"), shape=(2,))
add("rescaled in the middle", dense(5, "relu"), lambda: L.Rescaling(0.5, 0.25), dense(3))
add("reshaped", lambda: L.Reshape((3, -1)), lambda: L.Reshape((6,)), dense(4, "relu"), dense(2))
add("mean and variance", lambda: L.Normalization(mean=[1e3, -2, 0.1], variance=[4, 0.25, 0]),
    dense(4, "relu"), dense(3), shape=(3,))  # fmt: skip
add("one mean", lambda: L.Normalization(axis=None, mean=0.5, variance=4.0), dense(3))
add("rows and columns", lambda: L.Normalization(axis=(1, 2)), L.Flatten, dense(3), shape=(2, 3, 4))
add("channels normalised", lambda: L.Normalization(axis=-1), L.Flatten, dense(3), shape=(4, 2))
add("inverted", lambda: L.Normalization(invert=True), dense(3))
add("batch normalisation", dense(7), L.BatchNormalization, L.ReLU, dense(3), L.BatchNormalization)
add("batch normalisation first", L.BatchNormalization, dense(4, "relu"), dense(3))
add("batch normalisation after relu", dense(7, "relu"), L.BatchNormalization, dense(3, "softmax"))
add("no gamma", dense(7), lambda: L.BatchNormalization(scale=False), dense(3))
add("no beta", dense(7), lambda: L.BatchNormalization(center=False, epsilon=1e-2), dense(3))
add("bare", dense(7), lambda: L.BatchNormalization(scale=False, center=False), dense(3))
add("maps of channels", lambda: L.BatchNormalization(axis=1), L.Flatten, dense(3), shape=(3, 4))
add("relu to 3", dense(9), lambda: L.ReLU(max_value=3.0), dense(3))
add("sloping relu", dense(9), lambda: L.ReLU(negative_slope=0.3), dense(3))
add("leaky relu", dense(9), lambda: L.LeakyReLU(0.15), dense(3))
add("elu", dense(9), lambda: L.ELU(alpha=0.5), dense(3))
add("prelu", dense(9), lambda: L.PReLU(shared_axes=[1]), dense(3))
add("softmax layer", dense(9, "relu"), dense(4), L.Softmax)
add("activation objects", lambda: L.Dense(9, activation=L.LeakyReLU(0.1)),
    lambda: L.Activation(L.ReLU(2.0)), dense(3), lambda: L.Activation("softmax"))  # fmt: skip
add("asleep", lambda: L.GaussianNoise(0.1), dense(9, "relu"), lambda: L.Dropout(0.5),
    lambda: L.GaussianDropout(0.1), lambda: L.AlphaDropout(0.1),
    lambda: L.ActivityRegularization(0.1), L.Identity, dense(3))  # fmt: skip


@zoo
def normalised():
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(3).normal(100, 3, (50, 6)).astype("f4"))
    return sequential(layer, L.Dense(5, "relu"), L.Dense(2))


@zoo
def functional():
    x = start = keras.Input((3, 2))
    for layer in (L.Flatten(), L.Dense(7, "relu"), L.Dropout(0.5), L.Dense(4, "softmax")):
        x = layer(x)
    return keras.Model(start, x)


@zoo
def of_a_dict():
    start = keras.Input((6,), name="x")
    return keras.Model({"x": start}, L.Dense(4, "tanh")(start))


@zoo
def functions():
    x = start = keras.Input((6,))
    ops = keras.ops
    for function in (
        L.Dense(9),
        lambda x: keras.activations.gelu(x, approximate=True),
        L.Dense(8), lambda x: keras.activations.gelu(x, approximate=False),
        L.Dense(7), ops.relu, L.Dense(5), ops.tanh, L.Dense(5), ops.hard_sigmoid,
        L.Dense(5), lambda x: ops.leaky_relu(x, 0.25), L.Dense(5), lambda x: ops.elu(x, 0.5),
        L.Dense(5), lambda x: keras.activations.relu(x, max_value=4.0), L.Dense(4), ops.log_softmax,
    ):  # fmt: skip
        x = function(x)
    return keras.Model(start, x)


def encoder(name, *, sizes=(5, 4), **options):
    layers = []
    for size in sizes:
        layers += [L.Dense(size), L.BatchNormalization(), L.ReLU()]
    return sequential(*layers, name=name, **options)


@zoo
def nested():
    x = start = keras.Input((6,))
    x = encoder("zeta")(x, training=False)
    x = L.Dense(6, "tanh")(x)
    x = encoder("alpha", sizes=(6, 3))(x)
    return keras.Model(start, L.Dense(3, "softmax")(x))


@zoo
def nested_deeply():
    inner = sequential(encoder("inside"), L.Dense(6, "tanh"), name="middle")
    return sequential(inner, functional_in(), L.Dense(2))


def functional_in():
    start = keras.Input((6,))
    return keras.Model(start, L.Dense(6, "relu")(L.BatchNormalization()(start)), name="functions")


@zoo
def partly_frozen():
    inner = encoder("inside", sizes=(5, 6, 7))
    inner.layers[3].trainable = False
    model = sequential(inner, L.Dense(2))
    model.layers[0].layers[0].trainable = False
    return model


@zoo
def frozen():
    inner = encoder("inside", sizes=(5, 6))
    inner.trainable = False
    return sequential(inner, L.Dense(2))


@zoo
def names_against_the_order():
    sizes = {"c": 6, "a": 6, "b": 6}
    return sequential(*(L.Dense(size, "tanh", name=name) for name, size in sizes.items()))


@zoo
def built_by_a_call():
    model = keras.Sequential([L.Dense(5, "relu"), L.Dense(2)])
    model.build((None, 6))
    return model


@zoo
def of_any_size():
    model = keras.Sequential([L.Flatten(), L.Dense(5, "relu"), L.Dense(2)])
    model(np.zeros((1, 2, 3), "f4"))
    return model


for _policy in ("float64", "mixed_float16", "mixed_bfloat16"):
    add(f"policy {_policy}", dense(9, "relu", dtype=_policy), dense(3, dtype=_policy))
for _policy in ("float16", "bfloat16"):
    _normal = lambda policy=_policy: L.BatchNormalization(dtype=policy)  # noqa: E731
    add(f"policy {_policy}", dense(9, "relu", dtype=_policy), _normal, dense(3, dtype=_policy))

# The unit of rounding of what Keras computes in, where it is not that of float32. (With float64 it
# is, too: matrices are multiplied in float32 if PyTorch does it for Keras.)
PRECISION = {
    "policy mixed_float16": 2.0**-11, "policy float16": 2.0**-11,
    "policy mixed_bfloat16": 2.0**-8, "policy bfloat16": 2.0**-8,
}  # fmt: skip


def make(name):
    """The model of that name, the same each time, with weights that training might have given."""
    keras.backend.clear_session()
    rng = np.random.default_rng(sum(name.encode()))
    model = ZOO[name]()
    for layer in leaves(model):
        layer.set_weights([drawn(rng, layer, weight) for weight in layer.weights])
        if hasattr(layer, "finalize_state") and layer.built:
            layer.finalize_state()
    return model, rng


def samples(rng, model, name, n=64):
    shape = (2, 3) if name == "of_any_size" else model.input_shape[1:]
    if name in ("images", "offset"):  # whose pixels are 0 to 255
        return rng.integers(0, 256, (n, *shape)).astype(np.float32)
    return rng.uniform(-1, 1, (n, *shape)).astype(np.float32)


def outputs(model, x):
    if isinstance(getattr(model, "input", None), dict):
        x = {"x": x}
    return np.asarray(model.predict(x, verbose=0)).astype(np.float64)


def leaves(model):
    for layer in model.layers:
        yield from leaves(layer) if hasattr(layer, "layers") else [layer]


def drawn(rng, layer, weight):
    kind, shape = weight.name, tuple(weight.shape)
    values = {
        "kernel": lambda: rng.normal(0, 1 / np.sqrt(shape[0]), shape),
        "gamma": lambda: rng.uniform(0.5, 2, shape),
        "moving_variance": lambda: rng.uniform(0.5, 2, shape),
        "variance": lambda: rng.uniform(0.5, 2, shape),
        "alpha": lambda: np.full(shape, 0.2),
        "count": lambda: 7,
    }.get(kind, lambda: rng.uniform(-1, 1, shape))()
    if isinstance(layer, L.Normalization) and kind == "mean" and layer.name == "normalization":
        values = np.asarray(weight.numpy() if hasattr(weight, "numpy") else weight)
    return np.asarray(values).astype(np.asarray(layer.get_weights()[0]).dtype)
