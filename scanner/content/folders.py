"""Cache the parsed neighbours of a folder for all models in it.

A folder may hold a thousand models and one configuration, which is read and parsed once; a root may
have a hundred folders of weights and one card, which is read once. The cache key is the address and
pin of each file, so a replaced file is a cache miss.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from prefect_mutagen.scanner.content.neighbours import Neighbours
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["Folder", "Folders"]

_FOLDER_LIMIT: Final = 256
_BYTE_LIMIT: Final = 64 << 20

_Key = tuple[tuple[str, str], ...]


class Folder(NamedTuple):
    """Neighbours shared by the models of a folder."""

    neighbours: Neighbours
    objects: tuple[StoredObject, ...]
    """The files, as they were read."""
    memory: int
    """Bytes that it takes, an upper bound."""


@dataclass(slots=True)
class Folders:
    """Thread-safe LRU cache of folders, bounded in number and bytes."""

    most_bytes: int = _BYTE_LIMIT
    _cached: OrderedDict[_Key, Folder] = field(default_factory=OrderedDict)
    _bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, items: Iterable[StoredObject]) -> Folder | None:
        """Return the cached folder for these files; None on a cache miss."""
        key = _key(items)
        with self._lock:
            folder = self._cached.get(key)
            if folder is not None:
                self._cached.move_to_end(key)
            return folder

    def add(self, items: Iterable[StoredObject], folder: Folder) -> Folder:
        """Add a folder to the cache unless it is there; return the cached one.

        Args:
            items: Its files, as listed.
            folder: Their parsed contents.
        """
        key = _key(items)
        with self._lock:
            if key in self._cached:
                return self._cached[key]
            self._cached[key] = folder
            self._bytes += folder.memory
            while len(self._cached) > _FOLDER_LIMIT or self._bytes > self.most_bytes:
                self._bytes -= self._cached.popitem(last=False)[1].memory
        return folder


def _key(items: Iterable[StoredObject]) -> _Key:
    return tuple((item.url, item.pin) for item in items)
