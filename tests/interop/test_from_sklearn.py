"""scikit-learn's estimators and pipelines against their own outputs; what is refused by name."""

from __future__ import annotations

import inspect
import types

import numpy as np
import pytest

import nncore

from .rounding import bound

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is needed to fit its estimators")

from sklearn import linear_model, svm  # noqa: E402
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor  # noqa: E402
from sklearn.datasets import make_blobs  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.linear_model import (  # noqa: E402
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)  # fmt: skip
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.multiclass import OneVsRestClassifier  # noqa: E402
from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: E402
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: E402
from sklearn.preprocessing import (  # noqa: E402
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)  # fmt: skip

# What fitting warns of (too few iterations, mostly) is not what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore")

UNIT = 2.0**-53


def blobs(classes=3, features=5, dtype="float64"):
    x, y = make_blobs(200, features, centers=classes, cluster_std=6, random_state=2)
    x = x * np.linspace(0.1, 30, features) + np.linspace(-1000, 1000, features)
    return x.astype(dtype), y


def targets(outputs=1):
    x, y = blobs()
    t = np.sin(x / 100) @ np.random.default_rng(0).normal(size=(5, outputs)) + y[:, np.newaxis]
    return x, t[:, 0] if outputs == 1 else t


def scaled():
    """Scalers in every setting, by what a test is called."""
    return {
        "none": (),
        "standard": (StandardScaler(),),
        "no mean": (StandardScaler(with_mean=False),),
        "no deviation": (StandardScaler(with_std=False),),
        "neither": (StandardScaler(with_mean=False, with_std=False),),
        "min max": (MinMaxScaler(),),
        "min max to -3, 5": (MinMaxScaler((-3, 5)),),
        "clipped": (MinMaxScaler((-1, 1), clip=True),),
        "max abs": (MaxAbsScaler(),),
        "robust": (RobustScaler(),),
        "robust, centred only": (RobustScaler(with_scaling=False),),
        "two": (MaxAbsScaler(), StandardScaler()),
        "passthrough": ("passthrough", StandardScaler(), None),
        "inside": (make_pipeline(MaxAbsScaler(), make_pipeline(StandardScaler())),),
    }


def samples(x):
    """The samples that were fitted to, and others around them, outside of their range as well."""
    rng = np.random.default_rng(4)
    return np.concatenate([x, x + rng.normal(size=x.shape) * x.std(axis=0)]).astype(x.dtype)


def check_classifier(estimator, x, y):
    estimator.fit(x, y)
    net = nncore.from_sklearn(estimator)
    x = samples(x)
    wanted = estimator.predict_proba(x)
    _, allowed = bound(net, x, np.finfo(net.dtype).eps / 2)
    if net.out_features == 1:
        wanted = wanted[:, 1:]
    # Scaled twice or clipped, a network has a step more or less than the pipeline.
    assert (np.abs(net(x) - wanted) <= 2 * allowed).all()
    assert allowed.max() < (1e-9 if net.dtype == np.float64 else 2e-2)
    np.testing.assert_array_equal(net.classes, estimator.classes_)
    labels = net.classes[net.predict(x)]
    assert labels.dtype.kind == np.asarray(estimator.classes_.tolist()).dtype.kind
    np.testing.assert_array_equal(labels.reshape(len(x)), estimator.predict(x))
    return net


def check_regressor(estimator, x, t):
    estimator.fit(x, t)
    net = nncore.from_sklearn(estimator)
    x = samples(x)
    _, allowed = bound(net, x, np.finfo(net.dtype).eps / 2)
    wanted = estimator.predict(x)
    assert (np.abs(net.predict(x) - wanted.reshape(len(x), -1)) <= 2 * allowed).all()
    assert allowed.max() < (1e-8 if net.dtype == np.float64 else 1.0)
    assert net.classes is None
    return net


@pytest.mark.parametrize("scaler", scaled())
@pytest.mark.parametrize("classes", [2, 3])
def test_pipelines_of_a_scaler_and_a_network(scaler, classes):
    x, y = blobs(classes)
    steps = scaled()[scaler]
    model = MLPClassifier((7, 4), max_iter=30, random_state=0)
    net = check_classifier(make_pipeline(*steps, model), x, y)
    assert net.dtype == np.float64
    assert net.layers[-1].activation == ("sigmoid" if classes == 2 else "softmax")


@pytest.mark.parametrize("scaler", scaled())
def test_pipelines_of_a_scaler_and_a_regression(scaler):
    x, t = targets()
    check_regressor(make_pipeline(*scaled()[scaler], LinearRegression()), x, t)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_activations(kind, activation):
    x, y = blobs(4)
    model = kind(hidden_layer_sizes=(6,), activation=activation, max_iter=20, random_state=1)
    check = check_classifier if kind is MLPClassifier else check_regressor
    check(make_pipeline(StandardScaler(), model), x, y)


@pytest.mark.parametrize("sizes", [(), (3,), (5, 1, 8), (2,) * 10])
def test_sizes(sizes):
    x, y = blobs(3)
    net = check_classifier(
        make_pipeline(StandardScaler(), MLPClassifier(sizes, max_iter=5, random_state=0)), x, y
    )
    assert len(net.layers) == len(sizes) + 2


@pytest.mark.parametrize(
    "labels",
    [
        ["setosa", "versicolor", "virginica"], [10, -3, 7], [1.0, 2.0, 5.0], [True, False],
        ["no", "yes"], np.array(["a", "b", "c"], dtype=object),
    ],
)  # fmt: skip
@pytest.mark.parametrize("model", [MLPClassifier((4,), max_iter=20), LogisticRegression()])
def test_labels_of_every_type(model, labels):
    x, y = blobs(len(labels))
    check_classifier(make_pipeline(StandardScaler(), model), x, np.asarray(labels)[y])


def test_single_precision_stays_single():
    x, y = blobs(3, dtype="float32")
    model = make_pipeline(StandardScaler(), MLPClassifier((5,), max_iter=10, random_state=0))
    assert check_classifier(model, x, y).dtype == np.float32


def test_several_labels_at_a_time():
    x, y = blobs(4)
    many = np.stack([y > 0, y == 2, y < 3], axis=1).astype(int)
    model = make_pipeline(StandardScaler(), MLPClassifier((6,), max_iter=50, random_state=0))
    model.fit(x, many)
    net = nncore.from_sklearn(model)
    _, allowed = bound(net, x, UNIT)
    assert (np.abs(net(x) - model.predict_proba(x)) <= 2 * allowed).all()
    np.testing.assert_array_equal(net.predict(x), model.predict(x))
    assert net.classes is None


def test_several_targets():
    x, t = targets(3)
    check_regressor(make_pipeline(StandardScaler(), MLPRegressor(max_iter=10)), x, t)
    check_regressor(Ridge(), x, t)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "options", [{}, {"fit_intercept": False}, {"solver": "newton-cg"}], ids=str
)
def test_logistic_regression(classes, options):
    x, y = blobs(classes)
    net = check_classifier(make_pipeline(StandardScaler(), LogisticRegression(**options)), x, y)
    assert len(net.layers) == 2


def test_logistic_regression_of_other_kinds():
    x, y = blobs(3)
    check_classifier(make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=2, cv=2)), x, y)
    x, y = blobs(2)
    check_classifier(make_pipeline(StandardScaler(), LogisticRegression(solver="liblinear")), x, y)
    sparse = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    before = nncore.from_sklearn(sparse)
    sparse[-1].sparsify()
    np.testing.assert_array_equal(nncore.from_sklearn(sparse)(x), before(x))


def test_logistic_regression_of_older_versions():
    """Until scikit-learn 1.7 multi_class could be chosen, of which some is exact here."""
    x, y = blobs(3)
    model = LogisticRegression().fit(StandardScaler().fit_transform(x), y)
    model.multi_class = "ovr"
    with pytest.raises(ValueError, match=r"^LogisticRegression has one classifier for each class"):
        nncore.from_sklearn(model)
    model.multi_class, model.solver = "auto", "liblinear"
    with pytest.raises(ValueError, match=r"^LogisticRegression has one classifier for each class"):
        nncore.from_sklearn(model)
    model.multi_class, model.solver = "deprecated", "lbfgs"
    assert nncore.from_sklearn(model).layers[-1].activation == "softmax"
    x, y = blobs(2)
    model = LogisticRegression().fit(x, y)
    z = model.decision_function(x)
    model.multi_class = "multinomial"  # its probabilities are softmax([-z, z])
    np.testing.assert_allclose(nncore.from_sklearn(model)(x)[:, 0], 1 / (1 + np.exp(-2 * z)))


def linear_regressors():
    from nncore.interop.sklearn import _LINEAR

    for name in _LINEAR:
        yield getattr(linear_model, name, None) or getattr(svm, name)


@pytest.mark.parametrize("kind", list(linear_regressors()), ids=lambda kind: kind.__name__)
def test_linear_regressors(kind):
    several = kind.__name__.startswith("MultiTask")
    x, t = targets(2 if several else 1)
    check_regressor(make_pipeline(StandardScaler(), kind()), x, t)


def test_without_intercept():
    x, t = targets()
    net = check_regressor(Ridge(fit_intercept=False), x, t)
    assert not net.layers[-1].bias.any()


def test_scalers_stay_a_layer_of_their_own():
    x, y = blobs()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    front, dense = nncore.from_sklearn(model).layers
    np.testing.assert_array_equal(front.mean, model[0].mean_)
    np.testing.assert_array_equal(front.std, model[0].scale_)
    np.testing.assert_array_equal(dense.weights, model[1].coef_.T)
    np.testing.assert_array_equal(dense.bias, model[1].intercept_)


def test_a_saved_network_keeps_the_classes(tmp_path):
    x, y = blobs()
    names = np.array(["left", "middle", "right"])
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, names[y])
    nncore.from_sklearn(model).save(tmp_path / "net.npz")
    net = nncore.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(net.classes[net.predict(x)], model.predict(x))


class Renamed(LogisticRegression):
    """A subclass that changes nothing of what is computed."""

    def describe(self):
        return "mine"


class Changed(LogisticRegression):
    def predict_proba(self, x):
        return super().predict_proba(x) ** 2


class Shifted(StandardScaler):
    def transform(self, x):
        return super().transform(x) + 1


def test_subclasses():
    x, y = blobs()
    check_classifier(make_pipeline(StandardScaler(), Renamed()), x, y)
    with pytest.raises(
        ValueError, match="estimator is a Changed, which has a predict_proba of its"
    ):
        nncore.from_sklearn(Changed().fit(x, y))
    with pytest.raises(
        ValueError, match="step 'shifted' is a Shifted, which has a transform of its"
    ):
        nncore.from_sklearn(make_pipeline(Shifted(), LogisticRegression()).fit(x, y))


def fitted(*steps):
    def made():
        x, y = blobs()
        return make_pipeline(*steps).fit(x, y)

    return made


REFUSED = {
    "^MLPClassifier has no coefs_, expected an estimator that is fitted: call fit first": (
        MLPClassifier
    ),
    "^LogisticRegression has no coef_, expected an estimator that is fitted": LogisticRegression,
    r"^step 'standardscaler' \(StandardScaler\) has no mean_, expected": (
        lambda: make_pipeline(StandardScaler(), LogisticRegression())
    ),
    r"^step 'mlpregressor' \(MLPRegressor\) has no coefs_, expected": (
        lambda: make_pipeline(MLPRegressor())
    ),
    r"^step 'pca' \(PCA\) is not understood, expected one of StandardScaler, MinMaxScaler": fitted(
        PCA(2), LogisticRegression()
    ),
    r"^step 'polynomialfeatures' \(PolynomialFeatures\) is not understood": fitted(
        StandardScaler(), PolynomialFeatures(), LogisticRegression()
    ),
    r"^step 'functiontransformer' \(FunctionTransformer\) is not understood": fitted(
        FunctionTransformer(np.tanh), LogisticRegression()
    ),
    r"^step 'inner', step 'pca' \(PCA\) is not understood": lambda: Pipeline(
        [("inner", make_pipeline(PCA(2))), ("end", LogisticRegression())]
    ).fit(*blobs()),
    r"\(ColumnTransformer\) is not understood": fitted(
        ColumnTransformer([("a", StandardScaler(), [0, 1])]), LogisticRegression()
    ),
    r"^step 'standardscaler' \(StandardScaler\) is not understood, expected one of MLPClassifier": (
        fitted(StandardScaler())
    ),
    "^step 'end' is 'passthrough', expected a classifier or regressor": lambda: Pipeline(
        [("scale", StandardScaler()), ("end", "passthrough")]
    ).fit(*blobs()),
    r"^TransformedTargetRegressor is not understood": lambda: TransformedTargetRegressor(
        Ridge()
    ).fit(*targets()),
    "^RidgeClassifier is not understood": lambda: RidgeClassifier().fit(*blobs()),
    "^SGDClassifier is not understood": lambda: SGDClassifier().fit(*blobs()),
    "^LinearSVC is not understood": lambda: svm.LinearSVC().fit(*blobs()),
    "^OneVsRestClassifier is not understood": lambda: OneVsRestClassifier(LogisticRegression()).fit(
        *blobs()
    ),
    "^GridSearchCV is not understood, expected": lambda: GridSearchCV(
        Ridge(), {"alpha": [1.0]}
    ).fit(*targets()),
}
if "loss" in inspect.signature(MLPRegressor).parameters:
    REFUSED["^MLPRegressor: layer 2 has the activation 'exp', expected one of identity"] = lambda: (
        MLPRegressor(loss="poisson", max_iter=5).fit(blobs()[0] / 1000, blobs()[1])
    )


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message):
    with pytest.raises(ValueError, match=message):
        nncore.from_sklearn(REFUSED[message]())


@pytest.mark.parametrize("thing", [None, "pipeline", np.eye(2), types.SimpleNamespace(coef_=1)])
def test_what_is_no_estimator(thing):
    with pytest.raises(TypeError, match=r"^estimator is of type .*, expected an estimator of scik"):
        nncore.from_sklearn(thing)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "gelu", "leaky_relu", "hard_swish"])
def test_estimators_of_our_own(activation):
    from nncore import sklearn as ours

    x, y = blobs()
    options = {"activation": activation, "max_iter": 5, "random_state": 0}
    classifier = ours.MLPClassifier((8,), **options).fit(x, y)
    regressor = ours.MLPRegressor(hidden_layer_sizes=(8,), **options).fit(x, y)
    for model in (classifier, regressor):
        np.testing.assert_array_equal(nncore.from_sklearn(model)(x), model.network_(x))
    model = make_pipeline(StandardScaler(), ours.MLPClassifier((8,), **options)).fit(x, y)
    net = nncore.from_sklearn(model)
    np.testing.assert_array_equal(net.classes[net.predict(x)], model.predict(x))
    assert isinstance(net.layers[0], nncore.Normalization)


def test_poisson_regressors_of_our_own():
    from nncore import sklearn as ours

    if "loss" not in inspect.signature(MLPRegressor).parameters:
        pytest.skip("this scikit-learn has no Poisson loss")
    x, y = blobs()
    model = ours.MLPRegressor(hidden_layer_sizes=(8,), loss="poisson", max_iter=5).fit(x / 1000, y)
    with pytest.raises(ValueError, match=r"^MLPRegressor has the loss 'poisson', whose predictio"):
        nncore.from_sklearn(model)


def test_a_subclass_of_our_own_that_predicts_otherwise():
    from nncore import sklearn as ours

    class Own(ours.MLPRegressor):
        def predict(self, x):
            return super().predict(x) + 1

    x, y = blobs()
    with pytest.raises(ValueError, match="estimator is a Own, which has a predict of its own"):
        nncore.from_sklearn(Own(max_iter=2).fit(x, y))
