"""Start one agent, a deployment or a command, and say what became of it.

A server that cannot be reached is asked again for a while: what was not begun is begun later, and
the run of a deployment is found again by its idempotency key.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.schemas.objects import State
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.tasks.agent_checks import cannot_reach, lacks_parameters
from prefect_mutagen.tasks.agent_launch import AgentLaunch, AgentRun, CommandRunner, Handoff
from prefect_mutagen.tasks.beginning import BEGINNING, Beginning, Turn
from prefect_mutagen.tasks.ending import RunIsEnding

__all__ = ["has_ended", "run_agent_deployment", "start_command"]

_PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0, 30.0)
"""Seconds between attempts to reach the server, two minutes in all."""
_POLL_SECONDS: Final = 0.5
_LEFT_SECONDS: Final = 60.0
"""Seconds after its final state in which a run may end its processes; Prefect kills after 30."""
_PARSER_RACE: Final = "AST constructor recursion depth mismatch"
"""What ``ast.parse`` says in CPython before 3.11.8 if threads parse at the same time. Pydantic does
so for the docstrings of parameters: nothing has begun then."""
_PARSER_ATTEMPTS: Final = 3

_T = TypeVar("_T")


def has_ended(flow_run: str) -> bool:
    """Whether a flow run has been in a final state for so long that nothing of it is left.

    Args:
        flow_run: Its id; empty is none.

    Returns:
        False where the server does not know it, or cannot be reached.
    """
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(UUID(flow_run)).state
    except (ValueError, ObjectNotFound, httpx.HTTPError):
        return False
    if state is None or not state.is_final() or state.timestamp is None:
        return False
    return bool(datetime.now(UTC) - state.timestamp > timedelta(seconds=_LEFT_SECONDS))


def _persistently(ask: Callable[[], _T], may_repeat: Callable[[], bool]) -> _T:
    """Call a function that asks the server, again for a while as long as it cannot be reached.

    Args:
        ask: The function.
        may_repeat: Whether it may still be called again.
    """
    for pause in _PAUSES:
        try:
            return ask()
        except httpx.HTTPError:
            until = time.monotonic() + pause
            while time.monotonic() < until and may_repeat():
                time.sleep(_POLL_SECONDS)
            if not may_repeat():
                raise
    return ask()


def run_agent_deployment(
    agent: AgentLaunch,
    url: str,
    offered: dict[str, Any],
    key: str,
    may_repeat: Callable[[], bool],
) -> AgentRun:
    """Run a deployment with those of the offered parameters that its flow has.

    Args:
        agent: The agent.
        url: What it is started for.
        offered: The parameters.
        key: Idempotency key of the run.
        may_repeat: Whether the server may be asked again if it cannot be reached.
    """
    made = AgentRun(url=url, agent=agent.title, state="refused")

    def ask() -> Any:
        with get_client(sync_client=True) as client:
            known = client.read_deployment_by_name(agent.deployment)
        made.message = lacks_parameters(agent, known.parameter_openapi_schema)
        if made.message:
            return None
        declared = (known.parameter_openapi_schema or {}).get("properties", {})
        parameters = {name: value for name, value in offered.items() if name in declared}
        return run_deployment(
            agent.deployment,
            parameters={**agent.extra(), **parameters},
            timeout=agent.timeout_seconds if agent.wait else 0,
            idempotency_key=key,
        )

    try:
        run = _persistently(ask, may_repeat)
    except ObjectNotFound:
        made.message = f"there is no deployment {agent.deployment!r}; deploy it"
        return made
    except httpx.HTTPError as problem:
        made.message = cannot_reach(problem)
        return made
    except ValueError as problem:
        made.message = visible(str(problem).strip() or type(problem).__name__, 500)
        return made
    if run is None:
        return made
    made.flow_run_id = str(run.id)
    made.state = "started"
    if agent.wait and run.state is not None and run.state.is_final():
        made.state = "completed" if run.state.is_completed() else "failed"
        made.message = visible(run.state.message or "", 500)
    return made


def start_command(
    result: ScanResult,
    agent: AgentLaunch,
    handoff: Handoff,
    beginning: Beginning,
    run_command: CommandRunner | None,
) -> AgentRun:
    """Run a command for an artifact, and wait for its end.

    Args:
        result: The artifact.
        agent: The agent.
        handoff: What it receives besides.
        beginning: Claims the start, and knows how it ended.
        run_command: How to run a command; None: it is refused.
    """
    made = AgentRun(url=storable(result.url), agent=agent.title, state="refused")
    if run_command is None:
        made.message = "commands cannot be run here"
        return made
    state: State[Any] | None = None
    before = BEGINNING.set(beginning)
    try:
        beginning.turn = Turn(beginning.is_ending)
        state = _persistently(
            lambda: _run_command(result, agent, handoff, run_command),
            lambda: not (beginning.has_begun or beginning.is_ending()),
        )
    except httpx.HTTPError as problem:
        made.message = cannot_reach(problem)
    except RunIsEnding as problem:
        made.message = str(problem)
    finally:
        BEGINNING.reset(before)
        if beginning.turn is not None:
            beginning.turn.end()
    if beginning.has_begun and beginning.outcome is None and state is not None:
        # It has begun and not ended as the flow expects: the program cannot be run, for one.
        done = "completed" if state.is_completed() else "failed"
        beginning.finish("completed" if done == "completed" else "failed", state.message or "")
    return _outcome(made, beginning, state)


def _outcome(made: AgentRun, beginning: Beginning, state: State[Any] | None) -> AgentRun:
    if state is not None:
        made.flow_run_id = str(state.state_details.flow_run_id or "")
    if beginning.outcome is not None:
        made.state, said = beginning.outcome
        made.message = visible(said, 500)
    elif beginning.has_begun:
        made.state = "failed"
        made.message = f"{made.message}; whether the command ended is unknown"
    elif beginning.standing is not None:
        made.state, made.message = beginning.standing.state, beginning.standing.message
    elif beginning.problem:
        made.message = visible(beginning.problem, 500)
    elif state is not None:
        # The artifact does not pass any more, or is not what was scanned: nothing has begun.
        made.state = "failed"
        made.message = visible(state.message or "", 500)
    return made


def _run_command(
    result: ScanResult, agent: AgentLaunch, handoff: Handoff, run_command: CommandRunner
) -> State[Any]:
    for attempt in range(1, _PARSER_ATTEMPTS + 1):
        state = run_command(
            command=agent.command,
            url=storable(result.url),
            pin=result.pin,
            policy=handoff.policy.at(result.url),
            storage=handoff.storage,
            parameters=agent.parameters,
            timeout_seconds=agent.timeout_seconds,
            memory_mb=agent.memory_mb,
            cpu_seconds=agent.cpu_seconds,
            environment=agent.environment,
            stdin=agent.stdin,
            return_state=True,
        )
        if _PARSER_RACE not in (state.message or "") or attempt == _PARSER_ATTEMPTS:
            break
    return state
