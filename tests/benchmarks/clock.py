"""Time functions against each other in one run, and print their ratios."""

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Table", "median"]


def median(
    function: Callable[[], Any],
    seconds: float = 0.5,
    least: int = 5,
    timer: Callable[[], float] = time.perf_counter,
) -> float:
    """Give the median seconds of one call, over half a second of calls or more.

    Args:
        function: What to call.
        seconds: Time to call it for.
        least: Number of calls, however long they take.
        timer: ``time.process_time`` leaves out what other programs take.
    """
    function()
    gc.collect()
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < deadline:
        start = timer()
        function()
        times.append(timer() - start)
    return statistics.median(times)


class Table:
    """Lines of what was measured, each against a rival of the same run."""

    def __init__(self, title: str) -> None:
        self._rows: list[tuple[str, str, str, str, str]] = []
        self._title = title

    def add(self, what: str, ours: float, rival: str, theirs: float | None, goal: str) -> None:
        """Add a line; ``theirs`` is None for a rival that is not here."""
        if theirs is None:
            self._rows.append((what, _time(ours), rival, "not here", goal))
        else:
            ratio = f"{theirs / ours:.1f} times faster" if theirs > ours else f"{ours / theirs:.2f}"
            self._rows.append((what, _time(ours), f"{rival} {_time(theirs)}", ratio, goal))

    def say(self, what: str, value: str, goal: str) -> None:
        """Add a line without a rival."""
        self._rows.append((what, value, "", "", goal))

    def print(self) -> None:
        """Print all lines."""
        heading = ("what", "ours", "rival", "ratio", "goal")
        widths = [max(len(row[n]) for row in [*self._rows, heading]) for n in range(5)]
        print(f"\n{self._title}")
        for row in (heading, *self._rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))


def _time(seconds: float) -> str:
    for limit, factor, unit in ((1e-3, 1e6, "us"), (1.0, 1e3, "ms")):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"
