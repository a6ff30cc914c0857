"""``prefect-mutagen release``: let agents start again that were interrupted.

Most starts that were interrupted are made again by the next scan. Left are those whose agent is to
be started at most once, and those of which something may still run; whether to start them again is
for a person to say.
"""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from prefect_mutagen.scanner.commands.arguments import WrongUsage, filled
from prefect_mutagen.scanner.commands.shared import (
    PASSED,
    REJECTED,
    UNREACHABLE,
    add_storage,
    complain,
)
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.storage.options import load_options

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the command.

    Args:
        commands: From `argparse.ArgumentParser.add_subparsers`.
    """
    parser = commands.add_parser("release", help="let interrupted agents start again")
    parser.add_argument(
        "starts",
        metavar="START",
        nargs="*",
        type=filled,
        help="name of a start or its beginning, or address of an artifact; without any, those "
        "without an end are listed",
    )
    parser.add_argument("--all", action="store_true", help="all that were interrupted")
    parser.add_argument(
        "--running",
        action="store_true",
        help="also starts whose scan is still at work, as far as can be seen from here",
    )
    parser.add_argument(
        "--table", metavar="URL", type=filled, required=True, help="the Parquet table"
    )
    add_storage(parser)
    parser.set_defaults(run=_release, refuse_rest=parser.refuse_rest)


def _release(options: argparse.Namespace) -> int:
    from prefect_mutagen.scanner.agents.start_record import StartRecord

    if options.all and options.starts:
        raise WrongUsage("--all releases every start that was interrupted: name none besides")
    record = StartRecord(options.table, load_options(options.storage_options or ""))
    found = list(record.open_claims())
    if not options.starts and not options.all:
        for claim, made in found:
            state = "running" if record.is_claimed(made) else "interrupted"
            fields = claim.name, state, made.get("at"), made.get("agent"), made.get("url")
            sys.stdout.write("\t".join(visible(str(field or ""), 1000) for field in fields) + "\n")
        if not found:
            # A misspelt address looks like a table without starts.
            none = "" if record.is_used else ": there is none in this table; is its address right?"
            complain(f"every start of an agent has an end{none}")
        return PASSED
    for word in options.starts:
        if not any(_is_meant(word, claim.name, made) for claim, made in found):
            complain(f"{word}: there is no such start without an end")
            return UNREACHABLE
    kept = 0
    for claim, made in found:
        meant = any(_is_meant(word, claim.name, made) for word in options.starts)
        if meant or (options.all and (options.running or not record.is_claimed(made))):
            problem = record.release(claim, by_force=options.running)
            kept += bool(problem)
            complain(f"{_named(claim.name, made)}: {problem or 'the next scan starts it again'}")
    return REJECTED if kept else PASSED


def _is_meant(word: str, name: str, made: Mapping[str, Any]) -> bool:
    return name.startswith(word) or made.get("url") == word


def _named(name: str, made: Mapping[str, Any]) -> str:
    return f"{name[:12]} ({made.get('agent', '')} for {made.get('url', '')})"
