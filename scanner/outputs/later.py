"""Text that is known now and stands further down in a document.

A document of a standard has its findings, or a list of its parts, in another place than the parts.
What comes later is kept on disk meanwhile, so that memory does not grow with the scan.
"""

from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Final, Self, TextIO

__all__ = ["Later"]

_IN_MEMORY: Final = 1 << 20
_PIECE: Final = 1 << 16


class Later:
    """Entries of a JSON list, put off; a context manager, since they may lie in a file."""

    def __init__(self) -> None:
        """Start an empty list."""
        self._file = SpooledTemporaryFile(  # noqa: SIM115 - closed by the context
            _IN_MEMORY, "w+", encoding="utf-8", newline=""
        )
        self._between = "\n"

    def __enter__(self) -> Self:
        """Be the manager itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Forget what was put off."""
        self._file.close()

    def add(self, entry: str) -> None:
        """Put off one entry.

        Args:
            entry: JSON text that any encoding holds; see `to_exchange_json`.
        """
        self._file.write(self._between + entry)
        self._between = ",\n"

    def write_list(self, out: TextIO) -> None:
        """Write all entries, as a JSON list."""
        out.write("[")
        self._file.seek(0)
        while piece := self._file.read(_PIECE):
            out.write(piece)
        out.write("]")
