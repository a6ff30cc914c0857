"""List a root as a task: all of it, or what is selected and has changed."""

from typing import Any, Literal

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.listing import list_artifacts as list_root
from prefect_mutagen.scanner.listing.listing import list_selected
from prefect_mutagen.scanner.listing.manifest import Manifest
from prefect_mutagen.scanner.listing.selection import Selection
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.table.state import State
from prefect_mutagen.tasks.storage_blocks import storage_options

__all__ = ["is_passing", "list_artifacts", "list_changes"]

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


@task(**_OPTIONS)
def list_changes(  # noqa: PLR0913, PLR0917 - a flow's parameters
    source: str,
    state: State,
    manifest: Manifest,
    storage: str = "",
    hash: HashLevel = "stored",  # noqa: A002 - the name of the option everywhere
    policy: Policy = Policy(),
    rescan: Literal["changed", "all"] = "changed",
    selection: Selection = Selection(),
) -> int:
    """List the selected artifacts below a root, and sort out those that need not be examined.

    Args:
        source: A path or an address.
        state: What is known; it is told to keep what is as it was, and what is left out.
        manifest: The file that everything else is written to.
        storage: Name of a block with the credentials; empty: the environment's.
        hash: How much is paid for SHA-256 values now.
        policy: What is accepted now.
        rescan: Whether to keep what is as it was, or to examine all that is selected.
        selection: What the scan is about.

    Returns:
        How many artifacts are selected.

    Raises:
        StorageError: The root does not exist, or it or the inventory cannot be read.
        ValueError: The inventory is none, or of another bucket.
    """
    state.forget()  # this may be another try
    options = storage_options(storage)
    store = open_store(source, options, versions=selection.all_versions)
    listed = list_selected(store, selection, options, state=state)
    if rescan == "changed":
        listed = (artifact for artifact in listed if not state.keep(artifact, hash, policy))
    manifest.write(listed)
    return state.kept + len(manifest)
