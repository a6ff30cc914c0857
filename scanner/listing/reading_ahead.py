"""Read a listing ahead of its examination, so that it is known early how much there is to do.

Listings are lazy: an examination takes an artifact when it has room for one, and the last is known
only when nearly all are examined. `ReadingAhead` uses the time in which nothing is asked of it, as
much as an examination took since it was given the last artifact. So an examination that waits for
the listing is never kept waiting by it, and the others lose nothing: what is read ahead would have
been read later.
"""

import pickle
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from tempfile import TemporaryFile
from time import perf_counter
from typing import IO, Final, Self

from prefect_mutagen.scanner.listing.artifacts import Artifact

__all__ = ["ReadingAhead"]

_CHUNK: Final = 256
"""Artifacts that are written together: what those of a folder share is written once."""


class ReadingAhead:
    """An iterator over a listing that may know its length before it is exhausted.

    What was read and not asked for lies in a temporary file, but for some hundred artifacts.

    Attributes:
        taken: Artifacts that were asked for.
        read: Artifacts that were read.
        is_complete: Whether all were read.
    """

    def __init__(
        self, listing: Iterator[Artifact], clock: Callable[[], float] = perf_counter
    ) -> None:
        """Read nothing yet.

        Args:
            listing: What to read ahead.
            clock: Seconds since any moment.
        """
        self.taken = self.read = 0
        self.is_complete = False
        self._listing = listing
        self._clock = clock
        self._given_at: float | None = None
        self._first: deque[Artifact] = deque()
        self._last: list[Artifact] = []
        self._chunks: deque[tuple[int, int]] = deque()
        self._file: IO[bytes] | None = None
        self._size = 0
        self._end: Exception = StopIteration()

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> Artifact:
        """Return the next artifact, after reading ahead for as long as nobody asked.

        Raises:
            StopIteration: There is none left.
            Exception: What the listing raised, after all that it gave before.
        """
        now = self._clock()
        until = now + (now - self._given_at if self._given_at is not None else 0)
        while not self.is_complete and self._clock() < until:
            self._read_one()
        if self.taken == self.read and not self.is_complete:
            self._read_one()
        if self.taken == self.read:
            self.close()
            raise self._end
        artifact = self._take()
        self._given_at = self._clock()
        return artifact

    def close(self) -> None:
        """Delete the temporary file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read_one(self) -> None:
        try:
            artifact = next(self._listing)
        except Exception as problem:  # noqa: BLE001 - raised at its place, whatever it is
            self._end, self.is_complete = problem, True
            return
        self.read += 1
        self._last.append(artifact)
        if len(self._last) == _CHUNK:
            self._write()

    def _write(self) -> None:
        """Move what was read last to the file."""
        if self._file is None:
            self._file = TemporaryFile()  # noqa: SIM115 - closed when all is read back
        packed = zlib.compress(pickle.dumps(self._last, pickle.HIGHEST_PROTOCOL), 1)
        self._file.seek(self._size)
        self._file.write(packed)
        self._chunks.append((self._size, len(packed)))
        self._size += len(packed)
        self._last = []

    def _take(self) -> Artifact:
        if not self._first:
            if self._chunks and self._file is not None:
                start, size = self._chunks.popleft()
                self._file.seek(start)
                packed = self._file.read(size)
                self._first.extend(pickle.loads(zlib.decompress(packed)))  # noqa: S301 - our own
            else:
                self._first.extend(self._last)
                self._last = []
        self.taken += 1
        return self._first.popleft()
