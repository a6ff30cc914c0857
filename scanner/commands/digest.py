"""``prefect-mutagen digest``: what changed in a table since a moment, and what to do about it."""

import argparse
from datetime import UTC, datetime
from typing import Any, Final

from prefect_mutagen.scanner.commands.arguments import filled, one_of
from prefect_mutagen.scanner.commands.output_file import output_file, prepare_output
from prefect_mutagen.scanner.commands.scan_options import moment
from prefect_mutagen.scanner.commands.shared import PASSED, add_storage
from prefect_mutagen.scanner.storage.options import load_options

__all__ = ["add_parser"]

_PERIOD: Final = "24h"
_FORMATS: Final = ("html", "json", "markdown")


def add_parser(commands: Any) -> None:
    """Add the command.

    Args:
        commands: From `argparse.ArgumentParser.add_subparsers`.
    """
    parser = commands.add_parser(
        "digest", help="what changed in a table: newly refused, why, whose, how to allow it"
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
        "--format", **one_of(_FORMATS), default="markdown", help="default: markdown"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=filled,
        help="write to this file, atomically, instead of to stdout",
    )
    add_storage(parser)
    parser.set_defaults(run=_digest, refuse_rest=parser.refuse_rest)


def _digest(options: argparse.Namespace) -> int:
    from prefect_mutagen.scanner.outputs.digest import digest_document, digest_markdown
    from prefect_mutagen.scanner.outputs.page.from_table import read_table
    from prefect_mutagen.scanner.outputs.page.rendering import render_page
    from prefect_mutagen.scanner.sbom.json_text import to_json

    place = prepare_output(options.output) if options.output is not None else None
    since = datetime.fromtimestamp(options.since, UTC)
    found = read_table(options.table, load_options(options.storage_options or ""), since=since)
    if options.format == "html":
        said = render_page(found)
    elif options.format == "json":
        said = to_json(digest_document(found), indent=2) + "\n"
    else:
        said = digest_markdown(found)
    with output_file(place) as out:
        out.write(said)
    return PASSED
