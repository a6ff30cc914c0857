"""Examine artifacts as tasks: one by one, or a batch in one task run."""

import os
from collections.abc import Iterable, Iterator
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import MissingContextError
from prefect.logging import get_logger

from prefect_mutagen.scanner.artifacts import Artifact
from prefect_mutagen.scanner.examine import Examiner
from prefect_mutagen.scanner.hashing import HashLevel
from prefect_mutagen.scanner.manifest import Batch
from prefect_mutagen.scanner.outputs.visible import counted
from prefect_mutagen.scanner.policy import Policy
from prefect_mutagen.scanner.results import ScanInfo, ScanResult
from prefect_mutagen.scanner.scan import examine_artifacts
from prefect_mutagen.scanner.storage import open_store
from prefect_mutagen.scanner.tables.spool import Spooled, spool_results
from prefect_mutagen.tasks.hash_log import HashLog
from prefect_mutagen.tasks.run_names import names_runs, short_name
from prefect_mutagen.tasks.scan_selection import Versions
from prefect_mutagen.tasks.storage_blocks import storage_options

__all__ = ["scan_artifact", "scan_batch", "scan_rows"]

_OPTIONS: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}


@names_runs
def _artifact_name(parameters: dict[str, Any]) -> str:
    return f"scan {short_name(parameters['artifact'].url)}"


@names_runs
def _batch_name(parameters: dict[str, Any]) -> str:
    return f"scan {counted(len(parameters['artifacts']), 'artifact')}"


@task(name="scan artifact", task_run_name=_artifact_name, **_OPTIONS)
def scan_artifact(
    artifact: Artifact,
    source: str,
    policy: Policy = Policy(),
    storage: str = "",
    hash: HashLevel = "stored",  # noqa: A002 - the name of the option everywhere
    versions: Versions = "newest",
) -> ScanResult:
    """Examine one artifact.

    Args:
        artifact: As `list_artifacts` gave it.
        source: The root it lies below.
        policy: What is accepted.
        storage: Name of a block with the credentials; empty: the environment's.
        hash: How much to pay for SHA-256 values.
        versions: Which versions were listed.

    Returns:
        The result. What is wrong with the artifact or its storage is in it, not raised.
    """
    (result,) = _scan([artifact], source, policy, storage, hash, 1, versions)
    return result


@task(name="scan batch", task_run_name=_batch_name, **_OPTIONS)
def scan_batch(
    artifacts: list[Artifact],
    source: str,
    policy: Policy = Policy(),
    storage: str = "",
    hash: HashLevel = "stored",  # noqa: A002 - the name of the option everywhere
    concurrency: int = 64,
    versions: Versions = "newest",
) -> list[ScanResult]:
    """Examine several artifacts in one task run, concurrently where they are remote.

    Args:
        artifacts: As `list_artifacts` gave them.
        source: The root they lie below.
        policy: What is accepted.
        storage: Name of a block with the credentials; empty: the environment's.
        hash: How much to pay for SHA-256 values.
        concurrency: Artifacts examined at a time.
        versions: Which versions were listed.

    Returns:
        The results, in order.
    """
    return list(_scan(artifacts, source, policy, storage, hash, concurrency, versions))


@task(name="scan batch", task_run_name=_batch_name, **_OPTIONS)
def scan_rows(
    artifacts: Batch,
    scan: ScanInfo,
    folder: str,
    storage: str = "",
    hash: HashLevel = "stored",  # noqa: A002 - the name of the option everywhere
    concurrency: int = 64,
    versions: Versions = "newest",
) -> Spooled:
    """Examine some artifacts of a manifest; neither they nor their results are held in memory.

    Args:
        artifacts: Which ones.
        scan: The scan they belong to, with the root and the policy.
        folder: Where the results may lie; it is on the machine that reads them.
        storage: Name of a block with the credentials; empty: the environment's.
        hash: How much to pay for SHA-256 values.
        concurrency: Artifacts examined at a time.
        versions: Which versions were listed.

    Returns:
        Where the results are.
    """
    results = _scan(
        artifacts.read(), scan.source, scan.policy, storage, hash, concurrency, versions
    )
    return spool_results(results, scan, os.path.join(folder, f"batch-{artifacts.offset}"))


def _scan(
    artifacts: Iterable[Artifact],
    source: str,
    policy: Policy,
    storage: str,
    level: HashLevel,
    concurrency: int,
    versions: Versions,
) -> Iterator[ScanResult]:
    store = open_store(source, storage_options(storage), versions=versions == "all")
    if level != "full":
        yield from examine_artifacts(store, artifacts, Examiner(policy, level), concurrency)
        return
    log = HashLog(_logger().info)
    examiner = Examiner(policy, level, told=log.add_piece)
    yield from examine_artifacts(store, log.watch(artifacts), examiner, concurrency)
    log.close()


def _logger() -> Any:
    """Give the task run's logger; a plain one where the function is called outside of any run."""
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("mutagen")
