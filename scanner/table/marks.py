"""Marks for the rows of the previous state, one byte each."""

from enum import IntEnum
from typing import Final

from prefect_mutagen.scanner.results import Drift

__all__ = ["DRIFT", "Mark"]


class Mark(IntEnum):
    """What a scan found about a row of the previous state."""

    MISSING = 0
    """Not listed so far; at the end of a scan: removed."""
    KEPT = 1
    """Unchanged: the row is carried over."""
    REPLACED = 2
    """Replaced by a new row, or removed in an earlier scan."""
    UNSELECTED = 3
    """Outside the selection; carried over unexamined."""


DRIFT: Final[tuple[Drift | None, ...]] = ("removed", "unchanged", None, "left-out")
"""The drift of a carried-over row, by mark."""
