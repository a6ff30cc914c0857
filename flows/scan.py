"""The flow that scans a root, publishes the table and starts agents for what passed: its form."""

from functools import partial
from typing import Annotated

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from prefect_mutagen.flows.clear_parameters import keeps_secrets_out
from prefect_mutagen.flows.ephemeral import give_time_to_start
from prefect_mutagen.flows.fan_out import Reading, examine
from prefect_mutagen.flows.root_scan import ScanOrder, scan_root
from prefect_mutagen.flows.run_labels import scan_run_name
from prefect_mutagen.flows.starting import Gate
from prefect_mutagen.flows.summary import AgentsNotStarted, ModelsRefused, ScanSummary
from prefect_mutagen.flows.task_runners import WORKERS
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.root_lease import IfBusy
from prefect_mutagen.scanner.table.staging import Rescan
from prefect_mutagen.tasks.agent_launch import AgentLaunch
from prefect_mutagen.tasks.clear_address import BlockName, ClearAddress
from prefect_mutagen.tasks.scan_selection import ScanSelection

__all__ = ["AgentsNotStarted", "ModelsRefused", "ScanSummary", "scan_models"]

# At import, because a temporary server starts before the first line of a flow.
give_time_to_start()


@keeps_secrets_out
@flow(
    name="scan-models",
    flow_run_name=scan_run_name,
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
    if_busy: IfBusy = "wait",
    fail_on_refused: bool = False,  # noqa: FBT001, FBT002 - a switch of the form
    keys: list[ClearAddress] = [],  # noqa: B006 - the form needs the default; nobody changes it
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
        if_busy: While another scan of the root into the same table is at work, wait for its end,
            skip this one, or scan all the same.
        fail_on_refused: End as failed if models are refused or were not examined. Everything else
            is done all the same.
        keys: Objects below the source, relative to it or as whole addresses: only the models that
            they belong to are examined, and nothing else is listed. Empty: everything.

    Returns:
        The summary. A bad artifact is a verdict, not a failed flow. The state is named Passed,
        Refused, NotFound, Incomplete, Empty or Skipped, and its message says why.

    Raises:
        ValueError: A parameter is invalid, or an agent could never start; nothing was examined.
        StorageError: An address does not exist, the root or the table is unreachable, or the
            selection includes nothing.
        AgentsNotStarted: Some agents could not start; everything else is done.
        ModelsRefused: With `fail_on_refused`: models are refused or were not examined, or keys not
            found.
        ScanBroken: Too many task runs broke, or one did and the gate is over the whole scan;
            nothing was published.
    """
    reading = Reading(
        max_task_runs, concurrency, storage, hash, select.versions, table=table, rescan=rescan
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
            examine=partial(examine, reading=reading),
            retention=Retention(keep_states, keep_days),
            max_agent_runs=max_agent_runs,
            rerun_failed_agents=rerun_failed_agents,
            select=select,
            if_busy=if_busy,
            fail_on_refused=fail_on_refused,
            keys=tuple(keys),
        )
    )
