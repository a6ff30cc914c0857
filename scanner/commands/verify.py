"""``prefect-mutagen verify``: exit 0 only if this artifact, these bytes, passes."""

import argparse
import sys
from typing import Any

from prefect_mutagen.scanner.commands.shared import (
    PASSED,
    REJECTED,
    add_judging,
    complain,
    read_policy,
)
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.storage import load_options
from prefect_mutagen.scanner.verify import ArtifactRejected, verify

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the command to the others.

    Args:
        commands: What `argparse.ArgumentParser.add_subparsers` gave.
    """
    parser = commands.add_parser("verify", help="exit 0 only if this artifact passes")
    parser.add_argument("url", metavar="URL", help="a model file, or a folder")
    parser.add_argument("--pin", help="accept only the bytes that an earlier scan pinned")
    add_judging(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        result = verify(
            options.url,
            options.pin,
            read_policy(options.policy),
            load_options(options.storage_options),
        )
    except ArtifactRejected as rejection:
        for reason in rejection.reasons:
            complain(f"{rejection.url}: {reason.code}: {reason.message}")
        return REJECTED
    for reason in result.verdict.waived:
        complain(f"{result.url}: {reason.code}: {reason.message}")
    sys.stdout.write(f"passed {visible(result.url, 4000)} {result.pin}\n")
    return PASSED
