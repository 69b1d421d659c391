"""What a network makes of one input, for `nncore inspect`: as facts, and as text.

Layers stand beside each other where the terminal has room for that. Of a wide layer the nodes with
the largest activations are shown, and how many are left out is said.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nncore._pixels import takes_bytes
from nncore.cli._common import count_of
from nncore.cli._inspect_numbers import aligned, number
from nncore.cli._terminal import (
    BOLD,
    DIM,
    GREEN,
    RED,
    WIDEST,
    Block,
    Colours,
    Column,
    beside,
    can_show,
    columns_of,
    cut,
    field,
    pad,
    table,
    width_of,
    wrap,
)
from nncore.datasets.pictures import as_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nncore import Network
    from nncore.cli._inspect_input import Sample
    from nncore.network import LayerTrace

_BARS = (6, 34)  # the least and the greatest width of a bar
_NAME = 24  # columns of a name; longer ones are cut
_RANGES = ("sigmoid", "softmax", "hard_sigmoid", "step")  # from 0 to 1, so that 1 is a whole bar


def inspect_sample(
    net: Network, sample: Sample, most: int, colour: str
) -> tuple[dict[str, Any], list[str]]:
    """Return what a network makes of a sample, as `--json` says it and as lines of text."""
    traces = net.trace(sample.x)
    answer = answer_of(net, sample, traces[-1])
    width = columns_of(sys.stdout) or WIDEST
    view = View(net, sample, traces, answer, most, width, Colours(colour))
    return facts_of(net, sample, traces, answer), view.lines()


class Answer(NamedTuple):
    """What a network says of a sample, as `predict` and `predict_proba` give it."""

    label: int | None  # of the one class that it is
    labels: list[int] | None  # 0 or 1 for each of several outputs
    probabilities: np.ndarray | None


def answer_of(net: Network, sample: Sample, last: LayerTrace) -> Answer:
    """Return the answer of a network; where its sums have NaN, there is none."""
    name = last.layer.activation
    gives_classes = name in ("softmax", "log_softmax", "sigmoid")
    probabilities = net.predict_proba(sample.x) if gives_classes else None
    named = name == "identity" and net.classes is not None
    if not (gives_classes or named) or np.isnan(last.weighted_sum).any():
        return Answer(None, None, probabilities)
    labels = np.atleast_1d(net.predict(sample.x)).tolist()
    if len(labels) > 1:
        return Answer(None, labels, probabilities)
    return Answer(labels[0], None, probabilities)


def facts_of(
    net: Network, sample: Sample, traces: Sequence[LayerTrace], answer: Answer
) -> dict[str, Any]:
    """Return what `--json` says of an input and of the network's answer to it."""
    label, labels, proba = answer
    named = label is not None and net.classes is not None
    return {
        "input": sample.facts(),
        "trace": [
            {"weighted_sum": trace.weighted_sum.tolist(), "activation": trace.activation.tolist()}
            for trace in traces
        ],
        "label": label,
        "labels": labels,
        "class": net.classes[label].item() if named else None,  # type: ignore[index]
        "probabilities": None if proba is None else proba.tolist(),
    }


class View:
    """Shows what a network makes of a sample.

    Parameters
    ----------
    most : int
        Nodes of a layer.
    width : int
        Of the terminal.
    """

    def __init__(
        self, net: Network, sample: Sample, traces: Sequence[LayerTrace], answer: Answer,
        most: int, width: int, colours: Colours,
    ) -> None:  # fmt: skip
        self._net, self._sample, self._traces, self._answer = net, sample, traces, answer
        self._most, self._width, self._colours = most, width, colours

    def lines(self) -> list[str]:
        """Return the input, the layers, the probabilities and the answer as lines."""
        blocks = [self._input()]
        blocks += [self._layer(i, trace) for i, trace in enumerate(self._traces, start=1)]
        proba = self._answer.probabilities
        last = self._traces[-1]
        if proba is not None and (len(proba) > len(last.activation) or _is_log(last)):
            blocks.append(self._probabilities(proba))
        word, text, verdict = self._said()
        said = field(word, [text])
        if verdict:
            colour = RED if verdict.startswith("WRONG") else GREEN
            said += [self._colours(line, colour) for line in field("", [verdict])]
        source = [self._sample.source, *self._sample.notes]
        return [*field("input", source), "", *beside(blocks, self._width), *said]

    def _said(self) -> tuple[str, str, str]:
        """Return what the answer is called, what it is, and whether it is right, if known."""
        (label, labels, proba), right = self._answer, self._sample.label
        it_is = "" if right is None else cut(right, 2 * _NAME)
        y = self._traces[-1].activation
        if np.isnan(self._traces[-1].weighted_sum).any():
            return "answer", "none: there is NaN among the last sums", ""
        if labels is not None:
            on = [self._name(i) for i, each in enumerate(labels) if each]
            return "answer", f"{self._some(on) or 'none'}, of {len(labels):,} labels", ""
        if label is None:
            verdict = "" if right is None else f"the file has {it_is}"
            return (
                "outputs" if len(y) > 1 else "output",
                self._some([number(each) for each in y]),
                verdict,
            )
        said = self._name(label)
        text = said if proba is None else f"{said}, probability {number(proba[label])}"
        verdict = "right" if right == self._whole_name(label) else "WRONG"
        return "answer", text, "" if right is None else f"{verdict}: it is {it_is}"

    def _some(self, texts: Sequence[str]) -> str:
        more = len(texts) - self._most
        return ", ".join(texts[: self._most]) + (f" and {more:,} more" if more > 0 else "")

    def _name(self, label: int, width: int = 2 * _NAME) -> str:
        """Return the name of a class, or of an output, as the terminal can show it."""
        return cut(self._whole_name(label), width)

    def _whole_name(self, label: int) -> str:
        classes = self._net.classes
        return str(label if classes is None else classes[label])

    def _input(self) -> Block:
        x, image = self._sample.x, self._sample.image
        if image is None:
            return self._features()
        factor = -(-(image[1] + 2) // self._width)  # pixels across a character
        is_byte = x.dtype == np.uint8 or takes_bytes(self._net.layers)
        grey = _grey(x.reshape(image), factor, 255.0 if is_byte else 1.0)
        text = as_text(grey, *([" ░▒▓█"] if can_show("░▒▓█") else []))
        title = f"input: {image[0]} x {image[1]} pixels"
        side = self._colours("│" if can_show("│") else "|", DIM)
        lines = [side + line + side for line in text]
        size = max(len(text[0]) + 2, len(title))
        return Block(size, size, lambda width: [*self._title(title, "", width), *lines])

    def _features(self) -> Block:
        """Return the inputs as numbers, and as the first layer makes them."""
        x, names = self._sample.x, self._sample.names
        shown = _chosen(self._most, np.abs(x.astype(np.float64)))
        heads = [cut(names[i] if names else i, _NAME) for i in shown]
        columns = [
            Column("feature", "feature", heads, left=names is not None),
            Column("value", "value", aligned(x[shown])),
        ]
        front = _scaled(self._net.layers[0], x, self._net.dtype)
        if front is not None:
            columns.append(Column(front[0], front[0], aligned(front[1][shown]), spare=1))
        title = f"input: {count_of(len(x), 'feature')}"
        return self._table(
            title, "", shown, columns, None, _left_out(x, shown, "values", "feature")
        )

    def _layer(self, i: int, trace: LayerTrace) -> Block:
        layer, sums, y = trace
        is_last = i == len(self._traces)
        # Of the classes, those whose sums, and so whose probabilities, are the largest.
        has_class = is_last and self._answer.label is not None
        shown = _chosen(self._most, *([sums] if has_class else [np.abs(y), np.abs(sums)]))
        classes = self._net.classes if is_last and layer.out_features > 1 else None
        names = [self._name(j, _NAME) for j in shown] if classes is not None else []
        columns = [Column("node", "node", [str(j) for j in shown])]
        if names:
            columns.append(Column("class", "class", names, left=True))
        word = "probability" if is_last and layer.activation == "softmax" else "activation"
        columns += [
            Column("weighted sum", "sum", aligned(sums[shown])),
            Column(word, word.replace("probability", "prob."), aligned(y[shown]), spare=1),
        ]
        parameters = "".join(
            f", {key} {value:g}"
            for key in ("alpha", "beta")
            if (value := getattr(layer, key)) is not None
        )
        title = f"layer {i}: {layer.in_features} -> {layer.out_features}"
        title += f", {layer.activation}{parameters}"
        shapes = f"weights ({layer.in_features}, {layer.out_features})"
        shapes += f", bias ({layer.out_features},)" if layer.use_bias else ", no bias"
        shares = _shares(y, layer.activation)
        below = _left_out(sums, shown, "sums", "node")
        zeros = int((y == 0).sum())
        if zeros and len(y) > 1:
            below.append(f"{zeros:,} of {len(y):,} activations {'are' if zeros > 1 else 'is'} 0")
        label = self._answer.label if is_last and len(y) > 1 else None
        alone = len(y) == 1 and layer.activation not in _RANGES
        bars = None if alone or _is_log(trace) else shares[shown]
        return self._table(title, shapes, shown, columns, bars, below, label)

    def _probabilities(self, proba: np.ndarray) -> Block:
        """Return a table of the probabilities, where the last activations are something else."""
        sums = self._traces[-1].weighted_sum
        is_single = len(sums) < len(proba)
        shown = [0, 1] if is_single else _chosen(self._most, sums)
        columns = [
            Column("class", "class", [self._name(j, _NAME) for j in shown], left=True),
            Column("probability", "prob.", aligned(proba[shown])),
        ]
        below, label = _left_out(proba, shown, "probabilities", "node"), self._answer.label
        return self._table("probabilities", "", shown, columns, proba[shown], below, label)

    def _title(self, title: str, shapes: str, width: int) -> list[str]:
        lines = [self._colours(line, BOLD) for line in wrap(title, width)]
        return lines + [self._colours(line, DIM) for line in wrap(shapes, width)]

    def _table(
        self, title: str, shapes: str, shown: list[int], columns: list[Column], shares: Any,
        below: list[str], label: int | None = None,
    ) -> Block:  # fmt: skip
        """Return a table below its title; bars fill what the numbers leave of its width.

        The row of the node `label` is marked.
        """
        marked = None if label is None else shown.index(label)
        if marked is not None:  # by a sign as well as by the colour
            first, other = columns[0], "  " if columns[0].left else ""
            cells = [("> " if i == marked else other) + cell for i, cell in enumerate(first.cells)]
            columns = [first._replace(cells=cells), *columns[1:]]
        fixed = [column._replace(spare=0) for column in columns]
        short = max(map(width_of, table(fixed, 0))) + len(columns) - 1
        long = max(map(width_of, table(columns, 1 << 20)))
        bars = (0, 0) if shares is None else (2 + _BARS[0], 2 + _BARS[1])

        def lines(width: int) -> list[str]:
            has_bars = shares is not None and width >= short + bars[0]
            rows = table(columns, width - bars[0] if has_bars else width)
            taken = max(map(width_of, rows)) + 2
            if has_bars:
                rows[1:] = [
                    pad(row, taken) + self._colours.bar(float(share), width - taken)
                    for row, share in zip(rows[1:], shares, strict=True)
                ]
            if marked is not None:
                rows[marked + 1] = self._colours(rows[marked + 1], BOLD)
            rest = [self._colours(line, DIM) for text in below for line in wrap(text, width)]
            return [*self._title(title, shapes, width), *rows, *rest]

        words = max(map(len, (title, shapes, *below)))
        return Block(max(short + bars[0], min(words, short + 8)), max(long + bars[1], words), lines)


def _is_log(trace: LayerTrace) -> bool:
    return trace.layer.activation == "log_softmax"


def _chosen(most: int, *keys: np.ndarray) -> list[int]:
    """Return the places of all numbers in order, or of so many of the largest; NaN counts as such.

    The keys after the first decide between equal ones.
    """
    if len(keys[0]) <= most:
        return list(range(len(keys[0])))
    falling = [-np.where(np.isnan(key), np.inf, key) for key in keys]
    places: list[int] = np.lexsort(falling[::-1])[:most].tolist()
    return places


def _left_out(values: np.ndarray, shown: list[int], noun: str, of: str) -> list[str]:
    """Return the lines that say how many are left out, and the range of all of them."""
    if len(shown) == len(values):
        return []
    ends = [f"{number(values[i], 4)} ({of} {i})" for i in (np.argmin(values), np.argmax(values))]
    return [count_of(len(values) - len(shown), f"more {of}"), f"{noun} from {' to '.join(ends)}"]


def _shares(y: np.ndarray, activation: object) -> np.ndarray:
    """Return how long each bar is, -1 to 1: of 1, or of the largest activation of the layer."""
    shares = y.astype(np.float64)
    if activation not in _RANGES:
        finite = np.abs(shares[np.isfinite(shares)])
        shares /= max(finite.max(initial=0.0), np.finfo(np.float64).tiny)
    return shares


def _scaled(first: Any, x: np.ndarray, dtype: Any) -> tuple[str, np.ndarray] | None:
    """Return what the layer in front makes of the inputs, None if there is no such layer."""
    import nncore

    with np.errstate(all="ignore"):
        if isinstance(first, nncore.Rescaling):
            y = x.astype(dtype).astype(np.float64) * first.scale + first.offset
            return "rescaled", y.astype(dtype)
        if isinstance(first, nncore.Normalization):
            y = (x.astype(np.float64) - first.mean) / first.std
            return "normalized", y.astype(dtype)
    return None


def _grey(pixels: np.ndarray, factor: int, high: float) -> np.ndarray:
    """Return pixels as bytes, each the mean of a square of `factor` ones; NaN is black.

    `high` is white, or the largest pixel if that is larger.
    """
    x = np.nan_to_num(pixels.astype(np.float64), nan=0.0, posinf=high, neginf=0.0)
    low = min(x.min(), 0.0)
    x = (x - low) / (max(high, x.max()) - low) * 255
    h, w = x.shape
    x = np.pad(x, ((0, -h % factor), (0, -w % factor)))
    squares = x.reshape(x.shape[0] // factor, factor, x.shape[1] // factor, factor)
    means: np.ndarray = squares.mean(axis=(1, 3))
    return means.astype(np.uint8)
