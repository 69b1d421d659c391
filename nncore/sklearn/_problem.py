"""What a fit minimises, as scikit-learn defines it, said in the terms of nncore's Trainer.

scikit-learn adds up the derivatives over the outputs, where nncore's losses are means, and adds
alpha / 2 times the sum of the squared weights over the weight of the batch. Its reported loss of a
regression is a mean over the outputs all the same. So there are two factors: `value`, by which
nncore's loss becomes scikit-learn's, and `slope`, by which the gradient does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore import activations
from nncore.fit.trainer import Trainer
from nncore.losses import REGISTRY
from nncore.network import Network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Names of scikit-learn's that are others here. The outputs of a Poisson regression are the
# exponentials of the network's.
_ACTIVATIONS = {"logistic": "sigmoid", "exp": "identity"}

HIDDEN_ACTIVATIONS = {"logistic"} | {
    name
    for name in activations.REGISTRY
    if name != "step" and not activations.last_layer_only(name)
}


def make_network(
    coefs: Sequence[Any],
    intercepts: Sequence[Any],
    activation: str,
    out_activation: str,
    dtype: Any,
) -> Network:
    """Make the network of an estimator's weights."""
    names = [activation] * (len(coefs) - 1) + [out_activation]
    return Network.from_arrays(
        coefs, intercepts, [_ACTIVATIONS.get(name, name) for name in names], dtype
    )


class Problem(NamedTuple):
    """Samples with their targets, and the loss.

    `loss` is nncore's. `targets` are as the Trainer takes them, `weights` (n,) of the network's
    dtype or None; `constants` (n,) is what scikit-learn's loss of each sample has in addition.
    """

    net: Network
    loss: str
    value: float
    slope: float
    alpha: float
    x: Any
    targets: NDArray[Any]
    weights: NDArray[Any] | None
    constants: NDArray[np.float64] | None

    @classmethod
    def of(cls, net: Network, out_activation: str, alpha: float, x: Any, y: Any, w: Any) -> Problem:
        """Make the problem of samples x with targets y (n, m) and the weights w (n,) or None."""
        m = y.shape[1]
        loss, value, slope = {
            "softmax": ("cross_entropy", 1.0, 1.0),
            "logistic": ("binary_cross_entropy", m, m),
            "identity": ("mse", 0.5, m / 2),
            "exp": ("poisson", m, m),
        }[out_activation]
        constants = None
        if out_activation == "softmax":
            targets = y.argmax(axis=1).astype(np.int32)
        else:
            with np.errstate(over="ignore"):  # the loss will not be finite, and that is told
                targets = np.ascontiguousarray(y, net.dtype)
            if out_activation == "exp":
                if (y < 0).any():
                    raise ValueError("y has negative values, expected none with the loss 'poisson'")
                constants = (y * np.log(np.where(y > 0, y, 1)) - y).sum(axis=1, dtype=np.float64)
        if w is not None:
            w = np.ascontiguousarray(w, net.dtype)
        return cls(net, loss, float(value), float(slope), alpha, x, targets, w, constants)

    def trainer(self, optimizer: dict[str, Any] | None = None, **options: Any) -> Trainer:
        """Make the Trainer, which begins with the network's weights."""
        return Trainer(self.net._program(), REGISTRY[self.loss].code, optimizer, **options)

    def totals(self, rows: NDArray[Any], size: int) -> NDArray[np.float64]:
        """Return the weight of each batch of `size` rows: how many, if nothing is weighted."""
        if self.weights is not None:
            return _sums(self.weights[rows], size)
        counts = np.full(-(-len(rows) // size), float(size))
        counts[-1] = len(rows) - (len(counts) - 1) * size
        return counts

    def losses(
        self, found: NDArray[Any], squares: NDArray[Any], rows: NDArray[Any], size: int
    ) -> NDArray[Any]:
        """Return scikit-learn's loss of each batch of rows.

        `found` are nncore's losses, `squares` the sums of squared weights.
        """
        totals = self.totals(rows, size)
        losses: NDArray[Any] = self.value * found + 0.5 * self.alpha * squares / totals
        if self.constants is not None:
            constants = self.constants[rows]
            if self.weights is not None:
                constants = constants * self.weights[rows]
            losses += _sums(constants, size) / totals
        return losses


def _sums(values: NDArray[Any], size: int) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = np.add.reduceat(
        values, np.arange(0, len(values), size), dtype=np.float64
    )
    return sums
