"""``prefect-mutagen used``: which scans let a model pass, and which agents took it."""

import argparse
import sys
from typing import Any, Final

from prefect_mutagen.scanner.commands.arguments import filled, one_of
from prefect_mutagen.scanner.commands.shared import PASSED, UNREACHABLE, add_storage, complain
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.storage.options import load_options

__all__ = ["add_parser"]

_FORMATS: Final = ("json", "text")


def add_parser(commands: Any) -> None:
    """Add the command.

    Args:
        commands: From `argparse.ArgumentParser.add_subparsers`.
    """
    parser = commands.add_parser(
        "used", help="which scans let a model pass, which agents took it, and how it stands today"
    )
    parser.add_argument(
        "asked", metavar="URL|PIN", type=filled, help="address of a model, or a pin"
    )
    parser.add_argument(
        "--table", metavar="URL", type=filled, required=True, help="the Parquet table"
    )
    parser.add_argument("--format", **one_of(_FORMATS), default="text", help="default: text")
    add_storage(parser)
    parser.set_defaults(run=_used, refuse_rest=parser.refuse_rest)


def _used(options: argparse.Namespace) -> int:
    from prefect_mutagen.scanner.outputs.uses import describe_uses, read_uses, uses_document
    from prefect_mutagen.scanner.sbom.json_text import to_json
    from prefect_mutagen.scanner.storage.address import Address

    storage = load_options(options.storage_options or "")
    found = read_uses(options.table, options.asked, storage)
    if not found and "/" in options.asked:
        # A path as scans name it: absolute, and an address without secrets.
        found = read_uses(options.table, Address.parse(options.asked).text, storage)
    if not found:
        complain(f"{visible(options.asked, 1000)}: no scan and no agent of this table knows it")
        return UNREACHABLE
    if options.format == "json":
        sys.stdout.write(to_json(uses_document(found), indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in describe_uses(found))
    return PASSED
