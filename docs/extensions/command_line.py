"""The directive `command-line`: the reference of the command nncore, from its own parsers."""

from __future__ import annotations

import argparse
import re
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

PROSE_LINE = 88


def _usage(parser: argparse.ArgumentParser) -> str:
    formatter = argparse.HelpFormatter(parser.prog, width=PROSE_LINE)
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups, prefix="")
    return formatter.format_help().strip()


def _invocation(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    return argparse.HelpFormatter(parser.prog)._format_action_invocation(action)


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = argparse.HelpFormatter(parser.prog)._expand_help(action) if action.help else ""
    return " ".join(text.split())


def _paragraphs(text: str) -> list[nodes.Node]:
    """Return prose as paragraphs; blocks with indented lines keep their lines."""
    found: list[nodes.Node] = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if re.search(r"^\s", block, re.MULTILINE):
            found.append(nodes.literal_block(block, block, language="text"))
        elif block:
            found.append(nodes.paragraph("", " ".join(block.split())))
    return found


class CommandLine(SphinxDirective):
    """A section for each command: its usage, its description, its options."""

    def run(self) -> list[nodes.Node]:
        from nncore.cli import build_parser

        parser = build_parser()
        result: list[nodes.Node] = [*self._options(parser)]
        (commands,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        for name, command in commands.choices.items():
            section = nodes.section(ids=[nodes.make_id(f"nncore-{name}")], names=[f"nncore {name}"])
            section += nodes.title("", "", nodes.literal("", f"nncore {name}"))
            usage = _usage(command)
            section += nodes.literal_block(usage, usage, language="text")
            section += _paragraphs(command.description or "")
            section += self._options(command)
            section += _paragraphs(command.epilog or "")
            self.state.document.note_implicit_target(section, section)
            result.append(section)
        return result

    def _options(self, parser: argparse.ArgumentParser) -> list[nodes.Node]:
        items = nodes.definition_list(classes=["options"])
        for action in parser._actions:
            if isinstance(action, (argparse._HelpAction, argparse._SubParsersAction)):
                continue
            if action.help == argparse.SUPPRESS:
                continue
            invocation = _invocation(parser, action)
            items += nodes.definition_list_item(
                "",
                nodes.term("", "", nodes.literal("", invocation)),
                nodes.definition("", nodes.paragraph("", _help(parser, action))),
            )
        return [items] if len(items) else []


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
