"""nncore.sklearn beside scikit-learn: the same numbers, and what it has in addition."""

# ruff: noqa: E402 (what needs scikit-learn is imported after the look whether it is there)
from __future__ import annotations

import copy
import inspect
import os
import pickle
import signal
import threading
import tracemalloc
import warnings

import numpy as np
import pytest
from helpers import run_python

import nncore

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import scipy.sparse
import sklearn.neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    make_multilabel_classification,
)
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils.estimator_checks import check_estimator

import nncore.sklearn as ours
from nncore.sklearn._problem import HIDDEN_ACTIVATIONS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ESTIMATORS = [ours.MLPClassifier, ours.MLPRegressor]
NAMES = [cls.__name__ for cls in ESTIMATORS]


def of(problem):
    """Kind of estimator, samples and targets."""
    if problem == "digits":
        x, y = load_digits(return_X_y=True)
        return "MLPClassifier", x[:500] / 16, y[:500]
    if problem == "binary":
        x, y = load_breast_cancer(return_X_y=True)
        return "MLPClassifier", scale(x), y
    if problem == "multilabel":
        x, y = make_multilabel_classification(n_samples=200, random_state=0)
        return "MLPClassifier", x / 10, y
    x, y = load_diabetes(return_X_y=True)
    x, y = scale(x), scale(y)
    if problem == "poisson":
        y = np.random.default_rng(0).poisson(np.exp(y / 3))
    elif problem == "outputs":
        y = np.column_stack([y, 1 - y / 2])
    return "MLPRegressor", x, y


PROBLEMS = ["digits", "binary", "multilabel", "numbers", "outputs", "poisson"]


def values_of(model, x):
    return model.predict_proba(x) if hasattr(model, "classes_") else model.predict(x)


def pair(problem, weighted=False, form=np.asarray, dtype="float64", **options):
    """Ours and theirs, fitted to the same data with the same random numbers."""
    kind, x, y = of(problem)
    if problem == "poisson":
        options["loss"] = "poisson"
    weights = np.random.default_rng(1).random(len(x)) * 3 if weighted else None
    models = []
    for module in (ours, theirs):
        model = getattr(module, kind)(random_state=3, **options)
        models.append(model.fit(form(x.astype(dtype)), y, sample_weight=weights))
    return *models, x.astype(dtype)


def assert_near(mine, other, x, tolerance):
    """Losses, weights and outputs agree; relative to the largest of each."""
    assert mine.n_iter_ == other.n_iter_
    assert getattr(mine, "t_", 0) == getattr(other, "t_", 0)
    curves = [np.array(getattr(m, "loss_curve_", m.loss_)) for m in (mine, other)]
    np.testing.assert_allclose(*curves, rtol=tolerance)
    for a, b in zip([*mine.coefs_, *mine.intercepts_], [*other.coefs_, *other.intercepts_],
                    strict=True):  # fmt: skip
        assert np.abs(a - b).max() <= tolerance * max(1, np.abs(b).max())
    a, b = values_of(mine, x), values_of(other, x)
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= tolerance * max(1, np.abs(b).max())
    assert (mine.predict(x) == other.predict(x)).all() or not hasattr(mine, "classes_")


# In double precision, the sums of one gradient differ by some hundred ULP. A step of sgd adds to
# that what the step itself carries; Adam and L-BFGS divide by the gradient's size, and a weight
# whose gradient is almost 0 makes it more. 1e-11 was never needed: seen was 2e-14 for the
# stochastic solvers after these epochs, and 2e-12 for L-BFGS.
STOCHASTIC, QUASI_NEWTON = 1e-11, 1e-9


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0, 1e-4, 2])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_same_numbers(problem, solver, alpha, weighted):
    mine, other, x = pair(
        problem, weighted, solver=solver, alpha=alpha, max_iter=8, learning_rate_init=0.01,
        hidden_layer_sizes=(30, 20), batch_size=150,
    )  # fmt: skip
    assert_near(mine, other, x, QUASI_NEWTON if solver == "lbfgs" else STOCHASTIC)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_the_same_numbers_with_every_activation(activation, solver):
    mine, other, x = pair("digits", solver=solver, activation=activation, max_iter=8)
    assert_near(mine, other, x, QUASI_NEWTON if solver == "lbfgs" else STOCHASTIC)


@pytest.mark.parametrize(
    "options",
    [
        {"solver": "sgd", "nesterovs_momentum": False},
        {"solver": "sgd", "momentum": 0},
        {"solver": "sgd", "momentum": 1.0, "learning_rate_init": 1e-4},
        {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3},
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 1},
        {"solver": "adam", "epsilon": 0.01, "beta_1": 0.5, "beta_2": 0.9},
        {"solver": "adam", "beta_1": 0, "beta_2": 0, "epsilon": 0.1},
        {"solver": "adam", "shuffle": False, "batch_size": 33},
        {"solver": "adam", "early_stopping": True, "validation_fraction": 0.2},
        {"solver": "sgd", "early_stopping": True, "tol": 0.1, "n_iter_no_change": 2},
        {"hidden_layer_sizes": ()},
        {"hidden_layer_sizes": 7, "n_iter_no_change": np.inf},
    ],
    ids=str,
)
@pytest.mark.parametrize("problem", ["digits", "binary", "outputs"])
def test_the_same_numbers_with_every_setting(problem, options):
    mine, other, x = pair(problem, **{"learning_rate_init": 0.05, "max_iter": 25, **options})
    assert_near(mine, other, x, 1e-10)
    if options.get("early_stopping"):
        np.testing.assert_allclose(mine.validation_scores_, other.validation_scores_, rtol=1e-10)
        assert mine.best_validation_score_ == pytest.approx(other.best_validation_score_)
        assert mine.best_loss_ is None
    else:
        assert mine.best_loss_ == pytest.approx(other.best_loss_, rel=1e-10)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_float32_stays_float32(solver):
    mine, other, x = pair("digits", dtype="float32", solver=solver, max_iter=8)
    assert {a.dtype for a in (*mine.coefs_, *mine.intercepts_)} == {np.dtype("float32")}
    assert values_of(mine, x).dtype == np.float32
    assert_near(mine, other, x, 2e-3 if solver == "lbfgs" else 2e-5)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("form", ["csr_matrix", "csr_array", "csc_matrix"])
def test_sparse_samples_give_the_bits_of_dense_ones(form, solver):
    kind, x, y = of("digits")
    weights = np.random.default_rng(1).random(len(x))
    fitted = []
    for samples in (x, getattr(scipy.sparse, form)(x)):
        model = getattr(ours, kind)(solver=solver, max_iter=5, random_state=0, batch_size=64)
        model.fit(samples, y, sample_weight=weights)
        values = model.predict_proba(samples)
        if solver != "lbfgs":
            model.partial_fit(samples[:70], y[:70])
        fitted.append((values, model.coefs_))
    (dense, coefs), (sparse, sparse_coefs) = fitted
    if solver == "lbfgs":
        np.testing.assert_allclose(dense, sparse, rtol=1e-9, atol=1e-12)
    else:
        assert dense.tobytes() == sparse.tobytes()
        assert all(a.tobytes() == b.tobytes() for a, b in zip(coefs, sparse_coefs, strict=True))


def peak_of(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_sparse_samples_are_never_dense_as_a_whole(solver):
    n, k = 4000, 5000  # 160 MB if dense
    x = scipy.sparse.random_array((n, k), density=0.002, random_state=0, format="csr")
    y = np.arange(n) % 2
    model = ours.MLPClassifier(4, solver=solver, max_iter=2, random_state=0)
    assert peak_of(lambda: model.fit(x, y)) < n * k * 8 / 4
    assert peak_of(lambda: model.predict(x)) < n * k * 8 / 50


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_samples_are_read_in_place(dtype, early_stopping):
    x = np.random.default_rng(0).integers(0, 256, (20_000, 500)).astype(dtype)
    y = np.arange(len(x)) % 2
    model = ours.MLPClassifier(4, max_iter=2, random_state=0, early_stopping=early_stopping)
    # Beside the samples there are labels, weights and, with early stopping, a tenth of the samples.
    assert peak_of(lambda: model.fit(x, y)) < 4e6 + (x.nbytes / 9 if early_stopping else 0)
    assert peak_of(lambda: model.predict_proba(x)) < 1e6
    assert model.coefs_[0].dtype == ("float32" if dtype == "uint8" else dtype)


def test_bytes_give_the_bits_of_float32():
    x, y = load_digits(return_X_y=True)
    models = [
        ours.MLPClassifier(max_iter=3, random_state=0).fit(x.astype(dtype), y)
        for dtype in ("uint8", "float32")
    ]
    for a, b in zip(models[0].coefs_, models[1].coefs_, strict=True):
        assert a.tobytes() == b.tobytes()
    proba = [m.predict_proba(x.astype("uint8")).tobytes() for m in models]
    assert proba[0] == proba[1]


@pytest.mark.parametrize("cls", ESTIMATORS, ids=NAMES)
def test_check_estimator(cls):
    """All of scikit-learn's checks, without expected failures."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(cls(), on_skip=None)
    assert len(results) >= 59
    skipped = {r["check_name"] for r in results if r["status"] != "passed"}
    # A scikit-learn classifier of this kind has no decision_function either; the other one needs
    # an environment variable.
    assert skipped <= {
        "check_array_api_input",
        "check_classifiers_multilabel_output_format_decision_function",
    }


@pytest.mark.parametrize("cls", ESTIMATORS, ids=NAMES)
def test_parameters_are_theirs_in_their_order(cls):
    new = list(inspect.signature(cls).parameters.values())
    old = list(inspect.signature(getattr(theirs, cls.__name__)).parameters.values())
    assert [(p.name, p.kind, p.default) for p in new[: len(old)]] == [
        (p.name, p.kind, p.default) for p in old
    ]
    assert {p.name for p in new[len(old) :]} <= {"class_weight", "dropout"}


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
@pytest.mark.parametrize("problem", ["digits", "numbers"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_attributes_are_theirs(problem, solver, early_stopping):
    mine, other, _ = pair(problem, solver=solver, max_iter=3, early_stopping=early_stopping)
    public = [{n for n in vars(m) if n.endswith("_") and n[0] != "_"} for m in (mine, other)]
    assert public[0] == public[1]
    for name in public[1]:
        assert type(getattr(mine, name)) in (type(getattr(other, name)), float), name


def test_verbose_prints_what_theirs_prints(capsys):
    printed = []
    for options in (
        {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.5},
        {"early_stopping": True},
        {"solver": "sgd"},
    ):
        for module in (ours, theirs):
            _, x, y = of("binary")
            module.MLPClassifier(
                8, random_state=0, max_iter=40, tol=0.05, n_iter_no_change=2, verbose=True,
                **options,
            ).fit(x, y)  # fmt: skip
            printed.append(capsys.readouterr().out)
        assert printed[-1] == printed[-2]
    assert "Setting learning rate to" in printed[0]
    assert "Validation score: " in printed[2]
    assert "Training loss did not improve more than tol=0.050000 for 2" in printed[4]


def test_verbose_lbfgs_prints_each_iteration(capsys):
    model, _, _ = pair("binary", solver="lbfgs", max_iter=4, verbose=True)
    lines = [line for line in capsys.readouterr().out.splitlines() if "Iteration" in line]
    assert lines[-1] == f"Iteration 4, loss = {model.loss_:.8f}"


def test_warnings_are_theirs():
    _, x, y = of("binary")
    with pytest.warns(
        ConvergenceWarning, match=r"Maximum iterations \(2\) reached and the optimiz"
    ):
        ours.MLPClassifier(max_iter=2).fit(x, y)
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge"):
        ours.MLPClassifier(solver="lbfgs", max_iter=2).fit(x, y)
    with pytest.warns(UserWarning, match="batch_size` less than 1 or larger than sample size"):
        ours.MLPClassifier(batch_size=1000, max_iter=2).fit(x, y)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"activation": "swish"},
            "The 'activation' parameter of MLPClassifier must be a str among",
        ),
        ({"activation": "step"}, "The 'activation' parameter of MLPClassifier must be a str among"),
        ({"solver": "sag"}, "The 'solver' parameter of MLPClassifier must be a str among"),
        ({"dropout": 1.0}, "The 'dropout' parameter of MLPClassifier must be a float in the range"),
        ({"dropout": [0.1, 0.1]}, "dropout has 2 rates, expected 1"),
        ({"dropout": 0.5, "solver": "lbfgs"}, "dropout is 0.5 with the solver lbfgs, expected 0"),
        ({"class_weight": "even"}, "The 'class_weight' parameter of MLPClassifier must be"),
        ({"hidden_layer_sizes": (3, 0)}, r"hidden_layer_sizes must be > 0, got \[3, 0\]."),
        ({"alpha": -1}, "The 'alpha' parameter of MLPClassifier must be a float in the range"),
    ],
)
def test_what_is_refused(options, text):
    _, x, y = of("binary")
    with pytest.raises(ValueError, match=text):
        ours.MLPClassifier(**options).fit(x, y)


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="y has negative values"):
        ours.MLPRegressor("poisson").fit([[1.0], [2.0]], [1.0, -1.0])


@pytest.mark.parametrize("activation", sorted(HIDDEN_ACTIVATIONS))
def test_every_activation_learns(activation):
    _, x, y = of("digits")
    model = ours.MLPClassifier(32, activation, max_iter=60, random_state=0, learning_rate_init=0.01)
    assert model.fit(x, y).score(x, y) > 0.9
    loss, gradient = model._loss_grad_lbfgs(
        flat(model), x, np.eye(10)[y].astype(bool), None, None, None, None, None
    )
    direction = np.random.default_rng(0).standard_normal(len(gradient))
    h = 1e-6
    sides = [
        model._loss_grad_lbfgs(flat(model) + s * h * direction, x, np.eye(10)[y], None)[0]
        for s in (-1, 1)
    ]
    # Kinks of the rectifiers that lie between the two sides count as rounding here.
    assert (sides[1] - sides[0]) / (2 * h) == pytest.approx(gradient @ direction, abs=2e-4)
    assert loss > 0


def test_sigmoid_is_another_name_of_logistic():
    _, x, y = of("binary")
    models = [
        ours.MLPClassifier(9, name, max_iter=3, random_state=0).fit(x, y)
        for name in ("logistic", "sigmoid")
    ]
    assert flat(models[0]).tobytes() == flat(models[1]).tobytes()


def flat(model):
    return np.hstack([a.ravel() for a in (*model.coefs_, *model.intercepts_)])


def test_class_weight_is_a_sample_weight():
    _, x, y = of("binary")
    names = np.array(["malignant", "benign"], object)[y]
    given = {"malignant": 3.0, "benign": 0.5}
    options = {"max_iter": 5, "random_state": 0}
    mine = ours.MLPClassifier(class_weight=given, **options).fit(x, names)
    same = ours.MLPClassifier(**options).fit(x, names, [given[name] for name in names])
    assert flat(mine).tobytes() == flat(same).tobytes()
    balanced = ours.MLPClassifier(class_weight="balanced", **options).fit(x, y)
    counted = len(y) / (2 * np.bincount(y))[y]
    same = ours.MLPClassifier(**options).fit(x, y, counted)
    assert flat(balanced).tobytes() == flat(same).tobytes()
    mine.partial_fit(x, names)
    with pytest.raises(ValueError, match="class_weight is 'balanced', expected a dict or None"):
        balanced.partial_fit(x, y)


def test_class_weight_finds_the_rare_class():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (2000, 4)), rng.normal(1.2, 1, (40, 4))])
    y = np.repeat([0, 1], [2000, 40])
    found = {}
    for weight in (None, "balanced"):
        model = ours.MLPClassifier(8, class_weight=weight, max_iter=60, random_state=0).fit(x, y)
        found[weight] = (model.predict(x[y == 1]) == 1).mean()
    assert found["balanced"] > 0.7 > 0.5 > found[None]


def test_dropout():
    _, x, y = of("digits")
    options = {
        "max_iter": 15,
        "hidden_layer_sizes": (30, 20),
        "random_state": 0,
        "learning_rate_init": 0.01,
    }
    plain = ours.MLPClassifier(**options).fit(x, y)
    some = ours.MLPClassifier(dropout=0.4, **options).fit(x, y)
    again = ours.MLPClassifier(dropout=0.4, **options).fit(x, y)
    each = ours.MLPClassifier(dropout=[0.4, 0.4], **options).fit(x, y)
    other = ours.MLPClassifier(dropout=[0.4, 0.0], **options).fit(x, y)
    assert flat(some).tobytes() == flat(again).tobytes() == flat(each).tobytes()
    assert flat(some).tobytes() != flat(other).tobytes() != flat(plain).tobytes()
    assert some.loss_ > plain.loss_  # of the thinned network
    assert some.score(x, y) > 0.5  # predictions take the whole one


def test_string_labels_and_the_network():
    _, x, y = of("digits")
    names = np.array([f"digit {i}" for i in range(10)])
    model = ours.MLPClassifier(max_iter=20, random_state=0).fit(x, names[y])
    net = model.network_
    assert isinstance(net, nncore.Network)
    assert net.classes.tolist() == names.tolist()
    assert (net.classes[net.predict(x)] == model.predict(x)).all()
    assert net(x).tobytes() == model.predict_proba(x).tobytes()
    assert model.network_ is net
    assert model.predict(x[:1]).dtype == names.dtype


@pytest.mark.parametrize("labels", [[True, False], [2.0, -1.0], ["a", "b"], [7, 3]])
def test_labels_of_any_kind(labels):
    x = np.array([[0.0], [1.0], [0.1], [0.9]])
    y = np.array(labels)[[0, 1, 0, 1]]
    model = ours.MLPClassifier(4, solver="lbfgs", random_state=0, max_iter=500).fit(x, y)
    assert model.predict(x).tolist() == y.tolist()
    assert model.predict(x).dtype == y.dtype
    assert model.network_.classes.tolist() == sorted(labels)


def test_a_single_class():
    model = ours.MLPClassifier(max_iter=2).fit([[0.0], [1.0]], ["a", "a"])
    assert model.predict([[0.5], [-9.0]]).tolist() == ["a", "a"]
    assert model.network_.classes is None


def test_changed_weights_are_seen():
    _, x, y = of("numbers")
    model = ours.MLPRegressor(max_iter=3, random_state=0).fit(x, y)
    before = model.predict(x)
    model.intercepts_[-1][0] += 1  # in place
    np.testing.assert_allclose(model.predict(x), before + 1, rtol=1e-12)
    model.coefs_[-1] = np.zeros_like(model.coefs_[-1])
    np.testing.assert_allclose(model.predict(x), model.intercepts_[-1][0])
    model.intercepts_ = [b * 0 for b in model.intercepts_]
    assert not model.predict(x).any()
    model.set_params(activation="tanh")
    assert model.network_.layers[0].activation == "tanh"


@pytest.mark.parametrize("copied", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_copies_go_on_with_the_same_bits(copied, solver):
    _, x, y = of("digits")
    model = ours.MLPClassifier(solver=solver, random_state=0, max_iter=3).fit(x, y)
    other = copied(model)
    assert "_network" not in pickle.dumps(model).decode("latin1")
    assert other.predict_proba(x).tobytes() == model.predict_proba(x).tobytes()
    model.partial_fit(x, y)
    other.partial_fit(x, y)
    assert flat(model).tobytes() == flat(other).tobytes()
    assert not hasattr(clone(model), "coefs_")


@pytest.mark.parametrize("problem", ["digits", "outputs"])
def test_partial_fit_is_theirs(problem):
    kind, x, y = of(problem)
    models = []
    for module in (ours, theirs):
        model = getattr(module, kind)(solver="sgd", random_state=0, alpha=1)
        for start in (0, 100, 0, 200):
            rows = slice(start, start + 100)
            first = {"classes": np.unique(y)} if kind == "MLPClassifier" else {}
            model.partial_fit(x[rows], y[rows], sample_weight=np.arange(1.0, 101), **first)
        models.append(model)
    assert_near(*models, x, STOCHASTIC)


def test_warm_start_goes_on():
    mine, other, x = pair("digits", warm_start=True, max_iter=3)
    _, x, y = of("digits")
    before = flat(mine)
    assert_near(mine.fit(x, y), other.fit(x, y), x, STOCHASTIC)
    assert (flat(mine) != before).any()
    assert len(mine.loss_curve_) == 6


def test_pipelines_searches_and_jobs():
    _, x, y = of("binary")
    pipe = make_pipeline(StandardScaler(), ours.MLPClassifier(8, max_iter=60, random_state=0))
    search = GridSearchCV(pipe, {"mlpclassifier__alpha": [1e-4, 1.0]}, cv=3, n_jobs=2).fit(x, y)
    assert search.best_score_ > 0.9
    alone = cross_val_score(pipe, x, y, cv=3)
    assert (cross_val_score(pipe, x, y, cv=3, n_jobs=2) == alone).all()
    assert "MLPClassifier" in pipe._repr_html_()


def test_data_frames():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    _, x, y = of("numbers")
    frame = pandas.DataFrame(x, columns=[f"c{i}" for i in range(x.shape[1])])
    pipe = make_pipeline(StandardScaler(), ours.MLPRegressor(max_iter=3, random_state=0))
    pipe.set_output(transform="pandas").fit(frame, pandas.Series(y))
    assert pipe[-1].feature_names_in_.tolist() == list(frame)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        pipe[-1].predict(x)
    with pytest.raises(ValueError, match="feature names should match"):
        pipe[-1].predict(frame[list(frame)[::-1]])


def test_metadata_routing():
    _, x, y = of("binary")
    weights = np.random.default_rng(0).random(len(x))
    options = {"max_iter": 3, "random_state": 0}
    with sklearn.config_context(enable_metadata_routing=True):
        model = ours.MLPClassifier(**options).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipe = make_pipeline(scaler, model).fit(x, y, sample_weight=weights)
    direct = ours.MLPClassifier(**options).fit(StandardScaler().fit_transform(x), y, weights)
    assert flat(pipe[-1]).tobytes() == flat(direct).tobytes()


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_any_number_of_threads(solver):
    code = f"""
import sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
import test_sklearn_estimators
print(test_sklearn_estimators.weights_of_digits({solver!r}))"""
    for count in "13":
        process = run_python(code, NNCORE_PARALLEL_MIN="0", NNCORE_NUM_THREADS=count)
        assert process.stdout.strip() == weights_of_digits(solver)


def weights_of_digits(solver):
    """All bits of what a solver learns."""
    _, x, y = of("digits")
    model = ours.MLPClassifier(solver=solver, max_iter=4, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return flat(model.fit(x, y)).tobytes().hex()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_an_interrupt_keeps_what_was_learned():
    _, x, y = of("digits")
    model = ours.MLPClassifier(max_iter=10**7, tol=0, n_iter_no_change=np.inf, random_state=0)
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(x, y)
    timer.join()
    assert 0 < model.n_iter_ < 10**7
    assert model.score(x, y) > 0.9


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")  # in scikit-learn's score
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_fit_that_diverges(early_stopping):
    _, x, y = of("numbers")
    model = ours.MLPRegressor(
        activation="identity", solver="sgd", learning_rate_init=1e3, max_iter=9,
        early_stopping=early_stopping,
    )  # fmt: skip
    if early_stopping:
        model.fit(x, y)  # and keeps the best weights there were
        assert np.isnan(model.validation_scores_[-1])
        assert np.isfinite(flat(model)).all()
    else:
        with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
            model.fit(x, y)
    assert len(model.loss_curve_) == 9
    assert np.isnan(model.loss_)


def test_batches_without_weight_are_left_out():
    _, x, y = of("numbers")
    weights = np.ones(len(x))
    weights[100:200] = 0  # a batch of its own, which has no mean
    options = {"shuffle": False, "batch_size": 100, "max_iter": 4, "random_state": 0}
    mine = ours.MLPRegressor(**options).fit(x, y, weights)
    rest = np.flatnonzero(weights)
    other = ours.MLPRegressor(**options).fit(x[rest], y[rest])
    np.testing.assert_allclose(flat(mine), flat(other), rtol=1e-12, atol=1e-13)
    for solver in ("adam", "lbfgs"):
        with pytest.raises(ValueError, match=r"(of all samples are 0|at least one non-zero)"):
            ours.MLPRegressor(solver=solver).fit(x, y, 0 * weights)


def test_predictions_check_their_samples():
    _, x, y = of("numbers")
    model = ours.MLPRegressor(max_iter=2)
    with pytest.raises(NotFittedError):
        model.predict(x)
    assert not hasattr(model, "network_")
    model.fit(x, y)
    for bad, text in [
        (x[0], "Expected 2D array"),
        (x[:, :3], "X has 3 features, but MLPRegressor is expecting 10"),
        (np.where(x == x[5, 5], np.nan, x), "Input X contains NaN"),
        (x[:0], "Found array with 0 sample"),
    ]:
        with pytest.raises(ValueError, match=text):
            model.predict(bad)
    wanted = model.predict(x)
    for same in (x.tolist(), np.asfortranarray(x), x[::-1][::-1], x.astype("longdouble")):
        assert model.predict(same).tobytes() == wanted.tobytes()
    huge = np.full((2, 10), 1e308)  # the sum of all overflows, and no number does
    with np.errstate(all="ignore"):
        assert model.predict(huge).shape == (2,)


def test_scikit_learn_is_imported_only_when_asked_for():
    code = "import nncore, sys; print('sklearn' in sys.modules, 'scipy' in sys.modules)"
    assert run_python(code).stdout.split() == ["False", "False"]


def test_what_is_said_where_scikit_learn_is_missing():
    code = "import sys; sys.modules['sklearn'] = None; import nncore.sklearn"
    process = run_python(code, check=False)
    assert process.stderr.splitlines()[-1] == (
        "ImportError: nncore.sklearn needs scikit-learn: pip install scikit-learn"
    )
