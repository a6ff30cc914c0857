"""Plots as plain SVG: where their bars stand. The templates write them, and escape the texts."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from prefect_mutagen.scanner.outputs.page.contents import ScanCounts
from prefect_mutagen.scanner.outputs.page.counting import Bar

__all__ = ["Column", "Rect", "Trend", "shares", "trend_of"]

_WIDTH: Final = 600.0
_HEIGHT: Final = 96.0
_WIDEST: Final = 20.0
"""Width of a scan's place in the trend; with thirty scans they fill it."""
_GAP: Final = 4.0


class Rect(NamedTuple):
    """A part of a bar."""

    x: float
    y: float
    width: float
    height: float
    status: str


class Column(NamedTuple):
    """A scan in a trend."""

    x: float
    width: float
    scan: ScanCounts
    parts: tuple[Rect, ...]


class Trend(NamedTuple):
    """How many models did not pass in each of the last scans."""

    width: float
    height: float
    top: int
    """The number that the highest bar stands for."""
    least: int
    """Models of the smallest scan."""
    most: int
    columns: tuple[Column, ...]


def trend_of(scans: Sequence[ScanCounts]) -> Trend:
    """Draw what did not pass in each scan: refused models, upon them those that are unknown."""
    top = max((one.failed + one.unknown for one in scans), default=0)
    unit = (_HEIGHT - 1) / max(1, top)
    step = max(_WIDEST, _WIDTH / 30)
    columns = []
    for number, scan in enumerate(scans):
        x, width = round(number * step + _GAP / 2, 2), step - _GAP
        failed, unknown = (round(count * unit, 2) for count in (scan.failed, scan.unknown))
        parts = (
            Rect(x, round(_HEIGHT - failed, 2), width, failed, "failed"),
            Rect(x, round(_HEIGHT - failed - unknown, 2), width, unknown, "unknown"),
        )
        columns.append(Column(x, width, scan, tuple(part for part in parts if part.height)))
    models = [one.passed + one.failed + one.unknown for one in scans]
    sizes = min(models, default=0), max(models, default=0)
    return Trend(step * max(1, len(scans)), _HEIGHT, top, *sizes, tuple(columns))


def shares(bar: Bar, most: int) -> tuple[Rect, ...]:
    """Draw one bar of a facet, 100 wide for the largest one: refused, unknown, passed.

    Args:
        bar: The counts.
        most: Models of the largest bar.
    """
    parts, x = [], 0.0
    for status in ("failed", "unknown", "passed"):
        width = round(100 * getattr(bar, status) / max(1, most), 3)
        if width:
            parts.append(Rect(round(x, 3), 0, width, 1, status))
        x += width
    return tuple(parts)
