"""ONNX Runtime, CPU: an .onnx file of Gemm and activation nodes with a fixed batch."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from . import Model

if importlib.util.find_spec("onnx") is None:  # `save` imports it: it plays no part in a prediction
    raise ImportError("onnx, which writes its files, is missing")

DISTRIBUTION = "onnxruntime"
INPUT = "float32"
OPERATORS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "softmax": "Softmax"}


def settings(threads: int) -> tuple[str, ...]:
    """`run`, the plain call; `binding`, bound buffers; with spinning pools and without."""
    if threads == 1:
        return ("run", "binding")
    return ("run", "binding", "run, no spinning", "binding, no spinning")


def save(
    folder: Path,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    batch: int,
) -> None:
    """Write the .onnx file."""
    import onnx

    onnx.save(model(weights, biases, activations, batch), folder / "net.onnx")


def model(
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    batch: int | str,
) -> Any:
    """Return the model of Gemm and activation nodes; `batch` may be the name of any size."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, name = [], [], "x"
    for i, (w, b, activation) in enumerate(zip(weights, biases, activations, strict=True)):
        constants += [numpy_helper.from_array(w, f"w{i}"), numpy_helper.from_array(b, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [name, f"w{i}", f"b{i}"], [f"z{i}"]))
        name = f"z{i}"
        if activation != "identity":
            nodes.append(helper.make_node(OPERATORS[activation], [name], [f"a{i}"]))
            name = f"a{i}"
    shape_in, shape_out = [batch, weights[0].shape[0]], [batch, weights[-1].shape[1]]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape_in)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape_out)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def load(folder: Path, threads: int, batch: int, setting: str) -> Model:
    """Open the file, all graph optimisations on, nodes one after another."""
    return open_session(folder / "net.onnx", threads, setting)


def open_session(path: Path, threads: int, setting: str) -> Model:
    """Open a session of any model with one input `x` and one float32 output."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    if setting.endswith("no spinning"):
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    output = session.get_outputs()[0]
    if setting.startswith("run"):
        return Model(
            lambda feed: session.run(None, feed), lambda x: {"x": x}, lambda outputs: outputs[0]
        )
    binding = session.io_binding()
    result = onnxruntime.OrtValue.ortvalue_from_shape_and_type(output.shape, np.float32, "cpu")
    binding.bind_ortvalue_output(output.name, result)

    def call(x: Any) -> Any:
        binding.bind_ortvalue_input("x", x)
        session.run_with_iobinding(binding)
        return result

    return Model(call, onnxruntime.OrtValue.ortvalue_from_numpy, lambda value: value.numpy())
