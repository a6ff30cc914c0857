"""Start agents for passed artifacts, deployments or commands, at most once each."""

from collections.abc import Callable
from typing import Any, Literal

import httpx
from prefect import get_client, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

from prefect_mutagen.scanner.agents.start_record import StartRecord
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.pins import WEAKNESS, is_weak
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.storage.secret_parts import holds_secrets, refuse_secrets
from prefect_mutagen.tasks.agent_checks import cannot_reach, lacks_parameters
from prefect_mutagen.tasks.agent_launch import AgentLaunch, AgentRun, CommandRunner, Handoff
from prefect_mutagen.tasks.quoting import opens_quoted
from prefect_mutagen.tasks.run_names import names_runs, short_name
from prefect_mutagen.tasks.storage_blocks import table_options

__all__ = ["start_agents", "start_scan_agents"]

_MISLEADING = (
    "its address looks like one with a secret, which Prefect would store in clear text: rename it"
)


@names_runs
def _run_name(parameters: dict[str, Any]) -> str:
    return f"start agents for {short_name(parameters['result'].url)}"


@task(name="start agents", task_run_name=_run_name, cache_policy=NO_CACHE, persist_result=False)
@opens_quoted
def start_agents(
    result: ScanResult,
    agents: list[AgentLaunch],
    handoff: Handoff,
    run_command: CommandRunner | None = None,
) -> list[AgentRun]:
    """Start all agents for one artifact that passed, each at most once for the same bytes.

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
    record = _open_record(handoff)
    runs = []
    for agent in agents:
        about = {"agent": agent.title, "url": storable(result.url), "pin": result.pin}

        def start(key: str, agent: AgentLaunch = agent) -> AgentRun:
            if is_weak(result.pin):
                title, message = agent.title, f"it cannot be pinned: {WEAKNESS}"
                return AgentRun(
                    url=storable(result.url), agent=title, state="refused", message=message
                )
            if holds_secrets(result.url):
                title, message = agent.title, _MISLEADING
                return AgentRun(url=result.url, agent=title, state="refused", message=message)
            if agent.deployment:
                return _start_deployment(result, agent, handoff, key)
            return _start_command(result, agent, handoff, run_command)

        runs.append(_start_once(agent, about, handoff, record, agent.key(result), start))
    return runs


@task(name="start agents for the scan", cache_policy=NO_CACHE, persist_result=False)
@opens_quoted
def start_scan_agents(
    agents: list[AgentLaunch], handoff: Handoff, passed: int, pins: str
) -> list[AgentRun]:
    """Start agents once for all passed artifacts, and at most once for the same bytes.

    Args:
        agents: The agents, all deployments.
        handoff: What they receive.
        passed: Number of passed artifacts.
        pins: Digest over their addresses and pins.

    Returns:
        The outcome of each start.
    """
    record = _open_record(handoff)
    offered = {
        "table": handoff.table,
        "scan_id": handoff.scan_id,
        "source": handoff.source,
        "passed": passed,
    }
    runs = []
    for agent in agents:
        about = {"agent": agent.title, "url": handoff.source, "pin": pins}

        def start(key: str, agent: AgentLaunch = agent) -> AgentRun:
            return _run_deployment(agent, handoff.source, offered, key)

        key = agent.key_of_scan(handoff.source, pins)
        runs.append(_start_once(agent, about, handoff, record, key, start))
    return runs


def _open_record(handoff: Handoff) -> StartRecord | None:
    if not handoff.table:
        return None
    options = table_options(handoff.table, handoff.source, handoff.storage)
    return StartRecord(handoff.table, options)


def _start_once(
    agent: AgentLaunch,
    about: dict[str, str],
    handoff: Handoff,
    record: StartRecord | None,
    key: str,
    start: Callable[[str], AgentRun],
) -> AgentRun:
    """Claim a start in the record, start the agent, record the outcome."""
    if record is None:
        return start(key)

    def not_started(state: Literal["refused", "known"], message: str) -> AgentRun:
        return AgentRun(url=about["url"], agent=agent.title, state=state, message=message)

    try:
        claim = record.claim(key, {**about, "scan_id": handoff.scan_id}, again=handoff.rerun_failed)
    except StorageError as problem:
        # A start that cannot be recorded must not happen: it could happen again and again.
        return not_started("refused", visible(str(problem), 500))
    if claim is None:
        return not_started("known", "already started for these bytes")
    if not claim.fresh and not agent.deployment:
        # A running command cannot be told from one that was killed before it started.
        return not_started("known", "already started; its outcome was not recorded")
    run = start(claim.name)
    try:
        if run.state == "refused":
            record.release(claim)
        elif run.state in ("started", "completed", "failed"):
            record.finish(claim, run.state, run.message)
    except StorageError as problem:
        run.message = visible(f"{run.message} (not recorded: {problem.reason})".strip(), 500)
    return run


def _start_deployment(
    result: ScanResult, agent: AgentLaunch, handoff: Handoff, key: str
) -> AgentRun:
    offered = {
        "url": storable(result.url),
        "pin": result.pin,
        "sbom_id": result.sbom_id,
        "scan_id": handoff.scan_id,
        "table": handoff.table,
    }
    return _run_deployment(agent, storable(result.url), offered, key)


def _run_deployment(agent: AgentLaunch, url: str, offered: dict[str, Any], key: str) -> AgentRun:
    """Run a deployment with those of the offered parameters that its flow has."""
    made = AgentRun(url=url, agent=agent.title, state="refused")
    try:
        with get_client(sync_client=True) as client:
            known = client.read_deployment_by_name(agent.deployment)
        made.message = lacks_parameters(agent, known.parameter_openapi_schema)
        if made.message:
            return made
        declared = (known.parameter_openapi_schema or {}).get("properties", {})
        parameters = {name: value for name, value in offered.items() if name in declared}
        run: Any = run_deployment(
            agent.deployment,
            parameters={**agent.extra(), **parameters},
            timeout=agent.timeout_seconds if agent.wait else 0,
            idempotency_key=key,
        )
    except ObjectNotFound:
        made.message = f"there is no deployment {agent.deployment!r}; deploy it"
        return made
    except httpx.HTTPError as problem:
        made.message = cannot_reach(problem)
        return made
    except ValueError as problem:
        made.message = visible(str(problem).strip() or type(problem).__name__, 500)
        return made
    made.flow_run_id = str(run.id)
    made.state = "started"
    if agent.wait and run.state is not None and run.state.is_final():
        made.state = "completed" if run.state.is_completed() else "failed"
        made.message = visible(run.state.message or "", 500)
    return made


def _start_command(
    result: ScanResult,
    agent: AgentLaunch,
    handoff: Handoff,
    run_command: CommandRunner | None,
) -> AgentRun:
    if run_command is None:
        message = "commands cannot be run here"
        return AgentRun(
            url=storable(result.url), agent=agent.title, state="refused", message=message
        )
    try:
        state = _run_command(result, agent, handoff, run_command)
    except httpx.HTTPError as problem:
        # It may have started, so only a person can decide to start it again.
        message = f"{cannot_reach(problem)}; whether the command started is unknown"
        return AgentRun(
            url=storable(result.url), agent=agent.title, state="failed", message=message
        )
    done: Literal["completed", "failed"] = "completed" if state.is_completed() else "failed"
    identity = state.state_details.flow_run_id
    return AgentRun(
        url=storable(result.url),
        agent=agent.title,
        state=done,
        message=visible(state.message or "", 500),
        flow_run_id=str(identity or ""),
    )


def _refused(result: ScanResult, agent: AgentLaunch, message: str) -> AgentRun:
    url = storable(result.url)
    return AgentRun(url=url, agent=agent.title, state="refused", message=message)


def _run_command(
    result: ScanResult, agent: AgentLaunch, handoff: Handoff, run_command: CommandRunner
) -> State[Any]:
    return run_command(
        command=agent.command,
        url=storable(result.url),
        pin=result.pin,
        policy=handoff.policy,
        storage=handoff.storage,
        parameters=agent.parameters,
        timeout_seconds=agent.timeout_seconds,
        memory_mb=agent.memory_mb,
        cpu_seconds=agent.cpu_seconds,
        environment=agent.environment,
        stdin=agent.stdin,
        return_state=True,
    )
