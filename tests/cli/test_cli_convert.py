"""`nncore convert`, with NumPy alone: what it reads and writes, and a check that can fail."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from reference import ORACLES, assert_same_bits

import nncore
from nncore.cli import _compare, _origins
from nncore.cli._compare import Differences, Inputs
from nncore.cli._rounding import expected

F4, F8 = np.dtype("float32"), np.dtype("float64")


@pytest.fixture(autouse=True)
def short_times(monkeypatch):
    """Take times for a moment only."""
    monkeypatch.setattr(_compare, "TIME_BUDGET", 0.02)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.npz"


def weights_of(net):
    return [layer.weights for layer in net.layers if isinstance(layer, nncore.Dense)]


# ---- reading, writing, options


def test_a_pickle_becomes_an_npz_that_gives_the_same_bits(run, out):
    code, text, err = run("convert", "classic.pkl", out)
    assert (code, err) == (0, "")
    net = nncore.load("classic.pkl", activations=["sigmoid", "softmax"])
    x = np.random.default_rng(0).random((20, 784), np.float32)
    assert_same_bits(nncore.load(out)(x), net(x))
    assert "784-7-10, 5,575 parameters, float32" in text
    assert "(assumed: the file names none; see --activations)" in text
    assert f"(npz)\n          {out.stat().st_size:,} bytes\n" in text
    assert "reads back as it was, bit for bit" in text
    assert "OUT gives what IN gives, up to rounding, for all 1,000\nsamples." in text
    lines = [line for line in text.splitlines() if str(out) not in line]
    assert max(map(len, lines)) <= 60


@pytest.mark.parametrize("first", [True, False], ids=["before the files", "after them"])
def test_activations(run, out, first):
    named = ["--activations", "relu", "identity"]
    arguments = [*named, "classic.pkl", out] if first else ["classic.pkl", out, *named]
    code, text, _ = run("convert", *arguments)
    assert code == 0
    assert "assumed" not in text
    assert [layer.activation for layer in nncore.load(out).layers] == ["relu", "identity"]


@pytest.mark.parametrize(("to", "back"), [("float64", "float32"), ("float32", "float32")])
def test_dtype(run, out, tmp_path, to, back):
    again = tmp_path / "again.npz"
    assert (
        run("convert", "named.npz", out, "--dtype", to, "--classes", "0,1,2,3,4,5,6,7,8,9")[0] == 0
    )
    net = nncore.load(out)
    assert net.dtype == to
    assert net.classes.tolist() == list(range(10))
    code, text, _ = run("convert", out, again, "--dtype", back)
    assert code == 0
    assert ("bytes, float32\n" in text) == (to != back)
    for w, before in zip(weights_of(nncore.load(again)), weights_of(nncore.load("named.npz")),
                         strict=True):  # fmt: skip
        assert_same_bits(w, before)


def test_a_double_network_rounded_to_floats_is_within_the_bound(run, out, tmp_path):
    double = tmp_path / "double.npz"
    nncore.Network([nncore.Dense(300, 40, "tanh"), nncore.Dense(40, 5)], seed=0,
                   dtype="float64").save(double)  # fmt: skip
    code, text, _ = run("convert", double, out, "--dtype", "float32", "--json")
    (found,) = json.loads(text)["check"]["differences"]
    assert code == 0
    assert 1e-9 < found["largest"] <= found["bound"] < 1e-4
    assert 0.001 < found["share"] < 1


def test_weights_in_bfloat16(run, out, tmp_path):
    net, back = tmp_path / "net.npz", tmp_path / "back.npz"
    nncore.Network([nncore.Dense(300, 200, "relu"), nncore.Dense(200, 5)], seed=0).save(net)
    code, text, err = run("convert", net, out, "--weights", "bfloat16")
    assert (code, err) == (0, "")
    assert "bytes, float32, bfloat16 weights\n" in text
    assert "reads back as it was, bit for bit" in text
    assert 0.5 < out.stat().st_size / net.stat().st_size < 0.52
    x = np.random.default_rng(0).random((20, 300), np.float32)
    rounded = nncore.load(net).with_weights("bfloat16")
    assert_same_bits(nncore.load(out)(x), rounded(x))
    # The bound knows of the rounding, and is not much larger than what it makes.
    (found,) = json.loads(run("convert", net, out, "--weights", "bfloat16", "--overwrite",
                              "--json")[1])["check"]["differences"]  # fmt: skip
    assert 1e-4 < found["largest"] <= found["bound"] < 1
    assert 0.1 < found["share"] < 1
    # Without the option they stay what they are, and nothing is rounded once more.
    for option, kind in (([], "bfloat16"), (["--weights", "float32"], "float32")):
        code, text, _ = run("convert", out, back, "--overwrite", "--json", *option)
        facts = json.loads(text)
        assert (code, facts["out"]["weight_type"]) == (0, kind)
        assert facts["check"]["differences"][0]["bound"] < 1e-3
        assert_same_bits(nncore.load(back)(x), rounded(x))


def test_weights_that_are_more_than_rounded_are_beyond_the_bound(run, out, tmp_path, monkeypatch):
    net = tmp_path / "net.npz"
    nncore.Network([nncore.Dense(300, 5)], seed=0).save(net)
    real = nncore.Network.with_weights

    def cut(self, kind):  # as if the lower halves were cut off
        small = real(self, kind)
        layer = small.layers[0]
        layer.weights = (self.layers[0].weights.view(np.uint32) >> 18 << 18).view(np.float32)
        return small

    monkeypatch.setattr(nncore.Network, "with_weights", cut)
    assert run("convert", net, out, "--weights", "bfloat16")[0] == 1
    assert not out.exists()


def test_weights_in_bfloat16_are_refused_by_name(run, tmp_path):
    net, double = tmp_path / "net.npz", tmp_path / "double.npz"
    layers = [nncore.Dense(3, 2)]
    nncore.Network(layers, seed=0).save(net)
    nncore.Network([nncore.Dense(3, 2)], seed=0, dtype="float64").save(double)
    other = tmp_path / "net.safetensors"
    assert run("convert", net, other, "--weights", "bfloat16")[2] == (
        f"nncore: error: OUT is {other}, expected a name in .npz for --weights bfloat16\n"
    )
    out = tmp_path / "out.npz"
    assert run("convert", double, out, "--weights", "bfloat16")[2] == (
        "nncore: error: the network is a float64 one, expected float32 for --weights bfloat16: "
        "say --dtype float32 as well\n"
    )
    assert run("convert", double, out, "--weights", "bfloat16", "--dtype", "float32")[0] == 0
    assert nncore.load(out).layers[0].weight_type == "bfloat16"


def test_classes_of_text_are_kept_and_shown(run, out):
    names = "zero,one,two,three,four,five,six,seven,eight,nine"
    assert run("convert", "classic.pkl", out, "--classes", names)[0] == 0
    assert nncore.load(out).classes.tolist() == names.split(",")
    text = run("convert", out, out, "--overwrite")[1]
    assert "classes zero, one, two, ..., eight, nine" in text


def test_an_existing_file_stays_unless_told(run, out):
    out.write_bytes(b"precious")
    code, text, err = run("convert", "classic.pkl", out)
    assert (code, text) == (2, "")
    assert err == (
        f"nncore: error: {out} exists, and would be replaced: say --overwrite to replace it\n"
    )
    assert out.read_bytes() == b"precious"
    assert run("convert", "classic.pkl", out, "--overwrite")[0] == 0
    assert nncore.load(out).parameters == 5575


def test_a_file_can_be_converted_onto_itself(run, tmp_path):
    path = tmp_path / "net.npz"
    nncore.Network([nncore.Dense(3, 2, "softmax")], seed=0).save(path)
    before = nncore.load(path)([1, 2, 3])
    assert run("convert", path, path, "--overwrite", "--dtype", "float64")[0] == 0
    assert nncore.load(path).dtype == "float64"
    assert nncore.load(path)([1, 2, 3]) == pytest.approx(before, rel=1e-6)


def test_without_a_check_nothing_is_run(run, out, monkeypatch):
    monkeypatch.setattr(_origins, "runtime_of", None)
    code, text, _ = run("convert", "classic.pkl", out, "--check", "0")
    assert code == 0
    assert "check     none (--check 0)" in text
    assert "time" not in text
    assert json.loads(run("convert", out, out, "--overwrite", "--check", "0", "--json")[1]) [
        "check"
    ] is None  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "expected two files, IN and OUT, got none (see nncore convert --help)"),
        (["a"], "expected two files, IN and OUT, got a (see nncore convert --help)"),
        (["a", "b", "c"], "expected two files, IN and OUT, got a, b, c (see .*"),
        (["nowhere.npz", "o.npz"], "nowhere.npz: No such file or directory"),
        (["broken.npz", "o.npz"], "broken.npz: .*"),
        (["named.npz", "empty"], "empty: Is a directory"),
        (["named.npz", "no/where/o.npz"], "no/where/o.npz: the folder .* does not exist"),
        (["named.npz", "o.xyz"], "o.xyz: .*\\.npz.*"),
        (["named.npz", "o.pkl"], "o.pkl: .*\\.npz.*"),
        (["named.npz", "o.npz", "--classes", "a,b"], "classes has 2 names, expected 10"),
        (["named.npz", "o.npz", "--check", "-1"], ".*--check.*'-1', expected a whole number.*"),
        (["named.npz", "o.npz", "--seed", "x"], ".*--seed.*'x', expected a whole number.*"),
        (
            ["named.npz", "o.npz", "--activations", "relu"],
            "named.npz: names its activations itself, .*",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors(run, files, arguments, error):
    before = sorted(os.listdir(files))
    code, text, err = run("convert", *arguments)
    assert (code, text) == (2, "")
    import re

    pattern = re.escape(f"nncore: error: {error}\n").replace(r"\.\*", ".*").replace(r"\\\.", r"\.")
    assert re.fullmatch(pattern, err), err
    assert sorted(os.listdir(files)) == before


# ---- the check can fail


@pytest.fixture
def faulty_writer(monkeypatch):
    """The writer of .npz files changes one weight in 5,488, by 2 %."""
    from nncore.formats import npz

    write = npz.write

    def wrong(path, layers, dtype, classes=None):
        copies = [nncore.Dense(layer.in_features, layer.out_features, layer.activation)
                  for layer in layers]  # fmt: skip
        for copy, layer in zip(copies, layers, strict=True):
            w = layer.weights.copy()
            w[0, 0] *= 1.02
            copy.set_weights(w, layer.bias)
        write(path, copies, dtype, classes)

    monkeypatch.setattr(npz, "write", wrong)


def test_a_difference_beyond_rounding_leaves_no_file_behind(run, out, faulty_writer):
    code, text, err = run("convert", "classic.pkl", out)
    assert (code, err) == (1, "")
    assert not out.exists()
    assert list(out.parent.iterdir()) == []
    assert "written   NOTHING, because of what follows\n" in text
    assert "reads back with other bits" in text
    assert "reads back as it was, bit for bit" not in text
    assert "OUT is off by more than" in text
    assert "gives what IN gives" not in text
    found = json.loads(run("convert", "classic.pkl", out, "--json")[1])
    assert found["ok"] is False
    assert found["out"]["written"] is False
    assert found["check"]["differences"][0]["share"] > 1
    assert found["check"]["differences"][0]["beyond"] > 500


def test_keep_writes_it_all_the_same_and_an_old_file_survives(run, out, faulty_writer):
    out.write_bytes(b"precious")
    assert run("convert", "classic.pkl", out, "--overwrite")[0] == 1
    assert out.read_bytes() == b"precious"
    code, text, _ = run("convert", "classic.pkl", out, "--overwrite", "--keep")
    assert code == 1
    assert "is written all the same (--keep)" in " ".join(text.split())
    assert nncore.load(out).parameters == 5575


def test_the_seed_decides_the_samples(run, out):
    def largest(seed):
        text = run("convert", "classic.pkl", out, "--overwrite", "--json", "--seed", seed)[1]
        check = json.loads(text)["check"]
        assert check["seed"] == seed
        return check["differences"][0]["largest"]

    assert largest(1) == largest(1) != largest(2)


def test_json_has_it_all(run, out):
    facts = json.loads(run("convert", "named.npz", out, "--json", "--check", "1500")[1])
    assert facts["in"]["format"] == facts["out"]["format"] == "npz"
    assert facts["in"]["sizes"] == [784, 9, 10]
    assert facts["out"]["bytes"] == out.stat().st_size
    check = facts["check"]
    assert check["samples"] == 1500
    assert check["inputs"] == "bytes, 0 to 255"
    assert check["longest_sum"] == 784
    assert check["same_bits"] is True
    assert (check["batch"], check["threads"]) == (1000, 1)
    assert [row["side"] for row in check["times"]] == ["in", "out"]
    assert all(0 < row["one"] < row["batch"] for row in check["times"])
    (found,) = check["differences"]
    assert (found["labels"], found["beyond"]) == (0, 0)
    assert found["kinds"] > 1


# ---- origins


class Stub:
    """A runtime that gives what the network gives, times a factor."""

    name, dtype, takes_integers, notes = "stub 1.0", F4, False, ("is a stub",)
    factor = np.float32(1)
    wait = 0.0

    def __init__(self, file, threads):
        self._net = file.loaded.net
        type(self).seen = file.path, threads

    def prepare(self, x):
        import time

        def call():
            time.sleep(self.wait)
            return self._net(x)

        return call

    def outputs(self, result):
        return result * self.factor


def use(monkeypatch, *runtimes):
    monkeypatch.setitem(_origins._RUNTIMES, "pickles", tuple((each, "stub") for each in runtimes))


def test_the_origin_runs_the_file(run, out, monkeypatch):
    use(monkeypatch, Stub)
    code, text, _ = run("convert", "classic.pkl", out, "--threads", "2")
    assert code == 0
    assert Stub.seen == ("classic.pkl", 2)
    assert "IN by     stub 1.0\n" in text
    assert "IN   stub 1.0" in text
    assert "IN: is a stub." in text
    assert "NumPy" not in text
    assert ["largest", "difference", "0"] in [line.split() for line in text.splitlines()]
    assert "time (µs), 2 threads" in text or "time (us), 2 threads" in text


def test_an_origin_that_disagrees_fails_the_conversion(run, out, monkeypatch):
    class Wrong(Stub):
        factor = np.float32(1 + 1e-4)

    use(monkeypatch, Wrong)
    code, text, _ = run("convert", "classic.pkl", out)
    assert code == 1
    assert "DIFFERENT" in text
    assert not out.exists()


def test_a_faster_origin_is_said_to_be_faster(run, out, monkeypatch):
    class Fast(Stub):
        def prepare(self, x):
            y = self._net(x)
            return lambda: y

    use(monkeypatch, Fast)
    code, text, _ = run("convert", "classic.pkl", out)
    assert code == 0
    assert "is slower than IN for 1 sample (" in " ".join(text.split())


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ModuleNotFoundError("no", name="stub"), "stub is not installed (pip install stub)"),
        (_origins.UnavailableError("too old"), "stub: too old"),
        (RuntimeError("a\nb"), "stub cannot run it: RuntimeError: a b"),
        (ValueError("odd"), "stub cannot run it: odd"),
    ],
)
def test_an_origin_that_cannot_run_is_said_aloud(run, out, monkeypatch, error, why):
    def unavailable(file, threads):
        raise error

    use(monkeypatch, unavailable)
    code, text, _ = run("convert", "classic.pkl", out)
    words = " ".join(text.split())
    assert code == 0
    assert f"WAS NOT RUN by the library it came from: {why}" in words
    assert "not whether it was read right" in words
    assert "IN by     NumPy" in text
    assert "OUT gives what NumPy makes of what was read" in words


def test_the_next_runtime_serves_where_the_first_is_missing(run, out, monkeypatch):
    def missing(file, threads):
        raise ModuleNotFoundError("no", name="stub")

    use(monkeypatch, missing, Stub)
    text = run("convert", "classic.pkl", out)[1]
    assert "IN by     stub 1.0\n" in text
    assert "NOT RUN" not in text


def test_an_origin_with_another_number_of_outputs_is_an_error(run, out, monkeypatch):
    class Wide(Stub):
        def outputs(self, result):
            return np.ones((len(np.atleast_2d(result)), 11), np.float32)

    use(monkeypatch, Wide)
    code, _, err = run("convert", "classic.pkl", out)
    assert code == 2
    assert "it gives 11 outputs, nncore 10" in err
    assert not out.exists()


# ---- the samples


@pytest.mark.parametrize(
    ("front", "what", "least", "greatest"),
    [
        ([], "standard normal", -6, 6),
        ([nncore.Rescaling(1 / 255)], "bytes, 0 to 255", 0, 255),
        ([nncore.Rescaling(1 / 127.5, offset=-1)], "bytes, 0 to 255", 0, 255),
        ([nncore.Rescaling(100.0, 300.0)], "standard normal after the Rescaling", -3.06, -2.94),
        (
            [nncore.Normalization([1e4, 1e4, 1e4], [1.0, 2.0, 3.0])],
            "normal, of the Normalization's mean and std", 1e4 - 15, 1e4 + 15,
        ),
    ],
)  # fmt: skip
def test_inputs_suit_the_network(front, what, least, greatest):
    net = nncore.Network([*front, nncore.Dense(3, 2)], seed=0)
    inputs = Inputs(net, F4, False, seed=3)
    x = inputs.draw(2000)
    assert inputs.what == what
    assert x.dtype == (np.uint8 if what.startswith("bytes") else F4)
    assert x.shape == (2000, 3)
    assert least <= x.min() < x.max() <= greatest
    assert x.max() - x.min() > 0.4 * (greatest - least)
    assert np.array_equal(Inputs(net, F4, False, seed=3).draw(2000), x)


def test_a_graph_of_integers_is_given_integers():
    net = nncore.Network([nncore.Dense(3, 2)], seed=0)
    assert Inputs(net, F4, True, seed=0).draw(5).dtype == np.uint8


# ---- the bound


def random_networks(count):
    random = np.random.default_rng(17)
    hidden = list(ORACLES)
    for _ in range(count):
        depth = int(random.integers(1, 6))
        sizes = [int(2 ** random.uniform(0, 9)) for _ in range(depth + 1)]
        names = [str(random.choice(hidden)) for _ in range(depth)]
        if random.random() < 0.4:
            names[-1] = str(random.choice(["softmax", "log_softmax"]))
        layers = []
        for k, m, name in zip(sizes[:-1], sizes[1:], names, strict=True):
            layer = nncore.Dense(k, m, name)
            scale = random.choice([0.3, 1.0, 3.0]) / k**0.5
            layer.set_weights(
                (scale * random.standard_normal((k, m))).astype("f4"),
                random.standard_normal(m).astype("f4"),
            )
            layers.append(layer)
        yield nncore.Network(layers), random.standard_normal((100, sizes[0])).astype("f4")


def test_rounding_stays_within_the_bound_and_uses_some_of_it():
    shares = []
    for net, x in random_networks(60):
        right = expected(net, x, (F4, F8))
        apart = np.abs(net(x) - right.outputs)
        assert (apart <= right.outputs_apart).all(), net
        assert (np.abs(net.logits(x) - right.logits) <= right.logits_apart).all(), net
        shares.append((apart / right.outputs_apart).max())
    assert np.median(shares) > 0.01  # else a mistake could hide in it


def test_another_slope_or_epsilon_is_beyond_the_bound():
    random = np.random.default_rng(3)
    w = random.standard_normal((64, 32)).astype("f4") / 8
    x = random.standard_normal((200, 64)).astype("f4")

    def net(slope, variance):
        layer = nncore.Dense(64, 32, "leaky_relu", alpha=slope)
        layer.set_weights(w / np.float32(variance**0.5), np.zeros(32))
        return nncore.Network([layer])

    def share(other):
        found = Differences(net(0.01, 1.0), (F4, F4))
        found.add(x, other(x), net(0.01, 1.0)(x))
        return found.share

    assert share(net(0.01, 1.0)) == 0
    assert share(net(0.0101, 1.0)) > 1
    assert share(net(0.01, 1.001)) > 10  # Keras' epsilon instead of PyTorch's


# ---- differences


def classifier(activation="softmax", m=3, classes=None):
    net = nncore.Network.from_arrays([np.eye(m, dtype="f4")], [np.zeros(m, "f4")], [activation])
    net.classes = classes
    return net


def test_labels_that_differ_come_with_the_margin_of_their_logits():
    net = classifier()
    x = np.float32([[1, 1 + 1e-7, 0], [3, 0, 0], [0, 0, 2]])
    y = net(x)
    other = y.copy()
    other[0] = y[0, [1, 0, 2]]
    other[0, 0] = np.nextafter(other[0, 1], np.float32(1))  # the other one wins by an ULP
    found = Differences(net, (F4, F4))
    found.add(x, other, y)
    facts = found.facts()
    assert facts["labels"] == 1
    assert facts["kinds"] == 3
    assert facts["margin"] == pytest.approx(1.2e-7, rel=0.01)
    assert facts["margin"] <= facts["margin_bound"]
    assert facts["beyond"] == 0


def test_labels_alone_can_be_compared_and_fail():
    net = classifier(classes=["a", "b", "c"])
    x = np.float32([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    found = Differences(net, (F4, F4))
    found.add(x, np.array(["a", "b", "c"]), net(x))
    assert (found.labels, found.beyond) == (0, 0)
    found.add(x, np.array(["a", "c", "unknown"]), net(x))
    assert (found.labels, found.beyond) == (2, 2)
    assert found.facts()["largest"] is found.facts()["share"] is None


def test_of_two_probabilities_the_second_is_that_of_a_single_sigmoid():
    net = classifier("sigmoid", m=1)
    x = np.float32([[2], [-1], [0.5]])
    p = net(x)
    found = Differences(net, (F4, F4))
    found.add(x, np.hstack([1 - p, p]), p)
    assert (found.share, found.labels, found.kinds) == (0, 0, 2)
    found.add(x, np.hstack([p, 1 - p]), p)
    assert found.labels == 3
    assert found.beyond == 3


def test_a_regression_has_no_labels(run, out, tmp_path):
    path = tmp_path / "line.npz"
    nncore.Network([nncore.Dense(3, 1)], seed=0).save(path)
    text = run("convert", path, out)[1]
    assert "labels" not in text


def test_nan_on_both_sides_is_no_difference_and_on_one_side_is():
    net = classifier("identity")
    x = np.float32([[1, 2, np.nan], [1, 2, 3]])
    y = net(x)
    found = Differences(net, (F4, F4))
    found.add(x, y, y)
    assert (found.share, found.beyond) == (0, 0)
    other = y.copy()
    other[1, 0] = np.nan
    found.add(x, other, y)
    assert found.share == np.inf
    assert found.beyond == 1
