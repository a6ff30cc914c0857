"""A sliding window over a file that arrives in pieces, with a cursor that can be taken back.

The window knows the size of the file, so it can tell "not here yet" (`Wanted`) from "not in the
file at all" (a ``truncated`` error). Bytes before the last commit are dropped when new ones come.
"""

from collections.abc import Callable
from struct import Struct
from typing import Any, Final, Literal

from prefect_mutagen.parsers.rules import fault

__all__ = ["STRING_LIMIT", "ByteOrder", "Wanted", "Window"]

ByteOrder = Literal["little", "big"]

STRING_LIMIT: Final = 1 << 30
"""Longest string, in bytes, that ggml reads (``GGUF_MAX_STRING_LENGTH``)."""


class Wanted(Exception):  # noqa: N818 - an answer on its way up, not an error
    """The step cannot end before the file is seen up to here."""

    def __init__(self, upto: int) -> None:
        """Remember how far to look."""
        super().__init__(upto)
        self.upto = upto


class Window:
    """The part of a file that is here, and where reading stands in it.

    Attributes:
        size: Size of the whole file in bytes.
        buffer: The bytes from `base` to `end`.
        base: Offset in the file of the buffer's first byte.
        end: Offset in the file behind the buffer's last byte.
        cursor: Offset of the next byte to read.
        mark: Offset of the last commit; the cursor goes back to it.
        order: Byte order of all numbers.
        width: Bytes of a count or a length: 8, but 4 in version 1.
    """

    __slots__ = (
        "_u32",
        "_word",
        "base",
        "buffer",
        "cursor",
        "end",
        "mark",
        "order",
        "size",
        "width",
    )

    def __init__(self, size: int) -> None:
        """Open an empty window on a file of this many bytes."""
        self.size = size
        self.buffer: bytes | bytearray = b""
        self.base = self.end = self.cursor = self.mark = 0
        self.arrange("little", 8)

    def arrange(self, order: ByteOrder, width: int) -> None:
        """Set byte order and width of counts, once the version is known."""
        self.order: ByteOrder = order
        self.width = width
        sign = "<" if order == "little" else ">"
        self._u32: Callable[..., tuple[Any, ...]] = Struct(sign + "I").unpack_from
        self._word: Callable[..., tuple[Any, ...]] = Struct(
            sign + ("Q" if width == 8 else "I")
        ).unpack_from

    def append(self, data: bytes) -> None:
        """Add the bytes that follow; forget what was committed."""
        rest = memoryview(self.buffer)[self.mark - self.base :]
        if len(rest) <= len(data):
            # Mostly nothing or half a number is left over, and to join it costs one copy; a
            # bytearray of this size would be new memory for each piece, which costs far more.
            self.buffer = b"".join((rest, data)) if rest else data
        elif isinstance(self.buffer, bytearray):
            # It grows and loses its head without being copied as a whole each time.
            rest.release()
            del self.buffer[: self.mark - self.base]
            self.buffer += data
        else:
            self.buffer = bytearray(rest)
            self.buffer += data
        self.base = self.mark
        self.end += len(data)

    def commit(self) -> None:
        """Keep what was read up to the cursor."""
        self.mark = self.cursor

    def rewind(self) -> None:
        """Take the cursor back to the last commit; free the buffer when all of it was used."""
        self.cursor = self.mark
        if self.mark == self.end:
            self.buffer = b""
            self.base = self.mark

    def claim(self, count: int, field: str, blame: int | None = None) -> int:
        """Move over the next bytes.

        Args:
            count: How many bytes the field has.
            field: What is being read, for the error.
            blame: Offset to report when the file ends first; the cursor's by default.

        Returns:
            Where in the buffer they start.

        Raises:
            TruncatedError: The file is too short for them.
            Wanted: They are in the file, but not here yet.
        """
        begin = self.cursor
        end = begin + count
        if end > self.size:
            at = begin if blame is None else blame
            raise fault(
                "gguf/truncated",
                offset=at,
                field=field,
                expected=f"a file of at least {end} bytes",
                found=f"the file ends at byte {self.size}",
            )
        if end > self.end:
            raise Wanted(end)
        self.cursor = end
        return begin - self.base

    def u32(self, field: str) -> int:
        """Read an unsigned number of 4 bytes; raises as `claim` does."""
        number: int = self._u32(self.buffer, self.claim(4, field))[0]
        return number

    def word(self, field: str) -> int:
        """Read an unsigned count of `width` bytes; raises as `claim` does."""
        number: int = self._word(self.buffer, self.claim(self.width, field))[0]
        return number

    def string_length(self, field: str) -> int:
        """Read and judge a string's length prefix; the cursor then stands at its first byte.

        Raises:
            MalformedError: It is longer than any loader reads.
            TruncatedError: The file is too short for it.
            Wanted: The prefix is not here yet.
        """
        start = self.cursor
        length = self.word(field)
        if length > STRING_LIMIT:
            raise fault(
                "gguf/string-too-long",
                offset=start,
                field=field,
                expected=f"at most {STRING_LIMIT} bytes",
                found=f"a string of {length} bytes",
            )
        if self.cursor + length > self.size:
            raise fault(
                "gguf/truncated",
                offset=start,
                field=field,
                expected=f"a string of at most {self.size - self.cursor} bytes before the end",
                found=f"a string of {length} bytes",
            )
        return length

    def take(self, most: int) -> memoryview | None:
        """Take and commit whatever is here, up to ``most`` bytes; None when nothing is."""
        count = min(self.end - self.cursor, most)
        if count == 0:
            return None
        at = self.cursor - self.base
        self.cursor += count
        self.mark = self.cursor
        return memoryview(self.buffer)[at : at + count]
