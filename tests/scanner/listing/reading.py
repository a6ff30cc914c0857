"""Answer for the indexes of a folder that lies nowhere."""

from collections.abc import Sequence

from prefect_mutagen.scanner.listing.listed_index import ListedIndex, ReadIndex
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["indexes"]


def indexes(**names: Sequence[str]) -> ReadIndex:
    """Return a reader that knows these indexes by name, and can read no others."""

    def read(item: StoredObject) -> ListedIndex | None:
        named = names.get(item.name)
        return None if named is None else ListedIndex(item, frozenset(named), "")

    return read
