"""`MLPRegressor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import sklearn.neural_network
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_is_fitted, validate_data

from nncore.sklearn._base import CONSTRAINTS, DTYPES, Perceptron, initializer

if TYPE_CHECKING:
    from numpy.typing import NDArray


class MLPRegressor(Perceptron, sklearn.neural_network.MLPRegressor):  # type: ignore[misc]
    """A multilayer perceptron that predicts numbers: scikit-learn's, trained and run by nncore.

    It is a subclass of `sklearn.neural_network.MLPRegressor`, with all its parameters, attributes
    and methods; with the same `random_state` it begins with the same weights and takes the samples
    in the same order. What is listed here is new or differs.

    Parameters
    ----------
    activation : str, default="relu"
        Of the hidden layers: identity, logistic (or sigmoid), tanh and relu, and all others of
        `nncore.activations` that have a derivative, such as gelu, silu, elu and leaky_relu.
    dropout : float or sequence of float, default=0.0
        The share of activations that are set to 0 while learning, with the solvers sgd and adam:
        one number for every hidden layer, or one for each.

    Attributes
    ----------
    network_ : nncore.Network
        The network with the present `coefs_` and `intercepts_`. With the loss "poisson", a
        prediction is the exponential of its output.

    Notes
    -----
    Samples in float32 are learned in float32, float64 in float64, and uint8 are read in place and
    learned in float32. Predictions read a sparse matrix row by row; while learning, some rows at a
    time are made dense.

    Examples
    --------
    >>> from nncore.sklearn import MLPRegressor
    >>> model = MLPRegressor(hidden_layer_sizes=4, activation="identity", solver="lbfgs",
    ...                      alpha=0, random_state=0)
    >>> model.fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]).predict([[3.0]]).round(2)
    array([7.])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **sklearn.neural_network.MLPRegressor._parameter_constraints,
        **CONSTRAINTS,
    }

    __init__ = initializer(sklearn.neural_network.MLPRegressor, dropout=0.0)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return what is predicted for each sample.

        Parameters
        ----------
        X : array-like or sparse matrix
            (n, `n_features_in_`).

        Returns
        -------
        ndarray
            (n,), or (n, `n_outputs_`) where there are several outputs.

        Examples
        --------
        >>> from nncore.sklearn import MLPRegressor
        >>> model = MLPRegressor(solver="lbfgs", random_state=0).fit([[0.0], [1.0]], [2.0, 2.0])
        >>> model.predict([[0.5]]).shape
        (1,)
        """
        if not hasattr(self, "coefs_"):
            check_is_fitted(self)
        y: NDArray[Any] = self._predict(X)
        return y

    def _predict(self, X: Any, check_input: bool = True) -> Any:
        y = self._forward_pass_fast(X, check_input=check_input)
        return y.ravel() if y.shape[1] == 1 else y

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        """Return samples in a dtype that is learned from, and the targets."""
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, y_numeric=True,
            dtype=DTYPES, reset=reset,
        )  # fmt: skip
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y
