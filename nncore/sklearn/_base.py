"""What the classifier and the regressor share: fit, prediction, and the network of the weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from nncore.sklearn._lbfgs import fit_lbfgs, objective_of
from nncore.sklearn._problem import HIDDEN_ACTIVATIONS, make_network
from nncore.sklearn._rows import as_samples
from nncore.sklearn._stochastic import fit_stochastic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nncore.network import Network

#: What is checked of the parameters in addition to scikit-learn's own constraints.
CONSTRAINTS = {
    "activation": [StrOptions(HIDDEN_ACTIVATIONS)],
    "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
}
# Samples of these types are read in place; others become float64, as in scikit-learn.
DTYPES = (np.float64, np.float32, np.uint8)


def initializer(parent: Any, **new: Any) -> Callable[..., None]:
    """Return an `__init__` with the parameters of the parent's, and new ones after them.

    scikit-learn reads the names and defaults of an estimator's parameters from its signature.
    """
    old = inspect.signature(parent.__init__)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value)
        for name, value in new.items()
    ]
    signature = old.replace(parameters=[*old.parameters.values(), *added])

    def __init__(*positional: Any, **named: Any) -> None:
        bound = signature.bind(*positional, **named)
        bound.apply_defaults()
        for name in new:
            setattr(bound.arguments["self"], name, bound.arguments.pop(name))
        parent.__init__(**bound.arguments)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


class Perceptron:
    """The methods of scikit-learn's estimators that nncore does instead; comes before them."""

    # ---- fit

    def _fit(
        self: Any, X: Any, y: Any, sample_weight: Any = None, incremental: bool = False
    ) -> Any:
        sizes = np.atleast_1d(np.asarray(self.hidden_layer_sizes)).tolist()
        if any(size <= 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        if self.solver == "lbfgs" and np.any(self.dropout):
            raise ValueError(
                f"dropout is {self.dropout} with the solver lbfgs, expected 0: it takes sgd or adam"
            )
        begins = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = self._validate_input(X, y, incremental, reset=begins)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        if y.ndim == 1:
            y = y.reshape(-1, 1)
        weights = self._weights(y, sample_weight)
        if weights is not None and not weights.any():
            raise ValueError("the weights of all samples are 0, expected some above 0")
        self.n_outputs_ = y.shape[1]
        self._random_state = check_random_state(self.random_state)
        if begins:
            dtype = np.dtype(np.float64 if X.dtype == np.float64 else np.float32)
            self._initialize(y, [X.shape[1], *sizes, self.n_outputs_], dtype)
        dtype = _dtype_of(self.coefs_)
        X = as_samples(X)
        if self.solver == "lbfgs":
            fit_lbfgs(self, X, y, weights, dtype)
        else:
            fit_stochastic(self, X, y, weights, sample_weight, dtype, incremental)
        if not all(np.isfinite(w).all() for w in (*self.coefs_, *self.intercepts_)):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                "values and need to be preprocessed."
            )
        self._network = self._made_network()  # now, because a prediction changes no attribute
        return self

    def _init_coef(
        self: Any, fan_in: int, fan_out: int, dtype: Any
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Draw weights and biases of a layer, as scikit-learn does (Glorot and Bengio, 2010)."""
        factor = 2 if self.activation in ("logistic", "sigmoid") else 6
        bound = np.sqrt(factor / (fan_in + fan_out))
        shapes = ((fan_in, fan_out), fan_out)
        weights, bias = (
            self._random_state.uniform(-bound, bound, shape).astype(dtype) for shape in shapes
        )
        return weights, bias

    def _weights(self: Any, y: NDArray[Any], sample_weight: Any) -> Any:
        """Return the weight of each sample, that of its class included; None: all are 1."""
        return sample_weight

    def _stratifies(self: Any) -> bool:
        """Return whether the samples to validate with are drawn class by class."""
        return False

    def _labels_of(self: Any, y: NDArray[Any]) -> Any:
        """Return targets (n, m) as the user gave them."""
        return y

    def _loss_grad_lbfgs(
        self: Any, packed_coef_inter: NDArray[Any], X: Any, y: Any, sample_weight: Any, *room: Any
    ) -> tuple[float, NDArray[Any]]:
        """Return loss and gradient by all weights and biases, in one vector, as scikit-learn's.

        `room` is the memory that scikit-learn fills, and is not needed here.
        """
        return objective_of(self, as_samples(X), y, sample_weight)(packed_coef_inter)

    # ---- prediction

    @property
    def network_(self: Any) -> Network:
        """The `nncore.Network` with the present weights.

        It is made when it is first needed, and again when `coefs_` or `intercepts_` have been
        changed since, which is found by comparing the numbers. A Poisson regression predicts the
        exponential of its outputs.
        """
        if not hasattr(self, "coefs_"):
            check_is_fitted(self)
        key = (self.activation, self.out_activation_)
        known: Any = self.__dict__.get("_network")
        if known is not None and known[0] == key:
            net: Any = known[1]
            pairs = zip(net.layers, self.coefs_, self.intercepts_, strict=False)
            if len(net.layers) == len(self.coefs_) and all(
                np.array_equal(layer.weights, w) and np.array_equal(layer.bias, b)
                for layer, w, b in pairs
            ):
                return net  # type: ignore[no-any-return]
        made = self._made_network()
        self._network = made
        return made[1]  # type: ignore[no-any-return]

    def _made_network(self: Any) -> tuple[tuple[str, str], Network]:
        """Return the network of the present weights, after the names of its activations."""
        key = (self.activation, self.out_activation_)
        net = make_network(self.coefs_, self.intercepts_, *key, _dtype_of(self.coefs_))
        self._name_classes(net)
        return key, net

    def _name_classes(self: Any, net: Network) -> None:
        """Give the network the names of the classes."""

    def __getstate__(self: Any) -> dict[str, Any]:
        state: Any = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_network"}

    def _forward_pass_fast(self: Any, X: Any, check_input: bool = True) -> NDArray[Any]:
        """Return the outputs (n, m) of samples X."""
        if check_input and not self._needs_no_check(X):
            X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        y: NDArray[Any] = self.network_(X if issparse(X) else as_samples(np.asarray(X)))
        return np.exp(y, out=y) if self.out_activation_ == "exp" else y

    def _needs_no_check(self: Any, X: Any) -> bool:
        """Return whether X is such that scikit-learn's validation would return it as it is.

        That takes many times as long as a small network.
        """
        if type(X) is not np.ndarray or X.ndim != 2 or X.dtype.char not in "fdB":
            return False
        if X.shape[1] != self.n_features_in_ or not len(X) or hasattr(self, "feature_names_in_"):
            return False
        if X.dtype.char == "B":
            return True
        with np.errstate(all="ignore"):
            return bool(np.isfinite(X.sum()))


def _dtype_of(coefs: Any) -> np.dtype[Any]:
    single = all(np.asarray(w).dtype == np.float32 for w in coefs)
    return np.dtype(np.float32 if single else np.float64)
