"""List what a scan is about, and tell the state of the table what it is not about.

A scan says nothing about what its selection leaves out: that stays as it is known, and only what is
neither there nor left out is gone. So older versions are not gone where only the newest ones are
listed, and neither is what was changed after an inventory was made.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prefect_mutagen.scanner.listing.artifacts import Artifact, is_relevant
from prefect_mutagen.scanner.scan import list_artifacts
from prefect_mutagen.scanner.listing.selection import Selection
from prefect_mutagen.scanner.storage.store import Store

if TYPE_CHECKING:
    from prefect_mutagen.scanner.table.state import State

__all__ = ["list_selected"]


def list_selected(
    store: Store,
    selection: Selection,
    options: Mapping[str, Any],
    *,
    siblings: bool = True,
    state: "State | None" = None,
) -> Iterator[Artifact]:
    """List the selected artifacts below a store's root.

    Args:
        store: The root, opened with its older versions if the selection asks for them.
        selection: Which of them.
        options: Storage options of root and inventory.
        siblings: As for `prefect_mutagen.scanner.scan.list_artifacts`.
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
