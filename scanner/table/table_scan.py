"""A scan of one root into a table: list changed artifacts, examine, publish.

The command examines the artifacts that `list_changed` yields. The flow lists and examines in task
runs, and passes what they return to the same recording.
"""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.listing import list_selected
from prefect_mutagen.scanner.listing.roles import role_of
from prefect_mutagen.scanner.listing.selection import Selection
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.storage.store import Store
from prefect_mutagen.scanner.table.recording import Publication, Recording
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.signed_folders import SignedFolders
from prefect_mutagen.scanner.table.state import Comparison, State
from prefect_mutagen.scanner.table.table import Table

__all__ = ["Rescan", "TableScan", "list_changed", "publish"]

Rescan = Literal["changed", "all"]
"""What to examine: new and changed artifacts, or all selected ones."""


def list_changed(
    known: Comparison,
    store: Store,
    selection: Selection,
    options: Mapping[str, Any],
    *,
    hash_level: HashLevel,
    policy: Policy,
    rescan: Rescan = "changed",
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

    Raises:
        StorageError: The root does not exist, or it or the inventory cannot be read.
        ValueError: The inventory is invalid, or of another bucket.
    """
    folders = SignedFolders(store)
    for artifact in list_selected(store, selection, options, state=known, census=known.census):
        if rescan == "all" or not known.keep(artifact, hash_level, policy, folders):
            touched = known.state.was_touched(artifact)
            yield artifact._replace(was_touched=True) if touched else artifact


def publish(table: Table, publication: Publication, retention: Retention) -> None:
    """Publish a scan, then apply the retention.

    Raises:
        StorageError: The table cannot be written.
    """
    table.publish(publication)
    table.prune(retention)


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
        """Delete the folder."""
        self.recording.__exit__(kind, problem, trace)

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

    def finish(self, summary: Summary) -> None:
        """Carry over unchanged artifacts; nothing can be added afterwards.

        Args:
            summary: Counts of the added results; updated with those of carried-over ones.
        """
        self.recording.close(summary)

    def prepare(self, summary: Summary) -> Publication:
        """Write the files to publish, after `finish`.

        Args:
            summary: Counts of the scan.
        """
        state = self.known.state.scan_id
        renew = self.table is not None and not self.table.has_state(state)
        return self.recording.prepare(summary, renew=renew)
