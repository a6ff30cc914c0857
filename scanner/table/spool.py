"""Spool the results of a batch to files, so that its documents need not stay in memory."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.table.examined_rows import rows_of
from prefect_mutagen.scanner.table.rows import bare_document, stand_in_row
from prefect_mutagen.scanner.table.runs import open_run, read_run, to_table
from prefect_mutagen.scanner.table.schema import ARTIFACTS, SBOMS
from prefect_mutagen.scanner.table.staging import StagingWriter

__all__ = ["Spooled", "spool_results"]

_BUFFERED_ROWS: Final = 128
"""Fewer cost more: each batch has fifty columns, however few its rows."""
_BUFFERED_BYTES: Final = 1 << 20
"""Of metadata: one document may have megabytes."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """Spooled results, for `scanner.table.recording.Recording.adopt`."""

    path: str
    """Prefix of the files' paths."""
    artifacts: int
    bytes_read: int
    requests: int

    def rows(self) -> Iterator[pa.Table]:
        """Return the rows for ``artifacts/``."""
        return read_run(f"{self.path}.artifacts")

    def documents(self) -> Iterator[pa.Table]:
        """Return the rows for ``sboms/``."""
        return read_run(f"{self.path}.sboms")

    def keep(self, staging: StagingWriter) -> None:
        """Keep the results in a staging area, too; all of them are in memory at a time."""
        rows, documents = list(self.rows()), list(self.documents())
        if rows and documents:
            staging.add_rows(pa.concat_tables(rows), pa.concat_tables(documents))

    def delete(self) -> None:
        """Delete the files."""
        os.unlink(f"{self.path}.artifacts")
        os.unlink(f"{self.path}.sboms")


def spool_results(
    results: Iterable[ScanResult],
    scan: ScanInfo,
    path: str,
    staging: StagingWriter | None = None,
) -> Spooled:
    """Write results to files as they arrive.

    Args:
        results: Results of examined artifacts.
        scan: The scan they belong to.
        path: Prefix of the files' paths, in an existing folder.
        staging: Where results are kept besides, in case the scan is interrupted.
    """
    artifacts = bytes_read = requests = 0
    with (
        open_run(f"{path}.artifacts", ARTIFACTS) as write_rows,
        open_run(f"{path}.sboms", SBOMS) as write_documents,
    ):
        rows = _Buffer(write_rows, ARTIFACTS, lambda row, problem: stand_in_row(row, scan, problem))
        documents = _Buffer(write_documents, SBOMS, bare_document)
        for result in results:
            _, row, described = rows_of(result, scan)
            if staging is not None:
                staging.add(row, described)
            rows.add(row)
            for document in described:
                documents.add(document, sum(len(value) for _, value in document["metadata"]))
            artifacts += 1
            bytes_read += result.bytes_read
            requests += result.requests
        rows.flush()
        documents.flush()
    return Spooled(path, artifacts, bytes_read, requests)


class _Buffer:
    """Rows as Python objects, few enough for many task runs to hold some at a time."""

    def __init__(
        self,
        write: Callable[[pa.Table], None],
        schema: pa.Schema,
        stand_in: Callable[[dict[str, Any], Exception], dict[str, Any]],
    ) -> None:
        self._write, self._schema, self._stand_in = write, schema, stand_in
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0

    def add(self, row: dict[str, Any], size: int = 0) -> None:
        self._rows.append(row)
        self._bytes += size
        if len(self._rows) >= _BUFFERED_ROWS or self._bytes >= _BUFFERED_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._write(to_table(self._rows, self._schema, self._stand_in))
            self._rows, self._bytes = [], 0
