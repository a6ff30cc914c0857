"""Feed bytes, get a header: one door to the readers of both formats.

The readers are machines without I/O, in the manner of h11. Whoever owns the connection decides how
to fetch; a reader only says how far it has to see before it can go on::

    reader = read_header(size, expected="gguf")
    answer = reader.feed(first_bytes)
    while isinstance(answer, NeedBytes):
        answer = reader.feed(fetch(reader.position, answer.upto))

Bytes are fed in order and once. Nothing is read twice, nothing is kept that has been understood,
and any cut of the stream into pieces gives the same header.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from prefect_mutagen.parsers.detect import (
    GGUF_MAGIC,
    HEAD_SIZE,
    Content,
    Format,
    identify,
    not_a_model,
)
from prefect_mutagen.parsers.errors import HeaderError
from prefect_mutagen.parsers.gguf import GgufHeader, GgufReader
from prefect_mutagen.parsers.need import NeedBytes
from prefect_mutagen.parsers.safetensors import SafetensorsHeader, SafetensorsReader

__all__ = ["Header", "HeaderReader", "UnknownHeader", "read_header"]


@dataclass(frozen=True, slots=True)
class UnknownHeader:
    """What is known about a file that is no model."""

    content: Content
    """What lies there instead."""
    errors: tuple[HeaderError, ...]
    """Why it is no model; never empty."""
    header_size: int = 0
    """No header, no bytes."""
    complete: bool = False
    """Never: there was no header to read to its end."""


Header = GgufHeader | SafetensorsHeader | UnknownHeader


class _FormatReader(Protocol):
    def feed(self, data: bytes) -> NeedBytes | GgufHeader | SafetensorsHeader: ...


_READERS: Final[dict[Format, type[GgufReader | SafetensorsReader]]] = {
    "gguf": GgufReader,
    "safetensors": SafetensorsReader,
}


def read_header(size: int, expected: Format | None = None) -> "HeaderReader":
    """Start reading the header of one file.

    Args:
        size: Size of the whole file in bytes; every count in the header is judged against it.
        expected: The format that the file's name promises, None when it promises nothing.

    Returns:
        A reader that waits for the first bytes of the file.
    """
    return HeaderReader(size, expected)


class HeaderReader:
    """Reads one header; see the module for how to drive it.

    Attributes:
        position: Offset of the next byte to feed.
        format: The format that the first bytes show; None before they are here, and for others.
    """

    __slots__ = ("_expected", "_head", "_reader", "_size", "format", "position")

    def __init__(self, size: int, expected: Format | None) -> None:
        """Wait for the first bytes; see `read_header`."""
        self._size = size
        self._expected = expected
        self._head = b""
        self._reader: _FormatReader | None = None
        self.position = 0
        self.format: Format | None = None

    def feed(self, data: bytes) -> NeedBytes | Header:
        """Take the next bytes of the file.

        Args:
            data: The bytes from `position` on, as many as there are; more than were asked for is
                fine, and so is b"" to ask again.

        Returns:
            How far the reader has to see, or the header. A header is final: it holds everything
            that could be read, with what is wrong in its ``errors``.
        """
        self.position += len(data)
        if self._reader is not None:
            return self._reader.feed(data)
        head = self._head + data if self._head else data
        wanted = min(self._size, HEAD_SIZE)
        if len(head) < wanted:
            self._head = head
            return NeedBytes(wanted)
        self._head = b""
        content = identify(head[:HEAD_SIZE], self._size)
        self.format = content.format
        found = content.format
        if found is None and content.kind == "bad-magic" and self._may_be_torn(head):
            # The promised reader has a more precise complaint than that this resembles nothing.
            found = self._expected
        if found is None:
            return UnknownHeader(content, (not_a_model(content, self._expected),))
        mismatch: tuple[HeaderError, ...] = ()
        if self._expected is not None and found != self._expected:
            mismatch = (not_a_model(content, self._expected),)
        self._reader = _READERS[found](self._size, mismatch)
        return self._reader.feed(head)

    def _may_be_torn(self, head: bytes) -> bool:
        """Say whether a few bytes could be the beginning of what the name promises."""
        if self._expected == "gguf":
            return GGUF_MAGIC.startswith(head)
        return self._expected == "safetensors"
