"""List a root as a task: all of it, or what has changed."""

from collections.abc import Iterator
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_mutagen.scanner.artifacts import Artifact
from prefect_mutagen.scanner.hashing import HashLevel
from prefect_mutagen.scanner.manifest import Manifest
from prefect_mutagen.scanner.policy import Policy
from prefect_mutagen.scanner.scan import list_artifacts as list_root
from prefect_mutagen.scanner.storage import StorageError, open_store
from prefect_mutagen.scanner.table_state import State
from prefect_mutagen.tasks.storage_blocks import storage_options

__all__ = ["list_artifacts", "list_changes"]

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
    return list(_list(source, storage))


@task(**_OPTIONS)
def list_changes(
    source: str,
    state: State,
    manifest: Manifest,
    storage: str = "",
    hash: HashLevel = "stored",  # noqa: A002 - the name of the option everywhere
    policy: Policy = Policy(),
) -> int:
    """List the artifacts below a root, and sort out those that need not be examined.

    Args:
        source: A path or an address.
        state: What is known; it is told to keep what is as it was.
        manifest: The file that everything else is written to.
        storage: Name of a block with the credentials; empty: the environment's.
        hash: How much is paid for SHA-256 values now.
        policy: What is accepted now.

    Returns:
        How many artifacts there are.

    Raises:
        StorageError: The root does not exist or cannot be listed.
    """
    state.forget()  # this may be another try
    manifest.write(
        artifact for artifact in _list(source, storage) if not state.keep(artifact, hash, policy)
    )
    return state.kept + len(manifest)


def _list(source: str, storage: str) -> Iterator[Artifact]:
    return list_root(open_store(source, storage_options(storage)))
