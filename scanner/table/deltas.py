"""Deltas: what a scan changed, instead of the whole state written again.

A state is a file in ``artifacts/``, which has every artifact, and the files in ``changes/`` that
build on it, each with the rows that one scan added, changed, removed or judged anew. The row of a
scan names them all, so which files form a state never has to be guessed, and two scans at once
cannot mix theirs. Readers that know no deltas see the state that they build on: older, but whole.
"""

from typing import Final, NamedTuple

__all__ = ["StateName", "base_of", "is_worthwhile"]

_LEAST_ROWS: Final = 1_000
"""Below this, a whole state is hardly larger than a delta: 10 KB of a file describe its columns."""
_MOST_CHANGES: Final = 50
"""Files of deltas that a reader has to open; with a scan an hour, a state lasts two days."""
_PART: Final = 0.25
"""Rows of all deltas, as a part of the state's: what a reader has to merge."""
_BETWEEN: Final = "_"


class StateName(NamedTuple):
    """Which files form a state."""

    scan_id: str = ""
    """The scan that wrote its file in ``artifacts/``; empty before the first scan."""
    changes: tuple[str, ...] = ()
    """The scans that wrote its files in ``changes/``, in order."""

    def after(self, scan_id: str) -> "StateName":
        """Return the name with one more delta."""
        return StateName(self.scan_id, (*self.changes, scan_id))

    @property
    def last_scan_id(self) -> str:
        """The scan that wrote its last file, and thus the state as it is."""
        return self.changes[-1] if self.changes else self.scan_id

    @property
    def change_files(self) -> list[str]:
        """Names of its files in ``changes/``: each starts with what it builds on."""
        return [f"{self.scan_id}{_BETWEEN}{scan_id}" for scan_id in self.changes]


def base_of(name: str) -> tuple[str, str]:
    """Return which state a file in ``changes/`` builds on, and the scan that wrote it."""
    base, _, scan_id = name.partition(_BETWEEN)
    return base, scan_id


def is_worthwhile(known: StateName, rows: int, changed: int) -> bool:
    """Whether to write a delta rather than the whole state.

    Args:
        known: The state it would build on.
        rows: Rows of that state's file in ``artifacts/``.
        changed: Rows of its deltas, and of the new one.
    """
    if rows < _LEAST_ROWS or len(known.changes) >= _MOST_CHANGES:
        return False
    return changed <= rows * _PART
