"""Build the compiled half: ext/*.pyx through Cython, ext/simd/*.c as they are.

Switches, by environment variable:
    NNCORE_DEBUG=1      bounds checks in the Cython code, asserts, no optimisation
    NNCORE_SANITIZE=1   address and undefined-behaviour sanitizers
    NNCORE_WERROR=1     warnings of the C kernels and of Cython are errors (CI)
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
from Cython import __version__ as cython_version
from Cython.Build import cythonize
from Cython.Compiler import Options
from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

try:
    from zopfli.zlib import compress as zopfli_compress
except ImportError:  # in an environment of one's own, where only the wheel's size depends on it
    zopfli_compress = None

DEBUG = bool(os.environ.get("NNCORE_DEBUG"))
SANITIZE = bool(os.environ.get("NNCORE_SANITIZE"))
WERROR = bool(os.environ.get("NNCORE_WERROR"))

EXT = Path("ext")
SIMD = EXT / "simd"
DISPATCH, INSTANCE = str(SIMD / "dispatch.c"), str(SIMD / "instance.c")
INT8 = str(SIMD / "int8.c")
# instance.c is compiled once for each of these, and that for float and for double. They are all
# compiled on every machine: where the target lacks the instructions, the object file is empty.
# Asking here would go wrong where one compiler run makes code for two targets (macOS).
INSTRUCTION_SETS = sorted(path.stem.removeprefix("vec_") for path in SIMD.glob("vec_*.h"))
# int8.c is compiled once for each of these.
INT8_SETS = sorted(path.stem.removeprefix("dot_") for path in SIMD.glob("dot_*.h"))
POOL = str(EXT / "pool.c")
# Comes before what Cython writes. It declares a function of Cython's own, so it is left out for
# versions of which nobody knows whether the function is still the same.
KNOWN_CYTHON = cython_version.startswith(("3.1.", "3.2.", "3.3."))
GENERATED = ["-include", str(EXT / "generated.h")] if KNOWN_CYTHON else []
OUR_SOURCES = [DISPATCH, INSTANCE, INT8, POOL]

# -ffp-contract=off: the compiler may not fuse a multiplication and an addition by itself; where the
# arithmetic wants it fused, the kernels say so, and the bits are equal everywhere.
# -fno-fast-math: some compilers, Intel's for one, take liberties with the arithmetic by default.
# It stands before -fno-math-errno, which it would undo.
# Names that are hidden are found without a table, and only one is asked for: PyInit_.
FLAGS = ["-std=c11", "-ffp-contract=off", "-fno-fast-math", "-fno-math-errno", "-pthread"]
FLAGS += ["-fvisibility=hidden"]
# Unwind tables are for C++ exceptions and debuggers: without them the package is 5 % smaller.
# Without a table of procedure linkage it is 1 % smaller.
OPTIMISED = ["-O3", "-g0", "-fno-plt", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables"]
FLAGS += ["-O0", "-g", "-UNDEBUG"] if DEBUG else ["-O1", "-g"] if SANITIZE else OPTIMISED
# What Cython writes for these has no loop in it that matters: it is compiled for size.
# Only table.pyx, which packs weights, goes over many numbers: -Os would double the time of that.
# With -Os in engine.pyx, which has the executors, small batches would take 4 % longer.
SMALL = dict.fromkeys(["plan", "kernels"], "-Os")
SMALL |= dict.fromkeys(["table", "engine", "training", "augmentation"], "-O2")
# A call of a small network or of an activation goes through these. The others do without what
# Cython knows of CPython's insides, which makes each of them 2 kB larger, compressed. Type slots
# and versions of dicts go together: without the first, the second does not find a module's names.
# CYTHON_VECTORCALL stays: Cython's type of functions is shared with other packages' modules.
QUICK = {"engine", "table"}
PLAIN_PYTHON = [
    f"-DCYTHON_{name}=0"
    for name in (
        "USE_TYPE_SLOTS", "USE_DICT_VERSIONS", "USE_PYLONG_INTERNALS", "USE_UNICODE_INTERNALS",
        "UNPACK_METHODS", "FAST_THREAD_STATE", "VECTORCALL_TPNEW",
    )
]  # fmt: skip
# Where CPUs have vectors, the portable kernels are for comparison, and for a CPU so old that it
# computes each fused multiply-add in software: that takes most of the time then. So -Os.
HAS_VECTORS = re.search("x86|amd64|aarch64|arm64", platform.machine().lower()) is not None
KERNEL_WARNINGS = ["-Wall", "-Wextra"] + (["-Werror"] if WERROR else [])
# Copies of functions for constant arguments, and inlining that nobody asked for, make the kernels
# 15 % larger, and none of them faster. clang warns of the options.
IS_CLANG = "clang" in os.environ.get("CC", "") or sys.platform == "darwin"
NO_CLONES = [] if IS_CLANG else ["-fno-ipa-cp-clone", "-fno-inline-functions"]
# Without copies of common expressions, and without gaps before functions and loops, these are 3 %
# smaller, and as fast, because their calls are long. clang does not know all of the options.
if not IS_CLANG:
    UNALIGNED = "-falign-functions=1 -falign-jumps=1 -falign-loops=1 -falign-labels=1"
    SMALL |= dict.fromkeys(["training", "augmentation"], f"-O2 -fno-tree-pre {UNALIGNED}")
    SMALL["table"] += f" {UNALIGNED}"
    # Vectors and small functions in many places gain nothing where the kernels do the arithmetic.
    SMALL["training"] += " -fno-tree-vectorize -fno-gcse -fno-inline-small-functions"
SANITIZERS = (
    ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
    if SANITIZE
    else []
)
KEEP_SYMBOLS = DEBUG or SANITIZE or sys.platform == "darwin"
STRIPPED = [] if KEEP_SYMBOLS else ["-s", "-Wl,--build-id=none"]

Options.warning_errors = WERROR

# A source, the folder of its object file below that of the others, and its own macros.
Job = tuple[str, str, list[tuple[str, str]]]


def compilations(source: str) -> list[Job]:
    """Return what has to be compiled of a source: each file once, INSTANCE for all it is for."""
    if source == INT8:
        return [(source, isa, [("NN_ISA", isa)]) for isa in INT8_SETS]
    if source != INSTANCE:
        return [(source, "", [])]
    return [
        (source, f"{isa}-{real}", [("NN_ISA", isa), ("NN_DOUBLE", str(is_double))])
        for isa in INSTRUCTION_SETS
        for is_double, real in enumerate(["float", "double"])
    ]


def flags_of(source: str, macros: list[tuple[str, str]]) -> list[str]:
    """Return the flags for one compilation, beside those for all."""
    optimised = ["-Os"] if ("NN_ISA", "scalar") in macros and HAS_VECTORS else []
    if ("NN_ISA", "amx") in macros and not (DEBUG or SANITIZE):
        optimised = ["-O2"]  # the tiles do the work: more code makes none of it faster
    if source in OUR_SOURCES:
        return KERNEL_WARNINGS + NO_CLONES + optimised
    name = Path(source).stem
    size = SMALL[name].split() if name in SMALL and not (DEBUG or SANITIZE) else []
    return size + GENERATED + ([] if name in QUICK else PLAIN_PYTHON)


class BuildExtensions(build_ext):
    """Compile all files at once, with warnings for our own C only, not for what Cython writes.

    `INSTANCE` is one source of which several object files are made.
    """

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or True

    def build_extensions(self) -> None:
        compile_in_turn = self.compiler.compile

        def compile_at_once(
            sources: list[str],
            output_dir: str | None = None,
            macros: list[Any] | None = None,
            extra_postargs: list[str] | None = None,
            **options: Any,
        ) -> list[str]:
            def compile_one(job: Job) -> list[str]:
                source, folder, job_macros = job
                objects: list[str] = compile_in_turn(
                    [source],
                    output_dir=os.path.join(output_dir or "", folder),
                    macros=[*(macros or []), *job_macros],
                    extra_postargs=[*(extra_postargs or []), *flags_of(source, job_macros)],
                    **options,
                )
                return objects

            jobs = [job for source in sources for job in compilations(source)]
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return [name for objects in pool.map(compile_one, jobs) for name in objects]

        self.compiler.compile = compile_at_once
        super().build_extensions()


class Deflater:
    """A compressor for zipfile, in place of zlib's: by zopfli, which finds shorter codes."""

    def __init__(self, *_: Any) -> None:
        self._data = bytearray()

    def compress(self, data: bytes) -> bytes:
        self._data += data
        return b""

    def flush(self) -> bytes:
        # As many blocks, each with codes of its own, as make it shorter. Around the deflated data,
        # zlib's format has two bytes before and four after.
        compressed: bytes = zopfli_compress(
            bytes(self._data), numiterations=15, blocksplittingmax=0
        )[2:-4]
        return compressed


class CompressWheel(bdist_wheel):
    """Write a wheel 3 % smaller than zlib would make it, in some seconds more.

    zipfile has no other place for a compressor than a function of its own: where a later Python
    lacks it, the wheel is as zlib makes it.
    """

    def run(self) -> None:
        made = getattr(zipfile, "_get_compressor", None)
        if zopfli_compress is None or made is None:
            return super().run()
        zipfile._get_compressor = Deflater
        try:
            super().run()
        finally:
            zipfile._get_compressor = made


# The compiled modules and their sources, in the order in which they build on each other.
MODULES = {
    "_table": "table",
    "_plan": "plan",
    "_engine": "engine",
    "_training": "training",
    "_augmentation": "augmentation",
    "_kernels": "kernels",
}
# Python that stands between them: what a call does off its fast path would be bulky if compiled.
PLAIN_MODULES = {"_cpus": "cpus", "_arrays": "arrays"}
C_SOURCES = {"_table": [POOL, DISPATCH, INSTANCE, INT8]}


def stage() -> None:
    """Copy what stands beside the .pyx in ext/ to nncore/, where the compiled modules are.

    That is what they declare, their .pxd and .pyi, for Cython and type checkers, and the plain
    modules.
    """
    files = {
        EXT / (source + kind): Path("nncore", module + kind)
        for modules, kinds in ((MODULES, (".pxd", ".pyi")), (PLAIN_MODULES, (".py",)))
        for module, source in modules.items()
        for kind in kinds
    }
    for original, staged in files.items():
        if original.exists() and not (
            staged.exists() and staged.read_bytes() == original.read_bytes()
        ):
            shutil.copy(original, staged)


def write_page() -> None:
    """Put the styles and the scripts of the page into its template, without comments and empty
    lines, with indents of one space.

    So the wheel has one file in their place, which takes half the space when it is compressed.
    """
    folder = Path("nncore", "page")

    def content(place: re.Match[str]) -> str:
        text = (folder / place[1]).read_text(encoding="utf-8")
        comments = r"^ *//[^\n]*\n|^ */\*(?s:.*?)\*/ *\n"  # on lines of their own
        text = re.sub(comments, "", text, flags=re.MULTILINE)
        text = re.sub(r" +// [^\n\"'`]*$", "", text, flags=re.MULTILINE)
        text = re.sub(r"\n{2,}", "\n", text)
        return re.sub("^ +", " ", text, flags=re.MULTILINE).strip()

    template = (folder / "template.html").read_text(encoding="utf-8")
    page = re.sub(r"^@(\w+\.\w+)@$", content, template, flags=re.MULTILINE)
    (folder / "page.html").write_text(page, encoding="utf-8")


def write_activation_stub() -> None:
    """Declare nncore.relu and the others for type checkers, from the rows of ext/registries.h."""
    registries = (EXT / "registries.h").read_text()
    kinds = {"NN_ACTIVATIONS": "Elementwise", "NN_ROWWISE_ACTIVATIONS": "Softmax"}
    types: dict[str, str] = {}
    for table, kind in kinds.items():
        rows = re.search(rf"#define {table}\(X\)(?:.*\\\n)+.*", registries)
        assert rows is not None, table
        types |= dict.fromkeys(re.findall(r"^ *X\((\w+),", rows[0], re.MULTILINE), kind)
    lines = ['"""Every activation under its own name; written by setup.py."""', ""]
    lines += [f"from nncore.activations import {', '.join(kinds.values())}", ""]
    lines += [f"__all__ = {list(types)}", ""]
    lines += [f"{name}: {kind}" for name, kind in types.items()]
    Path("nncore", "_named.pyi").write_text("\n".join(lines) + "\n")


def extension(module: str) -> Extension:
    source = EXT / f"{MODULES[module]}.pyx"
    return Extension(
        f"nncore.{module}",
        [str(source), *C_SOURCES.get(module, [])],
        include_dirs=["ext", numpy.get_include()],
        define_macros=[
            ("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"),
            # A wheel compresses the modules' strings together with the rest, and better.
            ("CYTHON_COMPRESS_STRINGS", "0"),
        ],
        depends=[str(path) for path in [*SIMD.glob("*.h"), *EXT.glob("*.h")]],
        extra_compile_args=FLAGS + SANITIZERS,
        extra_link_args=["-pthread", *SANITIZERS, *STRIPPED],
    )


stage()
write_activation_stub()
write_page()
setup(
    cmdclass={"build_ext": BuildExtensions, "bdist_wheel": CompressWheel},
    ext_modules=cythonize(
        [extension(module) for module in MODULES],
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
            # Plain built-in functions, which take 4 % of the package less than Cython's own kind,
            # with their signatures for help() and inspect.
            "binding": False,
            "embedsignature": True,
            "embedsignature.format": "clinic",
            "autotestdict": False,  # a second copy of the docstrings that have examples
            "auto_pickle": False,  # what can be pickled says so itself
            "freethreading_compatible": False,
        },
    ),
)
