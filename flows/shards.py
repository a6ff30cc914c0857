"""Scan a root on several machines, one flow run each, through Prefect's work pools.

`scan_shards` lists the root, deals out what has to be examined, and starts a run of a deployment of
`scan_shard` for each part, on whatever worker takes it. The parts and their results travel through
the table's storage; what all of them found is published as one scan.
"""

from dataclasses import replace
from typing import Annotated, Final

from prefect import flow, get_client
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from prefect_mutagen.flows.clear_parameters import keeps_secrets_out
from prefect_mutagen.flows.fan_out import Reading, examine
from prefect_mutagen.flows.root_scan import ScanOrder, scan_root
from prefect_mutagen.flows.run_log import flow_logger
from prefect_mutagen.flows.shard_runs import ShardRuns
from prefect_mutagen.flows.starting import Gate
from prefect_mutagen.flows.summary import ScanSummary
from prefect_mutagen.flows.task_runners import WORKERS
from prefect_mutagen.scanner.examine.scan_info import ScanInfo, new_scan
from prefect_mutagen.scanner.listing.manifest import Manifest
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.storage.secret_parts import without_secrets
from prefect_mutagen.scanner.table.resuming import Interrupted
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.root_lease import IfBusy
from prefect_mutagen.scanner.table.shards import scan_of_shard
from prefect_mutagen.scanner.table.spool import spool_results
from prefect_mutagen.scanner.table.staging import Rescan
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.table.table_scan import TableScan
from prefect_mutagen.tasks.agent_launch import AgentLaunch
from prefect_mutagen.tasks.clear_address import BlockName, ClearAddress
from prefect_mutagen.tasks.ending import ends_with, run_key
from prefect_mutagen.tasks.recording import open_table
from prefect_mutagen.tasks.scan_selection import ScanSelection, Versions

__all__ = ["scan_shard", "scan_shards"]

_DAY: Final = 86_400


def _run_name() -> str:
    source = without_secrets(str(flow_run.parameters.get("source", "")))
    return f"scan {visible(source, 120)}"


def _shard_name() -> str:
    return f"{_run_name()}, shard {visible(str(flow_run.parameters.get('shard', '')), 8)}"


@keeps_secrets_out
@flow(
    name="scan-shards",
    flow_run_name=_run_name,
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
        timeout_seconds: How long the runs may take together; those that have not ended by then are
            cancelled. A run whose machine is lost is noticed five minutes after its last sign of
            life and started again, twice at most.

    Returns:
        The summary.

    Raises:
        ValueError: A parameter is invalid, or there is no such deployment; nothing was examined.
        StorageError: An address does not exist, or the root or the table is unreachable.
        AgentsNotStarted: Some agents could not start; everything else is done.
        ScanBroken: A run did not complete, so nothing was published. The next scan takes over what
            was examined.
    """
    _check_deployment(deployment)
    parameters = {
        "source": source,
        "table": table,
        "policy": policy.to_dict(),
        "storage": storage,
        "hash": hash,
        "rescan": rescan,
        "versions": select.versions,
        "concurrency": concurrency,
    }
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
            examine=ShardRuns(deployment, shards, parameters, timeout_seconds),
            retention=Retention(keep_states, keep_days),
            max_agent_runs=max_agent_runs,
            rerun_failed_agents=rerun_failed_agents,
            select=select,
            if_busy=if_busy,
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
    rescan: Rescan = "changed",
    versions: Versions = "newest",
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 64,
    attempt: Annotated[int, Field(ge=1)] = 1,
) -> int:
    """Examine a part of a scan; a run of `scan_shards` starts this flow, and takes the results.

    Args:
        source: Root of the scan.
        table: Address of its table.
        shard: Name of the part.
        policy: What may be handed to an agent.
        storage: Block with the credentials, as type/name; empty uses the environment's.
        hash: Where SHA-256 values come from.
        rescan: What the scan examines.
        versions: Which versions were listed.
        concurrency: Maximum number of concurrent requests to remote storage.
        attempt: How many runs were started for the part, with this one. All but the first take over
            what the table has of the earlier ones.

    Returns:
        The number of artifacts that were examined.

    Raises:
        ValueError: There can be no such part.
        StorageError: The part cannot be read, or the results cannot be written.
        ScanBroken: Too many task runs broke; there are no results.
    """
    scan = replace(new_scan(source, policy), id=scan_of_shard(shard))
    summary, opened = Summary(), open_table(table, source, storage)
    run, root = str(flow_run.id or ""), Address.parse(source).text
    with TableScan(scan) as table_scan, ends_with(run_key()):
        recording = table_scan.recording
        parts = opened.shards(recording.folder)
        with parts.work_at(shard, attempt, run):
            earlier = _earlier(opened, scan, rescan, recording.folder, attempt)
            manifest = Manifest(f"{recording.folder}/manifest.jsonl")
            manifest.write(
                artifact
                for artifact in parts.read_list(shard, root)
                if not earlier.take(artifact, hash, policy)
            )
            reading = Reading(0, concurrency, storage, hash, versions, table, rescan)
            examined = examine(table_scan, summary, manifest, [], reading)
            path = f"{recording.folder}/taken-over"
            recording.adopt(spool_results(earlier.results(), scan, path), summary)
            table_scan.finish(summary)
            parts.complete(shard, table_scan.prepare(summary))
    if examined.broken:
        flow_logger().error("%s", examined.describe())
    return summary.artifacts


def _earlier(
    table: Table, scan: ScanInfo, rescan: Rescan, folder: str, attempt: int
) -> Interrupted:
    """Return what earlier attempts examined; before the first, the listing has taken all over."""
    return Interrupted(table.files if attempt > 1 else None, scan, rescan, folder)


def _check_deployment(name: str) -> None:
    try:
        with get_client(sync_client=True) as client:
            client.read_deployment_by_name(name)
    except ObjectNotFound:
        raise ValueError(
            f"there is no deployment {name!r}: deploy prefect_mutagen.flows.shards.scan_shard"
        ) from None
