"""``prefect-mutagen scan``: examine every model file below one or more roots."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

from prefect_mutagen.scanner.artifacts import Artifact
from prefect_mutagen.scanner.commands.progress import Progress
from prefect_mutagen.scanner.commands.scan_options import add_options, output_options
from prefect_mutagen.scanner.commands.shared import (
    PASSED,
    REJECTED,
    UNREACHABLE,
    complain_storage,
    read_policy,
)
from prefect_mutagen.scanner.examine import Examiner
from prefect_mutagen.scanner.hashing import HashLevel
from prefect_mutagen.scanner.listing import list_selected
from prefect_mutagen.scanner.outputs import writer_of
from prefect_mutagen.scanner.outputs.documents import (
    RenderedResult,
    join_json,
    join_jsonl,
    render_json,
    render_jsonl,
)
from prefect_mutagen.scanner.processes import examine_in_processes
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.scan import examine_artifacts, new_scan
from prefect_mutagen.scanner.selection import Selection
from prefect_mutagen.scanner.shutdown import on_shutdown
from prefect_mutagen.scanner.storage import (
    StorageError,
    Store,
    has_secrets,
    load_options,
    open_store,
)
from prefect_mutagen.scanner.table import Table

if TYPE_CHECKING:
    from prefect_mutagen.scanner.tables.state import State

__all__ = ["add_parser"]

_T = TypeVar("_T")


def add_parser(commands: Any) -> None:
    """Add the command to the others.

    Args:
        commands: What `argparse.ArgumentParser.add_subparsers` gave.
    """
    parser = commands.add_parser("scan", help="examine every model file below one or more roots")
    add_options(parser)
    parser.set_defaults(run=_scan)


def _scan(options: argparse.Namespace) -> int:
    run = _Run(options)
    with _output(options.output) as out:
        # Of these formats, each artifact's part can be written in the process that examined it.
        if options.format == "json" and not options.table:
            join_json(run.rendered(render_json), out, new=options.output is not None)
        elif options.format == "jsonl" and not options.table:
            join_jsonl(run.rendered(render_jsonl), out)
        else:
            write = writer_of(options.format)
            write(run.results(), run.scan, run.summary, out, output_options(options))
    if run.trouble:
        return UNREACHABLE
    return PASSED if run.summary.all_passed else REJECTED


class _Run:
    """One scan of one or more roots, from the command line."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._storage_options = load_options(options.storage_options)
        self._level = cast("HashLevel", options.hash)
        self.policy = read_policy(options.policy)
        self.scan = new_scan(options.urls[0], self.policy)
        if len(options.urls) > 1:
            sources = [new_scan(url, self.policy).source for url in options.urls]
            self.scan = replace(self.scan, source=" ".join(sources))
        self._selection = Selection(
            tuple(options.include),
            tuple(options.exclude),
            options.modified_since,
            options.all_versions,
            options.inventory,
        )
        self.summary = Summary()
        self.trouble = False
        # Formats that are written as the scan goes would be torn apart by a line between them.
        quiet = options.output is not None or options.format in ("json", "table")
        shown = sys.stderr.isatty() and (quiet or not sys.stdout.isatty())
        self._progress = Progress(self.summary, shown=shown)

    def results(self) -> Iterator[ScanResult]:
        """Examine root after root."""
        return self._each_root(self._recorded if self._options.table else self._examined)

    def rendered(self, render: Callable[[ScanResult], RenderedResult]) -> Iterator[RenderedResult]:
        """Examine root after root, on all cores, and give texts instead of results."""

        def examined(url: str) -> Iterator[RenderedResult]:
            store = self._open(url)
            for one in examine_in_processes(
                store,
                (url, self._storage_options),
                self._artifacts(store, url),
                self._examiner(),
                render,
                concurrency=self._options.concurrency,
                processes=1 if self._selection.all_versions else self._options.processes,
            ):
                self.summary.count(one.tally)
                yield one

        return self._each_root(examined)

    def _each_root(self, examine: Callable[[str], Iterator[_T]]) -> Iterator[_T]:
        """Go from root to root; one that cannot be reached costs only itself."""
        self._progress.start()
        for url in self._options.urls:
            try:
                yield from examine(url)
            except StorageError as problem:
                self._progress.clear()
                complain_storage(problem)
                self.trouble = True
        self.summary.finished_at = datetime.now(UTC).isoformat()
        self._progress.clear()

    def _open(self, url: str) -> Store:
        return open_store(url, self._storage_options, versions=self._selection.all_versions)

    def _examiner(self) -> Examiner:
        return Examiner(self.policy, self._level, self.scan.started_at, self._progress.add_piece)

    def _artifacts(
        self, store: Store, url: str, state: "State | None" = None
    ) -> Iterator[Artifact]:
        return list_selected(
            store,
            self._selection,
            self._storage_options,
            siblings=not has_secrets(url),
            state=state,
        )

    def _examined(self, url: str, state: "State | None" = None) -> Iterator[ScanResult]:
        """Examine what is selected of a root; all of it, or what differs from its state."""
        store = self._open(url)
        artifacts = self._artifacts(store, url, state)
        if state is not None and self._options.rescan == "changed":
            keep, policy, level = state.keep, self.policy, self._level
            artifacts = (item for item in artifacts if not keep(item, level, policy))
        concurrency = self._options.concurrency
        for result in examine_artifacts(store, artifacts, self._examiner(), concurrency):
            self.summary.add(result)
            yield result

    def _recorded(self, url: str) -> Iterator[ScanResult]:
        """Examine what is not as it was, and publish it together with the rest."""
        from prefect_mutagen.scanner.tables.recording import Recording
        from prefect_mutagen.scanner.tables.retention import Retention

        options = self._options
        info = new_scan(url, self.policy)
        table = Table(options.table, url, self._table_options(url))
        state = table.open_state()
        own = Summary()
        with Recording(info, state) as recording:
            for result in self._examined(url, state):
                compared = recording.add(result)
                self.summary.correct(result.verdict.status, compared.verdict.status)
                own.add(compared)
                yield compared
            recording.close(own)
            recording.correct(self.summary)
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


@contextmanager
def _output(path: str | None) -> Iterator[TextIO]:
    """Open what to write to; a file appears when it is complete."""
    if path is None:
        yield sys.stdout
        return
    partial = f"{path}.partial"
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with on_shutdown(lambda: os.unlink(partial)):
        try:
            with open(partial, "w+", 1 << 20, encoding="utf-8") as out:
                yield out
            os.replace(partial, path)
        finally:
            if os.path.exists(partial):
                os.unlink(partial)
