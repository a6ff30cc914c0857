"""The table of all scans: plain Parquet in three parts, each file immutable, whole or not there.

``artifacts/``  a file per scan that changed anything: a row for every artifact, sorted by address,
                and what is gone once more, as ``removed``.
``sboms/``      the documents of what was new or changed, once each.
``scans/``      a row per scan, also for one that found nothing new; it names the file under
                ``artifacts/`` that is the state since then.

Each part has a folder per root, named by a digest of the root's address. Files are named by the
scan, whose name sorts by time. ``sboms/`` is written first and ``scans/`` last: what a row of
``scans/`` names is there, and what none names was left by a writer that was killed, and counts for
nothing.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.table.files import Files

if TYPE_CHECKING:
    from prefect_mutagen.scanner.table.recording import Publication, Recording
    from prefect_mutagen.scanner.table.retention import Retention
    from prefect_mutagen.scanner.table.state import Comparison, State

__all__ = ["Table"]

_GIVEN_BACK: Final = 500
"""Results that get their documents back at a time."""


class Table:
    """The table at one address, for one root."""

    def __init__(
        self, url: str | Address, source: str | Address, options: Mapping[str, Any] | None = None
    ) -> None:
        """Open it; it need not exist yet.

        Args:
            url: A folder, local or in any storage that fsspec can write to.
            source: The root that is scanned.
            options: Options for fsspec's file system.

        Raises:
            StorageError: There is no such kind of storage.
        """
        place = Address.parse(url)
        self.url, self.source = place.text, Address.parse(source).text
        address = self.source.encode("utf-8", "surrogateescape")
        self.files = Files(place, hashlib.sha256(address).hexdigest()[:16], options)

    def open_state(self) -> "State":
        """Open the newest state of the root.

        Returns:
            The state; an empty one without a scan before.

        Raises:
            StorageError: The table is there but cannot be read.
        """
        from prefect_mutagen.scanner.table.state import State

        for name in reversed(self.files.names("scans")):
            scan = self._scan(name)
            if not scan["state_scan_id"]:
                break
            try:
                file = self.files.open("artifacts", scan["state_scan_id"])
            except StorageError as problem:
                if problem.code != "storage/not-found":
                    raise
                continue  # an older scan's state went while this one still named it
            with self.files.reading():
                policy = None if scan.get("judged_apart") else scan["policy"]
                return State(scan["state_scan_id"], file, json.loads(policy or "null"))
        return State()

    def _scan(self, name: str) -> dict[str, Any]:
        import pyarrow.parquet as pq

        with self.files.reading(), self.files.open("scans", name) as file:
            rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
        return rows[0]

    def read_state(self) -> dict[str, ScanResult]:
        """Read the newest state of the root into memory; for tables that are known to be small.

        Returns:
            Results by `storable` address, the documents' metadata left out; empty without a scan
            before.

        Raises:
            StorageError: The table is there but cannot be read.
        """
        return {result.url: result for result in self.open_state().results()}

    def write(
        self,
        scan: ScanInfo,
        results: Iterable[ScanResult],
        summary: Summary,
        known: "Comparison | None" = None,
    ) -> dict[str, int]:
        """Publish a scan whose results all come from one iterator; memory does not grow with it.

        Args:
            scan: What was asked.
            results: The result of every artifact that was examined.
            summary: Counts of these results.
            known: What was known before, and what of it is kept; the newest state by default, of
                which nothing is.

        Returns:
            How many artifacts were added, changed, removed and unchanged.

        Raises:
            StorageError: The table cannot be written; nothing of this scan is to be seen then.
        """
        from prefect_mutagen.scanner.table.recording import Recording
        from prefect_mutagen.scanner.table.state import Comparison

        with Recording(scan, known or Comparison(self.open_state())) as recording:
            for result in results:
                recording.add(result)
            recording.close(summary)
            renew = not self.has_state(recording.state.scan_id)
            self.publish(recording.prepare(summary, renew=renew))
        return dict(recording.drift)

    def has_state(self, scan_id: str) -> bool:
        """Whether the table has the state that a scan wrote."""
        return bool(scan_id) and self.files.exists("artifacts", scan_id)

    def publish(self, publication: "Publication") -> None:
        """Publish a scan that is complete: all of it, or nothing.

        Args:
            publication: What `scanner.table.recording.Recording.prepare` wrote.

        Raises:
            StorageError: The table cannot be written; nothing of this scan is to be seen then.
        """
        parts = {
            "sboms": publication.documents,
            "artifacts": publication.artifacts,
            "scans": publication.scans,  # last: what it names is there
        }
        for part, path in parts.items():
            if path:
                self.files.publish(path, part, publication.scan_id)

    def prune(self, retention: "Retention") -> dict[str, int]:
        """Delete what the table need not keep.

        Args:
            retention: What it has to keep.

        Returns:
            How many states, scans and files of documents were deleted or compacted.

        Raises:
            StorageError: The table cannot be read or written.
        """
        from prefect_mutagen.scanner.table.retention import prune

        if retention.keeps_all:
            return {}
        return dict(prune(self.files, retention, self.newest_state()))

    def newest_state(self) -> str:
        """Name the scan that wrote the newest state; empty without one.

        Raises:
            StorageError: The table is there but cannot be read.
        """
        names = self.files.names("scans")
        return str(self._scan(names[-1])["state_scan_id"]) if names else ""

    def documented(self, recording: "Recording") -> Iterator[ScanResult]:
        """Give what a scan took over as it is, with the documents that the table has of it.

        Args:
            recording: What the scan found, closed.

        Raises:
            StorageError: The table cannot be read.
        """
        from prefect_mutagen.scanner.table.documents import Documents

        if not recording.kept:
            return
        documents = Documents(self.files)
        pending: list[tuple[str, ScanResult]] = []
        for kept in recording.unchanged():
            pending.append(kept)
            if len(pending) >= _GIVEN_BACK:
                yield from documents.give_back(pending)
                pending = []
        yield from documents.give_back(pending)
