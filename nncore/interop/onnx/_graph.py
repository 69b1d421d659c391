"""Runs through a graph once, each node with what its inputs have become, and picks the end.

Nodes stand after those that they take their inputs from, as ONNX demands, so that a circle or a
missing input shows at once. Nodes that no output depends on are passed over.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from nncore._classes import from_description
from nncore._validation import excerpt
from nncore.interop.onnx import _constants
from nncore.interop.onnx._model import Tensors
from nncore.interop.onnx._node import Node
from nncore.interop.onnx._operators import ML, OF_LABELS, OPERATORS
from nncore.interop.onnx._values import Budget, Flow, Labels, Named, Shape, plain

_MOST_NODES = 10_000
_OLDEST_OPSET = 7  # before that, Add and Mul had axes of their own
CLASSES_KEY = "nncore.classes"  # of metadata_props: the names of the classes, as JSON


class Result(NamedTuple):
    """What a model computes."""

    scores: Flow
    labels: Flow | None  # what the model gives the number or the name of the highest of
    classes: list[Any] | None
    notes: tuple[str, ...] = ()


def run(model: Any, tensors: Tensors, size: int) -> Result:
    """Follow the samples through a model.

    Parameters
    ----------
    model : ModelProto
    tensors : Tensors
    size : int
        Bytes of the model, tensors in other files included.

    Raises
    ------
    ValueError
        The graph is broken, or does something that a dense network does not do.
    """
    graph = model.graph
    nodes, opset = _needed(graph), _opset(model)
    functions = {(f.domain, f.name) for f in model.functions}
    initializers = _initializers(graph)
    values: dict[str, Any] = _input(graph, initializers, nodes)
    budget, notes = Budget(size), []

    def value(name: str, where: str) -> Any:
        if not name:
            return None
        if name not in values:
            if name not in initializers:
                raise ValueError(
                    f"{where} takes '{excerpt(name)}', which nothing before it gives: the graph is "
                    "not in order, runs in a circle, or lacks a part"
                )
            values[name] = tensors.array(initializers[name], f"the tensor '{excerpt(name)}'")
        return values[name]

    for number, proto in nodes:
        where = _where(proto, number)
        _check_operator(proto, where, functions)
        inputs = [value(name, where) for name in proto.input]
        if isinstance(inputs[0] if inputs else None, Flow) and _is_cast_to_16_bits(proto):
            notes.append(f"{where} rounds to 16 bits, which the network does not do")
        node = Node(proto, where, inputs, opset, tensors, budget)
        results = _apply(node, "" if proto.domain == "ai.onnx" else proto.domain)
        for name, result in zip(proto.output, results, strict=False):
            if name in values or name in initializers:
                node.refuse(f"gives '{excerpt(name)}', which is there already")
            if name:
                values[name] = result
    outputs = [(excerpt(o.name), value(o.name, "the model's output")) for o in graph.output]
    return _head(outputs, _classes(model))._replace(notes=tuple(notes))


def _opset(model: Any) -> int:
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    opset = max(versions, default=1 if not model.opset_import else _OLDEST_OPSET)
    if opset < _OLDEST_OPSET:
        raise ValueError(f"the model is of opset {opset}, expected at least {_OLDEST_OPSET}")
    return opset


def _initializers(graph: Any) -> dict[str, Any]:
    if graph.sparse_initializer:
        raise ValueError("the model has sparse tensors, expected dense ones")
    found = {tensor.name: tensor for tensor in graph.initializer}
    if len(found) < len(graph.initializer):
        raise ValueError("the model has two tensors of one name")
    return found


def _needed(graph: Any) -> list[tuple[int, Any]]:
    """Return the nodes, with their numbers, that the outputs depend on."""
    wanted = {output.name for output in graph.output}
    if not wanted:
        raise ValueError("the model has no output, expected one")
    nodes = []
    for number, node in reversed(list(enumerate(graph.node))):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            nodes.append((number, node))
    if len(nodes) > _MOST_NODES:
        raise ValueError(f"the model has {len(nodes)} nodes, expected at most {_MOST_NODES}")
    return nodes[::-1]


def _input(
    graph: Any, initializers: dict[str, Any], nodes: list[tuple[int, Any]]
) -> dict[str, Any]:
    """Return the one input by its name."""
    used = {name for _, node in nodes for name in node.input}
    inputs = [i for i in graph.input if i.name not in initializers and i.name in used]
    if len(inputs) != 1:
        names = ", ".join(f"'{excerpt(i.name)}'" for i in inputs[:8]) or "none that is used"
        raise ValueError(f"the model's inputs are {names}, expected exactly one")
    (only,) = inputs
    return {only.name: Flow("input", (), (), "the input", _declared(only), 0)}


def _declared(info: Any) -> Shape | None:
    """Return the shape of one sample, as far as the model says it."""
    if info.type.WhichOneof("value") not in ("tensor_type", None):
        raise ValueError("the model's input is no tensor, expected numbers")
    if info.type.tensor_type.elem_type == 8:
        raise ValueError("the model's input is text, expected numbers")
    if not info.type.tensor_type.HasField("shape"):
        return None
    sizes = [
        d.dim_value if d.HasField("dim_value") else None for d in info.type.tensor_type.shape.dim
    ]
    if not 2 <= len(sizes) <= 8 or any(size is not None and size < 1 for size in sizes[1:]):
        raise ValueError(f"the model's input has shape {tuple(sizes[:9])}, expected (n, features)")
    return tuple(sizes[1:])


def _where(node: Any, number: int) -> str:
    name = f"'{excerpt(node.name)}'" if node.name else str(number)
    return f"node {name} ({excerpt(node.op_type)})"


def _check_operator(node: Any, where: str, functions: set[tuple[str, str]]) -> None:
    """Refuse what no dense network has, with the reason that helps most."""
    domain = "" if node.domain == "ai.onnx" else node.domain
    if (node.domain, node.op_type) in functions:
        why = "is a function of the model's own, expected it inlined (onnx.inliner)"
    elif domain not in ("", ML):
        why = f"is of the domain '{excerpt(domain)}', expected an operator of ONNX itself"
    elif "Quantize" in node.op_type or "Integer" in node.op_type or "QLinear" in node.op_type:
        why = "is of a quantised network, expected one of floating-point numbers"
    elif any(attribute.type in (5, 10) for attribute in node.attribute):
        why = "holds a graph of its own, expected a plain dense network"
    elif (domain, node.op_type) in OPERATORS or (
        not domain and node.op_type in _constants.OPERATORS
    ):
        return
    else:
        why = (
            "is no operator of a dense network, expected Gemm, MatMul, Add, an activation or the "
            "like"
        )
    raise ValueError(f"{where} {why}")


def _is_cast_to_16_bits(node: Any) -> bool:
    """Return whether a node is a Cast to float16 or bfloat16."""
    return node.op_type == "Cast" and any(
        a.name == "to" and a.i in (10, 16) for a in node.attribute
    )


def _apply(node: Node, domain: str) -> tuple[Any, ...]:
    """Return what a node gives, one for each output that is understood."""
    if not any(isinstance(value, (Flow, Labels, Named)) for value in node.inputs):
        result: Any = _constants.compute(node)
    elif isinstance(node.input(0), Labels) and node.op in OF_LABELS:
        return (node.input(0),)
    elif (domain, node.op) not in OPERATORS:
        node.refuse("takes what the samples become, expected constants")
    else:
        result = OPERATORS[domain, node.op](node)
    node.check_empty()
    return result if isinstance(result, tuple) else (result,)


# ---- the end


def _head(outputs: list[tuple[str, Any]], named: list[Any] | None) -> Result:
    """Return the one head that all outputs are of: the scores rather than the labels."""
    for name, value in outputs:
        if not isinstance(value, (Flow, Labels, Named)):
            raise ValueError(f"the output '{name}' does not depend on the input, expected it to")
    values = [value for _, value in outputs]
    flows = [
        plain(v.scores if isinstance(v, Named) else v) for v in values if not isinstance(v, Labels)
    ]
    # Probabilities above a threshold are the labels of a classifier with several labels.
    scores = [f for f in flows if f.kind != "above"] or flows
    labels = [plain(v.scores) for v in values if isinstance(v, Labels)]
    head = (scores or labels)[0]
    others = [f for f in (*flows, *labels) if f is not head and not _related(f, head)]
    others += [f for f in scores if f is not head] + [f for f in labels if f is not labels[0]]
    if others:
        names = ", ".join(f"'{name}'" for name, _ in outputs[:8])
        raise ValueError(f"the outputs {names} are several heads, expected one")
    names_of = (v.classes for v in values if isinstance(v, (Labels, Named)) and v.classes)
    return Result(head, labels[0] if labels else None, named or next(names_of, None))


def _related(a: Flow, b: Flow) -> bool:
    """Return whether one of two flows is made of the other in a few steps."""
    return _made_of(a, b) or _made_of(b, a)


def _made_of(flow: Flow, origin: Flow) -> bool:
    for _ in range(16):
        if flow is origin:
            return True
        args = [arg for arg in flow.args if arg.kind != "constant"]
        if flow.kind == "dense" or not args:
            return False
        flow = min(args, key=lambda arg: arg.order)
    return False


def _classes(model: Any) -> list[Any] | None:
    """Return the names of the classes that nncore wrote into a model."""
    texts = [entry.value for entry in model.metadata_props if entry.key == CLASSES_KEY]
    if not texts:
        return None
    try:
        found: list[Any] = from_description(json.loads(texts[0]))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the metadata {CLASSES_KEY} is no list of names: {error}") from error
    return found
