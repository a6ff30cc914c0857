"""Start agents for passed artifacts: deployments or commands, one run at a time for each."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_mutagen.scanner.agents.start_record import Claim, Standing, Start, StartRecord
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.pins import WEAKNESS, is_weak
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.storage.secret_parts import holds_secrets, refuse_secrets
from prefect_mutagen.tasks.agent_launch import AgentLaunch, AgentRun, CommandRunner, Handoff
from prefect_mutagen.tasks.agent_starts import has_ended, run_agent_deployment, start_command
from prefect_mutagen.tasks.beginning import Beginning
from prefect_mutagen.tasks.ending import is_ending
from prefect_mutagen.tasks.quiet_ends import ends_quietly
from prefect_mutagen.tasks.quoting import opens_quoted
from prefect_mutagen.tasks.run_names import names_runs, short_name
from prefect_mutagen.tasks.storage_blocks import table_options
from prefect_mutagen.tasks.telling import tells, told

__all__ = ["open_record", "start_agents", "start_scan_agents"]

_MISLEADING: Final = (
    "its address looks like one with a secret, which Prefect would store in clear text: rename it"
)


@names_runs
def _run_name(parameters: dict[str, Any]) -> str:
    return f"start agents for {short_name(parameters['result'].url)}"


@tells
@task(name="start agents", task_run_name=_run_name, cache_policy=NO_CACHE, persist_result=False)
@ends_quietly
@opens_quoted
def start_agents(
    result: ScanResult,
    agents: list[AgentLaunch],
    handoff: Handoff,
    run_command: CommandRunner | None = None,
) -> list[AgentRun]:
    """Start all agents for one artifact that passed, one run at a time for the same bytes.

    Starts are recorded in the table. Without a table, Prefect's idempotency keys apply to
    deployments, and commands are started every time.

    Args:
        result: The artifact; nothing is started for one that did not pass.
        agents: The agents.
        handoff: What they receive besides the artifact.
        run_command: How to run a command; without it, commands are refused.

    Returns:
        The outcome of each start. A failure does not affect the others.
    """
    if not result.passed:
        raise ValueError(f"{storable(result.url)} did not pass; nothing may be started for it")
    refuse_secrets(handoff.table, "the table")
    record = open_record(handoff)
    return _told([_start_agent(result, agent, handoff, record, run_command) for agent in agents])


@tells
@task(name="start agents for the scan", cache_policy=NO_CACHE, persist_result=False)
@ends_quietly
@opens_quoted
def start_scan_agents(
    agents: list[AgentLaunch], handoff: Handoff, passed: int, pins: str
) -> list[AgentRun]:
    """Start agents once for all passed artifacts, and once for the same bytes.

    Args:
        agents: The agents, all deployments.
        handoff: What they receive.
        passed: Number of passed artifacts.
        pins: Digest over their addresses and pins.

    Returns:
        The outcome of each start.
    """
    record = open_record(handoff)
    offered = {
        "table": handoff.table,
        "scan_id": handoff.scan_id,
        "source": handoff.source,
        "passed": passed,
    }
    runs = []
    for agent in agents:
        key = agent.key_of_scan(handoff.source, pins)
        start = _start_of(agent, key, handoff.source, pins, handoff)
        runs.append(_run_once(agent, start, handoff, record, offered))
    return _told(runs)


def _told(runs: list[AgentRun]) -> list[AgentRun]:
    """Return the outcomes, in a state that says what became of each start."""
    failed = any(run.state in ("failed", "refused", "interrupted") for run in runs)
    said = [f"{run.agent}: {run.state}{f': {run.message}' if run.message else ''}" for run in runs]
    return told(runs, "AgentFailed" if failed else "Completed", visible("; ".join(said), 500))


def open_record(handoff: Handoff) -> StartRecord | None:
    """Open the record of starts; None without a table.

    Args:
        handoff: Names the table, and who claims.

    Raises:
        StorageError: The kind of storage is unknown.
    """
    if not handoff.table:
        return None
    options = table_options(handoff.table, handoff.source, handoff.storage, handoff.table_storage)
    who = {"lease": handoff.lease, "flow_run": handoff.flow_run}
    return StartRecord(handoff.table, options, **who, has_ended=has_ended)


def _start_of(agent: AgentLaunch, key: str, url: str, pin: str, handoff: Handoff) -> Start:
    about = {"agent": agent.title, "launch": agent.identity, "url": url, "pin": pin}
    about |= {"scan_id": handoff.scan_id, "source": handoff.source}
    deployed = bool(agent.deployment)
    return Start(key, about, is_idempotent=deployed, at_most_once=agent.at_most_once)


def _start_agent(
    result: ScanResult,
    agent: AgentLaunch,
    handoff: Handoff,
    record: StartRecord | None,
    run_command: CommandRunner | None,
) -> AgentRun:
    """Start one agent for one artifact."""
    url = storable(result.url)
    made = AgentRun(url=url, agent=agent.title, state="refused")
    if is_weak(result.pin):
        made.message = f"it cannot be pinned: {WEAKNESS}"
        return made
    if holds_secrets(result.url):
        made.message = _MISLEADING
        return made
    start = _start_of(agent, agent.key(result), url, result.pin, handoff)
    if agent.deployment:
        offered = {
            "url": url,
            "pin": result.pin,
            "sbom_id": result.sbom_id,
            "scan_id": handoff.scan_id,
            "table": handoff.table,
        }
        return _run_once(agent, start, handoff, record, offered)
    ending = partial(is_ending, handoff.run)
    beginning = Beginning(start, record, handoff.rerun_failed, ending)
    found = _look(record, start, handoff)
    if isinstance(found, AgentRun):
        return found
    run = start_command(result, agent, handoff, beginning, run_command)
    return _completed(run, beginning.claim, beginning.unrecorded)


def _look(record: StartRecord | None, start: Start, handoff: Handoff) -> AgentRun | None:
    """Return what stands against a start already, before a flow run is created for it."""
    made = AgentRun(url=start.about["url"], agent=start.about["agent"], state="waiting")
    if is_ending(handoff.run):
        made.message = "the flow run is ending"
        return made
    if record is None:
        return None
    try:
        found = record.look(start, again=handoff.rerun_failed)
    except StorageError as problem:
        # A start that cannot be recorded must not happen: it could happen again and again.
        made.state, made.message = "refused", visible(str(problem), 500)
        return made
    if isinstance(found, Standing):
        made.state, made.message = found.state, found.message
        return made
    return None


def _run_once(
    agent: AgentLaunch,
    start: Start,
    handoff: Handoff,
    record: StartRecord | None,
    offered: dict[str, Any],
) -> AgentRun:
    """Claim the run of a deployment, create it or find it again, and record its outcome."""
    found = _look(record, start, handoff)
    if isinstance(found, AgentRun):
        return found
    run: Callable[[str], AgentRun] = lambda key: run_agent_deployment(  # noqa: E731 - one call
        agent, start.about["url"], offered, key, lambda: not is_ending(handoff.run)
    )
    if record is None:
        return run(start.key)
    made = AgentRun(url=start.about["url"], agent=agent.title, state="refused")
    try:
        claim = record.claim(start, again=handoff.rerun_failed)
    except StorageError as problem:
        made.message = visible(str(problem), 500)
        return made
    if isinstance(claim, Standing):
        made.state, made.message = claim.state, claim.message
        return made
    made, unrecorded = run(claim.name), ""
    try:
        if made.state == "refused":
            record.give_back(claim)
        elif made.state in ("started", "completed", "failed"):
            record.finish(claim, made.state, made.message)
    except StorageError as problem:
        unrecorded = problem.reason
    return _completed(made, claim if made.state != "refused" else None, unrecorded)


def _completed(run: AgentRun, claim: Claim | None, unrecorded: str) -> AgentRun:
    """Add to an outcome which attempt it was, why, and what could not be recorded."""
    said = [run.message] if run.message else []
    if claim is not None:
        run.attempt = claim.attempt
        if claim.repeats:
            said.append(f"attempt {claim.attempt}; {claim.repeats}")
    if unrecorded:
        said.append(f"not recorded: {unrecorded}")
    run.message = visible("; ".join(said), 500)
    return run
