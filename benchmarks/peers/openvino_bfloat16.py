"""OpenVINO, CPU, bfloat16: its default where the CPU has instructions for it."""

from __future__ import annotations

from pathlib import Path

from . import Missing, Model
from .openvino_request import DISTRIBUTION, INPUT, compile_file, has_bfloat16, save, settings

__all__ = ["DISTRIBUTION", "INPUT", "load", "save", "settings"]


if not has_bfloat16():
    raise Missing("OpenVINO does not compute in bfloat16 on this CPU")


def load(folder: Path, threads: int, batch: int, setting: str) -> Model:
    """Compile the float file for arithmetic in bfloat16."""
    return compile_file(folder / "net.xml", threads, setting, "bf16")
