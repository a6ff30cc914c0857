"""List the artifacts below a root: all of them, or those that a scan selects.

A scan makes no statement about unselected artifacts, which keep their previous results. Only what
is neither listed nor unselected counts as removed. So older versions are not removed when only the
newest are listed, nor are objects that changed after an inventory was made.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any, Protocol

from prefect_mutagen.scanner.internal_errors import log_fault
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.grouping import artifact_of, group_artifacts, ungrouped
from prefect_mutagen.scanner.listing.ollama import OllamaStores, artifacts_of_file
from prefect_mutagen.scanner.listing.ollama_store import with_stated_digest
from prefect_mutagen.scanner.listing.roles import (
    NEIGHBOURS,
    OMS_NAME,
    SIGNATURE_SUFFIXES,
    is_relevant,
    shard_name,
)
from prefect_mutagen.scanner.listing.selection import NothingIncluded, Selection
from prefect_mutagen.scanner.storage.coroutines import finish, run
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import Store, StoredObject

__all__ = ["Known", "list_artifacts", "list_selected"]


class Known(Protocol):
    """Previous results for a root, which are told what a listing does not cover."""

    def leave_out(self, artifact: Artifact) -> None:
        """Keep the result of an artifact that exists but is not selected."""
        ...

    def leave_out_versions(self) -> None:
        """Keep the results of older object versions."""
        ...

    def leave_out_since(self, moment: float) -> None:
        """Keep the results of objects changed at or after a time, in seconds since the epoch."""
        ...


def list_artifacts(
    store: Store,
    *,
    siblings: bool = True,
    selection: Selection | None = None,
    objects: Iterable[StoredObject] | None = None,
    left_out: Callable[[Artifact], None] | None = None,
) -> Iterator[Artifact]:
    """List the artifacts below a store's root.

    Args:
        store: The root.
        siblings: Whether to look for neighbours if the root is one file; a presigned URL grants
            access to that file only.
        selection: Selection; all by default. A root that is one file is always selected.
        objects: Objects of an inventory, to use instead of a listing.
        left_out: Called with each artifact that exists but is not selected.

    Raises:
        NothingIncluded: No artifact matches the patterns to include.
        StorageError: The root does not exist or cannot be listed.
    """
    listed = iter(store.list_objects(is_relevant) if objects is None else objects)
    first = next(listed, None)
    if first is None:
        return
    if first.url == store.root:
        first = with_stated_digest(first)
        try:
            found = _find_registered(store, first) if siblings else []
            found = found or [_find_artifact(store, first, siblings=siblings)]
        except StorageError:
            raise
        except Exception as problem:  # noqa: BLE001 - a bug costs this artifact alone
            found = [ungrouped(first, log_fault(problem, "grouping", first.url))]
        yield from found
        return
    artifacts = OllamaStores(store).group(
        chain((first,), listed), lambda others: group_artifacts(others, store.root)
    )
    if selection is None or selection.takes_all:
        yield from artifacts
        return
    included = False
    for artifact in artifacts:
        if selection.takes(artifact, store.root):
            included = True
            yield artifact
            continue
        included = included or selection.includes(artifact, store.root)
        if left_out is not None:
            left_out(artifact)
    if selection.include and not included:
        reason = f"no model fits the patterns to include ({', '.join(selection.include)})"
        raise NothingIncluded("storage/not-found", store.root, reason)


def _find_registered(store: Store, item: StoredObject) -> list[Artifact]:
    """Return the artifacts of a file of an Ollama store; none where it cannot be listed."""
    with suppress(StorageError):
        return artifacts_of_file(store, item)
    return []


def _find_artifact(store: Store, item: StoredObject, *, siblings: bool) -> Artifact:
    """Return the artifact that a loader would load by a file's address.

    The address of a set's index or first shard stands for the set.
    """
    if siblings:
        with suppress(StorageError):  # read permission does not imply list permission
            listed = store.list_folder(item.folder, is_relevant)
            if listed is not None:
                return artifact_of(item, listed)
    artifact = artifact_of(item, _probe_neighbours(store, item) if siblings else [])
    shard = shard_name(item.name)
    if shard is not None and shard.number != 1:
        artifact = artifact._replace(kind="file")
    return artifact._replace(listed=False)


def _probe_neighbours(store: Store, item: StoredObject) -> list[StoredObject]:
    """Request the possible neighbours of a file one by one, where its folder cannot be listed."""

    def probe(name: str) -> StoredObject | None:
        url = item.folder + name
        try:
            if store.loop is None:
                return finish(store.find(url))
            from prefect_mutagen.scanner.storage.pacing import repeat

            return run(store, repeat(lambda: store.find(url), url))
        except StorageError as problem:
            if problem.code == "storage/not-found":
                return None
            return StoredObject(url, 0, "", fault=problem)

    signatures = (OMS_NAME, *(item.name + suffix for suffix in SIGNATURE_SUFFIXES))
    names = (*NEIGHBOURS, f"{item.name}.sha256", *signatures)
    if store.loop is None:
        found = [probe(name) for name in names]
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(len(names)) as threads:
            found = list(threads.map(probe, names))
    return [neighbour for neighbour in found if neighbour is not None]


def list_selected(
    store: Store,
    selection: Selection,
    options: Mapping[str, Any],
    *,
    siblings: bool = True,
    state: Known | None = None,
) -> Iterator[Artifact]:
    """List the selected artifacts below a store's root.

    Args:
        store: The root, opened with older versions if the selection requires them.
        selection: Selection.
        options: Storage options for root and inventory.
        siblings: As for `list_artifacts`.
        state: Previous results, told what is not selected; complete when the iterator is exhausted.

    Raises:
        StorageError: The root does not exist, or it or the inventory cannot be read.
        ValueError: The inventory is invalid, or of another bucket.
    """
    left_out = None
    if state is not None:
        left_out = state.leave_out
        if not selection.all_versions:
            state.leave_out_versions()
    if not selection.inventory:
        yield from list_artifacts(store, siblings=siblings, selection=selection, left_out=left_out)
        return
    from prefect_mutagen.scanner.listing.inventory import list_inventory, read_inventory

    inventory = read_inventory(selection.inventory, options)
    objects = list_inventory(inventory, store.root, is_relevant)
    yield from list_artifacts(
        store, siblings=siblings, selection=selection, objects=objects, left_out=left_out
    )
    if state is not None:
        state.leave_out_since(inventory.begun_at)
