"""The command `nncore`: one module for each of its commands, put together here.

`main` is the one place where an exception becomes a line on standard error and an exit code.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any, NoReturn

from nncore.cli import bench, convert, info, inspect, mnist, plot, predict, quantize, train
from nncore.cli._common import CommandError, one_line
from nncore.cli._terminal import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = (mnist, train, predict, inspect, plot, convert, quantize, bench, info)

EXIT_ERROR = 2  # as argparse has it
EXIT_INTERRUPTED = 128 + 2  # as shells report SIGINT
EXIT_PIPE_CLOSED = 128 + 13  # as shells report SIGPIPE


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ours: one line, without the usage in front."""

    def error(self, message: str) -> NoReturn:
        """Raise a CommandError that says where to find help."""
        raise CommandError(f"{message} (see {self.prog} --help)")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    import nncore

    parser = _Parser(
        prog="nncore",
        description="Dense neural networks on the CPU, at the speed of the hardware.",
        epilog="'nncore COMMAND --help' tells more about a command. The exit code is 0 when all "
        "went well and 2 after an error, which is one line on standard error.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"nncore {nncore.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=False)
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2]
        subparser = commands.add_parser(
            name,
            help=command.HELP,
            description=command.DESCRIPTION,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows `nncore`; by default what this process was started with.

    Returns
    -------
    int
        0 when all went well, 1 when outputs that should have the same bits have not, differ by
        more than rounding explains, or `quantize` loses more than it may, 2 after an error (one
        line on standard error says which), 130 after Ctrl-C, 141 when the reader of standard
        output went away, 143 when `train` was stopped by SIGTERM.

    Examples
    --------
    >>> main(["--version"]) # doctest: +ELLIPSIS
    nncore ...
    0
    """
    # A file name may hold bytes that are no text, and the terminal may know few characters.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():  # which restores showwarning, too
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            code = _run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
        return EXIT_PIPE_CLOSED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:  # no option may end in a traceback
        _forget_stdout_if_broken()
        print(f"nncore: error: {one_line(error)}", file=sys.stderr)
        return EXIT_ERROR
    return code


def _show_warning(message: Warning | str, *_: Any) -> None:
    """Print a warning as one line, without the line of our source that it comes from."""
    if sys.stderr is not None:
        print(f"nncore: {plain(' '.join(str(message).split()))}", file=sys.stderr)


def _run(arguments: Sequence[str] | None) -> int:
    parser = build_parser()
    try:
        given = sys.argv[1:] if arguments is None else list(arguments)
        options, unknown = parser.parse_known_args(inspect.join_negative(given))
    except SystemExit as stop:  # --help and --version
        return int(stop.code or 0)
    if unknown:
        command = f"nncore {options.command or ''}".rstrip()
        raise CommandError(f"unrecognized arguments: {' '.join(unknown)} (see {command} --help)")
    if options.command is None:
        names = ", ".join(command.__name__.rpartition(".")[2] for command in COMMANDS)
        parser.error(f"no command given, expected one of {names}")
    return int(options.run(options))


def _forget_stdout() -> None:
    """Send the interpreter's last flush to the null device, where it cannot fail again."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _forget_stdout_if_broken() -> None:
    """After an error, forget standard output if it cannot be written to any more."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        _forget_stdout()
