"""The command ``prefect-mutagen``: the scanner's commands, and what other parts add.

Exit status: 0, all passed, also when there was nothing; 1, something failed or could not be
examined; 2, wrong usage, or a root cannot be reached (the others are scanned all the same).
Results go to stdout alone; progress and complaints to stderr.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

from prefect_mutagen import __version__
from prefect_mutagen.parsers.walks import COMPILED
from prefect_mutagen.scanner.commands import deployments, query, scan, verify
from prefect_mutagen.scanner.commands import exec as execute
from prefect_mutagen.scanner.commands.shared import (
    PASSED,
    REJECTED,
    UNREACHABLE,
    complain,
    complain_storage,
)
from prefect_mutagen.scanner.storage import StorageError

__all__ = ["run"]

_OWN: Final = frozenset({"scan", "verify", "exec", "query", "deployments", "version"})
_COMMANDS: Final = "prefect_mutagen.commands"
_HELP: Final = {"demo": "make a small bucket of good and broken models and run everything on it"}


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Without the program's name; those of the process by default.

    Returns:
        The exit status.
    """
    words, command = execute.split_command(sys.argv[1:] if arguments is None else arguments)
    options = _parser(words).parse_args(words, argparse.Namespace(command=command))
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough; do not complain again while closing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REJECTED
    except StorageError as problem:
        complain_storage(problem)
        return UNREACHABLE
    except (OSError, ValueError) as problem:
        complain(str(problem))
        return UNREACHABLE
    return status


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="prefect-mutagen",
        description="Examine model files (GGUF, safetensors) by their headers, and judge them.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (scan, verify, execute, query, deployments):
        command.add_parser(commands)
    version = commands.add_parser("version", help="print the version")
    version.set_defaults(run=_version)
    if words and words[0] in _OWN:
        return parser  # to look for the commands of others takes as long as everything else
    from importlib.metadata import entry_points

    for entry in entry_points(group=_COMMANDS):
        more = commands.add_parser(entry.name, add_help=False, help=_HELP.get(entry.name))
        more.add_argument("rest", nargs=argparse.REMAINDER)
        more.set_defaults(run=lambda options, entry=entry: entry.load()(options.rest))
    return parser


def _version(options: argparse.Namespace) -> int:  # noqa: ARG001 - a contract
    walk = "compiled" if COMPILED else "pure Python"
    sys.stdout.write(f"prefect-mutagen {__version__}\nheader walks: {walk}\n")
    return PASSED
