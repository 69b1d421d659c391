"""From what a model computes to layers: the steps in order, told to the assembler."""

from __future__ import annotations

from typing import Any

import numpy as np

from nncore import activations
from nncore.formats._contents import Contents
from nncore.interop._assembler import Assembler
from nncore.interop.onnx._activations import Step, explain
from nncore.interop.onnx._graph import Result
from nncore.interop.onnx._values import Flow, plain

_AFFINE = ("add", "multiply", "divide")
_ROWWISE = ("softmax", "log_softmax")
LABELS_NOTE = (
    "the model gives labels, but no probabilities: the network ends in a softmax of the scores, so "
    "that predict gives the labels"
)


def contents_of(result: Result) -> Contents:
    """Return the layers of what a model computes.

    Raises
    ------
    ValueError
        Some of it is nothing that layers of nncore compute.
    """
    steps = _steps(result.scores)
    labels = result.labels
    for_labels = labels is not None and not _predicts(steps, result.scores, labels)
    if labels is not None and for_labels:
        steps = _steps(labels)
        if not _is_rowwise(steps):
            # The highest score stays the highest, and `predict` gives its number.
            steps.append(("activation", ("softmax", None, None), "the labels"))
    assembler = Assembler()
    double = all(s[1][0].dtype == np.float64 for s in steps if s[0] == "dense")
    start = _front(steps, assembler)
    scale: Any = 1.0
    shift: Any = 0.0
    place = ""
    for kind, parameters, where in [*steps[start:], ("end", (), "the end")]:
        if kind in _AFFINE:
            (scale, shift), place = _affine(kind, parameters[0], scale, shift), where
            continue
        if np.any(scale != 1) or np.any(shift != 0):
            assembler.scale(scale, shift, place)
            scale, shift = 1.0, 0.0
        if kind == "dense":
            weights, bias = parameters
            assembler.dense(weights, bias, where)
        elif kind == "activation":
            name, *numbers = parameters
            assembler.activation(name, where, *_parameters(name, numbers, double))
    contents = assembler.contents(classes=result.classes)
    of_labels = (LABELS_NOTE,) if for_labels else ()
    return contents._replace(notes=(*contents.notes, *result.notes, *of_labels))


def _is_rowwise(steps: list[Step]) -> bool:
    return bool(steps) and steps[-1][0] == "activation" and steps[-1][1][0] in _ROWWISE


def _predicts(steps: list[Step], scores: Flow, labels: Flow) -> bool:
    """Return whether a network that gives the scores predicts the labels, too."""
    if _is_rowwise(steps):
        while scores is not labels and (
            scores.kind in ("same", "log")
            or (scores.kind == "activation" and scores.parameters[0] in _ROWWISE)
        ):
            scores = scores.args[0]
        return scores is labels
    # The labels of one sigmoid are made of two columns.
    return (
        (scores.kind, *scores.parameters[:1]) == ("activation", "sigmoid")
        and scores.features == 1
        and labels.kind == "columns"
        and plain(labels.args[1]) is scores
    )


def _steps(flow: Flow) -> list[Step]:
    """Return what becomes of the input, in order."""
    steps: list[Step] = []
    while flow.kind != "input":
        if flow.kind == "columns":
            found, flow = _columns(flow)
        elif _is_log_softmax(flow):
            name = ("log_softmax", None, None)
            found, flow = [("activation", name, flow.where)], flow.args[0].args[0]
        else:
            found, flow = explain(flow)
        steps.extend(reversed(found))
    steps.reverse()
    return _widened(steps)


def _is_log_softmax(flow: Flow) -> bool:
    inner = flow.args[0] if flow.kind == "log" else flow
    return inner is not flow and inner.kind == "activation" and inner.parameters[0] == "softmax"


def _columns(flow: Flow) -> tuple[list[Step], Flow]:
    """Return the steps of two columns: multiples of one number, or a probability and the rest."""
    first, second = (_line(column) for column in flow.args)
    common = [(a, b) for b in second for a in first if a[0] is b[0]]
    if not common:
        raise ValueError(f"{flow.where} joins columns of different origin, expected one classifier")
    (base, *a), (_, *b) = common[0]
    is_sigmoid = base.kind == "activation" and base.parameters[0] == "sigmoid"
    if is_sigmoid and {(*a,), (*b,)} == {(-1, 1), (1, 0)}:
        # 1 - sigmoid(z) and sigmoid(z) are the softmax of 0 and z.
        columns = ([max(a[0], 0.0), max(b[0], 0.0)], [0.0, 0.0])
        softmax = ("activation", ("softmax", None, None), flow.where)
        return [("columns", columns, flow.where), softmax], base.args[0]
    return [("columns", ([a[0], b[0]], [a[1], b[1]]), flow.where)], base


def _line(flow: Flow) -> list[tuple[Flow, float, float]]:
    """Return the flows, nearest first, that a flow is a multiple of, with factor and shift."""
    found = [(flow, 1.0, 0.0)]
    while flow.kind in (*_AFFINE, "same") and len(found) < 8:
        _, factor, shift = found[-1]
        if flow.kind != "same":
            scale, term = _affine(flow.kind, flow.parameters[0].reshape(-1)[0], 1.0, 0.0)
            factor, shift = factor * scale, shift + factor * term
        (flow,) = flow.args
        found.append((flow, float(factor), float(shift)))
    return found


def _widened(steps: list[Step]) -> list[Step]:
    """Return the steps with columns as a dense layer, in one with a dense layer before it."""
    result: list[Step] = []
    for kind, parameters, where in steps:
        if kind != "columns":
            result.append((kind, parameters, where))
            continue
        factors, shifts = (np.array(values) for values in parameters)
        weights, bias = np.ones((1, 1), np.float32), np.zeros(1, np.float32)
        if result and result[-1][0] == "dense":
            (weights, given), where = result[-1][1], result[-1][2]
            bias = np.zeros(1, weights.dtype) if given is None else given
            result.pop()
        wide = weights * factors.astype(weights.dtype)
        moved = bias * factors.astype(bias.dtype) + shifts.astype(bias.dtype)
        result.append(("dense", (wide, moved), where))
    return result


def _affine(kind: str, value: Any, scale: Any, shift: Any) -> tuple[Any, Any]:
    """Return scale and shift after one more step."""
    if kind == "add":
        return scale, shift + value
    if kind == "divide":
        return scale / value, shift / value
    return scale * value, shift * value


def _front(steps: list[Step], assembler: Assembler) -> int:
    """Tell the assembler of scalers at the front as they were written; return how many steps."""
    i = 0
    while i < len(steps) and steps[i][0] in _AFFINE:
        pair = [step for step in steps[i : i + 2] if step[0] in _AFFINE]
        if len(pair) == 2 and (pair[0][0] == "add") == (pair[1][0] == "add"):
            pair.pop()
        i += len(pair)
        _scaler([(kind, parameters[0]) for kind, parameters, _ in pair], pair[0][2], assembler)
    return i


def _scaler(pair: list[tuple[str, Any]], where: str, assembler: Assembler) -> None:
    """Tell of one step, or of two, of which one adds and the other multiplies or divides."""
    if not any(np.ndim(value) for _, value in pair):
        scale, shift = 1.0, 0.0
        for kind, value in pair:
            scale, shift = _affine(kind, float(value), scale, shift)
        assembler.rescale(scale, shift, where)
        return
    if pair[0][0] == "add":
        kind, factor = pair[1] if len(pair) == 2 else ("divide", np.float64(1))
        _normalize(assembler, pair[0][1], factor, kind, where)
        return
    kind, factor = pair[0]
    plain = factor if kind == "multiply" else 1 / factor
    if len(pair) == 1:
        _normalize(assembler, np.float64(0), factor, kind, where)
    elif np.all(plain > 0):
        _normalize(assembler, pair[1][1] / plain, factor, kind, where)
    else:
        assembler.scale(plain, pair[1][1], where)


def _normalize(assembler: Assembler, shift: Any, factor: Any, kind: str, where: str) -> None:
    """Tell of (x + shift) * factor, or / factor."""
    shift, factor = np.broadcast_arrays(shift, factor)
    if kind == "divide":
        assembler.normalize(-shift, factor, where)
    elif (factor > 0).all():
        assembler.normalize(-shift, 1 / factor, where)
    else:
        assembler.scale(factor, shift * factor, where)


def _parameters(name: str, numbers: list[Any], double: bool) -> list[float | None]:
    """Return alpha and beta; those of float32 networks as short as they may be written.

    An attribute holds 0.01 as a float32, which is not the double 0.01, and nncore rounds alpha to
    the network's dtype itself.
    """
    found = []
    known = activations.REGISTRY[name]
    for value, default in zip(numbers, (known.alpha, known.beta), strict=True):
        if value is None or double or np.float32(value) != value:
            found.append(value)
        elif default is not None and np.float32(default) == np.float32(value):
            found.append(default)
        else:
            found.append(float(str(np.float32(value))))
    return found
