"""Spill a large folder's objects to a temporary file.

A bucket may keep a million models under one prefix, each with a checksum file beside it, and which
files belong together is known only at the end of the folder. SQLite sorts the objects and looks
them up by key, with a cache of fixed size. Its file is unnamed, so nothing is left behind when the
process is killed. Records are serialized with `marshal`, which supports everything that an address
may contain (undecodable names, unbounded sizes) and loads plain values only.
"""

import marshal
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any, Final

from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["SPILL_THRESHOLD", "FolderObjects", "ObjectSpool"]

SPILL_THRESHOLD: Final = 5_000
"""Objects of one folder that are held in memory, models and other files each: about 2 MB."""

_PAGE_SIZE: Final = 500
_CACHE_KIB: Final = 8 << 10

_Row = tuple[str, str, StoredObject]


class ObjectSpool:
    """On-disk store of objects by folder, kind and key; the file is created on first use."""

    def __init__(self, threshold: int = SPILL_THRESHOLD) -> None:
        """Start without a file.

        Args:
            threshold: Number of objects that a folder may hold in memory before it spills.
        """
        self.threshold = threshold
        self._table: sqlite3.Connection | None = None
        self._arrivals = count()
        self._folders = count()

    def new_folder(self) -> int:
        """Return an unused folder number."""
        return next(self._folders)

    def add(self, folder: int, rows: Iterable[_Row]) -> None:
        """Write objects to the file.

        Args:
            folder: Number of their folder.
            rows: Kind, key and object of each, in listing order.
        """
        if self._table is None:
            self._table = _open()
        self._table.executemany(
            "INSERT INTO o VALUES (?, ?, ?, ?, ?)",
            (
                (folder, kind, _sortable(key), next(self._arrivals), _dump(item))
                for kind, key, item in rows
            ),
        )

    def read(
        self, folder: int, kind: str, key: str | None = None
    ) -> Iterator[tuple[str, StoredObject]]:
        """Yield objects with their keys, ordered by key, then in listing order.

        Args:
            folder: Number of the folder.
            kind: Kind to read; objects of other kinds may be added meanwhile.
            key: Key to read; all keys by default.
        """
        if self._table is None:
            return
        if key is None:
            condition, parameters = "(key, arrival) > (?, ?)", list[Any]()
        else:
            condition, parameters = "key = ? AND arrival > ?", [_sortable(key)]
        # Paged, so that no statement is open during writes.
        query = (
            f"SELECT key, arrival, record FROM o WHERE folder = ? AND kind = ? AND {condition} "  # noqa: S608 - constants only
            f"ORDER BY key, arrival LIMIT {_PAGE_SIZE}"
        )
        last: tuple[Any, ...] = (b"", -1) if key is None else (-1,)
        while True:
            rows = self._table.execute(query, (folder, kind, *parameters, *last)).fetchall()
            for name, _, record in rows:
                yield name.decode("utf-8", "surrogatepass"), _load(record)
            if len(rows) < _PAGE_SIZE:
                return
            last = rows[-1][:2] if key is None else rows[-1][1:2]

    def drop(self, folder: int) -> None:
        """Delete the objects of a folder; the file reuses their space."""
        if self._table is not None:
            self._table.execute("DELETE FROM o WHERE folder = ?", (folder,))

    def close(self) -> None:
        """Delete everything."""
        if self._table is not None:
            self._table.close()
            self._table = None


class FolderObjects:
    """Objects of one folder by kind and key: in memory up to a threshold, then in the spool."""

    __slots__ = ("_count", "_folder", "_kinds", "_spool")

    def __init__(self, spool: ObjectSpool) -> None:
        """Start empty; spill to the spool beyond its threshold."""
        self._spool = spool
        self._folder = -1
        self._count = 0
        self._kinds: dict[str, dict[str, list[StoredObject]]] = {}

    def __len__(self) -> int:
        """Return the number of objects in memory."""
        return self._count

    def add(self, kind: str, key: str, item: StoredObject) -> None:
        """Add an object."""
        self._kinds.setdefault(kind, {}).setdefault(key, []).append(item)
        self._count += 1
        if self._count >= self._spool.threshold:
            self._spill()

    def spill(self, kind: str, items: Iterable[StoredObject]) -> None:
        """Write objects without a key to the spool directly."""
        if self._folder < 0:
            self._folder = self._spool.new_folder()
        self._spool.add(self._folder, ((kind, "", item) for item in items))

    def has(self, kind: str) -> bool:
        """Whether any object of a kind was added with a key."""
        return kind in self._kinds

    def get(self, kind: str, key: str) -> list[StoredObject]:
        """Return the objects under a key, in listing order."""
        held = self._kinds.get(kind)
        if held is None or self._folder < 0:
            return held.get(key, []) if held else []
        self._spill(kind)
        return [item for _, item in self._spool.read(self._folder, kind, key)]

    def contains(self, kind: str, key: str) -> bool:
        """Whether there is an object under a key."""
        held = self._kinds.get(kind)
        if held is None or self._folder < 0:
            return held is not None and key in held
        self._spill(kind)
        return next(self._spool.read(self._folder, kind, key), None) is not None

    def items(self, kind: str) -> Iterator[tuple[str, StoredObject]]:
        """Return the objects of a kind with their keys, sorted by key.

        Objects of other kinds may be added meanwhile, also if that spills all of them.
        """
        if self._folder < 0:
            held = self._kinds.get(kind)
            return iter([(key, item) for key in sorted(held) for item in held[key]] if held else ())
        self._spill(kind)
        return self._spool.read(self._folder, kind)

    def clear(self) -> None:
        """Delete everything."""
        self._kinds.clear()
        if self._folder >= 0:
            self._spool.drop(self._folder)

    def _spill(self, *kinds: str) -> None:
        """Move objects from memory to the spool: of the given kinds, or all."""
        if self._folder < 0:
            self._folder = self._spool.new_folder()
        for kind in kinds or self._kinds:
            held = self._kinds.get(kind)
            if held:
                rows = [(kind, key, item) for key in held for item in held[key]]
                self._spool.add(self._folder, rows)
                self._count -= len(rows)
                held.clear()


def _open() -> sqlite3.Connection:
    # The empty name creates an unnamed file that is deleted with the connection. A generator may be
    # resumed in another thread than the one that started it.
    table = sqlite3.connect("", check_same_thread=False)
    table.execute("PRAGMA journal_mode = OFF")
    table.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    table.execute(
        "CREATE TABLE o (folder INTEGER, kind TEXT, key BLOB, arrival INTEGER, record BLOB, "
        "PRIMARY KEY (folder, kind, key, arrival)) WITHOUT ROWID"
    )
    return table


def _sortable(key: str) -> bytes:
    """Encode a key such that bytes sort like strings."""
    return key.encode("utf-8", "surrogatepass")


def _dump(item: StoredObject) -> bytes:
    return marshal.dumps(item.to_plain())


def _load(record: bytes) -> StoredObject:
    return StoredObject.from_plain(marshal.loads(record))  # noqa: S302 - our own unnamed file
