"""``prefect-mutagen waive``: allow a refused model for a while, by an entry in a policy file."""

import argparse
import codecs
import os
import shutil
import sys
from datetime import UTC, datetime
from typing import Any, Final

from prefect_mutagen.scanner.commands.arguments import WrongUsage, filled
from prefect_mutagen.scanner.commands.shared import PASSED
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.policy.policy import Waiver, load_policy
from prefect_mutagen.scanner.policy.waiver_file import check_waiver, with_waiver
from prefect_mutagen.scanner.policy.waiver_text import exact_pattern
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.local import storage_error
from prefect_mutagen.scanner.temporary import partial_path, sweep_partial_files

__all__ = ["add_parser"]

_NEW: Final = "waivers: []\n"
"""A policy that is not there yet."""


def add_parser(commands: Any) -> None:
    """Add the command.

    Args:
        commands: From `argparse.ArgumentParser.add_subparsers`.
    """
    parser = commands.add_parser("waive", help="let a refused model pass for a while")
    parser.add_argument("url", metavar="URL", type=filled, help="the model's address")
    parser.add_argument("code", metavar="CODE", type=filled, help="what to waive")
    for name, metavar, what in (
        ("--owner", "WHO", "who answers for it"),
        ("--until", "DATE", "the last day, as YYYY-MM-DD in UTC"),
        ("--reason", "TEXT", "why it may be used all the same"),
        ("--policy", "FILE", "the policy to write it into; its comments and its order stay"),
    ):
        parser.add_argument(name, metavar=metavar, type=filled, required=True, help=what)
    parser.add_argument(
        "--pattern",
        action="store_true",
        help="URL is a pattern: * matches any characters, ? matches one",
    )
    parser.add_argument(
        "--create", action="store_true", help="create the policy file if there is none"
    )
    parser.set_defaults(run=_waive, refuse_rest=parser.refuse_rest)


def _waive(options: argparse.Namespace) -> int:
    place = os.path.realpath(os.path.expanduser(options.policy))
    # As scans name it: a path is absolute, an address has no secrets.
    named = options.url if options.pattern else Address.parse(options.url).text
    url = named if options.pattern else exact_pattern(named)
    waiver = Waiver(options.code, url, options.reason, options.owner, options.until)
    try:
        before = _read(place)
        text = _NEW if before is None else before.decode("utf-8-sig")
        policy = load_policy(text, os.path.dirname(place))
    except (OSError, ValueError) as problem:
        raise _about_file(options.policy, problem) from None
    if before is None and not options.create:
        raise WrongUsage(f"--policy {options.policy}: there is no such file; --create makes one")
    check_waiver(waiver, policy, datetime.now(UTC).date())
    try:
        added = with_waiver(text, waiver, os.path.dirname(place))
        mark = codecs.BOM_UTF8 if (before or b"").startswith(codecs.BOM_UTF8) else b""
        _replace(place, before, mark + added.encode())
    except (OSError, ValueError) as problem:
        raise _about_file(options.policy, problem) from None
    said = f"{options.code} is waived for {named} until {waiver.expires}"
    sys.stdout.write(f"{visible(said, 4000)}\n")
    return PASSED


def _about_file(path: str, problem: Exception) -> WrongUsage:
    """Return a problem of the policy file as one sentence."""
    said = str(problem)
    if isinstance(problem, OSError):
        said = storage_error(problem, path).reason
    elif isinstance(problem, UnicodeDecodeError):
        said = f"it is not UTF-8 at byte {problem.start}"
    return WrongUsage(f"--policy {path}: {said}")


def _read(place: str) -> bytes | None:
    """Return the content of a file; None if there is none."""
    try:
        with open(place, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _replace(place: str, before: bytes | None, after: bytes) -> None:
    """Write a file in one piece, unless somebody has changed it meanwhile."""
    sweep_partial_files(os.path.dirname(place))
    partial = partial_path(place)
    try:
        with open(partial, "xb") as file:
            file.write(after)
        if before is not None:
            shutil.copymode(place, partial)
        if _read(place) != before:
            raise ValueError("somebody else has changed it just now; try again")
        os.replace(partial, place)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)
