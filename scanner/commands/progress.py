"""A line of progress on stderr, if it is a terminal: examined of total, rate, time left."""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final

from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.reading_ahead import ReadingAhead
from prefect_mutagen.scanner.outputs.visible import short_size
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["Progress", "is_watched"]

_UPDATE_SECONDS: Final = 0.2
_RATE_SECONDS: Final = 10.0
"""The rate is that of the last seconds: examinations differ, and servers slow down."""
_LONGEST_BAR: Final = 30
_SHORTEST_BAR: Final = 10


def is_watched() -> bool:
    """Whether stderr is a terminal on which a line may be written over and over."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stderr.isatty() and not plain


class Progress:
    """Shows running counts from its own thread, since hashing a large object takes long."""

    def __init__(
        self, summary: Summary, *, shown: bool, clock: Callable[[], float] = monotonic
    ) -> None:
        """Start hidden; see `start`.

        Args:
            summary: The counts to show.
            shown: Whether to show the line at all.
            clock: Seconds since any moment.
        """
        self._summary = summary
        self._clock = clock
        self._hashed = 0
        self._root = ""
        self._before = 0
        self._kept: Callable[[], int] = int
        self._listing: ReadingAhead | None = None
        self._counts: deque[tuple[float, int]] = deque()
        self._shown = shown
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._update, name="progress", daemon=True)

    def add_hashed(self, _item: StoredObject, start: int, end: int) -> None:
        """Count hashed bytes; see `scanner.storage.hashing.HashProgress`."""
        self._hashed += end - start

    def start(self) -> None:
        """Show the line until `clear`."""
        if self._shown:
            self._thread.start()

    def start_root(self, number: int, of: int) -> None:
        """Begin with a root: totals are those of one root.

        Args:
            number: Its number, from 1.
            of: How many roots there are.
        """
        self._root = f"root {number} of {of}: " if of > 1 else ""
        self._listing = None
        self._before = self._summary.artifacts
        self._counts.clear()

    def watch(
        self, artifacts: Iterator[Artifact], kept: Callable[[], int] = int
    ) -> Iterator[Artifact]:
        """Return the artifacts to examine; where somebody looks, they are read ahead.

        Args:
            artifacts: Those of the root.
            kept: Returns how many of it were listed so far that need not be examined.
        """
        if not self._shown:
            return artifacts
        self._kept = kept
        self._listing = ReadingAhead(artifacts)
        return self._listing

    def line(self, columns: int | None = None) -> str:
        """Return the line as of now.

        Args:
            columns: How long it may be; None: as long as it gets.
        """
        done = self._summary.artifacts - self._before
        listing = self._listing
        total = listing.read if listing is not None and listing.is_complete else 0
        if total:
            done = min(done, total)  # those that were not examined are counted at the end
        rate = self._rate(done)
        noun = "artifact" if (total or done) == 1 else "artifacts"
        said = f"{done:,} of {total:,}" if total else f"{done:,}"
        parts = [f"{self._root}{said} {noun}"]
        if rate:
            parts.append(f"{rate:,.{0 if rate >= 10 else 1}f}/s")
        if rate and total > done:
            parts.append(f"{_clock_time((total - done) / rate)} left")
        parts.append(f"{self._summary.failed + self._summary.unknown:,} not passed")
        if self._hashed:
            parts.append(f"{short_size(self._hashed)} hashed")
        if listing is not None and not total:
            parts.append(f"{listing.read + self._kept():,} listed so far")
        while columns is not None and len(parts) > 1 and len(", ".join(parts)) > columns:
            parts.pop()
        text = ", ".join(parts)
        if columns is None:
            return text
        room = min(_LONGEST_BAR, columns - len(text) - 1)
        if total and room >= _SHORTEST_BAR:
            text = f"{_bar(done / total, room)} {text}"
        return text[:columns]

    def _rate(self, done: int) -> float:
        """Return artifacts a second of the last seconds; 0: nothing can be said yet."""
        now = self._clock()
        self._counts.append((now, done))
        while now - self._counts[0][0] > _RATE_SECONDS:
            self._counts.popleft()
        begun, before = self._counts[0]
        return (done - before) / (now - begun) if now > begun else 0.0

    def _update(self) -> None:
        while not self._stopped.wait(_UPDATE_SECONDS):
            sys.stderr.write(f"\r{self.line(_width())}\x1b[K")
            sys.stderr.flush()

    def clear(self) -> None:
        """Remove the line for good."""
        if self._shown and not self._stopped.is_set():
            self._stopped.set()
            self._thread.join()
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _bar(share: float, width: int) -> str:
    """Draw a bar in ASCII, which has the same width everywhere."""
    inner = width - 2
    done = int(min(1.0, share) * inner)
    return f"[{('=' * done + '>')[:inner]:<{inner}}]"


def _clock_time(seconds: float) -> str:
    """Return a time as 0:07, 12:30 or 3:04:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _width() -> int | None:
    """Return what fits beside the cursor: a line that wraps cannot be written over."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:
        return None
    return columns - 1 if columns > 1 else None
