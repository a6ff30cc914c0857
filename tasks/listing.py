"""List a root as a task."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_mutagen.scanner.artifacts import Artifact
from prefect_mutagen.scanner.scan import list_artifacts as list_root
from prefect_mutagen.scanner.storage import StorageError, open_store
from prefect_mutagen.tasks.storage_blocks import storage_options

__all__ = ["list_artifacts"]

_PASSING = frozenset({"storage/timeout", "storage/throttled", "storage/unreachable"})


def is_passing(_task: Any, _run: Any, state: Any) -> bool:
    """Say whether another try may help: not when the root is missing or closed to us."""
    problem = state.result(raise_on_failure=False)
    return isinstance(problem, StorageError) and problem.code in _PASSING


@task(
    name="list artifacts",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=[2, 20],
    retry_condition_fn=is_passing,
)
def list_artifacts(source: str, storage: str = "") -> list[Artifact]:
    """List the artifacts below a root.

    Args:
        source: A path or an address.
        storage: Name of a block with the credentials; empty: the environment's.

    Raises:
        StorageError: The root does not exist or cannot be listed.
    """
    return list(list_root(open_store(source, storage_options(storage))))
