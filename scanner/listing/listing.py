"""List the artifacts below a root: all of them, or what a scan is about.

A scan says nothing about what its selection leaves out: that stays as it is known, and only what is
neither there nor left out is gone. So older versions are not gone where only the newest ones are
listed, and neither is what was changed after an inventory was made.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any, Protocol

from prefect_mutagen.scanner.internal_errors import log_fault
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.grouping import artifact_of, group_artifacts, ungrouped
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
    """What is known of a root, and is told what a listing is not about."""

    def leave_out(self, artifact: Artifact) -> None:
        """Leave an artifact as it is known: it is there and not selected."""
        ...

    def leave_out_versions(self) -> None:
        """Leave older versions of objects as they are known."""
        ...

    def leave_out_since(self, moment: float) -> None:
        """Leave out what was changed at a time or later, in seconds since 1970."""
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
        siblings: Whether to look for neighbours beside a root that is one file; a signed address
            opens that one file only.
        selection: Which of them; all by default. A root that is one file is always given.
        objects: What lies there, where an inventory says so and nothing has to be listed.
        left_out: Told of each artifact that is there and not selected.

    Raises:
        NothingIncluded: The selection's patterns fit nothing of what lies there.
        StorageError: The root does not exist or cannot be listed.
    """
    listed = iter(store.list_objects(is_relevant) if objects is None else objects)
    first = next(listed, None)
    if first is None:
        return
    if first.url == store.root:
        try:
            named = _named(store, first, siblings=siblings)
        except StorageError:
            raise
        except Exception as problem:  # noqa: BLE001 - a bug costs this artifact alone
            named = ungrouped(first, log_fault(problem, "grouping", first.url))
        yield named
        return
    artifacts = group_artifacts(chain((first,), listed), store.root)
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


def _named(store: Store, item: StoredObject, *, siblings: bool) -> Artifact:
    """Make the artifact of a file that was named by itself: what a loader would load by that name.

    The address of a set (its index, or its first shard) stands for the set.
    """
    if siblings:
        with suppress(StorageError):  # who may read one file may not be allowed to list
            listed = store.list_folder(item.folder, is_relevant)
            if listed is not None:
                return artifact_of(item, listed)
    artifact = artifact_of(item, _look_beside(store, item) if siblings else [])
    shard = shard_name(item.name)
    if shard is not None and shard.number != 1:
        artifact = artifact._replace(kind="file")
    return artifact._replace(listed=False)


def _look_beside(store: Store, item: StoredObject) -> list[StoredObject]:
    """Look for the files beside one where no listing shows them."""

    def look(name: str) -> StoredObject | None:
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
        found = [look(name) for name in names]
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(len(names)) as threads:
            found = list(threads.map(look, names))
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
        store: The root, opened with its older versions if the selection asks for them.
        selection: Which of them.
        options: Storage options of root and inventory.
        siblings: As for `list_artifacts`.
        state: What is known; it is told what is left out, completely when all have been taken.

    Raises:
        StorageError: The root does not exist, or it or the inventory cannot be read.
        ValueError: The inventory is none, or of another bucket.
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
