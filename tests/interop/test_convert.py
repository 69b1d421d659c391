"""`nncore convert` with the libraries that files come from, and the pages about it."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import nncore
from nncore.cli import _compare, main

# Keras takes TensorFlow unless it is told otherwise.
os.environ.setdefault("KERAS_BACKEND", "torch" if importlib.util.find_spec("torch") else "numpy")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the libraries' own
NEEDED = "the environment for other libraries' tests has it"
PAGES = [
    Path(__file__).parents[2] / "examples" / name
    for name in ("11-bring-your-own-network.md", "keras-and-scikit-learn.md")
]


@pytest.fixture(autouse=True)
def short_times(monkeypatch):
    """Take times for a moment only."""
    monkeypatch.setattr(_compare, "TIME_BUDGET", 0.02)


def library(name):
    return pytest.importorskip(name, reason=NEEDED)


# ---- files of every kind


def torch_model():
    """784-20-30-10 with BatchNorm before and after its activations."""
    torch = library("torch")
    torch.manual_seed(0)
    nn = torch.nn
    model = nn.Sequential(
        nn.Linear(784, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 30), nn.ReLU(),
        nn.BatchNorm1d(30), nn.Dropout(), nn.Linear(30, 10), nn.Softmax(dim=1),
    )  # fmt: skip
    for _ in range(10):  # statistics that are no zeros and ones
        model(3 * torch.randn(32, 784) + 1)
    return model.eval()


def state_dict(path):
    library("torch").save(torch_model().state_dict(), path)


def half_precision(path):
    library("torch").save(torch_model().half().state_dict(), path)


def safetensors(path):
    library("safetensors.torch").save_file(torch_model().state_dict(), path)


def exported(path, **options):
    torch = library("torch")
    library("onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            torch_model(), (torch.zeros(1, 784),), path, dynamo=False, input_names=["x"], **options
        )


def any_batch(path):
    exported(path, dynamic_axes={"x": {0: "n"}})


def pipeline(path, names=None, **options):
    library("sklearn")
    library("skl2onnx")
    from skl2onnx import to_onnx
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(0)
    x = 100 + 7 * random.standard_normal((200, 6))
    t = (x[:, 0] > x[:, 1]).astype(int) + (0 if names is None else (x[:, 2] > 105))
    t = t if names is None else np.array(names)[t]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged
        made = make_pipeline(
            StandardScaler(), MLPClassifier((8,), max_iter=60, random_state=0)
        ).fit(x, t)
        model = to_onnx(
            made, x[:1].astype(np.float32), options={id(made): options} if options else None
        )
    path.write_bytes(model.SerializeToString())


def with_names(path):
    pipeline(path, ["ant", "bee", "cow"])


def without_maps(path):
    pipeline(path, ["ant", "bee", "cow"], zipmap=False)


def keras_model(path):
    keras = library("keras")
    library("h5py")
    layers = keras.layers
    keras.utils.set_random_seed(0)
    keras.Sequential([
        keras.Input((28, 28)), layers.Rescaling(1 / 255), layers.Flatten(),
        layers.Dense(20, activation="gelu"), layers.BatchNormalization(),
        layers.Dense(10, activation="softmax"),
    ]).save(path)  # fmt: skip


NAMES = ["--activations", "batch_norm", "relu", "relu", "batch_norm", "softmax"]
# How to make the file, its ending, what the command line is told, and what runs it.
SOURCES = {
    "state_dict": (state_dict, ".pt", NAMES, "torch"),
    "float16": (half_precision, ".pth", NAMES, "torch"),
    "safetensors": (safetensors, ".safetensors", NAMES, "torch"),
    "torch to ONNX": (any_batch, ".onnx", [], "onnxruntime"),
    "a batch of one": (exported, ".onnx", [], "onnxruntime"),
    "binary with ZipMap": (pipeline, ".onnx", [], "onnxruntime"),
    "names with ZipMap": (with_names, ".onnx", [], "onnxruntime"),
    "names without": (without_maps, ".onnx", [], "onnxruntime"),
    "keras": (keras_model, ".keras", [], "keras"),
    "h5": (keras_model, ".h5", [], "keras"),
}
TARGETS = {".npz": None, ".onnx": "onnxruntime", ".safetensors": "torch", ".pt": "torch"}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A function that makes a file of SOURCES once."""
    made = {}

    def make(name):
        if name not in made:
            write, ending, arguments, runtime = SOURCES[name]
            path = tmp_path_factory.mktemp("source") / f"net{ending}"
            write(path)
            library(runtime)
            made[name] = path, arguments, runtime
        return made[name]

    return make


def convert(capsys, *arguments):
    code = main(["convert", *map(str, arguments), "--json"])
    printed = capsys.readouterr()
    assert printed.err == ""
    return code, json.loads(printed.out)


@pytest.mark.parametrize(("name", "target"), list(itertools.product(SOURCES, TARGETS)))
def test_every_format_into_every_other(source, capsys, tmp_path, name, target):
    path, arguments, runtime = source(name)
    if TARGETS[target] is not None:
        library(TARGETS[target])
    library({".safetensors": "safetensors"}.get(target, "numpy"))
    out = tmp_path / f"out{target}"
    code, facts = convert(capsys, path, out, *arguments)
    check = facts["check"]
    assert code == 0
    assert facts["ok"]
    assert check["missing"] == []
    assert check["same_bits"]
    assert check["origin"].startswith(runtime)
    sides = ["nncore", *([TARGETS[target]] if TARGETS[target] else [])]
    assert [each["runtime"].split()[0] for each in check["differences"]] == sides
    for each in check["differences"]:
        assert each["share"] < 0.7  # the bound is not missed
        assert each["largest"] < 1e-5
        assert each["beyond"] == 0
        assert each["kinds"] > 1
        assert each["labels"] == 0 or each["margin"] <= each["margin_bound"]
    assert check["differences"][0]["share"] > 0.001  # nor without meaning
    assert all(row["one"] > 0 and row["batch"] > 0 for row in check["times"])
    original = nncore.load(path, activations=arguments[1:] or None)
    x = np.random.default_rng(0).integers(0, 256, (9, original.in_features)).astype(np.uint8)
    again = nncore.load(out)
    assert (again(x) == original(x)).all()
    if original.classes is not None:
        assert again.classes.tolist() == original.classes.tolist()


def test_the_report_fits_60_columns(source, capsys, tmp_path):
    path, arguments, _ = source("torch to ONNX")
    assert main(["convert", str(path), str(tmp_path / "o.onnx"), *arguments]) == 0
    text = capsys.readouterr().out
    assert max(len(line) for line in text.splitlines() if str(tmp_path) not in line) <= 60
    assert "folded    node '/1/BatchNormalization'" in text
    assert re.search(r"^IN   onnxruntime \S+ +[\d.,]+ +[\d.,]+$", text, re.M)
    assert re.search(r"^OUT  onnxruntime \S+ +[\d.,]+ +[\d.,]+$", text, re.M)
    assert re.search(r"^     speed-up +[\d.]+x +[\d.]+x$", text, re.M)


def test_a_graph_of_one_sample_is_called_for_each(source, capsys, tmp_path):
    path, _, _ = source("a batch of one")
    check = convert(capsys, path, tmp_path / "o.npz", "--check", "50")[1]["check"]
    assert "batches of 1 only" in check["notes"][0]["note"]
    one, many = check["times"][0]["one"], check["times"][0]["batch"]
    assert many > 10 * one


def test_a_batch_norm_read_with_another_epsilon_is_found(source, capsys, tmp_path, monkeypatch):
    from nncore.interop import _state_dict

    path, arguments, _ = source("state_dict")
    monkeypatch.setattr(_state_dict, "_EPS", 1e-3)
    out = tmp_path / "o.npz"
    code, facts = convert(capsys, path, out, *arguments)
    assert code == 1
    assert facts["check"]["differences"][0]["beyond"] > 100
    assert not out.exists()


def test_activations_that_are_wrong_cannot_be_found_by_anyone(source, capsys, tmp_path):
    """A state_dict does not say them: the report says where they come from."""
    path, _, _ = source("state_dict")
    out = tmp_path / "o.npz"
    code, facts = convert(capsys, path, out, *[{"relu": "tanh"}.get(name, name) for name in NAMES])
    assert code == 0
    assert "--activations" in facts["check"]["notes"][0]["note"]


def test_a_state_dict_without_activations_says_what_to_type(source, capsys, tmp_path):
    path, _, _ = source("state_dict")
    assert main(["convert", str(path), str(tmp_path / "o.npz")]) == 2
    assert "(here: --activations relu ... softmax)" in capsys.readouterr().err


def test_labels_alone(capsys, tmp_path):
    onnx = library("onnx")
    library("onnxruntime")
    net = nncore.Network([nncore.Dense(6, 8, "relu"), nncore.Dense(8, 4, "softmax")], seed=2)
    model = onnx.load_from_string(net.to_onnx())
    output = model.graph.output[0].name
    model.graph.node.append(
        onnx.helper.make_node("ArgMax", [output], ["label"], axis=1, keepdims=0)
    )
    del model.graph.output[:]
    model.graph.output.append(
        onnx.helper.make_tensor_value_info("label", onnx.TensorProto.INT64, [None])
    )
    path = tmp_path / "labels.onnx"
    onnx.save(model, path)
    code, facts = convert(capsys, path, tmp_path / "o.npz")
    (found,) = facts["check"]["differences"]
    assert code == 0
    assert (found["share"], found["labels"]) == (None, 0)
    assert found["kinds"] > 1
    assert main(["convert", str(path), str(tmp_path / "again.npz")]) == 0
    assert "IN gives labels only" in capsys.readouterr().out


def test_labels_beside_raw_scores(capsys, tmp_path):
    onnx = library("onnx")
    library("onnxruntime")
    net = nncore.Network([nncore.Dense(6, 8, "relu"), nncore.Dense(8, 4)], seed=2)
    model = onnx.load_from_string(net.to_onnx())
    output = model.graph.output[0].name
    model.graph.node.append(
        onnx.helper.make_node("ArgMax", [output], ["label"], axis=1, keepdims=0)
    )
    model.graph.output.append(
        onnx.helper.make_tensor_value_info("label", onnx.TensorProto.INT64, [None])
    )
    path = tmp_path / "labels.onnx"
    onnx.save(model, path)
    code, facts = convert(capsys, path, tmp_path / "o.npz")
    (found,) = facts["check"]["differences"]
    assert (code, found["share"], found["labels"]) == (0, None, 0)
    assert found["kinds"] > 1


# ---- libraries that are missing


def test_without_onnxruntime_the_reference_evaluator_runs_it(source, capsys, tmp_path, monkeypatch):
    path, _, _ = source("names without")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, facts = convert(capsys, path, tmp_path / "o.npz", "--check", "100")
    assert code == 0
    assert re.fullmatch(r"onnx \S+, reference", facts["check"]["origin"])
    assert "pip install onnxruntime" in facts["check"]["notes"][0]["note"]
    assert facts["check"]["differences"][0]["share"] < 1


def test_without_torch_a_safetensors_file_is_run_by_numpy(source, capsys, tmp_path, monkeypatch):
    path, arguments, _ = source("safetensors")
    monkeypatch.setitem(sys.modules, "torch", None)
    code, facts = convert(capsys, path, tmp_path / "o.npz", *arguments)
    (missing,) = facts["check"]["missing"]
    assert code == 0
    assert missing == {"side": "in", "why": "torch is not installed (pip install torch)"}
    assert facts["check"]["origin"].startswith("NumPy")


def test_without_keras_a_keras_file_is_run_by_numpy(source, capsys, tmp_path, monkeypatch):
    path, _, _ = source("keras")
    monkeypatch.setitem(sys.modules, "keras", None)
    facts = convert(capsys, path, tmp_path / "o.npz")[1]
    assert facts["check"]["missing"][0]["why"] == "keras is not installed (pip install keras)"
    assert main(["convert", str(path), str(tmp_path / "p.npz")]) == 0
    assert "WAS NOT RUN" in capsys.readouterr().out


# ---- the pages


def fences():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for code in re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S):
        if ">>>" not in code:  # these are doctests
            yield code


@pytest.mark.parametrize("code", list(fences()), ids=lambda code: code.split()[1])
def test_the_pages_run(code, tmp_path, monkeypatch):
    needed = re.findall(r"^(?:import|from) (\w+)", code, re.M)
    for name in {*needed, *(["h5py"] if "keras" in needed else [])}:
        library(name)
    if "to_onnx" in code:
        library("onnx")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "page", "exec"), {"__name__": "page"})


def test_the_pages_show_every_library():
    needed = {
        name for code in fences() for name in re.findall(r"^(?:import|from) (\w+)", code, re.M)
    }
    assert {"torch", "keras", "sklearn", "onnxruntime", "safetensors"} <= needed
