"""The command ``prefect-mutagen``: the scanner's subcommands and registered ones.

Exit status: 0, everything passed, also if there was nothing to judge; 1, something failed or could
not be examined; 2, wrong usage, an address that does not exist, or an unreachable root (other roots
are still scanned). ``verify`` and ``exec`` separate two cases from 1: 3, the artifact could not be
examined; 4, its bytes are not the pinned ones. Results go to stdout alone; progress and errors to
stderr.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

from prefect_mutagen import __version__
from prefect_mutagen.parsers.walks import COMPILED
from prefect_mutagen.scanner.commands import (
    completion,
    deployments,
    digest,
    query,
    release,
    report,
    scan,
    used,
    verify,
    waive,
)
from prefect_mutagen.scanner.commands import exec as execute
from prefect_mutagen.scanner.commands.arguments import Parser, WrongUsage, listed
from prefect_mutagen.scanner.commands.remedies import complaint, missing_package
from prefect_mutagen.scanner.commands.shared import (
    PASSED,
    REJECTED,
    UNREACHABLE,
    complain,
    complain_of_rejection,
)
from prefect_mutagen.scanner.policy.entries import nearest
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.local import storage_error
from prefect_mutagen.scanner.verify import ArtifactRejected

__all__ = ["run"]

_BUILT_IN: Final = (
    "scan",
    "verify",
    "exec",
    "query",
    "report",
    "digest",
    "used",
    "waive",
    "release",
    "deployments",
    "completion",
    "version",
)
_OF_ALL: Final = ("-h", "--help", "--version", "completion")
"""What needs to know every command."""
_COMMANDS: Final = "prefect_mutagen.commands"
_HELP: Final = {"demo": "run everything once, on a small bucket of good and broken models"}


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Without the program's name; those of the process by default.

    Returns:
        The exit status.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = argparse.Namespace()
    try:
        status = _run(words, options)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader closed the pipe; prevent a second error at exit.
        _drop_output()
        return REJECTED
    except ArtifactRejected as rejection:
        return complain_of_rejection(rejection)
    except StorageError as problem:
        complain(complaint(problem, getattr(options, "url", "")))
        return UNREACHABLE
    except OSError as problem:
        complain(_explain(problem))
        return UNREACHABLE
    except (WrongUsage, ValueError) as problem:
        complain(str(problem))
        return UNREACHABLE
    except ModuleNotFoundError as problem:
        complain(missing_package(problem))
        return UNREACHABLE
    return status


def _run(words: list[str], options: argparse.Namespace) -> int:
    """Parse the arguments into the options and run the subcommand."""
    words, options.command = execute.split_command(words)
    parser = Parser(
        prog="prefect-mutagen",
        description="Examine model files (GGUF, safetensors) by their headers, and judge them.",
    )
    parser.add_argument("--version", action="version", version=f"prefect-mutagen {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in (
        scan,
        verify,
        execute,
        query,
        report,
        digest,
        used,
        waive,
        release,
        deployments,
    ):
        command.add_parser(commands)
    completion.add_parser(commands, parser)
    version = commands.add_parser("version", help="print the version")
    version.set_defaults(run=_version, refuse_rest=version.refuse_rest)
    if not words or words[0] in _OF_ALL or words[0] not in _BUILT_IN:
        # Looking up entry points takes as long as everything else.
        from importlib.metadata import entry_points

        registered = {entry.name: entry for entry in entry_points(group=_COMMANDS)}
        if words and words[0] in registered:
            status: int = registered[words[0]].load()(words[1:])
            return status
        if words and words[0] not in _OF_ALL:
            if words[0].startswith("-"):
                parser.refuse_rest(words[:1])
            raise WrongUsage(_no_command(words[0], (*_BUILT_IN, *sorted(registered))))
        for name in sorted(registered):
            commands.add_parser(name, help=_HELP.get(name))
    _, rest = parser.parse_known_args(words, options)
    refuse_rest = getattr(options, "refuse_rest", parser.refuse_rest)
    refuse_rest(rest)
    if not hasattr(options, "run"):
        parser.print_help()
        return PASSED
    done: int = options.run(options)
    return done


def _no_command(word: str, known: Sequence[str]) -> str:
    """Return the message for an unknown command, with the one that may be meant."""
    if word in _HELP:
        return f"{word} comes with the flows, which are not installed: pip install prefect-mutagen"
    if "://" in word or os.path.exists(word):
        return f"{word!r} is not a command; to examine it: prefect-mutagen scan {word}"
    near = nearest(word, known) or f"; the commands are {listed(known, 'and')}"
    return f"there is no command {word!r}{near}"


def _explain(problem: OSError) -> str:
    """Return the message for an error of the operating system, with the file."""
    name = os.fsdecode(problem.filename) if isinstance(problem.filename, str | bytes) else ""
    reason = storage_error(problem, name).reason
    reason = reason[:1].lower() + reason[1:]
    if name:
        return f"{name}: {reason}"
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()  # prevents a second attempt at exit
    return f"the output cannot be written: {reason}"


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version(options: argparse.Namespace) -> int:  # noqa: ARG001 - a contract
    walk = "compiled" if COMPILED else "pure Python"
    sys.stdout.write(f"prefect-mutagen {__version__}\nheader walks: {walk}\n")
    return PASSED
