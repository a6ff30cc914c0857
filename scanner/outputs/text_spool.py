"""Texts that wait in files until they can be put in order.

A sorted list cannot begin before its last member is known, and the documents of many artifacts are
more than memory should hold. So each process that writes some appends them to a file of its own,
and only their places travel and are sorted.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, NamedTuple

__all__ = ["Place", "TextSpool", "open_spool", "read_places"]


class Place(NamedTuple):
    """Where a text waits."""

    path: str
    offset: int
    """In bytes."""
    length: int
    """Of its UTF-8, in bytes."""


class TextSpool:
    """Keeps texts in files of a folder; travels between processes, each of which has its own."""

    __slots__ = ("_file", "_folder", "_process")

    def __init__(self, folder: str) -> None:
        """Take a folder that is there, and that the caller removes."""
        self._folder = folder
        self._file: BinaryIO | None = None
        self._process = 0

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the open file behind."""
        return TextSpool, (self._folder,)

    def keep(self, text: bytes) -> Place:
        """Append a text.

        Raises:
            OSError: There is no room for it.
        """
        file = self._file
        if file is None or self._process != os.getpid():
            self._process = os.getpid()
            path = os.path.join(self._folder, f"{self._process}.texts")
            file = self._file = open(path, "ab")  # noqa: SIM115 - stays open as long as the process
        place = Place(file.name, file.tell(), len(text))
        file.write(text)
        file.flush()  # whoever is told the place may read it
        return place

    def close(self) -> None:
        """Let go of this process's file; the texts stay."""
        if self._file is not None:
            self._file.close()
            self._file = None


@contextmanager
def open_spool() -> Iterator[TextSpool]:
    """Give a spool in a temporary folder, and remove it with all texts."""
    with TemporaryDirectory(prefix="prefect-mutagen-") as folder:
        spool = TextSpool(folder)
        try:
            yield spool
        finally:
            spool.close()


def read_places(places: Sequence[Place]) -> Iterator[bytes]:
    """Read texts, one at a time, in the order of their places.

    Raises:
        OSError: A file is gone or shorter than it was.
    """
    with ExitStack() as stack:
        handles: dict[str, int] = {}
        for path, offset, length in places:
            handle = handles.get(path)
            if handle is None:
                handle = handles[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, handle)
            text = os.pread(handle, length, offset)
            if len(text) != length:
                raise OSError(f"{path}: {length - len(text)} bytes at offset {offset} are gone")
            yield text
