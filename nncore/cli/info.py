"""`nncore info`: the version, the instruction sets, the threads, the variables that are set."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nncore.cli._common import add_json_option, print_field, print_json

if TYPE_CHECKING:
    import argparse

WIDTH = 28  # of the names
HELP = "show version, instruction sets, threads and settings"
DESCRIPTION = """\
Show what nncore runs on: its version, the instruction set in use and those this
machine has, the same for the kernels of quantized networks (int8), the number
of threads, the version of NumPy, and the environment variables that are set
(NNCORE_ISA, NNCORE_INT8, NNCORE_NUM_THREADS, NNCORE_DATA_HOME, ...). Please
add the output to a bug report."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    add_json_option(parser)


def run(options: argparse.Namespace) -> int:
    """Print the facts; return the exit code."""
    facts = gather()
    if options.json:
        print_json(facts)
        return 0
    for name, value in facts.items():
        if name == "environment":
            lines = [f"{variable}={text}" for variable, text in value.items()]
            print_field(name, lines or ["no NNCORE_* variable is set"], WIDTH)
        else:
            print_field(name.replace("_", " "), [_text(value)], WIDTH)
    return 0


def gather() -> dict[str, Any]:
    """Return what `nncore.info()` tells, and the variables of the environment."""
    import nncore

    environment = {
        name: value
        for name, value in sorted(os.environ.items())
        if name.startswith("NNCORE_") or name == "OMP_NUM_THREADS"
    }
    return {**nncore.info(), "environment": environment}


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:,.0f}"
    return str(value)
