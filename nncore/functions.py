"""A layer as a function of its weights: `affine`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import _engine, _plan, _table, _validation, activations

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def affine(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    activation: str = "identity",
    out: NDArray[Any] | None = None,
    *,
    alpha: float | None = None,
    beta: float | None = None,
) -> NDArray[Any]:
    """Compute activation(x @ w + b) in one pass: the activation follows each block of sums.

    The weights are packed in every call; a `Network` packs them once.

    Parameters
    ----------
    x : array_like
        (k,) or (n, k).
    w : array_like
        (k, m).
    b : array_like, optional
        (m,); zeros if not given.
    activation : str, optional
        A name of `nncore.activations`, softmax included.
    out : ndarray, optional
        (m,) or (n, m), of the result's dtype, not overlapping x, w or b.
    alpha, beta : float, optional
        The parameters of the activations that have any, by default the activation's.

    Returns
    -------
    ndarray
        (m,) or (n, m): float32 if NumPy's promotion of x, w and b is float32 or float16,
        else float64.

    Raises
    ------
    TypeError, ValueError
        Shapes or dtypes do not fit.

    Examples
    --------
    >>> import numpy as np, nncore
    >>> nncore.affine([1.0, 2.0], [[1.0, 0.0], [0.0, 1.0]], [0.0, -3.0], activation="relu")
    array([1., 0.])
    """
    if not isinstance(activation, str):
        raise TypeError(f"activation is {activation!r}, expected a name")
    activations.get(activation)  # refuses a name that there is not
    alpha, beta = activations.check_parameters(activation, alpha, beta)
    inputs, weights = _validation.array(x, "x"), _validation.array(w, "w")
    arrays = [inputs, weights]
    if b is not None:
        arrays.append(_validation.array(b, "b"))
    if weights.ndim != 2 or 0 in weights.shape:
        raise ValueError(f"w has shape {weights.shape}, expected (k, m), both at least 1")
    k, m = weights.shape
    if b is not None and arrays[2].shape != (m,):
        raise ValueError(f"b has shape {arrays[2].shape}, expected {(m,)}")
    is_double = np.result_type(*arrays) not in (np.float16, np.float32)
    dtype = np.dtype(np.float64 if is_double else np.float32)
    activations.check_range(alpha, beta, dtype)
    samples = _validation.samples(inputs, k, is_double)
    if out is not None:
        for name, array in zip("wb", arrays[1:], strict=False):
            if isinstance(out, np.ndarray) and _validation.overlap(out, array):
                raise ValueError(f"out overlaps {name} in memory, expected memory of its own")
        _validation.output(out, samples, m, is_double)
    with np.errstate(all="ignore"):  # an overflow becomes infinity, as in every conversion
        weights = np.require(weights, dtype, ("A",))
        bias = None if b is None else np.require(arrays[2], dtype, ("A",))
    program = _plan.Program({}, k, is_double)
    program.affine(
        _table.pack(weights, bias), activations.CODES[activation], alpha or 0.0, beta or 0.0
    )
    return _engine.run(_plan.Plan(program), samples, out)
