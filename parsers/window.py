"""A sliding window over a file that arrives in chunks, with a cursor that can be rewound.

The window knows the size of the file, so it can tell "not received yet" (`Incomplete`) from "not in
the file" (a ``truncated`` error). Bytes before the last commit are dropped when new ones arrive.
"""

from collections.abc import Callable
from struct import Struct
from typing import Any, Final, Literal

from prefect_mutagen.parsers.rules import make_error

__all__ = ["STRING_LIMIT", "ByteOrder", "Incomplete", "Window"]

ByteOrder = Literal["little", "big"]

STRING_LIMIT: Final = 1 << 30
"""Longest string, in bytes, that ggml reads (``GGUF_MAX_STRING_LENGTH``)."""


class Incomplete(Exception):  # noqa: N818 - control flow, not an error
    """The window ends before the field; more bytes are needed."""

    def __init__(self, upto: int) -> None:
        """Store the file offset up to which bytes are needed."""
        super().__init__(upto)
        self.upto = upto


class Window:
    """The buffered part of a file and the read position in it.

    Attributes:
        size: Size of the whole file in bytes.
        buffer: The bytes from `base` to `end`.
        base: File offset of the buffer's first byte.
        end: File offset after the buffer's last byte.
        cursor: File offset of the next byte to read.
        mark: File offset of the last commit, to which `rewind` returns.
        order: Byte order of numbers.
        width: Size of a count or a length in bytes: 8, or 4 in version 1.
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
        """Create an empty window on a file of ``size`` bytes."""
        self.size = size
        self.buffer: bytes | bytearray = b""
        self.base = self.end = self.cursor = self.mark = 0
        self.set_encoding("little", 8)

    def set_encoding(self, order: ByteOrder, width: int) -> None:
        """Set byte order and width of counts once the version is known."""
        self.order: ByteOrder = order
        self.width = width
        sign = "<" if order == "little" else ">"
        self._u32: Callable[..., tuple[Any, ...]] = Struct(sign + "I").unpack_from
        self._word: Callable[..., tuple[Any, ...]] = Struct(
            sign + ("Q" if width == 8 else "I")
        ).unpack_from

    def append(self, data: bytes) -> None:
        """Append the next bytes; drop those that were committed."""
        rest = memoryview(self.buffer)[self.mark - self.base :]
        if len(rest) <= len(data):
            # Usually little or nothing is left over, and joining costs one copy. A bytearray would
            # be a fresh allocation for each chunk, which costs far more.
            self.buffer = b"".join((rest, data)) if rest else data
        elif isinstance(self.buffer, bytearray):
            # A bytearray grows and drops its head without being copied as a whole.
            rest.release()
            del self.buffer[: self.mark - self.base]
            self.buffer += data
        else:
            self.buffer = bytearray(rest)
            self.buffer += data
        self.base = self.mark
        self.end += len(data)

    def commit(self) -> None:
        """Commit everything before the cursor."""
        self.mark = self.cursor

    def rewind(self) -> None:
        """Reset the cursor to the last commit; free the buffer if all of it was committed."""
        self.cursor = self.mark
        if self.mark == self.end:
            self.buffer = b""
            self.base = self.mark

    def claim(self, count: int, field: str, blame: int | None = None) -> int:
        """Advance the cursor over a field.

        Args:
            count: Size of the field in bytes.
            field: Name of the field, for errors.
            blame: Offset to report if the file ends first; the cursor by default.

        Returns:
            Index in the buffer at which the field starts.

        Raises:
            TruncatedError: The file ends inside the field.
            Incomplete: The field has not been received in full.
        """
        begin = self.cursor
        end = begin + count
        if end > self.size:
            at = begin if blame is None else blame
            raise make_error(
                "gguf/truncated",
                offset=at,
                field=field,
                expected=f"a file of at least {end} bytes",
                found=f"the file ends at byte {self.size}",
            )
        if end > self.end:
            raise Incomplete(end)
        self.cursor = end
        return begin - self.base

    def u32(self, field: str) -> int:
        """Read an unsigned 32-bit integer; raises as `claim` does."""
        number: int = self._u32(self.buffer, self.claim(4, field))[0]
        return number

    def word(self, field: str) -> int:
        """Read an unsigned integer of `width` bytes; raises as `claim` does."""
        number: int = self._word(self.buffer, self.claim(self.width, field))[0]
        return number

    def string_length(self, field: str) -> int:
        """Read and check a string's length prefix; leave the cursor at its first byte.

        Raises:
            MalformedError: The string is longer than ggml reads.
            TruncatedError: The file ends inside the string.
            Incomplete: The prefix has not been received in full.
        """
        start = self.cursor
        length = self.word(field)
        if length > STRING_LIMIT:
            raise make_error(
                "gguf/string-too-long",
                offset=start,
                field=field,
                expected=f"at most {STRING_LIMIT} bytes",
                found=f"a string of {length} bytes",
            )
        if self.cursor + length > self.size:
            raise make_error(
                "gguf/truncated",
                offset=start,
                field=field,
                expected=f"a string of at most {self.size - self.cursor} bytes before the end",
                found=f"a string of {length} bytes",
            )
        return length

    def take(self, most: int) -> memoryview | None:
        """Consume and commit up to ``most`` buffered bytes; None if there are none."""
        count = min(self.end - self.cursor, most)
        if count == 0:
            return None
        at = self.cursor - self.base
        self.cursor += count
        self.mark = self.cursor
        return memoryview(self.buffer)[at : at + count]
