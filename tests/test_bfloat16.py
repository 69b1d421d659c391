"""Weights in bfloat16: rounded as IEEE 754 says, and the bits of a float32 network with these."""

from __future__ import annotations

import copy
import itertools
import os
import pickle
import threading

import numpy as np
import pytest
from helpers import run_python
from network_files import header_of, members_of, npy, rebuild, refused, set_header
from reference import assert_same_bits

import nncore
from nncore import _cpus, _table

# Beyond a million weights they are widened while they are read. A panel has 16 outputs; the kernels
# compute up to 4 panels side by side, or one panel for up to 16 samples.
SHAPES = [
    (1_100_000, 1), (17, 66_000), (255, 4200, 3), (256, 4200), (257, 4200, 17),
    (7, 150_001), (9, 117_000), (16_000, 100, 7), (33_000, 33), (4099, 257, 16),
    (2050, 513, 31, 5), (66_000, 16), (70_000, 15), (1024, 1040),
]  # fmt: skip
BATCHES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 49, 97, 130]


def make(sizes, seed=0, hidden="relu", last="softmax"):
    """A float32 network, its weights without the drawing that large layers take long for."""
    random = np.random.default_rng(seed)
    layers = []
    for k, m in itertools.pairwise(sizes):
        layer = nncore.Dense(k, m, last if len(layers) == len(sizes) - 2 else hidden)
        drawn = random.standard_normal(min(k * m, 99_991)).astype(np.float32)
        layer.set_weights(
            np.resize(drawn, (k, m)) / np.float32(k) ** np.float32(0.5),
            random.standard_normal(m).astype(np.float32),
        )
        layers.append(layer)
    return nncore.Network(layers)


def rounded(values):
    """float32 -> the nearest bfloat16 as float32, ties to even, by exact arithmetic in float64."""
    values = np.asarray(values, np.float32)
    result = values.copy()
    finite = np.isfinite(values) & (values != 0)
    exact = values[finite].astype(np.float64)
    step = np.exp2(np.maximum(np.floor(np.log2(np.abs(exact))), -126) - 7)
    with np.errstate(over="ignore"):
        result[finite] = np.copysign(np.rint(exact / step) * step, exact).astype(np.float32)
    beyond = np.abs(np.rint(exact / step) * step) >= 2.0**128
    result[finite] = np.where(beyond, np.copysign(np.inf, exact), result[finite])
    return result


def samples(n, k, share, seed=1):
    random = np.random.default_rng(seed)
    x = np.resize(random.standard_normal(min(n * k + 1, 99_989)).astype(np.float32), (n, k))
    x[:, random.random(k) < share / 2] = 0
    x[np.resize(random.random(99_991), (n, k)) < share] = 0
    return x


def test_rounding_of_odd_values():
    halves = np.arange(1 << 16, dtype=np.uint32) << 16
    around = [halves + d & 0xFFFFFFFF for d in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)]
    values = np.concatenate(around).astype(np.uint32).view(np.float32).reshape(6, -1)
    kept = _table.unpack(_table.pack(values, None, True))[1:]
    nan = np.isnan(values)
    assert (np.isnan(kept) == nan).all()
    assert (kept[~nan].view(np.uint32) == rounded(values)[~nan].view(np.uint32)).all()
    # What is a bfloat16 already, a quiet NaN included, keeps its bits.
    quiet = ~nan[0] | (halves >> 22 & 1 == 1)
    assert (kept[0].view(np.uint32)[quiet] == halves[quiet]).all()


@pytest.mark.parametrize("share", [0.0, 0.6, 0.99])
@pytest.mark.parametrize("sizes", SHAPES)
def test_same_bits_as_rounded_weights(sizes, share):
    net = make(sizes, hidden="tanh" if share == 0 else "relu")
    narrow = net.with_weights("bfloat16")
    wide = nncore.Network.from_arrays(
        [rounded(layer.weights) for layer in net.layers],
        [layer.bias for layer in net.layers],
        [layer.activation for layer in net.layers],
    )
    for n in [n for n in BATCHES if n * max(sizes) < 3_000_000]:
        x = samples(n, sizes[0], share)
        assert_same_bits(narrow(x), wide(x))
    x = samples(4, sizes[0], share)
    assert_same_bits(narrow(x[0]), wide(x[0]))
    assert_same_bits(narrow.logits(np.asfortranarray(x)), wide.logits(x))
    assert_same_bits(narrow(x[:, ::-1][::2]), wide(x[:, ::-1][::2]))
    assert (narrow.predict(x) == wide.predict(x)).all()


def test_weights_that_come_from_memory(monkeypatch):
    """With a last cache of 0 bytes: one row reads all lines, few samples make fewer passes."""
    net = make((1500, 1100, 5))
    x = samples(101, 1500, 0.3)
    wanted = net.with_weights("bfloat16")(x)
    monkeypatch.setattr(_cpus, "last_cache_bytes", lambda: 0)  # asked for with the first call
    narrow = net.with_weights("bfloat16")
    for n in (*range(1, 27), 33, 97, 101):
        assert_same_bits(narrow(x[:n]), wanted[:n])
    assert_same_bits(narrow(x[0]), wanted[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3.4e38])
def test_weights_that_are_not_finite_stop_the_skipping_of_zeros(value):
    net = make((1024, 1040, 4))
    weights = net.layers[0].weights.copy()
    weights[5, 7] = value  # 3.4e38 is beyond the largest bfloat16, and becomes infinity
    net.layers[0].weights = weights
    narrow = net.with_weights("bfloat16")
    x = samples(20, 1024, 0.9)
    x[:, 5] = 0
    assert not narrow.layers[0].slot.current.panels.finite
    for n in (1, 2, 20):
        assert_same_bits(narrow(x[:n]), narrow.with_weights("float32")(x[:n]))
    assert np.isnan(narrow.trace(x)[0].weighted_sum[:, 7]).all()


def test_shared_between_threads():
    code = """
from test_bfloat16 import make, samples
net = make((1024, 1040, 50))
narrow, wide = net.with_weights("bfloat16"), net.with_weights("bfloat16").with_weights("float32")
for n in (1, 2, 7, 16, 90, 300):
    x = samples(n, 1024, 0.5)
    assert narrow(x).tobytes() == wide(x).tobytes(), n
print("same")
"""
    environment = {"NNCORE_NUM_THREADS": "3", "NNCORE_PARALLEL_MIN": "0"}
    assert run_python(code, **environment).stdout.strip() == "same"


def test_every_instruction_set():
    net = make((300, 3600, 17)).with_weights("bfloat16")
    wanted = net(samples(35, 300, 0.5)).tobytes().hex()
    code = """
from test_bfloat16 import make, samples
print(make((300, 3600, 17)).with_weights("bfloat16")(samples(35, 300, 0.5)).tobytes().hex())
"""
    for isa in _table.available_instruction_sets():
        assert run_python(code, NNCORE_ISA=isa).stdout.strip() == wanted, isa


def test_threads_and_forked_children():
    net = make((1024, 1040, 4)).with_weights("bfloat16")
    x = samples(9, 1024, 0.2)
    wanted, found = net(x).tobytes(), []
    threads = [threading.Thread(target=lambda: found.append(net(x).tobytes())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [wanted] * 4
    if hasattr(os, "fork"):
        child = os.fork()
        if child == 0:
            os._exit(0 if net(x).tobytes() == wanted else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_sparse_matrices():
    sparse = pytest.importorskip("scipy.sparse", reason="scipy is not installed")
    net = make((1024, 1040, 4)).with_weights("bfloat16")
    for share in (0.5, 0.97):
        x = samples(9, 1024, share)
        assert_same_bits(net(sparse.csr_matrix(x)), net(x))


# ---- the layers


def test_weights_and_assignments():
    net = make((40, 30, 2))
    narrow = net.with_weights("bfloat16")
    first = narrow.layers[0]
    assert_same_bits(first.weights, rounded(net.layers[0].weights))
    assert first.weights.dtype == np.float32
    assert not first.weights.flags.writeable
    assert_same_bits(first.bias, net.layers[0].bias)
    assert (first.weight_type, net.layers[0].weight_type) == ("bfloat16", "float32")
    assert nncore.Dense(2, 2).weight_type is None
    first.bias = np.full(30, 0.1)
    assert first.bias[0] == np.float32(0.1)
    assert first.weight_type == "bfloat16"
    first.weights = np.full((40, 30), 0.3)
    assert (first.weights == 0.30078125).all()
    assert (net.layers[0].weights != 0.30078125).any()
    x = samples(5, 40, 0)
    assert_same_bits(narrow(x), narrow.with_weights("float32")(x))
    assert narrow.with_weights("float32").layers[0].weight_type == "float32"


def test_trace_evaluate_and_gradients():
    narrow = make((1024, 1040, 4)).with_weights("bfloat16")
    wide = narrow.with_weights("float32")
    x, t = samples(20, 1024, 0.5), np.arange(20) % 4
    for ours, theirs in zip(narrow.trace(x), wide.trace(x), strict=True):
        assert_same_bits(ours.weighted_sum, theirs.weighted_sum)
        assert_same_bits(ours.activation, theirs.activation)
    assert narrow.evaluate(x, t) == wide.evaluate(x, t)
    loss, pairs = narrow.gradients(x, t)
    assert loss == wide.gradients(x, t)[0]
    assert_same_bits(pairs[0][0], wide.gradients(x, t)[1][0][0])


def test_names_of_classes_and_subclasses_stay():
    class Own(nncore.Network):
        pass

    net = Own([nncore.Rescaling(0.5), nncore.Dense(3, 2, "softmax")], seed=0, classes=["a", "b"])
    narrow = net.with_weights("bfloat16")
    assert type(narrow) is Own
    assert narrow.classes.tolist() == ["a", "b"]
    assert "Dense(3, 2, softmax, bfloat16 weights)" in repr(narrow)
    assert "bfloat16" not in repr(narrow.with_weights("float32"))


def test_what_is_refused():
    net = make((3, 2))
    with pytest.raises(ValueError, match="kind is 'float16', expected bfloat16 or float32"):
        net.with_weights("float16")
    double = nncore.Network([nncore.Dense(3, 2)], seed=0, dtype="float64")
    with pytest.raises(ValueError, match="the network is a float64 one, expected float32"):
        double.with_weights("bfloat16")
    narrow = net.with_weights("bfloat16")
    with pytest.raises(ValueError, match="bfloat16 weights, expected it in a float32 network"):
        nncore.Network(narrow.layers, dtype="float64")
    with pytest.raises(ValueError, match=r"fit net.with_weights\(\"float32\"\)"):
        narrow.fit(np.ones((4, 3)), np.zeros(4, int))


def test_quantized_networks():
    narrow = make((60, 40, 7)).with_weights("bfloat16")
    x = samples(300, 60, 0)
    quantized = nncore.quantize(narrow, x)
    assert_same_bits(quantized(x), nncore.quantize(narrow.with_weights("float32"), x)(x))
    assert [layer.weight_type for layer in quantized.layers] == ["int8"] * 2
    with pytest.raises(AttributeError, match="'with_weights': its weights take one byte each"):
        quantized.with_weights("bfloat16")


# ---- files and copies


def test_files_are_half_as_large_and_give_the_same_bits(tmp_path):
    net = make((300, 200, 7))
    narrow = net.with_weights("bfloat16")
    path, plain = tmp_path / "narrow.npz", tmp_path / "plain.npz"
    narrow.save(path)
    net.save(plain)
    assert path.stat().st_size < 0.51 * plain.stat().st_size + 2000
    assert header_of(path)["version"] == 4
    assert header_of(plain)["version"] == 1
    again = nncore.load(path)
    x = samples(5, 300, 0)
    assert_same_bits(again(x), narrow(x))
    assert [layer.weight_type for layer in again.layers] == ["bfloat16"] * 2
    again.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    with np.load(path) as members:
        assert members["W1"].dtype == np.uint16
        assert members["b1"].dtype == np.float32
        widened = (members["W1"].astype(np.uint32) << 16).view(np.float32)
    assert_same_bits(widened, narrow.layers[0].weights)
    narrow.with_weights("float32").save(plain)
    assert header_of(plain)["version"] == 1


def test_nan_keeps_its_bits_in_a_file(tmp_path):
    net = make((3, 2))
    net.layers[0].weights = [[np.nan, np.inf], [-np.inf, -0.0], [1e-40, 3.4e38]]
    narrow = net.with_weights("bfloat16")
    narrow.save(tmp_path / "odd.npz")
    again = nncore.load(tmp_path / "odd.npz").layers[0].weights
    assert (again.view(np.uint32) == narrow.layers[0].weights.view(np.uint32)).all()
    assert again[2, 1] == np.inf
    assert 0 < again[2, 0] < 1.1e-40
    assert np.signbit(again[1, 1])


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("weights", "float16", "layer 1: weights is 'float16', expected bfloat16"),
        ("weights", ["bfloat16"], "layer 1: weights is ['bfloat16'], expected bfloat16"),
        ("weights", None, "layer 1: weights is None, expected bfloat16"),
    ],
)
def test_hostile_layers(tmp_path, key, value, text):
    path = tmp_path / "net.npz"
    make((3, 2)).with_weights("bfloat16").save(path)
    header = header_of(path)
    header["layers"][0][key] = value
    set_header(path, header)
    refused(path, text)


def test_hostile_headers(tmp_path):
    path = tmp_path / "net.npz"
    make((3, 2)).with_weights("bfloat16").save(path)
    header = header_of(path)
    set_header(path, header | {"version": 3})
    refused(path, "the header's version is 3, expected 4: layer 1 is Dense")
    set_header(path, header | {"dtype": "float64"})
    refused(path, "bfloat16 weights, expected it in a float32 network, not a float64 one")


@pytest.mark.parametrize("dtype", ["<f4", "<i2", "<u4", "<f2", "|b1"])
def test_hostile_arrays(tmp_path, dtype):
    path = tmp_path / "net.npz"
    make((3, 2)).with_weights("bfloat16").save(path)
    members = members_of(path)
    members["W1.npy"] = npy(np.zeros((3, 2), dtype))
    rebuild(path, members)
    refused(path, f"W1 has dtype {dtype}, expected uint16, as the header says")


def test_big_endian_files(tmp_path):
    path = tmp_path / "net.npz"
    narrow = make((3, 2)).with_weights("bfloat16")
    narrow.save(path)
    members = members_of(path)
    with np.load(path) as arrays:
        members["W1.npy"] = npy(arrays["W1"].astype(">u2"))
    rebuild(path, members)
    assert_same_bits(nncore.load(path).layers[0].weights, narrow.layers[0].weights)


def test_pickles_and_copies():
    net = make((300, 200, 7))
    narrow = net.with_weights("bfloat16")
    x = samples(3, 300, 0)
    pickled = pickle.dumps(narrow)
    assert len(pickled) < 0.51 * len(pickle.dumps(net)) + 2000
    again = pickle.loads(pickled)
    for other in (
        again,
        copy.deepcopy(narrow),
        copy.copy(narrow),
        pickle.loads(pickle.dumps(again)),
    ):
        assert_same_bits(other(x), narrow(x))
        assert other.layers[1].weight_type == "bfloat16"
    alone = copy.deepcopy(narrow.layers[0])
    assert_same_bits(alone.weights, narrow.layers[0].weights)
    alone.weights = np.full((300, 200), 0.7)
    assert alone.weights[0, 0] == 0.69921875
    again.layers[0].weights = alone.weights
    assert (narrow.layers[0].weights != 0.69921875).any()


def test_exports_hold_the_widened_weights(tmp_path):
    pytest.importorskip("onnx", reason="onnx is not installed")
    narrow = make((5, 4, 3)).with_weights("bfloat16")
    narrow.save(tmp_path / "net.onnx")
    again = nncore.load(tmp_path / "net.onnx")
    x = samples(3, 5, 0)
    assert_same_bits(again(x), narrow(x))
    assert again.layers[0].weight_type == "float32"
    assert_same_bits(narrow.to_dict()["W1"], narrow.layers[0].weights)


def test_commands_say_it(tmp_path, capsys):
    from nncore.cli import main

    path = tmp_path / "net.npz"
    make((784, 20, 10)).with_weights("bfloat16").save(path)
    assert main(["inspect", str(path)]) == 0
    assert "float32, bfloat16" in capsys.readouterr().out
    assert main(["convert", str(path), str(tmp_path / "again.npz"), "--check", "0"]) == 0
    assert "float32, bfloat16" in capsys.readouterr().out
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
