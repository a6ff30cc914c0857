"""Read and write the Parquet table as tasks."""

from collections.abc import Iterable, Mapping
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_mutagen.scanner.results import ScanInfo, ScanResult, Summary
from prefect_mutagen.scanner.table import Table
from prefect_mutagen.tasks.storage_blocks import storage_options

__all__ = ["read_state", "write_table"]

_OPTIONS: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}


def _open(table: str, source: str, storage: str) -> Table:
    """Open a table; the root's credentials are used when both lie in the same kind of storage."""
    same = table.partition("://")[0] == source.partition("://")[0]
    return Table(table, source, storage_options(storage) if same else {})


@task(name="read state", **_OPTIONS)
def read_state(table: str, source: str, storage: str = "") -> dict[str, ScanResult]:
    """Read the newest state of a root from the table.

    Args:
        table: Address of the table.
        source: The root.
        storage: Name of a block with the credentials; empty: the environment's.

    Returns:
        Results by address; empty when this is the first scan.

    Raises:
        StorageError: The table is there but cannot be read.
    """
    return _open(table, source, storage).read_state()


@task(name="write table", **_OPTIONS)
def write_table(
    table: str,
    scan: ScanInfo,
    results: Iterable[ScanResult],
    before: Mapping[str, ScanResult],
    summary: Summary,
    storage: str = "",
) -> dict[str, int]:
    """Publish a scan in the table: all of it, or nothing.

    Args:
        table: Address of the table.
        scan: What was asked.
        results: One result for every artifact.
        before: What `read_state` gave.
        summary: The scan's counts.
        storage: Name of a block with the credentials; empty: the environment's.

    Returns:
        How many artifacts were added, changed, removed and unchanged.

    Raises:
        StorageError: The table cannot be written.
    """
    return _open(table, scan.source, storage).write(scan, results, before, summary)
