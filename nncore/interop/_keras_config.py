"""A Keras model's config as the list of its layers, in the order in which samples pass them.

Read are the configs of Keras 3 and of tf.keras 2: a dict with `class_name` and `config`, in which a
Sequential model lists its layers, and a functional one says of each layer where its input comes
from. Models inside models are taken apart. A config may come from a hostile file, so nothing in it
is believed; no code and no class that it names is looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from nncore._validation import excerpt

MODELS = ("Sequential", "Functional", "Model")
LIBRARIES = ("keras", "tf_keras", "tensorflow")
_TOOLS = {"utils", "config", "saving", "backend"}  # modules of Keras that no layer is of
_MAX_DEPTH = 32  # models inside models


class Step(NamedTuple):
    """A layer that is not a model, and where it stands."""

    kind: str  # its class
    config: Mapping[str, Any]
    names: tuple[str, ...]  # of the models that it is in, the outermost left out, and its own
    group: str  # of its weights in a .keras file, which counts the layers of each class
    input_shape: Any  # as its config has it, samples first; None: not said

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"layer '{excerpt('/'.join(self.names))}' ({excerpt(self.kind)})"


class _Entry(NamedTuple):
    """A layer as its model lists it."""

    name: str
    kind: str
    config: Any
    group: str
    input_shape: Any
    nodes: Any  # of a functional model: how often the layer is called, and with what


def steps_of(described: Any) -> list[Step]:
    """Return the layers of a model's config, models inside it taken apart.

    Raises
    ------
    ValueError
        It is no Sequential or functional model, or one with branches, shared layers or several
        inputs or outputs.
    """
    kind, config = _described(described, "the model")
    if kind not in MODELS:
        raise ValueError(
            f"the model is of class {excerpt(kind)}, expected a Sequential or functional model"
        )
    return list(_walk(kind, config, (), "", None))


def check_names(described: Any) -> None:
    """Refuse the config of a file that names what is not Keras' own, wherever it stands.

    nncore looks none of it up, but Keras does, to which ``nncore convert`` gives the file too.

    Raises
    ------
    ValueError
        There is such a name.
    """
    waiting = [described]
    if isinstance(described, dict):  # the compiled part is left alone by Keras as well
        waiting = [value for key, value in described.items() if key != "compile_config"]
        _check_name(described)
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            _check_name(here)
            waiting.extend(here.values())
        elif isinstance(here, list):
            waiting.extend(here)


def _check_name(part: dict[str, Any]) -> None:
    module, registered = part.get("module"), part.get("registered_name")
    kind = part.get("class_name")
    if module is not None and not _is_harmless(module, kind):
        what = f"of module {excerpt(repr(module)[:200])}"
    elif registered is not None and (not isinstance(registered, str) or ">" in registered):
        what = f"registered as {excerpt(repr(registered)[:200])}"
    elif kind == "__lambda__":
        what = "of code"
    else:
        return
    raise ValueError(
        f"the config has {excerpt(repr(kind)[:200])} {what}, expected names of Keras itself"
    )


def _is_harmless(module: Any, kind: Any) -> bool:
    """Return whether something of a module may stand in a config: no tools that do things."""
    if module == "builtins":
        return bool(kind == "function")
    first = module.split(".") if isinstance(module, str) else [""]
    if first[0] in ("tf", "tensorflow"):
        return "keras" in first[1:3] and not _TOOLS.intersection(first)
    return first[0] in ("keras", "tf_keras") and not _TOOLS.intersection(first)


def _walk(
    kind: str, config: Any, names: tuple[str, ...], group: str, input_shape: Any
) -> Iterator[Step]:
    where = f"model '{excerpt('/'.join(names))}'" if names else "the model"
    if len(names) > _MAX_DEPTH:
        raise ValueError(f"{where} stands in more than {_MAX_DEPTH} models inside each other")
    if kind == "Sequential" and isinstance(config, list):  # as Keras wrote it before 2.2
        config = {"layers": config}
    if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
        raise ValueError(f"{where} has a config without a list of layers")
    entries = _entries(config["layers"], where, group)
    if kind == "Sequential":
        input_shape = config.get("build_input_shape") or input_shape
    else:
        entries = _chain(entries, config, where)
    for entry in entries:
        path = (*names, entry.name)
        shape = entry.input_shape or input_shape
        input_shape = None  # is that of the first layer only
        if entry.kind in MODELS:
            yield from _walk(entry.kind, entry.config, path, f"{entry.group}/", shape)
        elif not isinstance(entry.config, dict):
            raise ValueError(f"layer '{excerpt('/'.join(path))}' has no config")
        else:
            yield Step(entry.kind, entry.config, path, entry.group, shape)


def _entries(layers: list[Any], where: str, group: str) -> list[_Entry]:
    found: list[_Entry] = []
    counts: dict[str, int] = {}
    seen: set[str] = set()
    for number, layer in enumerate(layers):
        kind, config = _described(layer, f"{where}: layer {number}")
        own = config if isinstance(config, dict) else {}
        name = own.get("name", layer.get("name"))
        if not isinstance(name, str) or not name:
            # A list of layers is a Sequential model without a name, as Keras wrote it before 2.2.
            name = f"{_snake_case(kind)}_{number}"
        if name in seen:
            raise ValueError(f"{where} has two layers that are called '{excerpt(name)}'")
        seen.add(name)
        snake = _snake_case(kind)
        count = counts.get(snake, 0)
        counts[snake] = count + 1
        built = layer.get("build_config")
        shape = own.get("batch_input_shape", own.get("batch_shape"))
        if shape is None and isinstance(built, dict):
            shape = built.get("input_shape")
        place = f"{group}layers/{snake}_{count}" if count else f"{group}layers/{snake}"
        found.append(_Entry(name, kind, config, place, shape, layer.get("inbound_nodes")))
    return found


def _described(layer: Any, where: str) -> tuple[str, Any]:
    """Return the class and the config of a layer or a model."""
    if not isinstance(layer, dict) or not isinstance(layer.get("class_name"), str):
        raise ValueError(f"{where} is not described by a class_name and a config")
    kind: str = layer["class_name"]
    # Classes that are not Keras' own may have the name of one that is.
    if "module" in layer and not is_of_keras(layer["module"]):
        raise ValueError(
            f"{where} is of class {excerpt(kind)} from module {excerpt(layer['module'])}, expected "
            "layers of Keras itself"
        )
    return kind, layer.get("config")


def is_of_keras(module: Any) -> bool:
    """Return whether a module belongs to Keras."""
    return isinstance(module, str) and module.split(".")[0] in LIBRARIES


def _snake_case(kind: str) -> str:
    """Return a class's name as Keras writes it in the paths of weights: PReLU is p_re_lu."""
    words = re.sub(r"\W+", "", kind)
    words = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", words)
    return re.sub("([a-z])([A-Z])", r"\1_\2", words).lower()


def _chain(entries: list[_Entry], config: dict[str, Any], where: str) -> list[_Entry]:
    """Return the layers of a functional model in order; refuse all that is not one line."""
    by_name = {entry.name: entry for entry in entries}
    first = _only(config.get("input_layers"), "inputs", where)
    last = _only(config.get("output_layers"), "outputs", where)
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for entry in entries:
        if entry.name == first:
            continue
        here = f"{where}: layer '{excerpt(entry.name)}' ({excerpt(entry.kind)})"
        source = _source(entry.nodes, here)
        if source in after:
            raise ValueError(
                f"{where} branches: layer '{excerpt(source)}' goes to '{excerpt(after[source])}' "
                f"and to '{excerpt(entry.name)}', expected one layer after the other"
            )
        before[entry.name], after[source] = source, entry.name
    order = [last]
    while order[-1] != first:
        source = before.get(order[-1], "")
        if source not in by_name or len(order) > len(entries):
            raise ValueError(f"{where}: layer '{excerpt(order[-1])}' is not reached by the input")
        order.append(source)
    if first not in by_name:
        raise ValueError(f"{where} has no layer that is called '{excerpt(first)}'")
    left = set(by_name) - set(order)
    if left:
        raise ValueError(
            f"{where}: layer '{excerpt(min(left))}' is not on the way to the output, expected one "
            "layer after the other"
        )
    return [by_name[name] for name in reversed(order)]


def _only(places: Any, what: str, where: str) -> str:
    """Return the name of the only layer in a list, or dict, of [name, node, tensor]."""
    if isinstance(places, dict):
        places = list(places.values())
    if isinstance(places, (list, tuple)) and len(places) == 1:
        places = places[0]
    if (
        isinstance(places, (list, tuple))
        and len(places) == 3
        and isinstance(places[0], str)
        and all(type(number) is int for number in places[1:])
    ):
        return places[0]
    count = len(places) if isinstance(places, (list, tuple)) else 0
    raise ValueError(f"{where} has {count} {what}, expected one")


def _source(nodes: Any, where: str) -> str:
    """Return the name of the layer that is the only input of the only call of a layer."""
    if not isinstance(nodes, (list, tuple)) or not nodes:
        raise ValueError(f"{where} has no input")
    if len(nodes) > 1:
        raise ValueError(f"{where} is called {len(nodes)} times, expected once: it is shared")
    node = nodes[0]
    if isinstance(node, dict):  # Keras 3
        arguments, options = node.get("args"), node.get("kwargs")
        if not isinstance(arguments, (list, tuple)) or len(arguments) != 1:
            raise ValueError(f"{where} takes several arguments, expected the layer before it")
        tensor = arguments[0] if isinstance(arguments[0], dict) else {}
        history = tensor.get("config")
        history = history.get("keras_history") if isinstance(history, dict) else None
    else:  # Keras 2
        if not isinstance(node, (list, tuple)) or len(node) != 1:
            raise ValueError(f"{where} takes several inputs, expected one")
        history = node[0][:3] if isinstance(node[0], (list, tuple)) else None
        options = node[0][3] if history is not None and len(node[0]) > 3 else {}
    _check_options(options, where)
    if not isinstance(history, (list, tuple)) or len(history) != 3:
        raise ValueError(f"{where} takes several inputs, or none, expected one")
    if not isinstance(history[0], str):
        raise ValueError(f"{where} has an input without a name")
    return history[0]


def _check_options(options: Any, where: str) -> None:
    for key, value in (options or {}).items() if isinstance(options, (dict, type(None))) else ():
        if value is None or (key == "training" and value is False):
            continue
        raise ValueError(
            f"{where} is called with {excerpt(key)}={excerpt(repr(value)[:200])}, expected the "
            "layer before it as its only argument"
        )
    if not isinstance(options, (dict, type(None))):
        raise ValueError(f"{where} is called with options that are not a dict")
