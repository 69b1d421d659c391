"""LiteRT (ai-edge-litert), int8: a .tflite that ai-edge-quantizer made from the float one."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ai_edge_quantizer import Quantizer, recipe, recipe_manager
from ai_edge_quantizer.qtyping import TFLOperationName

from . import Model
from ._tflite import SIGNATURE, write
from .litert_interpreter import DISTRIBUTION, open_file

__all__ = ["DISTRIBUTION", "INPUT", "load", "save", "settings"]

INPUT = "either"
WAYS = ("set and get tensor", "views", "compiled model")


def settings(threads: int) -> tuple[str, ...]:
    """Full int8, given pixels or float32; int8 weights alone; three ways in and out."""
    kinds = ("full", "full, pixels", "dynamic")
    return tuple(f"{kind}, {way}" for kind in kinds for way in WAYS)


def _float_ends() -> list[dict[str, object]]:
    """Everything int8 but the input and the output of the network."""
    manager = recipe_manager.RecipeManager()
    manager.add_static_config(
        regex=".*",
        operation_name=TFLOperationName.ALL_SUPPORTED,
        activation_num_bits=8,
        weight_num_bits=8,
        algorithm_key=recipe.AlgorithmName.MIN_MAX_UNIFORM_QUANT,
    )
    for end in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
        manager.add_quantization_config(
            regex=".*", operation_name=end, algorithm_key=recipe.AlgorithmName.NO_QUANTIZE
        )
    return manager.get_quantization_recipe()


def save(
    folder: Path,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    batch: int,
    samples: np.ndarray,
) -> None:
    """Calibrate with `samples` (n, k) and write a file a kind."""
    # The quantiser averages the ranges of batches: one batch gives the range of all samples.
    calibrating, whole = (
        bytearray(write(weights, biases, activations, n)) for n in (len(samples), batch)
    )
    recipes = {
        "full": _float_ends(),
        "full, pixels": recipe.static_wi8_ai8(),
        "dynamic": recipe.dynamic_wi8_afp32(),
    }
    feeds = {SIGNATURE: [{"x": samples}]}
    with warnings.catch_warnings(), open(os.devnull, "w") as nowhere:
        warnings.simplefilter("ignore")
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            ranges = Quantizer(calibrating, recipes["full"]).calibrate(feeds, num_threads=1)
            for kind, chosen in recipes.items():
                quantizer = Quantizer(whole, chosen)
                result = quantizer.quantize(ranges if quantizer.need_calibration else None)
                (folder / f"{kind}.tflite").write_bytes(result.quantized_model)


def load(folder: Path, threads: int, batch: int, setting: str) -> Model:
    """Load the file that the setting names."""
    kind, _, way = setting.rpartition(", ")
    model = open_file(str(folder / f"{kind}.tflite"), threads, way)
    if kind != "full, pixels":
        return model
    # The codes of images are their pixels less 128. A program may keep its images like that.
    return model._replace(
        prepare=lambda x: (x ^ np.uint8(0x80)).view(np.int8),
        to_numpy=lambda codes: (codes.astype(np.float32) + 128) / 256,
    )
