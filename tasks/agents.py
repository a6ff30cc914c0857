"""Start agents for what passed: a deployment by name, or a command."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from prefect import get_client, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from pydantic import BaseModel, ConfigDict, Field, model_validator

from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.policy import Policy
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.start_record import StartRecord
from prefect_mutagen.scanner.storage import StorageError
from prefect_mutagen.tasks.run_names import parameter, short_name
from prefect_mutagen.tasks.storage_blocks import table_options

__all__ = ["AgentLaunch", "AgentRun", "CommandRunner", "Handoff", "start_agents"]

CommandRunner = Callable[..., State[Any]]
"""Runs a command under supervision and gives its final state; `run_agent` is one."""


class AgentLaunch(BaseModel):
    """An agent to start for each artifact that passed: a deployment or a command."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    deployment: str = ""
    """Deployment to run, as flow/name. It is given those of url, pin, sbom_id, scan_id and table
    that its flow has as parameters."""
    command: list[str] = []
    """Command line to run under run-agent, one word per entry; no shell reads it."""
    parameters: str = "{}"
    """More parameters for the agent, as a JSON object."""
    timeout_seconds: int = Field(default=3600, ge=1)
    """Time limit of a command."""

    @model_validator(mode="after")
    def _check(self) -> "AgentLaunch":
        if bool(self.deployment) == bool(self.command):
            raise ValueError("an agent is either a deployment or a command")
        if not isinstance(json.loads(self.parameters or "{}"), dict):
            raise ValueError("parameters are not a JSON object")  # noqa: TRY004
        return self

    @property
    def title(self) -> str:
        """Name the agent for people."""
        words = (word.rpartition("/")[2] for word in self.command)
        return self.deployment or visible(" ".join(words), 60)

    def key(self, result: ScanResult) -> str:
        """Name this start: the same for the same agent, artifact and bytes."""
        parts = [self.deployment, *self.command, self.parameters, result.url, result.pin]
        text = "\0".join(parts).encode("utf-8", "surrogateescape")
        return hashlib.sha256(text).hexdigest()

    def extra(self) -> dict[str, Any]:
        """Give `parameters` as values."""
        values: dict[str, Any] = json.loads(self.parameters or "{}")
        return values


@dataclass(frozen=True, slots=True)
class Handoff:
    """What agents are told beyond the artifact."""

    scan_id: str
    policy: Policy
    """Under which the artifact passed; a command's is verified under it once more."""
    table: str = ""
    storage: str = ""
    source: str = ""
    """The root that was scanned."""
    rerun_failed: bool = False
    """Whether an agent that failed for these very bytes is started once more."""


class AgentRun(BaseModel):
    """What became of one start."""

    url: str
    agent: str
    state: Literal["started", "completed", "failed", "refused", "known", "waiting"]
    """``started``: it runs on its own; ``refused``: it was not started; ``known``: it was started
    before for these very bytes; ``waiting``: the next scan starts it."""
    message: str = ""
    flow_run_id: str = ""


def _run_name() -> str:
    return f"start agents for {short_name(parameter('result').url)}"


@task(name="start agents", task_run_name=_run_name, cache_policy=NO_CACHE, persist_result=False)
def start_agents(
    result: ScanResult,
    agents: list[AgentLaunch],
    handoff: Handoff,
    run_command: CommandRunner | None = None,
) -> list[AgentRun]:
    """Start all agents for one artifact that passed, each at most once for these very bytes.

    The table's record says what was started; without a table, Prefect's idempotency keys hold for
    deployments, and commands are started each time.

    Args:
        result: The artifact; nothing is started for one that did not pass.
        agents: What to start.
        handoff: What they are told beyond the artifact.
        run_command: How to run a command; without it, commands are refused.

    Returns:
        What became of each. A fault of one costs only itself.
    """
    if not result.passed:
        raise ValueError(f"{result.url} did not pass; nothing may be started for it")
    record = None
    if handoff.table:
        options = table_options(handoff.table, handoff.source, handoff.storage)
        record = StartRecord(handoff.table, options)
    return [_start_once(result, agent, handoff, run_command, record) for agent in agents]


def _start_once(
    result: ScanResult,
    agent: AgentLaunch,
    handoff: Handoff,
    run_command: CommandRunner | None,
    record: StartRecord | None,
) -> AgentRun:
    """Claim a start, do it, record its end."""
    key = agent.key(result)
    if record is None:
        return _start(result, agent, handoff, run_command, key)
    about = {
        "agent": agent.title,
        "url": result.url,
        "pin": result.pin,
        "scan_id": handoff.scan_id,
    }
    try:
        claim = record.claim(key, about, again=handoff.rerun_failed)
    except StorageError as problem:
        # What is not on record must not start: it could start again and again.
        return _made(result, agent, "refused", str(problem))
    if claim is None:
        return _made(result, agent, "known", "started before for these very bytes")
    if not claim.fresh and not agent.deployment:
        # Nobody can tell a command that runs from one that was killed before it ran.
        return _made(result, agent, "known", "started before; how that ended is not on record")
    run = _start(result, agent, handoff, run_command, claim.name)
    try:
        if run.state == "refused":
            record.release(claim)
        elif run.state in ("started", "completed", "failed"):
            record.finish(claim, run.state, run.message)
    except StorageError as problem:
        run.message = visible(f"{run.message} (not on record: {problem.reason})".strip(), 500)
    return run


def _start(
    result: ScanResult,
    agent: AgentLaunch,
    handoff: Handoff,
    run_command: CommandRunner | None,
    key: str,
) -> AgentRun:
    if agent.deployment:
        return _start_deployment(result, agent, handoff, key)
    return _start_command(result, agent, handoff, run_command)


def _start_deployment(
    result: ScanResult, agent: AgentLaunch, handoff: Handoff, key: str
) -> AgentRun:
    url = result.url
    offered = {
        "url": url,
        "pin": result.pin,
        "sbom_id": result.sbom_id,
        "scan_id": handoff.scan_id,
        "table": handoff.table,
    }
    try:
        with get_client(sync_client=True) as client:
            known = client.read_deployment_by_name(agent.deployment)
        declared = (known.parameter_openapi_schema or {}).get("properties", {})
        if "url" not in declared:
            message = "the deployment's flow has no parameter url to hand the model to"
            return _refused(result, agent, message)
        parameters = {name: value for name, value in offered.items() if name in declared}
        run: Any = run_deployment(
            agent.deployment,
            parameters={**agent.extra(), **parameters},
            timeout=0,
            idempotency_key=key,
        )
    except (ObjectNotFound, ValueError) as problem:
        return _refused(result, agent, visible(str(problem).strip() or "no such deployment", 500))
    except PrefectHTTPStatusError as problem:
        return _refused(result, agent, f"Prefect answered {problem.response.status_code}")
    return AgentRun(url=url, agent=agent.title, state="started", flow_run_id=str(run.id))


def _start_command(
    result: ScanResult,
    agent: AgentLaunch,
    handoff: Handoff,
    run_command: CommandRunner | None,
) -> AgentRun:
    if run_command is None:
        return _refused(result, agent, "there is nothing here to run commands with")
    state = run_command(
        command=agent.command,
        url=result.url,
        pin=result.pin,
        policy=handoff.policy,
        storage=handoff.storage,
        parameters=agent.parameters,
        timeout_seconds=agent.timeout_seconds,
        return_state=True,
    )
    done: Literal["completed", "failed"] = "completed" if state.is_completed() else "failed"
    identity = state.state_details.flow_run_id
    return AgentRun(
        url=result.url,
        agent=agent.title,
        state=done,
        message=visible(state.message or "", 500),
        flow_run_id=str(identity or ""),
    )


def _refused(result: ScanResult, agent: AgentLaunch, message: str) -> AgentRun:
    return _made(result, agent, "refused", message)


def _made(
    result: ScanResult, agent: AgentLaunch, state: Literal["refused", "known"], message: str
) -> AgentRun:
    return AgentRun(url=result.url, agent=agent.title, state=state, message=visible(message, 500))
