"""The Trainer: a network's parameters while they are learned, whole epochs in one call.

It prepares the arguments of its compiled half, ext/training.pyx. Here it is made of a network, too,
and its weights are given back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import _table
from nncore._training import MOST_SETTINGS, Core
from nncore.activations import CODES
from nncore.layers import assign

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nncore._inference import Inference
    from nncore._plan import Program
    from nncore.losses import Loss
    from nncore.optimizers import Optimizer

    Arrays = Sequence[tuple[NDArray[Any], NDArray[Any] | None]]

_OPTIMIZERS = {row[0]: (code, *row[1:]) for code, row in enumerate(_table.optimizer_rows())}
_OPERATIONS = _table.operation_names()
_DENSE, _DROPOUT = _OPERATIONS.index("dense"), _OPERATIONS.index("dropout")

# These losses take the last layer's weighted sums: softmax or sigmoid is a part of them.
_OF_SUMS = [_table.loss_names().index(name) for name in ("cross_entropy", "binary_cross_entropy")]

# A step of an optimizer: nn_update in ext/contract.h.
_UPDATE = np.dtype(
    [
        ("kind", np.intc), ("step", np.int64), ("rate", np.float64), ("scale", np.float64),
        ("settings", np.float64, (MOST_SETTINGS,)),
    ],
    align=True,
)  # fmt: skip

# The arrays that the compiled half has for each layer; the optimizer's states follow.
_PARAMETERS, _GRADIENT, _STATES = range(3)


class Trainer:
    """The parameters of a network while they are learned.

    Parameters
    ----------
    program : Program
        What the network's layers compile to; their weights are copied.
    loss : int
        Its code: its place in registries.h.
    optimizer : mapping, optional
        ``kind``, a name of NN_OPTIMIZERS, and its constants as torch.optim names them.
    dropout : sequence of float, optional
        Of the activations of each layer, the last 0.
    label_smoothing : float, optional
    clip_norm, clip_value : float, optional
        Of the whole gradient's Euclidean norm; of each element.
    seed : int, optional
        Of the dropout.

    Attributes
    ----------
    steps : int
        Taken since training began.
    """

    def __init__(
        self,
        program: Program,
        loss: int,
        optimizer: Mapping[str, Any] | None = None,
        *,
        dropout: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        seed: int = 0,
    ) -> None:
        self.steps = 0
        self._dtype = np.dtype(np.float64 if program.is_double else np.float32)
        self._layers = [
            ((1 + entry[3].k, entry[1]), entry[2]) for entry in program.entries
            if entry[0] == _DENSE
        ]  # fmt: skip
        self._update: NDArray[Any] | None = None
        self._states = 0
        if optimizer is not None:
            self._set_optimizer(optimizer)
        self._core = Core(
            program, _taped(program, loss, dropout), loss, label_smoothing, self._states,
            clip_norm or 0.0, clip_value or 0.0, seed & (2**64 - 1),
        )  # fmt: skip

    def _set_optimizer(self, options: Mapping[str, Any]) -> None:
        kind = options["kind"]
        if kind not in _OPTIMIZERS:
            raise ValueError(f"optimizer is {kind!r}, expected one of {', '.join(_OPTIMIZERS)}")
        code, states, momentum_states, self._names = _OPTIMIZERS[kind]
        self._states = states + (momentum_states if options.get("momentum", 0) else 0)
        self._update = np.zeros((), _UPDATE)  # all of a step but its number and rate
        self._update["kind"], self._update["scale"] = code, 1
        self._update["settings"][: len(self._names)] = [options[name] for name in self._names]

    def run(
        self,
        x: NDArray[Any],
        targets: NDArray[Any],
        weights: NDArray[Any] | None,
        order: NDArray[np.int64],
        batch_size: int,
        rates: NDArray[np.float64],
        settings: Mapping[str, NDArray[np.float64]] | None = None,
        bias_settings: Mapping[str, NDArray[np.float64]] | None = None,
        squares: NDArray[np.float64] | None = None,
        check: bool = False,
    ) -> tuple[NDArray[np.float64], int, int]:
        """Learn from the samples in order, a step for each batch_size of them.

        Parameters
        ----------
        x : ndarray (N, k), any real dtype of native byte order
        targets : int32 (N,) class labels, or (N, m) of the network's dtype
        weights : None, or (N,) of the network's dtype
        order : int64 (n,), C-contiguous: the samples to take
        batch_size : int
        rates : float64 (steps,): the learning rate of each step
        settings : None, or a mapping from names of the optimizer's settings to float64 (steps,)
            What differs from step to step.
        bias_settings : None, or a mapping likewise: what differs for the biases from the weights
        squares : None, or float64 (steps,), which is filled
            The sum of all squared weights, without the biases, before each step.
        check : bool
            Whether the loss is to be NaN where the first layer gets numbers that are not finite.
            Without it, they can reach the weights and leave the loss finite.

        Returns
        -------
        losses : float64 (steps,)
            The mean loss of each batch, before its update.
        right : int
            Samples that were classified right.
        bad : int
            -1, or the first batch whose loss was not finite: there it stopped, before the update.
        """
        steps = -(-len(order) // batch_size)
        losses = np.full(steps, np.nan)
        settings = settings or {}
        updates, of_biases = self._updates(steps, rates, settings), None
        if bias_settings is not None:
            of_biases = self._updates(steps, rates, {**settings, **bias_settings})
        if squares is not None:
            _check_steps("squares", squares, steps)
        right, bad = self._core.run(
            True, x, targets, weights, order, len(order), batch_size,
            _table.get_num_threads(), losses, self.steps, updates, of_biases, squares, check,
        )  # fmt: skip
        self.steps += steps if bad < 0 else bad
        return losses, right, bad

    def _updates(
        self, steps: int, rates: NDArray[np.float64], settings: Mapping[str, NDArray[np.float64]]
    ) -> NDArray[Any]:
        """Return an nn_update for each step."""
        if self._update is None:
            raise ValueError("this Trainer has no optimizer")
        _check_steps("rates", rates, steps)
        updates = np.full(steps, self._update)
        updates["step"] = self.steps + np.arange(steps)
        updates["rate"] = rates
        for name, given in settings.items():
            if name not in self._names:
                raise ValueError(f"there is no setting {name!r}, expected one of {self._names}")
            _check_steps(name, given, steps)
            updates["settings"][:, self._names.index(name)] = given
        return updates

    def gradients(
        self,
        x: NDArray[Any],
        targets: NDArray[Any],
        weights: NDArray[Any] | None,
        check: bool = False,
    ) -> tuple[float, list[tuple[NDArray[Any], NDArray[Any] | None]]]:
        """Return the mean loss over all of x and its gradient: (loss, [(dw, db or None), ...]).

        check: as in `run`.
        """
        loss, _ = self._whole(True, x, targets, weights, check)
        return loss, self._pairs(_GRADIENT)

    def evaluate(
        self,
        x: NDArray[Any],
        targets: NDArray[Any],
        weights: NDArray[Any] | None,
        check: bool = False,
    ) -> tuple[float, int]:
        """Return (mean loss, samples classified right) over all of x, without dropout.

        check: as in `run`.
        """
        return self._whole(False, x, targets, weights, check)

    def _whole(
        self,
        backward: bool,
        x: NDArray[Any],
        targets: NDArray[Any],
        weights: NDArray[Any] | None,
        check: bool,
    ) -> tuple[float, int]:
        loss, n = np.zeros(min(len(x), 1)), len(x)
        right, _ = self._core.run(
            backward, x, targets, weights, None, n, n, _table.get_num_threads(), loss,
            self.steps, None, None, None, check,
        )  # fmt: skip
        return (float(loss[0]) if n else 0.0), right

    def arrays(self) -> list[tuple[NDArray[Any], NDArray[Any] | None]]:
        """Return copies of the parameters: [(weights, bias or None), ...]."""
        return self._pairs(_PARAMETERS)

    def set_arrays(self, pairs: Arrays) -> None:
        """Go on with other parameters: [(weights, bias or None), ...], as `arrays` returns."""
        for i, (weights, bias) in enumerate(pairs):
            plain = np.zeros(self._layers[i][0], self._dtype)
            plain[1:] = weights
            if bias is not None:
                plain[0] = bias
            self._core.exchange(_PARAMETERS, i, plain, True)

    def get_state(self) -> dict[str, Any]:
        """Return the optimizer's state: {"steps": int, "arrays": [(1 + k, m), ...]}, copies."""
        arrays = [
            self._plain(_STATES + state, i)
            for i in range(len(self._layers)) for state in range(self._states)
        ]  # fmt: skip
        return {"steps": self.steps, "arrays": arrays}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `get_state` returned."""
        arrays = state["arrays"]
        expected = [shape for shape, _ in self._layers for _ in range(self._states)]
        came = [array.shape for array in arrays]
        if expected != came:
            raise ValueError(f"the state has arrays of shapes {came}, expected {expected}")
        for place, array in enumerate(arrays):
            i, number = divmod(place, self._states)
            plain = np.ascontiguousarray(array, self._dtype)
            self._core.exchange(_STATES + number, i, plain, True)
        self.steps = state["steps"]

    def _pairs(self, kind: int) -> list[tuple[NDArray[Any], NDArray[Any] | None]]:
        pairs = []
        for i, (_, has_bias) in enumerate(self._layers):
            plain = self._plain(kind, i)
            pairs.append((plain[1:].copy(), plain[0].copy() if has_bias else None))
        return pairs

    def _plain(self, kind: int, i: int) -> NDArray[Any]:
        """Return an array of layer i, (1 + k, m), the bias first."""
        plain = np.empty(self._layers[i][0], self._dtype)
        self._core.exchange(kind, i, plain, False)
        return plain


def _check_steps(name: str, array: NDArray[Any], steps: int) -> None:
    """Refuse an array that does not have a number for each step."""
    if array.shape != (steps,) or array.dtype != np.float64:
        raise ValueError(f"{name} has shape {array.shape}, expected ({steps},) of float64")


def _taped(program: Program, loss: int, dropout: Sequence[float] | None) -> list[tuple[Any, ...]]:
    """Return a program's entries as they are learned: with dropout, without what the loss does.

    The operation of dropout carries its layer's number, from 1, where others have their activation,
    and the rate as alpha.
    """
    taped: list[tuple[Any, ...]] = []
    number, last = 0, len(program.entries) - 1
    for place, entry in enumerate(program.entries):
        kind, m, bias, parameters, activation, alpha, beta = entry
        if place == last and loss in _OF_SUMS:
            activation = CODES["identity"]
        taped.append((kind, m, bias, parameters, activation, alpha, beta))
        if kind == _DENSE:
            number += 1
            if dropout is not None and dropout[number - 1] > 0:
                taped.append((_DROPOUT, m, False, None, number, dropout[number - 1], 0.0))
    return taped


def make_trainer(
    net: Inference, loss: Loss, optimizer: Optimizer | None = None, **options: Any
) -> Trainer:
    """Make a Trainer, which begins with the network's present weights."""
    settings = None
    if optimizer is not None:
        settings = optimizer.options()
        options |= {"clip_norm": optimizer.clip_norm, "clip_value": optimizer.clip_value}
    program = net._program()
    program.widen()
    return Trainer(program, loss.code, settings, **options)


def shapes_of(net: Inference) -> tuple[Any, ...]:
    """Return (in_features, out_features, has a bias) of each layer; a state fits these alone."""
    return tuple((layer.in_features, layer.out_features, layer.use_bias) for layer in net._dense)


def set_arrays(net: Inference, arrays: Sequence[tuple[Any, Any]]) -> None:
    """Assign weights and biases to every layer.

    A call of the network in another thread runs all of the old ones or all of the new ones.
    """
    assign(net._dense, arrays)
