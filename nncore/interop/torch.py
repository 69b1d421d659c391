"""PyTorch: modules and state_dicts to layers, and layers to both; .pt and .pth files.

A module is read as the chain of what it computes. Sequentials are what they list; a module with a
forward() of its own is traced by torch.fx (`_torch_graph`), because the order of its attributes is
not the order in which it calls them. Everything is read as for inference, whatever mode it is in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import IO, Any

from numpy.typing import NDArray

from nncore._validation import excerpt
from nncore.formats import _archive
from nncore.formats._contents import Contents
from nncore.formats._files import Path, file_name, named_errors, open_regular, replacing
from nncore.formats._header import name_of, render
from nncore.interop import _sequential, _state_dict
from nncore.interop._assembler import Assembler
from nncore.interop._torch_graph import add_traced
from nncore.interop._torch_steps import DROPOUTS, MODULES, PARAMETERS, activate, array
from nncore.layers import Dense, Layer, Rescaling

# Under which training code keeps the state_dict in a checkpoint; the first is Lightning's.
_CHECKPOINTS = ("state_dict", "model_state_dict")
_MAX_SHARING = 4  # tensors of one file may share their numbers, but not become a bomb


def _import() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "PyTorch is needed for its modules and files, expected it installed: pip install torch"
        ) from error
    return torch


def convert(model: Any, activations: Sequence[Any] | None = None) -> Contents:
    """Return the layers of a module or a state_dict; see `nncore.from_torch`."""
    torch = _import()
    if isinstance(model, Mapping):
        return _from_state_dict(model, activations)
    if not isinstance(model, torch.nn.Module):
        hint = ": a file is read by nncore.load" if isinstance(model, (str, bytes)) else ""
        raise TypeError(
            f"the model is of type {type(model).__name__}, expected a torch.nn.Module or a "
            f"state_dict{hint}"
        )
    if activations is not None:
        raise ValueError("activations= is for a state_dict, expected none: a module has its own")
    steps = Assembler()
    with _as_for_inference(model), torch.no_grad():
        _add(steps, model, "")
    return steps.contents()


def read(path: Path, activations: Sequence[Any] | None = None) -> Contents:
    """Read a state_dict that ``torch.save`` wrote, by ``torch.load(weights_only=True)``.

    Parameters
    ----------
    path : str or os.PathLike
    activations : sequence of str, optional
        As for `nncore.from_torch`; not for a file that nncore wrote.

    Raises
    ------
    ImportError
        PyTorch is not installed.
    ValueError
        The file is broken, or holds anything but a state_dict.
    OSError
        The file cannot be opened or read.
    """
    name = file_name(path)
    torch = _import()
    with open_regular(name) as (file, size), named_errors(name):
        if file.read(2) == b"PK":
            if any(member.endswith("constants.pkl") for member in _archive.names_in(file, size)):
                raise ValueError(
                    "is a TorchScript archive, expected a state_dict: save model.state_dict()"
                )
            _archive.check_members(file, size)
        file.seek(0)
        return _from_state_dict(_load(torch, file), activations, _MAX_SHARING * size)


def write(path: Path, layers: Sequence[Any], dtype: Any, classes: Any = None) -> None:
    """Write the state_dict of `to_state_dict` by ``torch.save``, all of it or nothing.

    Parameters
    ----------
    path, layers, dtype, classes
        As for `nncore.formats.npz.write`.

    Raises
    ------
    ImportError
        PyTorch is not installed.
    ValueError
        The layers cannot be saved.
    OSError
        The file cannot be written.
    """
    torch = _import()
    state = to_state_dict(layers, dtype, classes)
    render(layers, dtype, classes)  # which refuses callables: a file would not say what they are
    with replacing(file_name(path)) as file:
        torch.save(state, file)


# ---- from nncore to PyTorch


def to_state_dict(layers: Sequence[Layer], dtype: Any, classes: Any = None) -> dict[str, Any]:
    """Return the arrays as tensors, named as in the Sequential of `to_module`.

    Like every state_dict of PyTorch, it has an attribute ``_metadata``; the description of the
    network is kept there, so that nncore reads back the same bits, activations included.
    """
    from collections import OrderedDict

    torch = _import()
    state: Any = OrderedDict(
        (key, torch.from_numpy(value)) for key, value in _sequential.tensors_of(layers).items()
    )
    state._metadata = OrderedDict()
    if all(isinstance(layer.activation, str) for layer in layers if isinstance(layer, Dense)):
        description = render(layers, dtype, classes)
        state._metadata[_sequential.KEY] = {"description": description}
    found: dict[str, Any] = state
    return found


def to_module(layers: Sequence[Layer], dtype: Any) -> Any:
    """Return an ``nn.Sequential`` that computes the same, in evaluation mode.

    Raises
    ------
    ImportError
        PyTorch is not installed.
    ValueError
        PyTorch has no module for an activation, or a scale does not fit into the dtype.
    """
    torch = _import()
    state = to_state_dict(layers, dtype)
    wanted = torch.float64 if dtype == "float64" else torch.float32
    for key, tensor in state.items():
        if tensor.is_floating_point():
            state[key] = tensor.to(wanted)
        if key.endswith("running_var") and not ((state[key] > 0) & state[key].isfinite()).all():
            raise ValueError(f"the squares of std are too large or too small for {wanted}")
    features = next(layer.in_features for layer in layers if layer.in_features is not None)
    modules = []
    for i, layer in enumerate(layers):
        if not isinstance(layer, Dense):
            affine = isinstance(layer, Rescaling)
            modules.append(torch.nn.BatchNorm1d(features, 0.0, affine=affine, device="meta"))
            continue
        sizes = layer.in_features, layer.out_features
        modules.append(torch.nn.Linear(*sizes, bias=layer.use_bias, device="meta"))
        if layer.activation != "identity":
            modules.append(activation_module(torch.nn, layer, name_of(i)))
    module = torch.nn.Sequential(*modules)
    module.load_state_dict(state, strict=True, assign=True)
    return module.eval()


def activation_module(nn: Any, layer: Dense, where: str) -> Any:
    makers: dict[str, Callable[[], Any]] = {
        "relu": nn.ReLU, "relu6": nn.ReLU6, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh,
        "selu": nn.SELU, "silu": nn.SiLU, "mish": nn.Mish, "softsign": nn.Softsign,
        "softplus": nn.Softplus, "hard_swish": nn.Hardswish, "gelu": nn.GELU,
        "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
        "leaky_relu": lambda: nn.LeakyReLU(layer.alpha),
        "elu": lambda: nn.ELU(layer.alpha),
        "softmax": lambda: nn.Softmax(dim=-1),
        "log_softmax": lambda: nn.LogSoftmax(dim=-1),
    }  # fmt: skip
    if layer.activation == "hard_sigmoid" and (layer.alpha, layer.beta) == (1 / 6, 0.5):
        makers["hard_sigmoid"] = nn.Hardsigmoid
    if layer.activation == "clip" and (layer.alpha or 0) < (layer.beta or 0):
        makers["clip"] = lambda: nn.Hardtanh(layer.alpha, layer.beta)
    maker = makers.get(layer.activation) if isinstance(layer.activation, str) else None
    if maker is None:
        raise ValueError(f"{where} is {layer!r}, and PyTorch has no module for this activation")
    return maker()


# ---- state_dicts


def _from_state_dict(
    state: Mapping[Any, Any], activations: Sequence[Any] | None, limit: int | None = None
) -> Contents:
    for key in _CHECKPOINTS:
        if isinstance(state.get(key), Mapping):
            state = state[key]
    arrays = {str(key): _tensor(key, value) for key, value in state.items()}
    total = sum(found.nbytes for found in arrays.values())
    if limit is not None and total > limit:
        raise ValueError(f"holds {total} bytes of tensors, expected at most {limit}")
    entry = getattr(state, "_metadata", {}).get(_sequential.KEY)
    if not isinstance(entry, Mapping):
        return _state_dict.contents_of(arrays, activations)
    if activations is not None:
        raise ValueError(
            "the state_dict names its activations itself, expected no activations= (or give "
            "dict(state_dict), which does not)"
        )
    return _sequential.contents_of(str(entry.get("description")), arrays)


def _tensor(key: Any, value: Any) -> NDArray[Any]:
    torch = _import()
    if not isinstance(key, str) or not isinstance(value, torch.Tensor):
        raise ValueError(
            f"'{excerpt(str(key))}' is of type {type(value).__name__}, expected a tensor: give the "
            "state_dict alone, of names and tensors"
        )
    return array(value, f"'{excerpt(key)}'")


def _load(torch: Any, file: IO[bytes]) -> Mapping[Any, Any]:
    import pickle

    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # PyTorch's text advises to run the file's code.
        name = re.search(r"GLOBAL (\S+)", str(error))
        what = "is broken, or holds more than tensors"
        if name:
            what = f"asks for {excerpt(name[1])}"
        elif "Unsupported operand" in str(error):
            what = "is broken, or written in another pickle protocol than PyTorch's own, 2"
        raise ValueError(
            f"{what}, expected a state_dict: only tensors are read from a file, never code. Save "
            "model.state_dict(), or load the model yourself and use nncore.from_torch(model)"
        ) from error
    if not isinstance(found, Mapping):
        raise ValueError(f"holds a {type(found).__name__}, expected a state_dict")
    return found


# ---- modules


@contextmanager
def _as_for_inference(module: Any) -> Iterator[None]:
    """Switch training off meanwhile: forward() may ask for it, and parametrizations do."""
    before = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in before:
            part.training = False
        yield
    finally:
        for part, was in before:
            part.training = was


def _add(steps: Assembler, module: Any, path: str) -> None:
    """Add what a module computes."""
    torch = _import()
    kind = type(module).__name__
    where = f"module '{path}' ({kind})" if path else f"the module ({kind})"
    inner = _inside(module)
    _refresh(torch, module, where)
    if inner is not None:
        _add(steps, inner, path)
    elif _is_own(module):
        add_traced(
            steps, module, where, _is_own,
            lambda part, name: _add(steps, part, f"{path}.{name}" if path else name),
        )  # fmt: skip
    elif type(module).forward is torch.nn.Sequential.forward:
        # Not named_children(), which gives a module that stands there twice once.
        for name, part in module._modules.items():
            _add(steps, part, f"{path}.{name}" if path else name)
    else:
        row = _rows().get(getattr(type(module), "forward", None))
        if row is None or isinstance(module, torch.jit.ScriptModule):
            raise ValueError(
                f"{where} of {type(module).__module__} is not understood, expected Linear, "
                "BatchNorm1d, Dropout, Flatten, Identity or an activation"
            )
        row(steps, module, where)


def _inside(module: Any) -> Any:
    """Return the module that a wrapper of PyTorch runs; None for one that is no wrapper."""
    kind = type(module).__name__
    if kind == "OptimizedModule":  # of torch.compile
        return module._orig_mod
    wrappers = ("DataParallel", "DistributedDataParallel", "AveragedModel")
    torchs = type(module).__module__.startswith("torch.")
    return module.module if kind in wrappers and torchs else None


def _is_own(module: Any) -> bool:
    """Return whether a module's forward() is not one of PyTorch's."""
    if _inside(module) is not None:
        return False
    where = getattr(getattr(type(module), "forward", None), "__module__", None)
    return not str(where).startswith("torch.")


def _refresh(torch: Any, module: Any, where: str) -> None:
    """Run the hooks that compute weights (old weight_norm, pruning); refuse others."""
    if any(torch.nn.parameter.is_lazy(p) for p in module._parameters.values()):
        raise ValueError(f"{where} is not initialised yet, expected one that has run once")
    hooks = list(module._forward_pre_hooks.values())
    known = [hook for hook in hooks if type(hook).__module__.startswith("torch.nn.utils.")]
    if len(known) != len(hooks) or module._forward_hooks:
        raise ValueError(
            f"{where} has a forward hook, which may change what it computes, expected none: remove "
            "it first"
        )
    if "forward" in vars(module) and _inside(module) is None:
        raise ValueError(f"{where} has a forward() of its own, expected that of its class")
    if not type(module).__call__.__module__.startswith("torch."):
        raise ValueError(f"{where} has a __call__() of its own, expected that of torch.nn.Module")
    for hook in known:
        hook(module, ())


@cache
def _rows() -> dict[Any, Callable[[Assembler, Any, str], None]]:
    """Return what to do by the forward() that a module has: subclasses may replace it."""
    nn = _import().nn
    rows: dict[Any, Callable[[Assembler, Any, str], None]] = {
        nn.Linear.forward: _linear,
        nn.BatchNorm1d.forward: _batch_norm,
        nn.SyncBatchNorm.forward: _batch_norm,
        nn.Flatten.forward: _flatten,
        nn.Identity.forward: _nothing,
    }
    rows |= {getattr(nn, name).forward: _nothing for name in DROPOUTS}
    return rows | {getattr(nn, name).forward: _activation(f) for name, f in MODULES.items()}


def _nothing(steps: Assembler, module: Any, where: str) -> None:
    pass


def _linear(steps: Assembler, module: Any, where: str) -> None:
    bias = None if module.bias is None else array(module.bias, f"{where}: the bias")
    steps.dense(array(module.weight, f"{where}: the weight").T, bias, where)


def _batch_norm(steps: Assembler, module: Any, where: str) -> None:
    nn = _import().nn
    if not isinstance(module, (nn.BatchNorm1d, nn.SyncBatchNorm)):  # those of images
        raise ValueError(f"{where} is not understood, expected BatchNorm1d")
    if module.running_mean is None:
        raise ValueError(
            f"{where} has track_running_stats=False, expected running statistics: else its outputs "
            "depend on the other samples of a batch"
        )
    mean, variance, weight, bias = (
        None if tensor is None else array(tensor, where)
        for tensor in (module.running_mean, module.running_var, module.weight, module.bias)
    )
    _state_dict.batch_norm(steps, where, mean, variance, module.eps, weight, bias)


def _flatten(steps: Assembler, module: Any, where: str) -> None:
    if (module.start_dim, module.end_dim) != (1, -1):
        raise ValueError(
            f"{where} flattens dimensions {module.start_dim} to {module.end_dim}, expected 1 to -1"
        )


def _activation(function: str) -> Callable[[Assembler, Any, str], None]:
    def add(steps: Assembler, module: Any, where: str) -> None:
        given = {name: getattr(module, name) for name in PARAMETERS[function]}
        if function == "prelu":
            given["weight"] = array(module.weight, where)
        activate(steps, function, given, where)

    return add
