"""Compare what two runtimes make of the same random samples, and the time that they take."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore import Normalization, Rescaling, activations
from nncore._pixels import takes_bytes
from nncore._random import Random
from nncore.cli._common import dense_layers
from nncore.cli._rounding import Expected, expected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nncore import Network
    from nncore.cli._origins import Call, Runtime

BATCH = 1000  # samples at most in a batch, so that a large N takes no more memory
_WIDEST = 1 << 23  # numbers in the widest layer of a batch
TIME_BUDGET = 1.5  # seconds for all timed calls together
REPEATS = 101
# Seconds of calls in a repeat: long for the clock, short beside the time slices of a busy machine.
_SLICE = 2e-4
_WARM_UP = 0.02  # seconds of each call


class Inputs:
    """Random samples that suit a network: the same for the same seed, on every machine.

    Examples
    --------
    >>> import nncore
    >>> net = nncore.Network([nncore.Rescaling(1 / 255), nncore.Dense(3, 1)], seed=0)
    >>> inputs = Inputs(net, np.dtype("f4"), False, seed=0)
    >>> inputs.what, inputs.draw(1).dtype
    ('bytes, 0 to 255', dtype('uint8'))
    """

    def __init__(self, net: Network, dtype: np.dtype, integers: bool, seed: int) -> None:
        self._random, self._dtype, self._features = Random(seed), dtype, net.in_features
        self._mean: np.ndarray | float = 0.0
        self._std: np.ndarray | float = 1.0
        self.what = "standard normal"
        first = net.layers[0]
        self._bytes = integers
        if isinstance(first, Normalization):
            self._mean, self._std = first.mean, first.std
            self.what = "normal, of the Normalization's mean and std"
        elif isinstance(first, Rescaling):
            self._bytes |= takes_bytes(net.layers)
            if first.scale:
                self._mean, self._std = -first.offset / first.scale, 1 / first.scale
                self.what = "standard normal after the Rescaling"
        if self._bytes:
            self.what = "bytes, 0 to 255"

    def draw(self, n: int) -> np.ndarray:
        """Return the next n samples (n, k), in numbers that both sides take as they are."""
        shape = (n, self._features)
        if self._bytes:
            drawn: np.ndarray = self._random.integers(256, shape)
            return drawn.astype(np.uint8)
        drawn = self._mean + self._std * self._random.normal(shape)
        return drawn.astype(self._dtype)


class Differences:
    """How far the outputs of two sides are apart, gathered batch by batch.

    Attributes
    ----------
    samples : int
    only_labels : bool
        One side gives no numbers to compare: the four that follow are None in `facts`.
    largest, ulp : float
        The largest difference, and that in units in the last place of the sample's largest output.
    bound : float
        What rounding explains where the difference is largest.
    share : float
        The largest difference in bounds, each in that of its output; more than 1 is a mistake.
    beyond : int
        Samples with a difference of more than their bound.
    labels : int or None
        Samples whose labels differ; None where there are no labels.
    kinds : int
        How many of the possible labels occurred: differences are sought among these alone.
    margin, margin_bound : float
        Where labels differ, the most by which the logits of the two are apart, and its bound.
    """

    def __init__(self, net: Network, dtypes: Sequence[np.dtype], rounded: bool = False) -> None:
        last = dense_layers(net)[-1]
        self._net, self._dtypes, self._rounded = net, dtypes, rounded
        self._sigmoid = last.activation == "sigmoid"
        self._softmax = activations.last_layer_only(last.activation)
        self._has_labels = self._sigmoid or last.out_features > 1
        self.samples = self.beyond = 0
        self.only_labels = False
        self.largest = self.ulp = self.bound = self.share = 0.0
        self.labels: int | None = 0 if self._has_labels else None
        self.margin = self.margin_bound = 0.0
        self._seen: set[tuple[int, ...]] = set()

    @property
    def kinds(self) -> int:
        return len(self._seen)

    def add(self, x: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
        """Compare the outputs a and b, (n, m), of samples x (n, k); a may be labels (n,)."""
        right = expected(self._net, x, self._dtypes, self._rounded)
        self.samples += len(x)
        b = b.astype(np.float64)
        if a.ndim == 1:
            if not self._has_labels or len(a) != len(b):
                raise ValueError("one of them gives labels, the other numbers")
            self.only_labels = True
            self.beyond += self._compare_labels(right, self._indices(a), self._labels_of(b))
            return
        a = _columns(a.astype(np.float64), b.shape[1])
        with np.errstate(all="ignore"):
            apart = np.abs(a - b)
            apart[(a == b) | (np.isnan(a) & np.isnan(b))] = 0
            apart[np.isnan(apart)] = np.inf
            share = np.where(apart == 0, 0, apart / right.outputs_apart)
            share[np.isnan(share)] = np.inf
            size = np.maximum(np.abs(a), np.abs(b)).max(1, keepdims=True)
            coarse = np.dtype(min(self._dtypes))
            ulp = apart / np.spacing(np.where(np.isfinite(size), size, 0).astype(coarse))
        at = np.unravel_index(apart.argmax(), apart.shape)
        if apart[at] >= self.largest:
            self.largest, self.bound = float(apart[at]), float(right.outputs_apart[at])
        self.ulp = max(self.ulp, float(ulp.max()))
        self.share = max(self.share, float(share.max()))
        self.beyond += int((share > 1).any(1).sum())
        if self._has_labels:
            self._compare_labels(right, self._labels_of(a), self._labels_of(b))

    def facts(self) -> dict[str, Any]:
        """Return what `--json` says."""
        numbers = ("largest", "ulp", "bound", "share")
        facts = {name: None if self.only_labels else getattr(self, name) for name in numbers}
        names = ("beyond", "labels", "kinds", "margin", "margin_bound")
        return {**facts, **{name: getattr(self, name) for name in names}}

    def _labels_of(self, outputs: np.ndarray) -> np.ndarray:
        """Return the index of the largest output (n, 1), or what each sigmoid says (n, m)."""
        if self._sigmoid:
            return (outputs > 0.5).astype(np.int64)
        labels: np.ndarray = outputs.argmax(1)
        return labels[:, np.newaxis]

    def _indices(self, labels: np.ndarray) -> np.ndarray:
        """Return labels (n,) as indices (n, 1); -1 for a label that is no class."""
        if self._net.classes is not None:
            found = {name: i for i, name in enumerate(self._net.classes.tolist())}
            labels = np.array([found.get(name, -1) for name in labels.tolist()])
        return labels.astype(np.int64)[:, np.newaxis]

    def _compare_labels(self, right: Expected, a: np.ndarray, b: np.ndarray) -> int:
        """Count the samples whose labels differ; return how many of them are no ties."""
        self._seen.update(map(tuple, b.tolist()))
        rows, columns = np.nonzero(a != b)
        if not len(rows):
            return 0
        assert self.labels is not None
        self.labels += len(np.unique(rows))
        z, apart = (
            (right.logits, right.logits_apart)
            if self._sigmoid or self._softmax
            else (right.outputs, right.outputs_apart)
        )
        if self._sigmoid:
            margins, bounds = np.abs(z[rows, columns]), apart[rows, columns]
        else:
            one, other = a[rows, 0], b[rows, 0]
            margins = np.abs(z[rows, one] - z[rows, other])
            bounds = apart[rows, one] + apart[rows, other]
            margins[one < 0] = np.inf  # a label that is no class
        at = int(margins.argmax())
        if margins[at] >= self.margin:
            self.margin, self.margin_bound = float(margins[at]), float(bounds[at])
        no_ties: list[int] = rows[margins > bounds].tolist()
        return len(set(no_ties))


def _columns(outputs: np.ndarray, m: int) -> np.ndarray:
    """Return (n, m): of two probabilities the second, where nncore has one sigmoid."""
    if outputs.shape[1] == 2 and m == 1:
        return outputs[:, 1:]
    if outputs.shape[1] != m:
        raise ValueError(f"it gives {outputs.shape[1]} outputs, nncore {m}")
    return outputs


def batch_of(net: Network, n: int) -> int:
    """Return how many samples go at a time: of wide networks fewer."""
    widest: int = max(max(layer.in_features, layer.out_features) for layer in dense_layers(net))
    return max(1, min(n, BATCH, _WIDEST // widest))


class Times(NamedTuple):
    """Seconds of each side for one sample and for a batch, and of how many repeats the median."""

    one: list[float]
    batch: list[float]
    repeats: int


def take_times(sides: Sequence[Runtime], x: np.ndarray) -> Times:
    """Time calls of each side with x[:1] and with all of x, alternating between the sides."""
    medians, repeats = time_calls([side.prepare(given) for given in (x[:1], x) for side in sides])
    return Times(medians[: len(sides)], medians[len(sides) :], repeats)


def time_calls(calls: Sequence[Call]) -> tuple[list[float], int]:
    """Return the median seconds of each call, and of how many repeats, which alternate."""
    loops = [_loops_of(call) for call in calls]
    took: list[list[float]] = [[] for _ in calls]
    end = perf_counter() + TIME_BUDGET
    while len(took[0]) < REPEATS and (perf_counter() < end or len(took[0]) < 3):
        for call, count, seconds in zip(calls, loops, took, strict=True):
            call()  # what the others have put out of the caches comes back
            begin = perf_counter()
            for _ in range(count):
                call()
            seconds.append((perf_counter() - begin) / count)
    return [float(np.median(seconds)) for seconds in took], len(took[0])


def _loops_of(call: Call) -> int:
    """Warm up, and return how many calls make a repeat."""
    best, end = np.inf, perf_counter() + _WARM_UP
    while True:
        begin = perf_counter()
        call()
        best = min(best, perf_counter() - begin)
        if perf_counter() > end:
            return max(1, min(10_000, int(_SLICE / max(best, 1e-9))))
