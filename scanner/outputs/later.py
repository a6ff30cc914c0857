"""A buffer for JSON text that belongs further down in a streamed document.

Some standards put findings, or a list of identifiers, behind the elements they belong to. The
buffer spills to disk, so memory does not grow with the scan.
"""

from contextlib import AbstractContextManager
from tempfile import SpooledTemporaryFile
from typing import Final, TextIO

__all__ = ["Later"]

_MEMORY_BYTES: Final = 1 << 20
_CHUNK: Final = 1 << 16


class Later(AbstractContextManager["Later"]):
    """A buffered JSON list; the context closes its temporary file."""

    def __init__(self) -> None:
        """Start an empty list."""
        self._file = SpooledTemporaryFile(  # noqa: SIM115 - closed by the context
            _MEMORY_BYTES, "w+", encoding="utf-8", newline=""
        )
        self._between = "\n"

    def __exit__(self, *_: object) -> None:
        """Discard the buffer."""
        self._file.close()

    def add(self, entry: str) -> None:
        """Append an entry.

        Args:
            entry: JSON text that any encoding can hold; see `to_json`.
        """
        self._file.write(self._between + entry)
        self._between = ",\n"

    def write_list(self, out: TextIO) -> None:
        """Write all entries as a JSON list."""
        out.write("[")
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            out.write(chunk)
        out.write("]")
