"""`MLPClassifier`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import sklearn.neural_network
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import check_is_fitted, validate_data

from nncore.sklearn._base import CONSTRAINTS, DTYPES, Perceptron, initializer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nncore.network import Network


class MLPClassifier(Perceptron, sklearn.neural_network.MLPClassifier):  # type: ignore[misc]
    """A multilayer perceptron that classifies: scikit-learn's, trained and run by nncore.

    It is a subclass of `sklearn.neural_network.MLPClassifier`, with all its parameters, attributes
    and methods; with the same `random_state` it begins with the same weights and takes the samples
    in the same order. What is listed here is new or differs.

    Parameters
    ----------
    activation : str, default="relu"
        Of the hidden layers: identity, logistic (or sigmoid), tanh and relu, and all others of
        `nncore.activations` that have a derivative, such as gelu, silu, elu and leaky_relu.
    class_weight : dict, "balanced" or None, default=None
        The weight of each class, by its label, multiplied by `sample_weight`; "balanced": n /
        (number of classes * samples of the class), not for `partial_fit`.
    dropout : float or sequence of float, default=0.0
        The share of activations that are set to 0 while learning, with the solvers sgd and adam:
        one number for every hidden layer, or one for each.

    Attributes
    ----------
    network_ : nncore.Network
        The network with the present `coefs_` and `intercepts_`.

    Notes
    -----
    Samples in float32 are learned in float32, float64 in float64, and uint8 are read in place and
    learned in float32. Predictions read a sparse matrix row by row; while learning, some rows at a
    time are made dense. The loss is exact where scikit-learn limits probabilities to the dtype's
    resolution before it takes logarithms.

    Examples
    --------
    >>> import numpy as np
    >>> from nncore.sklearn import MLPClassifier
    >>> x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> y = ["same", "other", "other", "same"]
    >>> model = MLPClassifier((8,), "tanh", solver="lbfgs", random_state=0).fit(x, y)
    >>> model.predict(x).tolist()
    ['same', 'other', 'other', 'same']
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **sklearn.neural_network.MLPClassifier._parameter_constraints,
        **CONSTRAINTS,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    __init__ = initializer(sklearn.neural_network.MLPClassifier, class_weight=None, dropout=0.0)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the class of each sample.

        Parameters
        ----------
        X : array-like or sparse matrix
            (n, `n_features_in_`).

        Returns
        -------
        ndarray
            (n,) of `classes_`, or (n, `n_outputs_`) of 0 and 1 for a multilabel problem.

        Examples
        --------
        >>> from nncore.sklearn import MLPClassifier
        >>> model = MLPClassifier(solver="lbfgs", random_state=0).fit([[0.0], [1.0]], ["no", "yes"])
        >>> model.predict([[0.9]]).tolist()
        ['yes']
        """
        if not hasattr(self, "coefs_"):
            check_is_fitted(self)
        labels: NDArray[Any] = self._predict(X)
        return labels

    def _predict(self, X: Any, check_input: bool = True) -> Any:
        return self._labels_of(self._forward_pass_fast(X, check_input=check_input))

    def _labels_of(self, y: NDArray[Any]) -> Any:
        """Return the labels of outputs, or of binarized labels (n, m)."""
        if self._is_multilabel():
            return self._label_binarizer.inverse_transform(y)
        place = (y[:, 0] > 0.5).astype(np.intp) if y.shape[1] == 1 else y.argmax(axis=1)
        # There may be a single class, and every sample is of that one.
        return self.classes_[np.minimum(place, len(self.classes_) - 1)]

    def _is_multilabel(self) -> bool:
        return bool(self._label_binarizer.y_type_.startswith("multilabel"))

    def _stratifies(self) -> bool:
        return bool(self.n_outputs_ == 1)

    def _weights(self, y: NDArray[Any], sample_weight: Any) -> Any:
        if self.class_weight is None:
            return sample_weight
        weights = compute_sample_weight(
            self.class_weight, y.astype(int) if self._is_multilabel() else self._labels_of(y)
        )
        return weights if sample_weight is None else weights * sample_weight

    def _name_classes(self, net: Network) -> None:
        names = self.classes_.tolist() if hasattr(self, "classes_") else []
        if len(names) == max(net.out_features, 2) and all(
            isinstance(name, (str, int, float)) for name in names
        ):
            net.classes = names

    def _fit(
        self, X: Any, y: Any, sample_weight: Any = None, incremental: bool = False
    ) -> MLPClassifier:
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight is 'balanced', expected a dict or None for partial_fit, which does "
                "not know how often each class will come"
            )
        super()._fit(X, y, sample_weight=sample_weight, incremental=incremental)
        return self

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        """Return samples in a dtype that is learned from, and binarized labels (n, m)."""
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=DTYPES, reset=reset
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_labels(unique_labels(y))
        return X, self._label_binarizer.transform(y).astype(bool)

    def _check_labels(self, classes: NDArray[Any]) -> None:
        """Refuse labels that do not go with those of the fit before."""
        if self.warm_start and set(classes) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes_}, `y` has {classes}"
            )
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. "
                f"'y' has {classes}."
            )
