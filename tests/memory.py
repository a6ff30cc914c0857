"""Measure what a call needs at its peak, in a process that was started small for it.

A child inherits ``ru_maxrss`` of its parent, getrusage(2), and memory that a process has freed
hides what it takes next. ``VmHWM`` belongs to the program that runs, and starts anew when 5 is
written to ``clear_refs``, proc(5).
"""

import gc
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["Peak", "high_water", "peak_apart"]

_T = TypeVar("_T")


class Peak:
    """What this process takes at most, beyond what it has at first."""

    def __init__(self) -> None:
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
        self._first = high_water()

    def megabytes(self) -> float:
        return (high_water() - self._first) / 1024


def high_water() -> int:
    """The most that this process has taken so far, in KiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def peak_apart(function: Callable[..., _T], *arguments: Any) -> tuple[float, _T]:
    """Call a function of a module in a new interpreter.

    Returns:
        The megabytes that the call took at its peak, and its result.
    """
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (function, arguments))


def _measure(function: Callable[..., _T], arguments: tuple[Any, ...]) -> tuple[float, _T]:
    peak = Peak()
    result = function(*arguments)
    return peak.megabytes(), result
