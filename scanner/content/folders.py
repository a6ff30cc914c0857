"""What the small files of folders state, remembered for all models beside them.

A folder may hold a thousand models and one configuration; it is read and understood once. Files are
known by address and pin, so what was replaced meanwhile is another folder.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from prefect_mutagen.scanner.content.neighbours import Neighbours
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["Folder", "Folders"]

_MOST_FOLDERS: Final = 256
_MOST_BYTES: Final = 64 << 20

_Key = tuple[tuple[str, str], ...]


class Folder(NamedTuple):
    """The neighbours that the models of a folder share."""

    neighbours: Neighbours
    objects: tuple[StoredObject, ...]
    """The files, as they were read."""
    bytes_read: int
    """Bytes that this was made of: what it takes in memory is less."""


@dataclass(slots=True)
class Folders:
    """The folders seen last, bounded in number and bytes; threads may share it."""

    most_bytes: int = _MOST_BYTES
    _known: OrderedDict[_Key, Folder] = field(default_factory=OrderedDict)
    _bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, items: Iterable[StoredObject]) -> Folder | None:
        """Return what these files state, if it is known."""
        key = _key(items)
        with self._lock:
            folder = self._known.get(key)
            if folder is not None:
                self._known.move_to_end(key)
            return folder

    def add(self, items: Iterable[StoredObject], folder: Folder) -> Folder:
        """Remember a folder; whoever was first is kept, and returned.

        Args:
            items: Its files as they were listed.
            folder: What they state.
        """
        key = _key(items)
        with self._lock:
            if key in self._known:
                return self._known[key]
            self._known[key] = folder
            self._bytes += folder.bytes_read
            while len(self._known) > _MOST_FOLDERS or self._bytes > self.most_bytes:
                self._bytes -= self._known.popitem(last=False)[1].bytes_read
        return folder


def _key(items: Iterable[StoredObject]) -> _Key:
    return tuple((item.url, item.pin) for item in items)
