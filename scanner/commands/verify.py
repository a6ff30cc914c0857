"""``prefect-mutagen verify``: exit 0 only if this artifact, these bytes, passes."""

import argparse
import sys
from typing import Any

from prefect_mutagen.scanner.commands.shared import PASSED, add_artifact, add_judging, verified
from prefect_mutagen.scanner.outputs.screen import Screen
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.storage.names import storable

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the command.

    Args:
        commands: From `argparse.ArgumentParser.add_subparsers`.
    """
    parser = commands.add_parser("verify", help="exit 0 only if this artifact passes")
    add_artifact(parser)
    add_judging(parser)
    parser.set_defaults(run=_run, refuse_rest=parser.refuse_rest)


def _run(options: argparse.Namespace) -> int:
    result = verified(options)
    passed = Screen(sys.stdout).styled("passed", "passed")
    url = storable(result.url)
    sys.stdout.write(f"{passed} {visible(url, len(url))} {result.pin}\n")
    return PASSED
