"""Where weights begin: seeded, and the same bits on every machine.

``Dense(..., init="he")`` takes a name, or an object such as ``nncore.initializers.Normal(0.01)``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore._random import Random
from nncore.activations import REGISTRY

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Initializer:
    """Makes the first weights of a layer; made by one of its subclasses.

    ``initializer(in_features, out_features, seed)`` gives float64 (in_features, out_features).

    Examples
    --------
    >>> import nncore
    >>> nncore.initializers.Normal(0.01)(784, 50, seed=0).shape
    (784, 50)
    """

    def __call__(self, in_features: int, out_features: int, seed: Any) -> NDArray[np.float64]:
        raise NotImplementedError

    def __repr__(self) -> str:
        values = ", ".join(f"{value!r}" for value in vars(self).values())
        return f"{type(self).__name__}({values})"


class Zeros(Initializer):
    """All zeros: every node of a layer then learns the same, so it is for a single layer only."""

    def __call__(self, in_features: int, out_features: int, seed: Any) -> NDArray[np.float64]:
        return np.zeros((in_features, out_features))


class Normal(Initializer):
    """Normally distributed around zero.

    Parameters
    ----------
    std : float, optional
        The standard deviation, finite and at least 0.
    """

    def __init__(self, std: float = 0.01) -> None:
        self.std = _positive(std, "std")

    def __call__(self, in_features: int, out_features: int, seed: Any) -> NDArray[np.float64]:
        return Random(seed).normal((in_features, out_features)) * self.std


class He(Initializer):
    """Normal with variance 2 / in_features: for rectifiers (He et al., 2015)."""

    def __call__(self, in_features: int, out_features: int, seed: Any) -> NDArray[np.float64]:
        return Normal(math.sqrt(2 / in_features))(in_features, out_features, seed)


class Xavier(Initializer):
    """Normal with variance 2 / (in_features + out_features) (Glorot and Bengio, 2010).

    For functions that are about linear around zero.
    """

    def __call__(self, in_features: int, out_features: int, seed: Any) -> NDArray[np.float64]:
        std = math.sqrt(2 / (in_features + out_features))
        return Normal(std)(in_features, out_features, seed)


class LeCun(Initializer):
    """Normal with variance 1 / in_features (LeCun et al., 1998)."""

    def __call__(self, in_features: int, out_features: int, seed: Any) -> NDArray[np.float64]:
        return Normal(math.sqrt(1 / in_features))(in_features, out_features, seed)


class Orthogonal(Initializer):
    """A random rotation: columns, or where there are fewer of them rows, at right angles.

    Saxe et al. (2014). Each has length `gain`.

    Parameters
    ----------
    gain : float, optional
        Finite and at least 0; sqrt(2) suits relu.

    Examples
    --------
    >>> import numpy as np, nncore
    >>> w = nncore.initializers.Orthogonal()(5, 3, seed=0)
    >>> np.allclose(w.T @ w, np.eye(3))
    True
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = _positive(gain, "gain")

    def __call__(self, in_features: int, out_features: int, seed: Any) -> NDArray[np.float64]:
        long, short = max(in_features, out_features), min(in_features, out_features)
        columns = _orthonormal(Random(seed).normal((long, short)))
        rotation = columns if in_features >= out_features else columns.T
        return np.ascontiguousarray(rotation * self.gain)


INITIALIZERS: dict[str, type[Initializer]] = {
    "zeros": Zeros,
    "normal": Normal,
    "xavier": Xavier,
    "he": He,
    "lecun": LeCun,
    "orthogonal": Orthogonal,
}
NAMES = tuple(INITIALIZERS)


def default_for(activation: object) -> str:
    """Return the initializer that goes with an activation, as its row in registries.h says.

    That is He for rectifiers, LeCun for selu, and Xavier for others, callables too.
    """
    known = REGISTRY.get(activation) if isinstance(activation, str) else None
    return "xavier" if known is None else known.init


def check(init: object) -> str | Initializer:
    """Return `init` if it is the name of an initializer or an `Initializer`.

    Raises
    ------
    ValueError
        It is neither; the message lists the names.

    Examples
    --------
    >>> import nncore
    >>> nncore.initializers.check("he")
    'he'
    """
    if isinstance(init, Initializer) or (isinstance(init, str) and init in INITIALIZERS):
        return init
    raise ValueError(
        f"init is {init!r}, expected one of {', '.join(NAMES)}, or an object such as "
        "nncore.initializers.Normal(0.01)"
    )


def draw(
    init: str | Initializer, in_features: int, out_features: int, seed: Any
) -> NDArray[np.float64]:
    """Return weights (in_features, out_features) as `init` makes them."""
    known = check(init)
    initializer = INITIALIZERS[known]() if isinstance(known, str) else known
    return initializer(in_features, out_features, seed)


def _positive(value: Any, name: str) -> float:
    if isinstance(value, (bool, str, bytes)):
        raise TypeError(f"{name} is {value!r}, expected a number")
    number = float(value)
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} is {number}, expected a finite number of at least 0")
    return number


def _orthonormal(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return columns (k, m), m at most k, made orthonormal one by one (modified Gram-Schmidt).

    Each column's direction is removed from all columns after it at once. The sums are added in an
    order of our own: NumPy adds in an order that depends on the machine.
    """
    rest = np.ascontiguousarray(columns.T)  # (m, k): what was a column is contiguous
    for i in range(len(rest)):
        rest[i] /= math.sqrt(_row_sums(rest[i : i + 1] * rest[i])[0])
        others = rest[i + 1 :]
        others -= _row_sums(others * rest[i])[:, None] * rest[i]
    return rest.T


def _row_sums(products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sums along the last axis, which is folded in half repeatedly; overwrite the input."""
    length = products.shape[1]
    while length > 1:
        half = (length + 1) // 2
        products[:, : length - half] += products[:, half:length]
        length = half
    return products[:, 0].copy()
