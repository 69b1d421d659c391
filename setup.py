"""Builds the compiled half: ext/*.pyx through Cython, ext/simd/*.c as they are.

Switches, by environment variable:
    NNCORE_DEBUG=1      bounds checks in the Cython code, asserts, no optimisation
    NNCORE_SANITIZE=1   address and undefined-behaviour sanitizers in the C kernels
    NNCORE_WERROR=1     warnings are errors (CI)
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

DEBUG = bool(os.environ.get("NNCORE_DEBUG"))
SANITIZE = bool(os.environ.get("NNCORE_SANITIZE"))
WERROR = bool(os.environ.get("NNCORE_WERROR"))

SIMD = Path("ext", "simd")
# x86 instances need x86 headers: their files are compiled only where they can run.
INSTANCES = sorted(
    str(path)
    for path in SIMD.glob("isa_*.c")
    if "scalar" in path.name or os.uname().machine in ("x86_64", "AMD64")
)

# -ffp-contract=off: the compiler may not fuse a multiplication and an addition by itself; where the
# arithmetic wants it fused, the kernels say so, and the bits are equal everywhere.
FLAGS = ["-std=c11", "-ffp-contract=off", "-fno-math-errno"]
FLAGS += ["-O0", "-g", "-UNDEBUG"] if DEBUG else ["-O3", "-g0"]
KERNEL_WARNINGS = ["-Wall", "-Wextra"] + (["-Werror"] if WERROR else [])
SANITIZERS = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer"] if SANITIZE else []


class BuildExtensions(build_ext):
    """Warnings for our own C; only the baseline's for the C that Cython generates."""

    def build_extension(self, ext: Extension) -> None:
        compile_one = self.compiler._compile

        def compile_with_warnings(obj, src, ext_name, cc_args, extra, pp_opts):  # type: ignore[no-untyped-def]
            ours = Path(src).parent == SIMD
            compile_one(obj, src, ext_name, cc_args, extra + KERNEL_WARNINGS * ours, pp_opts)

        self.compiler._compile = compile_with_warnings
        try:
            super().build_extension(ext)
        finally:
            self.compiler._compile = compile_one


def extension(name: str, source: str, kernels: bool) -> Extension:
    return Extension(
        f"nncore.{name}",
        [source, *([*INSTANCES, str(SIMD / "dispatch.c")] if kernels else [])],
        include_dirs=["ext", numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
        depends=[str(path) for path in SIMD.glob("*.h")],
        extra_compile_args=FLAGS + SANITIZERS,
        extra_link_args=SANITIZERS + ([] if DEBUG or sys.platform == "darwin" else ["-s"]),
    )


setup(
    cmdclass={"build_ext": BuildExtensions},
    ext_modules=cythonize(
        [
            extension("_kernels", "ext/kernels.pyx", kernels=True),
            extension("_engine", "ext/engine.pyx", kernels=False),
        ],
        include_path=["ext", "."],
        build_dir="build",
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": DEBUG,
            "embedsignature": False,
            "freethreading_compatible": False,
        },
    ),
)
