"""Slips that users make: each is refused with its cause and a way out, or does what they expect."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import numpy as np
import pytest
from fits import M, N, make_data, make_net, weights
from reference import assert_same_bits

import nncore
from nncore import Dense, Network, Normalization, Rescaling

# ---- one image


def test_one_image_is_told_how_to_go_in():
    net = Network([Dense(784, 10)], seed=0)
    image = np.random.default_rng(0).random((28, 28))
    for use in (net, net.logits, net.predict, net.trace):
        with pytest.raises(ValueError, match="28 features") as caught:
            use(image)
        assert str(caught.value) == (
            "x has 28 features, this network takes 784: for one sample write x.reshape(1, -1) or "
            "x[None]"
        )
    assert_same_bits(net(image.reshape(1, -1)), net(image[None]))  # as it says


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((12, 1), "x has 1 feature, this network takes 12: for one sample write x.reshape(1, -1)"),
        ((3, 4, 1), "with h * w = 12: for one sample write x.reshape(1, -1)"),
        ((1, 3, 2, 2), "with h * w = 12: for one sample write x.reshape(1, -1)"),
        ((5, 3, 4, 1), "with h * w = 12: write x.reshape(len(x), -1)"),
        ((5, 2, 3, 2), "with h * w = 12: write x.reshape(len(x), -1)"),
        ((5, 3, 3), "with h * w = 12$"),
        ((6, 4), "x has 4 features, this network takes 12$"),
        ((24,), "x has 24 features, this network takes 12$"),
        ((), "with h * w = 12$"),
        ((0, 3, 4, 1), "with h * w = 12: write x.reshape(len(x), -1)"),
    ],
)
def test_what_a_shape_of_the_right_size_is_told(shape, hint):
    net = Network([Dense(12, 2)], seed=0)
    pattern = re.escape(hint).replace(r"\$", "$")
    with pytest.raises(ValueError, match=pattern):
        net(np.zeros(shape))


# ---- targets and weights


@pytest.mark.parametrize("last", ["softmax", "log_softmax"])
@pytest.mark.parametrize("kind", [int, float, np.uint8])
def test_labels_may_be_a_column(last, kind):
    x, t = make_data()
    column, row = make_net(last), make_net(last)
    column.fit(x, t.astype(kind).reshape(-1, 1), epochs=2, validation=(x, t[:, None]))
    row.fit(x, t, epochs=2, validation=(x, t))
    assert weights(column) == weights(row)


def test_one_output_takes_a_column_and_a_row():
    x, t = make_data()
    found = []
    for targets in (t > 0, (t > 0)[:, None]):
        net = Network([Dense(6, 1, "sigmoid")], seed=0)
        net.fit(x, targets, epochs=2)
        found.append((weights(net), net.evaluate(x, targets)))
    assert found[0] == found[1]


def test_a_column_of_probabilities_stays_one_for_a_single_output():
    net = Network([Dense(6, 1, "softmax")], seed=0)
    assert net.evaluate(np.ones((2, 6)), [[1.0], [1.0]]) == (0.0, 1.0)
    with pytest.raises(ValueError, match=r"t\[1\] sums to 0, expected a row of probabilities"):
        net.evaluate(np.ones((2, 6)), [[1.0], [0.0]])


def skewed():
    x, t = make_data(100)
    keep = np.r_[np.flatnonzero(t == 0), np.flatnonzero(t == 1)[:5], np.flatnonzero(t == 2)[:11]]
    return x[keep], t[keep]


def test_balanced_weights_are_sample_weights():
    x, t = skewed()
    counts = np.bincount(t)
    assert len(set(counts)) == 3
    explicit = (len(t) / (3 * counts))[t]
    balanced, by_hand, plain = make_net(), make_net(), make_net()
    balanced.fit(x, t, epochs=3, class_weight="balanced", batch_size=7)
    by_hand.fit(x, t, epochs=3, sample_weight=explicit, batch_size=7)
    plain.fit(x, t, epochs=3, batch_size=7)
    assert weights(balanced) == weights(by_hand) != weights(plain)
    by_class = dict(enumerate(len(t) / (3 * counts)))
    for options in ({"class_weight": "balanced"}, {"class_weight": by_class}):
        assert balanced.evaluate(x, t, **options) == balanced.evaluate(x, t, sample_weight=explicit)
    one_hot = balanced.gradients(x, np.eye(3)[t], class_weight="balanced")[0]
    assert one_hot == balanced.gradients(x, t, sample_weight=explicit)[0]


def test_balanced_weights_are_those_of_scikit_learn():
    module = pytest.importorskip("sklearn.utils.class_weight", reason="needs scikit-learn")
    x, t = skewed()
    weight = np.random.default_rng(0).random(len(t))
    for given in (None, weight):
        by_class = module.compute_class_weight(
            "balanced", classes=np.arange(3), y=t, sample_weight=given
        )
        ours = make_net().gradients(x, t, class_weight="balanced", sample_weight=given)[0]
        assert ours == make_net().gradients(x, t, class_weight=by_class, sample_weight=given)[0]


def test_balanced_weights_of_a_binary_network_and_of_a_class_that_is_missing():
    x, t = skewed()
    binary = (t == 1).astype(float)
    net = Network([Dense(6, 1, "sigmoid")], seed=0)
    explicit = (len(t) / (2 * np.bincount(t == 1)))[(t == 1).astype(int)]
    for targets in (binary, binary[:, None]):
        found = net.gradients(x, targets, class_weight="balanced")[0]
        assert found == net.gradients(x, targets, sample_weight=explicit)[0]
    two = t < 2  # no sample of class 2, or none that weighs anything
    counts = np.bincount(t[two])
    explicit = (two.sum() / (2 * counts))[t[two]]
    expected = make_net().gradients(x[two], t[two], sample_weight=explicit)[0]
    assert make_net().gradients(x[two], t[two], class_weight="balanced")[0] == expected
    found = make_net().gradients(x, t, class_weight="balanced", sample_weight=two)[0]
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"class_weight": "Balanced"},
            "class_weight is 'Balanced', expected 'balanced', a mapping",
        ),
        ({"class_weight": "balanced", "t": np.full((N, M), 1 / 3)}, "class_weight needs one class"),
    ],
)
def test_balanced_weights_that_are_refused(options, text):
    x, t = make_data()
    with pytest.raises(ValueError, match=text):
        make_net().fit(x, options.pop("t", t), **options)


@pytest.mark.parametrize("kind", [list, np.array, lambda t: np.array(t, object)])
def test_names_as_targets_are_told_how_to_become_numbers(kind):
    net, names = make_net(), kind(["c", "a", "b"] * 20)
    with pytest.raises(
        TypeError, match=r"^t has dtype .*, t = numpy.unique\(t, return_inverse=True"
    ):
        net.fit(make_data()[0], names)
    classes, t = np.unique(names, return_inverse=True)  # as it says
    net.fit(make_data()[0], t)
    net.classes = classes
    assert net.classes[t].tolist() == list(names)


# ---- numbers that are too large


@pytest.mark.filterwarnings("error")
def test_a_number_too_large_becomes_infinity_as_in_astype():
    net = Network.from_arrays([[[1.0], [1.0]]], None, ["identity"], dtype="float32")
    with np.errstate(over="ignore"):
        cast = np.array([1e300, 1.0]).astype(np.float32)
    assert net([1e300, 1.0]) == net(cast) == [np.inf]
    assert np.isnan(net([1e300, -1e300]))
    with pytest.raises(ValueError, match=r"x\[0, 0\] is 1e\+300, expected finite numbers in float"):
        net.evaluate([[1e300, 1.0]], [1.0])
    assert "becomes infinity" in " ".join(Network.__call__.__doc__.split())


# ---- data frames and tensors


def test_data_frames_of_nullable_columns():
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    net = Network([Dense(3, 2)], seed=0)
    plain = np.array([[1, 0.5, 1], [2, 1.5, 0]])
    frame = pandas.DataFrame(plain, columns=["a", "b", "c"])
    nullable = frame.astype({"a": "Int64", "b": "Float64", "c": "boolean"})
    assert np.asarray(nullable).dtype == object  # what NumPy makes of it
    assert_same_bits(net(nullable), net(plain))
    assert_same_bits(net(frame.astype({"a": "Int8", "c": "UInt8"})), net(plain))
    assert_same_bits(net(nullable.set_axis(["a", "a", "a"], axis=1)), net(plain))
    history = net.fit(nullable, frame[["a", "b"]].astype("Float32"), epochs=1)
    assert history.epochs == 1
    missing = nullable.copy()
    missing.loc[1, "c"] = pandas.NA
    with pytest.raises(ValueError, match=r"^the column 'c' of x has missing values, .*x.fillna\(0"):
        net(missing)
    assert_same_bits(net(missing.fillna(False)), net(plain))
    with pytest.raises(ValueError, match="the column 'c' of t has missing values"):
        net.fit(nullable, missing[["a", "c"]])


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        (["x", "y"], "(object|str)"),
        (np.array([1, 2.5], object), "object"),
        (np.array(["2020-01-01"] * 2, "M8[us]"), r"datetime64\[us\]"),
    ],
)
def test_data_frames_with_columns_that_are_no_numbers(column, dtype):
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    net = Network([Dense(2, 2)], seed=0)
    frame = pandas.DataFrame({"good": pandas.array([1, 2], "Int64"), "odd": column})
    with pytest.raises(TypeError, match=f"^the column 'odd' of x has dtype {dtype}, expected re"):
        net(frame)


def test_tensors_that_require_grad():
    torch = pytest.importorskip("torch", reason="needs torch")
    net = Network([Dense(2, 2)], seed=0)
    x = torch.ones(3, 2, requires_grad=True)
    with pytest.raises(TypeError, match=r"^x is a tensor that requires grad, .*: x\.detach\(\)$"):
        net(x)
    assert_same_bits(net(x.detach()), net(np.ones((3, 2), np.float32)))
    with pytest.raises(TypeError, match=r"^t is a tensor that requires grad"):
        make_net().fit(np.ones((3, 6)), x)


# ---- attributes that are not there


@pytest.mark.parametrize(
    ("thing", "name", "text"),
    [
        (Dense(2, 2), "weight", "Dense has no attribute 'weight', did you mean 'weights'?"),
        (Dense(2, 2), "biases", "Dense has no attribute 'biases', did you mean 'bias'?"),
        (Dense(2, 2), "zzz", "Dense has no attribute 'zzz'"),
        (Rescaling(2), "scales", "Rescaling has no attribute 'scales', did you mean 'scale'?"),
        (Normalization([0], [1]), "mu", "Normalization has no attribute 'mu'"),
        (
            Network([Dense(2, 2)], seed=0),
            "layer",
            "Network has no attribute 'layer', did you mean 'layers'?",
        ),
    ],
)
def test_unknown_attributes_are_refused(thing, name, text):
    with pytest.raises(AttributeError, match=f"^{re.escape(text)}$"):
        setattr(thing, name, np.ones((2, 2)))
    assert not hasattr(thing, name)


def test_attributes_that_cannot_be_set_say_so():
    with pytest.raises(AttributeError, match="layers"):
        make_net().layers = []
    with pytest.raises(AttributeError, match="in_features"):
        Dense(2, 2).in_features = 3
    layer = Dense(2, 2)
    layer.init = "he"  # this one can
    layer.weights = np.ones((2, 2))
    assert layer.weights.sum() == 4


class Named(Network):
    def __init__(self, *args, title="", **options):
        super().__init__(*args, **options)
        self.title = title


class Shared:
    def __setattr__(self, name, value):
        super().__setattr__("_seen", [*self.__dict__.get("_seen", []), name])
        super().__setattr__(name, value)


class Wide(Dense, Shared):
    def __init__(self, *args, factor=1):
        super().__init__(*args)
        self.factor = factor


def test_classes_of_users_take_any_attribute():
    net = Named([Wide(2, 2, factor=3), Dense(2, 2)], seed=0, title="mine")
    net.whatever = 1
    assert (net.title, net.whatever, net.layers[0].factor) == ("mine", 1, 3)
    assert "factor" in net.layers[0]._seen, "a mixin's __setattr__ is called, too"
    twin = pickle.loads(pickle.dumps(net.layers[0]))
    assert twin.factor == 3
    net._private = 1  # of Network itself, too
    make_net()._private = 1


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
@pytest.mark.parametrize(
    "thing", [Dense(2, 2, "relu"), Rescaling(2, 1), Normalization([0, 1], [1, 2]), make_net()]
)
def test_copies_and_pickles_go_on_working(thing, copied):
    twin = copied(thing)
    assert repr(twin) == repr(thing)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        twin.nothing = 1


# ---- signatures


def test_signatures():
    net = make_net()
    assert str(inspect.signature(net)) == "(x, out=None)"
    assert inspect.signature(net) == inspect.signature(net.logits)
    assert list(inspect.signature(Network).parameters) == ["layers", "seed", "dtype", "classes"]
    assert list(inspect.signature(Named).parameters) == ["args", "title", "options"]
    assert list(inspect.signature(Named([Dense(2, 2)])).parameters) == ["x", "out"]
    inspect.signature(net).bind(np.zeros(6), out=None)
    assert not hasattr(Network, "__signature__")


# ---- trace


def test_trace_gives_layer_traces():
    (trace,) = Network.from_arrays([np.eye(2)], None, ["relu"]).trace([-1.0, 2.0])
    assert isinstance(trace, nncore.LayerTrace)
    assert trace._fields == ("layer", "weighted_sum", "activation")
    assert not hasattr(nncore, "Step")
    assert pickle.loads(pickle.dumps(trace)).activation.tolist() == [0.0, 2.0]
