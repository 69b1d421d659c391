"""What `nncore inspect` shows of one input: the numbers are those of `net.trace`."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nncore
from nncore.cli._inspect_numbers import aligned, number

from .inspected import INPUTS, NETWORKS, blocks, nodes, rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("inspected")
    for name, net in NETWORKS.items():
        net.save(path / f"{name}.npz")
    return path


@pytest.fixture
def show(run, folder):
    """Inspect one of the networks with an input; return the text, or the facts with --json."""

    def inspect(name, values=None, *options):
        values = INPUTS[name] if values is None else values
        code, out, err = run("inspect", folder / f"{name}.npz", "--input", values, *options)
        assert (code, err) == (0, "")
        return json.loads(out) if "--json" in options else out

    return inspect


def sample(name):
    return np.array([float(part) for part in INPUTS[name].split(",")])


def assert_shown(shown, values):
    """Numbers are shown so that they read back as the same, or with nine figures of the largest.

    Those that would have few of these left are shown with five of their own.
    """
    values, shown = np.asarray(values), np.array(shown, np.float64)
    wide = values.astype(np.float64)
    finite = np.abs(wide[np.isfinite(wide) & (np.abs(wide) < 1e9)])
    unit = 10.0 ** (len(str(int(finite.max(initial=0.0)))) - 9)
    with np.errstate(invalid="ignore", over="ignore"):
        few = (np.abs(wide) < 1000 * unit) | (np.abs(wide) >= 1e9)
        error = np.where(few, 5.1e-5 * np.abs(wide), 0.51 * unit + np.abs(np.spacing(values)) / 2)
        near = np.abs(shown - wide) <= error
        same = (shown.astype(values.dtype) == values) | (np.isnan(shown) & np.isnan(values))
    assert (same | near).all()


def test_the_numbers_of_the_classic_network(show):
    text = show("classic")
    found = blocks(text)
    for numbers in (
        ("0.3", "0.57444252"),
        ("0.7", "0.66818777"),
        ("1.1", "0.75026011"),
        ("0.51615984", "0.62624937"),
        ("1.21402696", "0.7710107"),
        ("0.31682708", "0.31682708"),
        ("0.69627909", "0.69627909"),
    ):
        assert any(line.split()[1:3] == list(numbers) for lines in found.values() for line in lines)
    assert "outputs   0.31682708, 0.69627909\n" in text
    assert found["input"][0] == "input: 2 features"
    assert [line.split() for line in found["input"][2:4]] == [["0", "1"], ["1", "0.5"]]
    assert found["layer 1"][:2] == ["layer 1: 2 -> 3, sigmoid", "weights (2, 3), bias (3,)"]
    assert found["layer 3"][:2] == ["layer 3: 2 -> 2, identity", "weights (2, 2), bias (2,)"]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_numbers_are_those_of_trace(show, name):
    net = NETWORKS[name]
    found = blocks(show(name))
    for i, trace in enumerate(net.trace(sample(name)), start=1):
        shown = nodes(found[f"layer {i}"])
        assert len(shown) == min(len(trace.activation), 10)
        sums, activations = zip(*shown.values(), strict=True)
        places = list(shown)
        assert_shown(sums, trace.weighted_sum[places])
        assert_shown(activations, trace.activation[places])


def test_of_a_wide_layer_the_most_active_nodes_are_shown(show):
    found = blocks(show("wide", None, "--nodes", "7"))
    traces = NETWORKS["wide"].trace(sample("wide"))
    for i, trace in enumerate(traces, start=1):
        sums, y = trace.weighted_sum, trace.activation
        expected = np.argsort(-np.abs(y), kind="stable")[:7]
        assert list(nodes(found[f"layer {i}"])) == expected.tolist()
        below = " ".join(found[f"layer {i}"])
        assert f"{len(y) - 7} more nodes" in below
        least, greatest = int(sums.argmin()), int(sums.argmax())
        ends = [f"{number(sums[j], 4)} (node {j})" for j in (least, greatest)]
        assert f"sums from {ends[0]} to {ends[1]}" in " ".join(below.split())
    zeros = int((traces[0].activation == 0).sum())
    assert f"{zeros} of 300 activations are 0" in found["layer 1"]
    x = sample("wide")
    shown = [int(line.split()[0]) for line in found["input"][2:9]]
    assert shown == np.argsort(-np.abs(x), kind="stable")[:7].tolist()
    below = " ".join(" ".join(found["input"][9:]).split())
    assert below == "57 more features values from -2.5 (feature 0) to 3.5 (feature 6)"


def test_many_nodes_are_shown_in_order_if_asked_for(show):
    found = blocks(show("wide", None, "--nodes", "300"))
    assert list(nodes(found["layer 1"])) == list(range(300))
    assert not any(" more nodes" in line for lines in found.values() for line in lines)


def test_the_classes_and_the_probabilities(show):
    text = show("log")
    net, x = NETWORKS["log"], sample("log")
    answer = net.classes[net.predict(x)]
    table = rows(blocks(text)["layer 2"])
    assert [words[1] for _, words, _ in table] == net.classes.tolist()
    assert [words[1] for marked, words, _ in table if marked] == [answer]
    table = [line.split() for line in blocks(text)["probabilities"][2:]]
    table = [line[line[0] == ">" :] for line in table]
    assert [line[0] for line in table] == net.classes.tolist()
    assert_shown([float(line[1]) for line in table], net.predict_proba(x))
    assert f"answer    {answer}, probability {number(net.predict_proba(x).max())}\n" in text


def test_one_sigmoid_shows_both_probabilities(show):
    text = show("binary")
    net, x = NETWORKS["binary"], sample("binary")
    table = [line.replace("> ", "").split() for line in blocks(text)["probabilities"][2:]]
    assert [line[0] for line in table] == ["no", "yes"]
    assert_shown([float(line[1]) for line in table], net.predict_proba(x))
    assert f"answer    {net.classes[net.predict(x)]}, probability " in text


@pytest.mark.parametrize(("logit", "label"), [(1e-9, 1), (-1e-9, 0)])
def test_a_sigmoid_near_one_half_has_the_label_of_predict(run, tmp_path, logit, label):
    net = nncore.Network.from_arrays([np.array([[logit]], np.float32)], None, ["sigmoid"])
    net.save(tmp_path / "net.npz")
    out = run("inspect", tmp_path / "net.npz", "--input", "1", "--nodes", "1")[1]
    assert f"answer    {label}, probability 0.5\n" in out
    assert any(line.startswith(f"> {label}  ") for line in blocks(out)["probabilities"])


@pytest.mark.parametrize("activation", ["softmax", "log_softmax", "identity"])
def test_the_answer_is_among_the_classes_shown(run, tmp_path, activation):
    """Also where many probabilities are equal, and where other logits are larger in size."""
    for weights in (-1e-12 * np.arange(30.0), np.linspace(-9, 1, 30)):
        net = nncore.Network.from_arrays([weights[None]], None, [activation])
        net.classes = [f"c{i}" for i in range(30)]
        net.save(tmp_path / "net.npz")
        out = run("inspect", tmp_path / "net.npz", "--input", "1", "--nodes", "3")[1]
        best = int(weights.argmax())
        (marked,) = [words for is_it, words, _ in rows(blocks(out)["layer 1"]) if is_it]
        assert marked == [str(best), f"c{best}"]
        assert f"answer    c{best}" in out


def test_several_sigmoids_are_labels_of_their_own(show):
    text = show("several")
    labels = np.flatnonzero(NETWORKS["several"].predict(sample("several"))).tolist()
    assert f"answer    {', '.join(map(str, labels)) or 'none'}, of 4 labels\n" in text
    assert not any(marked for lines in blocks(text).values() for marked, _, _ in rows(lines))


def test_a_regression_has_a_value(show):
    text = show("regression")
    value = NETWORKS["regression"](sample("regression"))[0]
    assert f"output    {number(value)}\n" in text
    assert "probab" not in text
    assert rows(blocks(text)["layer 2"])[0][1] == ["0"]


def test_the_features_are_shown_as_the_first_layer_makes_them(show):
    first, x = NETWORKS["logits"].layers[0], sample("logits")
    lines = blocks(show("logits"))["input"]
    assert lines[1].split() == ["feature", "value", "normalized"]
    shown = [[float(word) for word in line.split()] for line in lines[2:]]
    assert [row[1] for row in shown] == x.tolist()
    assert_shown([row[2] for row in shown], np.float32((x - first.mean) / first.std))


def test_rescaled_features(run, tmp_path):
    nncore.Network([nncore.Rescaling(0.5, offset=-1), nncore.Dense(2, 1)], seed=0).save(
        tmp_path / "net.npz"
    )
    lines = blocks(run("inspect", tmp_path / "net.npz", "--input", "7,2")[1])["input"]
    assert [line.split() for line in lines[1:]] == [
        ["feature", "value", "rescaled"], ["0", "7", "2.5"], ["1", "2", "0"]
    ]  # fmt: skip


def test_nan_and_infinity_are_shown_as_they_are(show):
    text = show("xor", "1,inf")
    found = blocks(text)
    assert [line.split()[1] for line in found["input"][2:]] == ["1", "inf"]
    assert nodes(found["layer 1"]) == {0: (math.inf, math.inf), 1: (math.inf, math.inf)}
    assert [line.split()[:3] for line in found["layer 2"][3:]] == [["0", "nan", "nan"]]
    assert "answer    none: there is NaN among the last sums\n" in text
    for name in ("logits", "log", "binary", "several", "wide"):
        values = ",".join(["nan", *INPUTS[name].split(",")[1:]])
        assert "answer    none: there is NaN among the last sums\n" in show(name, values)
        facts = show(name, values, "--json")
        assert (facts["label"], facts["class"], facts["labels"]) == (None, None, None)
        assert facts["trace"][-1]["weighted_sum"] == [None] * NETWORKS[name].out_features


def test_numbers_too_large_for_the_network(show):
    lines = blocks(show("regression", "1e300,-1e-300,0,-0.0"))["input"]
    assert [line.split()[1] for line in lines[2:]] == ["1e+300", "-1e-300", "0", "-0"]


@pytest.mark.parametrize("name", NETWORKS)
def test_json_has_every_number(show, name):
    net, x = NETWORKS[name], sample(name)
    facts = show(name, None, "--json")
    assert facts["input"]["x"] == x.tolist()
    for found, trace in zip(facts["trace"], net.trace(x), strict=True):
        assert found["weighted_sum"] == trace.weighted_sum.tolist()
        assert found["activation"] == trace.activation.tolist()
    assert [layer["activation"] for layer in facts["layers"]] == facts["network"]["activations"]
    if name in ("classic", "xor", "regression"):
        assert (facts["label"], facts["class"], facts["probabilities"]) == (None, None, None)
    elif name == "several":
        assert facts["labels"] == net.predict(x).tolist()
    else:
        assert facts["label"] == net.predict(x)
        named = None if net.classes is None else net.classes[net.predict(x)]
        assert facts["class"] == named
        if name == "logits":
            assert facts["probabilities"] is None
        else:
            assert facts["probabilities"] == net.predict_proba(x).tolist()


# The largest ones are not among them: with five figures they may be rounded to infinity.
FLOATS = st.floats(-1e307, 1e307) | st.sampled_from([math.nan, math.inf, -math.inf, -0.0])


@given(st.lists(FLOATS, min_size=1, max_size=12), st.booleans())
def test_numbers_in_a_column_line_up(values, single):
    with np.errstate(over="ignore"):
        array = np.array(values, np.float32 if single else np.float64)
    texts = aligned(array)
    assert len({len(text) for text in texts}) == 1
    fixed = [text for text in texts if "." in text and "e" not in text]
    assert len({text.index(".") for text in fixed}) <= 1
    assert_shown([float(text) for text in texts], array)
