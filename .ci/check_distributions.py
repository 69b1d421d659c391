"""Checks wheels and source distributions: sizes, contents, metadata.

Usage: python check_distributions.py FILES...
"""

from __future__ import annotations

import ast
import re
import sys
import tarfile
import zipfile
from fnmatch import fnmatch
from pathlib import Path

WHEEL_LIMIT = 1_000_000
INSTALLED_LIMIT = 3_000_000


def modules_of(table: str) -> dict[str, str]:
    """Return modules and their sources' names, a table of setup.py, without running it."""
    setup = Path(__file__).parents[1] / "setup.py"
    for node in ast.parse(setup.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == table:
            modules: dict[str, str] = ast.literal_eval(node.value)
            return modules
    raise ValueError(f"{setup} has no {table}, expected modules and their sources")


MODULES, PLAIN_MODULES = modules_of("MODULES"), modules_of("PLAIN_MODULES")
# The declarations for Cython modules of users.
PUBLIC_DECLARATIONS = ["nncore/kernels.pxd", "nncore/_kernels.pxd"]
# The patterns are those of fnmatch, in which * also matches the separator of folders.
WHEEL_HAS = [
    "nncore/__init__.py",
    "nncore/py.typed",
    *(f"nncore/{module}.{kind}" for module in MODULES for kind in ("pyi", "*.so")),
    *(f"nncore/{module}.py" for module in PLAIN_MODULES),
    *PUBLIC_DECLARATIONS,
    "nncore/cli/__init__.py",
    "nncore/datasets/__init__.py",
    "nncore/formats/__init__.py",
    "nncore/pretrained/digits.npy",
    "nncore/pretrained/README.md",
    "nncore/page/page.html",
    "*.dist-info/licenses/LICENSE",
    "*.dist-info/entry_points.txt",
]
FOLDERS = ["tests", "benchmarks", "examples", "docs", "tools", "ext"]
WHEEL_LACKS = ["*.pyx", "*.pxd", "*.c", "*.h", *(f"{folder}/*" for folder in FOLDERS)]
SDIST_HAS = [
    "setup.py",
    "pyproject.toml",
    "README.md",
    "README.package.md",
    "README.*.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    *(f"ext/{source}.{kind}" for source in MODULES.values() for kind in ("pyx", "pyi")),
    *(f"ext/{source}.py" for source in PLAIN_MODULES.values()),
    "ext/*.pxi",
    "ext/contract.pxd",
    "ext/ndarrays.pxd",
    "ext/pool.c",
    "ext/contract.h",
    "ext/simd/dispatch.c",
    "ext/simd/instance.c",
    "ext/simd/vec_*.h",
    "ext/simd/int8.c",
    "ext/simd/dot_*.h",
    "ext/simd/bytes_*.h",
    "nncore/page/template.html",
    "nncore/page/main.js",
    "ext/kernels.pxd",
    "nncore/kernels.pxd",
    "nncore/py.typed",
    "nncore/pretrained/digits.npy",
    "tests/*.py",
    "examples/*.md",
    "examples/ko/*.md",
    "docs/*.md",
    "docs/ko/*.md",
    "docs/conf.py",
    "tools/*.py",
    "tools/attack/__main__.py",
]
SDIST_LACKS = ["*.so", "*.o", "*.pyc", "build/*", "ext/*.c", "ext/*.html"]
SDIST_MAY = ["ext/pool.c", "ext/simd/*.c"]
METADATA_HAS = [
    "Name: nncore-dense",
    "License-Expression: BSD-3-Clause",
    "License-File: LICENSE",
    "Requires-Python: >=3.11",
]


def compare(names: list[str], has: list[str], lacks: list[str], may: list[str]) -> list[str]:
    """Return what is missing and what should not be there."""
    missing = [f"lacks {p}" for p in has if not any(fnmatch(name, p) for name in names)]
    wrong = [
        f"has {name}"
        for name in names
        if any(fnmatch(name, p) for p in lacks) and not any(fnmatch(name, p) for p in may)
    ]
    return missing + wrong


def check_metadata(text: str) -> list[str]:
    """Return what is wrong in a METADATA or PKG-INFO."""
    header = text.split("\n\n", 1)[0].splitlines()
    faults = [f"metadata lacks '{line}'" for line in METADATA_HAS if line not in header]
    always = [line for line in header if re.match(r"Requires-Dist: (?!.*extra ==)", line)]
    if [re.match(r"Requires-Dist: numpy\b", line) is not None for line in always] != [True]:
        faults.append(f"needs more or less than NumPy at run time: {always}")
    return faults


def check_wheel(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        installed = sum(entry.file_size for entry in archive.infolist())
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        faults = check_metadata(archive.read(metadata).decode())
    size = path.stat().st_size
    print(f"{path.name}: {size:,} bytes, {installed:,} installed, {len(names)} files")
    if not path.name.startswith("nncore_dense-"):
        faults.append("has another name, expected nncore_dense-VERSION-...")
    if size >= WHEEL_LIMIT:
        faults.append(f"is {size:,} bytes, the limit is {WHEEL_LIMIT:,}")
    if installed >= INSTALLED_LIMIT:
        faults.append(f"takes {installed:,} bytes installed, the limit is {INSTALLED_LIMIT:,}")
    return faults + compare(names, WHEEL_HAS, WHEEL_LACKS, may=PUBLIC_DECLARATIONS)


def check_sdist(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
        top = archive.getnames()[0].partition("/")[0]
        information = archive.extractfile(f"{top}/PKG-INFO")
        assert information is not None
        faults = check_metadata(information.read().decode())
    print(f"{path.name}: {path.stat().st_size:,} bytes, {len(names)} files")
    return faults + compare(names, SDIST_HAS, SDIST_LACKS, SDIST_MAY)


def main(paths: list[str]) -> int:
    kinds = {".whl": check_wheel, ".gz": check_sdist}
    if not paths or any(Path(path).suffix not in kinds for path in paths):
        print(f"expected wheels and source distributions, found {paths}", file=sys.stderr)
        return 1
    faults = [
        f"{Path(path).name} {fault}"
        for path in paths
        for fault in kinds[Path(path).suffix](Path(path))
    ]
    print("\n".join(faults) or "sizes, contents and metadata are as they should be")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
