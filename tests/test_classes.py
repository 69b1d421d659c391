"""Names of classes: what is taken, what keeps them, and files that lie about them."""

from __future__ import annotations

import copy
import pickle
import tracemalloc

import numpy as np
import pytest
from network_files import header_of, refused, set_header

import nncore
from nncore import Dense, Network


def make_net(classes=("cat", "dog", "bird"), outputs=3, last="softmax"):
    return Network([Dense(4, outputs, last)], seed=0, classes=classes)


def test_there_are_none_unless_given():
    net = make_net(None)
    assert net.classes is None
    net.classes = ["a", "b", "c"]
    assert net.classes.tolist() == ["a", "b", "c"]
    net.classes = None
    assert net.classes is None


def test_labels_become_names():
    net = make_net()
    x = np.random.default_rng(0).normal(size=(50, 4))
    assert net.classes[net.predict(x)].shape == (50,)
    assert net.classes[net.predict(x[0])] in ("cat", "dog", "bird")
    assert (net.classes[net.predict_proba(x).argmax(1)] == net.classes[net.predict(x)]).all()


@pytest.mark.parametrize(
    ("classes", "dtype"),
    [
        (["cat", "dog", "bird"], "<U4"),
        (("", "é", "鳥"), "<U1"),
        (np.array(["a", "b", "c"]), "<U1"),
        (np.array(["a", "b", "c"], object), "<U1"),
        ([3, 1, 2], "int64"),
        (range(3), "int64"),
        (np.array([3, 1, 2], np.uint8), "int64"),
        (np.array([3, 1, -2], ">i4"), "int64"),
        ([0.5, -1.0, 2.0], "float64"),
        (np.array([0.5, 1, 2], np.float32), "float64"),
        ((name for name in "abc"), "<U1"),
    ],
)
def test_what_is_taken_and_kept(classes, dtype, tmp_path):
    net = make_net(classes)
    assert net.classes.dtype == dtype
    with pytest.raises(ValueError, match="read-only"):
        net.classes[0] = net.classes[1]
    net.save(tmp_path / "net.npz")
    twins = [nncore.load(tmp_path / "net.npz"), copy.copy(net), copy.deepcopy(net)]
    twins += [pickle.loads(pickle.dumps(net, protocol)) for protocol in range(2, 6)]
    for twin in twins:
        assert twin.classes.dtype == net.classes.dtype
        assert twin.classes.tolist() == net.classes.tolist()
        assert not twin.classes.flags.writeable
    twins[0].save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "net.npz").read_bytes()


def test_two_names_for_one_sigmoid(tmp_path):
    net = make_net([False, True], 1, "sigmoid")
    assert net.classes.dtype == bool
    net.save(tmp_path / "net.npz")
    assert nncore.load(tmp_path / "net.npz").classes.tolist() == [False, True]
    with pytest.raises(ValueError, match="classes has 1 names, expected 2"):
        make_net(["yes"], 1, "sigmoid")
    assert make_net(["yes"], 1, "identity").classes.tolist() == ["yes"]
    assert make_net(["a", "b"], 2, "sigmoid").classes.tolist() == ["a", "b"]


def test_names_are_a_copy():
    names = np.array(["a", "b", "c"])
    net = make_net(names)
    names[:] = "z"
    assert net.classes.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("classes", "error", "text"),
    [
        ("abc", TypeError, "classes is a str, expected one name for each class"),
        (b"abc", TypeError, "classes is a bytes, expected one name"),
        ({"a", "b", "c"}, TypeError, "classes is a set, expected .* in order"),
        ({"a": 0, "b": 1, "c": 2}, TypeError, "classes is a dict, expected"),
        (3, TypeError, "classes is of type int, expected one name"),
        (np.array("abc"), TypeError, r"classes has shape \(\), expected one name"),
        (np.zeros((3, 1)), TypeError, r"classes has shape \(3, 1\), expected one name"),
        ([["a"], ["b"], ["c"]], TypeError, "classes has names of the types list, expected"),
        (["a", 1, 2.5], TypeError, "classes has names of the types float, int, str, expected"),
        ([0, 1, 2.5], TypeError, "classes has names of the types float, int, expected"),
        ([True, 1, 2], TypeError, "classes has names of the types bool, int, expected"),
        (["a", None, "c"], TypeError, "classes has names of the types NoneType, str, expected"),
        ([1j, 2j, 3j], TypeError, "classes has names of the types complex, expected"),
        (np.array(["2020-01-01"] * 3, "M8[D]"), TypeError, "classes has names of the types date"),
        ([], ValueError, "classes has 0 names, expected 3"),
        (["a", "b"], ValueError, "classes has 2 names, expected 3"),
        (["a", "b", "c", "d"], ValueError, "classes has 4 names, expected 3"),
        (["a", "b", "a"], ValueError, "classes names a class twice, expected different names"),
        ([1.0, 2.0, np.nan], ValueError, "classes has a number that is not finite, expected"),
        ([np.nan, np.nan, 1.0], ValueError, "classes has a number that is not finite, expected"),
        ([0, 1, 2**63], ValueError, "classes has a number of more than 64 bits"),
        (np.array([0, 1, 2**64 - 1], np.uint64), ValueError, "a number of more than 64 bits"),
        (["a", "a\0", "b"], ValueError, "a name that ends with a null character, expected text"),
        (["a", "b", "c" * 10**7], ValueError, "3 names of up to 10000000 characters, expected at"),
    ],
)
def test_what_is_refused(classes, error, text):
    with pytest.raises(error, match="^" + text if text.startswith("classes") else text):
        make_net(classes)
    net = make_net()
    with pytest.raises(error, match=text):
        net.classes = classes
    assert net.classes.tolist() == ["cat", "dog", "bird"]


def test_training_keeps_them():
    net = make_net()
    x = np.random.default_rng(0).normal(size=(30, 4))
    net.fit(x, np.arange(30) % 3, epochs=1)
    assert net.classes.tolist() == ["cat", "dog", "bird"]


def test_the_repr_shows_them():
    assert repr(make_net()).splitlines()[-1] == "3 classes: cat, dog, bird"
    assert "classes" not in repr(make_net(None))
    many = repr(make_net(range(1000), 1000)).splitlines()[-1]
    assert many == "1,000 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, ..., 999"
    long = repr(make_net(["x" * 500, "two\nlines", "c"])).splitlines()[-1]
    assert long == "3 classes: " + "x" * 20 + "..., two\\nlines, c"


# ---- files


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "net.npz"
    make_net().save(path)
    return path


def test_a_file_without_names_stays_readable_for_older_ones(tmp_path):
    make_net(None).save(tmp_path / "net.npz")
    assert header_of(tmp_path / "net.npz")["version"] == 1
    make_net().save(tmp_path / "net.npz")
    assert header_of(tmp_path / "net.npz")["version"] == 3


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        (None, "the header's classes are None, expected a list of text or of numbers"),
        ("abc", "the header's classes are 'abc', expected a list"),
        ({"0": "a"}, "the header's classes are {'0': 'a'}, expected a list"),
        ([], "the header's classes are [], expected a list"),
        ([["a"], ["b"], ["c"]], "the header's classes are [['a'], ['b'], ['c']], expected a list"),
        (["a", "b", 3], "the header's classes are ['a', 'b', 3], expected a list"),
        ([1, 2, 3.5], "the header's classes are [1, 2, 3.5], expected a list"),
        ([True, 2, 3], "the header's classes are [True, 2, 3], expected a list"),
        ([None, None, None], "the header's classes are [None, None, None], expected a list"),
        (["a", "b"], "classes has 2 names, expected 3"),
        (list(map(str, range(1000))), "classes has 1000 names, expected 3"),
        (["a", "b", "a"], "classes names a class twice, expected different names"),
        ([1, 2, 10**30], "classes has a number of more than 64 bits"),
        (["a", "a\0", "b"], "classes has a name that ends with a null character"),
    ],
)
def test_headers_that_are_refused(saved, classes, text):
    set_header(saved, header_of(saved) | {"classes": classes})
    refused(saved, text)


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_version_knows_no_names(saved, version):
    set_header(saved, header_of(saved) | {"version": version})
    refused(saved, "the header has the unknown key 'classes'")


def test_one_long_name_among_many_takes_no_memory(tmp_path):
    outputs = 100_000
    path = tmp_path / "net.npz"
    make_net(range(outputs), outputs).save(path)
    names = [*map(str, range(outputs - 1)), "x" * 1_000_000]  # 400 GB as an array
    set_header(path, header_of(path) | {"classes": names})
    tracemalloc.start()
    refused(path, "classes has 100000 names of up to 1000000 characters, expected at most 16777216")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_named_outputs_without_activation_are_logits():
    net = nncore.Network.from_arrays([np.eye(3)], None, ["identity"])
    x = [[0.0, 2.0, 1.0], [5.0, 0.0, 0.0]]
    np.testing.assert_array_equal(net.predict(x), net(x))
    net.classes = ["a", "b", "c"]
    assert net.predict(x).tolist() == [1, 0]
    assert net.classes[net.predict(x)].tolist() == ["b", "a"]
    net.classes = None
    np.testing.assert_array_equal(net.predict(x), net(x))


@pytest.mark.parametrize("kind", [list, np.array, lambda t: np.array(t, object)])
def test_fit_and_evaluate_take_names(kind):
    x = np.random.default_rng(0).standard_normal((40, 4))
    t = np.arange(40) % 3
    names = np.array(["cat", "dog", "ape"])  # in no order
    results = []
    for targets in (t, kind(names[t].tolist())):
        net = nncore.Network([nncore.Dense(4, 3, "softmax")], seed=0, classes=names)
        net.fit(x, targets, epochs=2, seed=0)
        results.append((net.layers[0].weights.tobytes(), net.evaluate(x, targets)))
    assert results[0] == results[1]
    with pytest.raises(ValueError, match=r"t has the label 'cow', expected names in net\.classes"):
        net.fit(x, ["cow"] * 40)
