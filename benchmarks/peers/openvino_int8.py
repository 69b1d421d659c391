"""OpenVINO, CPU, int8: a model that NNCF quantised after training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import nncf
import numpy as np
import openvino
from nncf.quantization.advanced_parameters import OverflowFix

from ..machine import has_vnni
from . import Model
from . import openvino_request as request

__all__ = ["DISTRIBUTION", "INPUT", "load", "save", "settings"]

DISTRIBUTION = "openvino"
INPUT = "either"


def settings(threads: int) -> tuple[str, ...]:
    """What is not quantised in float32 or bfloat16; given float32 or pixels; shared or bound."""
    rests = ("f32", "bf16") if request.has_bfloat16() else ("f32",)
    return tuple(
        f"{rest}, {given}, {hint}"
        for given in ("float32", "pixels")
        for rest in rests
        for hint in request.settings(threads)
    )


def save(
    folder: Path,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    activations: Sequence[str],
    batch: int,
    samples: np.ndarray,
) -> None:
    """Quantise with all `samples` (n, k), write the model for float32 and for pixels."""
    exact = has_vnni() and os.environ.get("ONEDNN_MAX_CPU_ISA") != "AVX2"
    quantised = nncf.quantize(
        request.model(weights, biases, activations, -1),
        # NNCF averages the ranges of batches: one batch gives the range of all samples.
        nncf.Dataset([samples]),
        target_device=nncf.TargetDevice.CPU,
        subset_size=1,
        preset=nncf.QuantizationPreset.MIXED,
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=OverflowFix.DISABLE if exact else OverflowFix.ENABLE
        ),
    )
    quantised.reshape([batch, weights[0].shape[0]])
    openvino.save_model(quantised, folder / "float32.xml", compress_to_fp16=False)
    steps = openvino.preprocess.PrePostProcessor(quantised)
    steps.input().tensor().set_element_type(openvino.Type.u8)
    steps.input().preprocess().convert_element_type(openvino.Type.f32).scale(255.0)
    openvino.save_model(steps.build(), folder / "pixels.xml", compress_to_fp16=False)


def load(folder: Path, threads: int, batch: int, setting: str) -> Model:
    """Compile the file that the setting names."""
    rest, given, way = setting.split(", ", 2)
    return request.compile_file(folder / f"{given}.xml", threads, way, rest)
