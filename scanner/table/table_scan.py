"""A scan of one root into a table: list changed artifacts, examine, publish.

The command examines the artifacts that `list_changed` yields. The flow lists and examines in task
runs, and passes what they return to the same recording.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, NamedTuple, Self

from prefect_mutagen.scanner.examine.engine import Workers, examine_artifacts
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.listing import list_selected
from prefect_mutagen.scanner.listing.roles import role_of
from prefect_mutagen.scanner.listing.selection import Selection
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ScanResult, Summary, Tally
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.storage.store import Store
from prefect_mutagen.scanner.table.examined_rows import RowMaker
from prefect_mutagen.scanner.table.leftovers import sweep
from prefect_mutagen.scanner.table.publication import Publication
from prefect_mutagen.scanner.table.recording import Recording
from prefect_mutagen.scanner.table.resuming import Interrupted
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.row_filters import Only
from prefect_mutagen.scanner.table.signed_folders import SignedFolders
from prefect_mutagen.scanner.table.staging import Rescan, StagingWriter
from prefect_mutagen.scanner.table.state import Comparison, State
from prefect_mutagen.scanner.table.table import Table

__all__ = ["Recorded", "Rescan", "TableScan", "list_changed", "publish"]


class Recorded(NamedTuple):
    """An artifact that was examined and recorded."""

    tally: Tally
    part: Any
    """What is shown of it: a result has its drift."""
    compared: ScanResult | None
    """The result with its drift, if the previous state knows the artifact."""

    def is_among(self, only: Only | None) -> bool:
        """Whether it is one of those that are to be shown; None: all are."""
        if only == "failed":
            return self.tally.status != "passed"
        if only is None or self.compared is None or self.compared.drift == "added":
            return True
        known = self.compared
        return only == "changed" and (known.drift != "unchanged" or bool(known.drift_details))


def list_changed(  # noqa: PLR0913 - a listing depends on all of these
    known: Comparison,
    store: Store,
    selection: Selection,
    options: Mapping[str, Any],
    *,
    hash_level: HashLevel,
    policy: Policy,
    rescan: Rescan = "changed",
    interrupted: Interrupted | None = None,
) -> Iterator[Artifact]:
    """List the selected artifacts that have to be examined.

    Args:
        known: The previous state; its marks and its census are complete once the iterator is
            exhausted.
        store: The root, opened with older versions if the selection asks for them.
        selection: Which artifacts to include.
        options: Storage options of root and inventory.
        hash_level: Where SHA-256 values come from.
        policy: The current policy.
        rescan: Whether to examine unchanged artifacts too.
        interrupted: Takes over what interrupted scans examined; such artifacts are not yielded.

    Raises:
        StorageError: The root does not exist, or it or the inventory cannot be read.
        ValueError: The inventory is invalid, or of another bucket.
    """
    folders = SignedFolders(store)
    rest: dict[str, Any] = {"census": known.census, "found": known.keys}
    for artifact in list_selected(store, selection, options, state=known, **rest):
        if rescan != "all" and known.keep(artifact, hash_level, policy, folders):
            continue
        if interrupted is not None and interrupted.take(artifact, hash_level, policy, folders):
            continue
        touched = known.state.was_touched(artifact)
        yield artifact._replace(was_touched=True) if touched else artifact


def publish(table: Table, publication: Publication, retention: Retention) -> str:
    """Publish a scan, apply the retention, and delete what is of no use any more.

    Returns:
        A sentence for people if leftovers of this or of interrupted scans cannot be deleted; empty
        if all is well.

    Raises:
        StorageError: The table cannot be written, or its retention cannot be applied.
    """
    table.publish(publication)
    table.prune(retention)
    try:
        sweep(table.files, publication.scan_id, retention, whole=publication.whole)
    except StorageError as problem:
        return f"the scan is published; what interrupted scans left cannot be deleted: {problem}"
    return ""


class TableScan:
    """One scan of one root; a context manager with a temporary folder.

    Attributes:
        table: The table to publish to, if any.
        recording: The results so far.
        known: The previous state and its marks.
    """

    def __init__(self, scan: ScanInfo, table: Table | None = None) -> None:
        """Open the previous state.

        Args:
            scan: The scan.
            table: The table to publish to; without one, the previous state is empty.

        Raises:
            StorageError: The table exists but cannot be read.
        """
        self.table = table
        self._is_whole = True
        self.known = Comparison(table.open_state() if table is not None else State())
        self.recording = Recording(scan, self.known)

    def __enter__(self) -> Self:
        """Return the scan; its folder exists already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Keep what was examined, and delete the folder."""
        try:
            self.end_staging()
        finally:
            self.recording.__exit__(kind, problem, trace)

    def keep_results(
        self, rescan: Rescan, selection: Selection, warn: Callable[[str], None]
    ) -> None:
        """Keep results in the table's staging area as they are added, until they are published.

        Args:
            rescan: What the scan examines.
            selection: Which artifacts. Once everything was scanned, what older scans left is of no
                use; after a part of it, it may be.
            warn: Called with a sentence if they cannot be kept there.
        """
        self._is_whole = selection.takes_all
        if self.table is not None:
            scan = self.recording.scan
            self.recording.staging = StagingWriter(self.table.files, scan, rescan, warn)
            self.recording.staging.__enter__()

    def end_staging(self) -> None:
        """Keep what was added so far, and nothing more: what follows is kept elsewhere."""
        staging, self.recording.staging = self.recording.staging, None
        if staging is not None:
            staging.__exit__(None, None, None)

    def interrupted(self, rescan: Rescan) -> Interrupted:
        """Return what interrupted scans of the root examined, for `list_changed`.

        Args:
            rescan: What the scan examines.
        """
        files = self.table.files if self.table is not None else None
        return Interrupted(files, self.recording.scan, rescan, self.recording.folder)

    def take_over(self, marks: bytes, looked: Mapping[bytes, bool] | None = None) -> None:
        """Apply what a listing made elsewhere found; before anything is added.

        Args:
            marks: Marks of a `Comparison` with the same state.
            looked: Files that it looked into because their names say nothing.
        """
        self.known.marks[:] = marks
        self.known.looked.found = looked

    def leave_out(self, artifact: Artifact, summary: Summary) -> None:
        """Keep what is known of an artifact that should have been examined and was not.

        Args:
            artifact: The artifact; what examined it broke. A later scan examines it.
            summary: Counts of the scan, whose census counts its files as named only.
        """
        self.known.leave_out(artifact)
        for item in artifact.objects:
            role = role_of(item.name)
            role = "weights" if role == "other" else role
            summary.census.pass_over(role, 1, max(0, item.size))

    def examine(
        self,
        store: Store,
        artifacts: Iterable[Artifact],
        examiner: Examiner,
        concurrency: int,
        *,
        show: Callable[[ScanResult], Any],
        workers: Workers | None = None,
    ) -> Iterator[Recorded]:
        """Examine artifacts and record them; see `scanner.examine.engine.examine_artifacts`.

        Args:
            store: Where they lie.
            artifacts: What to examine.
            examiner: Policy, hash level and what folders have in common.
            concurrency: Remote artifacts that are examined at a time.
            show: Returns what is wanted of a result, in the process that examined it; see
                `scanner.table.examined_rows.RowMaker`.
            workers: Processes that may examine where artifacts are many.
        """
        make = RowMaker(self.recording.scan, show, 256 if store.loop is None else 32)
        for batch in examine_artifacts(
            store, artifacts, examiner, concurrency, make=make, workers=workers
        ):
            known = self.recording.add_rows(batch.rows, batch.documents)
            for place, (tally, part) in enumerate(batch.shown):
                compared = known.get(place)
                if compared is not None and compared.verdict.status != tally.status:
                    # A fault while it was compared: an internal error took its place.
                    yield Recorded(compared.tally(), show(compared), compared)
                    continue
                if isinstance(part, ScanResult):
                    part = _with_drift(part, compared)  # noqa: PLW2901 - the same result
                yield Recorded(tally, part, compared)

    def add_interrupted(
        self, interrupted: Interrupted, show: Callable[[ScanResult], Any]
    ) -> Iterator[Recorded]:
        """Record what interrupted scans examined; after everything else was.

        Args:
            interrupted: What a listing took over.
            show: Returns what is wanted of a result.
        """
        self.end_staging()  # these are kept already
        for result in interrupted.results():
            compared = self.recording.add(result)
            yield Recorded(compared.tally(), show(compared), compared)

    def finish(self, summary: Summary) -> None:
        """Carry over unchanged artifacts; nothing can be added afterwards.

        Args:
            summary: Counts of the added results; updated with those of carried-over ones.
        """
        self.end_staging()
        self.recording.close(summary)

    def prepare(self, summary: Summary) -> Publication:
        """Write the files to publish, after `finish`.

        Args:
            summary: Counts of the scan.
        """
        state = self.known.state.name
        renew = self.table is not None and not self.table.has_state(state)
        publication = self.recording.prepare(summary, renew=renew)
        return replace(publication, whole=self._is_whole)


def _with_drift(result: ScanResult, compared: ScanResult | None) -> ScanResult:
    if compared is None:
        return replace(result, drift="added")
    return replace(result, drift=compared.drift, drift_details=compared.drift_details)
