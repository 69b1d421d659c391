"""Says what machine a result comes from."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from .workers import cpus


def cpu_facts() -> dict[str, str]:
    """Return what Linux knows of the last CPU, nothing on other systems."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def has_vnni() -> bool:
    """Say whether the CPU adds up products of bytes without saturation in between.

    Quantisers have to leave a bit free where it does not.
    """
    flags = cpu_facts().get("flags", "").split()
    return "avx512_vnni" in flags or "avx_vnni" in flags


def describe() -> dict[str, Any]:
    """Return processor, instruction sets, caches, CPUs, memory, system and Python."""
    import psutil

    info: dict[str, Any] = {
        "processor": platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cpus": len(cpus()),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "nncore_isa": os.environ.get("NNCORE_ISA", ""),
        "nncore_int8": os.environ.get("NNCORE_INT8", ""),
    }
    facts = cpu_facts()
    if facts:
        names = [facts.get("model name", ""), f"family {facts.get('cpu family', '?')}"]
        info["processor"] = ", ".join([*names, f"model {facts.get('model', '?')}"])
        flags = set(facts.get("flags", "").split())
        known = ("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16")
        known += ("amx_tile", "amx_int8", "amx_bf16")
        info["instruction_sets"] = [name for name in known if name in flags]
    caches = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind = (index / "type").read_text().strip()
            level = (index / "level").read_text().strip()
            if kind != "Instruction":
                caches[f"L{level}"] = (index / "size").read_text().strip()
        except OSError:
            continue
    info["caches"] = caches
    return info
