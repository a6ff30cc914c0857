"""The staging areas that the task runs of one process write to, one for each scan."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.table.staging import Rescan, StagingWriter
from prefect_mutagen.tasks.recording import open_table

__all__ = ["join_staging"]

_SCANS: Final = 4
"""Scans whose writers are remembered between task runs: more are seldom under way."""

_writers: Final[dict[tuple[str, str], StagingWriter | None]] = {}
_lock: Final = threading.Lock()


@contextmanager
def join_staging(
    table: str,
    scan: ScanInfo,
    storage: str,
    rescan: Rescan,
    warn: Callable[[str], None],
    *,
    table_storage: str = "",
) -> Iterator[StagingWriter | None]:
    """Join the task runs that keep the results of a scan in the staging area of a table.

    Args:
        table: Address of the table; empty: there is none.
        scan: The scan.
        storage: Name of a block with the credentials; empty: those of the environment.
        rescan: What the scan examines.
        warn: Called with a sentence if nothing can be kept there.
        table_storage: Name of a block with the table's credentials; empty: none of its own.

    Yields:
        The writer; None without a table, or where it cannot be opened.
    """

    def opened() -> StagingWriter:
        files = open_table(table, scan.source, storage, table_storage).files
        return StagingWriter(files, scan, rescan, warn)

    writer = _writer((scan.id, table), opened, warn) if table else None
    if writer is None:
        yield None
        return
    with writer:
        yield writer


def _writer(
    key: tuple[str, str], opened: Callable[[], StagingWriter], warn: Callable[[str], None]
) -> StagingWriter | None:
    with _lock:
        if key not in _writers:
            try:
                _writers[key] = opened()
            except (StorageError, ValueError) as problem:
                _writers[key] = None
                warn(f"if this scan is interrupted, the next one begins anew: {problem}")
            for old in list(_writers)[:-_SCANS]:
                del _writers[old]
        return _writers[key]
