"""Group listed objects into artifacts: single models, sets, and the files beside them.

An artifact includes the files beside it, so a folder's artifacts are yielded only after the listing
has left the folder. Beyond `object_spool.SPILL_THRESHOLD` objects a folder spills to a temporary
file, so memory does not grow with a flat bucket. It only grows with the largest set, whose shards
are all in memory when it is yielded.
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
from prefect_mutagen.scanner.listing.evidence import (
    checksum_target,
    missing_model,
    unfinished_mark,
)
from prefect_mutagen.scanner.listing.object_spool import (
    SPILL_THRESHOLD,
    FolderObjects,
    ObjectSpool,
)
from prefect_mutagen.scanner.listing.roles import (
    APPLE_DOUBLE,
    index_stem,
    role_of,
    shard_name,
    signed_name,
)
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["artifact_of", "group_artifacts", "ungrouped"]

_PICKLE_NAMES: Final = 5
_SHARED_CHECKSUMS: Final = 16
"""Checksum files of a folder that are read for every artifact; of more, those of its name."""
_CANDIDATES: Final = 5_000
"""Most files that are considered as shards of an index without numbered shards. In larger folders,
only the files that the index names are looked up."""
# Internal folders of git, the hub's cache and archivers. No model is loaded from there, and the
# cache marks files that a repository lacks by empty files of the same names.
_NAMED_AFTER: Final = ("checksums", "signature", "unfinished")
"""Kinds of files whose names say which model they are about."""
_TOOL_FOLDERS: Final = frozenset({".git", ".no_exist", ".locks", "__MACOSX"})


@dataclass(slots=True)
class _Folder:
    url: str
    spool: ObjectSpool
    ignored: bool = False
    models: list[StoredObject] = field(default_factory=list)
    """The most recently listed models; earlier ones are in the spool."""
    neighbours: list[StoredObject] = field(default_factory=list)
    checksums: dict[str, StoredObject] = field(default_factory=dict)
    """Checksum files that may list any file, by name."""
    signatures: list[StoredObject] = field(default_factory=list)
    """Signatures that may cover any file."""
    objects: FolderObjects = field(init=False)
    """Files named after a model, shards by set, indexes, pickles, and spilled models."""
    fault: str = ""
    """Clause about a bug that occurred while grouping it; then none of its files is judged."""
    _shared: Beside | None = None
    """Files beside every artifact of the folder; cached once it has been listed."""
    _has_named_files: bool = False
    """Whether a checksum file or a signature is named after one model."""

    def __post_init__(self) -> None:
        self.objects = FolderObjects(self.spool)

    def add(self, item: StoredObject) -> None:
        if self.ignored:
            return
        name = item.name
        role = role_of(name)
        if name.startswith(APPLE_DOUBLE) and role == "model":
            self.objects.add("apple", name.removeprefix(APPLE_DOUBLE), item)
        elif role == "model" or role is None:  # no role: a folder that cannot be listed
            self.models.append(item)
            if len(self.models) >= self.spool.threshold:
                self.objects.spill("model", self.models)
                self.models.clear()
        elif role == "neighbour":
            self.neighbours.append(item)
        elif role == "pickle":
            self.objects.add("pickle", name, item)
        elif role == "index":
            self.objects.add("index", index_stem(name) or "", item)
        else:
            self._add_evidence(item, role)

    def _add_evidence(self, item: StoredObject, role: str) -> None:
        """Add a checksum file, a signature, or the mark of an unfinished download."""
        name = item.name
        if role == "checksums":
            target = checksum_target(name)
            if target and (format_of(target) or len(self.checksums) >= _SHARED_CHECKSUMS):
                self.objects.add("checksums", target, item)
            else:
                self.checksums[name] = item
        elif mark := unfinished_mark(name):
            self.objects.add("unfinished", mark.target, item)
        elif target := signed_name(name):
            self.objects.add("signature", target, item)
        else:
            self.signatures.append(item)

    def artifacts(self) -> Iterator[Artifact]:
        """Yield single files in listing order, then sets, then what is not there."""
        indexed = self.objects.has("index")
        candidates: list[StoredObject] = []
        present: set[tuple[str, str]] = set()
        stand_ins = [kind for kind in ("unfinished", "apple") if self.objects.has(kind)]
        for item in self._models():
            name = item.name
            present.update((kind, name) for kind in stand_ins if self.objects.contains(kind, name))
            form = format_of(name) if indexed else None
            shard = shard_name(name)
            if shard is not None and item.version:
                shard = None
            # An index covers all shards of its stem, whatever count their names state.
            if (
                shard is not None
                and form == "safetensors"
                and self.objects.contains("index", shard.stem)
            ):
                self.objects.add("shard", _set_key(form, shard.stem), item)
            elif shard is None or shard.total == 1:
                if form == "safetensors" and len(candidates) <= _CANDIDATES:
                    candidates.append(item)
                yield self.single(item)
            else:
                key = _set_key(format_of(name) or "", shard.stem, shard.total)
                self.objects.add("shard", key, item)
        yield from self._numbered_sets()
        if indexed:
            yield from self._indexed_sets(candidates)
        yield from self._missing_models(present)
        self.objects.clear()

    def fail(self, item: StoredObject, fault: str) -> None:
        """Record a bug that occurred while an object was added."""
        self.fault = fault
        if not self.models or self.models[-1] is not item:
            self.models.append(item)

    def remaining(self, singles: int, in_sets: set[int]) -> Iterator[StoredObject]:
        """Yield the models and indexes that `artifacts` had not reached.

        Args:
            singles: Number of single files that it had yielded, in listing order.
            in_sets: Hashes of the addresses in the sets that it had yielded.
        """
        shards = {hash(item.url) for _, item in self.objects.items("shard")}
        for item in self._models():
            code = hash(item.url)
            if singles and code not in shards:
                singles -= 1
            elif code not in in_sets:
                yield item
        for _, item in self.objects.items("index"):
            if hash(item.url) not in in_sets:
                yield item

    def _models(self) -> Iterator[StoredObject]:
        yield from (item for _, item in self.objects.items("model"))
        yield from self.models

    def _numbered_sets(self) -> Iterator[Artifact]:
        """Yield the sets of numbered shards."""
        for key, group in groupby(self.objects.items("shard"), key=itemgetter(0)):
            shards = sorted((item for _, item in group), key=attrgetter("name"))
            stem, _, count = key.rsplit("/", 2)
            indexes = () if int(count) else self.objects.get("index", stem)
            yield self._set(shards, indexes[-1] if indexes else None)

    def _indexed_sets(self, candidates: list[StoredObject]) -> Iterator[Artifact]:
        """Yield a set for each index without numbered shards; its files are artifacts as well."""
        candidates.sort(key=attrgetter("name"))
        for stem, group in groupby(self.objects.items("index"), key=itemgetter(0)):
            *_, (_, index) = group
            if self.objects.contains("shard", _set_key("safetensors", stem)):
                continue
            if len(candidates) <= _CANDIDATES:
                yield self._set(candidates, index)
            else:
                yield self._set([], index)._replace(listed=False)

    def _missing_models(self, present: set[tuple[str, str]]) -> Iterator[Artifact]:
        """Yield what stands for models that are not there.

        Args:
            present: Kind and name of those that are.
        """
        for key, item in self.objects.items("unfinished"):
            mark = unfinished_mark(item.name)
            if mark is not None and ("unfinished", key) not in present:
                present.add(("unfinished", key))
                yield Artifact(item.url, (missing_model(item, mark),))
        for key, item in self.objects.items("apple"):
            if ("apple", key) not in present:
                yield Artifact(item.url, (item,))

    def _set(self, shards: list[StoredObject], index: StoredObject | None) -> Artifact:
        return Artifact(
            shards[0].url if index is None else index.url,
            tuple(shards),
            self._beside(shards),
            "set",
            index,
        )

    def single(self, item: StoredObject) -> Artifact:
        """Return the artifact of one file; an older version has no files beside it."""
        if item.version:
            return Artifact(item.url, (item,))
        return Artifact(item.url, (item,), self._beside((item,)))

    def _beside(self, items: Sequence[StoredObject]) -> Beside:
        """Return the files beside an artifact."""
        if self._shared is None:
            self._shared = Beside(
                tuple(self.neighbours),
                tuple(self.checksums[name] for name in sorted(self.checksums)),
                tuple(self.signatures),
                self._collect_pickles(),
            )
            self._has_named_files = any(map(self.objects.has, _NAMED_AFTER))
        if not self._has_named_files:
            return self._shared
        shared = self._shared
        signatures = [*shared.signatures, *self._named_after("signature", items)]
        return shared._replace(
            checksums=(*shared.checksums, *self._checksums_of(items)),
            signatures=tuple(sorted(signatures, key=attrgetter("name"))),
            unfinished=tuple(other.name for other in self._named_after("unfinished", items)),
        )

    def _checksums_of(self, items: Sequence[StoredObject]) -> Iterator[StoredObject]:
        """Yield the checksum files that are named after files of an artifact, or their stems."""
        keys: dict[str, None] = {}
        for item in items:
            shard = shard_name(item.name)
            stems = (item.name.rpartition(".")[0], shard.stem if shard is not None else "")
            keys |= dict.fromkeys((item.name, *filter(None, stems)))
        for key in keys:
            yield from self.objects.get("checksums", key)

    def _named_after(self, kind: str, items: Sequence[StoredObject]) -> list[StoredObject]:
        return [other for item in items for other in self.objects.get(kind, item.name)]

    def _collect_pickles(self) -> Pickles:
        if not self.objects.has("pickle"):
            return Pickles()
        first: list[str] = []
        digest, number = hashlib.sha256(), 0
        for number, (name, item) in enumerate(self.objects.items("pickle"), 1):
            text = f"{name}\0{item.pin}" if number == 1 else f"\n{name}\0{item.pin}"
            digest.update(text.encode("utf-8", "surrogateescape"))
            if number <= _PICKLE_NAMES:
                first.append(name)
        return Pickles(tuple(first), number, digest.hexdigest())


def _set_key(form: str, stem: str, count: int = 0) -> str:
    """Return the key of a set within its folder; only the stem varies in length."""
    return f"{stem}/{form}/{count:05}"


def group_artifacts(
    objects: Iterable[StoredObject], root: str = "", threshold: int = SPILL_THRESHOLD
) -> Iterator[Artifact]:
    """Group listed objects into artifacts, each with the files beside it.

    Args:
        objects: Objects as `Store.list_objects` yields them, below a folder. Only the ancestors of
            the current object are open; large folders spill to a temporary file.
        root: Address of that folder; tools' internal folders below it are ignored.
        threshold: Number of objects that a folder may hold in memory before it spills.

    Yields:
        Artifacts, folder by folder as each is complete. A folder that cannot be listed is an
        artifact too, so that it is not lost; so is each file of a folder whose grouping fails.
    """
    path: list[_Folder] = []
    with closing(ObjectSpool(threshold)) as spool:
        for item in objects:
            url = item.url
            while path and not url.startswith(path[-1].url):
                yield from _emit(path.pop())
            if not path or "/" in url[len(path[-1].url) :].rstrip("/"):
                folder = item.folder
                path.append(_Folder(folder, spool, _is_tool_folder(folder, root)))
            try:
                path[-1].add(item)
            except Exception as problem:  # noqa: BLE001 - a bug affects this folder only
                path[-1].fail(item, log_fault(problem, "grouping", url))
        while path:
            yield from _emit(path.pop())


def _emit(folder: _Folder) -> Iterator[Artifact]:
    """Yield a folder's artifacts; if grouping fails, each remaining file by itself.

    A folder may hold a million files. So single files that were yielded are only counted, and files
    of sets are remembered as hashes.
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
        except Exception as problem:  # noqa: BLE001 - a bug affects this folder only
            folder.fault = log_fault(problem, "grouping", folder.url)
    if folder.fault:
        for item in folder.remaining(singles, set(in_sets)):
            yield ungrouped(item, folder.fault)
        folder.objects.clear()


def _urls(artifact: Artifact) -> Iterator[str]:
    return (item.url for item in artifact.objects)


def _is_tool_folder(folder: str, root: str) -> bool:
    inside = folder.removeprefix(root.rstrip("/") + "/")
    return not _TOOL_FOLDERS.isdisjoint(inside.split("/"))


def artifact_of(item: StoredObject, beside: Iterable[StoredObject]) -> Artifact:
    """Return the artifact that a loader would load by a file's name.

    Args:
        item: The file; the index or the first shard of a set stands for the set.
        beside: The files in its folder, with or without the file itself; consumed lazily.
    """
    if item.version:
        return Artifact(item.url, (item,))
    role = role_of(item.name)
    # Other models matter only for the index or a shard of a set.
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
    """Return the artifact of a file whose grouping failed.

    Args:
        item: The file, as it was listed.
        message: What `log_fault` returned.
    """
    fault = StorageError(CODE, item.url, message)
    return Artifact(item.url, (item._replace(pin="", fault=fault),))
