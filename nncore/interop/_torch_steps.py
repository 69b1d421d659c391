"""What PyTorch's modules and functions compute, as steps of the assembler.

A module's attributes and a function's arguments have the same names (``negative_slope``,
``approximate``), so one table serves both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nncore.interop._assembler import Assembler

# Functions whose name, or the one given here, is an activation of ours without parameters.
_SAME = {
    "relu": "relu", "relu6": "relu6", "sigmoid": "sigmoid", "tanh": "tanh", "selu": "selu",
    "silu": "silu", "mish": "mish", "softsign": "softsign", "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_swish",
}  # fmt: skip

# The parameters of the others, in their order, with PyTorch's defaults.
PARAMETERS: dict[str, dict[str, Any]] = {key: {} for key in _SAME} | {
    "gelu": {"approximate": "none"},
    "leaky_relu": {"negative_slope": 0.01},
    "rrelu": {"lower": 1 / 8, "upper": 1 / 3, "training": False},
    "prelu": {"weight": None},
    "elu": {"alpha": 1.0},
    "celu": {"alpha": 1.0},
    "softplus": {"beta": 1.0, "threshold": 20.0},
    "logsigmoid": {},
    "hardtanh": {"min_val": -1.0, "max_val": 1.0},
    "clamp": {"min": None, "max": None},
    "softmax": {"dim": None},
    "softmin": {"dim": None},
    "log_softmax": {"dim": None},
}
ALIASES = {
    "log_sigmoid": "logsigmoid",
    "clip": "clamp",
    "clamp_min": "clamp",
}  # names that functions have besides

# The modules of torch.nn by the function that they apply.
MODULES = {
    "ReLU": "relu", "ReLU6": "relu6", "Sigmoid": "sigmoid", "Tanh": "tanh", "SELU": "selu",
    "SiLU": "silu", "Mish": "mish", "Softsign": "softsign", "Hardsigmoid": "hardsigmoid",
    "Hardswish": "hardswish", "GELU": "gelu", "LeakyReLU": "leaky_relu", "RReLU": "rrelu",
    "PReLU": "prelu", "ELU": "elu", "CELU": "celu", "Softplus": "softplus",
    "LogSigmoid": "logsigmoid", "Hardtanh": "hardtanh", "Softmax": "softmax", "Softmin": "softmin",
    "LogSoftmax": "log_softmax",
}  # fmt: skip

# What changes nothing where a network is only run; functions of these kinds have such names too.
DROPOUTS = {
    "Dropout": "dropout", "Dropout1d": "dropout1d", "Dropout2d": "dropout2d",
    "Dropout3d": "dropout3d", "AlphaDropout": "alpha_dropout",
    "FeatureAlphaDropout": "feature_alpha_dropout",
}  # fmt: skip


def array(tensor: Any, where: str) -> NDArray[Any]:
    """Return a tensor's numbers; those of fewer bits than float32 become float32, exactly."""
    name = str(tensor.dtype).removeprefix("torch.")
    if tensor.is_quantized or tensor.is_sparse or tensor.is_meta:
        kind = "quantized" if tensor.is_quantized else "sparse" if tensor.is_sparse else "empty"
        raise ValueError(f"{where} is a tensor that is {kind}, expected one of plain numbers")
    if tensor.is_floating_point() and tensor.element_size() < 4:
        tensor = tensor.float()
    try:
        found: NDArray[Any] = tensor.numpy(force=True)
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{where} has dtype {name}, expected floating-point numbers") from error
    return found


def activate(steps: Assembler, function: str, given: Mapping[str, Any], where: str) -> None:
    """Add the activation that a function of PyTorch is; `given` are its parameters."""
    p = {**PARAMETERS[function], **given}
    if function in _SAME:
        steps.activation(_SAME[function], where)
    elif function == "gelu":
        names = {"none": "gelu", "tanh": "gelu_tanh"}
        steps.activation(_one_of(p, "approximate", names, where), where)
    elif function == "leaky_relu":
        steps.activation("leaky_relu", where, alpha=_number(p, "negative_slope", where))
    elif function == "rrelu":
        if p["training"]:
            raise ValueError(f"{where} draws its slope at random, expected training=False")
        slope = (_number(p, "lower", where) + _number(p, "upper", where)) / 2
        steps.activation("leaky_relu", where, alpha=slope)
    elif function == "prelu":
        weight = np.asarray(p["weight"])
        if weight.size != 1:
            raise ValueError(f"{where} has {weight.size} parameters, expected one for all features")
        steps.activation("leaky_relu", where, alpha=float(weight.reshape(())))
    elif function == "elu":
        steps.activation("elu", where, alpha=_number(p, "alpha", where))
    elif function == "celu":  # alpha elu(x / alpha)
        alpha = _number(p, "alpha", where)
        if not alpha > 0:
            raise ValueError(f"{where} has alpha {alpha}, expected a number above 0")
        _scaled(steps, "elu", alpha, where)
    elif function == "softplus":  # softplus(beta x) / beta
        if _number(p, "threshold", where) < 20:
            raise ValueError(f"{where} has threshold {p['threshold']}, expected 20 or more")
        beta = _number(p, "beta", where)
        if beta == 0:
            raise ValueError(f"{where} has beta 0, expected another number")
        _scaled(steps, "softplus", 1 / beta, where)
    elif function == "logsigmoid":  # -softplus(-x)
        _scaled(steps, "softplus", -1.0, where)
    elif function in ("hardtanh", "clamp"):
        _clip(steps, p, where)
    else:
        if p["dim"] not in (None, 1, -1):
            raise ValueError(f"{where} has dim {p['dim']}, expected 1 or -1, the features")
        if function == "softmin":
            steps.scale(-1.0, 0.0, where)
        steps.activation("softmax" if function == "softmin" else function, where)


def _scaled(steps: Assembler, name: str, factor: float, where: str) -> None:
    """Add factor f(x / factor)."""
    if factor == 1:
        steps.activation(name, where)
        return
    steps.scale(1 / factor if factor else np.inf, 0.0, where)
    steps.activation(name, where)
    steps.scale(factor, 0.0, where)


def _clip(steps: Assembler, p: Mapping[str, Any], where: str) -> None:
    low, high = p.get("min_val", p.get("min")), p.get("max_val", p.get("max"))
    if low == 0 and high is None:
        steps.activation("relu", where)
        return
    if (low, high) == (0, 6):
        steps.activation("relu6", where)
        return
    bounds = {"low": low, "high": high}
    steps.activation(
        "clip", where, alpha=_number(bounds, "low", where), beta=_number(bounds, "high", where)
    )


def _number(parameters: Mapping[str, Any], key: str, where: str) -> float:
    value = parameters[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{where} has {key} {value!r}, expected a number")
    return float(value)


def _one_of(parameters: Mapping[str, Any], key: str, names: Mapping[str, str], where: str) -> str:
    if parameters[key] not in names:
        raise ValueError(
            f"{where} has {key} {parameters[key]!r}, expected {' or '.join(map(repr, names))}"
        )
    return names[parameters[key]]
