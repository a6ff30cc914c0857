"""Scan a root, keep the table, and start agents for what passed."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar, cast

from prefect import flow, get_run_logger
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote
from pydantic import BaseModel, Field

from prefect_mutagen.flows.agent import run_agent
from prefect_mutagen.flows.ephemeral import give_time_to_start, wait_for_records
from prefect_mutagen.scanner.artifacts import Artifact
from prefect_mutagen.scanner.drift import drift_of, reuse
from prefect_mutagen.scanner.examine import HashLevel, crashed
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.policy import Policy
from prefect_mutagen.scanner.results import ScanInfo, ScanResult, Summary
from prefect_mutagen.scanner.scan import new_scan
from prefect_mutagen.scanner.storage import StorageError, has_secrets
from prefect_mutagen.scanner.supervise import end_all
from prefect_mutagen.tasks.agents import AgentLaunch, AgentRun, Handoff, start_agents
from prefect_mutagen.tasks.listing import list_artifacts
from prefect_mutagen.tasks.recording import read_state, write_table
from prefect_mutagen.tasks.scanning import scan_artifact, scan_batch
from prefect_mutagen.tasks.showing import show_scan

__all__ = ["ScanSummary", "scan_models"]

_T = TypeVar("_T")
# The temporary server starts before a flow's first line, so importing the flow is the last chance.
give_time_to_start()

_WORKERS = 16
_WINDOW = 2 * _WORKERS


class ScanSummary(BaseModel):
    """What a scan came to."""

    scan_id: str
    source: str
    artifacts: int
    passed: list[str]
    """Addresses of what passed."""
    failed: list[str]
    unknown: list[str]
    examined: int
    """Artifacts that were read; the others are as in the scan before."""
    drift: dict[str, int]
    """How many were added, changed, removed and unchanged; without a table, all are added."""
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
    gate: Literal["artifact", "scan"] = "artifact",
    agents: list[AgentLaunch] = [],  # noqa: B006 - the form needs the default; nobody changes it
    max_task_runs: Annotated[int, Field(ge=1, le=2000)] = 250,
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 64,
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

    Returns:
        The summary. What is wrong with an artifact is a verdict, not a failed flow.
    """
    logger = get_run_logger()
    for address in (source, table):
        if has_secrets(address):
            message = "an address with a user, a password or a signature would be stored in clear"
            raise ValueError(f"{message}; put the credentials into a storage block")
    scan = new_scan(source, policy)
    artifacts = list_artifacts(source, storage)
    before = read_state(table, source, storage) if table else {}
    known: list[ScanResult | None] = [None] * len(artifacts)
    if rescan == "changed":
        known = [reuse(artifact, before, policy, hash) for artifact in artifacts]
    fresh = [artifact for artifact, old in zip(artifacts, known, strict=True) if old is None]
    logger.info("%d artifacts, %d to examine", len(artifacts), len(fresh))
    examined = _examine(fresh, max_task_runs, concurrency, (source, policy, storage, hash))
    results: list[ScanResult] = []
    summary = Summary()
    for old in known:
        result = old if old is not None else next(examined)
        result = replace(result, drift=drift_of(result, before))
        summary.add(result)
        results.append(result)
    summary.finished_at = datetime.now(UTC).isoformat()
    drift = {"added": len(results)}
    trouble: StorageError | None = None
    if table:
        try:
            drift = write_table(
                table, _whole(scan), _whole(results), _whole(before), _whole(summary), storage
            )
        except StorageError as problem:
            trouble = problem
    chosen = _chosen(results, before, gate) if agents and trouble is None else []
    started = _start(chosen, agents, Handoff(scan.id, policy, table, storage))
    show_scan(scan, summary, results, started)
    steps = 3 if table else 1  # listing; reading and writing the table
    wait_for_records(steps + min(len(fresh), max_task_runs) + len(chosen))
    if trouble is not None:
        # The verdicts are shown, but what is not on record must not start anything.
        raise trouble
    logger.info("%d passed, %d failed, %d unknown", summary.passed, summary.failed, summary.unknown)
    return _summarize(scan, summary, results, len(fresh), drift, started)


def _whole(value: _T) -> _T:
    """Hand a value to a task as it is: Prefect else looks into each record for futures."""
    return cast("_T", quote(value))


def _examine(
    artifacts: Sequence[Artifact],
    max_task_runs: int,
    concurrency: int,
    judged: tuple[str, Policy, str, HashLevel],
) -> Iterator[ScanResult]:
    """Examine artifacts in task runs, a bounded window of them at a time; results in order."""
    source, policy, storage, level = judged
    rest = (source, _whole(policy), storage, level)
    alone = len(artifacts) <= max_task_runs
    waiting: deque[tuple[Sequence[Artifact], PrefectFuture[Any]]] = deque()
    for batch in _batches(artifacts, max_task_runs):
        future: PrefectFuture[Any]
        if alone:
            future = scan_artifact.submit(_whole(batch[0]), *rest)
        else:
            width = max(1, concurrency // _WORKERS)
            future = scan_batch.submit(_whole(list(batch)), *rest, width)
        waiting.append((batch, future))
        if len(waiting) >= _WINDOW:
            yield from _collect(*waiting.popleft(), judged)
    while waiting:
        yield from _collect(*waiting.popleft(), judged)


def _batches(artifacts: Sequence[Artifact], most: int) -> Iterator[Sequence[Artifact]]:
    """Split into at most this many batches of nearly equal length."""
    count = min(most, len(artifacts))
    for number in range(count):
        start = len(artifacts) * number // count
        yield artifacts[start : len(artifacts) * (number + 1) // count]


def _collect(
    batch: Sequence[Artifact],
    future: PrefectFuture[Any],
    judged: tuple[str, Policy, str, HashLevel],
) -> Iterator[ScanResult]:
    """Take the results of a task run; if it broke off, say so of each of its artifacts."""
    future.wait()
    if future.state.is_completed():
        got = future.result()
        yield from got if isinstance(got, list) else [got]
        return
    get_run_logger().error("%s ended as %s", "a scan task", future.state.name)
    for artifact in batch:
        yield crashed(artifact, judged[1], future.state.name or "failed")


def _chosen(
    results: Sequence[ScanResult],
    before: Mapping[str, ScanResult],
    gate: Literal["artifact", "scan"],
) -> list[ScanResult]:
    """Choose what agents are started for: what has *become* fit for them with this scan."""
    if gate == "scan":
        if not all(result.passed for result in results):
            return []
        if not all(result.passed for result in before.values()):
            return list(results)  # the gate has just opened, for everything behind it
    return [result for result in results if result.passed and _became_passed(result, before)]


def _became_passed(result: ScanResult, before: Mapping[str, ScanResult]) -> bool:
    known = before.get(result.url)
    return known is None or not known.passed or result.drift != "unchanged"


def _start(
    chosen: Sequence[ScanResult], agents: list[AgentLaunch], handoff: Handoff
) -> list[AgentRun]:
    """Start the agents for all that were chosen, a bounded window at a time."""
    waiting: deque[PrefectFuture[list[AgentRun]]] = deque()
    runs: list[AgentRun] = []
    try:
        for result in chosen:
            waiting.append(
                start_agents.submit(
                    _whole(result), _whole(agents), _whole(handoff), _whole(run_agent)
                )
            )
            if len(waiting) >= _WINDOW:
                runs += waiting.popleft().result()
        while waiting:
            runs += waiting.popleft().result()
    except BaseException:
        end_all()  # this run is cancelled or broken; its commands run in other threads
        raise
    return runs


def _summarize(
    scan: ScanInfo,
    summary: Summary,
    results: Sequence[ScanResult],
    examined: int,
    drift: dict[str, int],
    agents: list[AgentRun],
) -> ScanSummary:
    def of(status: str) -> list[str]:
        return [result.url for result in results if result.verdict.status == status]

    return ScanSummary(
        scan_id=scan.id,
        source=scan.source,
        artifacts=len(results),
        passed=of("passed"),
        failed=of("failed"),
        unknown=of("unknown"),
        examined=examined,
        drift=drift,
        bytes_read=summary.bytes_read,
        requests=summary.requests,
        agents=agents,
    )
