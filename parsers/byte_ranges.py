"""Ask for ranges anywhere in a file: the protocol of readers that do not read from front to back.

`NeedBytes` serves formats whose header comes first. A ZIP archive is opened from its end, and a
pickle's large byte strings are passed over. Such a reader yields `NeedRanges`: sorted, disjoint
ranges, those close to each other already joined, so that the caller sends one ranged read for each
and nothing else has to be coalesced::

    reader = read_pickle(size)
    answer = reader.feed(())
    while isinstance(answer, NeedRanges):
        answer = reader.feed([(part.start, fetch(part)) for part in answer.ranges])

Inside, a reader is a generator that yields these requests and takes what it needs from `Pieces`,
where the received bytes wait. Nothing recurses, and no bytes are held after they were walked.
"""

from collections.abc import Generator, Iterable
from typing import Final, Generic, NamedTuple, TypeVar

from prefect_mutagen.parsers.rules import make_error

__all__ = ["Budget", "ByteRange", "NeedRanges", "Pieces", "RangeReader", "Reads", "coalesce"]

_T = TypeVar("_T")

GAP: Final = 64 << 10
"""Ranges closer to each other than this are one: a request costs more than these bytes."""


class ByteRange(NamedTuple):
    """Bytes of a file from ``start`` up to, not including, ``stop``."""

    start: int
    stop: int


class NeedRanges(NamedTuple):
    """The reader cannot continue before it has these bytes of the file."""

    ranges: tuple[ByteRange, ...]
    """Sorted, disjoint, within the file; each is worth one request. More bytes are welcome."""


Reads = Generator[NeedRanges, None, _T]
"""A computation that asks for bytes on its way to a result."""


def coalesce(ranges: Iterable[ByteRange], gap: int = GAP) -> tuple[ByteRange, ...]:
    """Sort ranges and join those that overlap or are close to each other.

    Args:
        ranges: In any order; empty ones are left out.
        gap: Largest number of bytes between two ranges that are joined.
    """
    joined: list[ByteRange] = []
    for part in sorted(part for part in ranges if part.stop > part.start):
        if joined and part.start - joined[-1].stop <= gap:
            joined[-1] = ByteRange(joined[-1].start, max(joined[-1].stop, part.stop))
        else:
            joined.append(part)
    return tuple(joined)


class Budget:
    """What reading one file may cost; a file that needs more is not examined to its end.

    Attributes:
        requests: Ranges asked for so far.
        bytes_read: Bytes asked for so far.
        inflated: Bytes that came out of compressed data so far.
    """

    __slots__ = ("_bytes", "_inflated", "_requests", "bytes_read", "inflated", "requests")

    def __init__(self, requests: int, size: int, inflated: int) -> None:
        """Set the limits: number of ranges, their bytes, and bytes after decompression."""
        self._requests, self._bytes, self._inflated = requests, size, inflated
        self.requests = self.bytes_read = self.inflated = 0

    def spend(self, ranges: tuple[ByteRange, ...]) -> None:
        """Count ranges before they are requested.

        Raises:
            UnsupportedError: They are more than may be read.
        """
        requests = self.requests + len(ranges)
        size = self.bytes_read + sum(part.stop - part.start for part in ranges)
        if requests > self._requests or size > self._bytes:
            raise make_error(
                "pickle/unexamined",
                offset=ranges[0].start,
                field="content",
                expected=f"at most {self._requests} reads and {self._bytes} bytes",
                found=f"the file needs at least {requests} reads and {size} bytes",
            )
        self.requests, self.bytes_read = requests, size

    def inflate(self, count: int, offset: int) -> None:
        """Count decompressed bytes.

        Raises:
            UnsupportedError: They are more than are looked at.
        """
        self.inflated += count
        if self.inflated > self._inflated:
            raise make_error(
                "pickle/unexamined",
                offset=offset,
                field="compressed data",
                expected=f"at most {self._inflated} bytes after decompression",
                found="more",
            )


class Pieces:
    """Received parts of a file, until they have been walked."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        """Start without any bytes."""
        self._pieces: list[tuple[int, bytes]] = []

    def add(self, start: int, data: bytes) -> None:
        """Keep bytes that were received."""
        if data:
            self._pieces.append((start, data))
            self._pieces.sort(key=lambda piece: piece[0])

    def find(self, start: int, stop: int) -> bytes:
        """Return what is there of a range, from its start without a gap; b"" if nothing is."""
        parts: list[bytes] = []
        at = start
        for first, data in self._pieces:
            if at >= stop or first > at:
                break
            if first + len(data) > at:
                part = data[at - first : stop - first]
                parts.append(part)
                at += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def forget(self, start: int, stop: int) -> None:
        """Drop the pieces that lie within a range."""
        self._pieces = [
            (first, data)
            for first, data in self._pieces
            if not (start <= first and first + len(data) <= stop)
        ]


class RangeReader(Generic[_T]):
    """State machine that reads one file by ranges; feed it until it returns a header.

    Attributes:
        budget: What has been asked for so far.
    """

    __slots__ = ("_pieces", "_result", "_running", "budget")

    def __init__(self, running: Reads[_T], pieces: Pieces, budget: Budget) -> None:
        """Start without any bytes.

        Args:
            running: What takes the bytes that it asks for, and returns the header.
            pieces: Where it takes them from.
            budget: What it asks within.
        """
        self._running, self._pieces, self.budget = running, pieces, budget
        self._result: tuple[_T] | None = None

    def feed(self, parts: Iterable[tuple[int, bytes]]) -> NeedRanges | _T:
        """Take bytes of the file.

        Args:
            parts: Offset and bytes of each part: all ranges that were asked for, and any others.

        Returns:
            `NeedRanges`, or the header. A header is final: it holds everything that could be read,
            and its ``errors`` hold what is wrong.
        """
        if self._result is not None:
            return self._result[0]
        for start, data in parts:
            self._pieces.add(start, data)
        try:
            return next(self._running)
        except StopIteration as stop:
            self._result = (stop.value,)
            self._pieces.forget(0, 1 << 62)
        return self._result[0]
