"""The options of ``prefect-mutagen scan``."""

import argparse
import os
import sys

from prefect_mutagen.scanner.commands.arguments import (
    WrongUsage,
    filled,
    one_of,
    positive,
    whole_number,
)
from prefect_mutagen.scanner.commands.shared import add_judging
from prefect_mutagen.scanner.listing.selection import read_moment
from prefect_mutagen.scanner.outputs import FORMATS
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.storage.local import storage_error

__all__ = ["add_options", "default_format", "moment", "output_options", "read_keys", "refuse_idle"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all options of a scan."""
    parser.add_argument("urls", nargs="+", metavar="URL", type=filled, help="a path or an address")
    parser.add_argument(
        "--format",
        **one_of(FORMATS, fold=True),
        help="default: summary with --table on a terminal, else json",
    )
    parser.add_argument(
        "--only",
        **one_of(("changed", "failed", "new")),
        help="show only artifacts that differ from the previous scan, did not pass, or are new; "
        "counts and exit status are those of all",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=filled,
        help="write to this file, atomically, instead of to stdout",
    )
    parser.add_argument(
        "--metrics",
        metavar="FILE",
        type=filled,
        help="write the counts for Prometheus to this file, atomically, at the end; for the "
        "textfile collector of node_exporter its name ends in .prom",
    )
    parser.add_argument(
        "--hash",
        **one_of(("none", "stored", "lookup", "full")),
        default="stored",
        help="source of SHA-256 values: none, stored checksums, one more request each, or reading "
        "every byte (default: %(default)s)",
    )
    parser.add_argument(
        "--no-hash", dest="hash", action="store_const", const="none", help="the same as --hash none"
    )
    parser.add_argument(
        "--concurrency",
        type=positive,
        default=64,
        metavar="N",
        help="concurrent requests to remote storage (default: %(default)s)",
    )
    parser.add_argument(
        "--processes",
        type=positive,
        metavar="N",
        default=_cores(),
        help="processes that examine many artifacts for a table, or for json, jsonl and summary "
        "(default: one per core)",
    )
    parser.add_argument(
        "--quiet", action="store_true", help="no line of progress on a terminal; errors are shown"
    )
    _add_selection(parser)
    _add_table(parser)
    add_judging(parser)
    _add_output_options(parser)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    """Add the options that select artifacts."""
    parser.add_argument(
        "--include",
        action="append",
        type=filled,
        default=[],
        metavar="PATTERN",
        help="examine only files with such names or paths, as *.gguf or llama/**; may be repeated",
    )
    parser.add_argument(
        "--exclude",
        action="append",
        type=filled,
        default=[],
        metavar="PATTERN",
        help="leave out files with such names or paths; may be repeated",
    )
    parser.add_argument(
        "--modified-since",
        type=moment,
        default=0.0,
        metavar="TIME",
        help="leave out files older than a date, or than an age such as 7d or 36h",
    )
    parser.add_argument(
        "--all-versions",
        action="store_true",
        help="examine older versions of model files too, in a versioned bucket",
    )
    parser.add_argument(
        "--inventory",
        type=filled,
        metavar="URL",
        help="manifest.json of an S3 Inventory of the bucket, instead of listing it",
    )

    parser.add_argument(
        "--keys",
        action="extend",
        nargs="+",
        type=filled,
        default=[],
        metavar="KEY",
        help="examine only the models of these objects below the root, without listing it; @FILE "
        "has a key per line",
    )


def _add_table(parser: argparse.ArgumentParser) -> None:
    """Add the options of the table."""
    parser.add_argument(
        "--table", metavar="URL", type=filled, help="publish the results in this Parquet table"
    )
    parser.add_argument(
        "--rescan",
        **one_of(("changed", "all")),
        help="with a table: read only what is new or changed since the previous scan, or "
        "everything (default: changed)",
    )
    parser.add_argument(
        "--if-busy",
        **one_of(("wait", "skip", "scan")),
        help="with a table: while another scan of the root is at work, wait for its end, skip the "
        "root, or scan all the same (default: wait)",
    )
    parser.add_argument(
        "--keep-states",
        type=positive,
        metavar="N",
        default=0,
        help="number of latest states to keep in the table (default: all)",
    )
    parser.add_argument(
        "--keep-days",
        type=positive,
        metavar="N",
        default=0,
        help="days to keep every state in the table (default: for ever)",
    )


def moment(text: str) -> float:
    """Parse a date, or an age; see `read_moment`.

    Raises:
        argparse.ArgumentTypeError: It is neither.
    """
    try:
        return read_moment(text)
    except ValueError:
        message = f"takes a date, or an age such as 7d or 36h, not {text!r}"
        raise argparse.ArgumentTypeError(message) from None


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of single formats; those of hf-readme are named as in l-bom."""
    parser.add_argument(
        "--cyclonedx-version", **one_of(("1.6", "1.7")), default="1.6", help="default: %(default)s"
    )
    parser.add_argument("--hf-title", metavar="TEXT", default="", help="hf-readme: title")
    parser.add_argument(
        "--hf-sdk",
        **one_of(("gradio", "docker", "static"), fold=True),
        help="hf-readme: sdk",
    )
    parser.add_argument("--hf-app-file", metavar="FILE", default="", help="hf-readme: app_file")
    parser.add_argument(
        "--hf-app-port",
        type=whole_number,
        metavar="PORT",
        help="hf-readme: app_port, of a docker Space",
    )
    parser.add_argument(
        "--hf-short-description", metavar="TEXT", default="", help="hf-readme: short_description"
    )


def read_keys(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the keys of ``--keys``.

    Raises:
        WrongUsage: A file of keys cannot be read or has none, or there are several roots.
    """
    keys: list[str] = []
    for given in options.keys:
        keys += _keys_in(given[1:]) if given.startswith("@") else [given]
    if keys and len(options.urls) > 1:
        raise WrongUsage("--keys goes with one URL, which the keys are below; name that root alone")
    return tuple(keys)


def _keys_in(path: str) -> list[str]:
    """Read a file of keys; names of files may be no UTF-8."""
    try:
        with open(os.path.expanduser(path), encoding="utf-8-sig", errors="surrogateescape") as file:
            keys = [line for line in file.read().split("\n") if line.strip()]
    except OSError as problem:
        raise WrongUsage(f"--keys @{path}: {storage_error(problem, path).reason}") from None
    if not keys:
        raise WrongUsage(f"--keys @{path}: the file has no key")
    return [key.removesuffix("\r") for key in keys]


def refuse_idle(options: argparse.Namespace) -> None:
    """Refuse options that would have no effect.

    Raises:
        WrongUsage: An option of the table is given without one.
    """
    if options.table:
        return
    idle = [n for n in ("rescan", "if_busy", "keep_states", "keep_days") if getattr(options, n)]
    named = [f"--{name.replace('_', '-')}" for name in idle]
    if options.only in ("changed", "new"):
        named.append(f"--only {options.only}")
    for option in named:
        raise WrongUsage(f"{option} does nothing without --table; name the table with it")


def default_format(options: argparse.Namespace) -> str:
    """Return the format without ``--format``: what a person or a program expects."""
    watched = options.table and options.output is None and sys.stdout.isatty()
    return "summary" if watched else "json"


def output_options(options: argparse.Namespace) -> OutputOptions:
    """Return the options of the output format."""
    return OutputOptions(
        options.cyclonedx_version,
        options.hf_title,
        options.hf_sdk or "",
        options.hf_app_file,
        options.hf_app_port,
        options.hf_short_description,
    )


def _cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
