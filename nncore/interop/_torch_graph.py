"""Modules with a forward() of their own: traced by torch.fx, and read as a chain of operations.

Every operation has to take what the one before it gave, and nothing else but constants.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from nncore._validation import excerpt
from nncore.interop._assembler import Assembler
from nncore.interop._torch_steps import ALIASES, DROPOUTS, PARAMETERS, activate, array

# What stands for the values of a graph that are not of the chain.
_SHAPE, _SAMPLES = "the shape", "the number of samples"
_UNUSED = "another input, or size"  # nothing of the chain may take it

_ARITHMETIC = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "div": "/", "true_divide": "/",
    "subtract": "-", "multiply": "*", "divide": "/", "neg": "neg", "negative": "neg",
}  # fmt: skip
# Those that leave the numbers as they are; dtypes are decided by the weights.
_NOTHING = {"float", "double", "contiguous", "detach", "clone", "cpu", "cuda", "to"}
_RESHAPES = {"view", "reshape", "flatten"}
_IGNORED = {"inplace", "_stacklevel"}  # keywords that change nothing here


def add_traced(
    steps: Assembler,
    module: Any,
    where: str,
    is_own: Callable[[Any], bool],
    add_module: Callable[[Any, str], None],
) -> None:
    """Add what a module's forward() computes.

    `is_own` says which modules inside it have a forward() to be traced too; the others are given to
    `add_module` with their names.
    """
    graph, constants = _trace(module, where, is_own)
    _Chain(steps, module, where, constants, add_module).run(graph)


def _trace(module: Any, where: str, is_own: Callable[[Any], bool]) -> tuple[Any, dict[str, Any]]:
    import torch
    from torch.fx import Tracer

    constants: dict[str, Any] = {}

    class Whole(Tracer):  # type: ignore[misc]
        def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
            return not is_own(m)

        def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: Any) -> Any:
            return attr_val  # parameters are constants, so what is computed of them is one, too

        def create_arg(self, a: Any) -> Any:
            # fx would write the tensors that it meets into the module.
            if not isinstance(a, torch.Tensor):
                return super().create_arg(a)
            name = f"constant_{len(constants)}"
            constants[name] = a
            return self.create_node("get_attr", name, (), {})

    parameters = inspect.signature(type(module).forward).parameters
    defaults = {
        name: parameters[name].default
        for name in list(parameters)[2:]  # after self and x
        if parameters[name].default is not inspect.Parameter.empty
    }
    before = torch.get_rng_state()
    try:
        graph = Whole().trace(module, concrete_args=defaults or None)
    except Exception as error:  # whatever the user's own code raises where it meets no tensor
        raise ValueError(
            f"{where}: its forward() cannot be traced, expected one that does the same for every "
            f"input (or give an nn.Sequential of its parts, or its state_dict): "
            f"{type(error).__name__}: {excerpt(str(error))}"
        ) from error
    if not torch.equal(torch.get_rng_state(), before):
        raise ValueError(f"{where}: its forward() draws random numbers, expected none")
    return graph, constants


class _Chain:
    """One run through a graph."""

    def __init__(
        self, steps: Assembler, module: Any, where: str, constants: dict[str, Any], add_module: Any
    ) -> None:
        self.steps, self.module, self.path = steps, module, where
        self.constants, self.add_module = constants, add_module
        self.values: dict[Any, Any] = {}  # of the nodes that are not of the chain
        self.flow: list[Any] = []  # the nodes of the chain
        self.squeezed: str | None = None

    def run(self, graph: Any) -> None:
        for node in graph.nodes:
            if node.op == "placeholder":
                if self.flow:
                    self.values[node] = _UNUSED
                else:
                    self.flow.append(node)
            elif node.op == "get_attr":
                tensor = self.constants.get(node.target)
                self.values[node] = None if tensor is None else array(tensor, self.where(node))
            elif node.op == "output":
                if node.args[0] is not self.flow[-1]:
                    raise ValueError(
                        f"{self.path}: its forward() returns something else than the result of "
                        "its last operation, expected that alone"
                    )
            else:
                self.operation(node)

    def where(self, node: Any) -> str:
        target = node.target if isinstance(node.target, str) else node.target.__name__
        if node.op == "call_method":
            target = f"x.{target}()"
        return f"'{node.name}' ({target}) in the forward() of {self.path}"

    def operation(self, node: Any) -> None:
        flowing = [other for other in node.all_input_nodes if other in self.flow]
        where = self.where(node)
        if not flowing and any(self.values.get(i) is _UNUSED for i in node.all_input_nodes):
            self.values[node] = _UNUSED  # such as fx's check that an argument has its default
            return
        from torch.fx.node import map_arg

        args = list(map_arg(node.args, lambda other: self.values.get(other, other)))
        kwargs = dict(map_arg(node.kwargs, lambda other: self.values.get(other, other)))
        if "input" in kwargs:
            args.insert(0, kwargs.pop("input"))
        if "other" in kwargs:
            args.append(kwargs.pop("other"))
        name = node.target if isinstance(node.target, str) else node.target.__name__
        if node.op != "call_module" and self.about_shape(node, name, args, where):
            return
        if flowing != [self.flow[-1]] or len([a for a in args if a is flowing[0]]) != 1:
            raise ValueError(
                f"{where} takes something else than what the operation before it gives, "
                "expected a chain of layers"
            )
        if self.squeezed:
            raise ValueError(f"{where} follows {self.squeezed}, expected that as the last one")
        if node.op == "call_module":
            if len(args) != 1 or kwargs:
                raise ValueError(f"{where} is given more than one argument, expected one")
            self.add_module(self.module.get_submodule(node.target), node.target)
        else:
            self.function(name, args, kwargs, flowing[0], where)
        self.flow.append(node)

    def about_shape(self, node: Any, name: str, args: list[Any], where: str) -> bool:
        """Take an operation that asks for the shape, which any node of the chain may be asked."""
        first = args[0] if args else None
        if first is _SHAPE and name == "getitem":
            self.values[node] = _SAMPLES if args[1] == 0 else _UNUSED
        elif (name, *map(str, args[1:])) in (("getattr", "shape"), ("size",)):
            self.values[node] = _SHAPE
        elif (name, *map(str, args[1:])) == ("size", "0"):
            self.values[node] = _SAMPLES
        elif not any(other in self.flow for other in node.all_input_nodes):
            raise ValueError(f"{where} is not understood, expected a chain of layers")
        else:
            return False
        return True

    def function(
        self, name: str, args: list[Any], kwargs: dict[str, Any], x: Any, where: str
    ) -> None:
        plain = name.rstrip("_")
        plain = ALIASES.get(plain, plain)
        if plain in _ARITHMETIC:
            self.arithmetic(_ARITHMETIC[plain], args, kwargs, where)
            return
        if args[0] is not x:
            raise ValueError(f"{where} does not take x as its first argument, expected that")
        rest = args[1:]
        if plain in PARAMETERS:
            self.activation(plain, rest, kwargs, where)
        elif plain in DROPOUTS.values():
            training = kwargs.get("training", rest[1] if len(rest) > 1 else True)
            if training is not False:
                raise ValueError(
                    f"{where} drops out where the network is only run, too, expected "
                    "training=self.training"
                )
        elif plain in _RESHAPES:
            self.reshape(plain, rest, kwargs, where)
        elif plain == "squeeze":
            self.squeeze([*rest, *kwargs.values()], where)
        elif plain in ("linear", "matmul") and rest and isinstance(rest[0], np.ndarray):
            weights = rest[0].T if plain == "linear" else rest[0]
            bias = rest[1] if len(rest) > 1 else kwargs.get("bias")
            self.steps.dense(weights, bias, where)
        elif not (plain in _NOTHING and _keeps_numbers([*rest, *kwargs.values()])):
            raise ValueError(
                f"{where} is not understood, expected layers, activations, reshapes and arithmetic "
                "with constants"
            )

    def activation(self, name: str, rest: list[Any], kwargs: dict[str, Any], where: str) -> None:
        if _keeps_numbers([kwargs.get("dtype")]):
            kwargs.pop("dtype", None)
        parameters = list(PARAMETERS[name])
        given = dict(zip(parameters, rest, strict=False)) | kwargs
        extra = [value for value in rest[len(parameters) :] if not isinstance(value, bool)]
        unknown = sorted(set(given) - set(parameters) - _IGNORED)
        if extra or unknown:
            raise ValueError(f"{where} has the argument {(extra or unknown)[0]!r}, expected none")
        activate(self.steps, name, {k: given[k] for k in parameters if k in given}, where)

    def arithmetic(self, sign: str, args: list[Any], kwargs: dict[str, Any], where: str) -> None:
        odd = sorted(key for key, value in kwargs.items() if value not in (None, 1))
        if odd:
            raise ValueError(f"{where} has the argument {odd[0]!r}, expected none")
        if sign == "neg":
            self.map(-1.0, 0.0, where)
            return
        reverse = not hasattr(args[0], "op")  # a constant stands first
        value = args[0] if reverse else args[1]
        if isinstance(value, np.ndarray):
            value = value.astype(np.float64)
            if value.size not in (1, value.shape[-1] if value.ndim else 1):
                raise ValueError(
                    f"{where} has a tensor {value.shape} beside x, expected one number, or one for "
                    "each feature"
                )
            value = value.reshape(() if value.size == 1 else -1)
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{where} has {value!r} beside x, expected a number")
        if sign == "+":
            self.map(1.0, value, where)
        elif sign == "-":
            self.map(*((-1.0, value) if reverse else (1.0, -value)), where)
        elif sign == "*":
            self.map(value, 0.0, where)
        elif reverse or not np.all(value):
            raise ValueError(f"{where} divides by x or by 0, expected a division of x by numbers")
        else:
            self.map(1.0 / value, 0.0, where)

    def map(self, scale: Any, shift: Any, where: str) -> None:
        if np.ndim(scale) == 0 and np.ndim(shift) == 0:
            self.steps.rescale(scale, shift, where)
        elif np.all(scale) and np.ndim(scale):
            self.steps.normalize(0.0 * scale, 1.0 / scale, where)
        elif np.ndim(scale):
            self.steps.scale(scale, 0.0, where)
        else:
            self.steps.normalize(-shift * scale, np.full_like(shift, scale), where)

    def reshape(self, name: str, rest: list[Any], kwargs: dict[str, Any], where: str) -> None:
        """Take a reshape that keeps the samples apart and makes one row of each."""
        if name == "flatten":
            bound = dict(zip(("start_dim", "end_dim"), rest, strict=False)) | kwargs
            fits = bound.get("start_dim", 0) == 1 and bound.get("end_dim", -1) == -1
        else:
            (shape,) = kwargs.values() if kwargs else (rest,)
            if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
                shape = shape[0]
            shape = list(shape)
            size = shape[1] if len(shape) == 2 else None
            features = self.steps.features
            fits = size is not None and (
                (shape[0] is _SAMPLES and size == -1)
                or (
                    (shape[0] is _SAMPLES or shape[0] == -1)
                    and type(size) is int
                    and features in (None, size)
                )
            )
        if not fits:
            raise ValueError(f"{where} makes another shape than (n, features), expected that")

    def squeeze(self, dims: list[Any], where: str) -> None:
        if self.steps.features != 1 or dims not in ([], [1], [-1]):
            raise ValueError(f"{where} is not understood, expected it of a single output only")
        self.squeezed = where


def _keeps_numbers(values: list[Any]) -> bool:
    """Return whether what a cast or a copy is given leaves the numbers as they are."""
    import torch

    kept = (torch.float32, torch.float64, torch.preserve_format, torch.contiguous_format)
    harmless = (bool, str, torch.device, type(None))
    return all(isinstance(value, harmless) or value in kept for value in values)
