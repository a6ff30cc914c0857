"""Examine artifacts as tasks: one per task run, or a batch."""

import os
from collections.abc import Iterable, Iterator
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import MissingContextError
from prefect.logging import get_logger

from prefect_mutagen.scanner.examine.engine import examine_artifacts
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.manifest import Batch, CarriedBatch
from prefect_mutagen.scanner.outputs.visible import counted
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.hashing import HashLevel, HashProgress
from prefect_mutagen.scanner.storage.store import StoredObject
from prefect_mutagen.scanner.table.carried import CarriedRows
from prefect_mutagen.scanner.table.spool import Spooled, spool_results
from prefect_mutagen.scanner.table.staging import Rescan
from prefect_mutagen.scanner.temporary import own_folder
from prefect_mutagen.tasks.ending import ExaminationEnded, is_ending, run_key, until_ending
from prefect_mutagen.tasks.examined import count_examined
from prefect_mutagen.tasks.hash_log import HashLog
from prefect_mutagen.tasks.quiet_ends import ends_quietly
from prefect_mutagen.tasks.quoting import opens_quoted, quoted
from prefect_mutagen.tasks.run_names import names_runs, short_name
from prefect_mutagen.tasks.scan_selection import Versions
from prefect_mutagen.tasks.scan_sessions import Storage, join_session
from prefect_mutagen.tasks.staging import join_staging
from prefect_mutagen.tasks.telling import Verdicts, tells

__all__ = ["scan_artifact", "scan_batch", "scan_rows"]

_OPTIONS: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}


@names_runs
def _artifact_name(parameters: dict[str, Any]) -> str:
    return f"scan {short_name(parameters['artifact'].url)}"


@names_runs
def _batch_name(parameters: dict[str, Any]) -> str:
    artifacts = parameters["artifacts"]
    if len(artifacts) == 1:
        (artifact,) = artifacts.read() if not isinstance(artifacts, list) else artifacts
        return f"scan {short_name(artifact.url)}"
    return f"scan {counted(len(artifacts), 'artifact')}"


@tells
@task(name="scan artifact", task_run_name=_artifact_name, **_OPTIONS)
@ends_quietly
def scan_artifact(
    artifact: Artifact,
    source: str,
    policy: Policy = Policy(),
    storage: str = "",
    hash: HashLevel = "stored",  # noqa: A002 - the name of the option everywhere
    versions: Versions = "newest",
    concurrency: int = 64,
) -> ScanResult:
    """Examine one artifact.

    Args:
        artifact: As returned by `list_artifacts`.
        source: Its root.
        policy: What to accept.
        storage: Name of a block with the credentials; empty: those of the environment.
        hash: Where SHA-256 values come from.
        versions: Which versions were listed.
        concurrency: Concurrent requests to remote storage, of all task runs in this process.

    Returns:
        The result. Problems of the artifact or its storage are findings, never raised.
    """
    where = Storage(source, storage, versions == "all", concurrency)
    verdicts = Verdicts(source)
    (result,) = verdicts.watch(_scan([artifact], where, policy, hash))
    return verdicts.told_with(result)


@tells
@task(name="scan batch", task_run_name=_batch_name, **_OPTIONS)
@ends_quietly
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

    Task runs of one flow run in one process share the files that the artifacts of a folder have in
    common.

    Args:
        artifacts: As returned by `list_artifacts`.
        source: Their root.
        policy: What to accept.
        storage: Name of a block with the credentials; empty: those of the environment.
        hash: Where SHA-256 values come from.
        concurrency: Concurrent requests to remote storage, of all task runs in this process.
        versions: Which versions were listed.

    Returns:
        The results, in order.
    """
    where = Storage(source, storage, versions == "all", concurrency)
    verdicts = Verdicts(source)
    return verdicts.told_with(list(verdicts.watch(_scan(artifacts, where, policy, hash))))


@tells
@task(name="scan batch", task_run_name=_batch_name, **_OPTIONS)
@ends_quietly
@opens_quoted
def scan_rows(  # noqa: PLR0913, PLR0917 - an examination depends on all of these
    artifacts: Batch | CarriedBatch,
    scan: ScanInfo,
    folder: str = "",
    storage: str = "",
    hash: HashLevel = "stored",  # noqa: A002 - the name of the option everywhere
    concurrency: int = 64,
    versions: Versions = "newest",
    table: str = "",
    rescan: Rescan = "changed",
    table_storage: str = "",
) -> Spooled | CarriedRows:
    """Examine a batch of a manifest, in bounded memory.

    Args:
        artifacts: The batch: a part of a file, or by value.
        scan: The scan they belong to, with the root and the policy.
        folder: Folder for the results, if this process and that of the flow share their files.
        storage: Name of a block with the credentials; empty: those of the environment.
        hash: Where SHA-256 values come from.
        concurrency: Concurrent requests to remote storage, of all task runs in this process.
        versions: Which versions were listed.
        table: Address of the table where results are kept until the scan is published; empty:
            nowhere.
        rescan: What the scan examines.
        table_storage: Name of a block with the table's credentials; empty: none of its own.

    Returns:
        The results, quoted: spooled to files in the folder, or by value without one.
    """
    where = Storage(scan.source, storage, versions == "all", concurrency)
    verdicts = Verdicts(scan.source)
    results = verdicts.watch(_scan(artifacts.read(), where, scan.policy, hash))
    warn, own = _logger().warning, table_storage
    with join_staging(table, scan, storage, rescan, warn, table_storage=own) as staging:
        if folder:
            name = f"batch-{artifacts.offset}" if isinstance(artifacts, Batch) else "batch"
            spooled = spool_results(results, scan, os.path.join(folder, name), staging)
            return verdicts.told_with(quoted(spooled))
        with own_folder() as own:
            spooled = spool_results(results, scan, os.path.join(own, "batch"), staging)
            return verdicts.told_with(quoted(CarriedRows.take(spooled)))


def _scan(
    artifacts: Iterable[Artifact], where: Storage, policy: Policy, level: HashLevel
) -> Iterator[ScanResult]:
    Address.parse_clear(where.source, "the parameter source")
    run = run_key()
    artifacts = until_ending(artifacts, run)
    with join_session(where) as session:
        examiner = Examiner(policy, level, session.begun_at, folders=session.folders)
        rest = where.concurrency, session.shared
        if level != "full":
            results = examine_artifacts(session.store, artifacts, examiner, *rest)
            yield from count_examined(results, run)
            return
        log = HashLog(_logger().info)
        examiner.on_hashed = _until_ending(log.add_hashed, run)
        results = examine_artifacts(session.store, log.watch(artifacts), examiner, *rest)
        yield from count_examined(results, run)
        log.close()


def _until_ending(on_hashed: HashProgress, run: str) -> HashProgress:
    """Return what is called for each hashed range, and ends the examination with its run."""

    def check(item: StoredObject, start: int, end: int) -> None:
        on_hashed(item, start, end)
        if is_ending(run):
            raise ExaminationEnded

    return check


def _logger() -> Any:
    """Return the task run's logger; a plain one outside of any run."""
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("mutagen")
