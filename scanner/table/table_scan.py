"""A scan of one root with a table: list what changed, examine, publish.

The command examines what `TableScan.list_changed` yields. The flow lists and examines in task runs
and hands what they return to the same recording.
"""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.listing import list_selected
from prefect_mutagen.scanner.listing.selection import Selection
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.storage.store import Store
from prefect_mutagen.scanner.table.recording import Publication, Recording
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.state import Comparison, State
from prefect_mutagen.scanner.table.table import Table

__all__ = ["Rescan", "TableScan", "list_changed", "publish"]

Rescan = Literal["changed", "all"]
"""What is examined: what is not as the state knows it, or all that is selected."""


def list_changed(  # noqa: PLR0913 - what a listing depends on
    known: Comparison,
    store: Store,
    selection: Selection,
    options: Mapping[str, Any],
    *,
    hash_level: HashLevel,
    policy: Policy,
    rescan: Rescan = "changed",
    siblings: bool = True,
) -> Iterator[Artifact]:
    """List the selected artifacts that have to be examined.

    Args:
        known: What is known of the root; its marks are complete when all artifacts were taken.
        store: The root, opened with its older versions if the selection asks for them.
        selection: What the scan is about.
        options: Storage options of root and inventory.
        hash_level: How much is paid for SHA-256 values.
        policy: What is accepted.
        rescan: Whether unchanged artifacts are examined, too.
        siblings: Whether to look for neighbours beside a root that is one file.

    Raises:
        StorageError: The root does not exist, or it or the inventory cannot be read.
        ValueError: The inventory is none, or of another bucket.
    """
    for artifact in list_selected(store, selection, options, siblings=siblings, state=known):
        if rescan == "all" or not known.keep(artifact, hash_level, policy):
            yield artifact


def publish(table: Table, publication: Publication, retention: Retention) -> None:
    """Publish a scan, then delete what the table need not keep.

    Raises:
        StorageError: The table cannot be written.
    """
    table.publish(publication)
    table.prune(retention)


class TableScan:
    """One scan of one root; a context that keeps a temporary folder.

    Attributes:
        table: Where it is published; None without one.
        recording: What was found so far.
        known: What was known before, and what became of it.
    """

    def __init__(self, scan: ScanInfo, table: Table | None = None) -> None:
        """Read what was known.

        Args:
            scan: What was asked.
            table: Where it is published; without one, nothing is known and nothing is kept.

        Raises:
            StorageError: The table is there but cannot be read.
        """
        self.table = table
        self.known = Comparison(table.open_state() if table is not None else State())
        self.recording = Recording(scan, self.known)

    def __enter__(self) -> Self:
        """Return the scan; its folder is there already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Delete the folder."""
        self.recording.__exit__(kind, problem, trace)

    def take_over(self, marks: bytes) -> None:
        """Take over what a listing found out elsewhere; before anything is added.

        Args:
            marks: Those of a `Comparison` with the same state.
        """
        self.known.marks[:] = marks

    def finish(self, summary: Summary) -> None:
        """Take over what is unchanged; nothing is added from here on.

        Args:
            summary: Counts of what was added; those of the rest are added to it.
        """
        self.recording.close(summary)

    def prepare(self, summary: Summary) -> Publication:
        """Write what is to be published, after `finish`.

        Args:
            summary: Counts of the scan.
        """
        state = self.known.state.scan_id
        renew = self.table is not None and not self.table.has_state(state)
        return self.recording.prepare(summary, renew=renew)
