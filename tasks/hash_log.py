"""Log the progress of hashing large objects: a terabyte takes hours."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.outputs.visible import short_size, visible
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["HashLog"]

_LOG_SECONDS: Final = 30.0


class HashLog:
    """Writes at most one line every half minute, and one at the end; for one task run.

    `add_hashed` is thread-safe.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        every: float = _LOG_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the clock.

        Args:
            write: Writes a line.
            every: Minimum seconds between two lines.
            clock: Returns the time in seconds.
        """
        self._write = write
        self._every = every
        self._clock = clock
        self._last = clock()
        self._lock = threading.Lock()
        self._total = self._hashed = self._objects = 0
        self._newest = ""

    def watch(self, artifacts: Iterable[Artifact]) -> Iterator[Artifact]:
        """Yield artifacts unchanged, and add up the bytes to hash."""
        for artifact in artifacts:
            self._total += sum(max(0, item.size) for item in artifact.objects)
            yield artifact

    def add_hashed(self, item: StoredObject, start: int, end: int) -> None:
        """Count a hashed range; see `scanner.storage.hashing.HashProgress`."""
        with self._lock:
            self._hashed += end - start
            self._objects += end >= item.size
            self._newest = item.url
            now = self._clock()
            if now - self._last < self._every:
                return
            self._last = now
            line = f"hashed {short_size(self._hashed)} of {short_size(self._total)}"
        place = f"{short_size(end)} of {short_size(item.size)}"
        self._write(f"{line}, now {place} of {visible(storable(item.url), 500)}")

    def close(self) -> None:
        """Write the last line, if anything was hashed."""
        if self._hashed:
            what = f"{self._objects} files" if self._objects != 1 else visible(self._newest, 500)
            self._write(f"hashed {what}, {short_size(self._hashed)}")
