"""The application of examples/serve/ around nncore or onnxruntime, for `benchmarks.serve`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

EXAMPLE = Path(__file__).parents[1] / "examples" / "serve"


class Session:
    """An .onnx file in onnxruntime on one thread, as a network that the application can serve."""

    def __init__(self, path: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        (self.input,) = self.session.get_inputs()
        self.in_features: int = self.input.shape[1]

    def __call__(self, x: Any) -> Any:
        rows = np.ascontiguousarray(np.atleast_2d(x), np.float32)
        y = self.session.run(None, {self.input.name: rows})[0]
        return y[0] if np.ndim(x) == 1 else y


def create() -> Any:
    """Make what the variable NNCORE_BENCH_SERVE says: the file and the batcher's options."""
    sys.path.append(str(EXAMPLE))
    from app import make_app

    path, options = json.loads(os.environ["NNCORE_BENCH_SERVE"])
    if path.endswith(".onnx"):
        return make_app(Session(path), **options)
    import nncore

    nncore.set_num_threads(1)
    return make_app(nncore.load(path), **options)
