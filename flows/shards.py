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
from prefect_mutagen.flows.form import BRIEF_POLICY, with_form
from prefect_mutagen.flows.named_blocks import named_policy, named_root, named_table
from prefect_mutagen.flows.root_scan import ScanOrder, scan_root
from prefect_mutagen.flows.run_labels import scan_run_name
from prefect_mutagen.flows.run_log import flow_logger
from prefect_mutagen.flows.scan_advanced import ScanAdvanced
from prefect_mutagen.flows.shard_runs import ShardRuns
from prefect_mutagen.flows.starting import Gate
from prefect_mutagen.flows.summary import ScanSummary
from prefect_mutagen.flows.task_runners import WORKERS
from prefect_mutagen.scanner.examine.scan_info import ScanInfo, new_scan
from prefect_mutagen.scanner.listing.manifest import Manifest
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.policy.policy import Policy, PolicySet
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.table.resuming import Interrupted
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
_FIELDS: Final = {
    "source": "Models",
    "policy_block": "Policy block",
    "table": "Table",
    "agents": "Agents",
    "gate": "Start agents",
    "fail_on_refused": "Fail if models are refused",
    "deployment": "Deployment for the parts",
    "shards": "Parts",
    "timeout_seconds": "Time limit in seconds",
    "storage": "Credentials",
    "rescan": "Examine",
    "hash": "SHA-256",
    "select": "Selection",
    "concurrency": "Requests at a time",
    "advanced": "Advanced",
    "policy": "Policy, without a block",
}
"""Titles of the form's fields, in its order."""


def _shard_name() -> str:
    return f"{scan_run_name()}, shard {visible(str(flow_run.parameters.get('shard', '')), 8)}"


@with_form(_FIELDS, policy=BRIEF_POLICY)
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
    select: ScanSelection = ScanSelection(),
    timeout_seconds: Annotated[int, Field(ge=1)] = _DAY,
    policy_block: BlockName = "",
    fail_on_refused: bool = False,  # noqa: FBT001, FBT002 - a switch of the form
    advanced: ScanAdvanced = ScanAdvanced(),
) -> ScanSummary:
    """Scan a bucket of models on several machines, and start agents only for what passed.

    The result is that of `scan_models`. This run lists the root, publishes and starts the agents;
    runs of a deployment examine what is new and changed, each a part of about equal size.

    Args:
        source: What to scan: an address that all workers can read, or a block such as
            model-root/NAME.
        table: Where the parts travel and results are kept: an address that all workers can write
            to, or model-table/NAME.
        deployment: The deployment of the flow scan-shard that examines a part.
        shards: Number of parts, and thus of runs.
        policy: What may be handed to an agent: the rules that are set most often. A policy block
            has all of them, in one place for all deployments; with one, leave these as they are.
        storage: Block with the credentials, as type/name, such as aws-credentials/models. Empty:
            those of the model-root block, or of the worker's environment.
        hash: Where SHA-256 values come from: none, known ones at no cost (stored), one more request
            each (lookup), or reading every byte (full).
        rescan: Only what changed since the last scan, or everything (all).
        gate: For each model that passed (artifact), or only if all models passed (scan).
        agents: What to start for a model that has become passed: a deployment or a command.
        concurrency: Maximum number of concurrent requests to remote storage of each run.
        select: Which models to scan; all by default.
        timeout_seconds: How long the runs may take together; those that have not ended by then are
            cancelled. A run whose machine is lost is noticed five minutes after its last sign of
            life and started again, twice at most.
        policy_block: Name of a Model Policy block. Empty: the policy below.
        fail_on_refused: End as failed if models are refused or were not examined. Everything else
            is done all the same.
        advanced: What is seldom set: limits of agents, how long results are kept, other scans.

    Returns:
        The summary.

    Raises:
        ValueError: A parameter is invalid, or there is no such deployment or block; nothing was
            examined.
        StorageError: An address does not exist, or the root or the table is unreachable.
        AgentsNotStarted: Some agents could not start; everything else is done.
        ModelsRefused: With `fail_on_refused`: models are refused or were not examined.
        ScanBroken: A run did not complete, so nothing was published. The next scan takes over what
            was examined.
    """
    accepted, place = named_policy(policy, policy_block), named_table(table)
    root = named_root(source, storage, select)
    _check_deployment(deployment)
    parameters = {
        "source": root.address,
        "table": place.address,
        "policy": accepted.to_dict(),
        "storage": root.storage,
        "table_storage": place.storage,
        "hash": hash,
        "rescan": rescan,
        "versions": root.select.versions,
        "concurrency": concurrency,
    }
    return scan_root(
        ScanOrder(
            source=root.address,
            policy=accepted,
            policy_block=policy_block,
            table=place.address,
            storage=root.storage,
            table_storage=place.storage,
            hash=hash,
            rescan=rescan,
            gate=gate,
            agents=tuple(agents),
            examine=ShardRuns(deployment, shards, parameters, timeout_seconds),
            retention=advanced.retention,
            max_agent_runs=advanced.max_agent_runs,
            rerun_failed_agents=advanced.rerun_failed_agents,
            select=root.select,
            if_busy=advanced.if_busy,
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
    policy: PolicySet = PolicySet(),
    storage: BlockName = "",
    hash: HashLevel = "stored",  # noqa: A002 - the name of the option everywhere
    rescan: Rescan = "changed",
    versions: Versions = "newest",
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 64,
    attempt: Annotated[int, Field(ge=1)] = 1,
    table_storage: BlockName = "",
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
        table_storage: Block with the table's credentials; empty: it has none of its own.

    Returns:
        The number of artifacts that were examined.

    Raises:
        ValueError: There can be no such part.
        StorageError: The part cannot be read, or the results cannot be written.
        ScanBroken: Too many task runs broke; there are no results.
    """
    scan = replace(new_scan(source, policy), id=scan_of_shard(shard))
    summary, opened = Summary(), open_table(table, source, storage, table_storage)
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
            rest = storage, hash, versions, table, rescan, table_storage
            reading = Reading(0, concurrency, *rest)
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
