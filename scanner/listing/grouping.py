"""Objects of a listing, put together to artifacts: models, their sets, and what lies beside them.

An artifact carries what its folder holds besides, so nothing of a folder is given out before the
listing has left it. A folder is held in memory while it is small; from `object_spool.HELD` objects
on they go to a temporary file, and memory does not grow with a bucket of one flat folder. What
stays in proportion is one artifact: a set has all its shards in hand when it is given out.
"""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Final

from prefect_mutagen.parsers.detect import format_of
from prefect_mutagen.scanner.internal_errors import CODE, log_fault
from prefect_mutagen.scanner.listing.artifacts import Artifact, Beside, Pickles
from prefect_mutagen.scanner.listing.object_spool import HELD, ObjectSpool, Shelf
from prefect_mutagen.scanner.listing.roles import (
    CHECKSUMS,
    index_stem,
    role_of,
    shard_name,
    signed_name,
)
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["artifact_of", "group_artifacts", "ungrouped"]

_PICKLES_NAMED: Final = 5
_CANDIDATES: Final = 5_000
"""Files that an index may mean which names files without numbers; of more, only those are looked
up that it does name."""
# What git, the hub's cache and archivers keep for themselves: no model is loaded from there, and
# the cache marks files that a repository does not have by empty ones of their names.
_TOOL_FOLDERS: Final = frozenset({".git", ".no_exist", ".locks", "__MACOSX"})


@dataclass(slots=True)
class _Folder:
    url: str
    spool: ObjectSpool
    kept: bool = True
    models: list[StoredObject] = field(default_factory=list)
    """The last ones that were listed; those before them are in the spool."""
    neighbours: list[StoredObject] = field(default_factory=list)
    checksums: dict[str, StoredObject] = field(default_factory=dict)
    """Those that speak of any file."""
    signatures: list[StoredObject] = field(default_factory=list)
    """Those that may speak of any file."""
    shelf: Shelf = field(init=False)
    """What is named after a model, shards under their sets, and pickles."""
    fault: str = ""
    """How the scanner itself failed over it, in a clause; then none of its files is judged."""
    _shared: Beside | None = None
    """What lies beside every artifact of the folder; known when it has been listed."""
    _some_are_named: bool = False
    """Whether something is named after one artifact."""

    def __post_init__(self) -> None:
        self.shelf = Shelf(self.spool)

    def add(self, item: StoredObject) -> None:
        if not self.kept:
            return
        name = item.name
        role = role_of(name)
        if role == "model" or role is None:  # what has no role is a folder that cannot be listed
            self.models.append(item)
            if len(self.models) >= self.spool.held:
                self.shelf.put_away("model", self.models)
                self.models.clear()
        elif role == "neighbour":
            self.neighbours.append(item)
        elif role == "checksums":
            if name in CHECKSUMS:
                self.checksums[name] = item
            else:
                self.shelf.add("checksums", name.removesuffix(".sha256"), item)
        elif role == "signature":
            if target := signed_name(name):
                self.shelf.add("signature", target, item)
            else:
                self.signatures.append(item)
        elif role == "pickle":
            self.shelf.add("pickle", name, item)
        else:
            self.shelf.add("index", index_stem(name) or "", item)

    def artifacts(self) -> Iterator[Artifact]:
        """Give single files as they were listed, then sets."""
        indexed = self.shelf.has("index")
        candidates: list[StoredObject] = []
        for item in self._models():
            name = item.name
            form = format_of(name) if indexed else None
            shard = shard_name(name)
            if shard is not None and item.version:
                shard = None
            # An index speaks for all shards of its name, whatever count they claim.
            if (
                shard is not None
                and form == "safetensors"
                and self.shelf.holds("index", shard.stem)
            ):
                self.shelf.add("shard", _set_key(form, shard.stem), item)
            elif shard is None or shard.total == 1:
                if form == "safetensors" and len(candidates) <= _CANDIDATES:
                    candidates.append(item)
                yield self.single(item)
            else:
                key = _set_key(format_of(name) or "", shard.stem, shard.total)
                self.shelf.add("shard", key, item)
        yield from self._numbered()
        if indexed:
            yield from self._unnumbered(candidates)
        self.shelf.clear()

    def spoil(self, item: StoredObject, fault: str) -> None:
        """Note that the scanner failed over one of its objects."""
        self.fault = fault
        if not self.models or self.models[-1] is not item:
            self.models.append(item)

    def rest(self, singles: int, in_sets: set[int]) -> Iterator[StoredObject]:
        """Give the models and indexes that `artifacts` had not come to.

        Args:
            singles: How many single files it had given out, in the order of the models.
            in_sets: Hashes of the addresses that were in sets.
        """
        put_aside = {hash(item.url) for _, item in self.shelf.take("shard")}
        for item in self._models():
            code = hash(item.url)
            if singles and code not in put_aside:
                singles -= 1
            elif code not in in_sets:
                yield item
        for _, item in self.shelf.take("index"):
            if hash(item.url) not in in_sets:
                yield item

    def _models(self) -> Iterator[StoredObject]:
        yield from (item for _, item in self.shelf.take("model"))
        yield from self.models

    def _numbered(self) -> Iterator[Artifact]:
        """Give the sets of files that number themselves."""
        for key, group in groupby(self.shelf.take("shard"), key=itemgetter(0)):
            shards = sorted((item for _, item in group), key=attrgetter("name"))
            stem, _, count = key.rsplit("/", 2)
            indexes = () if int(count) else self.shelf.get("index", stem)
            yield self._set(shards, indexes[-1] if indexes else None)

    def _unnumbered(self, candidates: list[StoredObject]) -> Iterator[Artifact]:
        """Give a set for each index that must mean other files; these stand for themselves too."""
        candidates.sort(key=attrgetter("name"))
        for stem, group in groupby(self.shelf.take("index"), key=itemgetter(0)):
            *_, (_, index) = group
            if self.shelf.holds("shard", _set_key("safetensors", stem)):
                continue
            if len(candidates) <= _CANDIDATES:
                yield self._set(candidates, index)
            else:
                yield self._set([], index)._replace(listed=False)

    def _set(self, shards: list[StoredObject], index: StoredObject | None) -> Artifact:
        return Artifact(
            shards[0].url if index is None else index.url,
            tuple(shards),
            self._beside(shards),
            "set",
            index,
        )

    def single(self, item: StoredObject) -> Artifact:
        """Make the artifact of one file; what lies beside an older version is of another time."""
        if item.version:
            return Artifact(item.url, (item,))
        return Artifact(item.url, (item,), self._beside((item,)))

    def _beside(self, items: Sequence[StoredObject]) -> Beside:
        """Say what lies beside the files of an artifact."""
        if self._shared is None:
            self._shared = Beside(
                tuple(self.neighbours),
                tuple(self.checksums[name] for name in CHECKSUMS if name in self.checksums),
                tuple(self.signatures),
                self._count_pickles(),
            )
            self._some_are_named = self.shelf.has("checksums") or self.shelf.has("signature")
        if not self._some_are_named:
            return self._shared
        shared = self._shared
        signatures = [*shared.signatures, *self._named_after("signature", items)]
        return shared._replace(
            checksums=(*shared.checksums, *self._named_after("checksums", items)),
            signatures=tuple(sorted(signatures, key=attrgetter("name"))),
        )

    def _named_after(self, kind: str, items: Sequence[StoredObject]) -> list[StoredObject]:
        return [other for item in items for other in self.shelf.get(kind, item.name)]

    def _count_pickles(self) -> Pickles:
        if not self.shelf.has("pickle"):
            return Pickles()
        first: list[str] = []
        digest, number = hashlib.sha256(), 0
        for number, (name, item) in enumerate(self.shelf.take("pickle"), 1):
            text = f"{name}\0{item.pin}" if number == 1 else f"\n{name}\0{item.pin}"
            digest.update(text.encode("utf-8", "surrogateescape"))
            if number <= _PICKLES_NAMED:
                first.append(name)
        return Pickles(tuple(first), number, digest.hexdigest())


def _set_key(form: str, stem: str, count: int = 0) -> str:
    """Name a set within its folder; no part but the stem is of any length, and none has a slash."""
    return f"{stem}/{form}/{count:05}"


def group_artifacts(
    objects: Iterable[StoredObject], root: str = "", held: int = HELD
) -> Iterator[Artifact]:
    """Group listed objects into artifacts, each with its neighbours.

    Args:
        objects: Objects as `Store.list_objects` yields them, below a folder. Only the folders on
            the way to the current object are held; of large ones most is in a temporary file.
        root: Address of that folder; what tools keep for themselves below it is passed over.
        held: How many of a folder are held in memory.

    Yields:
        Artifacts, folder by folder as each one is complete. What cannot be looked at (a folder
        that may not be listed) is an artifact too: it must not be lost. So is each file of a
        folder over which the scanner itself fails.
    """
    path: list[_Folder] = []
    with closing(ObjectSpool(held)) as spool:
        for item in objects:
            url = item.url
            while path and not url.startswith(path[-1].url):
                yield from _given_out(path.pop())
            if not path or "/" in url[len(path[-1].url) :].rstrip("/"):
                folder = item.folder
                path.append(_Folder(folder, spool, not _is_tool_folder(folder, root)))
            try:
                path[-1].add(item)
            except Exception as problem:  # noqa: BLE001 - a bug costs this folder alone
                path[-1].spoil(item, log_fault(problem, "grouping", url))
        while path:
            yield from _given_out(path.pop())


def _given_out(folder: _Folder) -> Iterator[Artifact]:
    """Give out a folder's artifacts; where that fails, each file that is still to come by itself.

    A folder may hold a million: single files that were given out are only counted, those of sets
    are known by their hashes.
    """
    singles, in_sets = 0, array("q")
    if not folder.fault:
        try:
            for artifact in folder.artifacts():
                if artifact.kind == "file":
                    singles += 1
                else:
                    in_sets.extend(hash(url) for url in (artifact.url, *_urls(artifact)))
                yield artifact
        except Exception as problem:  # noqa: BLE001 - a bug costs this folder alone
            folder.fault = log_fault(problem, "grouping", folder.url)
    if folder.fault:
        for item in folder.rest(singles, set(in_sets)):
            yield ungrouped(item, folder.fault)
        folder.shelf.clear()


def _urls(artifact: Artifact) -> Iterator[str]:
    return (item.url for item in artifact.objects)


def _is_tool_folder(folder: str, root: str) -> bool:
    inside = folder.removeprefix(root.rstrip("/") + "/")
    return not _TOOL_FOLDERS.isdisjoint(inside.split("/"))


def artifact_of(item: StoredObject, beside: Iterable[StoredObject]) -> Artifact:
    """Make the artifact of a file that was named by itself: what a loader loads by that name.

    Args:
        item: The file; the index or the first shard of a set stands for the set.
        beside: The files in its folder, itself included or not; taken one by one.
    """
    if item.version:
        return Artifact(item.url, (item,))
    role = role_of(item.name)
    # Other models matter only to what may stand for a set.
    of_set = role == "index" or (role == "model" and shard_name(item.name) is not None)
    with closing(ObjectSpool()) as spool:
        folder = _Folder(item.folder, spool)
        for other in beside:
            if other.url != item.url and (of_set or format_of(other.name) is None):
                folder.add(other)
        if of_set:
            folder.add(item)
            for artifact in folder.artifacts():
                if artifact.url == item.url:
                    return artifact
        return folder.single(item)


def ungrouped(item: StoredObject, message: str) -> Artifact:
    """Return the artifact of a file that could not be put together with those beside it.

    Args:
        item: The file, as it was listed.
        message: What `log_fault` returned.
    """
    fault = StorageError(CODE, item.url, message)
    return Artifact(item.url, (item._replace(pin="", fault=fault),))
