"""``prefect-mutagen report``: write a page on a table, for people; see `scanner.outputs.page`."""

import argparse
import sys
from datetime import UTC, datetime
from typing import Any, Final

from prefect_mutagen.scanner.commands.arguments import filled
from prefect_mutagen.scanner.commands.output_file import output_file, prepare_output
from prefect_mutagen.scanner.commands.scan_options import moment
from prefect_mutagen.scanner.commands.shared import PASSED, add_storage
from prefect_mutagen.scanner.storage.options import load_options

__all__ = ["add_parser"]

_PERIOD: Final = "1d"


def add_parser(commands: Any) -> None:
    """Add the command.

    Args:
        commands: From `argparse.ArgumentParser.add_subparsers`.
    """
    parser = commands.add_parser(
        "report", help="write a page on a table: what is newly refused, why, and what to do"
    )
    parser.add_argument(
        "--table", metavar="URL", type=filled, required=True, help="the Parquet table"
    )
    parser.add_argument(
        "--since",
        type=moment,
        default=_PERIOD,
        metavar="TIME",
        help="compare with the state at a date, or an age such as 36h or 7d ago (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=filled,
        help="write to this file, atomically, instead of to stdout",
    )
    add_storage(parser)
    parser.set_defaults(run=_report, refuse_rest=parser.refuse_rest)


def _report(options: argparse.Namespace) -> int:
    from prefect_mutagen.scanner.outputs.page.from_table import read_table
    from prefect_mutagen.scanner.outputs.page.rendering import render_page

    place = prepare_output(options.output) if options.output is not None else None
    since = datetime.fromtimestamp(options.since, UTC)
    page = read_table(options.table, load_options(options.storage_options or ""), since=since)
    text = render_page(page)
    if place is None:
        sys.stdout.write(text)
    else:
        with output_file(place) as out:
            out.write(text)
    return PASSED
