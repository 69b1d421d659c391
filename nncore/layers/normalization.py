"""Normalization: a mean and a standard deviation for each input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nncore import _validation
from nncore.layers._layer import ArrayType, Layer, check_keys, check_size

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from nncore._plan import Parameters, Program


class Normalization(Layer):
    """(x - mean) / std for each feature, while it is read: only as the first layer.

    Each input is taken as it came, the formula is computed in double precision, and the result is
    rounded once to the network's dtype. If the mean and the deviation were folded into the weights
    instead, these would be rounded first, and features whose mean is far from zero would lose their
    differences.

    Parameters
    ----------
    mean : array_like
        (in_features,), finite; such as ``scaler.mean_`` of a scikit-learn ``StandardScaler``.
    std : array_like
        (in_features,), finite and positive; such as ``scaler.scale_``. For a feature that is the
        same in all samples take 1, as scikit-learn does: it then becomes 0.

    Attributes
    ----------
    mean, std : ndarray
        Read-only copies, float64.

    Raises
    ------
    TypeError, ValueError
        Shapes, dtypes or values do not fit.

    Examples
    --------
    >>> import nncore
    >>> nncore.Normalization(mean=[5.0, 1e6], std=[2.0, 0.5])
    Normalization(2 features)

    In front of a network it takes features as they were measured:

    >>> net = nncore.Network(
    ...     [nncore.Normalization([5.0, 1e6], [2.0, 0.5]), nncore.Dense(2, 2)], dtype="float64"
    ... )
    >>> net.layers[1].weights = [[1, 0], [0, 1]]
    >>> net([7.0, 1e6 + 1])
    array([1., 2.])
    """

    _is_closed = True
    first_only: ClassVar[bool] = True

    def __init__(self, mean: ArrayLike, std: ArrayLike) -> None:
        self._mean, self._std = _check(mean, std)
        self._in_features = len(self._mean)

    @property
    def mean(self) -> NDArray[np.float64]:
        """(in_features,), read-only."""
        return self._mean

    @property
    def std(self) -> NDArray[np.float64]:
        """(in_features,), read-only."""
        return self._std

    @property
    def in_features(self) -> int:
        """Inputs of the layer, and outputs."""
        return self._in_features

    def compile(self, program: Program) -> None:
        program.normalize(self._mean, self._std)

    @property
    def format_version(self) -> int:
        return 2

    def describe(self, where: str) -> dict[str, Any]:
        return {"in_features": self._in_features}

    @classmethod
    def from_description(cls, described: Mapping[str, Any], where: str) -> Normalization:
        check_keys(described, {"in_features"}, where)
        layer = cls.__new__(cls)
        layer._in_features = check_size(described, "in_features", where)
        return layer

    def array_types(self, dtype: str) -> dict[str, ArrayType]:
        shape = (self._in_features,)
        return {"mean": ("float64", shape), "std": ("float64", shape)}

    def arrays(self, record: Parameters | None) -> dict[str, NDArray[Any] | None]:
        return {"mean": self._mean, "std": self._std}

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._mean, self._std = _check(arrays["mean"], arrays["std"])

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for array in (self._mean, self._std):
            array.flags.writeable = False

    def __repr__(self) -> str:
        return f"Normalization({_validation.counted(self._in_features, 'feature')})"


def _check(mean: Any, std: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return copies of both in double, read-only."""
    copies = []
    for name, values in (("mean", mean), ("std", std)):
        array = _validation.array(values, name)
        if array.ndim != 1 or array.size == 0:
            raise ValueError(f"{name} has shape {array.shape}, expected (in_features,)")
        copy = array.astype(np.float64)
        if not np.isfinite(copy).all():
            where = int(np.argmin(np.isfinite(copy)))
            raise ValueError(f"{name}[{where}] is {copy[where]}, expected a finite number")
        copy.flags.writeable = False
        copies.append(copy)
    mean, std = copies
    if mean.shape != std.shape:
        raise ValueError(f"std has shape {std.shape}, expected {mean.shape}, the shape of mean")
    if not (std > 0).all():
        where = int(np.argmin(std > 0))
        raise ValueError(
            f"std[{where}] is {std[where]}, expected a positive number: take 1 for a feature that "
            "is the same in all samples"
        )
    return mean, std
