"""Keras files without Keras: what they look like, damaged ones, and ones that are out to harm.

The files are written with h5py and zipfile by hand, so that nothing but h5py is needed.
"""

from __future__ import annotations

import io
import json
import re
import sys
import zipfile

import numpy as np
import pytest
from helpers import run_python

import nncore
from nncore.interop import _hdf5

h5py = pytest.importorskip("h5py", reason="h5py is needed to read Keras files")

RNG = np.random.default_rng(5)
KERNEL, BIAS, OUT = (RNG.normal(size=shape).astype("f4") for shape in ((4, 3), (3,), (3, 2)))
STATISTICS = {
    name: np.array(values, "f4")
    for name, values in {
        "gamma": [1, 2, 3], "beta": [0, 1, 0], "moving_mean": [1, 1, 2],
        "moving_variance": [1, 4, 9],
    }.items()
}  # fmt: skip


def layer(kind, name, **config):
    return {"class_name": kind, "config": {"name": name, **config}}


LAYERS = [
    layer("InputLayer", "in", batch_shape=[None, 4], dtype="float32"),
    layer("Dense", "first", units=3, activation="linear", use_bias=True, dtype="float32"),
    layer("BatchNormalization", "bn", axis=-1, epsilon=0.001, center=True, scale=True),
    layer("Activation", "act", activation="tanh"),
    layer("Dense", "last", units=2, activation="softmax", use_bias=False),
]
CONFIG = {"class_name": "Sequential", "config": {"name": "m", "layers": LAYERS}}
ARRAYS = {
    "layers/dense/vars/0": KERNEL,
    "layers/dense/vars/1": BIAS,
    **{f"layers/batch_normalization/vars/{i}": v for i, v in enumerate(STATISTICS.values())},
    "layers/dense_1/vars/0": OUT,
}


def changed(number, **config):
    """The model with another config of one layer."""
    layers = [dict(each) for each in LAYERS]
    layers[number]["config"] = {**layers[number]["config"], **config}
    return of(layers)


def of(layers):
    return {"class_name": "Sequential", "config": {"layers": layers}}


def h5(arrays, edit=lambda file: None):
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for path, array in arrays.items():
            file.create_dataset(path, data=array)
        edit(file)
    return stream.getvalue()


def zipped(members, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def keras_file(config=CONFIG, arrays=ARRAYS, edit=lambda file: None, **options):
    text = config if isinstance(config, (str, bytes)) else json.dumps(config)
    metadata = json.dumps({"keras_version": "3.15.1"})
    return zipped(
        {"metadata.json": metadata, "config.json": text, "model.weights.h5": h5(arrays, edit)},
        **options,
    )


def h5_file(config=CONFIG, names=None, edit=lambda file: None, version="2.15.0"):
    """A whole model in one HDF5 file, as tf.keras 2 writes it: names end in :0."""
    names = names or {
        "first": {"first/kernel:0": KERNEL, "first/bias:0": BIAS},
        "bn": {f"bn/{name}:0": value for name, value in STATISTICS.items()},
        "last": {"last/kernel:0": OUT},
    }

    def write(file):
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = version
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.array([name.encode() for name in names])
        for name, arrays in names.items():
            own = group.create_group(name)
            for path, array in arrays.items():
                own[path] = array
        edit(file)

    return h5({}, write)


def wanted(x):
    gamma, beta, mean, variance = (STATISTICS[name].astype("f8") for name in STATISTICS)
    z = np.tanh((x @ KERNEL + BIAS - mean) / np.sqrt(variance + 1e-3) * gamma + beta) @ OUT
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.fixture
def load(tmp_path):
    def loaded(data, name="net.keras"):
        path = tmp_path / name
        path.write_bytes(data)
        return nncore.load(path)

    return loaded


def refused(load, data, message, name="net.keras"):
    """The file is refused with its name and the reason, nothing else."""
    with pytest.raises(ValueError, match=message) as caught:
        load(data, name)
    first = str(caught.value)
    assert re.match(rf"[^\n]*{re.escape(name)}: ", first), first
    assert len(first) < 1000


X = np.random.default_rng(0).normal(size=(30, 4)).astype("f4")


@pytest.mark.parametrize(
    "data",
    [
        keras_file(),
        keras_file(compression=zipfile.ZIP_DEFLATED),
        keras_file(arrays={
            path.replace("layers/", "_layer_checkpoint_dependencies/"): array
            for path, array in ARRAYS.items()
        }),
        keras_file(arrays={path: array.astype(">f4") for path, array in ARRAYS.items()}),
        h5_file(),
    ],
    ids=["keras", "packed again", "Keras 2.12", "big-endian", "h5"],
)  # fmt: skip
def test_what_is_read(load, data):
    net = load(data)
    assert [type(each).__name__ for each in net.layers] == ["Dense", "Dense"]
    np.testing.assert_allclose(net(X), wanted(X), rtol=1e-5, atol=1e-6)


def test_the_content_decides_and_not_the_name(load):
    np.testing.assert_array_equal(load(h5_file(), "a.keras")(X), load(h5_file(), "b.hdf5")(X))
    np.testing.assert_array_equal(load(keras_file(), "a.npz")(X), load(keras_file(), "b.bin")(X))


def test_weights_of_nested_models_are_found_by_their_names(load):
    """tf.keras 2 puts those of a whole inner model into one group, trainable ones first."""
    inner = {"class_name": "Sequential", "config": {"name": "inner", "layers": LAYERS[:4]}}
    names = {
        "inner": {"first/kernel:0": KERNEL, "first/bias:0": BIAS,
                  **{f"bn/{name}:0": value for name, value in STATISTICS.items()}},
        "last": {"last/kernel:0": OUT},
    }  # fmt: skip
    net = load(h5_file(of([inner, LAYERS[4]]), names))
    np.testing.assert_allclose(net(X), wanted(X), rtol=1e-5, atol=1e-6)


def test_bfloat16_is_half_of_float32(load):
    halves = (KERNEL.view("u4") >> 16).astype("u2").view("V2")
    arrays = {**ARRAYS, "layers/dense/vars/0": halves}
    data = keras_file(of([*LAYERS[:2], LAYERS[4]]), arrays)
    refused(load, data, r"'first' \(Dense\): kernel has dtype \|V2, expected floating-point")
    layers = [LAYERS[0], layer("Dense", "first", units=3, dtype="bfloat16"), LAYERS[4]]
    net = load(keras_file(of(layers), arrays))
    np.testing.assert_array_equal(
        net.layers[0].weights, (KERNEL.view("u4") & 0xFFFF0000).view("f4")
    )


def test_hard_sigmoid_is_that_of_the_version(load):
    layers = [layer("Dense", "last", units=2, activation="hard_sigmoid", use_bias=False)]
    names = {"last": {"last/kernel:0": np.array([[1.0, -1.0]], "f4")}}
    for version, slope in (("2.15.0", 0.2), ("3.5.0", 1 / 6)):
        net = load(h5_file(of(layers), names, version=version))
        np.testing.assert_allclose(net([1.0]), [0.5 + slope, 0.5 - slope], rtol=1e-6)
    refused(load, h5_file(of(layers), names, version="new"), "does not say which Keras it is of")


def test_files_are_not_written(tmp_path):
    net = nncore.Network([nncore.Dense(2, 2)], seed=0)
    for name in ("net.keras", "net.h5", "net.hdf5"):
        with pytest.raises(ValueError, match=rf"{name}: the ending says the format"):
            net.save(tmp_path / name)
        assert not (tmp_path / name).exists()


def test_activations_are_not_asked_for(load, tmp_path):
    (tmp_path / "net.h5").write_bytes(h5_file())
    with pytest.raises(ValueError, match=r"net\.h5: names its activations itself"):
        nncore.load(tmp_path / "net.h5", ["relu"])


def test_without_h5py_the_error_says_what_to_install(tmp_path):
    (tmp_path / "net.h5").write_bytes(h5_file())
    code = f"""
import sys
sys.modules["h5py"] = None
import nncore
nncore.load({str(tmp_path / "net.h5")!r})
"""
    process = run_python(code, check=False)
    last = process.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert "net.h5: " in last
    assert last.endswith("pip install h5py")


def test_keras_is_not_needed_nor_imported(tmp_path):
    (tmp_path / "net.keras").write_bytes(keras_file())
    run_python(f"""
import sys
for name in ("keras", "tensorflow", "torch"):
    sys.modules[name] = None
import nncore
nncore.load({str(tmp_path / "net.keras")!r})
""")


# ---- models that are not understood


def functional(*layers, outputs="last", inputs="in"):
    return {
        "class_name": "Functional",
        "config": {
            "layers": list(layers), "input_layers": [[inputs, 0, 0]],
            "output_layers": [[outputs, 0, 0]],
        },
    }  # fmt: skip


def after(source, kind="Dense", name="last", **config):
    return {**layer(kind, name, **config), "inbound_nodes": [[[source, 0, 0, {}]]]}


IN = layer("InputLayer", "in", batch_input_shape=[None, 4])
DEEP = of([LAYERS[1]])
for _ in range(50):
    DEEP = of([{**DEEP, "config": {**DEEP["config"], "name": "deeper"}}])

CONFIGS = {
    "is not described by a class_name": [],
    "the model is of class Custom>Model, expected": {"class_name": "Custom>Model", "config": {}},
    "the model has a config without a list of layers": {"class_name": "Sequential", "config": 3},
    "the model: layer 0 is not described by": of([3]),
    "layer 'x' has no config": of([{"class_name": "Dense", "name": "x"}]),
    "two layers that are called 'bn'": of([LAYERS[2], LAYERS[2]]),
    "stands in more than 32 models inside each other": DEEP,
    r"layer 'code' \(Lambda\) is not understood":
        of([layer("Lambda", "code", function=["4wEAAAA=", None, None])]),
    r"layer 'a\\nb\.+' \(Conv\) is not": of([layer("Conv", "a\nb" + 999 * ".")]),
    r"'first' \(Dense\): kernel has shape \(4, 3\), expected \(4, 5\)": changed(1, units=5),
    r"'first' \(Dense\): kernel has shape \(4, 3\), expected \(7, 3\)":
        changed(0, batch_shape=[None, 7]),
    r"'first' \(Dense\): use_bias is 'no', expected true or false": changed(1, use_bias="no"),
    r"'first' \(Dense\) has the activation \['relu'\], expected": changed(1, activation=["relu"]),
    r"'first' \(Dense\) has kernel_quantizer='int8', which is not understood":
        changed(1, kernel_quantizer="int8"),
    r"'first' \(Dense\) has the dtype 'float8', expected": changed(1, dtype="float8"),
    r"'first' \(Dense\) has 2 arrays of weights, expected 1: kernel": changed(1, use_bias=False),
    r"'bn' \(BatchNormalization\) has renorm=True, which is not": changed(2, renorm=True),
    r"'bn' .*: epsilon is 'small', expected a number": changed(2, epsilon="small"),
    r"'bn' .*: moving_variance \+ epsilon holds a number that is not": changed(2, epsilon=-2.0),
    r"'bn' .* goes along the axes \[3\], expected some of a sample's": changed(2, axis=3),
    r"'bn' .* goes along the axes \[0\], expected some": changed(2, axis=0),
    r"'bn' .* has axis \[\[1\]\], expected a whole number": changed(2, axis=[[1]]),
    r"a layer has the input shape \[None, -4\]": changed(0, batch_shape=[None, -4]),
    r"'act' \(Activation\) has the activation 'os.system', expected":
        changed(3, activation="os.system"),
    r"'r' \(Rescaling\): scale is \[\[1\], \[1, 2\]\], expected a number":
        of([layer("Rescaling", "r", scale=[[1], [1, 2]])]),
    r"'r' \(Reshape\) makes \(3, -1\) of 4 features":
        of([LAYERS[0], layer("Reshape", "r", target_shape=[3, -1])]),
    r"'r' \(Reshape\) has the target shape \(-1, -1\)":
        of([LAYERS[0], layer("Reshape", "r", target_shape=[-1, -1])]),
    r"'r' \(Reshape\) has no target_shape, or too long a one":
        of([LAYERS[0], layer("Reshape", "r", target_shape=[9] * 10**6)]),
    r"a layer has the input shape \[9, 9": changed(0, batch_shape=[9] * 10**6),
    r"'r' \(Reshape\) has a target_shape that is not of whole numbers":
        of([LAYERS[0], layer("Reshape", "r", target_shape=[2.0, 2])]),
    r"takes samples of shape \(5,\), expected \(4,\)":
        of([LAYERS[0], of([layer("InputLayer", "b", batch_shape=[None, 5])]), LAYERS[1]]),
    r"goes along an axis of samples of shape \(1000000, 1000000, 3\), expected one that is known":
        of([layer("InputLayer", "in", batch_shape=[None, 10**6, 10**6, 3]),
            layer("Rescaling", "r", scale=[1, 2, 3])]),
    "layer 'last' is not reached by the input": functional(IN, after("last")),
    "layer 'gone' is not reached|'last' is not reached": functional(IN, after("gone")),
    "layer '(a|b)' is not reached by the input":
        functional(IN, after("b", name="a"), after("a", name="b"), outputs="b"),
    "layer 'side' .*is not on the way|branches":
        functional(IN, after("in"), after("nowhere", name="side")),
    r"'last' \(Dense\) is called 2 times, expected once: it is shared":
        functional(IN, {**after("in"), "inbound_nodes": [[["in", 0, 0, {}]]] * 2}),
    r"'last' \(Dense\) has no input": functional(IN, layer("Dense", "last")),
    r"'last' \(Dense\) takes several inputs": functional(
        IN, {**after("in"), "inbound_nodes": [[["in", 0, 0, {}], ["in", 0, 0, {}]]]}),
    r"'last' \(Dense\) is called with options that are not a dict": functional(
        IN, {**after("in"), "inbound_nodes": [[["in", 0, 0, 3]]]}),
    r"'last' \(Dense\) is called with training=True": functional(
        IN, {**after("in"), "inbound_nodes": [[["in", 0, 0, {"training": True}]]]}),
    r"the config has 'system' of module 'os', expected names of Keras itself":
        changed(1, kernel_initializer={"module": "os", "class_name": "system", "config": {}}),
    "the config has 'get_file' of module 'keras.utils'":
        changed(1, bias_constraint={"module": "keras.utils", "class_name": "get_file"}),
    "the config has 'exec' of module 'builtins'":
        changed(4, kernel_regularizer=[{"module": "builtins", "class_name": "exec"}]),
    "the config has 'Mine' of module 3": changed(
        1, kernel_constraint={"module": 3, "class_name": "Mine"}),
    "the config has 'Mine' registered as 'own>Mine'": changed(
        1, kernel_initializer={"class_name": "Mine", "registered_name": "own>Mine"}),
    "the config has '__lambda__' of code": changed(
        1, kernel_initializer={"class_name": "__lambda__", "config": {}}),
    "the model has 0 inputs, expected one": {"class_name": "Functional", "config": {"layers": []}},
}  # fmt: skip


@pytest.mark.parametrize("message", CONFIGS)
def test_configs_that_are_not_understood(load, message):
    refused(load, keras_file(CONFIGS[message]), message)
    if "arrays of weights" not in message:
        refused(load, h5_file(CONFIGS[message]), message, "net.h5")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "config.json is nested too deeply"),
        ('{"class_name": NaN}', "holds NaN, expected finite numbers"),
        ('{"a": 1, "a": 2}', "has a key twice"),
        ("{", "config.json is not JSON"),
        (b"\xff\xfe", "holds text that cannot be decoded"),
        ('"' + "a" * (1 << 22) + '"', r"'config\.json' declares 4194306 bytes, expected at most"),
    ],
)
def test_configs_that_are_no_json(load, text, message):
    refused(load, keras_file(text), message)
    refused(load, keras_file(text, compression=zipfile.ZIP_DEFLATED), message)


def test_many_layers_take_no_long_time(load):
    """40,000 layers, one after the other, in either kind of model; and one of a weight each."""
    many = [layer("Dropout", f"d{i}") for i in range(30_000)]
    net = load(h5_file(of([*LAYERS[:2], LAYERS[2], LAYERS[3], *many, LAYERS[4]])), "net.h5")
    np.testing.assert_allclose(net(X), wanted(X), rtol=1e-5, atol=1e-6)
    chain = [IN, *(after(f"d{i - 1}" if i else "in", "Dropout", f"d{i}") for i in range(20_000))]
    refused(load, h5_file(functional(*chain, outputs="d19999")), "has no dense layer", "net.h5")


def test_activations_one_after_the_other_do_not_fill_the_memory(load):
    """Each becomes a diagonal, which takes 64 MB for 4,096 outputs: five of them are too many."""
    layers = [layer("Dense", "wide", units=4096, use_bias=False)]
    layers += [layer("Activation", f"a{i}", activation="tanh") for i in range(100)]
    arrays = {"layers/dense/vars/0": np.ones((1, 4096), "f4")}
    refused(load, keras_file(of(layers), arrays), r"layer 'a5' \(Activation\) cannot be folded")


# ---- HDF5 that leads elsewhere or grows


def replace(path, make):
    """Put something else in the place of an array."""

    def edit(file):
        if path in file:
            del file[path]
        make(file, path)

    return edit


FIRST = "layers/dense/vars/0"


def outside(file, path):
    file.create_dataset(path, (4, 3), "f4", external=[("/etc/passwd", 0, 48)])


def virtual(file, path):
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4, 3))
    file.create_virtual_dataset(path, layout)


def records(file, path):
    file[path] = np.zeros((4, 3), [("a", "f4")])


def texts(file, path):
    file.create_dataset(path, (4, 3), h5py.string_dtype())


def references(file, path):
    file.create_dataset(path, (4, 3), h5py.ref_dtype)


def never_written(file, path):
    file.create_dataset(path, (10**6, 10**6), "f4")


def filled(file, path):
    file.create_dataset(path, (10**6, 10**6), "f4", chunks=(1000, 1000), fillvalue=1.0)


def packed(file, path):
    file.create_dataset(path, data=np.zeros((4000, 3000), "f4"), compression="gzip")


HOSTILE = {
    "lies in another file, expected it in this one": [outside, virtual],
    r"has dtype \[\('a', '<f4'\)\], expected numbers": [records],
    "has dtype object, expected numbers": [texts, references],
    r"kernel has dtype complex64": [lambda f, p: f.create_dataset(p, data=np.ones((4, 3), "c8"))],
    r"kernel has dtype int64, expected floating": [
        lambda f, p: f.create_dataset(p, data=np.ones((4, 3), "i8"))
    ],
    r"kernel has dtype float128|kernel has dtype longdouble|expected floating-point": [
        lambda f, p: f.create_dataset(p, data=np.ones((4, 3), "g"))
    ],
    r"has shape \(1000000, 1000000\), which takes 4000000000000 bytes, but the file has 0": [
        never_written
    ],
    "is stored in chunks or compressed, expected one piece": [filled, packed],
    "is a link, expected everything in its own place": [
        lambda f, p: f.__setitem__(p, h5py.SoftLink("/layers/dense_1/vars/0")),
        lambda f, p: f.__setitem__(p, h5py.ExternalLink("/etc/passwd", "/x")),
    ],
    "kernel is empty|is empty": [lambda f, p: f.create_dataset(p, dtype="f4")],
    "has no kernel in the file": [lambda f, p: None],
    r"kernel has shape \(12,\)": [lambda f, p: f.create_dataset(p, data=np.ones(12, "f4"))],
    r"kernel has shape \(4, 0\)": [lambda f, p: f.create_dataset(p, data=np.ones((4, 0), "f4"))],
    "holds a number|not finite|kernel": [
        lambda f, p: f.create_dataset(p, data=np.ones((4, 3), "f4") * np.ones(4)[:, None, None])
    ],
}


@pytest.mark.parametrize(
    ("message", "make"), [(message, make) for message, all_ in HOSTILE.items() for make in all_]
)
def test_hostile_arrays(load, message, make):
    refused(load, keras_file(edit=replace(FIRST, make)), message)
    place = "model_weights/first/first/kernel:0"
    refused(load, h5_file(edit=replace(place, make)), message, "net.h5")


@pytest.mark.parametrize("link", [h5py.SoftLink("/other"), h5py.ExternalLink("/etc/passwd", "/x")])
@pytest.mark.parametrize("path", ["layers", "layers/dense", "layers/dense/vars"])
def test_groups_that_are_links(load, path, link):
    def edit(file):
        del file[path]
        file[path] = link

    refused(load, keras_file(edit=edit), "is a link, expected everything in its own place")


def test_a_group_that_holds_itself(load):
    def edit(file):
        file["model_weights/first/again"] = file["model_weights/first"]

    refused(load, h5_file(edit=edit), "holds too many groups, or groups inside each", "net.h5")


def test_one_array_under_many_names(load):
    """All of it is read again and again: together more than the file has."""
    wide = np.ones((500, 500), "f4")
    layers = [layer("Dense", f"d{i}", units=500, use_bias=False) for i in range(50)]

    def edit(file):
        for i in range(1, 50):
            file[f"layers/dense_{i}/vars/0"] = file[FIRST]

    data = keras_file(of(layers), {FIRST: wide}, edit)
    refused(load, data, "the arrays together are longer than the file")


def test_weights_that_no_layer_has(load):
    def edit(file):
        file["model_weights/first/first/lora_kernel_a"] = np.ones(3, "f4")

    refused(
        load, h5_file(edit=edit), "layer 'first' has weights first/lora_kernel_a, which are not"
    )

    def ambiguous(file):
        file["model_weights/first/second/kernel:0"] = KERNEL

    names = {"first": {"a/kernel:0": KERNEL, "b/kernel:0": KERNEL, "a/bias:0": BIAS}}
    refused(load, h5_file(names=names), r"'first' \(Dense\) has several kernel in the file")


def test_many_weights_for_many_layers_take_no_long_time(load):
    """1,500 models with a layer of one name, and 1,500 weights that might be each one's."""
    inner = {"class_name": "Sequential", "config": {"layers": [layer("Dense", "d", units=1)]}}
    models = [{**inner, "config": {**inner["config"], "name": f"m{i}"}} for i in range(1_500)]
    outer = {"class_name": "Sequential", "config": {"name": "top", "layers": models}}
    data = h5_file(of([outer]), {"top": {
        f"{kind}{i}/d/{name}": array[:1, :1] if array.ndim > 1 else array[:1]
        for kind in "mx" for i in range(750)
        for name, array in (("kernel", KERNEL), ("bias", BIAS))
    }})  # fmt: skip
    refused(load, data, "in the file, or far too many", "net.h5")


@pytest.mark.parametrize("name", ["a//b", ".", "a/./b"])
def test_layers_whose_names_are_no_paths(load, name):
    data = h5_file(of([layer("Dense", name, units=1)]))
    refused(load, data, "is no name of a group", "net.h5")


def test_names_with_slashes_are_paths(load):
    layers = [layer("Dense", "block/one", units=3), layer("Dense", "block/two", units=2)]
    names = {
        "block/one": {"block/one/kernel:0": KERNEL, "block/one/bias:0": BIAS},
        "block/two": {"block/two/kernel:0": OUT, "block/two/bias:0": BIAS[:2]},
    }
    net = load(h5_file(of(layers), names))
    np.testing.assert_allclose(net(X), (X @ KERNEL + BIAS) @ OUT + BIAS[:2], rtol=2e-5, atol=1e-5)


# Texts of an .h5 file lie in a heap. The HDF5 library allocates the length that an attribute
# declares, and never comes back from a heap whose first free object is of size 0.


def message_of(data, name="model_config"):
    """Where an attribute's length stands, and its heap."""
    place = data.index(name.encode() + b"\0") + -(-(len(name) + 1) // 8) * 8 + 24 + 8
    return place, int.from_bytes(data[place + 4 : place + 12], "little")


def test_a_text_that_is_longer_than_it_may_be(load):
    data = bytearray(h5_file())
    place, _ = message_of(data)
    assert int.from_bytes(data[place : place + 4], "little") == len(json.dumps(CONFIG))
    data[place : place + 4] = (1 << 31).to_bytes(4, "little")
    refused(load, bytes(data), "model_config has 2147483648 characters, expected at most", "net.h5")


@pytest.mark.parametrize("heap", [0, 96, 1 << 40, (1 << 64) - 1])
def test_a_text_that_is_not_where_it_should_be(load, heap):
    data = bytearray(h5_file())
    place, _ = message_of(data)
    data[place + 4 : place + 12] = heap.to_bytes(8, "little")
    refused(load, bytes(data), "has no text as model_config, where it says that it is", "net.h5")


def test_a_heap_is_walked_once_for_each_text_and_not_for_many(load, monkeypatch):
    walks, walk = [], _hdf5._from_heap
    monkeypatch.setattr(_hdf5, "_from_heap", lambda *given: walks.append(0) or walk(*given))
    data = h5_file()
    place, _ = message_of(data)
    message = data[data.index(b"model_config\0") - 16 : place + 16]
    np.testing.assert_array_equal(load(data + 999 * message, "net.h5")(X), load(data, "net.h5")(X))
    assert len(walks) == 4  # the config and the version, twice
    others = b"".join(message[:-4] + number.to_bytes(4, "little") for number in range(999))
    refused(load, data + others, "has more than 4 texts as model_config, expected one", "net.h5")
    assert len(walks) == 4


@pytest.mark.parametrize("number", [0, 7])
def test_a_heap_that_never_ends(load, number):
    data = bytearray(h5_file())
    _, heap = message_of(data)
    data[heap + 16 : heap + 32] = number.to_bytes(2, "little") + bytes(14)
    data[heap + 32 : heap + 4096] = bytes(4064)
    refused(load, bytes(data), "has no text as model_config, where it says that it is", "net.h5")


def test_texts_of_every_kind_and_of_every_version_of_the_format(load, tmp_path):
    for library in ("earliest", "v108", "latest"):
        for text in (json.dumps(CONFIG), np.bytes_(json.dumps(CONFIG).encode())):
            with h5py.File(tmp_path / "made.h5", "w", libver=library) as file:
                file.attrs["model_config"] = "this is replaced"
                file.attrs["model_config"] = text
                for name, arrays in (("first", [KERNEL, BIAS]), ("last", [OUT])):
                    for key, array in zip(("kernel", "bias"), arrays, strict=False):
                        file[f"model_weights/{name}/{key}"] = array
                for key, array in STATISTICS.items():
                    file[f"model_weights/bn/{key}"] = array
            np.testing.assert_allclose(
                nncore.load(tmp_path / "made.h5")(X), wanted(X), rtol=1e-5, atol=1e-6
            )


# ---- files that are something else, or damaged


def weights_only():
    return h5(ARRAYS)


def older_weights_only():
    return h5({}, lambda file: file.attrs.__setitem__("layer_names", np.array([b"first"])))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (weights_only(), r"holds weights without a model, expected a whole model: save it with"),
        (older_weights_only(), "holds weights without a model"),
        (h5({"images": np.ones(3)}), "is an HDF5 file without a model_config"),
        (h5({}, lambda f: f.attrs.__setitem__("model_config", 3)), "model_config is not one text"),
        (h5({}, lambda f: f.attrs.__setitem__("model_config", [b"a", b"b"])), "is not one text"),
        (h5({}, lambda f: f.attrs.__setitem__("model_config", "{" * (1 << 22 | 1))),
         "model_config has 4194305 characters, expected at most 4194304"),
        (zipped({"config.json": "{}"}), r"has no model\.weights\.h5, expected a file that Keras"),
        (zipped({"metadata.json": "{}"}), r"has no config\.json"),
        (zipped({"config.json": json.dumps(CONFIG), "model.weights.h5": b"\x89HDF"}),
         "is not a whole HDF5 file"),
        (zipped({"config.json": json.dumps(CONFIG), "model.weights.h5": bytes(1 << 20)},
                zipfile.ZIP_DEFLATED),
         r"'model\.weights\.h5' declares 1048576 bytes, expected at most"),
        (zipped({"config.json": " " * (1 << 30)}, zipfile.ZIP_DEFLATED), "has no model|declares"),
        (keras_file(compression=zipfile.ZIP_BZIP2), "encrypted or packed in a way"),
        (keras_file()[:-30], "is cut short"),
        (keras_file() + b"more", "is cut short, or has other bytes after its end"),
        (h5_file()[:3000], "is not a whole HDF5 file"),
    ],
)  # fmt: skip
def test_other_files(load, data, message):
    refused(load, data, message)


def test_a_member_that_is_longer_than_it_says(load):
    """The declared length of the config is 10; a reader that believes the stream unpacks 1 MB."""
    data = bytearray(zipped({"config.json": " " * (1 << 20), "model.weights.h5": b"x"}, 8))
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(b"config.json"))
    data[entry + 24 : entry + 28] = (10).to_bytes(4, "little")
    refused(load, bytes(data), r"config\.json|not a whole \.keras file")


@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_damage_ends_in_an_error_that_names_the_file(tmp_path, kind):
    """Random bytes changed, in a process of its own: whatever happens there, it is an exception."""
    (tmp_path / "whole").write_bytes(keras_file() if kind == "keras" else h5_file())
    code = f"""
import numpy as np, nncore, warnings
from pathlib import Path
warnings.simplefilter("ignore")
folder = Path({str(tmp_path)!r})
whole = np.frombuffer((folder / "whole").read_bytes(), np.uint8)
rng = np.random.default_rng(0)
path = folder / "damaged.{kind}"
outcomes = {{"read": 0, "refused": 0}}
for trial in range(400):
    data = whole.copy()
    for place in rng.integers(0, len(data), rng.integers(1, 8)):
        data[place] = rng.integers(256)
    if trial % 5 == 0:
        data = data[: rng.integers(1, len(data))]
    path.write_bytes(data.tobytes())
    try:
        nncore.load(path)
        outcomes["read"] += 1
    except (ValueError, OSError) as error:
        assert str(path) in str(error), error
        outcomes["refused"] += 1
print(outcomes)
"""
    outcomes = run_python(code).stdout
    assert "refused" in outcomes


def test_a_hostile_file_takes_little_memory(tmp_path):
    """Shapes of 4 TB, and a bomb of 512 MB."""
    pytest.importorskip("resource", reason="what a process took is asked for as POSIX has it")
    bomb = {"config.json": b" " * (1 << 29), "model.weights.h5": h5(ARRAYS)}
    (tmp_path / "bomb.keras").write_bytes(zipped(bomb, zipfile.ZIP_DEFLATED))
    for name, make in (("never", never_written), ("filled", filled)):
        (tmp_path / f"{name}.keras").write_bytes(keras_file(edit=replace(FIRST, make)))
    code = f"""
import resource, h5py, nncore
from pathlib import Path
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in Path({str(tmp_path)!r}).glob("*.keras"):
    try:
        nncore.load(path)
    except ValueError as error:
        print(path.stem, "refused")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    *names, grown = run_python(code).stdout.splitlines()
    assert sorted(names) == ["bomb refused", "filled refused", "never refused"]
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(grown) * unit < 50e6
