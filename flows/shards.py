"""Scan a root on several machines, one flow run each, through Prefect's work pools.

`scan_shards` lists the root, deals out what has to be examined, and starts a run of a deployment of
`scan_shard` for each part, on whatever worker takes it. The parts and their results travel through
the table's storage; what all of them found is published as one scan.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

import httpx
from prefect import flow, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Cancelling
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from prefect_mutagen.flows.arrows import Arrow, arrows_from
from prefect_mutagen.flows.clear_parameters import keeps_secrets_out
from prefect_mutagen.flows.fan_out import Examined, Reading, ScanBroken, examine
from prefect_mutagen.flows.root_scan import ScanOrder, scan_root
from prefect_mutagen.flows.run_labels import scan_run_name
from prefect_mutagen.flows.run_log import flow_logger
from prefect_mutagen.flows.scan_progress import ScanProgress
from prefect_mutagen.flows.starting import Gate
from prefect_mutagen.flows.summary import ScanSummary
from prefect_mutagen.flows.task_runners import WORKERS
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.listing.manifest import Manifest
from prefect_mutagen.scanner.outputs.visible import counted, visible
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.root_lease import IfBusy
from prefect_mutagen.scanner.table.shards import Shards
from prefect_mutagen.scanner.table.staging import Rescan
from prefect_mutagen.scanner.table.table_scan import TableScan
from prefect_mutagen.tasks.agent_launch import AgentLaunch
from prefect_mutagen.tasks.clear_address import BlockName, ClearAddress
from prefect_mutagen.tasks.recording import open_table
from prefect_mutagen.tasks.scan_selection import ScanSelection, Versions

__all__ = ["scan_shard", "scan_shards"]

_POLL_SECONDS: Final = 2.0
_DAY: Final = 86_400


def _shard_name() -> str:
    return f"{scan_run_name()}, shard {visible(str(flow_run.parameters.get('shard', '')), 8)}"


@keeps_secrets_out
@flow(
    name="scan-shards",
    flow_run_name=scan_run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=WORKERS),  # type: ignore[arg-type]
    persist_result=False,
)
def scan_shards(  # noqa: PLR0913, PLR0917 - the fields of the form
    source: ClearAddress,
    table: ClearAddress,
    deployment: str = "scan-shard/shard",
    shards: Annotated[int, Field(ge=1, le=250)] = 4,
    policy: Policy = Policy(),
    storage: BlockName = "",
    hash: HashLevel = "stored",  # noqa: A002 - the name of the option everywhere
    rescan: Rescan = "changed",
    gate: Gate = "artifact",
    agents: list[AgentLaunch] = [],  # noqa: B006 - the form needs the default; nobody changes it
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 64,
    keep_states: Annotated[int, Field(ge=0)] = 0,
    keep_days: Annotated[int, Field(ge=0)] = 0,
    max_agent_runs: Annotated[int, Field(ge=0)] = 100,
    rerun_failed_agents: bool = False,  # noqa: FBT001, FBT002 - a switch of the form
    select: ScanSelection = ScanSelection(),
    if_busy: IfBusy = "wait",
    timeout_seconds: Annotated[int, Field(ge=1)] = _DAY,
    fail_on_refused: bool = False,  # noqa: FBT001, FBT002 - a switch of the form
) -> ScanSummary:
    """Scan a bucket of models on several machines, and start agents only for what passed.

    The result is that of `scan_models`. This run lists the root, publishes and starts the agents;
    runs of a deployment examine what is new and changed, each a part of about equal size.

    Args:
        source: Root to scan: an address that all workers can read.
        table: Address of the Parquet table, which all workers can write to.
        deployment: The deployment of the flow scan-shard that examines a part.
        shards: Number of parts, and thus of runs.
        policy: What may be handed to an agent.
        storage: Block with the credentials, as type/name; empty uses the environment's.
        hash: Where SHA-256 values come from.
        rescan: Examine only what changed since the previous scan, or everything.
        gate: Start agents for each artifact that passed, or only if all artifacts passed.
        agents: What to start for an artifact that has become passed.
        concurrency: Maximum number of concurrent requests to remote storage of each run.
        keep_states: Number of newest states to keep in the table; 0 keeps all.
        keep_days: Number of days to keep every state in the table; 0 keeps all.
        max_agent_runs: Maximum number of agents to start; the others wait for the next scan.
        rerun_failed_agents: Start agents again that failed for the same bytes.
        select: Which artifacts to scan; all by default.
        if_busy: While another scan of the root into the same table is at work, wait for its end,
            skip this one, or scan all the same.
        timeout_seconds: How long the runs may take together. A machine that is lost takes its run
            along without a word, so one that has not ended by then counts as lost.
        fail_on_refused: End as failed if models are refused or were not examined.

    Returns:
        The summary.

    Raises:
        ValueError: A parameter is invalid, or there is no such deployment; nothing was examined.
        StorageError: An address does not exist, or the root or the table is unreachable.
        AgentsNotStarted: Some agents could not start; everything else is done.
        ModelsRefused: With `fail_on_refused`: models are refused or were not examined.
        ScanBroken: A run did not complete, so nothing was published. A repeated scan takes over
            what the others have examined.
    """
    _check_deployment(deployment)
    rest = {
        "policy": policy.to_dict(),
        "storage": storage,
        "hash": hash,
        "versions": select.versions,
    }
    parameters = {"source": source, "table": table, "concurrency": concurrency, **rest}
    fan_out = partial(
        _examine_in_shards,
        deployment=deployment,
        shards=shards,
        parameters=parameters,
        timeout_seconds=timeout_seconds,
    )
    return scan_root(
        ScanOrder(
            source=source,
            policy=policy,
            table=table,
            storage=storage,
            hash=hash,
            rescan=rescan,
            gate=gate,
            agents=tuple(agents),
            examine=fan_out,
            retention=Retention(keep_states, keep_days),
            max_agent_runs=max_agent_runs,
            rerun_failed_agents=rerun_failed_agents,
            select=select,
            if_busy=if_busy,
            fail_on_refused=fail_on_refused,
        )
    )


@keeps_secrets_out
@flow(
    name="scan-shard",
    flow_run_name=_shard_name,
    task_runner=ThreadPoolTaskRunner(max_workers=WORKERS),  # type: ignore[arg-type]
    persist_result=False,
)
def scan_shard(  # noqa: PLR0913, PLR0917 - the fields of the form
    source: ClearAddress,
    table: ClearAddress,
    shard: str,
    policy: Policy = Policy(),
    storage: BlockName = "",
    hash: HashLevel = "stored",  # noqa: A002 - the name of the option everywhere
    versions: Versions = "newest",
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 64,
) -> int:
    """Examine a part of a scan; a run of `scan_shards` starts this flow, and takes the results.

    Args:
        source: Root of the scan.
        table: Address of its table.
        shard: Name of the part.
        policy: What may be handed to an agent.
        storage: Block with the credentials, as type/name; empty uses the environment's.
        hash: Where SHA-256 values come from.
        versions: Which versions were listed.
        concurrency: Maximum number of concurrent requests to remote storage.

    Returns:
        The number of artifacts that were examined.

    Raises:
        StorageError: The part cannot be read, or the results cannot be written.
        ScanBroken: Too many task runs broke; there are no results.
    """
    scan, summary = new_scan(source, policy), Summary()
    with TableScan(scan) as table_scan:
        folder = table_scan.recording.folder
        part = Shards(open_table(table, source, storage).files, folder)
        manifest = Manifest(f"{folder}/manifest.jsonl")
        manifest.write(part.read_list(shard))
        reading = Reading(0, concurrency, storage, hash, versions)
        examined = examine(table_scan, summary, manifest, [], reading)
        table_scan.finish(summary)
        part.complete(shard, table_scan.prepare(summary))
    if examined.broken:
        flow_logger().error("%s", examined.describe())
    return summary.artifacts


def _check_deployment(name: str) -> None:
    try:
        with get_client(sync_client=True) as client:
            client.read_deployment_by_name(name)
    except ObjectNotFound:
        raise ValueError(
            f"there is no deployment {name!r}: deploy prefect_mutagen.flows.shards.scan_shard"
        ) from None


def _examine_in_shards(
    table_scan: TableScan,
    summary: Summary,
    manifest: Manifest,
    _after: Sequence[Arrow],
    *,
    deployment: str,
    shards: int,
    parameters: dict[str, Any],
    timeout_seconds: int,
) -> Examined:
    """Examine the artifacts of a manifest in runs of a deployment."""
    recording, table = table_scan.recording, table_scan.table
    if table is None:
        raise ValueError("a scan in shards needs a table, through which the shards travel")
    parts, examined = Shards(table.files, recording.folder), Examined()
    about = parameters["hash"], parameters["versions"]
    batches = {
        parts.offer(batch, recording.scan, about): batch for batch in manifest.batches(shards)
    }
    waiting: dict[str, FlowRun] = {}
    deadline = time.monotonic() + timeout_seconds
    progress = ScanProgress(len(manifest), is_counted_here=False)
    try:
        with progress:
            for number, name in enumerate(batches, 1):
                if parts.is_complete(name):
                    flow_logger().info("shard %d of %d was examined before", number, len(batches))
                    progress.add(len(batches[name]))
                    continue
                run: Any = run_deployment(
                    deployment, parameters={**parameters, "shard": name}, timeout=0
                )
                waiting[name] = run
                examined.arrows += arrows_from(run.parent_task_run_id)
            sizes = {run.id: len(batches[name]) for name, run in waiting.items()}
            _wait(sizes, deadline, progress.add)
    except BaseException:
        _cancel([run.id for run in waiting.values()])
        raise
    missing = [name for name in batches if not parts.is_complete(name)]
    if missing:
        raise ScanBroken(_missing(missing, waiting, len(batches)))
    for name, batch in batches.items():
        seen: set[str] = set()
        recording.adopt(parts.take(name, recording.scan, seen), summary)
        for artifact in batch.read():
            if storable(artifact.url) not in seen:
                table_scan.leave_out(artifact, summary)
                examined.broken[f"a task run of shard {name[:8]} broke; its log says why"] += 1
    parts.clear(list(batches))
    return examined


def _wait(sizes: Mapping[UUID, int], deadline: float, add: Callable[[int], None]) -> None:
    """Wait until all runs have ended, or the time is up; add the size of each that has."""
    open_runs = set(sizes)
    while open_runs and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        with suppress(httpx.HTTPError), get_client(sync_client=True) as client:
            for identity in sorted(open_runs):
                state = client.read_flow_run(identity).state
                if state is not None and state.is_final():
                    open_runs.discard(identity)
                    add(sizes[identity])
    _cancel(list(open_runs))


def _cancel(runs: Sequence[UUID]) -> None:
    """Ask for the end of runs that nobody waits for any more."""
    for identity in runs:
        with suppress(Exception), get_client(sync_client=True) as client:
            client.set_flow_run_state(identity, Cancelling())


def _missing(missing: Sequence[str], runs: dict[str, FlowRun], total: int) -> str:
    """Return one sentence: how many shards did not complete, and why the first did not."""
    first = runs[missing[0]]
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(first.id).state
    ended = f"ended as {state.name}" if state is not None and state.is_final() else "has not ended"
    why = visible(f": {state.message}" if state is not None and state.message else "", 300)
    return (
        f"{len(missing)} of {counted(total, 'shard')} did not complete, and nothing was published; "
        f"the run of the first, {first.name!r}, {ended}{why}. "
        "A repeated scan takes over what the others have examined"
    )
