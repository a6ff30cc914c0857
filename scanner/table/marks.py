"""What became of the rows of the previous state, a byte for each of them."""

from enum import IntEnum
from typing import Final

from prefect_mutagen.scanner.results import Drift

__all__ = ["DRIFT", "Mark"]


class Mark(IntEnum):
    """What a scan found out about a row of the previous state."""

    MISSING = 0
    """Not met so far; at the end of a scan: removed."""
    KEPT = 1
    """Unchanged: the row goes on."""
    REPLACED = 2
    """A new row stands for it, or it was removed in an earlier scan."""
    UNSELECTED = 3
    """Outside the selection: the scan says nothing about it."""


DRIFT: Final[tuple[Drift | None, ...]] = ("removed", "unchanged", None, "left-out")
"""For each mark, the drift of a row that goes on."""
