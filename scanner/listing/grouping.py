"""Group listed objects into artifacts: single models, sets, and the files beside them.

An artifact includes the files beside it, so a folder's artifacts are yielded only after the listing
has left the folder and its model's root is known (`scanner.listing.roots`).
"""

from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Final

from prefect_mutagen.parsers.detect import format_of
from prefect_mutagen.scanner.internal_errors import CODE, log_fault
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.folder_group import FolderGroup
from prefect_mutagen.scanner.listing.listed_index import ReadIndex
from prefect_mutagen.scanner.listing.loose_weights import is_looked_for
from prefect_mutagen.scanner.listing.models import Model
from prefect_mutagen.scanner.listing.object_spool import SPILL_THRESHOLD, ObjectSpool
from prefect_mutagen.scanner.listing.roles import TOOL_FOLDERS
from prefect_mutagen.scanner.listing.roots import FolderTree, Look, Unit
from prefect_mutagen.scanner.listing.sets import is_notable
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["artifact_of", "group_artifacts", "ungrouped"]

_WITH_OWN_WEIGHTS: Final = "modules.json"
"""The index of a pipeline whose first part is in the root itself."""


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
        root: Address of that folder; no folder above it is a model's root.
        threshold: Number of objects that a folder may hold in memory before it spills.
        read_index: Reads an index where names do not tell which files it means; without it, the
            files under other names than its own are models by themselves.
        look: Lists the files of a folder above many models, whose own files may come later.

    Yields:
        Artifacts, model by model as each is complete. A folder that cannot be listed is an
        artifact too, so that it is not lost; so is each file of a folder whose grouping fails.
    """
    with closing(ObjectSpool(threshold)) as spool:

        def open_folder(url: str, above: FolderGroup | None) -> FolderGroup:
            return FolderGroup(url, spool, _marks_in(url, root), read_index, above)

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


def _emit(unit: Unit[FolderGroup]) -> Iterator[Artifact]:
    """Yield the artifacts of a unit, and forget its objects."""
    if unit.pipeline is None:
        yield from _emit_folder(unit.folder)
    else:
        yield from _emit_pipeline(unit, unit.pipeline)
    for folder in (*unit.parts, unit.folder):
        folder.objects.clear()


def _emit_pipeline(unit: Unit[FolderGroup], index: StoredObject) -> Iterator[Artifact]:
    """Yield what its root has besides, then the pipeline."""
    parts: list[Artifact] = []
    for folder in unit.parts:
        parts += _emit_folder(folder)
    of_root = index.name == _WITH_OWN_WEIGHTS and parts
    unit.folder.is_pipeline = bool(parts) and not (of_root and unit.folder.loose.is_model)
    for artifact in _emit_folder(unit.folder):
        # An index whose shards are missing has no objects, and is a part all the same.
        if of_root and all(_is_part(item.name) for item in artifact.objects):
            parts.append(artifact)
        else:
            yield artifact
    if parts:
        yield unit.folder.pipeline(index, parts)


def _is_part(name: str) -> bool:
    return format_of(name) == "safetensors" or is_looked_for(name)


def _emit_folder(folder: FolderGroup) -> Iterator[Artifact]:
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


def _urls(artifact: Artifact) -> Iterator[str]:
    return (item.url for item in artifact.objects)


def _marks_in(folder: str, root: str) -> frozenset[str]:
    inside = folder.removeprefix(root.rstrip("/") + "/")
    return TOOL_FOLDERS.intersection(inside.split("/"))


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
    of_set = is_notable(item.name)
    with closing(ObjectSpool()) as spool:
        folder = FolderGroup(item.folder, spool, read_index=read_index)
        for other in beside:
            other_form = format_of(other.name)
            if other.url != item.url and (
                of_set
                or other_form is None
                or (form == other_form == "safetensors" and is_notable(other.name))
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
