"""``prefect-mutagen exec``: verify an artifact, then run a command that leaves nothing behind.

The exit status is the command's; 128 and the signal's number when a signal ended it, 124 when its
time was up, 1 when the artifact did not pass and nothing was started.
"""

import argparse
import math
import re
import sys
from collections.abc import Sequence
from typing import Any, Final

from prefect_mutagen.scanner.commands.shared import (
    REJECTED,
    add_judging,
    complain,
    positive,
    verified,
)
from prefect_mutagen.scanner.handoff import encode, handoff_of, variables_of
from prefect_mutagen.scanner.outputs.visible import visible

__all__ = ["add_parser", "split_command"]

_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def add_parser(commands: Any) -> None:
    """Add the command to the others.

    Args:
        commands: What `argparse.ArgumentParser.add_subparsers` gave.
    """
    parser = commands.add_parser(
        "exec",
        help="verify an artifact, then run a command for it that leaves nothing behind",
        usage="%(prog)s [options] URL -- COMMAND [ARG...]",
    )
    parser.add_argument("url", metavar="URL", help="a model file, or a folder")
    parser.add_argument("--pin", help="accept only the bytes that an earlier scan pinned")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=3600.0,
        metavar="S",
        help="seconds the command may take (default: 3600)",
    )
    parser.add_argument(
        "--memory",
        type=_bytes,
        default=0,
        metavar="M",
        help="address space that each of its processes may have, such as 512M or 8G",
    )
    parser.add_argument(
        "--cpu",
        type=positive,
        default=0,
        metavar="S",
        help="seconds of CPU time that each of its processes may have",
    )
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME",
        help="a variable of this environment that the command gets as well; can be repeated",
    )
    parser.add_argument(
        "--no-stdin",
        action="store_true",
        help="give the command an empty standard input; MUTAGEN_HANDOFF still names the file",
    )
    add_judging(parser)
    parser.set_defaults(run=_run, complain_usage=parser.error)


def split_command(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Cut off the command to run: argparse would take further ``--`` out of it.

    Args:
        words: All arguments of ``prefect-mutagen``.

    Returns:
        Those for argparse, and the command; it is empty for all but ``exec``.
    """
    if not words or words[0] != "exec" or "--" not in words:
        return list(words), []
    at = words.index("--")
    return list(words[:at]), list(words[at + 1 :])


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError("must be more than 0")
    return seconds


def _bytes(text: str) -> int:
    found = re.fullmatch(r"([1-9][0-9]{0,14})([KMGT]?)(?:I?B)?", text.upper())
    if found is None:
        raise argparse.ArgumentTypeError("must be a number of bytes, such as 512M or 8G")
    return int(found[1]) * _UNITS[found[2]]


def _run(options: argparse.Namespace) -> int:
    if not options.command:
        options.complain_usage("no command to run: put it after --")
    # What only this command needs takes a tenth of the time in which another one has started.
    from prefect_mutagen.scanner.supervise import Limits, named_variables, run_supervised

    environment = named_variables(options.env)
    result = verified(options)
    if result is None:
        return REJECTED
    sys.stdout.flush()
    outcome = run_supervised(
        options.command,
        encode(handoff_of(result, {})),
        Limits(options.timeout, options.memory, options.cpu),
        environment=environment | variables_of(result),
        stdin=not options.no_stdin,
    )
    if outcome.timed_out:
        complain(f"{visible(options.command[0])} did not end within {options.timeout:g} seconds")
    if outcome.guarantee != "kernel":
        complain(f"no namespaces here; the command's processes were ended by {outcome.guarantee}")
    return outcome.status
