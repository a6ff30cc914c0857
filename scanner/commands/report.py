"""``prefect-mutagen report``: write a page on a table, for people; see `scanner.outputs.page`."""

import argparse
from typing import Any, Final

from prefect_mutagen.scanner.commands.table_page import add_table_and_period, write_on_table

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
    add_table_and_period(parser, _PERIOD)
    parser.set_defaults(run=_report, refuse_rest=parser.refuse_rest)


def _report(options: argparse.Namespace) -> int:
    from prefect_mutagen.scanner.outputs.page.rendering import render_page

    return write_on_table(options, render_page)
