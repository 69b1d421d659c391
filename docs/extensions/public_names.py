"""The directive `public-names`, for the reference, and what a name in backticks means there.

    .. public-names:: nncore.datasets          all names of its __all__
    .. public-names:: nncore                   only these names
       Network LayerTrace
    .. public-names:: nncore                   all activations, in the order of their registry
       *activations

Each name is documented from its docstring. In a docstring, a name in single backticks is a link if
it is a public name of nncore, or a method of the same class; else it is code.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from types import ModuleType
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective, SphinxRole

import nncore
from nncore.activations import REGISTRY, Activation


def activation_lines(module: str, name: str, activation: Any) -> list[str]:
    """Return the entry of an activation, which is an object that is called as a function."""
    arguments = ["x", "out=None"]
    given = {"alpha": activation.alpha, "beta": activation.beta}
    parameters = [f"{key}={value:.9g}" for key, value in given.items() if value is not None]
    if parameters:
        arguments += ["*", *parameters]
    text = str(activation.__doc__).replace("|", r"\|").replace("*", r"\*")
    return [f".. py:function:: {module}.{name}({', '.join(arguments)})", "", f"   {text}", ""]


def lines_of(module: str, name: str) -> list[str]:
    """Return the directive for a public name."""
    value = getattr(import_module(module), name)
    full = f"{module}.{name}"
    if isinstance(value, Activation):
        return activation_lines(module, name, value)
    if isinstance(value, ModuleType):
        return [f".. automodule:: {full}", ""]
    if inspect.isclass(value):
        kind = "exception" if issubclass(value, BaseException) else "class"
        return [f".. auto{kind}:: {full}", "   :members:", "   :inherited-members:", ""]
    if callable(value):
        return [f".. autofunction:: {full}", ""]
    return [f".. py:data:: {full}", f"   :value: {value!r}", ""]


def names_of(module: str, given: list[str]) -> list[str]:
    """Return the names that a directive with these words documents."""
    if given == ["*activations"]:
        return list(REGISTRY)
    return given or list(import_module(module).__all__)


class PublicNames(SphinxDirective):
    """Documents the given names of a module, by default all of its __all__."""

    required_arguments = 1
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        module, *given = self.arguments
        names = names_of(module, " ".join(given).split())
        lines = [line for name in names for line in lines_of(module, name)]
        holder = nodes.container()
        self.state.nested_parse(StringList(lines, f"the public names of {module}"), 0, holder)
        return holder.children


def skip_foreign(
    app: Any, what: str, name: str, value: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out members that a class has from Python or from another library."""
    if what not in ("class", "exception"):
        return None
    function = inspect.unwrap(getattr(value, "fget", None) or getattr(value, "__func__", value))
    home = getattr(function, "__objclass__", function)
    return None if str(getattr(home, "__module__", "")).startswith("nncore") else True


class NameRole(SphinxRole):
    """The default role: a link if the text is a public name, else code."""

    def run(self) -> tuple[list[nodes.Node], list[Any]]:
        code = nodes.literal(self.rawtext, self.text, classes=["py"])
        target = full_name(self.text, self.env.ref_context.get("py:class"))
        if target is None:
            return [code], []
        link = addnodes.pending_xref(
            "", code, refdomain="py", reftype="obj", reftarget=target, refexplicit=True
        )
        link["refdoc"] = self.env.docname
        return [link], []


def full_name(text: str, of_class: str | None) -> str | None:
    """Return the full name of what a docstring calls `text`, or None if it is not public."""
    name = text.removesuffix("()").removeprefix("nncore.")
    candidates = [name] if text.startswith("nncore.") or name[:1].isupper() else []
    if of_class and name.isidentifier():
        candidates.append(f"{of_class}.{name}")
    return next((f"nncore.{name}" for name in candidates if is_documented(name)), None)


def is_documented(name: str) -> bool:
    """Return whether `nncore.` and this name is a public class, function or method."""
    first, *rest = name.split(".")
    value: Any = nncore
    if first not in nncore.__all__:
        return False
    for part in (first, *rest):
        value = getattr(value, part, None)
    return callable(value) and not isinstance(value, ModuleType) and bool(value.__doc__)


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("public-names", PublicNames)
    app.add_role("public-name", NameRole())
    app.connect("autodoc-skip-member", skip_foreign)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
