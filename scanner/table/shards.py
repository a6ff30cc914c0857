"""Shards of a scan: artifacts that another machine examines, handed over through the table.

``shards/`` has three files for each: what to examine, then the documents, then the rows, which are
there only when the shard is complete. A small record says who is at work on it. A shard is named by
its scan and a number, so scans at the same time never meet.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from prefect_mutagen.scanner.claimants import this_claimant
from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.manifest import Batch, CarriedBatch
from prefect_mutagen.scanner.storage.address import VERSION_MARK
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.table.files import Files
from prefect_mutagen.scanner.table.json_files import JsonFiles
from prefect_mutagen.scanner.table.leases import Leases
from prefect_mutagen.scanner.table.publication import Publication
from prefect_mutagen.scanner.table.rows import moment
from prefect_mutagen.scanner.table.runs import KEY, texts, write_parquet, write_run
from prefect_mutagen.scanner.table.schema import ARTIFACTS, SBOMS, conform
from prefect_mutagen.scanner.table.spool import Spooled
from prefect_mutagen.scanner.table.staging import is_old

__all__ = ["Shards", "scan_of_shard"]

_PART: Final = "shards"
_NAME: Final = re.compile(r"(\d{8}T\d{12}Z-[0-9a-f]{8})-\d{4}")
_PACKED: Final = pa.field("packed", pa.binary())
_LIST: Final = pa.schema([_PACKED]).append(pa.field("artifacts", pa.int64()))
_LINES: Final = 1000
"""Artifacts in a row of the list."""


def scan_of_shard(name: str) -> str:
    """Return the id of the scan that a shard belongs to.

    Raises:
        ValueError: The name is none of a shard.
    """
    matched = _NAME.fullmatch(name)
    if matched is None:
        raise ValueError("the parameter shard is no name of a shard: runs of scan-shards set it")
    return matched[1]


class Shards:
    """The shards of one root in a table."""

    def __init__(self, files: Files, records: JsonFiles, leases: Leases, folder: str) -> None:
        """Open the shards of a root; see `scanner.table.table.Table.shards`.

        Args:
            files: The table's files of the root.
            records: Who is at work on which shard.
            leases: The table's leases.
            folder: A temporary folder.
        """
        self._files, self._records, self._leases = files, records, leases
        self._folder = folder

    def offer(self, batch: Batch, scan: ScanInfo, number: int) -> str:
        """Write the list of what a shard has to examine.

        Args:
            batch: The artifacts.
            scan: The scan they belong to.
            number: Its number in the scan, below 10,000.

        Returns:
            Its name.

        Raises:
            StorageError: It cannot be written.
        """
        path = os.path.join(self._folder, "list.parquet")
        parts = batch.carried_parts(_LINES)
        rows = (pa.table([[part.packed], [part.count]], schema=_LIST) for part in parts)
        write_parquet(path, _LIST, rows)
        name = f"{scan.id}-{number:04}"
        self._files.publish(path, _PART, f"{name}-list")
        return name

    def read_list(self, name: str, root: str) -> Iterator[Artifact]:
        """Yield the artifacts of a shard.

        Args:
            name: Its name.
            root: The root that they lie below.

        Raises:
            StorageError: There is no such shard, it cannot be read, or it names something else.
        """
        for rows in self._read(f"{name}-list"):
            for row in rows.to_pylist():
                for artifact in CarriedBatch(row["packed"], row["artifacts"]).read():
                    urls = (artifact.url, *(item.url for item in artifact.objects))
                    if not all(_is_below(url, root) for url in urls):
                        raise self._broken(name, "names something that is not below the root")
                    yield artifact

    @contextmanager
    def work_at(self, name: str, attempt: int, flow_run: str) -> Iterator[None]:
        """Let it be known that this process is at work on a shard, as long as it lives.

        Args:
            name: Its name.
            attempt: How many runs have been started for it, with this one.
            flow_run: Id of the flow run.

        Raises:
            StorageError: It cannot be written.
        """
        with self._leases.hold(this_claimant(flow_run)) as lease:
            self._records.replace(f"{name}-{attempt}", {"lease": lease})
            yield

    def is_lost(self, name: str, attempt: int) -> bool:
        """Whether the process that was at work on a shard is gone without having said so.

        Raises:
            StorageError: It cannot be looked up.
        """
        record = self._records.read(f"{name}-{attempt}")
        held = record.get("lease") if record else None
        if not isinstance(held, str) or "/" in held:
            return False  # not begun yet
        lease = self._leases.find(held)
        return lease is not None and not lease.is_alive

    def complete(self, name: str, found: Publication) -> None:
        """Publish the results of a shard.

        Args:
            name: Its name.
            found: What a scan of its artifacts alone would publish.

        Raises:
            StorageError: They cannot be written.
        """
        self._files.publish(found.scans, _PART, f"{name}-scan")
        if found.sboms:
            self._files.publish(found.sboms, _PART, f"{name}-sboms")
        self._files.publish(found.artifacts, _PART, f"{name}-artifacts")

    def is_complete(self, name: str) -> bool:
        """Whether the results of a shard are there.

        Raises:
            StorageError: They cannot be looked up.
        """
        return self._files.exists(_PART, f"{name}-artifacts")

    def take(self, name: str, scan: ScanInfo, wanted: set[str]) -> Spooled:
        """Return the results of a complete shard as those of a scan.

        Args:
            name: Its name.
            scan: The scan that they become part of.
            wanted: The addresses that it had to examine; those among the results are removed.

        Raises:
            StorageError: They cannot be read, or are not what was asked for.
        """
        path = os.path.join(self._folder, name)
        at = pa.scalar(moment(scan.started_at), ARTIFACTS.field("scanned_at").type)

        def rows() -> Iterator[pa.Table]:
            for table in self._read(f"{name}-artifacts"):
                urls = texts(table, KEY)
                for url in urls:
                    if url not in wanted:
                        raise self._broken(name, "has results that nobody asked for")
                    wanted.remove(url)
                others = {*texts(table, "tool_version")} - {scan.tool_version}
                if others:
                    versions = f"by version {others.pop()} and not {scan.tool_version}"
                    raise self._broken(name, f"was examined {versions}")
                of_scan = _with(conform(table, ARTIFACTS), "scan_id", pa.scalar(scan.id))
                yield _with(of_scan, "scanned_at", at)

        def documents() -> Iterator[pa.Table]:
            if self._files.exists(_PART, f"{name}-sboms"):
                for table in self._read(f"{name}-sboms"):
                    yield _with(conform(table, SBOMS), "scan_id", pa.scalar(scan.id))

        write_run(f"{path}.artifacts", ARTIFACTS, rows())
        write_run(f"{path}.sboms", SBOMS, documents())
        counts: dict[str, Any] = next(self._read(f"{name}-scan")).to_pylist()[0]
        return Spooled(path, counts["artifacts"], counts["bytes_read"], counts["requests"])

    def clear(self, names: Sequence[str]) -> None:
        """Delete shards, and those that nobody took for a week.

        Raises:
            StorageError: They cannot be deleted.
        """
        for file in self._files.names(_PART):
            if file.rpartition("-")[0] in names or is_old(file):
                self._files.delete(_PART, file)
        for record in self._records.names():
            if record.rpartition("-")[0] in names or is_old(record):
                self._records.delete(record)

    def _read(self, file: str) -> Iterator[pa.Table]:
        with self._files.reading(), pq.ParquetFile(self._files.open(_PART, file)) as parquet:
            for group in range(parquet.num_row_groups):
                yield parquet.read_row_group(group)

    def _broken(self, name: str, what: str) -> StorageError:
        return StorageError("storage/failed", self._files.url, f"shard {name} of the table {what}")


def _is_below(url: str, root: str) -> bool:
    return url == root or url.startswith((f"{root.rstrip('/')}/", f"{root}{VERSION_MARK}"))


def _with(table: pa.Table, name: str, value: Any) -> pa.Table:
    """Return a table with one value in all rows of a column."""
    at = table.column_names.index(name)
    return table.set_column(at, table.field(at), pa.repeat(value, table.num_rows))
