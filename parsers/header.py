"""Feed bytes, get a header: the common entry point of both format readers.

The readers are sans-I/O state machines, in the manner of h11. The caller owns the connection and
decides how to fetch; a reader only states up to which offset it needs the file::

    reader = read_header(size, expected="gguf")
    answer = reader.feed(first_bytes)
    while isinstance(answer, NeedBytes):
        answer = reader.feed(fetch(reader.position, answer.upto))

Bytes are fed in order and once. Parsed bytes are dropped from the buffer and never read again. The
resulting header does not depend on how the stream was split into chunks.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from prefect_mutagen.parsers.detect import (
    GGUF_MAGIC,
    HEAD_SIZE,
    Content,
    Format,
    absurd_length,
    identify,
    not_a_model,
)
from prefect_mutagen.parsers.errors import HeaderError
from prefect_mutagen.parsers.gguf import GgufHeader, GgufReader
from prefect_mutagen.parsers.need import NeedBytes
from prefect_mutagen.parsers.pickle_header import PickleHeader
from prefect_mutagen.parsers.safetensors import SafetensorsHeader, SafetensorsReader
from prefect_mutagen.parsers.weights_header import OtherWeightsHeader

__all__ = ["Header", "HeaderReader", "UnknownHeader", "read_header"]


@dataclass(frozen=True, slots=True)
class UnknownHeader:
    """Result for a file that is not a model."""

    content: Content
    """What the file contains instead."""
    errors: tuple[HeaderError, ...]
    """Why it is not a model; empty for content that its name does not contradict."""
    header_size: int = 0
    """Always 0: there is no header."""
    complete: bool = False
    """Always False: there is no header."""


Header = GgufHeader | SafetensorsHeader | PickleHeader | OtherWeightsHeader | UnknownHeader


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
        expected: The format that the file's name promises; None when it promises none.

    Returns:
        A reader that expects the first bytes of the file.
    """
    return HeaderReader(size, expected)


class HeaderReader:
    """State machine that reads one header; see the module for its protocol.

    Attributes:
        position: Offset of the next byte to feed.
        format: The detected format; None until it is known, and for other content.
    """

    __slots__ = ("_expected", "_head", "_reader", "_size", "format", "position")

    def __init__(self, size: int, expected: Format | None) -> None:
        """Start at offset 0; see `read_header`."""
        self._size = size
        self._expected = expected
        self._head = b""
        self._reader: _FormatReader | None = None
        self.position = 0
        self.format: Format | None = None

    def feed(self, data: bytes) -> NeedBytes | GgufHeader | SafetensorsHeader | UnknownHeader:
        """Consume the next bytes of the file.

        Args:
            data: The bytes that start at `position`. More than were requested is fine; b"" repeats
                the last request.

        Returns:
            `NeedBytes`, or the header. A header is final: it holds everything that could be read,
            and its ``errors`` hold what is wrong.
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
        if found is None and content.kind == "bad-magic" and self._is_cut_off(head):
            # The expected format's reader reports a more precise error than bad-magic.
            found = self._expected
        if found is None:
            return UnknownHeader(content, (not_a_model(content, self._expected),))
        mismatch: tuple[HeaderError, ...] = ()
        if self._expected is not None and found != self._expected:
            mismatch = (not_a_model(content, self._expected),)
        self._reader = _READERS[found](self._size, mismatch)
        return self._reader.feed(head)

    def _is_cut_off(self, head: bytes) -> bool:
        """Whether a few bytes may be the start of a truncated file of the expected format."""
        if self._expected == "gguf":
            return GGUF_MAGIC.startswith(head)
        return self._expected == "safetensors" and not absurd_length(head)
