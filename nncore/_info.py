"""What this nncore is and runs on."""

from __future__ import annotations

from typing import Any

from nncore import _table, _threads

__version__ = "0.1.0"


def info() -> dict[str, Any]:
    """Return the versions, instruction sets and threads in use.

    Returns
    -------
    dict
        version, python, numpy : str; instruction_set : str, the one in use (NNCORE_ISA forces one);
        available_instruction_sets : list of str, best first; num_threads : int;
        parallel_min : float, the multiply-adds below which a call stays on one thread
        (NNCORE_PARALLEL_MIN sets it; the variable is read once).

    Raises
    ------
    ValueError, RuntimeError
        NNCORE_ISA names an instruction set that is unknown, or that this CPU lacks.

    Examples
    --------
    >>> import nncore
    >>> nncore.info()["instruction_set"] in nncore.info()["available_instruction_sets"]
    True
    """
    import platform

    import numpy

    return {
        "version": __version__,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "instruction_set": _table.instruction_set(),
        "available_instruction_sets": _table.available_instruction_sets(),
        "num_threads": _threads.get_num_threads(),
        "parallel_min": _threads.parallel_min(),
    }
