"""``prefect-mutagen scan``: examine every model file below one or more roots."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

from prefect_mutagen.scanner.census import Census
from prefect_mutagen.scanner.commands.progress import Progress
from prefect_mutagen.scanner.commands.remedies import complaint
from prefect_mutagen.scanner.commands.scan_options import add_options, output_options, refuse_idle
from prefect_mutagen.scanner.commands.shared import (
    PASSED,
    REJECTED,
    UNREACHABLE,
    complain,
    read_policy,
)
from prefect_mutagen.scanner.examine.engine import Workers, examine_artifacts
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.listing import list_selected
from prefect_mutagen.scanner.listing.selection import NothingIncluded, Selection
from prefect_mutagen.scanner.outputs import writer_of
from prefect_mutagen.scanner.outputs.documents import (
    RenderedResult,
    join_json,
    join_jsonl,
    render_json,
    render_jsonl,
)
from prefect_mutagen.scanner.outputs.visible import counted
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.shutdown import on_shutdown
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.storage.options import load_options
from prefect_mutagen.scanner.storage.store import Store
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.temporary import partial_path, sweep_folders, sweep_partial_files

if TYPE_CHECKING:
    from prefect_mutagen.scanner.table.resuming import Interrupted
    from prefect_mutagen.scanner.table.table_scan import TableScan

__all__ = ["add_parser"]

_T = TypeVar("_T")


def add_parser(commands: Any) -> None:
    """Add the command.

    Args:
        commands: From `argparse.ArgumentParser.add_subparsers`.
    """
    parser = commands.add_parser("scan", help="examine every model file below one or more roots")
    add_options(parser)
    parser.set_defaults(run=_scan, refuse_rest=parser.refuse_rest)


def _scan(options: argparse.Namespace) -> int:
    refuse_idle(options)
    sweep_folders()
    run = _Run(options)
    if options.output is not None:
        options.output = _prepare_output(options.output)
    with _output(options.output) as out:
        # These formats can be rendered per artifact, in the process that examined it.
        if options.format == "json" and not options.table:
            join_json(run.rendered(render_json), out, new=options.output is not None)
        elif options.format == "jsonl" and not options.table:
            join_jsonl(run.rendered(render_jsonl), out)
        else:
            write = writer_of(options.format)
            write(run.results(), run.scan, run.summary, out, output_options(options))
    if run.trouble:
        return UNREACHABLE
    return PASSED if run.summary.all_passed and not run.skipped else REJECTED


class _Run:
    """One scan of one or more roots, from the command line."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._storage_options = load_options(options.storage_options or "")
        self._level = cast("HashLevel", options.hash)
        self.policy = read_policy(options.policy)
        self._roots = _distinct(options.urls)
        """Roots, and the text each was given as."""
        roots = list(self._roots)
        self.scan = new_scan(roots[0], self.policy)
        sources = [root.text for root in roots]
        if len(sources) > 1:
            self.scan = replace(self.scan, source=" ".join(map(storable, sources)))
        # Artifacts of a root inside another one are shown once. In a table each root has its own
        # state, which needs all of them.
        self._shown: set[str] | None = set() if _any_inside(sources) and not options.table else None
        self._selection = Selection(
            tuple(options.include),
            tuple(options.exclude),
            options.modified_since,
            options.all_versions,
            options.inventory or "",
        )
        self.summary = Summary()
        self.trouble = self.skipped = False
        # A progress line would break up formats that are written incrementally to a terminal.
        quiet = options.output is not None or options.format in ("json", "table")
        shown = sys.stderr.isatty() and (quiet or not sys.stdout.isatty())
        self._progress = Progress(self.summary, shown=shown)

    def results(self) -> Iterator[ScanResult]:
        """Yield the results of all roots."""
        return self._each_root(self._recorded if self._options.table else self._examined)

    def rendered(self, render: Callable[[ScanResult], RenderedResult]) -> Iterator[RenderedResult]:
        """Yield rendered results of all roots, examined on all cores."""

        def examined(root: Address) -> Iterator[RenderedResult]:
            store = self._open(root)
            for one in examine_artifacts(
                store,
                self._artifacts(store),
                self._examiner(),
                self._options.concurrency,
                make=render,
                workers=Workers(
                    self._options.processes,
                    root,
                    self._storage_options,
                    self._selection.all_versions,
                ),
            ):
                self.summary.count(one.tally)
                yield one

        return self._each_root(examined)

    def _each_root(self, examine: Callable[[Address], Iterator[_T]]) -> Iterator[_T]:
        """Examine the roots in order; an unreachable one does not stop the others."""
        self._progress.start()
        empty: list[NothingIncluded] = []
        for root, given in self._roots.items():
            try:
                yield from examine(root)
            except NothingIncluded as problem:
                empty.append(problem)
            except StorageError as problem:
                self._complain(complaint(problem, given))
                self.trouble = True
        # Not every one of several roots has to contain what is selected.
        self.trouble |= len(empty) == len(self._roots)
        for nothing in empty:
            self._complain(complaint(nothing))
        self.summary.finished_at = datetime.now(UTC).isoformat()
        self._progress.clear()
        # A table has this line below its verdicts, and a complaint about an empty root has it.
        told = self._options.format == "table" or not self.summary.artifacts
        if self._selection.takes_all and self.summary.census.overlooked and not told:
            complain(self.summary.census.describe())

    def _complain(self, text: str) -> None:
        self._progress.clear()
        complain(text)

    def _open(self, root: Address) -> Store:
        return open_store(root, self._storage_options, versions=self._selection.all_versions)

    def _examiner(self) -> Examiner:
        return Examiner(self.policy, self._level, self.scan.started_at, self._progress.add_hashed)

    def _artifacts(self, store: Store) -> Iterator[Artifact]:
        """List the selected artifacts of a root."""
        selected = self._selection, self._storage_options
        census = Census()
        listed = list_selected(store, *selected, census=census)
        return self._watched(store, listed, census)

    def _watched(
        self, store: Store, artifacts: Iterator[Artifact], census: Census
    ) -> Iterator[Artifact]:
        """Report an empty listing; skip artifacts that another root has shown."""
        found = False
        for artifact in artifacts:
            found = True
            if self._shown is not None:
                if artifact.url in self._shown:
                    continue
                self._shown.add(artifact.url)
            yield artifact
        self.summary.census.add(census.listed)
        if not found:
            self._report_no_model(store, census)

    def _report_no_model(self, store: Store, census: Census) -> None:
        wanted = "model file" if self._selection.takes_all else "model file that is selected"
        listed = census.describe()
        self._complain(f"{store.root}: there is no {wanted}{f' ({listed})' if listed else ''}")

    def _examined(self, root: Address) -> Iterator[ScanResult]:
        """Examine the selected artifacts of a root."""
        store = self._open(root)
        return self._examine(store, self._artifacts(store))

    def _examine(self, store: Store, artifacts: Iterator[Artifact]) -> Iterator[ScanResult]:
        concurrency = self._options.concurrency
        for result in examine_artifacts(store, artifacts, self._examiner(), concurrency):
            self.summary.add(result)
            yield result

    def _recorded(self, root: Address) -> Iterator[ScanResult]:
        """Examine changed artifacts and publish the new state."""
        from prefect_mutagen.scanner.table.retention import Retention
        from prefect_mutagen.scanner.table.root_lease import hold_root
        from prefect_mutagen.scanner.table.table_scan import (
            Rescan,
            TableScan,
            list_changed,
            publish,
        )

        options = self._options
        place = Address.parse(options.table)
        same = self._storage_options if place.shares_storage(root) else {}
        table = Table(place, root, same)
        rescan: Rescan = options.rescan or "changed"
        lease = table.lease()
        holder = hold_root(lease, options.if_busy or "wait", self._complain)
        if holder is not None:
            self._complain(f"{holder.describe()}; it is skipped")
            self.skipped = True
            return
        with lease, TableScan(new_scan(root, self.policy), table) as scan:
            scan.keep_results(rescan, self._selection, self._complain)
            interrupted = scan.interrupted(rescan)
            own = Summary(census=scan.known.census)
            store = self._open(root)
            changed = list_changed(
                scan.known,
                store,
                self._selection,
                self._storage_options,
                hash_level=self._level,
                policy=self.policy,
                rescan=rescan,
                interrupted=interrupted,
            )
            taken_over = self._taken_over(scan, interrupted)
            for result in chain(self._examine(store, changed), taken_over):
                compared = scan.recording.add(result)
                self.summary.correct(result.verdict.status, compared.verdict.status)
                own.add(compared)
                yield compared
            if not own.artifacts and not scan.known.kept:
                self._report_no_model(store, own.census)
            scan.finish(own)
            scan.recording.correct(self.summary)
            # Look up documents only for formats that show them.
            brief = (result for _, result in scan.recording.unchanged())
            for result in brief if options.format == "table" else table.documented(scan.recording):
                self.summary.add(result)
                yield result
            self.summary.census.add(own.census.listed)
            own.finished_at = datetime.now(UTC).isoformat()
            retention = Retention(options.keep_states, options.keep_days)
            remark = publish(table, scan.prepare(own), retention)
            if remark:
                self._complain(remark)

    def _taken_over(self, scan: "TableScan", interrupted: "Interrupted") -> Iterator[ScanResult]:
        """Yield what interrupted scans examined; after everything else was."""
        scan.end_staging()  # these are kept already
        for result in interrupted.results():
            self.summary.add(result)
            yield result
        if interrupted.count:
            found = counted(interrupted.count, "artifact")
            self._complain(f"{found} taken over from a scan that was interrupted")


def _distinct(texts: Sequence[str]) -> dict[Address, str]:
    """Parse roots, without duplicates; addresses with different signatures are distinct."""
    named: dict[Address, str] = {}
    for text in texts:
        named.setdefault(Address.parse(text), text)
    return named


def _any_inside(sources: Sequence[str]) -> bool:
    """Whether one root lies inside another."""
    folders = sorted(f"{source.rstrip('/')}/" for source in sources)
    return any(below.startswith(above) for above, below in pairwise(folders))


def _prepare_output(path: str) -> str:
    """Create the folder of the output before the scan, which may take hours.

    Returns:
        The path, with ``~`` expanded.

    Raises:
        ValueError: The output cannot be written there.
    """
    place = os.path.expanduser(path)
    sweep_partial_files(os.path.dirname(place))
    try:
        os.makedirs(os.path.dirname(place) or ".", exist_ok=True)
    except OSError as problem:
        reason = (problem.strerror or type(problem).__name__).lower()
        raise ValueError(f"--output {path}: its folder cannot be created: {reason}") from None
    if os.path.isdir(place):
        raise ValueError(f"--output {path}: it is a folder; name a file in it")
    if os.path.exists(place) and not os.path.isfile(place):
        # The finished file would replace the device or pipe.
        raise ValueError(f"--output {path}: it is not a regular file; redirect the output instead")
    return place


@contextmanager
def _output(path: str | None) -> Iterator[TextIO]:
    """Open the output; a file is written atomically."""
    if path is None:
        yield sys.stdout
        return
    partial = partial_path(path)
    with on_shutdown(lambda: os.unlink(partial)):
        try:
            with open(partial, "w+", 1 << 20, encoding="utf-8") as out:
                yield out
            os.replace(partial, path)
        finally:
            if os.path.exists(partial):
                os.unlink(partial)
