"""Scan a root, publish the table and start agents for what passed."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import BaseModel, Field

from prefect_mutagen.flows.clear_parameters import keeps_secrets_out
from prefect_mutagen.flows.ephemeral import give_time_to_start, wait_for_records
from prefect_mutagen.flows.run_log import flow_logger
from prefect_mutagen.flows.starting import Gate, quoted, start_chosen
from prefect_mutagen.scanner.census import CensusRow
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.examine.unexamined import crashed
from prefect_mutagen.scanner.listing.manifest import Batch, Manifest
from prefect_mutagen.scanner.outputs.visible import counted, visible
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.signing.check import check_signers
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.storage.secret_parts import without_secrets
from prefect_mutagen.scanner.table.recording import Recording
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.row_filters import not_passed, passed_as_is, passed_by_waiver
from prefect_mutagen.scanner.table.spool import Spooled
from prefect_mutagen.scanner.table.table_scan import TableScan
from prefect_mutagen.tasks.agent_checks import check_agents
from prefect_mutagen.tasks.agent_launch import AgentLaunch, AgentRun, Handoff
from prefect_mutagen.tasks.clear_address import BlockName, ClearAddress
from prefect_mutagen.tasks.listing import list_changes
from prefect_mutagen.tasks.recording import open_table, publish_scan
from prefect_mutagen.tasks.scan_selection import ScanSelection, Versions
from prefect_mutagen.tasks.scanning import scan_artifact, scan_rows
from prefect_mutagen.tasks.showing import SHOWN_ROWS, show_scan
from prefect_mutagen.tasks.storage_blocks import storage_options

__all__ = ["AgentsNotStarted", "ScanSummary", "scan_models"]

# At import, because a temporary server starts before the first line of a flow.
give_time_to_start()

_WORKERS = 16
_WINDOW = 2 * _WORKERS
_ADDRESSES = 10_000
_LOGGED = 20


class ScanSummary(BaseModel):
    """The result of a scan."""

    scan_id: str
    source: str
    artifacts: int
    passed: list[str]
    """The first 10,000 addresses of artifacts that passed, sorted. The table has all of them."""
    failed: list[str]
    """Likewise for failed artifacts."""
    unknown: list[str]
    """Likewise for artifacts that could not be examined."""
    counts: dict[str, int]
    """Number of artifacts by verdict: passed, failed, unknown."""
    examined: int
    """Artifacts that were read; the others are unchanged since the previous scan."""
    drift: dict[str, int]
    """Number of artifacts added, changed, removed, unchanged, and left out by the selection.
    Without a table, all are added."""
    bytes_read: int
    """Bytes read of models and of the files beside them."""
    requests: int
    """Requests sent for them, including failed ones; those of the listing and the table are not
    counted."""
    agents: list[AgentRun]
    census: list[CensusRow] = []
    """All listed objects by role and state: examined, named only, not understood."""


class AgentsNotStarted(Exception):  # noqa: N818 - it names what happened, as it is read in the UI
    """Some agents could not start. The rest is done: verdicts, table and the other agents."""

    def __init__(self, message: str, summary: ScanSummary | None = None) -> None:
        """Set message and summary.

        Args:
            message: How many agents could not start, the first of them, and why.
            summary: The result of the scan, for flows that call it.
        """
        super().__init__(message)
        self.summary = summary


def _run_name() -> str:
    source = without_secrets(str(flow_run.parameters.get("source", "")))
    return f"scan {visible(source, 120)}"


@keeps_secrets_out
@flow(
    name="scan-models",
    flow_run_name=_run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=_WORKERS),  # type: ignore[arg-type]
    persist_result=False,
)
def scan_models(  # noqa: PLR0913, PLR0917 - the fields of the form
    source: ClearAddress,
    policy: Policy = Policy(),
    table: ClearAddress = "",
    storage: BlockName = "",
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
        source: Root to scan: a path, or an address such as s3://bucket/models.
        policy: What may be handed to an agent.
        table: Folder or address of the Parquet table for the results; empty keeps no results.
        storage: Block with the credentials, as type/name; empty uses the environment's.
        hash: Where SHA-256 values come from: none, known ones at no cost (stored), one more request
            each (lookup), or reading every byte (full).
        rescan: Examine only what changed since the previous scan, or everything.
        gate: Start agents for each artifact that passed, or only if all artifacts passed.
        agents: What to start for an artifact that has become passed.
        max_task_runs: Maximum number of task runs for scanning. Local artifacts get one each up to
            this number, remote ones up to 16; beyond that, each task run takes a batch.
        concurrency: Maximum number of concurrent requests to remote storage, for all task runs of a
            process together.
        keep_states: Number of newest states to keep in the table; 0 keeps all, unless keep_days is
            set.
        keep_days: Number of days to keep every state in the table; 0 keeps all, unless keep_states
            is set.
        max_agent_runs: Maximum number of agents to start; the others wait for the next scan. Needs
            a table.
        rerun_failed_agents: Start agents again that failed for the same bytes.
        select: Which artifacts to scan; all by default. The others stay in the table unchanged, and
            no agent starts for them.

    Returns:
        The summary. A bad artifact is a verdict, not a failed flow.

    Raises:
        ValueError: A parameter is invalid, or an agent could never start; nothing was examined.
        StorageError: An address does not exist, the root or the table is unreachable, or the
            selection includes nothing.
        AgentsNotStarted: Some agents could not start; everything else is done.
    """
    _check((source, *filter(None, (table, select.inventory))), policy, agents)
    storage_options(storage)  # fail on an unloadable block before anything is scanned
    scan = new_scan(source, policy)
    opened = open_table(table, source, storage) if table else None
    selection = select.selection(datetime.fromisoformat(scan.started_at))
    summary = Summary()
    with TableScan(scan, opened) as table_scan:
        recording = table_scan.recording
        changes = list_changes(
            source,
            quoted(table_scan.known.state),
            recording.folder,
            storage=storage,
            hash=hash,
            policy=quoted(policy),
            rescan=rescan,
            selection=quoted(selection),
        )
        table_scan.take_over(changes.marks, changes.looked)
        summary.census.add(changes.census)
        _log_listing(scan.source, changes.selected, len(changes.manifest), recording.left_out)
        reading = _Reading(max_task_runs, concurrency, storage, hash, select.versions)
        examined = _examine(recording, summary, changes.manifest, reading)
        table_scan.finish(summary)
        if summary.unknown:
            _log_internal_errors(recording)
        summary.finished_at = datetime.now(UTC).isoformat()
        trouble: StorageError | None = None
        if table:
            retention = Retention(keep_states, keep_days)
            try:
                publication = table_scan.prepare(summary)
                publish_scan(table, quoted(publication), storage, quoted(retention))
            except StorageError as problem:
                trouble = problem
        started: list[AgentRun] = []
        if trouble is None:
            handoff = Handoff(scan.id, policy, table, storage, scan.source, rerun_failed_agents)
            try:
                started = start_chosen(recording, summary, agents, handoff, gate, max_agent_runs)
            except StorageError as problem:
                trouble = problem
        show_scan(scan, summary, _worth_showing(recording), started, selection.describe())
        steps = 2 if table else 1  # listing; writing the table
        wait_for_records(steps + examined + len(started))
        if trouble is not None:
            # The verdicts are shown, but without a published table no agent may start.
            raise trouble
        verdicts = recording.addresses(_ADDRESSES)
    counts = summary.passed, summary.failed, summary.unknown
    flow_logger().info("%d passed, %d failed, %d unknown", *counts)
    if described := summary.census.describe():
        flow_logger().info("%s", described)
    result = ScanSummary(
        scan_id=scan.id,
        source=scan.source,
        artifacts=summary.artifacts,
        counts={name: getattr(summary, name) for name in verdicts},
        examined=len(changes.manifest),
        drift=dict(recording.drift),
        bytes_read=summary.bytes_read,
        requests=summary.requests,
        agents=started,
        census=list(summary.census.rows),
        **verdicts,
    )
    refused = [run for run in started if run.state == "refused"]
    if refused:
        raise AgentsNotStarted(_not_started(refused, len(started), table), result)
    return result


def _check(addresses: Iterable[str], policy: Policy, agents: Sequence[AgentLaunch]) -> None:
    """Validate addresses, signers and agents before anything is examined."""
    for address in addresses:
        Address.parse_clear(address)
    check_signers(policy.allowed_signers)
    for remark in check_agents(agents, commands_run_here=_runs_here()):
        flow_logger().warning("%s", remark)


def _log_listing(source: str, selected: int, changed: int, left_out: int) -> None:
    logger = flow_logger()
    logger.info("%s, %d to examine", counted(selected, "artifact"), changed)
    if not selected:
        logger.warning("%s: there is no model file that the scan is about", source)
    if left_out:
        logger.info("%d more are known and not selected; they stay as they are", left_out)


def _log_internal_errors(recording: Recording) -> None:
    for url, message in islice(recording.internal_errors(), _LOGGED):
        flow_logger().error("%s: %s", visible(url, 1000), message)


def _runs_here() -> bool:
    """Whether task runs, and thus the commands of agents, execute on this machine."""
    context = FlowRunContext.get()
    return context is not None and isinstance(context.task_runner, ThreadPoolTaskRunner)


def _not_started(refused: list[AgentRun], agents: int, table: str) -> str:
    """Return one sentence: how many agents could not start, and why the first could not."""
    first = refused[0]
    where = f"{visible(first.agent, 100)} for {visible(first.url, 300)}"
    what = f"{len(refused)} of {agents} agents could not start, the first, {where}: {first.message}"
    return f"{what}; the next scan starts them" if table else what


@dataclass(frozen=True, slots=True)
class _Reading:
    """Fan-out limits of a scan and parameters of its tasks."""

    task_runs: int
    concurrency: int
    storage: str
    hash: HashLevel
    versions: Versions

    def width(self, artifacts: int, *, local: bool) -> int:
        """Return the number of task runs.

        Prefect starts about a hundred task runs per second, so remote artifacts are batched: into
        one batch per worker, or, for large scans, into batches of `concurrency` artifacts, so that
        each task run alone can use the whole request limit.
        """
        if local or artifacts <= _WORKERS:
            return min(artifacts, self.task_runs)
        return min(max(_WORKERS, artifacts // self.concurrency), self.task_runs)


def _examine(recording: Recording, summary: Summary, manifest: Manifest, reading: _Reading) -> int:
    """Examine artifacts in a bounded window of task runs; return the number of task runs."""
    scan = quoted(recording.scan)
    local = Address.parse(recording.scan.source).is_local
    width = reading.width(len(manifest), local=local)
    # Local files are examined one at a time, or with one thread per core for full hashing.
    most = max(1, reading.concurrency // _WORKERS) if local else reading.concurrency
    storage, level, versions = reading.storage, reading.hash, reading.versions
    waiting: deque[tuple[Batch, PrefectFuture[Any]]] = deque()
    for batch in manifest.batches(width):
        future: PrefectFuture[Any]
        if width == len(manifest):
            (artifact,) = batch.read()
            future = scan_artifact.submit(
                artifact=quoted(artifact),
                source=recording.scan.source,
                policy=quoted(recording.scan.policy),
                storage=storage,
                hash=level,
                versions=versions,
                concurrency=most,
            )
        else:
            future = scan_rows.submit(
                artifacts=quoted(batch),
                scan=scan,
                folder=recording.folder,
                storage=storage,
                hash=level,
                concurrency=most,
                versions=versions,
            )
        waiting.append((batch, future))
        if len(waiting) >= _WINDOW:
            _collect(recording, summary, *waiting.popleft())
    while waiting:
        _collect(recording, summary, *waiting.popleft())
    return width


def _collect(
    recording: Recording, summary: Summary, batch: Batch, future: PrefectFuture[Any]
) -> None:
    """Record the results of a task run; if it crashed, record that for each of its artifacts."""
    future.wait()
    if future.state.is_completed():
        got = future.result()
        if isinstance(got, Spooled):
            recording.adopt(got, summary)
        else:
            summary.add(recording.add(got))
        return
    flow_logger().error("%s ended as %s", "a scan task", future.state.name)
    for artifact in batch.read():
        result = crashed(artifact, future.state.name or "failed")
        summary.add(recording.add(result))


def _worth_showing(recording: Recording) -> list[ScanResult]:
    """Return the results to show, up to `SHOWN_ROWS`.

    Refused artifacts come first, then those passed by a waiver, then the rest.
    """
    each = (recording.results(rows) for rows in (not_passed, passed_by_waiver, passed_as_is))
    return list(islice(chain.from_iterable(each), SHOWN_ROWS))
