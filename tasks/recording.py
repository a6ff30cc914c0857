"""Read and write the Parquet table as tasks."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.table.recording import Recording
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.state import State
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.tasks.storage_blocks import storage_options

__all__ = ["read_state", "write_table"]

_OPTIONS: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}


def _open(table: str, source: str, storage: str) -> Table:
    """Open a table; the root's credentials are used when both lie in the same kind of storage."""
    same = table.partition("://")[0] == source.partition("://")[0]
    return Table(table, source, storage_options(storage) if same else {})


@task(name="read state", **_OPTIONS)
def read_state(table: str, source: str, storage: str = "") -> State:
    """Open the newest state of a root in the table.

    Args:
        table: Address of the table.
        source: The root.
        storage: Name of a block with the credentials; empty: the environment's.

    Returns:
        The state; an empty one when this is the first scan.

    Raises:
        StorageError: The table is there but cannot be read.
    """
    return _open(table, source, storage).open_state()


@task(name="write table", **_OPTIONS)
def write_table(
    table: str,
    recording: Recording,
    summary: Summary,
    storage: str = "",
    retention: Retention = Retention(),
) -> None:
    """Publish a scan in the table, all of it or nothing; then delete what need not be kept.

    Args:
        table: Address of the table.
        recording: What the scan found, closed.
        summary: The scan's counts.
        storage: Name of a block with the credentials; empty: the environment's.
        retention: How much history the table keeps.

    Raises:
        StorageError: The table cannot be written.
    """
    opened = _open(table, recording.scan.source, storage)
    opened.publish(recording, summary)
    opened.prune(retention)
