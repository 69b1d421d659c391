"""A .tflite file written with the schema module that ai-edge-litert itself contains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

# Activations that FULLY_CONNECTED takes in, and those that are operators of their own.
FUSED = {
    "relu": schema.ActivationFunctionType.RELU,
    "identity": schema.ActivationFunctionType.NONE,
}
SIGNATURE = "serving_default"
OPERATORS = {
    "sigmoid": schema.BuiltinOperator.LOGISTIC,
    "tanh": schema.BuiltinOperator.TANH,
    "softmax": schema.BuiltinOperator.SOFTMAX,
}


class _Graph:
    """Collects buffers, tensors and operators, which refer to each other by number."""

    def __init__(self) -> None:
        self.buffers = [schema.BufferT()]  # number 0 has to be the empty one
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.codes: list[int] = []

    def tensor(self, name: str, shape: tuple[int, ...], values: np.ndarray | None = None) -> int:
        buffer = 0
        if values is not None:
            buffer = len(self.buffers)
            data = np.ascontiguousarray(values, np.float32).reshape(-1).view(np.uint8)
            self.buffers.append(schema.BufferT(data=data))
        self.tensors.append(
            schema.TensorT(
                name=name.encode(),
                shape=list(shape),
                type=schema.TensorType.FLOAT32,
                buffer=buffer,
            )
        )
        return len(self.tensors) - 1

    def operator(
        self, code: int, inputs: list[int], output: int, options_type: int, options: Any
    ) -> None:
        if code not in self.codes:
            self.codes.append(code)
        self.operators.append(
            schema.OperatorT(
                opcodeIndex=self.codes.index(code),
                inputs=inputs,
                outputs=[output],
                builtinOptionsType=options_type,
                builtinOptions=options,
            )
        )


def write(
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    batch: int,
) -> bytes:
    """Return the file's bytes: weights (k, m) stored as (m, k), input (batch, k) fixed."""
    graph = _Graph()
    first = last = graph.tensor("x", (batch, weights[0].shape[0]))
    for i, (w, b, activation) in enumerate(zip(weights, biases, activations, strict=True)):
        k, m = w.shape
        matrix, bias = graph.tensor(f"w{i}", (m, k), w.T), graph.tensor(f"b{i}", (m,), b)
        output = graph.tensor(f"z{i}", (batch, m))
        options = schema.FullyConnectedOptionsT(
            fusedActivationFunction=FUSED.get(activation, FUSED["identity"])
        )
        graph.operator(
            schema.BuiltinOperator.FULLY_CONNECTED,
            [last, matrix, bias],
            output,
            schema.BuiltinOptions.FullyConnectedOptions,
            options,
        )
        last = output
        if activation in OPERATORS:
            output = graph.tensor(f"a{i}", (batch, m))
            kind, softmax = schema.BuiltinOptions.NONE, None
            if activation == "softmax":
                kind = schema.BuiltinOptions.SoftmaxOptions
                softmax = schema.SoftmaxOptionsT(beta=1.0)
            graph.operator(OPERATORS[activation], [last], output, kind, softmax)
            last = output
    subgraph = schema.SubGraphT(
        name=b"net",
        tensors=graph.tensors,
        operators=graph.operators,
        inputs=[first],
        outputs=[last],
    )
    codes = [
        schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=min(code, 127))
        for code in graph.codes
    ]
    # The quantiser feeds a model by the names in its signature.
    signature = schema.SignatureDefT(
        inputs=[schema.TensorMapT(name=b"x", tensorIndex=first)],
        outputs=[schema.TensorMapT(name=b"y", tensorIndex=last)],
        signatureKey=SIGNATURE.encode(),
        subgraphIndex=0,
    )
    model = schema.ModelT(
        version=3,
        subgraphs=[subgraph],
        operatorCodes=codes,
        buffers=graph.buffers,
        signatureDefs=[signature],
    )
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
