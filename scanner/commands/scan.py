"""``prefect-mutagen scan``: examine every model file below one or more roots."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO, cast

from prefect_mutagen.scanner.commands.shared import (
    PASSED,
    REJECTED,
    UNREACHABLE,
    add_judging,
    complain_storage,
    positive,
    read_policy,
)
from prefect_mutagen.scanner.examine import Examiner, HashLevel
from prefect_mutagen.scanner.outputs import FORMATS, writer_of
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.scan import examine_artifacts, list_artifacts, new_scan
from prefect_mutagen.scanner.storage import StorageError, has_secrets, load_options, open_store
from prefect_mutagen.scanner.table import Table

if TYPE_CHECKING:
    from prefect_mutagen.scanner.table_state import State

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the command to the others.

    Args:
        commands: What `argparse.ArgumentParser.add_subparsers` gave.
    """
    parser = commands.add_parser("scan", help="examine every model file below one or more roots")
    parser.add_argument("urls", nargs="+", metavar="URL", help="a path or an address")
    parser.add_argument("--format", choices=sorted(FORMATS), default="json", help="default: json")
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
    _add_table(parser)
    add_judging(parser)
    _add_output_options(parser)
    parser.set_defaults(run=_scan)


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


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add what only some formats look at; those of hf-readme have the names l-bom gave them."""
    parser.add_argument(
        "--cyclonedx-version", choices=("1.6", "1.7"), default="1.6", help="default: %(default)s"
    )
    parser.add_argument("--hf-title", metavar="TEXT", default="", help="hf-readme: title")
    parser.add_argument("--hf-sdk", metavar="NAME", default="", help="hf-readme: sdk")
    parser.add_argument("--hf-app-file", metavar="FILE", default="", help="hf-readme: app_file")
    parser.add_argument(
        "--hf-app-port", type=positive, metavar="PORT", default=0, help="hf-readme: app_port"
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
        self.summary = Summary()
        self.trouble = False
        self._progress = _Progress(self.summary)

    def results(self) -> Iterator[ScanResult]:
        """Examine root after root; one that cannot be reached costs only itself."""
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

    def _examined(self, url: str, state: "State | None" = None) -> Iterator[ScanResult]:
        """Examine a root; all of it, or what differs from its state."""
        store = open_store(url, self._storage_options)
        level = cast("HashLevel", self._options.hash)
        examiner = Examiner(self.policy, level, self.scan.started_at)
        artifacts = list_artifacts(store, siblings=not has_secrets(url))
        if state is not None:
            keep = state.keep
            artifacts = (item for item in artifacts if not keep(item, level))
        for result in examine_artifacts(store, artifacts, examiner, self._options.concurrency):
            self.summary.add(result)
            self._progress.show()
            yield result

    def _recorded(self, url: str) -> Iterator[ScanResult]:
        """Examine what is not as it was, and publish it together with the rest."""
        from prefect_mutagen.scanner.table_recording import Recording
        from prefect_mutagen.scanner.table_retention import Retention

        options = self._options
        info = new_scan(url, self.policy)
        table = Table(options.table, url, self._table_options(url))
        state = table.open_state()
        own = Summary()
        with Recording(info, state) as recording:
            for result in self._examined(url, state if options.rescan == "changed" else None):
                compared = recording.add(result)
                own.add(compared)
                yield compared
            recording.close(own)
            # Documents are looked up where the format shows them.
            brief = (result for _, result in recording.kept())
            for result in brief if options.format == "table" else table.documented(recording):
                self.summary.add(result)
                yield result
            own.finished_at = datetime.now(UTC).isoformat()
            table.publish(recording, own)
        table.prune(Retention(options.keep_states, options.keep_days))

    def _table_options(self, url: str) -> dict[str, Any]:
        """Use the root's options for a table of the same kind of storage."""
        same = url.partition("://")[0] == self._options.table.partition("://")[0]
        return self._storage_options if same else {}


class _Progress:
    """A line on stderr that says how far the scan is, when a person is looking."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._shown = sys.stderr.isatty() and not sys.stdout.isatty()
        self._next = 0.0

    def show(self) -> None:
        now = time.monotonic()
        if self._shown and now >= self._next:
            self._next = now + 0.2
            counts = self._summary
            text = f"{counts.artifacts} artifacts, {counts.failed + counts.unknown} not passed"
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()

    def clear(self) -> None:
        if self._shown and self._next:
            sys.stderr.write("\r\x1b[K")


@contextmanager
def _output(path: str | None) -> Iterator[TextIO]:
    """Open what to write to; a file appears when it is complete."""
    if path is None:
        yield sys.stdout
        return
    partial = f"{path}.partial"
    try:
        with open(partial, "w", encoding="utf-8") as out:
            yield out
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)
