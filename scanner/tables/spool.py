"""Results of a batch in files, so that a thousand documents need not wait in memory."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from prefect_mutagen.scanner.results import ScanInfo, ScanResult
from prefect_mutagen.scanner.tables.rows import sbom_rows, to_row
from prefect_mutagen.scanner.tables.runs import Runs, read_run, write_run
from prefect_mutagen.scanner.tables.schema import ARTIFACTS, SBOMS

__all__ = ["Spooled", "spool_results"]


@dataclass(frozen=True, slots=True)
class Spooled:
    """Results in files; `prefect_mutagen.scanner.tables.recording.Recording.adopt` takes them."""

    path: str
    """What the files' names begin with."""
    artifacts: int
    bytes_read: int
    requests: int

    def rows(self) -> Iterator[pa.Table]:
        """Give the rows for ``artifacts/``."""
        return read_run(f"{self.path}.artifacts")

    def documents(self) -> Iterator[pa.Table]:
        """Give the rows for ``sboms/``."""
        return read_run(f"{self.path}.sboms")

    def delete(self) -> None:
        """Delete the files."""
        os.unlink(f"{self.path}.artifacts")
        os.unlink(f"{self.path}.sboms")


def spool_results(results: Iterable[ScanResult], scan: ScanInfo, path: str) -> Spooled:
    """Write results to files as they come.

    Args:
        results: Of artifacts that were examined.
        scan: The scan they belong to.
        path: What the files' names begin with, below a folder that exists.
    """
    folder, name = os.path.split(path)
    rows = Runs(folder, f"{name}.rows", ARTIFACTS)
    documents = Runs(folder, f"{name}.documents", SBOMS)
    bytes_read = requests = 0
    for result in results:
        rows.add(to_row(result, scan))
        for document in sbom_rows(result, scan):
            documents.add_document(document)
        bytes_read += result.bytes_read
        requests += result.requests
    write_run(f"{path}.artifacts", ARTIFACTS, rows.tables())
    write_run(f"{path}.sboms", SBOMS, documents.tables())
    rows.clear()
    documents.clear()
    return Spooled(path, rows.rows, bytes_read, requests)
