"""Builds the compiled half: ext/*.pyx through Cython, ext/simd/*.c as they are.

Switches, by environment variable:
    NNCORE_DEBUG=1      bounds checks in the Cython code, asserts, no optimisation
    NNCORE_SANITIZE=1   address and undefined-behaviour sanitizers
    NNCORE_WERROR=1     warnings of the C kernels and of Cython are errors (CI)
"""

from __future__ import annotations

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
from Cython.Build import cythonize
from Cython.Compiler import Options
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

DEBUG = bool(os.environ.get("NNCORE_DEBUG"))
SANITIZE = bool(os.environ.get("NNCORE_SANITIZE"))
WERROR = bool(os.environ.get("NNCORE_WERROR"))

EXT = Path("ext")
SIMD = EXT / "simd"
# All of them on every machine: a file whose instructions the target lacks is empty for it. Asking
# here would go wrong where one compiler run makes code for two targets (macOS).
KERNELS = sorted(str(path) for path in SIMD.glob("*.c"))
POOL = [str(EXT / "pool.c")]

# -ffp-contract=off: the compiler may not fuse a multiplication and an addition by itself; where the
# arithmetic wants it fused, the kernels say so, and the bits are equal everywhere.
FLAGS = ["-std=c11", "-ffp-contract=off", "-fno-math-errno", "-pthread"]
OPTIMISATION = ["-O0", "-g", "-UNDEBUG"] if DEBUG else ["-O1", "-g"] if SANITIZE else ["-O3", "-g0"]
FLAGS += OPTIMISATION
KERNEL_WARNINGS = ["-Wall", "-Wextra"] + (["-Werror"] if WERROR else [])
SANITIZERS = (
    ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
    if SANITIZE
    else []
)
KEEP_SYMBOLS = DEBUG or SANITIZE or sys.platform == "darwin"

Options.warning_errors = WERROR


class BuildExtensions(build_ext):
    """Compiles all files at once, with warnings for our own C only, not for what Cython writes."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or True

    def build_extensions(self) -> None:
        compile_in_turn = self.compiler.compile

        def compile_at_once(
            sources: list[str], *, extra_postargs: list[str] | None = None, **options: Any
        ) -> list[str]:
            def compile_one(source: str) -> list[str]:
                ours = source in KERNELS + POOL
                flags = [*(extra_postargs or []), *(KERNEL_WARNINGS if ours else [])]
                objects: list[str] = compile_in_turn([source], extra_postargs=flags, **options)
                return objects

            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return [name for objects in pool.map(compile_one, sources) for name in objects]

        self.compiler.compile = compile_at_once
        super().build_extensions()


# The compiled modules and their sources, in the order in which they build on each other.
MODULES = {
    "_threads": "threads",
    "kernels": "kernels",
    "_array_kernels": "array_kernels",
    "_plan": "plan",
    "_execute": "execute",
    "runner": "runner",
    "_backprop": "backprop",
    "_training": "training",
    "_augmentation": "augmentation",
}
# Cython's implementation of memoryviews, 60 kB of a wheel, once instead of in every module whose
# declarations name one: Cython writes this module, there is no source of ours.
SHARED = "nncore._memoryviews"
C_SOURCES = {"_threads": POOL, "kernels": KERNELS}


def stage_declarations() -> None:
    """Copy what a module declares, its .pxd and .pyi, to where Cython and type checkers look.

    They stand beside their .pyx in ext/; the modules themselves are in nncore/.
    """
    for module, source in MODULES.items():
        for kind in (".pxd", ".pyi"):
            declared, staged = EXT / (source + kind), Path("nncore", module + kind)
            if declared.exists() and not (
                staged.exists() and staged.read_bytes() == declared.read_bytes()
            ):
                shutil.copy(declared, staged)


def extension(module: str) -> Extension:
    source = EXT / f"{MODULES[module]}.pyx"
    return Extension(
        f"nncore.{module}",
        [str(source), *C_SOURCES.get(module, [])],
        include_dirs=["ext", numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
        depends=[str(path) for path in [*SIMD.glob("*.h"), *EXT.glob("*.h")]],
        extra_compile_args=FLAGS + SANITIZERS,
        extra_link_args=["-pthread", *SANITIZERS] + ([] if KEEP_SYMBOLS else ["-s"]),
    )


stage_declarations()
setup(
    cmdclass={"build_ext": BuildExtensions},
    ext_modules=cythonize(
        [
            Extension(
                SHARED,
                ["ext/_memoryviews.c"],  # Cython names the module after it, and writes it to build/
                extra_compile_args=FLAGS + SANITIZERS,
                extra_link_args=SANITIZERS + ([] if KEEP_SYMBOLS else ["-s"]),
            ),
            *(extension(module) for module in MODULES),
        ],
        shared_utility_qualified_name=SHARED,
        include_path=["ext", "."],
        # A folder for each kind: Cython goes by the age of its files, not by its directives.
        build_dir="build/debug" if DEBUG else "build",
        force=WERROR,  # or C that is there already would hide the warnings
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": DEBUG,
            "show_performance_hints": not DEBUG,  # it would advise against the bounds checks
            "embedsignature": False,
            "auto_pickle": False,  # what can be pickled says so itself
            "freethreading_compatible": False,
        },
    ),
)
