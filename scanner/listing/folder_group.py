"""Form the artifacts of one folder from its listed objects.

Beyond `object_spool.SPILL_THRESHOLD` objects a folder spills to a temporary file, so memory does
not grow with a flat bucket. It only grows with the largest set, whose shards are all in memory when
it is yielded.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from operator import attrgetter
from typing import Final

from prefect_mutagen.parsers.detect import format_of
from prefect_mutagen.scanner.listing.artifacts import Artifact, Beside, LooseFiles
from prefect_mutagen.scanner.listing.evidence import (
    checksum_target,
    missing_model,
    unfinished_mark,
)
from prefect_mutagen.scanner.listing.listed_index import ReadIndex
from prefect_mutagen.scanner.listing.loose_weights import (
    LOOSE,
    LooseWeights,
    is_looked_for,
    pickled_set,
)
from prefect_mutagen.scanner.listing.models import Model
from prefect_mutagen.scanner.listing.object_spool import FolderObjects, ObjectSpool
from prefect_mutagen.scanner.listing.roles import APPLE_DOUBLE, is_tool_mark, role_of, signed_name
from prefect_mutagen.scanner.listing.roots import MOST_DESCRIBING
from prefect_mutagen.scanner.listing.sets import FolderSets, FoundSet
from prefect_mutagen.scanner.listing.shards import shard_name
from prefect_mutagen.scanner.results import Kind
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["FolderGroup"]

_SHARED_CHECKSUMS: Final = 16
"""Checksum files of a folder that are read for every artifact; of more, those of its name."""
_NAMED_AFTER: Final = ("checksums", "signature", "unfinished")
"""Kinds of files whose names say which model they are about."""


@dataclass(slots=True)
class FolderGroup:
    """The objects of one folder while it is listed, and the artifacts that they form."""

    url: str
    """Its address, with a trailing slash."""
    spool: ObjectSpool
    marks: frozenset[str] = frozenset()
    """Tools' folders that it lies in, of which some files are marks and no models."""
    read_index: ReadIndex | None = None
    above: "FolderGroup | None" = None
    """The folder that it lies in, if that is listed too."""
    models: list[StoredObject] = field(default_factory=list)
    """The most recently listed models; earlier ones are in the spool."""
    describing: list[StoredObject] = field(default_factory=list)
    """Files that describe models: configurations, tokenizers, templates, card, licence."""
    code: list[StoredObject] = field(default_factory=list)
    loose: LooseWeights = field(init=False)
    """Pickles, and weights in other formats, here and in folders below that are no models."""
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
    """Whether it has nothing but what describes models, and pickles or other weights."""
    has_weights: bool = False
    """Whether it has weights that are examined, or an index of some."""
    is_pipeline: bool = False
    """Whether its subfolders are the parts of a pipeline, which its other files lie beside."""
    _shared: Beside | None = None
    """Files beside every artifact of the folder; cached once it has been listed."""
    _has_named_files: bool = False
    """Whether a checksum file or a signature is named after one model."""

    def __post_init__(self) -> None:
        """Start without objects."""
        self.objects = FolderObjects(self.spool)
        self.loose = LooseWeights(self.url, self.objects)
        above = self.above.sets if self.above is not None else None
        self.sets = FolderSets(self.url, self.objects, self.read_index, above)

    def add(self, item: StoredObject) -> None:
        """Add an object directly in the folder."""
        name = item.name
        if self.marks and is_tool_mark(item, self.marks):
            return
        role = role_of(name)
        if name.startswith(APPLE_DOUBLE) and role == "weights":
            self.is_empty = False
            self.objects.add("apple", name.removeprefix(APPLE_DOUBLE), item)
        elif role in ("weights", "other"):  # other: a folder that cannot be listed
            self.is_empty = False
            self.has_weights = self.has_weights or _is_weights(item)
            self.models.append(item)
            self.sets.note(name)
            if len(self.models) >= self.spool.threshold:
                self.objects.spill("model", self.models)
                self.models.clear()
        elif role == "index":
            self.is_empty = False
            self.has_weights = True
            self.sets.add_index(item)
        elif role in LOOSE:
            self.loose.add(item, role)
        elif role in ("checksum", "signature", "unfinished"):
            self._add_evidence(item, role)
        elif len(self.describing) + len(self.code) < MOST_DESCRIBING:
            (self.code if role == "code" else self.describing).append(item)
        else:
            self.unlisted += 1

    def _add_evidence(self, item: StoredObject, role: str) -> None:
        """Add a checksum file, a signature, or the mark of an unfinished download."""
        name = item.name
        if role == "checksum":
            target = checksum_target(name)
            if target and (format_of(target) or len(self.checksums) >= _SHARED_CHECKSUMS):
                self.objects.add("checksums", target, item)
            else:
                self.checksums[name] = item
        elif mark := unfinished_mark(name):
            self.is_empty = False
            self.objects.add("unfinished", mark.target, item)
        elif target := signed_name(name):
            self.objects.add("signature", target, item)
        elif len(self.signatures) < MOST_DESCRIBING:
            self.signatures.append(item)
        else:
            self.unlisted += 1

    @property
    def given_to_root(self) -> tuple[StoredObject, ...]:
        """What it adds to a model whose root is above it."""
        return (*self.describing, *self.code)

    @property
    def is_judged(self) -> bool:
        """Whether anything in it may be an artifact."""
        return not self.is_empty or len(self.loose) > 0

    @property
    def is_described(self) -> bool:
        """Whether a file here, or at the root of the model, says what the model is."""
        if self.objects.has("index"):
            return True
        return bool(self.describing if self.model is None else self.model.describing)

    @property
    def has_loose(self) -> bool:
        """Whether it has weights that are told with those of a folder above, if there are any."""
        return self.is_empty and len(self.loose) > 0 and not self.loose.is_model

    def take_loose(self, folder: "FolderGroup") -> None:
        """Take the pickles and other weights of a folder below, which is no model of its own."""
        for role, item in folder.loose.files():
            self.loose.add(item, role)
        folder.objects.clear()

    @property
    def held(self) -> int:
        """Number of its objects in memory."""
        return len(self.models) + len(self.objects) + len(self.describing) + len(self.code)

    def artifacts(self) -> Iterator[Artifact]:
        """Yield single files in listing order, then sets, then what is not there, then pickles."""
        self.sets.prepare(self._models)
        present: set[tuple[str, str]] = set()
        judged = self.is_pipeline
        stand_ins = [kind for kind in ("unfinished", "apple") if self.objects.has(kind)]
        for item in self._models():
            name = item.name
            present.update((kind, name) for kind in stand_ins if self.objects.contains(kind, name))
            taken_by = self.sets.take(item)
            if taken_by is None:
                judged = judged or (_is_weights(item) and not item.version)
                yield self.single(item)
            elif taken_by is not self.sets:
                self.given_above.append(hash(item.url))
        for found in self.sets.found():
            judged = True
            yield self._set(found)
        yield from self._missing_models(present)
        alone = self.loose.alone(beside_weights=judged, described=self.is_described)
        for key, items in groupby(alone, key=lambda item: pickled_set(item.name)):
            if not key:
                yield from map(self.single, items)
                continue
            first, *others = items
            beside = self._beside_loose(first)
            kind: Kind = "set" if others else "file"
            yield Artifact(first.url, (first, *others), beside, kind)

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
        loose = (item for _, item in self.loose.files() if hash(item.url) not in in_sets)
        yield from islice(loose, singles, None)
        for _, item in self.objects.items("index"):
            if hash(item.url) not in in_sets:
                yield item
        for _, item in self.objects.items("shard"):  # from folders below
            if item.folder != self.url and hash(item.url) not in in_sets:
                yield item

    def _models(self) -> Iterator[StoredObject]:
        yield from (item for _, item in self.objects.items("model"))
        yield from self.models

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
        role = role_of(item.name)
        if role in LOOSE:
            return Artifact(item.url, (item,), self._beside_loose(item))
        rivals = self.sets.rivals_of(item)
        return Artifact(item.url, (item,), self._beside((item,)), rivals=rivals)

    def _beside_loose(self, item: StoredObject) -> Beside:
        """Return the files beside a pickle, or beside weights that are not examined.

        Others lie beside it only if loaders look for it, and so take it for the model.
        """
        beside = self._beside((item,))
        if not is_looked_for(item.name):
            return beside._replace(pickles=LooseFiles(), other_weights=LooseFiles())
        pickles, others = (
            self.loose.beside(role, beside_weights=False, described=self.is_described)
            for role in LOOSE
        )
        return beside._replace(pickles=pickles, other_weights=others)

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
                tuple(self.checksums[name] for name in sorted(self.checksums)),
                (*self.signatures, *model.signatures),
                self.loose.beside("pickle", beside_weights=True, described=self.is_described),
                model.code,
                model.root,
                self.unlisted,
                other_weights=self.loose.beside(
                    "other-weights", beside_weights=True, described=self.is_described
                ),
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


def _is_weights(item: StoredObject) -> bool:
    """Whether an object is weights by its name, or begins like some under a name of no kind.

    What else has such a name is a folder that cannot be listed.
    """
    role = role_of(item.name)
    return role == "weights" or (role == "other" and item.fault is None)
