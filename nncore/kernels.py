"""nncore for Cython code: single layers, functions and whole networks without the GIL.

`kernels.pxd`, beside this file, is what such code cimports. From Python there is what is made
before the loop: packed weights, the codes of activations, and a network that is ready to be run.
"""

import numpy as np
from numpy.typing import ArrayLike

from nncore._kernels import Runner, Weights, activation_code, pack_arrays

__all__ = ["Runner", "Weights", "activation_code", "pack"]


def pack(w: ArrayLike, b: ArrayLike) -> Weights:
    """Pack the weights and the bias of a layer, both copied.

    Parameters
    ----------
    w : array_like
        (k, m), both at least 1, float32 or float64, of any layout.
    b : array_like
        (m,), of w's dtype.

    Raises
    ------
    TypeError
        The dtypes or the numbers of dimensions do not fit.
    ValueError
        The shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from nncore.kernels import pack
    >>> weights = pack(np.ones((4, 2), np.float32), np.zeros(2, np.float32))
    >>> weights.k, weights.m, weights.is_double
    (4, 2, False)
    """
    w, b = np.asarray(w), np.asarray(b)
    for name, array, expected, ndim in (("w", w, "(k, m)", 2), ("b", b, "(m,)", 1)):
        fits = w.dtype in (np.float32, np.float64) and array.dtype == w.dtype
        if not fits or array.ndim != ndim:
            raise TypeError(
                f"{name} has shape {array.shape} and dtype {array.dtype}, "
                f"expected {expected} of float32 or float64, the same for w and b"
            )
    return pack_arrays(w, b)
