"""What this nncore is and runs on."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

from nncore import _table

__version__ = "0.1.0"


def warn_of_namesakes() -> None:
    """Warn if another project's distribution `nncore` is installed: ours is `nncore-dense`.

    Both import as `nncore`, so they overwrite or hide each other's files.
    """
    # importlib.metadata would take longer than all of `import nncore`. A look into every folder on
    # the path takes 10 microseconds, and listing the one or two that have a package nncore takes
    # 120 where 250 packages are installed.
    for folder in sys.path:
        if not os.path.isfile(os.path.join(folder, "nncore", "__init__.py")):
            continue
        try:
            names = os.listdir(folder or os.curdir)
        except OSError:
            continue
        for name in names:
            if name.startswith("nncore-") and name.endswith(".dist-info"):
                version = name.removeprefix("nncore-").removesuffix(".dist-info")
                warnings.warn(
                    f"nncore {version} is installed in {folder or os.curdir}, another project's "
                    f"package with the same import name. This is nncore-dense {__version__}; each "
                    "of the two overwrites or hides the other's files. Run  pip uninstall nncore "
                    "nncore-dense  and install nncore-dense again",
                    stacklevel=3,  # the line that imports nncore
                )
                return


def info() -> dict[str, Any]:
    """Return the versions, instruction sets and threads in use.

    Returns
    -------
    dict
        version, python, numpy : str; instruction_set : str, the one in use (NNCORE_ISA forces one);
        available_instruction_sets : list of str, best first; int8_kernel : str, the kernel of
        quantized networks in use (NNCORE_INT8 forces one); available_int8_kernels : list of str,
        best first; num_threads : int;
        parallel_min : float, the multiply-adds below which a call stays on one thread
        (NNCORE_PARALLEL_MIN sets it; the variable is read once).

    Raises
    ------
    ValueError, RuntimeError
        NNCORE_ISA names an instruction set, or NNCORE_INT8 a kernel, that is unknown, or that this
        CPU lacks.

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
        "int8_kernel": _table.int8_kernel(),
        "available_int8_kernels": _table.int8_kernels(),
        "num_threads": _table.get_num_threads(),
        "parallel_min": _table.parallel_min(),
    }
