"""Publish scans in the Parquet table, as tasks."""

from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import MissingContextError
from prefect.logging import get_logger

from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.storage.secret_parts import refuse_secrets
from prefect_mutagen.scanner.table.highlights import Highlights
from prefect_mutagen.scanner.table.publication import Publication
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.table.table_scan import TableScan, publish
from prefect_mutagen.tasks.assets import assets_of, materializing
from prefect_mutagen.tasks.quiet_ends import ends_quietly
from prefect_mutagen.tasks.quoting import opens_quoted
from prefect_mutagen.tasks.storage_blocks import table_options

__all__ = ["open_table", "publish_scan", "publishing", "write_table"]

_OPTIONS: dict[str, Any] = {
    "name": "write table",
    "cache_policy": NO_CACHE,
    "persist_result": False,
}


def open_table(table: str, source: str, storage: str = "", table_storage: str = "") -> Table:
    """Open a table, with its own credentials or those of the root; see `table_options`.

    Args:
        table: Address of the table.
        source: The root.
        storage: Name of a block with the root's credentials; empty: those of the environment.
        table_storage: Name of a block with the table's; empty: it has none of its own.

    Raises:
        ValueError: An address holds a secret.
    """
    for name, address in (("table", table), ("source", source)):
        refuse_secrets(address, f"the parameter {name}")
    return Table(table, source, table_options(table, source, storage, table_storage))


@task(**_OPTIONS)
@ends_quietly
def write_table(
    table: str,
    results: list[ScanResult],
    source: str,
    policy: Policy = Policy(),
    storage: str = "",
    retention: Retention = Retention(),
) -> dict[str, int]:
    """Publish the results of all artifacts below a root, then apply the retention.

    Args:
        table: Address of the table.
        results: One for every artifact; artifacts without one are recorded as removed.
        source: The root.
        policy: The policy they were judged by.
        storage: Name of a block with the credentials; empty: those of the environment.
        retention: How much history the table keeps.

    Returns:
        Numbers of added, changed, removed and unchanged artifacts.

    Raises:
        StorageError: The table cannot be read or written; nothing of this scan is visible then.
    """
    opened, summary = open_table(table, source, storage), Summary()
    with TableScan(new_scan(source, policy), opened) as scan:
        for result in results:
            summary.add(scan.recording.add(result))
        scan.finish(summary)
        _warn(publish(opened, scan.prepare(summary), retention))
        return dict(scan.recording.drift)


@task(**_OPTIONS)
@ends_quietly
@opens_quoted
def publish_scan(
    table: str,
    publication: Publication,
    storage: str = "",
    retention: Retention = Retention(),
    table_storage: str = "",
) -> None:
    """Publish a scan in the table atomically, then apply the retention.

    Args:
        table: Address of the table.
        publication: The scan's files.
        storage: Name of a block with the credentials; empty: those of the environment.
        retention: How much history the table keeps.
        table_storage: Name of a block with the table's credentials; empty: none of its own.

    Raises:
        StorageError: The table cannot be written.
    """
    opened = open_table(table, publication.source, storage, table_storage)
    _warn(publish(opened, publication, retention))


def publishing(highlights: Highlights, source: str, table: str) -> Any:
    """Return `publish_scan` as a task whose runs materialise what a scan makes as assets.

    Args:
        highlights: What of the scan is worth showing.
        source: The root.
        table: Address of the table.
    """
    return materializing(publish_scan, assets_of(highlights, source, table), source, **_OPTIONS)


def _warn(remark: str) -> None:
    if remark:
        try:
            get_run_logger().warning("%s", remark)
        except MissingContextError:
            get_logger("mutagen").warning("%s", remark)
