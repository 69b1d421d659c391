"""ONNX Runtime, CPU, int8: a model that its own quantiser made from the float one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..machine import has_vnni
from . import Model, onnxruntime_session
from .onnxruntime_session import DISTRIBUTION, model, open_session

__all__ = ["DISTRIBUTION", "INPUT", "load", "save", "settings"]

INPUT = "either"
FORMATS = ("QDQ", "QOperator")
# A scale for each output or one for all of a layer's weights: the latter is faster and coarser.
SCALES = {"per output": True, "per layer": False}
FILES = tuple(f"{form} {scales}" for form in FORMATS for scales in SCALES)


def settings(threads: int) -> tuple[str, ...]:
    """Both formats, with plain calls and bound buffers, given float32 and given pixels."""
    return tuple(
        f"{file}{given}: {way}"
        for file in FILES
        for given in ("", ", pixels")
        for way in onnxruntime_session.settings(threads)
    )


def save(
    folder: Path,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    batch: int,
    samples: np.ndarray,
) -> None:
    """Quantise with `samples` (n, k): uint8 activations, int8 weights with a scale an output."""
    import onnx
    from onnxruntime import quantization as q

    onnx.save(model(weights, biases, activations, "n"), folder / "float.onnx")
    for file in FILES:
        form, scales = file.split(" ", 1)
        path = folder / f"{file}.onnx"
        q.quantize_static(
            folder / "float.onnx",
            path,
            _Samples(samples),
            quant_format=getattr(q.QuantFormat, form),
            per_channel=SCALES[scales],
            activation_type=q.QuantType.QUInt8,
            weight_type=q.QuantType.QInt8,
            reduce_range=not has_vnni(),
            op_types_to_quantize=["Gemm", "Sigmoid", "Relu"],
        )
        quantised = onnx.load(path)
        for value in (quantised.graph.input[0], quantised.graph.output[0]):
            value.type.tensor_type.shape.dim[0].dim_value = batch
        onnx.save(quantised, path)
        _given_pixels(quantised)
        onnx.save(quantised, folder / f"{file}, pixels.onnx")


def _given_pixels(quantised: Any) -> None:
    """Let the graph begin with what its first node makes of `x`: the codes, uint8.

    Images fill the range from 0 to 1, which makes the codes of the scaled pixels the pixels.
    """
    import onnx

    graph = quantised.graph
    (first,) = [node for node in graph.node if list(node.input[:1]) == ["x"]]
    if first.op_type != "QuantizeLinear":
        raise ValueError(f"the first operator is {first.op_type}, expected QuantizeLinear")
    codes = first.output[0]
    graph.node.remove(first)
    for node in graph.node:
        node.input[:] = ["x" if name == codes else name for name in node.input]
    graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8


class _Samples:
    """The calibration set as ONNX Runtime reads it: one dictionary, then None."""

    def __init__(self, samples: np.ndarray) -> None:
        self._feeds: Iterator[dict[str, np.ndarray]] = iter([{"x": samples}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def load(folder: Path, threads: int, batch: int, setting: str) -> Model:
    """Open a session on the file that the setting names."""
    name, _, way = setting.partition(": ")
    return open_session(folder / f"{name}.onnx", threads, way)
