"""``prefect-mutagen scan``: examine every model file below one or more roots."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, cast

from prefect_mutagen.scanner.census import Census
from prefect_mutagen.scanner.commands.output_file import output_file, prepare_output
from prefect_mutagen.scanner.commands.progress import Progress, is_watched
from prefect_mutagen.scanner.commands.remedies import complaint
from prefect_mutagen.scanner.commands.scan_options import (
    add_options,
    default_format,
    output_options,
    read_keys,
    refuse_idle,
)
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
from prefect_mutagen.scanner.listing.keyed import FoundKeys
from prefect_mutagen.scanner.listing.keys import addresses_of
from prefect_mutagen.scanner.listing.listing import list_selected
from prefect_mutagen.scanner.listing.selection import NothingIncluded, Selection
from prefect_mutagen.scanner.outputs import writer_of
from prefect_mutagen.scanner.outputs.documents import RenderedResult, join_json, join_jsonl
from prefect_mutagen.scanner.outputs.key_lines import describe_keys
from prefect_mutagen.scanner.outputs.metrics import ScanCounts, points_of, prometheus_text
from prefect_mutagen.scanner.outputs.shown import SHOWN, itself, tallied
from prefect_mutagen.scanner.outputs.visible import counted
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.storage.options import load_options
from prefect_mutagen.scanner.storage.store import Store
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.temporary import sweep_folders
from prefect_mutagen.scanner.verdicts import Status

if TYPE_CHECKING:
    from prefect_mutagen.scanner.table.resuming import Interrupted
    from prefect_mutagen.scanner.table.table_scan import Recorded, TableScan

__all__ = ["add_parser"]


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
    options.format = options.format or default_format(options)
    run = _Run(options)
    if options.output is not None:
        options.output = prepare_output(options.output)
    if options.metrics is not None:
        options.metrics = prepare_output(options.metrics, "--metrics")
    with output_file(options.output) as out:
        if options.format == "json":
            join_json(run.parts(), out, new=options.output is not None)
        elif options.format == "jsonl":
            join_jsonl(run.parts(), out)
        else:
            write = writer_of(options.format)
            write(run.parts(), run.scan, run.summary, out, output_options(options))
    if options.metrics is not None:
        with output_file(options.metrics) as out:
            out.writelines(prometheus_text(points_of(run.counts())))
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
            read_keys(options),
        )
        addresses_of(self._selection.keys, roots[0].text)  # an invalid one ends the command here
        self.summary = Summary()
        self.trouble = self.skipped = False
        self._newly_refused: int | None = None
        self._not_found = 0
        self._show = SHOWN.get(options.format, itself)
        # A progress line would break up formats that are written incrementally to a terminal.
        whole = options.output is not None or options.format in ("json", "table", "summary")
        shown = is_watched() and (whole or not sys.stdout.isatty()) and not options.quiet
        self._progress = Progress(self.summary, shown=shown)

    def parts(self) -> Iterator[Any]:
        """Yield what the format shows of each artifact of all roots."""
        return self._each_root(self._recorded if self._options.table else self._examined)

    def counts(self) -> ScanCounts:
        """Return what is measured of all roots together."""
        return ScanCounts(
            source=self.scan.source,
            started_at=self.scan.started_at,
            summary=self.summary,
            drift=self.summary.drift,
            newly_refused=self._newly_refused,
            not_found=self._not_found,
            is_complete=not (self.trouble or self.skipped),
        )

    def _each_root(self, examine: Callable[[Address], Iterator[Any]]) -> Iterator[Any]:
        """Examine the roots in order; an unreachable one does not stop the others."""
        self._progress.start()
        empty: list[NothingIncluded] = []
        for number, (root, given) in enumerate(self._roots.items(), 1):
            self._progress.start_root(number, len(self._roots))
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
        told = self._options.format in ("table", "summary") or not self.summary.artifacts
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
        census, keys = Census(), FoundKeys()
        listed = list_selected(store, *selected, census=census, found=keys)
        return self._watched(store, listed, census, keys)

    def _watched(
        self, store: Store, artifacts: Iterator[Artifact], census: Census, keys: FoundKeys
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
        self._report_keys(keys)
        if not found:
            self._report_no_model(store, census)

    def _report_keys(self, keys: FoundKeys) -> None:
        """Report keys that are no part of a model; one without an object is an error."""
        self.trouble |= bool(keys.not_found)
        self._not_found += len(keys.not_found)
        for line in describe_keys(keys):
            self._complain(line)

    def _report_no_model(self, store: Store, census: Census) -> None:
        if self._selection.keys:
            return  # each key was reported
        wanted = "model file" if self._selection.takes_all else "model file that is selected"
        listed = census.describe()
        self._complain(f"{store.root}: there is no {wanted}{f' ({listed})' if listed else ''}")

    def _workers(self, root: Address) -> Workers:
        processes, versions = self._options.processes, self._selection.all_versions
        return Workers(processes, root, self._storage_options, versions)

    def _examined(self, root: Address) -> Iterator[Any]:
        """Examine the selected artifacts of a root."""
        store = self._open(root)
        # A whole result costs more to hand over than to make.
        workers = None if self._show is itself else self._workers(root)
        for tally, part in examine_artifacts(
            store,
            self._progress.watch(self._artifacts(store)),
            self._examiner(),
            self._options.concurrency,
            make=partial(map, partial(tallied, self._show)),
            workers=workers,
        ):
            self.summary.count(tally)
            if self._options.only is None or tally.status != "passed":
                yield part

    def _recorded(self, root: Address) -> Iterator[Any]:
        """Examine changed artifacts and publish the new state."""
        from prefect_mutagen.scanner.table.highlights import highlights_of
        from prefect_mutagen.scanner.table.retention import Retention
        from prefect_mutagen.scanner.table.root_lease import hold_root
        from prefect_mutagen.scanner.table.row_filters import ONLY
        from prefect_mutagen.scanner.table.staging import Rescan
        from prefect_mutagen.scanner.table.table_scan import TableScan, list_changed, publish

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
            examined = scan.examine(
                store,
                self._progress.watch(changed, lambda: scan.known.kept),
                self._examiner(),
                options.concurrency,
                show=self._show,
                workers=self._workers(root),
            )
            for one in chain(examined, self._taken_over(scan, interrupted)):
                own.count(one.tally)
                self.summary.count(one.tally._replace(passed_over=None))  # see below: `own` has it
                if one.is_among(options.only):
                    yield self._corrected(one.tally.status, one.part)
            self._report_keys(scan.known.keys)
            if not own.artifacts and not scan.known.kept:
                self._report_no_model(store, own.census)
            carried = Summary(census=own.census)
            scan.finish(carried)
            for summary in (own, self.summary):
                summary.add_counts(carried)
            if options.metrics is not None and scan.known.state.is_known:
                found = highlights_of(scan.recording)["newly-refused"].count
                self._newly_refused = (self._newly_refused or 0) + found
            wanted = ONLY[options.only] if options.only else None
            if options.format != "summary":
                # Look up documents only for formats that show them.
                brief = options.format in ("table", "html")
                kept = scan.recording.unchanged(wanted)
                for result in (result for _, result in kept) if brief else table.documented(kept):
                    yield self._corrected(result.verdict.status, self._show(result))
            self.summary.census.add(own.census.rows)
            self.summary.drift.update(scan.recording.drift)
            own.finished_at = datetime.now(UTC).isoformat()
            retention = Retention(options.keep_states, options.keep_days)
            remark = publish(table, scan.prepare(own), retention)
            if remark:
                self._complain(remark)

    def _taken_over(self, scan: "TableScan", interrupted: "Interrupted") -> "Iterator[Recorded]":
        """Yield what interrupted scans examined; after everything else was."""
        yield from scan.add_interrupted(interrupted, self._show)
        if interrupted.count:
            found = counted(interrupted.count, "artifact")
            self._complain(f"{found} taken over from a scan that was interrupted")

    def _corrected(self, status: Status, part: Any) -> Any:
        """Count an artifact as unknown that could not be rendered; return the part."""
        if isinstance(part, RenderedResult):
            self.summary.correct(status, part.tally.status)
        return part


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
