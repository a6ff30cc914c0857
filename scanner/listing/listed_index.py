"""Read the index of a folder while it is listed, to tell which files belong to its set.

Grouping goes by names where they say enough, so that listing an unchanged bucket costs no reads.
They do not where a folder has an index and files under another stem, or two indexes, or where a
folder lies below one with an index: then each file would be judged twice, in the set and by itself,
or not at all. So the index is read there, once and in whole: what was read goes with the artifact,
compressed, and its examination needs no second request.
"""

import base64
import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

from prefect_mutagen.scanner.content.shard_index import INDEX_LIMIT, read_index
from prefect_mutagen.scanner.storage.coroutines import run_repeated
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import UNKNOWN_SIZE, Store, StoredObject

__all__ = ["ListedIndex", "ReadIndex", "index_reader", "unpack"]

_CARRIED: Final = 256 << 10
"""Most bytes of a compressed index that go with an artifact; a larger one is read again."""


class ListedIndex(NamedTuple):
    """An index that was read while its folder was listed."""

    item: StoredObject
    """The index, with size and pin as it was read."""
    names: frozenset[str]
    """Paths of the files that it names, relative to its folder."""
    packed: str
    """Its bytes, compressed; empty if they are too many to go with an artifact."""


ReadIndex = Callable[[StoredObject], ListedIndex | None]
"""Reads an index; None if it cannot be read or used, which its examination reports."""


def index_reader(store: Store) -> ReadIndex:
    """Return what reads the indexes of a store while it is listed."""

    def read(item: StoredObject) -> ListedIndex | None:
        wanted = INDEX_LIMIT if item.size == UNKNOWN_SIZE else item.size
        if item.fault is not None or not 0 < wanted <= INDEX_LIMIT:
            return None
        try:
            reply = run_repeated(store, lambda: store.read(item, 0, wanted), item.url)
        except StorageError:
            return None
        if reply.size != len(reply.data) or item.size not in (UNKNOWN_SIZE, reply.size):
            return None
        index = read_index(reply.data).contents
        if index is None:
            return None
        item = item.as_read(reply)
        return ListedIndex(item, frozenset(index.weight_map.values()), _pack(reply.data))

    return read


def _pack(raw: bytes) -> str:
    packed = zlib.compress(raw, 1)
    return base64.b64encode(packed).decode() if len(packed) <= _CARRIED else ""


def unpack(packed: str) -> bytes:
    """Return the bytes of an index that goes with an artifact."""
    return zlib.decompress(base64.b64decode(packed))
