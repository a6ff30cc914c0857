"""Split a program's output into lines, with a limit on each line and on all of them together."""

from collections.abc import Callable
from typing import Final

__all__ = ["LineSplitter"]

_LINE_LIMIT: Final = 4096
_OUTPUT_LIMIT: Final = 1 << 20


class LineSplitter:
    """Decode a stream of bytes line by line, a megabyte at most.

    Attributes:
        truncated: Whether output beyond the limit was dropped.
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        """Start with an empty buffer.

        Args:
            on_line: Called with each line, without its end; lines longer than 4096 bytes arrive in
                pieces.
        """
        self.truncated = False
        self._on_line = on_line
        self._buffer = b""
        self._left = _OUTPUT_LIMIT

    def feed(self, data: bytes) -> None:
        """Add output, and pass on the lines that it completes."""
        if len(data) > self._left:
            self.truncated = True
        data = data[: self._left]
        self._left -= len(data)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._emit(self._emit_pieces(line))
        if len(self._buffer) > _LINE_LIMIT:
            self._buffer = self._emit_pieces(self._buffer)

    def flush(self) -> None:
        """Pass on a last line without an end."""
        if self._buffer:
            self._emit(self._emit_pieces(self._buffer))
            self._buffer = b""

    def _emit_pieces(self, line: bytes) -> bytes:
        """Pass on a long line in pieces that split no character; return its last piece."""
        while len(line) > _LINE_LIMIT:
            cut = _LINE_LIMIT
            while cut > _LINE_LIMIT - 4 and line[cut] & 0xC0 == 0x80:
                cut -= 1
            self._on_line(line[:cut].decode("utf-8", "replace"))
            line = line[cut:]
        return line

    def _emit(self, line: bytes) -> None:
        self._on_line(line.decode("utf-8", "replace").rstrip("\r"))
