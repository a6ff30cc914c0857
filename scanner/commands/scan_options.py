"""What can be asked of ``prefect-mutagen scan``."""

import argparse
import os

from prefect_mutagen.scanner.commands.shared import add_judging, positive
from prefect_mutagen.scanner.outputs import FORMATS
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.selection import read_moment

__all__ = ["add_options", "output_options"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add everything that can be asked of a scan."""
    parser.add_argument("urls", nargs="+", metavar="URL", help="a path or an address")
    parser.add_argument(
        "--format", type=str.lower, choices=sorted(FORMATS), default="json", help="default: json"
    )
    parser.add_argument("--output", metavar="FILE", help="write there instead of to stdout")
    parser.add_argument(
        "--hash",
        choices=("none", "stored", "lookup", "full"),
        default="stored",
        help="what to pay for SHA-256 values: nothing known, what is stated anyway, one request "
        "more, or reading everything (default: %(default)s)",
    )
    parser.add_argument(
        "--no-hash", dest="hash", action="store_const", const="none", help="the same as --hash none"
    )
    parser.add_argument(
        "--concurrency", type=positive, default=64, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--processes",
        type=positive,
        metavar="N",
        default=_cores(),
        help="processes that examine many artifacts for json and jsonl (default: one per core)",
    )
    _add_selection(parser)
    _add_table(parser)
    add_judging(parser)
    _add_output_options(parser)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    """Add what says which artifacts a scan is about."""
    parser.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="PATTERN",
        help="examine only files of such names or paths, as *.gguf or llama/**; may be repeated",
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help="leave out files of such names or paths; may be repeated",
    )
    parser.add_argument(
        "--modified-since",
        type=_moment,
        default=0.0,
        metavar="TIME",
        help="leave out what is older than a date, or than an age such as 7d or 36h",
    )
    parser.add_argument(
        "--all-versions",
        action="store_true",
        help="examine older versions of model files too, in a bucket that keeps them",
    )
    parser.add_argument(
        "--inventory",
        metavar="URL",
        default="",
        help="manifest.json of an S3 Inventory of the bucket, instead of listing it",
    )


def _add_table(parser: argparse.ArgumentParser) -> None:
    """Add what keeps a table."""
    parser.add_argument("--table", metavar="URL", help="publish the results in this Parquet table")
    parser.add_argument(
        "--rescan",
        choices=("changed", "all"),
        default="changed",
        help="with a table: read only what is new or changed since the scan before, or all "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--keep-states",
        type=positive,
        metavar="N",
        default=0,
        help="newest states that the table keeps (default: all)",
    )
    parser.add_argument(
        "--keep-days",
        type=positive,
        metavar="N",
        default=0,
        help="days for which the table keeps every state (default: for ever)",
    )


def _moment(text: str) -> float:
    try:
        return read_moment(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add what only some formats look at; those of hf-readme have the names l-bom gave them."""
    parser.add_argument(
        "--cyclonedx-version", choices=("1.6", "1.7"), default="1.6", help="default: %(default)s"
    )
    parser.add_argument("--hf-title", metavar="TEXT", default="", help="hf-readme: title")
    parser.add_argument(
        "--hf-sdk",
        type=str.lower,
        choices=("gradio", "docker", "static"),
        default="",
        help="hf-readme: sdk",
    )
    parser.add_argument("--hf-app-file", metavar="FILE", default="", help="hf-readme: app_file")
    parser.add_argument(
        "--hf-app-port", type=int, metavar="PORT", help="hf-readme: app_port, of a docker Space"
    )
    parser.add_argument(
        "--hf-short-description", metavar="TEXT", default="", help="hf-readme: short_description"
    )


def output_options(options: argparse.Namespace) -> OutputOptions:
    """Give what was asked of the format."""
    return OutputOptions(
        options.cyclonedx_version,
        options.hf_title,
        options.hf_sdk,
        options.hf_app_file,
        options.hf_app_port,
        options.hf_short_description,
    )


def _cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
