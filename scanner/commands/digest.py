"""``prefect-mutagen digest``: what changed in a table since a moment, and what to do about it."""

import argparse
from typing import Any, Final

from prefect_mutagen.scanner.commands.arguments import one_of
from prefect_mutagen.scanner.commands.table_page import add_table_and_period, write_on_table

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
        "--format", **one_of(_FORMATS), default="markdown", help="default: markdown"
    )
    add_table_and_period(parser, _PERIOD)
    parser.set_defaults(run=_digest, refuse_rest=parser.refuse_rest)


def _digest(options: argparse.Namespace) -> int:
    from prefect_mutagen.scanner.outputs.digest import digest_document, digest_markdown
    from prefect_mutagen.scanner.outputs.page.rendering import render_page
    from prefect_mutagen.scanner.sbom.json_text import to_json

    renderers = {
        "html": render_page,
        "json": lambda contents: to_json(digest_document(contents), indent=2) + "\n",
        "markdown": digest_markdown,
    }
    return write_on_table(options, renderers[options.format])
