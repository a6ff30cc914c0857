"""List the artifacts below a root: all of them, or those that a scan selects.

A scan makes no statement about unselected artifacts, which keep their previous results. Only what
is neither listed nor unselected counts as removed. So older versions are not removed when only the
newest are listed, nor are objects that changed after an inventory was made.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any, Protocol

from prefect_mutagen.scanner.census import Census
from prefect_mutagen.scanner.internal_errors import log_fault
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.counting import Counting
from prefect_mutagen.scanner.listing.grouping import group_artifacts, ungrouped
from prefect_mutagen.scanner.listing.keyed import FoundKeys, KnownKeys, list_keys
from prefect_mutagen.scanner.listing.keys import addresses_of
from prefect_mutagen.scanner.listing.listed_index import index_reader
from prefect_mutagen.scanner.listing.looking import find_artifact, look_at
from prefect_mutagen.scanner.listing.ollama_store import with_stated_digest
from prefect_mutagen.scanner.listing.registry_stores import RegistryStores, artifacts_of_file
from prefect_mutagen.scanner.listing.roles import role_of
from prefect_mutagen.scanner.listing.selection import NothingIncluded, Selection
from prefect_mutagen.scanner.listing.unnamed import Looked, Unnamed
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.store import Store, StoredObject, Wanted

__all__ = ["Known", "list_artifacts", "list_selected", "root_of"]


class Known(KnownKeys, Protocol):
    """Previous results for a root, which are told what a listing does not cover."""

    looked: Looked
    """Files that were looked into because their names say nothing."""

    def leave_out(self, artifact: Artifact) -> None:
        """Keep the result of an artifact that exists but is not selected."""
        ...

    def leave_out_all(self) -> None:
        """Keep the results of all artifacts that are not found or missed later."""
        ...

    def leave_out_versions(self) -> None:
        """Keep the results of older object versions."""
        ...

    def leave_out_since(self, moment: float) -> None:
        """Keep the results of objects changed at or after a time, in seconds since the epoch."""
        ...


def root_of(address: Address) -> tuple[Address, str]:
    """Return the root to list for an address, and the one artifact below it that is meant.

    A pipeline has the address of the file that names its parts, which lie in folders below.

    Args:
        address: What a user gave, or what a scan called an artifact.

    Returns:
        The root, and for `list_artifacts` the address of the artifact; empty: all.
    """
    if role_of(address.name) == "pipeline":
        return address.folder, address.text
    return address, ""


def list_artifacts(
    store: Store,
    *,
    selection: Selection | None = None,
    objects: Callable[[Wanted], Iterator[StoredObject]] | None = None,
    left_out: Callable[[Artifact], None] | None = None,
    above: bool = True,
    only: str = "",
    counting: Counting | None = None,
) -> Iterator[Artifact]:
    """List the artifacts below a store's root.

    Args:
        store: The root.
        selection: Selection; all by default. A root that is one file is always selected.
        objects: Lists the objects of an inventory, to use instead of a listing.
        left_out: Called with each artifact that exists but is not selected.
        above: Whether folders above a root that is one file may be its model's root.
        only: Address of the one artifact to list, such as that of a pipeline; empty: all.
        counting: Counts all listed objects, and those that are yielded as examined.

    Raises:
        NothingIncluded: No artifact matches the patterns to include.
        StorageError: The root does not exist or cannot be listed.
    """
    counting = counting or Counting(store.root)
    unnamed = Unnamed(store, counting.looked.known)
    listed = unnamed.sort_out((objects or store.list_objects)(counting.wanted))
    for artifact in _select(store, listed, counting, selection, left_out, above=above, only=only):
        counting.examined(artifact)
        yield artifact
    counting.count_unnamed(unnamed)


def _select(
    store: Store,
    listed: Iterator[StoredObject],
    counting: Counting,
    selection: Selection | None,
    left_out: Callable[[Artifact], None] | None,
    *,
    above: bool,
    only: str,
) -> Iterator[Artifact]:
    """Yield the selected artifacts among listed objects; see `list_artifacts`."""
    first = next(listed, None)
    if first is None:
        return
    if first.url == store.root:
        counting.count_root(first)
        first = with_stated_digest(first)
        try:
            found = _find_registered(store, first)
            found = found or [find_artifact(store, first, above=above)]
        except StorageError:
            raise
        except Exception as problem:  # noqa: BLE001 - a bug costs this artifact alone
            found = [ungrouped(first, log_fault(problem, "grouping", first.url))]
        yield from found
        return
    artifacts = RegistryStores(store).group(
        chain((first,), listed),
        lambda others: group_artifacts(
            others,
            store.root,
            look=lambda folder: look_at(store, folder),
            read_index=index_reader(store),
        ),
    )
    if selection is None or selection.takes_all:
        yield from (one for one in artifacts if not only or one.url == only)
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


def list_selected(
    store: Store,
    selection: Selection,
    options: Mapping[str, Any],
    *,
    state: Known | None = None,
    census: Census | None = None,
    found: FoundKeys | None = None,
) -> Iterator[Artifact]:
    """List the selected artifacts below a store's root.

    Args:
        store: The root, opened with older versions if the selection requires them.
        selection: Selection.
        options: Storage options for root and inventory.
        state: Previous results, told what is not selected; complete when the iterator is exhausted.
        census: Where all listed objects are counted, and those that are yielded as examined.
        found: Told what became of selected keys that are no part of an artifact.

    Raises:
        StorageError: The root does not exist, or it or the inventory cannot be read.
        ValueError: The inventory is invalid, or of another bucket; or a key is invalid.
    """
    if selection.keys:
        yield from _list_keys(store, selection, state, census, found or FoundKeys())
        return
    left_out = looked = None
    if state is not None:
        left_out, looked = state.leave_out, state.looked
        if not selection.all_versions:
            state.leave_out_versions()
    counting = Counting(store.root, census, looked)
    if not selection.inventory:
        yield from list_artifacts(store, selection=selection, left_out=left_out, counting=counting)
        return
    from prefect_mutagen.scanner.listing.inventory import list_inventory, read_inventory

    inventory = read_inventory(selection.inventory, options)
    yield from list_artifacts(
        store,
        selection=selection,
        objects=lambda wanted: list_inventory(inventory, store.root, wanted),
        left_out=left_out,
        counting=counting,
    )
    if state is not None:
        state.leave_out_since(inventory.begun_at)


def _list_keys(
    store: Store,
    selection: Selection,
    state: Known | None,
    census: Census | None,
    found: FoundKeys,
) -> Iterator[Artifact]:
    """List the artifacts of a selection's keys, as far as its other criteria take them."""
    urls = addresses_of(selection.keys, store.root)
    if state is not None:
        state.leave_out_all()
    return list_keys(
        store,
        urls,
        found,
        takes=lambda artifact: selection.takes(artifact, store.root),
        known=state,
        census=census,
        looked=state.looked if state is not None else None,
    )
