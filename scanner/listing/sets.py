"""Decide which files of a folder form sets: shards that an index names, numbered shards, ranks.

An index means the files that it names, whatever their names, in its folder or below. Every file is
in one set or by itself, never both:

* A file that an index names belongs to that index's set. Of two indexes that name the same file,
  one has a set: that of a folder above, that of a name that loaders look for, else the first. The
  other is its rival.
* A numbered shard that no index names joins the index of its own stem as a leftover.
* What remains forms sets by numbers or ranks, or is a model by itself.

Names decide alone in a folder with one index and nothing but shards of its stem. Otherwise the
indexes are read (`scanner.listing.listed_index` says why, and that it costs no second request).
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Final, NamedTuple

from prefect_mutagen.parsers.detect import format_of
from prefect_mutagen.scanner.listing.artifacts import Rivals
from prefect_mutagen.scanner.listing.listed_index import ListedIndex, ReadIndex
from prefect_mutagen.scanner.listing.object_spool import FolderObjects
from prefect_mutagen.scanner.listing.rivals import WELL_KNOWN, FolderWeights, Weights, weights_named
from prefect_mutagen.scanner.listing.shards import (
    index_stem,
    numbered_set,
    rank_name,
    shard_name,
)
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["FolderSets", "FoundSet", "is_notable"]

_IN_MEMORY: Final = 20_000
"""Most files named by indexes that are held in memory; more go to the spool."""
_PACKED: Final = 4 << 20
"""Most bytes of packed indexes that a folder holds; those beyond are read again."""
_OPEN_INDEXES: Final = 100
"""Most indexes of a folder that are read before the listing has left it."""
_INDEX: Final = "/index"
_SAFETENSORS: Final = "safetensors"


@lru_cache(maxsize=1 << 12)
def is_notable(name: str) -> bool:
    """Whether a file of this name may be part of a set, or compete with other weights."""
    return (
        name.partition(".")[0] in WELL_KNOWN
        or shard_name(name) is not None
        or rank_name(name) is not None
        or index_stem(name) is not None
    )


class FoundSet(NamedTuple):
    """The files of one set."""

    shards: list[StoredObject]
    shard_index: StoredObject | None
    listed: bool
    """Whether the shards are all that exist of those that the index names."""
    packed: str
    """The index's bytes, if they were read; see `listed_index.unpack`."""
    rivals: Rivals


class FolderSets:
    """The sets of one folder."""

    def __init__(
        self,
        url: str,
        objects: FolderObjects,
        read_index: ReadIndex | None = None,
        above: "FolderSets | None" = None,
    ) -> None:
        """Start without files.

        Args:
            url: Address of the folder, with a trailing slash.
            objects: Where its objects are kept, indexes and shards by these sets.
            read_index: Reads an index; without it, names decide.
            above: The sets of the folder above, whose indexes may name files of this one.
        """
        self._url = url
        self._objects = objects
        self._read_index = read_index
        self.above = above
        self._weights = FolderWeights()
        self._notable = False
        self._indexes = 0
        self._seen_indexes = 0
        self._claims: dict[str, str] = {}
        self._listed: dict[str, ListedIndex] = {}
        self._packed = 0

    def note(self, name: str) -> None:
        """Note that the folder has a model file of this name."""
        if not self._notable and is_notable(name):
            self._notable = True

    def add_index(self, item: StoredObject) -> None:
        """Add an index; one that was added before is left as it is."""
        stem = index_stem(item.name) or ""
        if any(known.url == item.url for known in self._objects.get("index", stem)):
            return
        self._objects.add("index", stem, item)
        self._indexes += 1
        self._notable = True

    def prepare(self, models: Callable[[], Iterable[StoredObject]]) -> None:
        """Decide which files the indexes mean, once the folder has been listed.

        Args:
            models: Returns its model files.
        """
        if not self._notable:
            return
        if self._indexes and not self._is_obvious(models()):
            self._read_indexes()
        for _, index in self._objects.items("index"):
            name = index.name
            if not self._objects.contains("rejected", name):
                stem = index_stem(name) or ""
                self._weights.add(weights_named(name, stem, "index", name + _INDEX))
        for item in models():
            if not item.version and format_of(item.name) == _SAFETENSORS:
                key = self._key_of(item)
                if not key.endswith(_INDEX):
                    self._weights.add(_weights_of(item.name, key))

    def take(self, item: StoredObject) -> "FolderSets | None":
        """Put a model file into its set, if it belongs to one.

        Returns:
            The sets that took it, of this folder or of one above; None if it is a model by itself.
        """
        if item.version:
            return None
        if format_of(item.name) == _SAFETENSORS:
            for above in self._indexed_above():
                if above.take_from_below(item):
                    return above
        key = self._key_of(item) if self._notable else ""
        if key:
            self._objects.add("shard", key, item)
            return self
        if self._notable and format_of(item.name) == _SAFETENSORS:
            self._weights.add(_weights_of(item.name, ""))
        return None

    def rivals_of(self, item: StoredObject) -> Rivals:
        """Return what competes with a file that is a model by itself."""
        if not self._notable or item.version or format_of(item.name) != _SAFETENSORS:
            return Rivals()
        return self._weights.rivals_of(_weights_of(item.name, ""))

    def found(self) -> Iterator[FoundSet]:
        """Yield the sets, after all files were taken: those with files, then those without."""
        for key, group in groupby(self._objects.items("shard"), key=itemgetter(0)):
            yield self._set(key, sorted((item for _, item in group), key=attrgetter("url")))
        for _, index in self._objects.items("index"):
            key = index.name + _INDEX
            if not (
                self._objects.contains("rejected", index.name)
                or self._objects.contains("shard", key)
            ):
                yield self._set(key, [])

    def set_of(self, index: StoredObject) -> FoundSet:
        """Return the set of an index alone, whose files are all to be looked up."""
        return FoundSet([], index, listed=False, packed="", rivals=Rivals())

    def _set(self, key: str, shards: list[StoredObject]) -> FoundSet:
        if not key.endswith(_INDEX):
            rivals = Rivals()
            name = shards[0].name
            if format_of(name) == _SAFETENSORS:
                rivals = self._weights.rivals_of(_weights_of(name, key))
            return FoundSet(shards, None, listed=True, packed="", rivals=rivals)
        name = key.removesuffix(_INDEX)
        stem = index_stem(name) or ""
        index = next(one for one in self._objects.get("index", stem) if one.name == name)
        rivals = self._weights.rivals_of(weights_named(name, stem, "index", key))
        same = (item.url[len(self._url) :] for item in self._objects.get("rival", name))
        rivals = rivals._replace(weights=tuple(dict.fromkeys((*rivals.weights, *same))))
        listed = self._listed.get(name)
        # Without having been read, an index may name files that are not there by their names.
        known = self._objects.contains("read", name) or not self._seen_indexes
        if listed is None:
            return FoundSet(shards, index, listed=known, packed="", rivals=rivals)
        return FoundSet(shards, listed.item, listed=known, packed=listed.packed, rivals=rivals)

    def _key_of(self, item: StoredObject) -> str:
        """Return the key of the set that a file belongs to by this folder's names and indexes."""
        name = item.name
        is_safetensors = format_of(name) == _SAFETENSORS
        if is_safetensors and (owner := self._owner(name)):
            return owner + _INDEX
        shard = shard_name(name)
        if is_safetensors and shard is not None and self._indexes:
            for index in self._objects.get("index", shard.stem):
                if not self._objects.contains("rejected", index.name) and not (
                    self._objects.contains("foreign", index.name)
                ):
                    return index.name + _INDEX
        if shard is not None:
            return numbered_set(name) if shard.total != 1 else ""
        rank = rank_name(name) if is_safetensors else None
        return rank.set if rank is not None else ""

    def _owner(self, path: str) -> str:
        """Return the name of the index whose set a file is in; empty if no index names it."""
        owner = self._claims.get(path, "")
        if not owner and len(self._claims) >= _IN_MEMORY:
            found = self._objects.get("named", path)
            owner = found[0].name if found else ""
        return owner

    def take_from_below(self, item: StoredObject) -> bool:
        """Put a file of a folder below into the set of the index that names it, if one does."""
        owner = self.owner_of(item.url)
        if owner:
            self._objects.add("shard", owner + _INDEX, item)
        return bool(owner)

    def owner_of(self, url: str) -> str:
        """Return the name of the index whose set a file here or below is in; empty: none's."""
        self._read_indexes()
        return self._owner(url[len(self._url) :])

    def add_rival(self, owner: str, index: StoredObject) -> None:
        """Note an index that names files of another index's set."""
        self._objects.add("rival", owner, index)

    @property
    def has_open_indexes(self) -> bool:
        """Whether it has indexes, and not too many to read them before it is complete."""
        return 0 < self._indexes <= _OPEN_INDEXES

    def _indexed_above(self) -> Iterator["FolderSets"]:
        """Yield the sets of the folders above that have indexes, nearest first."""
        above = self.above
        while above is not None:
            if above.has_open_indexes:
                yield above
            above = above.above

    def _is_obvious(self, models: Iterable[StoredObject]) -> bool:
        """Whether there is one index, and no safetensors files but numbered shards of its stem."""
        if self._indexes != 1 or self._seen_indexes or any(self._indexed_above()):
            return False
        stem = next(key for key, _ in self._objects.items("index"))
        for item in models:
            if not item.version and format_of(item.name) == _SAFETENSORS:
                shard = shard_name(item.name)
                if shard is None or shard.stem != stem:
                    return False
        return True

    def _read_indexes(self) -> None:
        """Read the indexes that were added since; those that loaders look for come first."""
        if self._seen_indexes == self._indexes:
            return
        self._seen_indexes = self._indexes
        for stem in WELL_KNOWN:
            for index in self._objects.get("index", stem):
                self._claim(index)
        for _, index in self._objects.items("index"):
            self._claim(index)

    def _claim(self, index: StoredObject) -> None:
        """Read an index, and keep the files that it names for its set."""
        name = index.name
        if self._objects.contains("read", name) or self._objects.contains("unread", name):
            return
        listed = self._read_index(index) if self._read_index is not None else None
        if listed is None:
            self._objects.add("unread", name, index)
            return
        self._objects.add("read", name, index)
        for sets in (*self._indexed_above(), self):
            urls = (self._url + path for path in sorted(listed.names))
            owner = next(filter(None, map(sets.owner_of, urls)), "")
            if owner:
                self._objects.add("rejected", name, index)
                sets.add_rival(owner, index)
                return
        if self._packed + len(listed.packed) <= _PACKED:
            self._packed += len(listed.packed)
            self._listed[name] = listed
        for path in listed.names:
            if len(self._claims) < _IN_MEMORY:
                self._claims[path] = name
            else:
                self._objects.add("named", path, index)
        stem = index_stem(name)
        shards = (shard_name(path.rpartition("/")[2]) for path in listed.names)
        if not any(shard is not None and shard.stem == stem for shard in shards):
            self._objects.add("foreign", name, index)


@lru_cache(maxsize=1 << 12)
def _weights_of(name: str, key: str) -> Weights:
    """Return the weights that a safetensors file is, or is part of."""
    shard, rank = shard_name(name), rank_name(name)
    if shard is not None:
        return weights_named(name, shard.stem, "shards" if key else "whole", key)
    if rank is not None and key:
        return weights_named(name, rank.stem, "shards", key)
    return weights_named(name, name[: -len(".safetensors")], "whole")
