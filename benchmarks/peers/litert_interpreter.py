"""LiteRT (ai-edge-litert): a .tflite with a fixed batch, XNNPACK underneath."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from . import Model

DISTRIBUTION = "ai-edge-litert"
INPUT = "float32"


def settings(threads: int) -> tuple[str, ...]:
    """Three ways in and out: copied by the interpreter, by NumPy, or bound buffers."""
    return ("set and get tensor", "views", "compiled model")


def save(
    folder: Path,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    batch: int,
) -> None:
    """Write the .tflite file."""
    from ._tflite import write

    (folder / "net.tflite").write_bytes(write(weights, biases, activations, batch))


def load(folder: Path, threads: int, batch: int, setting: str) -> Model:
    """Load the file; the default operators apply the XNNPACK delegate on their own."""
    return open_file(str(folder / "net.tflite"), threads, setting)


def open_file(path: str, threads: int, setting: str) -> Model:
    """Load a file of any types of input and output."""
    if setting == "compiled model":
        return _compiled(path, threads)
    interpreter = Interpreter(path, num_threads=threads)
    interpreter.allocate_tensors()
    first = interpreter.get_input_details()[0]["index"]
    last = interpreter.get_output_details()[0]["index"]

    if setting == "set and get tensor":

        def call(x: np.ndarray) -> np.ndarray:
            interpreter.set_tensor(first, x)
            interpreter.invoke()
            return interpreter.get_tensor(last)

        return Model(call)

    x_view, y_view = interpreter.tensor(first), interpreter.tensor(last)

    def through_views(x: np.ndarray) -> np.ndarray:
        # The views are asked for in each call: one that is kept would forbid `invoke`.
        x_view()[:] = x
        interpreter.invoke()
        return y_view().copy()

    return Model(through_views)


def _compiled(path: str, threads: int) -> Model:
    """The newer interface: input written into a bound buffer, output read from one."""
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.cpu_options import CpuOptions
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator
    from ai_edge_litert.options import Options

    options = Options(HardwareAccelerator.CPU, cpu_options=CpuOptions(num_threads=threads))
    model = CompiledModel.from_file(path, options=options)
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    about = outputs[0].get_tensor_details()
    elements, dtype = int(np.prod(about["shape"])), np.dtype(about["dtype"])

    def call(x: np.ndarray) -> np.ndarray:
        inputs[0].write(x)
        model.run_by_index(0, inputs, outputs)
        return outputs[0].read(elements, dtype)

    return Model(call)
