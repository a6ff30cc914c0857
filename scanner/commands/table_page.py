"""What the commands that say what changed in a table share: which table, since when, where to."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect_mutagen.scanner.commands.arguments import filled
from prefect_mutagen.scanner.commands.output_file import output_file, prepare_output
from prefect_mutagen.scanner.commands.scan_options import moment
from prefect_mutagen.scanner.commands.shared import PASSED, add_storage
from prefect_mutagen.scanner.storage.options import load_options

if TYPE_CHECKING:
    from prefect_mutagen.scanner.outputs.page.contents import Contents

__all__ = ["add_table_and_period", "write_on_table"]


def add_table_and_period(parser: argparse.ArgumentParser, period: str) -> None:
    """Add the options.

    Args:
        parser: The parser of the command.
        period: The default of ``--since``.
    """
    parser.add_argument(
        "--table", metavar="URL", type=filled, required=True, help="the Parquet table"
    )
    parser.add_argument(
        "--since",
        type=moment,
        default=period,
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


def write_on_table(options: argparse.Namespace, render: "Callable[[Contents], str]") -> int:
    """Read the table, and write what there is to say.

    Args:
        options: As parsed.
        render: Says it.

    Returns:
        The exit status.

    Raises:
        StorageError: There is no table, or it cannot be read.
        WrongUsage: The file cannot be written.
    """
    # Only commands on tables need pyarrow.
    from prefect_mutagen.scanner.outputs.page.from_table import read_table

    place = prepare_output(options.output) if options.output is not None else None
    since = datetime.fromtimestamp(options.since, UTC)
    contents = read_table(options.table, load_options(options.storage_options or ""), since=since)
    text = render(contents)
    with output_file(place) as out:
        out.write(text)
    return PASSED
