"""OpenVINO, CPU: a model of MatMul, Add and activation, run by one reused infer request."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from . import Model

DISTRIBUTION = "openvino"
INPUT = "float32"


def settings(threads: int) -> tuple[str, ...]:
    """The performance hint, and how the input gets in: shared in the call, or bound before it."""
    return ("latency, shared", "latency, bound", "throughput, shared")


def has_bfloat16() -> bool:
    """Say whether OpenVINO computes in bfloat16 on this CPU, and was not kept to AVX2."""
    if os.environ.get("ONEDNN_MAX_CPU_ISA") == "AVX2":
        return False
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def save(
    folder: Path,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    batch: int,
) -> None:
    """Write net.xml and net.bin."""
    # Left alone, the writer stores weights as float16.
    openvino.save_model(
        model(weights, biases, activations, batch), folder / "net.xml", compress_to_fp16=False
    )


def model(
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    batch: int,
) -> Any:
    """Return the model of MatMul, Add and activation; a `batch` of -1 is any number."""
    from openvino import opset13 as ops

    operators = {
        "identity": lambda z: z,
        "relu": ops.relu,
        "tanh": ops.tanh,
        "sigmoid": ops.sigmoid,
        "softmax": lambda z: ops.softmax(z, 1),
    }
    x = ops.parameter([batch, weights[0].shape[0]], np.float32, name="x")
    node: Any = x
    for w, b, activation in zip(weights, biases, activations, strict=True):
        node = ops.matmul(node, ops.constant(w), False, False)
        node = operators[activation](ops.add(node, ops.constant(b[None])))
    return openvino.Model([node], [x], "net")


def load(folder: Path, threads: int, batch: int, setting: str) -> Model:
    """Compile for the CPU in float32 (its default is bfloat16 where the CPU has that)."""
    return compile_file(folder / "net.xml", threads, setting, "f32")


def compile_file(path: Path, threads: int, setting: str, precision: str) -> Model:
    """Compile for the CPU; `precision` is that of all that the file does not quantise."""
    hint, way = setting.split(", ")
    compiled = openvino.Core().compile_model(
        path,
        "CPU",
        {
            "PERFORMANCE_HINT": hint.upper(),
            "PERFORMANCE_HINT_NUM_REQUESTS": "1",
            "INFERENCE_NUM_THREADS": str(threads),
            "INFERENCE_PRECISION_HINT": precision,
        },
    )
    request = compiled.create_infer_request()
    if way == "shared":
        return Model(
            lambda x: request.infer(x, share_inputs=True, share_outputs=True),
            lambda x: {0: x},
            lambda outputs: np.array(outputs[0]),
        )
    output = request.get_output_tensor()

    def call(x: Any) -> Any:
        request.set_input_tensor(x)
        request.infer()
        return output

    # The tensor borrows the array's memory, so the array has to live as long as it does.
    kept: list[np.ndarray] = []

    def prepare(x: np.ndarray) -> Any:
        kept.append(x)
        return openvino.Tensor(x, shared_memory=True)

    return Model(call, prepare, lambda tensor: tensor.data.copy())
