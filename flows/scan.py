"""The flow that scans a root, publishes the table and starts agents for what passed: its form."""

from functools import partial
from typing import Annotated, Final

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from prefect_mutagen.flows.clear_parameters import keeps_secrets_out
from prefect_mutagen.flows.ephemeral import give_time_to_start
from prefect_mutagen.flows.fan_out import Reading, examine
from prefect_mutagen.flows.form import BRIEF_POLICY, with_form
from prefect_mutagen.flows.named_blocks import named_policy, named_root, named_table
from prefect_mutagen.flows.root_scan import ScanOrder, scan_root
from prefect_mutagen.flows.run_labels import scan_run_name
from prefect_mutagen.flows.scan_advanced import ScanAdvanced
from prefect_mutagen.flows.several_roots import RootsNotScanned, scan_each
from prefect_mutagen.flows.starting import Gate
from prefect_mutagen.flows.summary import AgentsNotStarted, ModelsRefused, ScanSummary
from prefect_mutagen.flows.task_runners import WORKERS
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.table.staging import Rescan
from prefect_mutagen.tasks.agent_launch import AgentLaunch
from prefect_mutagen.tasks.clear_address import BlockName, ClearAddress
from prefect_mutagen.tasks.scan_selection import ScanSelection

__all__ = ["AgentsNotStarted", "ModelsRefused", "RootsNotScanned", "ScanSummary", "scan_models"]

_FIELDS: Final = {
    "source": "Models",
    "more_sources": "More models",
    "policy_block": "Policy block",
    "table": "Table",
    "agents": "Agents",
    "gate": "Start agents",
    "fail_on_refused": "Fail if models are refused",
    "storage": "Credentials",
    "rescan": "Examine",
    "hash": "SHA-256",
    "select": "Selection",
    "keys": "Only these objects",
    "max_task_runs": "Task runs",
    "concurrency": "Requests at a time",
    "advanced": "Advanced",
    "policy": "Policy, without a block",
}
"""Titles of the form's fields, in the order in which people ask for them."""

# At import, because a temporary server starts before the first line of a flow.
give_time_to_start()


@with_form(_FIELDS, policy=BRIEF_POLICY)
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
    select: ScanSelection = ScanSelection(),
    policy_block: BlockName = "",
    more_sources: list[ClearAddress] = [],  # noqa: B006 - likewise
    fail_on_refused: bool = False,  # noqa: FBT001, FBT002 - a switch of the form
    advanced: ScanAdvanced = ScanAdvanced(),
    keys: list[ClearAddress] = [],  # noqa: B006 - the form needs the default; nobody changes it
) -> ScanSummary:
    """Scan a bucket or folder of models and start agents only for what passed.

    Args:
        source: What to scan: a path, an address such as s3://bucket/models, or a block such as
            model-root/NAME or s3-bucket/NAME.
        policy: What may be handed to an agent: the rules that are set most often. A policy block
            has all of them, in one place for all deployments; with one, leave these as they are.
        table: Where results are kept, for drift and for re-scans that read only what changed: a
            folder, an address such as s3://bucket/models-table, or model-table/NAME. Empty: no
            results are kept.
        storage: Block with the credentials, as type/name, such as aws-credentials/models. Empty:
            those of the model-root block, or of the worker's environment.
        hash: Where SHA-256 values come from: none, known ones at no cost (stored), one more request
            each (lookup), or reading every byte (full).
        rescan: Only what changed since the last scan, or everything (all).
        gate: For each model that passed (artifact), or only if all models passed (scan).
        agents: What to start for a model that has become passed: a deployment or a command.
        max_task_runs: Number of task runs that examine, if there are so many models. 0 suits the
            machine: about 16, each with a batch.
        concurrency: Maximum number of concurrent requests to remote storage, for all task runs of a
            process together.
        select: Which models to scan; all by default. The others stay in the table unchanged, and
            no agent starts for them.
        policy_block: Name of a Model Policy block. Empty: the policy below.
        more_sources: Further addresses or blocks, each scanned like the first, in a run of its own
            within this one. A model-root block brings its own credentials and selection.
        fail_on_refused: End as failed if models are refused or were not examined. Everything else
            is done all the same.
        advanced: What is seldom set: limits of agents, how long results are kept, other scans.
        keys: Objects below the source, relative to it or as whole addresses: only the models that
            they belong to are examined, and nothing else is listed. Empty: everything.

    Returns:
        The summary. A bad artifact is a verdict, not a failed flow. The state is named Passed,
        Refused, NotFound, Incomplete, Empty or Skipped, and its message says why. With
        `more_sources`, the counts are sums, and `roots` has the summary of each root.

    Raises:
        ValueError: A parameter is invalid, a block does not exist, or an agent could never start;
            nothing was examined.
        StorageError: An address does not exist, the root or the table is unreachable, or the
            selection includes nothing.
        AgentsNotStarted: Some agents could not start; everything else is done.
        ModelsRefused: With `fail_on_refused`: models are refused or were not examined, or keys not
            found.
        RootsNotScanned: With `more_sources`: some roots could not be scanned; the others were.
        ScanBroken: Too many task runs broke, or one did and the gate is over the whole scan;
            nothing was published.
    """
    accepted, place = named_policy(policy, policy_block), named_table(table)
    root = named_root(source, storage, select)
    if more_sources and keys:
        raise ValueError("keys name objects of one source: leave more_sources empty")
    if more_sources:
        for one in more_sources:
            named_root(one, storage, select)  # a misspelt name ends the run before anything else
        return scan_each((source, *more_sources), fail_on_refused=fail_on_refused)
    reading = Reading(
        max_task_runs,
        concurrency,
        root.storage,
        hash,
        root.select.versions,
        table=place.address,
        rescan=rescan,
        table_storage=place.storage,
    )
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
            examine=partial(examine, reading=reading),
            retention=advanced.retention,
            max_agent_runs=advanced.max_agent_runs,
            rerun_failed_agents=advanced.rerun_failed_agents,
            select=root.select,
            if_busy=advanced.if_busy,
            fail_on_refused=fail_on_refused,
            keys=tuple(keys),
        )
    )
