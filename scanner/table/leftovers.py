"""Delete what interrupted scans left in a table, once it is of no use.

A chunk of the staging area is of no use when the scan that wrote it is published, when a newer scan
of the whole root is, or after a week. What a killed writer left in the other parts is deleted after
a day, because until then it may belong to a scan that is being published.
"""

from collections import Counter

import pyarrow.compute as pc
import pyarrow.parquet as pq

from prefect_mutagen.scanner.table.files import Files
from prefect_mutagen.scanner.table.retention import Retention, referenced_ids, sweep_writers
from prefect_mutagen.scanner.table.staging import (
    PART,
    delete_staged,
    is_old,
    scan_of,
    staged_names,
)

__all__ = ["sweep"]


def sweep(files: Files, scan_id: str, retention: Retention, *, whole: bool) -> None:
    """Delete what is of no use after a scan was published.

    Args:
        files: The table's files of its root.
        scan_id: The scan.
        retention: What the table keeps; it has been applied.
        whole: Whether the scan was about the whole root.

    Raises:
        StorageError: Something cannot be looked up or deleted. Earlier deletions stay in effect.
    """
    scans = set(files.names("scans"))
    useless = [
        name
        for name in staged_names(files)
        if scan_of(name) in scans or (whole and scan_of(name) < scan_id) or is_old(name)
    ]
    delete_staged(files, useless)
    for other in files.other_roots(PART):
        delete_staged(other, [name for name in staged_names(other) if is_old(name)])
    _sweep_temporary(files, retention.grace_seconds)
    if retention.keeps_all:  # otherwise it has done the same
        sweep_writers(files, scans, retention, Counter())
        _sweep_documents(files, scans, retention.grace_seconds)


def _sweep_temporary(files: Files, grace_seconds: float) -> None:
    """Delete unfinished files in the parts that no retention is about."""
    for part in (PART, "looked"):
        for name in files.leftovers(part):
            if files.age(part, name) >= grace_seconds:
                files.delete(part, name)


def _sweep_documents(files: Files, scans: set[str], grace_seconds: float) -> None:
    """Delete the documents of scans that were never published.

    Documents without a scan may also be those of a scan that a retention deleted; states refer to
    them.
    """
    oldest = min(scans, default="")
    left = [
        name
        for name in files.names("sboms")
        if name not in scans and name > oldest and files.age("sboms", name) >= grace_seconds
    ]
    if not left:
        return
    referenced = referenced_ids(files)
    for name in left:
        with files.reading(), files.open("sboms", name) as opened:
            ids = pq.read_table(opened, columns=["sbom_id"])["sbom_id"]
        if not pc.any(pc.is_in(ids, referenced)).as_py():
            files.delete("sboms", name)
