"""Group listed objects into artifacts: single models, sets, and the files beside them.

An artifact includes the files beside it, so a folder's artifacts are yielded only after the listing
has left the folder and its model's root is known (`scanner.listing.roots`). Beyond
`object_spool.SPILL_THRESHOLD` objects a folder spills to a temporary file, so memory does not grow
with a flat bucket. It only grows with the largest set, whose shards are all in memory when it is
yielded.
"""

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from prefect_mutagen.parsers.detect import format_of
from prefect_mutagen.scanner.internal_errors import CODE, log_fault
from prefect_mutagen.scanner.listing.artifacts import Artifact, Beside, Pickles
from prefect_mutagen.scanner.listing.listed_index import ReadIndex
from prefect_mutagen.scanner.listing.object_spool import (
    SPILL_THRESHOLD,
    FolderObjects,
    ObjectSpool,
)
from prefect_mutagen.scanner.listing.roles import CHECKSUMS, role_of, signed_name
from prefect_mutagen.scanner.listing.roots import FolderTree, Look, Model, Unit
from prefect_mutagen.scanner.listing.sets import FolderSets, FoundSet
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["artifact_of", "group_artifacts", "ungrouped"]

_PICKLE_NAMES: Final = 5
_KEPT: Final = 2_000
"""Most files of one folder that describe models or are code; a real model has a few dozen."""
_WITH_OWN_WEIGHTS: Final = "modules.json"
"""The index of a pipeline whose first part is in the root itself."""
# Internal folders of git, the hub's cache and archivers. No model is loaded from there, and the
# cache marks files that a repository lacks by empty files of the same names.
_TOOL_FOLDERS: Final = frozenset({".git", ".no_exist", ".locks", "__MACOSX"})


@dataclass(slots=True)
class _Folder:
    url: str
    spool: ObjectSpool
    ignored: bool = False
    read_index: ReadIndex | None = None
    above: "_Folder | None" = None
    """The folder that it lies in, if that is listed too."""
    models: list[StoredObject] = field(default_factory=list)
    """The most recently listed models; earlier ones are in the spool."""
    describing: list[StoredObject] = field(default_factory=list)
    """Files that describe models: configurations, tokenizers, templates, card, licence."""
    code: list[StoredObject] = field(default_factory=list)
    unlisted: int = 0
    """Number of files that describe models, or are code, beyond those that are kept."""
    checksums: dict[str, StoredObject] = field(default_factory=dict)
    """Checksum files that may list any file, by name."""
    signatures: list[StoredObject] = field(default_factory=list)
    """Signatures that may cover any file."""
    objects: FolderObjects = field(init=False)
    """Files named after a model, shards by set, indexes, pickles, and spilled models."""
    sets: FolderSets = field(init=False)
    given_above: "array[int]" = field(default_factory=lambda: array("q"))
    """Hashes of the addresses of the models that belong to a set of a folder above."""
    fault: str = ""
    """Clause about a bug that occurred while grouping it; then none of its files is judged."""
    model: Model | None = None
    """The model that it belongs to; by default it is one by itself."""
    is_empty: bool = True
    """Whether nothing in it can be an artifact."""
    _shared: Beside | None = None
    """Files beside every artifact of the folder; cached once it has been listed."""
    _has_named_files: bool = False
    """Whether a checksum file or a signature is named after one model."""

    def __post_init__(self) -> None:
        self.objects = FolderObjects(self.spool)
        above = self.above.sets if self.above is not None else None
        self.sets = FolderSets(self.url, self.objects, self.read_index, above)

    def add(self, item: StoredObject) -> None:
        if self.ignored:
            return
        name = item.name
        role = role_of(name)
        if role in ("weights", "other"):  # other: a folder that cannot be listed
            self.is_empty = False
            self.models.append(item)
            self.sets.note(name)
            if len(self.models) >= self.spool.threshold:
                self.objects.spill("model", self.models)
                self.models.clear()
        elif role == "index":
            self.is_empty = False
            self.sets.add_index(item)
        elif role == "pickle":
            self.objects.add("pickle", name, item)
        elif role == "checksum":
            if name in CHECKSUMS:
                self.checksums[name] = item
            else:
                self.objects.add("checksums", name.removesuffix(".sha256"), item)
        elif role == "signature":
            self._add_signature(item)
        elif len(self.describing) + len(self.code) < _KEPT:
            (self.code if role == "code" else self.describing).append(item)
        else:
            self.unlisted += 1

    def _add_signature(self, item: StoredObject) -> None:
        if target := signed_name(item.name):
            self.objects.add("signature", target, item)
        else:
            self.signatures.append(item)

    @property
    def held(self) -> int:
        """Number of its objects in memory."""
        return len(self.models) + len(self.objects) + len(self.describing) + len(self.code)

    def artifacts(self) -> Iterator[Artifact]:
        """Yield single files in listing order, then sets."""
        self.sets.prepare(self._models)
        for item in self._models():
            taken_by = self.sets.take(item)
            if taken_by is None:
                yield self.single(item)
            elif taken_by is not self.sets:
                self.given_above.append(hash(item.url))
        for found in self.sets.found():
            yield self._set(found)
        self.objects.clear()

    def fail(self, item: StoredObject, fault: str) -> None:
        """Record a bug that occurred while an object was added."""
        self.fault, self.is_empty = fault, False
        if not self.models or self.models[-1] is not item:
            self.models.append(item)

    def remaining(self, singles: int, in_sets: set[int]) -> Iterator[StoredObject]:
        """Yield the models and indexes that `artifacts` had not reached.

        Args:
            singles: Number of single files that it had yielded, in listing order.
            in_sets: Hashes of the addresses in the sets that it had yielded.
        """
        shards = {hash(item.url) for _, item in self.objects.items("shard")}
        given_above = set(self.given_above)
        for item in self._models():
            code = hash(item.url)
            if code in given_above:
                continue
            if singles and code not in shards:
                singles -= 1
            elif code not in in_sets:
                yield item
        for _, item in self.objects.items("index"):
            if hash(item.url) not in in_sets:
                yield item
        for _, item in self.objects.items("shard"):  # from folders below
            if item.folder != self.url and hash(item.url) not in in_sets:
                yield item

    def _models(self) -> Iterator[StoredObject]:
        yield from (item for _, item in self.objects.items("model"))
        yield from self.models

    def _set(self, found: FoundSet) -> Artifact:
        shards, index = found.shards, found.shard_index
        return Artifact(
            shards[0].url if index is None else index.url,
            tuple(shards),
            self._beside(shards),
            "set",
            index,
            found.listed,
            rivals=found.rivals,
            packed_index=found.packed,
        )

    def single(self, item: StoredObject) -> Artifact:
        """Return the artifact of one file; an older version has no files beside it."""
        if item.version:
            return Artifact(item.url, (item,))
        rivals = self.sets.rivals_of(item)
        return Artifact(item.url, (item,), self._beside((item,)), rivals=rivals)

    def artifact_of(self, item: StoredObject, *, of_set: bool) -> Artifact:
        """Return the artifact that one of the files stands for.

        Args:
            item: The file.
            of_set: Whether it may be the index or a shard of a set.
        """
        if of_set:
            for artifact in self.artifacts():
                if artifact.url == item.url:
                    return artifact
            if role_of(item.name) == "index":  # it names files of another index's set
                return self._set(self.sets.set_of(item))
        elif format_of(item.name) == "safetensors":
            self.sets.prepare(self._models)
        return self.single(item)

    def pipeline(self, index: StoredObject, parts: Sequence[Artifact]) -> Artifact:
        """Return the artifact of a pipeline that this folder is the root of."""
        objects = tuple(item for part in parts for item in part.objects)
        return Artifact(index.url, objects, self._beside(()), "set", parts=tuple(parts))

    def _beside(self, items: Sequence[StoredObject]) -> Beside:
        """Return the files beside an artifact."""
        if self._shared is None:
            model = self.model or Model(self.url, tuple(self.describing), tuple(self.code))
            self._shared = Beside(
                model.describing,
                tuple(self.checksums[name] for name in CHECKSUMS if name in self.checksums),
                tuple(self.signatures),
                self._collect_pickles(),
                model.code,
                model.root,
                self.unlisted,
            )
            self._has_named_files = self.objects.has("checksums") or self.objects.has("signature")
        if not self._has_named_files:
            return self._shared
        shared = self._shared
        signatures = [*shared.signatures, *self._named_after("signature", items)]
        return shared._replace(
            checksums=(*shared.checksums, *self._named_after("checksums", items)),
            signatures=tuple(sorted(signatures, key=attrgetter("name"))),
        )

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


def group_artifacts(
    objects: Iterable[StoredObject],
    root: str = "",
    threshold: int = SPILL_THRESHOLD,
    read_index: ReadIndex | None = None,
    look: Look | None = None,
) -> Iterator[Artifact]:
    """Group listed objects into artifacts, each with the files of its model.

    Args:
        objects: Objects as `Store.list_objects` yields them, below a folder. Only the ancestors of
            the current object are open; large folders spill to a temporary file.
        root: Address of that folder; tools' internal folders below it are ignored, and no folder
            above it is a model's root.
        threshold: Number of objects that a folder may hold in memory before it spills.
        read_index: Reads an index where names do not tell which files it means; without it, the
            files under other names than its own are models by themselves.
        look: Lists the files of a folder above many models, whose own files may come later.

    Yields:
        Artifacts, model by model as each is complete. A folder that cannot be listed is an
        artifact too, so that it is not lost; so is each file of a folder whose grouping fails.
    """
    with closing(ObjectSpool(threshold)) as spool:

        def open_folder(url: str, above: _Folder | None) -> _Folder:
            return _Folder(url, spool, _is_tool_folder(url, root), read_index, above)

        tree = FolderTree(root, open_folder, look)
        listed = iter(objects)
        while True:
            try:
                item = next(listed, None)
            except StorageError:
                for leaving in tree.abandon():
                    yield from _emit(leaving)
                raise
            if item is None:
                break
            for leaving in tree.go_to(item):
                yield from _emit(leaving)
            folder = tree.current
            try:
                folder.add(item)
            except Exception as problem:  # noqa: BLE001 - a bug affects this folder only
                folder.fail(item, log_fault(problem, "grouping", item.url))
        for leaving in tree.finish():
            yield from _emit(leaving)


def _emit(unit: Unit[_Folder]) -> Iterator[Artifact]:
    """Yield the artifacts of a unit: those of a folder, or those of a pipeline."""
    if unit.pipeline is None:
        yield from _emit_folder(unit.folder)
        return
    parts: list[Artifact] = []
    for folder in unit.parts:
        parts += _emit_folder(folder)
    of_root = unit.pipeline.name == _WITH_OWN_WEIGHTS
    for artifact in _emit_folder(unit.folder):
        if of_root and parts and format_of(artifact.objects[0].name) == "safetensors":
            parts.append(artifact)
        else:
            yield artifact
    if parts:
        yield unit.folder.pipeline(unit.pipeline, parts)


def _emit_folder(folder: _Folder) -> Iterator[Artifact]:
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


def artifact_of(
    item: StoredObject,
    beside: Iterable[StoredObject],
    read_index: ReadIndex | None = None,
    model: Callable[[Model], Model] | None = None,
) -> Artifact:
    """Return the artifact that a loader would load by a file's name.

    Args:
        item: The file; the index or the first shard of a set stands for the set.
        beside: The files in its folder, with or without the file itself; consumed lazily.
        read_index: As for `group_artifacts`.
        model: Returns the model of which the folder's files are a part; by default they are all.
    """
    if item.version:
        return Artifact(item.url, (item,))
    form = format_of(item.name)
    # Other models matter for a set, and where loaders may prefer them.
    of_set = FolderSets.is_notable(item.name)
    with closing(ObjectSpool()) as spool:
        folder = _Folder(item.folder, spool, read_index=read_index)
        for other in beside:
            other_form = format_of(other.name)
            if other.url != item.url and (
                of_set
                or other_form is None
                or (form == other_form == "safetensors" and FolderSets.is_notable(other.name))
            ):
                folder.add(other)
        folder.add(item)
        own = Model(folder.url, tuple(folder.describing), tuple(folder.code))
        folder.model = own if model is None else model(own)
        return folder.artifact_of(item, of_set=of_set)


def ungrouped(item: StoredObject, message: str) -> Artifact:
    """Return the artifact of a file whose grouping failed.

    Args:
        item: The file, as it was listed.
        message: What `log_fault` returned.
    """
    fault = StorageError(CODE, item.url, message)
    return Artifact(item.url, (item._replace(pin="", fault=fault),))
