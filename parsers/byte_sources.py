"""Where a walker's bytes come from: a part of the file, bytes in memory, or compressed data.

A short answer means the end of the data. Offsets count from the start of the source; `locate` turns
one into the offset in the file that a finding names.
"""

import bz2
import lzma
import zlib
from typing import Final, Protocol

from prefect_mutagen.parsers.byte_ranges import Budget, ByteRange, NeedRanges, Pieces, Reads
from prefect_mutagen.parsers.errors import HeaderError, shown
from prefect_mutagen.parsers.rules import make_error

__all__ = ["UNKNOWN_SIZE", "FilePart", "Inflated", "Memory", "Source", "decompressor_of"]

_STEP: Final = 1 << 16
_LZMA_MEMORY: Final = 128 << 20
UNKNOWN_SIZE: Final = 1 << 62
"""Size of compressed data that does not say how long it is."""


class Source(Protocol):
    """Bytes that can be read by offset."""

    size: int
    """Number of bytes, or `UNKNOWN_SIZE`."""
    label: str
    """Name of the entry for messages; empty for the file itself."""

    def read(self, start: int, stop: int, ahead: int = 0) -> Reads[bytes]:
        """Read a range, and up to ``ahead`` if that costs no further request.

        Returns:
            At least the bytes from ``start`` to ``stop``; fewer only at the end of the data.
        """
        ...

    def forget(self, upto: int) -> None:
        """Drop what lies before an offset."""
        ...

    def locate(self, offset: int) -> int:
        """Return the offset in the file; inside compressed data, where that starts."""
        ...


class FilePart:
    """A part of the file itself, or all of it."""

    __slots__ = ("_budget", "_pieces", "base", "label", "size")

    def __init__(
        self, pieces: Pieces, budget: Budget, base: int, size: int, label: str = ""
    ) -> None:
        """Take ``size`` bytes from offset ``base``."""
        self._pieces, self._budget = pieces, budget
        self.base, self.size, self.label = base, size, label

    def read(self, start: int, stop: int, ahead: int = 0) -> Reads[bytes]:
        """Read a range; see `Source`."""
        stop = min(stop, self.size)
        ahead = min(max(ahead, stop), self.size)
        if not 0 <= start < stop:
            return b""
        data = self._pieces.find(self.base + start, self.base + ahead)
        if len(data) < stop - start:
            have = len(data)
            yield from self.prefetch((ByteRange(start + have, ahead),))
            data = self._pieces.find(self.base + start, self.base + ahead)
        return data

    def prefetch(self, ranges: tuple[ByteRange, ...]) -> Reads[None]:
        """Request ranges of this part at once."""
        moved = tuple(ByteRange(self.base + part.start, self.base + part.stop) for part in ranges)
        self._budget.spend(moved)
        yield NeedRanges(moved)

    def missing(self, start: int, stop: int) -> ByteRange:
        """Return the part of a range that has not been received; empty if all of it has."""
        have = len(self._pieces.find(self.base + start, self.base + stop))
        return ByteRange(start + have, min(stop, self.size))

    def part(self, start: int, size: int, label: str) -> "FilePart":
        """Return a part of this part."""
        return FilePart(self._pieces, self._budget, self.base + start, size, label)

    def forget(self, upto: int) -> None:
        """Drop what lies before an offset."""
        self._pieces.forget(self.base, self.base + upto)

    def locate(self, offset: int) -> int:
        """Return the offset in the file."""
        return self.base + offset


class Memory:
    """Bytes that are held, because they have to be read in any order."""

    __slots__ = ("_at", "_data", "label", "size")

    def __init__(self, data: bytes, at: int, label: str) -> None:
        """Hold bytes that came from compressed data at a file offset."""
        self._data, self._at = data, at
        self.size, self.label = len(data), label

    def read(self, start: int, stop: int, ahead: int = 0) -> Reads[bytes]:
        """Read a range; see `Source`."""
        yield from ()
        return self._data[start : max(stop, ahead)]

    def prefetch(self, ranges: tuple[ByteRange, ...]) -> Reads[None]:
        """Do nothing: all bytes are here."""
        del ranges
        yield from ()

    def missing(self, start: int, stop: int) -> ByteRange:
        """Return an empty range: all bytes are here."""
        del stop
        return ByteRange(start, start)

    def part(self, start: int, size: int, label: str) -> "Memory":
        """Return a part of these bytes."""
        return Memory(self._data[start : start + size], self._at, label)

    def forget(self, upto: int) -> None:
        """Keep everything."""

    def locate(self, offset: int) -> int:
        """Return where the compressed data starts."""
        del offset
        return self._at


class _Zlib:
    """The interface of the other decompressors for zlib's, which bounds its output otherwise."""

    def __init__(self, wbits: int) -> None:
        self._real = zlib.decompressobj(wbits)
        self._wbits = wbits
        self._pending = b""

    @property
    def eof(self) -> bool:
        return self._real.eof and not self._again()

    def _again(self) -> bool:
        """Whether another gzip member follows; gzip and joblib read on."""
        rest = self._real.unused_data
        if self._wbits <= 31 - 16 or not rest.startswith(b"\x1f\x8b"):
            return False
        self._pending, self._real = rest, zlib.decompressobj(self._wbits)
        return True

    @property
    def needs_input(self) -> bool:
        return not self._pending

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._real.decompress(self._pending + data, max_length)
        self._pending = self._real.unconsumed_tail
        return out


_Decompressor = _Zlib | bz2.BZ2Decompressor | lzma.LZMADecompressor


def decompressor_of(kind: str) -> _Decompressor | None:
    """Return a decompressor for a kind of compression; None for one that is not read here.

    Args:
        kind: ``deflate``, ``zlib``, ``gzip``, ``bzip2`` or ``xz``.
    """
    if kind == "bzip2":
        return bz2.BZ2Decompressor()
    if kind == "xz":
        return lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)
    bits = {"deflate": -15, "zlib": 15, "gzip": 31}.get(kind)
    return None if bits is None else _Zlib(bits)


class Inflated:
    """Compressed data, read from front to back in bounded memory.

    Attributes:
        crc: CRC-32 of what came out so far.
        produced: Number of bytes that came out so far.
        finished: Whether the compressed data came to its proper end.
    """

    __slots__ = (
        "_budget",
        "_buffer",
        "_decompressor",
        "_inner",
        "_inner_at",
        "_start",
        "crc",
        "finished",
        "label",
        "produced",
        "size",
    )

    def __init__(self, inner: Source, budget: Budget, kind: str, size: int = UNKNOWN_SIZE) -> None:
        """Decompress a source.

        Args:
            inner: The compressed bytes.
            budget: Counts what comes out.
            kind: See `decompressor_of`.
            size: Number of bytes that have to come out, if that is stated.
        """
        decompressor = decompressor_of(kind)
        if decompressor is None:
            raise make_error(
                "pickle/unreadable",
                offset=inner.locate(0),
                field=shown(inner.label) if inner.label else "content",
                expected="deflate, gzip, bzip2 or xz",
                found=f"{kind} compression, which this tool does not read",
            )
        self._decompressor: _Decompressor = decompressor
        self._inner, self._budget = inner, budget
        self._inner_at = self._start = 0
        self._buffer = bytearray()
        self.size, self.label = size, inner.label
        self.crc = self.produced = 0
        self.finished = False

    def read(self, start: int, stop: int, ahead: int = 0) -> Reads[bytes]:
        """Read a range that does not start before the last one; see `Source`."""
        del ahead
        if start < self._start:
            raise self.problem("data that is read once", "data that has to be read twice")
        while self._start + len(self._buffer) < stop and not self.finished:
            self.drop(start)
            if not (yield from self._step()):
                break
        self.drop(start)
        first = start - self._start
        return bytes(self._buffer[first : first + stop - start])

    def drop(self, upto: int) -> None:
        """Drop buffered bytes before an offset."""
        count = min(max(0, upto - self._start), len(self._buffer))
        del self._buffer[:count]
        self._start += count

    def _step(self) -> Reads[bool]:
        """Decompress a step; return whether there may be more."""
        decompressor = self._decompressor
        data = b""
        if decompressor.needs_input:
            at = self._inner_at
            data = yield from self._inner.read(at, at + 1, at + _STEP * 4)
            self._inner_at += len(data)
            if not data:
                return False
        try:
            out = decompressor.decompress(data, _STEP)
        except (zlib.error, OSError, ValueError, EOFError, lzma.LZMAError) as problem:
            raise self.problem("sound compressed data", type(problem).__name__) from None
        self._inner.forget(self._inner_at)
        self._budget.inflate(len(out), self.locate(0))
        self._buffer += out
        self.crc = zlib.crc32(out, self.crc)
        self.produced += len(out)
        self.finished = decompressor.eof
        return True

    def problem(self, expected: str, found: str) -> HeaderError:
        """Return the error for data that cannot be decompressed."""
        return make_error(
            "pickle/unreadable",
            offset=self.locate(0),
            field=shown(self.label) if self.label else "compressed data",
            expected=expected,
            found=found,
        )

    def forget(self, upto: int) -> None:
        """Drop what lies before an offset."""
        self.drop(upto)

    def locate(self, offset: int) -> int:
        """Return where the compressed data starts in the file."""
        del offset
        return self._inner.locate(0)
