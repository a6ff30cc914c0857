"""Scan a root, publish the table and start agents for what passed."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import chain, islice
from typing import Annotated, cast

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import BaseModel, Field

from prefect_mutagen.flows.arrows import Arrow, arrows_from
from prefect_mutagen.flows.clear_parameters import keeps_secrets_out
from prefect_mutagen.flows.ephemeral import give_time_to_start, wait_for_records
from prefect_mutagen.flows.fan_out import Examine, Reading, ScanBroken, examine
from prefect_mutagen.flows.run_log import flow_logger
from prefect_mutagen.flows.starting import Gate, start_chosen
from prefect_mutagen.flows.task_runners import WORKERS
from prefect_mutagen.scanner.census import CensusRow
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.outputs.visible import counted, visible
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.signing.check import check_signers
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.storage.secret_parts import without_secrets
from prefect_mutagen.scanner.table.recording import (
    Recording,
    not_passed,
    passed_as_is,
    passed_by_waiver,
)
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.table_scan import Rescan, TableScan
from prefect_mutagen.tasks.agent_checks import check_agents
from prefect_mutagen.tasks.agent_launch import AgentLaunch, AgentRun, Handoff
from prefect_mutagen.tasks.clear_address import BlockName, ClearAddress
from prefect_mutagen.tasks.listing import Changes, list_changes
from prefect_mutagen.tasks.quoting import opened, quoted
from prefect_mutagen.tasks.recording import open_table, publish_scan
from prefect_mutagen.tasks.scan_selection import ScanSelection
from prefect_mutagen.tasks.showing import SHOWN_ROWS, show_scan
from prefect_mutagen.tasks.storage_blocks import storage_options

__all__ = ["AgentsNotStarted", "ScanSummary", "run_scan", "scan_models"]

# At import, because a temporary server starts before the first line of a flow.
give_time_to_start()

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
    """Number of artifacts added, changed, removed, unchanged, and left out: known, and not selected
    or not examined. Without a table, all are added."""
    bytes_read: int
    """Bytes read of models and of the files beside them."""
    requests: int
    """Requests sent for them, including failed ones; those of the listing and the table are not
    counted."""
    agents: list[AgentRun]
    not_examined: int = 0
    """Artifacts whose task runs broke; they keep the state that they had, and count as left out."""
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
    task_runner=ThreadPoolTaskRunner(max_workers=WORKERS),  # type: ignore[arg-type]
    persist_result=False,
)
def scan_models(  # noqa: PLR0913, PLR0917 - the fields of the form
    source: ClearAddress,
    policy: Policy = Policy(),
    table: ClearAddress = "",
    storage: BlockName = "",
    hash: HashLevel = "stored",  # noqa: A002 - the name of the option everywhere
    rescan: Rescan = "changed",
    gate: Gate = "artifact",
    agents: list[AgentLaunch] = [],  # noqa: B006 - the form needs the default; nobody changes it
    max_task_runs: Annotated[int, Field(ge=0, le=2000)] = 0,
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
        max_task_runs: Number of task runs for scanning, if there are so many artifacts. With 0, up
            to 16 artifacts get one each; beyond that, 16 on one machine take a batch each, more
            where the task runner has more workers, or where there are very many artifacts.
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
        ScanBroken: Too many task runs broke, or one did and the gate is over the whole scan;
            nothing was published.
    """
    reading = Reading(max_task_runs, concurrency, storage, hash, select.versions)
    return run_scan(
        partial(examine, reading=reading),
        source=source,
        policy=policy,
        table=table,
        storage=storage,
        hash=hash,
        rescan=rescan,
        gate=gate,
        agents=agents,
        retention=Retention(keep_states, keep_days),
        max_agent_runs=max_agent_runs,
        rerun_failed_agents=rerun_failed_agents,
        select=select,
    )


def run_scan(  # noqa: PLR0913 - the parameters of the flows
    examine_all: Examine,
    *,
    source: str,
    policy: Policy,
    table: str,
    storage: str,
    hash: HashLevel,  # noqa: A002 - the name of the option everywhere
    rescan: Rescan,
    gate: Gate,
    agents: list[AgentLaunch],
    retention: Retention,
    max_agent_runs: int,
    rerun_failed_agents: bool,
    select: ScanSelection,
) -> ScanSummary:
    """Run a scan, whoever examines its artifacts; see `scan_models`.

    Args:
        examine_all: Examines the artifacts of a manifest.
        source: As for `scan_models`, like all that follow.
        policy: Likewise.
        table: Likewise.
        storage: Likewise.
        hash: Likewise.
        rescan: Likewise.
        gate: Likewise.
        agents: Likewise.
        retention: How much history the table keeps.
        max_agent_runs: Likewise.
        rerun_failed_agents: Likewise.
        select: Likewise.
    """
    _check((source, *filter(None, (table, select.inventory))), policy, agents)
    storage_options(storage)  # fail on an unloadable block before anything is scanned
    scan = new_scan(source, policy)
    at = open_table(table, source, storage) if table else None
    selection = select.selection(datetime.fromisoformat(scan.started_at))
    summary = Summary()
    with TableScan(scan, at) as table_scan:
        recording = table_scan.recording
        listed: State[Changes] = list_changes(
            source=quoted(source),
            state=quoted(table_scan.known.state),
            folder=quoted(recording.folder),
            storage=quoted(storage),
            hash=quoted(hash),
            policy=quoted(policy),
            rescan=quoted(rescan),
            selection=quoted(selection),
            return_state=True,
        )
        changes = opened(listed.result())
        table_scan.take_over(changes.marks, changes.looked)
        summary.census.add(changes.census)
        _log_listing(scan.source, changes.selected, len(changes.manifest), recording.left_out)
        after = arrows_from(listed.state_details.task_run_id)
        examined = examine_all(table_scan, summary, changes.manifest, after)
        if examined.broken and gate == "scan" and agents:
            raise ScanBroken(f"{examined.describe()}; the gate is closed, nothing was published")
        table_scan.finish(summary)
        _log_internal_errors(recording, summary)
        summary.finished_at = datetime.now(UTC).isoformat()
        trouble: StorageError | None = None
        started: list[AgentRun] = []
        try:
            after = examined.arrows
            if table:
                after = _publish(table_scan, summary, (table, storage), retention, after)
            handoff = Handoff(scan.id, policy, table, storage, scan.source, rerun_failed_agents)
            rest = handoff, gate, max_agent_runs
            started = start_chosen(recording, summary, agents, *rest, after=after)
        except StorageError as problem:
            # The verdicts are shown, but without a published table no agent may start.
            trouble = problem
        notes = selection.describe(), examined.describe()
        show_scan(scan, summary, _worth_showing(recording), started, *notes)
        steps = 2 if table else 1  # listing; writing the table
        wait_for_records(steps + examined.task_runs + len(started))
        if trouble is not None:
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
        examined=len(changes.manifest) - examined.left_out,
        not_examined=examined.left_out,
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
    if examined.broken:
        # A state that is returned gives those who call the flow the summary, and shows its message.
        return cast("ScanSummary", Completed(message=examined.describe(), data=result))
    return result


def _publish(
    table_scan: TableScan,
    summary: Summary,
    to: tuple[str, str],
    retention: Retention,
    after: list[Arrow],
) -> list[Arrow]:
    """Publish a scan in a table, with a storage block; return the arrow from that task run."""
    table, storage = to
    published: State[None] = publish_scan(
        table=quoted(table),
        publication=quoted(table_scan.prepare(summary)),
        storage=quoted(storage),
        retention=quoted(retention),
        wait_for=after,
        return_state=True,
    )
    published.result()
    return arrows_from(published.state_details.task_run_id)


def _check(addresses: Iterable[str], policy: Policy, agents: Sequence[AgentLaunch]) -> None:
    """Validate addresses, signers and agents before anything is examined."""
    for address in addresses:
        Address.parse_clear(address)
    check_signers(policy.allowed_signers)
    for remark in check_agents(agents):
        flow_logger().warning("%s", remark)


def _log_listing(source: str, selected: int, changed: int, left_out: int) -> None:
    logger = flow_logger()
    logger.info("%s, %d to examine", counted(selected, "artifact"), changed)
    if not selected:
        logger.warning("%s: there is no model file that the scan is about", source)
    if left_out:
        logger.info("%d more are known and not selected; they stay as they are", left_out)


def _log_internal_errors(recording: Recording, summary: Summary) -> None:
    if not summary.unknown:
        return
    for url, message in islice(recording.internal_errors(), _LOGGED):
        flow_logger().error("%s: %s", visible(url, 1000), message)


def _not_started(refused: list[AgentRun], agents: int, table: str) -> str:
    """Return one sentence: how many agents could not start, and why the first could not."""
    first = refused[0]
    where = f"{visible(first.agent, 100)} for {visible(first.url, 300)}"
    what = f"{len(refused)} of {agents} agents could not start, the first, {where}: {first.message}"
    return f"{what}; the next scan starts them" if table else what


def _worth_showing(recording: Recording) -> list[ScanResult]:
    """Return the results to show, up to `SHOWN_ROWS`.

    Refused artifacts come first, then those passed by a waiver, then the rest.
    """
    each = (recording.results(rows) for rows in (not_passed, passed_by_waiver, passed_as_is))
    return list(islice(chain.from_iterable(each), SHOWN_ROWS))
