"""Scan a root, keep the table, and start agents for what passed."""

import os
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Annotated, Any, Literal

from prefect import flow, get_run_logger
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import BaseModel, Field

from prefect_mutagen.flows.ephemeral import give_time_to_start, wait_for_records
from prefect_mutagen.flows.starting import Gate, start_chosen, whole
from prefect_mutagen.scanner.examine import crashed
from prefect_mutagen.scanner.hashing import HashLevel
from prefect_mutagen.scanner.manifest import Batch, Manifest
from prefect_mutagen.scanner.outputs.visible import counted, visible
from prefect_mutagen.scanner.policy import Policy
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.scan import new_scan
from prefect_mutagen.scanner.signing.check import check_signers
from prefect_mutagen.scanner.storage import StorageError, check_address, has_secrets
from prefect_mutagen.scanner.tables.recording import (
    Recording,
    not_passed,
    passed_as_is,
    passed_by_waiver,
)
from prefect_mutagen.scanner.tables.retention import Retention
from prefect_mutagen.scanner.tables.spool import Spooled
from prefect_mutagen.scanner.tables.state import State
from prefect_mutagen.tasks.agent_launch import AgentLaunch, AgentRun, Handoff
from prefect_mutagen.tasks.listing import list_changes
from prefect_mutagen.tasks.recording import read_state, write_table
from prefect_mutagen.tasks.scan_selection import ScanSelection, Versions
from prefect_mutagen.tasks.scanning import scan_artifact, scan_rows
from prefect_mutagen.tasks.showing import SHOWN_ROWS, show_scan

__all__ = ["ScanSummary", "scan_models"]

# The temporary server starts before a flow's first line, so importing the flow is the last chance.
give_time_to_start()

_WORKERS = 16
_WINDOW = 2 * _WORKERS
_ADDRESSES = 10_000


class ScanSummary(BaseModel):
    """What a scan came to."""

    scan_id: str
    source: str
    artifacts: int
    passed: list[str]
    """Addresses of what passed: the first 10,000 in their order. The table has all of them."""
    failed: list[str]
    """As many at most; so for ``unknown``."""
    unknown: list[str]
    counts: dict[str, int]
    """How many passed, failed and are unknown."""
    examined: int
    """Artifacts that were read; the others are as in the scan before."""
    drift: dict[str, int]
    """How many were added, changed, removed and unchanged, and how many known ones the selection
    left out; without a table, all are added."""
    bytes_read: int
    requests: int
    agents: list[AgentRun]


def _run_name() -> str:
    return f"scan {visible(str(flow_run.parameters.get('source', '')), 120)}"


@flow(
    name="scan-models",
    flow_run_name=_run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=_WORKERS),  # type: ignore[arg-type]
    persist_result=False,
)
def scan_models(  # noqa: PLR0913, PLR0917 - the fields of the form
    source: str,
    policy: Policy = Policy(),
    table: str = "",
    storage: str = "",
    hash: HashLevel = "stored",  # noqa: A002 - the name of the option everywhere
    rescan: Literal["changed", "all"] = "changed",
    gate: Gate = "artifact",
    agents: list[AgentLaunch] = [],  # noqa: B006 - the form needs the default; nobody changes it
    max_task_runs: Annotated[int, Field(ge=1, le=2000)] = 250,
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 64,
    keep_states: Annotated[int, Field(ge=0)] = 0,
    keep_days: Annotated[int, Field(ge=0)] = 0,
    max_agent_runs: Annotated[int, Field(ge=0)] = 100,
    rerun_failed_agents: bool = False,  # noqa: FBT001, FBT002 - a switch of the form
    select: ScanSelection = ScanSelection(),
) -> ScanSummary:
    """Scan a bucket or folder of models and start agents only for what passed.

    Args:
        source: Root to scan: a path or an address such as s3://bucket/models.
        policy: What may be handed to an agent.
        table: Folder or address of the Parquet table that keeps all results; empty keeps none.
        storage: Block with the credentials, as type/name; empty uses the environment's.
        hash: What to pay for SHA-256 values: none, what is stated anyway (stored), one request
            more (lookup), or reading every byte (full).
        rescan: Examine only what changed since the scan before, or all.
        gate: Start agents for each artifact that passed, or only when the whole scan passed.
        agents: What to start for an artifact that passed for the first time.
        max_task_runs: Most task runs for scanning; beyond that many artifacts, each task run takes
            a batch.
        concurrency: Remote artifacts that are examined at a time.
        keep_states: Newest states that the table keeps; 0 keeps all, unless days are given.
        keep_days: Days for which the table keeps every state; 0 keeps all, unless a number of
            states is given.
        max_agent_runs: Most agents that this scan starts; the others wait for the next one. Needs a
            table.
        rerun_failed_agents: Start agents once more that failed for the very same bytes.
        select: Which artifacts the scan is about; all of them by default. What it leaves out stays
            in the table as it is known, and no agent starts for it.

    Returns:
        The summary. What is wrong with an artifact is a verdict, not a failed flow.

    Raises:
        StorageError: An address names nothing, the root or the table cannot be reached, or nothing
            of what lies there is included.
        ValueError: An address carries secrets, or the policy cannot be applied here.
    """
    logger = get_run_logger()
    check_address(source)
    for address in filter(None, (table, select.inventory)):
        check_address(address)
    for address in (source, table, select.inventory):
        if has_secrets(address):
            message = "an address with a user, a password or a signature would be stored in clear"
            raise ValueError(f"{message}; put the credentials into a storage block")
    check_signers(policy.allowed_signers)
    scan = new_scan(source, policy)
    state = read_state(table, source, storage) if table else State()
    selection = select.selection(datetime.fromisoformat(scan.started_at))
    summary = Summary()
    with Recording(scan, state) as recording:
        manifest = Manifest(os.path.join(recording.folder, "manifest.jsonl"))
        what = whole(state), whole(manifest), storage, hash, whole(policy), rescan, whole(selection)
        count = list_changes(source, *what)
        logger.info("%s, %d to examine", counted(count, "artifact"), len(manifest))
        if not count:
            logger.warning("%s: there is no model file that the scan is about", scan.source)
        if state.left_out:
            logger.info("%d more are known and not selected; they stay as they are", state.left_out)
        reading = _Reading(max_task_runs, concurrency, storage, hash, select.versions)
        _examine(recording, summary, manifest, reading)
        recording.close(summary)
        summary.finished_at = datetime.now(UTC).isoformat()
        trouble: StorageError | None = None
        if table:
            retention = Retention(keep_states, keep_days)
            try:
                write_table(table, whole(recording), whole(summary), storage, whole(retention))
            except StorageError as problem:
                trouble = problem
        started: list[AgentRun] = []
        if trouble is None:
            handoff = Handoff(scan.id, policy, table, storage, scan.source, rerun_failed_agents)
            started = start_chosen(recording, summary, agents, handoff, gate, max_agent_runs)
        show_scan(scan, summary, _worth_showing(recording), started, selection.describe())
        steps = 3 if table else 1  # listing; reading and writing the table
        wait_for_records(steps + min(len(manifest), max_task_runs) + len(started))
        if trouble is not None:
            # The verdicts are shown, but what is not on record must not start anything.
            raise trouble
        verdicts = recording.addresses(_ADDRESSES)
    logger.info("%d passed, %d failed, %d unknown", summary.passed, summary.failed, summary.unknown)
    return ScanSummary(
        scan_id=scan.id,
        source=scan.source,
        artifacts=summary.artifacts,
        counts={name: getattr(summary, name) for name in verdicts},
        examined=len(manifest),
        drift=dict(recording.drift),
        bytes_read=summary.bytes_read,
        requests=summary.requests,
        agents=started,
        **verdicts,
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """How wide a scan may be, and what its tasks are told."""

    task_runs: int
    concurrency: int
    storage: str
    hash: HashLevel
    versions: Versions


def _examine(recording: Recording, summary: Summary, manifest: Manifest, reading: _Reading) -> None:
    """Examine artifacts in task runs, a bounded window of them at a time."""
    scan = whole(recording.scan)
    alone = len(manifest) <= reading.task_runs
    each = max(1, reading.concurrency // _WORKERS)
    storage, level, versions = reading.storage, reading.hash, reading.versions
    waiting: deque[tuple[Batch, PrefectFuture[Any]]] = deque()
    for batch in manifest.batches(reading.task_runs):
        future: PrefectFuture[Any]
        if alone:
            (artifact,) = batch.read()
            what = whole(artifact), recording.scan.source, whole(recording.scan.policy)
            future = scan_artifact.submit(*what, storage, level, versions)
        else:
            rows = whole(batch), scan, recording.folder
            future = scan_rows.submit(*rows, storage, level, each, versions)
        waiting.append((batch, future))
        if len(waiting) >= _WINDOW:
            _collect(recording, summary, *waiting.popleft())
    while waiting:
        _collect(recording, summary, *waiting.popleft())


def _collect(
    recording: Recording, summary: Summary, batch: Batch, future: PrefectFuture[Any]
) -> None:
    """Take the results of a task run; if it broke off, say so of each of its artifacts."""
    future.wait()
    if future.state.is_completed():
        got = future.result()
        if isinstance(got, Spooled):
            recording.adopt(got, summary)
        else:
            summary.add(recording.add(got))
        return
    get_run_logger().error("%s ended as %s", "a scan task", future.state.name)
    for artifact in batch.read():
        result = crashed(artifact, recording.scan.policy, future.state.name or "failed")
        summary.add(recording.add(result))


def _worth_showing(recording: Recording) -> list[ScanResult]:
    """Choose what is shown, as far as there is room.

    What did not pass comes first, then what a waiver let pass, then the rest.
    """
    each = (recording.results(rows) for rows in (not_passed, passed_by_waiver, passed_as_is))
    return list(islice(chain.from_iterable(each), SHOWN_ROWS))
