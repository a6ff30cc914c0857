"""The table of all scans: plain Parquet in four parts; files are immutable and written atomically.

``artifacts/``  whole states: a row for every artifact, sorted by address; removed artifacts appear
                once more, as ``removed``.
``changes/``    deltas: what one scan changed in such a state; see `scanner.table.deltas`.
``sboms/``      the documents of new and changed artifacts, once each.
``scans/``      a row per scan, even if nothing changed; it references the file in ``artifacts/``
                and those in ``changes/`` that are the state since then.

Each part has a folder per root, named by a digest of the root's address. Files are named by scan
id, which sorts by time. ``sboms/`` is written first and ``scans/`` last: a file that ``scans/``
references exists, and one that it does not reference was left by a killed writer and is ignored.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.table.deltas import StateName
from prefect_mutagen.scanner.table.files import Files

if TYPE_CHECKING:
    from prefect_mutagen.scanner.table.publication import Publication
    from prefect_mutagen.scanner.table.retention import Retention
    from prefect_mutagen.scanner.table.root_lease import RootLease
    from prefect_mutagen.scanner.table.shards import Shards
    from prefect_mutagen.scanner.table.state import Comparison, State

__all__ = ["Table"]

_DOCUMENT_BATCH: Final = 500
"""Results whose documents are looked up at a time."""


class Table:
    """The table at one address, for one root."""

    def __init__(
        self, url: str | Address, source: str | Address, options: Mapping[str, Any] | None = None
    ) -> None:
        """Open a table; it need not exist yet.

        Args:
            url: A folder, local or in any storage that fsspec can write to.
            source: The scanned root.
            options: Options for fsspec's file system.

        Raises:
            StorageError: Its kind of storage is unknown.
        """
        place = Address.parse(url)
        self.url, self.source = place.text, Address.parse(source).text
        address = self.source.encode("utf-8", "surrogateescape")
        folder = hashlib.sha256(address).hexdigest()[:16]
        self.files = Files(place, folder, options)
        self._of_lease = place, folder, storable(self.source), options

    def lease(self, flow_run: str = "") -> "RootLease":
        """Return the lease on the root.

        Args:
            flow_run: Id of the flow run that scans; empty outside of flows.
        """
        from prefect_mutagen.scanner.table.root_lease import RootLease

        return RootLease(*self._of_lease, flow_run)

    def shards(self, folder: str) -> "Shards":
        """Return the shards of scans of the root.

        Args:
            folder: A temporary folder.
        """
        from prefect_mutagen.scanner.table.json_files import JsonFiles
        from prefect_mutagen.scanner.table.leases import Leases
        from prefect_mutagen.scanner.table.shards import Shards

        place, root, _, options = self._of_lease
        records = JsonFiles(place, f"shards/{root}", "the record of a shard", options)
        return Shards(self.files, records, Leases(place, options), folder)

    def open_state(self) -> "State":
        """Open the latest state of the root.

        Returns:
            The state; empty before the first scan.

        Raises:
            StorageError: The table exists but cannot be read.
        """
        from prefect_mutagen.scanner.table.looked import read_looked
        from prefect_mutagen.scanner.table.state import State

        looked = read_looked(self.files)
        names = self.files.names("scans")
        for name in reversed(names):
            scan = self._scan(name)
            if not scan["state_scan_id"]:
                break
            state = self._open(scan, looked)
            if state is not None:
                return state
            # The state was deleted while this scan still referenced it.
        return State(looked=looked, is_known=bool(names))

    def open_earlier(self, scan_id: str) -> "State | None":
        """Open the state that a scan wrote; None if it is no longer kept.

        Args:
            scan_id: The scan.

        Raises:
            StorageError: The table exists but cannot be read.
        """
        if not self.has_scan(scan_id):
            return None
        return self._open(self._scan(scan_id), {})

    def _open(self, scan: dict[str, Any], looked: Mapping[bytes, bool]) -> "State | None":
        """Open the state that was current after a scan; None if a file of it is not there."""
        from prefect_mutagen.scanner.table.state import State
        from prefect_mutagen.scanner.table.state_file import StateFile

        name = StateName(scan["state_scan_id"], tuple(scan.get("changes") or ()))
        try:
            file = self.files.open("artifacts", name.scan_id)
            changes = self.files.open_all("changes", name.change_files)
        except StorageError as problem:
            if problem.code != "storage/not-found":
                raise
            return None
        with self.files.reading():
            policy = None if scan.get("judged_apart") else scan["policy"]
            policy = json.loads(policy or "null")
            return State(name, StateFile(file, changes), policy, looked)

    def scan_ids(self) -> list[str]:
        """Return the ids of all published scans, the oldest first.

        Raises:
            StorageError: They cannot be listed.
        """
        return self.files.names("scans")

    def scan_rows(self, scan_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the rows of scans; columns that their files lack are None.

        Raises:
            StorageError: One does not exist or cannot be read.
        """
        import pyarrow.parquet as pq

        from prefect_mutagen.scanner.table.schema import SCANS, conform

        rows: list[dict[str, Any]] = []
        with self.files.reading():
            for file in self.files.open_all("scans", scan_ids):
                with file:
                    rows += conform(pq.read_table(file), SCANS).to_pylist()
        return rows

    def _scan(self, name: str) -> dict[str, Any]:
        return self.scan_rows([name])[0]

    def read_state(self) -> dict[str, ScanResult]:
        """Read the latest state of the root into memory; for small tables only.

        Returns:
            Results by `storable` address, without the metadata of documents; empty before the
            first scan.

        Raises:
            StorageError: The table exists but cannot be read.
        """
        return {result.url: result for result in self.open_state().results()}

    def write(
        self,
        scan: ScanInfo,
        results: Iterable[ScanResult],
        summary: Summary,
        known: "Comparison | None" = None,
    ) -> dict[str, int]:
        """Publish a scan whose results come from one iterator, in bounded memory.

        Args:
            scan: The scan.
            results: The results of all examined artifacts.
            summary: Their counts.
            known: The previous state and the rows kept; by default the latest state with no rows
                kept.

        Returns:
            Numbers of added, changed, removed and unchanged artifacts.

        Raises:
            StorageError: The table cannot be written; nothing of this scan is visible then.
        """
        from prefect_mutagen.scanner.table.recording import Recording
        from prefect_mutagen.scanner.table.state import Comparison

        with Recording(scan, known or Comparison(self.open_state())) as recording:
            for result in results:
                recording.add(result)
            recording.close(summary)
            renew = not self.has_state(recording.state.name)
            self.publish(recording.prepare(summary, renew=renew))
        return dict(recording.drift)

    def has_state(self, state: StateName) -> bool:
        """Whether the table has all files of a state."""
        if not state.scan_id or not self.files.exists("artifacts", state.scan_id):
            return False
        return not state.changes or set(state.change_files) <= {*self.files.names("changes")}

    def has_scan(self, scan_id: str) -> bool:
        """Whether a scan is published."""
        return bool(scan_id) and self.files.exists("scans", scan_id)

    def publish(self, publication: "Publication") -> None:
        """Publish a complete scan atomically.

        Args:
            publication: From `scanner.table.recording.Recording.prepare`.

        Raises:
            StorageError: The table cannot be written; nothing of this scan is visible then.
        """
        for part, name, path in publication.files():
            self.files.publish(path, part, name)
        if publication.looked:
            from prefect_mutagen.scanner.table.looked import drop_older

            drop_older(self.files)

    def prune(self, retention: "Retention") -> dict[str, int]:
        """Apply a retention to the table.

        Args:
            retention: What to keep.

        Returns:
            Numbers of deleted or compacted states, scans and document files.

        Raises:
            StorageError: The table cannot be read or written.
        """
        from prefect_mutagen.scanner.table.retention import prune

        if retention.keeps_all:
            return {}
        return dict(prune(self.files, retention, self.newest_state()))

    def newest_state(self) -> str:
        """Return the id of the scan that wrote the latest state; empty if there is none.

        Raises:
            StorageError: The table exists but cannot be read.
        """
        names = self.files.names("scans")
        return str(self._scan(names[-1])["state_scan_id"]) if names else ""

    def documented(self, results: Iterable[tuple[str, ScanResult]]) -> Iterator[ScanResult]:
        """Yield unchanged results of a scan with their documents from the table.

        Args:
            results: From `scanner.table.recording.Recording.unchanged`.

        Raises:
            StorageError: The table cannot be read.
        """
        from prefect_mutagen.scanner.table.documents import Documents

        documents: Documents | None = None
        waiting = iter(results)
        while pending := list(islice(waiting, _DOCUMENT_BATCH)):
            documents = documents or Documents(self.files)
            yield from documents.attach(pending)
