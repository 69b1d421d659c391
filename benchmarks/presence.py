"""The cost of being there: import, memory, disk, idle CPU, process start to first prediction.

Each number comes from processes of its own, the peers taking turns.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

from .workers import cpus, environment

# What a program imports to run a network with each peer.
IMPORTS = {
    "nncore": "nncore",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "litert": "ai_edge_litert.interpreter",
    "torch": "torch",
    "scikit-learn": "sklearn.neural_network",
    "numba": "numba",
    "jax": "jax.numpy",
}
IMPORT_CODE = """
import time
start = time.perf_counter()
import {module}
seconds = time.perf_counter() - start
import psutil, json
print(json.dumps([seconds, psutil.Process().memory_info().rss]))
"""


def disk_bytes(distribution: str) -> tuple[int, int]:
    """Return the installed bytes of a distribution, alone and with all that it requires.

    Compiled caches of Python are not counted. Raises `PackageNotFoundError`.
    """
    from packaging.requirements import Requirement

    sizes: dict[str, int] = {}
    waiting = [distribution]
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in sizes:
            continue
        found = importlib.metadata.distribution(name)
        paths = [Path(str(file.locate())) for file in found.files or ()]
        sizes[name] = sum(p.stat().st_size for p in paths if p.suffix != ".pyc" and p.is_file())
        for text in found.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                try:
                    importlib.metadata.distribution(requirement.name)
                except importlib.metadata.PackageNotFoundError:
                    continue
                waiting.append(requirement.name)
    return sizes[distribution.lower().replace("_", "-")], sum(sizes.values())


def folder_bytes(module: str) -> int:
    """Return the bytes of a package built in place: its Python files, libraries and data."""
    spec = importlib.util.find_spec(module)
    files = Path(str(spec and spec.origin)).parent.rglob("*")
    kinds = {".py", ".pyi", ".so", ".pyd", ".npz", ".typed"}
    return sum(p.stat().st_size for p in files if p.suffix in kinds or p.name == "py.typed")


def _python(code: str, *arguments: str, threads: int, folder: Path) -> str:
    """Run code in a process of its own, which finds modules in `folder` first; its last line."""
    variables = environment(threads)
    # Else what is imported would be compiled anew in every process.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=variables,
        timeout=300,
    )
    if result.returncode:
        raise RuntimeError(result.stderr.strip().splitlines()[-1] if result.stderr else "died")
    return result.stdout.strip().splitlines()[-1]


CHILD = "import sys; from benchmarks import child; child.run(*sys.argv[1:])"


def _child(task: str, name: str, folder: str, threads: int) -> str:
    path = str(Path(folder) / name)
    root = Path(__file__).parents[1]
    return _python(CHILD, task, name, path, str(threads), threads=threads, folder=root)


def import_cost(name: str) -> tuple[float, int]:
    """Import a peer in a fresh process; return the seconds and the resident bytes after it."""
    return _import(IMPORTS[name])


def _import(module: str) -> tuple[float, int]:
    # Away from the checkout: what is installed counts, like any peer. In an empty folder of its
    # own: Python looks for modules there first, and others may write to a shared one.
    code = IMPORT_CODE.format(module=module)
    with tempfile.TemporaryDirectory() as folder:
        answer = _python(code, threads=len(cpus()), folder=Path(folder))
    seconds, rss = json.loads(answer)
    return seconds, rss


def measure(names: list[str], rounds: int) -> dict[str, dict[str, Any]]:
    """Return, for each peer that is there, the median of `rounds` turns of each measurement.

    Keys: `import_seconds`, `import_bytes` (resident, the interpreter's own subtracted),
    `disk_bytes`, `disk_bytes_with_requirements`, `first_seconds` (process start to first
    prediction, the model read from its file), `idle_cpu_seconds` (in the second after work),
    `threads_after_work`; or `missing`.
    """
    threads = len(cpus())
    results: dict[str, dict[str, Any]] = {}
    imports: dict[str, list[tuple[float, int]]] = {}
    firsts: dict[str, list[float]] = {}
    empty = _import("sys")[1]
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            if name not in IMPORTS:
                continue
            try:
                os.mkdir(Path(folder) / name)
                answer = _child("save", name, folder, threads)
                results[name] = json.loads(answer)
                imports[name], firsts[name] = [], []
            except Exception as error:
                results[name] = {"missing": f"{type(error).__name__}: {error}"}
        for _ in range(rounds):
            for name in imports:
                imports[name].append(import_cost(name))
                start = monotonic()
                end = _child("first", name, folder, threads)
                firsts[name].append(float(end) - start)
        for name in imports:
            answer = _child("idle", name, folder, threads)
            cpu, alive = json.loads(answer)
            results[name] |= {
                "import_seconds": median(seconds for seconds, _ in imports[name]),
                "import_bytes": median(rss for _, rss in imports[name]) - empty,
                "first_seconds": median(firsts[name]),
                "idle_cpu_seconds": cpu,
                "threads_after_work": alive,
            }
    return results


def disk(distribution: str) -> dict[str, int]:
    """Return `disk_bytes` and `disk_bytes_with_requirements` of a distribution."""
    try:
        alone, together = disk_bytes(distribution)
    except importlib.metadata.PackageNotFoundError:
        # nncore built in place: no metadata; NumPy is all it requires.
        alone = folder_bytes("nncore")
        together = alone + disk_bytes("numpy")[1]
    return {"disk_bytes": alone, "disk_bytes_with_requirements": together}
