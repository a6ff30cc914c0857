"""Objects of a folder that is too large to be held, in a temporary file until they are asked for.

A bucket may keep a million models under one prefix, each with a checksum file beside it, and what
belongs together is known only when the listing has left the folder. SQLite sorts them and finds
those of one key, in a cache of fixed size. Its file has no name: nothing is left of it when the
process is killed. Records are written with `marshal`, which takes all that an address may hold
(names in no encoding, sizes of any length) and gives back nothing but plain values.
"""

import marshal
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any, Final

from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["HELD", "ObjectSpool", "Shelf"]

HELD: Final = 5_000
"""Objects of one folder that are held in memory, of models and of what lies beside them: 2 MB."""

_PAGE: Final = 500
_CACHE_KIB: Final = 8 << 10

_Row = tuple[str, str, StoredObject]


class ObjectSpool:
    """Objects by folder, kind and key; in a file as soon as there are any."""

    def __init__(self, held: int = HELD) -> None:
        """Begin without a file.

        Args:
            held: Objects of a kind that a folder may hold in memory before it makes use of this.
        """
        self.held = held
        self._table: sqlite3.Connection | None = None
        self._arrivals = count()
        self._folders = count()

    def folder(self) -> int:
        """Give a folder a number, under which nothing lies yet."""
        return next(self._folders)

    def add(self, folder: int, rows: Iterable[_Row]) -> None:
        """Take objects.

        Args:
            folder: Their folder's number.
            rows: Kind, key and object of each, in the order in which they came.
        """
        if self._table is None:
            self._table = _open()
        self._table.executemany(
            "INSERT INTO o VALUES (?, ?, ?, ?, ?)",
            (
                (folder, kind, _bytes(key), next(self._arrivals), _record(item))
                for kind, key, item in rows
            ),
        )

    def take(
        self, folder: int, kind: str, key: str | None = None
    ) -> Iterator[tuple[str, StoredObject]]:
        """Give objects with their keys, in the order of keys, and of equal ones as they came.

        Args:
            folder: Number of the folder.
            kind: Their kind; objects of other kinds may be added meanwhile.
            key: Their key; all keys by default.
        """
        if self._table is None:
            return
        if key is None:
            chosen, given = "(key, arrival) > (?, ?)", list[Any]()
        else:
            chosen, given = "key = ? AND arrival > ?", [_bytes(key)]
        # A page at a time: no statement is left open while somebody else writes.
        query = (
            f"SELECT key, arrival, record FROM o WHERE folder = ? AND kind = ? AND {chosen} "  # noqa: S608 - no value stands in it
            f"ORDER BY key, arrival LIMIT {_PAGE}"
        )
        last: tuple[Any, ...] = (b"", -1) if key is None else (-1,)
        while True:
            rows = self._table.execute(query, (folder, kind, *given, *last)).fetchall()
            for name, _, record in rows:
                yield name.decode("utf-8", "surrogatepass"), _object(record)
            if len(rows) < _PAGE:
                return
            last = rows[-1][:2] if key is None else rows[-1][1:2]

    def drop(self, folder: int) -> None:
        """Forget the objects of a folder; their place in the file is used again."""
        if self._table is not None:
            self._table.execute("DELETE FROM o WHERE folder = ?", (folder,))

    def close(self) -> None:
        """Forget everything."""
        if self._table is not None:
            self._table.close()
            self._table = None


class Shelf:
    """Objects of one folder under keys: in memory while they are few, then in the spool."""

    __slots__ = ("_count", "_folder", "_kinds", "_spool")

    def __init__(self, spool: ObjectSpool) -> None:
        """Begin empty; the spool is used when there are too many."""
        self._spool = spool
        self._folder = -1
        self._count = 0
        self._kinds: dict[str, dict[str, list[StoredObject]]] = {}

    def add(self, kind: str, key: str, item: StoredObject) -> None:
        """Take an object."""
        self._kinds.setdefault(kind, {}).setdefault(key, []).append(item)
        self._count += 1
        if self._count >= self._spool.held:
            self._put_away()

    def put_away(self, kind: str, items: Iterable[StoredObject]) -> None:
        """Take objects that need no key into the file at once."""
        if self._folder < 0:
            self._folder = self._spool.folder()
        self._spool.add(self._folder, ((kind, "", item) for item in items))

    def has(self, kind: str) -> bool:
        """Say whether there is any object of a kind that was taken with a key."""
        return kind in self._kinds

    def get(self, kind: str, key: str) -> list[StoredObject]:
        """Give the objects under one key, as they came."""
        held = self._kinds.get(kind)
        if held is None or self._folder < 0:
            return held.get(key, []) if held else []
        self._put_away(kind)
        return [item for _, item in self._spool.take(self._folder, kind, key)]

    def holds(self, kind: str, key: str) -> bool:
        """Say whether there is an object under a key."""
        held = self._kinds.get(kind)
        if held is None or self._folder < 0:
            return held is not None and key in held
        self._put_away(kind)
        return next(self._spool.take(self._folder, kind, key), None) is not None

    def take(self, kind: str) -> Iterator[tuple[str, StoredObject]]:
        """Give the objects of a kind with their keys, sorted by key."""
        if self._folder < 0:
            held = self._kinds.get(kind, {})
            yield from ((key, item) for key in sorted(held) for item in held[key])
            return
        self._put_away(kind)
        yield from self._spool.take(self._folder, kind)

    def clear(self) -> None:
        """Forget everything."""
        self._kinds.clear()
        if self._folder >= 0:
            self._spool.drop(self._folder)

    def _put_away(self, *kinds: str) -> None:
        """Move what is held into the spool: these kinds, or all."""
        if self._folder < 0:
            self._folder = self._spool.folder()
        for kind in kinds or self._kinds:
            held = self._kinds.get(kind)
            if held:
                rows = [(kind, key, item) for key in held for item in held[key]]
                self._spool.add(self._folder, rows)
                self._count -= len(rows)
                held.clear()


def _open() -> sqlite3.Connection:
    # The empty name stands for a file that the system forgets with the connection. A generator may
    # be gone on with in another thread than the one that began it.
    table = sqlite3.connect("", check_same_thread=False)
    table.execute("PRAGMA journal_mode = OFF")
    table.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    table.execute(
        "CREATE TABLE o (folder INTEGER, kind TEXT, key BLOB, arrival INTEGER, record BLOB, "
        "PRIMARY KEY (folder, kind, key, arrival)) WITHOUT ROWID"
    )
    return table


def _bytes(key: str) -> bytes:
    """Write a key such that bytes sort as texts do."""
    return key.encode("utf-8", "surrogatepass")


def _record(item: StoredObject) -> bytes:
    return marshal.dumps(item.to_plain())


def _object(record: bytes) -> StoredObject:
    return StoredObject.from_plain(marshal.loads(record))  # noqa: S302 - our own file, without a name
