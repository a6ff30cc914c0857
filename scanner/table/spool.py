"""Spool the results of a batch to files, so that its documents need not stay in memory."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.table.examined_rows import rows_of
from prefect_mutagen.scanner.table.rows import bare_document, stand_in_row
from prefect_mutagen.scanner.table.runs import Runs, read_run, write_run
from prefect_mutagen.scanner.table.schema import ARTIFACTS, SBOMS
from prefect_mutagen.scanner.table.staging import StagingWriter

__all__ = ["Spooled", "spool_results"]


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
    folder, name = os.path.split(path)
    rows = Runs(
        folder,
        f"{name}.rows",
        ARTIFACTS,
        lambda row, problem: stand_in_row(row, scan, problem),
    )
    documents = Runs(folder, f"{name}.documents", SBOMS, bare_document)
    bytes_read = requests = 0
    for result in results:
        _, row, described = rows_of(result, scan)
        if staging is not None:
            staging.add(row, described)
        rows.add(row)
        for document in described:
            documents.add_document(document)
        bytes_read += result.bytes_read
        requests += result.requests
    write_run(f"{path}.artifacts", ARTIFACTS, rows.tables())
    write_run(f"{path}.sboms", SBOMS, documents.tables())
    rows.clear()
    documents.clear()
    return Spooled(path, rows.rows, bytes_read, requests)
