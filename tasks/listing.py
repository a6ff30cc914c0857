"""List a root as a task: all of it, or what is selected and has changed."""

import os
from dataclasses import dataclass
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.listing import list_artifacts as list_root
from prefect_mutagen.scanner.listing.manifest import Manifest
from prefect_mutagen.scanner.listing.selection import Selection
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.table.state import Comparison, State
from prefect_mutagen.scanner.table.table_scan import Rescan, list_changed
from prefect_mutagen.tasks.storage_blocks import storage_options

__all__ = ["Changes", "list_artifacts", "list_changes"]

_PASSING = frozenset({"storage/timeout", "storage/throttled", "storage/unreachable"})


def is_passing(_task: Any, _run: Any, state: Any) -> bool:
    """Say whether another try may help: not when the root is missing or closed to us."""
    problem = state.result(raise_on_failure=False)
    return isinstance(problem, StorageError) and problem.code in _PASSING


_OPTIONS: dict[str, Any] = {
    "name": "list artifacts",
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "retries": 2,
    "retry_delay_seconds": [2, 20],
    "retry_condition_fn": is_passing,
}


@task(**_OPTIONS)
def list_artifacts(source: str, storage: str = "") -> list[Artifact]:
    """List the artifacts below a root.

    Args:
        source: A path or an address.
        storage: Name of a block with the credentials; empty: the environment's.

    Raises:
        StorageError: The root does not exist or cannot be listed.
    """
    return list(list_root(open_store(source, storage_options(storage))))


@dataclass(frozen=True, slots=True)
class Changes:
    """What a listing showed beside a state."""

    manifest: Manifest
    """The artifacts to examine."""
    marks: bytes
    """A `scanner.table.marks.Mark` for each row of the state."""
    selected: int
    """How many artifacts the scan is about, the unchanged ones included."""


@task(**_OPTIONS)
def list_changes(  # noqa: PLR0913, PLR0917 - what a listing depends on
    source: str,
    state: State,
    folder: str,
    storage: str = "",
    hash: HashLevel = "stored",  # noqa: A002 - the name of the option everywhere
    policy: Policy = Policy(),
    rescan: Rescan = "changed",
    selection: Selection = Selection(),
) -> Changes:
    """List the selected artifacts below a root, and sort out those that need not be examined.

    Args:
        source: A path or an address.
        state: What is known.
        folder: Where the manifest is written.
        storage: Name of a block with the credentials; empty: the environment's.
        hash: How much is paid for SHA-256 values now.
        policy: What is accepted now.
        rescan: Whether to keep what is as it was, or to examine all that is selected.
        selection: What the scan is about.

    Raises:
        StorageError: The root does not exist, or it or the inventory cannot be read.
        ValueError: The inventory is none, or of another bucket.
    """
    options = storage_options(storage)
    store = open_store(source, options, versions=selection.all_versions)
    known = Comparison(state)
    manifest = Manifest(os.path.join(folder, "manifest.jsonl"))
    manifest.write(
        list_changed(
            known, store, selection, options, hash_level=hash, policy=policy, rescan=rescan
        )
    )
    return Changes(manifest, bytes(known.marks), known.kept + len(manifest))
