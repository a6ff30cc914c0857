"""Shards of a scan: artifacts that another machine examines, handed over through the table.

``shards/`` has three files for each: what to examine, then the documents, then the rows, which are
there only when the shard is complete. A shard is named by a digest of what it is about, so a scan
that is repeated after one of its machines died finds what the others have done.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.manifest import Batch, CarriedBatch
from prefect_mutagen.scanner.table.files import Files
from prefect_mutagen.scanner.table.publication import Publication
from prefect_mutagen.scanner.table.rows import moment, plain_policy
from prefect_mutagen.scanner.table.runs import KEY, texts, write_parquet, write_run
from prefect_mutagen.scanner.table.schema import ARTIFACTS, SBOMS, conform
from prefect_mutagen.scanner.table.spool import Spooled

__all__ = ["Shards"]

_PART: Final = "shards"
_PACKED: Final = pa.field("packed", pa.binary())
_LIST: Final = pa.schema([_PACKED]).append(pa.field("artifacts", pa.int64()))
_LINES: Final = 1000
"""Artifacts in a row of the list."""
_WEEK: Final = 7 * 86_400.0


class Shards:
    """The shards of one root in a table."""

    def __init__(self, files: Files, folder: str) -> None:
        """Open the shards of a root.

        Args:
            files: The table's files of the root.
            folder: A temporary folder.
        """
        self._files, self._folder = files, folder

    def offer(self, batch: Batch, scan: ScanInfo, about: Sequence[str]) -> str:
        """Write the list of what a shard has to examine.

        Args:
            batch: The artifacts.
            scan: The scan they belong to.
            about: What else its results depend on.

        Returns:
            Its name.

        Raises:
            StorageError: It cannot be written.
        """
        given = scan.source, scan.tool_version, plain_policy(scan.policy), *about
        digest = hashlib.sha256(json.dumps(given, sort_keys=True).encode())
        path = os.path.join(self._folder, "list.parquet")

        def rows() -> Iterator[pa.Table]:
            for part in batch.carried_parts(_LINES):
                digest.update(part.packed)
                yield pa.table([[part.packed], [part.count]], schema=_LIST)

        write_parquet(path, _LIST, rows())
        name = digest.hexdigest()[:32]
        self._files.publish(path, _PART, f"{name}-list")
        return name

    def read_list(self, name: str) -> Iterator[Artifact]:
        """Yield the artifacts of a shard.

        Raises:
            StorageError: There is no such shard, or it cannot be read.
        """
        for rows in self._read(f"{name}-list"):
            for row in rows.to_pylist():
                yield from CarriedBatch(row["packed"], row["artifacts"]).read()

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

    def take(self, name: str, scan: ScanInfo, seen: set[str]) -> Spooled:
        """Return the results of a complete shard as those of a scan.

        Args:
            name: Its name.
            scan: The scan that they become part of.
            seen: The addresses of the artifacts among them are added to it.

        Raises:
            StorageError: They cannot be read.
        """
        path = os.path.join(self._folder, name)
        at = pa.scalar(moment(scan.started_at), ARTIFACTS.field("scanned_at").type)

        def rows() -> Iterator[pa.Table]:
            for table in self._read(f"{name}-artifacts"):
                seen.update(texts(table, KEY))
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
            if file.partition("-")[0] in names or self._files.age(_PART, file) > _WEEK:
                self._files.delete(_PART, file)

    def _read(self, file: str) -> Iterator[pa.Table]:
        with self._files.reading(), pq.ParquetFile(self._files.open(_PART, file)) as parquet:
            for group in range(parquet.num_row_groups):
                yield parquet.read_row_group(group)


def _with(table: pa.Table, name: str, value: Any) -> pa.Table:
    """Return a table with one value in all rows of a column."""
    at = table.column_names.index(name)
    return table.set_column(at, table.field(at), pa.repeat(value, table.num_rows))
