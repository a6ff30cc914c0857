"""``prefect-mutagen scan``: examine every model file below one or more roots."""

import argparse
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TextIO, cast

from prefect_mutagen.scanner.artifacts import is_relevant
from prefect_mutagen.scanner.commands.shared import (
    PASSED,
    REJECTED,
    UNREACHABLE,
    add_judging,
    complain_storage,
    positive,
    read_policy,
)
from prefect_mutagen.scanner.drift import drift_of
from prefect_mutagen.scanner.examine import Examiner
from prefect_mutagen.scanner.hashing import HashLevel
from prefect_mutagen.scanner.outputs import FORMATS, writer_of
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.visible import short_size
from prefect_mutagen.scanner.request import Cost
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.scan import examine_artifacts, list_artifacts, new_scan
from prefect_mutagen.scanner.selection import Selection, read_moment
from prefect_mutagen.scanner.storage import StorageError, has_secrets, load_options, open_store
from prefect_mutagen.scanner.table import Table

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the command to the others.

    Args:
        commands: What `argparse.ArgumentParser.add_subparsers` gave.
    """
    parser = commands.add_parser("scan", help="examine every model file below one or more roots")
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
        "--inventory",
        metavar="URL",
        help="manifest.json of an S3 Inventory of the bucket, instead of listing it",
    )
    parser.add_argument("--table", metavar="URL", help="publish the results in this Parquet table")
    add_judging(parser)
    _add_output_options(parser)
    parser.set_defaults(run=_scan)


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


def _output_options(options: argparse.Namespace) -> OutputOptions:
    return OutputOptions(
        options.cyclonedx_version,
        options.hf_title,
        options.hf_sdk,
        options.hf_app_file,
        options.hf_app_port,
        options.hf_short_description,
    )


def _scan(options: argparse.Namespace) -> int:
    run = _Run(options)
    write = writer_of(options.format)
    with _output(options.output) as out:
        write(run.results(), run.scan, run.summary, out, _output_options(options))
    if run.trouble:
        return UNREACHABLE
    return PASSED if run.summary.all_passed else REJECTED


class _Run:
    """One scan of one or more roots, from the command line."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._storage_options = load_options(options.storage_options)
        self.policy = read_policy(options.policy)
        self.scan = new_scan(options.urls[0], self.policy)
        if len(options.urls) > 1:
            sources = [new_scan(url, self.policy).source for url in options.urls]
            self.scan = replace(self.scan, source=" ".join(sources))
        self._selection = Selection(
            tuple(options.include), tuple(options.exclude), options.modified_since
        )
        if options.table and options.modified_since:
            raise ValueError(
                "--modified-since and --table do not go together: what the table knows and did "
                "not change is not read again anyway"
            )
        self.summary = Summary()
        self.trouble = False
        self._cost = Cost()
        # Formats that are written as the scan goes would be torn apart by a line between them.
        quiet = options.output is not None or options.format in ("json", "table")
        shown = sys.stderr.isatty() and (quiet or not sys.stdout.isatty())
        self._progress = _Progress(self.summary, self._cost, shown=shown)

    def results(self) -> Iterator[ScanResult]:
        """Examine root after root; one that cannot be reached costs only itself."""
        self._progress.start()
        for url in self._options.urls:
            try:
                if self._options.table:
                    yield from self._recorded(url)
                else:
                    yield from self._examined(url)
            except StorageError as problem:
                self._progress.clear()
                complain_storage(problem)
                self.trouble = True
        self.summary.finished_at = datetime.now(UTC).isoformat()
        self._progress.clear()

    def _examined(self, url: str) -> Iterator[ScanResult]:
        store = open_store(url, self._storage_options)
        level = cast("HashLevel", self._options.hash)
        examiner = Examiner(self.policy, level, self.scan.started_at, self._cost)
        objects = None
        if self._options.inventory:
            from prefect_mutagen.scanner.inventory import list_inventory

            manifest = self._options.inventory
            objects = list_inventory(manifest, store.root, self._storage_options, is_relevant)
        artifacts = list_artifacts(
            store, siblings=not has_secrets(url), selection=self._selection, objects=objects
        )
        for result in examine_artifacts(store, artifacts, examiner, self._options.concurrency):
            self.summary.add(result)
            yield result

    def _recorded(self, url: str) -> Iterator[ScanResult]:
        """Examine a root and publish its results; they are kept until the table is written."""
        info = new_scan(url, self.policy)
        table = Table(self._options.table, url, self._table_options(url))
        before = table.read_state()
        own = Summary()
        results = []
        for result in self._examined(url):
            compared = replace(result, drift=drift_of(result, before))
            own.add(compared)
            results.append(compared)
            yield compared
        own.finished_at = datetime.now(UTC).isoformat()
        table.write(info, results, before, own)

    def _table_options(self, url: str) -> dict[str, Any]:
        """Use the root's options for a table of the same kind of storage."""
        same = url.partition("://")[0] == self._options.table.partition("://")[0]
        return self._storage_options if same else {}


class _Progress:
    """A line on stderr that says how far the scan is, when a person is looking."""

    def __init__(self, summary: Summary, cost: Cost, *, shown: bool) -> None:
        self._summary = summary
        self._cost = cost
        self._shown = shown
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show_on, name="progress", daemon=True)

    def start(self) -> None:
        """Show the line until `clear`; a large object that is hashed takes its time."""
        if self._shown:
            self._thread.start()

    def _show_on(self) -> None:
        while not self._over.wait(0.2):
            counts = self._summary
            text = f"{counts.artifacts} artifacts, {counts.failed + counts.unknown} not passed"
            if self._cost.bytes_hashed:
                text += f", {short_size(self._cost.bytes_hashed)} hashed"
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away, for good."""
        if self._shown and not self._over.is_set():
            self._over.set()
            self._thread.join()
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


@contextmanager
def _output(path: str | None) -> Iterator[TextIO]:
    """Open what to write to; a file appears when it is complete."""
    if path is None:
        yield sys.stdout
        return
    partial = f"{path}.partial"
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    try:
        with open(partial, "w", encoding="utf-8") as out:
            yield out
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)
