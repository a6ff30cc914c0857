"""The files of one scan, ready to be published."""

from collections.abc import Iterator
from dataclasses import dataclass

from prefect_mutagen.scanner.table.deltas import StateName

__all__ = ["Publication"]


@dataclass(frozen=True, slots=True)
class Publication:
    """The files of one scan, ready to be published by `scanner.table.table.Table.publish`."""

    scan_id: str
    source: str
    state: StateName
    """The state since this scan."""
    scans: str
    """Path of the row for ``scans/``."""
    sboms: str = ""
    """Path of the rows for ``sboms/``; empty if there are none."""
    artifacts: str = ""
    """Path of the rows for ``artifacts/``; empty if no whole state is written."""
    changes: str = ""
    """Path of the rows for ``changes/``; empty if no delta is written."""
    looked: str = ""
    """Path of the file for ``looked/``; empty if it is unchanged."""
    whole: bool = True
    """Whether the scan was about the whole root, so that what older scans left is of no use."""

    def files(self) -> Iterator[tuple[str, str, str]]:
        """Yield part, name and path of each file, in the order in which to publish them."""
        for part, path in (("sboms", self.sboms), ("looked", self.looked)):
            if path:
                yield part, self.scan_id, path
        if self.artifacts:
            yield "artifacts", self.scan_id, self.artifacts
        if self.changes:
            yield "changes", self.state.change_files[-1], self.changes
        yield "scans", self.scan_id, self.scans  # last: what it references exists
