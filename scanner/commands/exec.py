"""``prefect-mutagen exec``: verify an artifact, then run a command that leaves no processes behind.

The exit status is that of the command; 128 plus the signal's number if a signal ended it, 124 on
timeout, 126 or 127 if it cannot be run. With these, nothing was started: 1, the artifact did not
pass; 2, wrong usage or no artifact; 3, it could not be examined; 4, its bytes are not the pinned
ones.
"""

import argparse
import errno
import math
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, Final

from prefect_mutagen.scanner.agents.handoff import encode, handoff_of, variables_of
from prefect_mutagen.scanner.commands.arguments import WrongUsage, filled, positive
from prefect_mutagen.scanner.commands.shared import (
    add_judging,
    add_pin,
    complain,
    explain_statuses,
    verified,
)
from prefect_mutagen.scanner.outputs.visible import visible

__all__ = ["add_parser", "split_command"]

_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_CANNOT_RUN: Final = 126
_NO_SUCH_COMMAND: Final = 127
_FORM: Final = "prefect-mutagen exec URL -- COMMAND"
_STATUSES: Final = """\
With 1 to 4 nothing was started. Otherwise the status is that of the command, or
  124      it reached its time limit
  126, 127 it cannot be run, or there is no such command
  128+N    signal N ended it
"""
_TIME_LIMIT: Final = 3600.0
"""Seconds that an agent gets where nobody says how many."""


def add_parser(commands: Any) -> None:
    """Add the command.

    Args:
        commands: From `argparse.ArgumentParser.add_subparsers`.
    """
    parser = commands.add_parser(
        "exec",
        help="verify an artifact, then run a command that leaves no processes behind",
        usage="%(prog)s [options] URL -- COMMAND [ARG...]",
    )
    explain_statuses(parser, _STATUSES)
    parser.add_argument("url", metavar="URL", type=filled, help="a model file, or a folder")
    add_pin(parser)
    parser.add_argument(
        "--as-server",
        action="store_true",
        help="the command is a server: it keeps environment, working folder and standard input, "
        "has no time limit, and gets SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGUSR2",
    )
    parser.add_argument(
        "--grace",
        type=_seconds,
        metavar="S",
        help="with --as-server: seconds after SIGTERM or SIGINT before it is killed (default: 30)",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="S",
        help="time limit of the command in seconds (default: 3600; of a server: none)",
    )
    parser.add_argument(
        "--memory",
        type=_bytes,
        default=0,
        metavar="M",
        help="limit of address space for each of its processes, such as 512M or 8G",
    )
    parser.add_argument(
        "--cpu",
        type=positive,
        default=0,
        metavar="S",
        help="limit of CPU time for each of its processes in seconds",
    )
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME",
        help="environment variable to pass on to the command; may be repeated",
    )
    parser.add_argument(
        "--no-stdin",
        action="store_true",
        help="give the command an empty standard input; MUTAGEN_HANDOFF still names the file",
    )
    add_judging(parser)

    def refuse_rest(rest: Sequence[str]) -> None:
        if rest and not rest[0].startswith("-"):
            raise WrongUsage(f"exec needs -- before the command: {_FORM}")
        parser.refuse_rest(rest)

    parser.set_defaults(run=_run, refuse_rest=refuse_rest)


def split_command(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split off the command to run: argparse would remove further ``--`` from it.

    Args:
        words: All arguments of ``prefect-mutagen``.

    Returns:
        The arguments for argparse, and the command; empty for all subcommands but ``exec``.
    """
    if not words or words[0] != "exec" or "--" not in words:
        return list(words), []
    at = words.index("--")
    return list(words[:at]), list(words[at + 1 :])


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"takes a number of seconds above 0, not {text!r}")
    return seconds


def _bytes(text: str) -> int:
    found = re.fullmatch(r"([1-9][0-9]{0,14})([KMGT]?)(?:I?B)?", text.upper())
    if found is None:
        message = f"takes a number of bytes such as 512M or 8G, not {text!r}"
        raise argparse.ArgumentTypeError(message)
    return int(found[1]) * _UNITS[found[2]]


def _run(options: argparse.Namespace) -> int:
    if not options.command or not options.command[0].strip():
        raise WrongUsage(f"exec needs a command after --: {_FORM}")
    # Only this subcommand needs these imports; they take a tenth of the others' start-up time.
    from prefect_mutagen.scanner.agents.supervise import (
        Limits,
        Serving,
        named_variables,
        run_supervised,
    )

    if options.grace is not None and not options.as_server:
        raise WrongUsage("--grace does nothing without --as-server")
    try:
        environment = named_variables(options.env)
    except ValueError as problem:
        raise WrongUsage(f"--env: {problem}") from None
    serving = None
    if options.as_server:
        serving = Serving() if options.grace is None else Serving(options.grace)
    seconds = options.timeout or (0 if serving else _TIME_LIMIT)
    result = verified(options)
    sys.stdout.flush()
    try:
        outcome = run_supervised(
            options.command,
            encode(handoff_of(result, {})),
            Limits(seconds, options.memory, options.cpu),
            environment=environment | variables_of(result),
            stdin=not options.no_stdin,
            on_guarantee=_tell_guarantee,
            serving=serving,
        )
    except OSError as problem:
        if problem.filename != options.command[0]:
            raise
        return _report_failed_start(problem)
    if outcome.timed_out:
        complain(f"{visible(options.command[0])} did not end within {seconds:g} seconds")
    return outcome.status


def _tell_guarantee(guarantee: str) -> None:
    if guarantee != "kernel":
        complain(f"no PID namespaces; the command's processes are ended by {guarantee}")


def _report_failed_start(problem: OSError) -> int:
    """Report why a command could not be started, and return the exit status that shells use."""
    name = problem.filename
    if problem.errno not in (errno.ENOENT, errno.ENOTDIR):
        complain(f"{name}: it cannot be run: {(problem.strerror or '').lower()}")
        return _CANNOT_RUN
    if "/" in name and os.path.exists(name):
        complain(f"{name}: it cannot be run: the interpreter that its first line names is missing")
        return _CANNOT_RUN
    complain(f"{name}: there is no such command")
    return _NO_SUCH_COMMAND
