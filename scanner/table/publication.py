"""The files of one scan, ready to be published."""

from dataclasses import dataclass

__all__ = ["Publication"]


@dataclass(frozen=True, slots=True)
class Publication:
    """The files of one scan, ready to be published by `scanner.table.table.Table.publish`."""

    scan_id: str
    source: str
    documents: str
    """Path of the rows for ``sboms/``; empty if there are none."""
    artifacts: str
    """Path of the rows for ``artifacts/``; empty if the state is unchanged."""
    scans: str
    """Path of the row for ``scans/``."""
    looked: str = ""
    """Path of the file for ``looked/``; empty if it is unchanged."""
