"""``prefect-mutagen completion``: print what makes a shell complete the command line."""

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from prefect_mutagen.scanner.commands.arguments import one_of
from prefect_mutagen.scanner.commands.shared import PASSED
from prefect_mutagen.scanner.findings import CODES

__all__ = ["add_parser"]

_SHELLS: Final = ("bash", "fish", "zsh")
_FILES: Final = ("FILE", "URL")
"""Arguments that may be the path of a file; an address is typed by hand."""


def add_parser(commands: Any, program: argparse.ArgumentParser) -> None:
    """Add the command.

    Args:
        commands: From `argparse.ArgumentParser.add_subparsers`.
        program: The parser that they belong to.
    """
    parser = commands.add_parser(
        "completion", help="print a script that makes bash, fish or zsh complete the command line"
    )
    parser.add_argument("shell", **one_of(_SHELLS))
    parser.set_defaults(run=partial(_complete, program), refuse_rest=parser.refuse_rest)


def _complete(program: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    import shtab

    for action in _arguments(program):
        metavar = action.metavar if isinstance(action.metavar, str) else ""
        if metavar.startswith("{"):
            action.choices = metavar[1:-1].split(",")
        elif metavar == "CODE":
            action.choices = sorted(CODES)
        elif metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined] # shtab looks for it
        elif metavar == "DIR":
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    sys.stdout.write(f"{shtab.complete(program, options.shell)}\n")
    return PASSED


def _arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of a parser and of all its commands."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to see them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                yield from _arguments(command)
        else:
            yield action
