"""Run a command for one artifact: verified immediately before, supervised until it ends."""

import json
import logging
import os
from collections import deque
from typing import Annotated, Any, Final, Literal, cast

import httpx
from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import Field

from prefect_mutagen.flows.clear_parameters import keeps_secrets_out
from prefect_mutagen.flows.named_blocks import named_policy
from prefect_mutagen.flows.run_log import flow_logger
from prefect_mutagen.scanner.agents.handoff import encode, handoff_of, variables_of
from prefect_mutagen.scanner.agents.supervise import (
    Guarantee,
    Limits,
    Outcome,
    named_variables,
    run_supervised,
)
from prefect_mutagen.scanner.agents.survivors import START_VARIABLE
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.storage.secret_parts import refuse_secrets
from prefect_mutagen.scanner.verify import ArtifactRejected, verify
from prefect_mutagen.tasks.agent_checks import cannot_reach
from prefect_mutagen.tasks.agent_launch import shown_command
from prefect_mutagen.tasks.agent_result import LAST_LINES, show_agent
from prefect_mutagen.tasks.assets import refer_to
from prefect_mutagen.tasks.beginning import BEGINNING, Beginning
from prefect_mutagen.tasks.clear_address import BlockName, ClearAddress
from prefect_mutagen.tasks.run_names import short_name
from prefect_mutagen.tasks.storage_blocks import storage_options

__all__ = ["AgentFailed", "run_agent"]


ANY_PIN: Final = "any"
"""The pin that accepts whatever is there now; forms have no field without a value."""


class AgentFailed(Exception):  # noqa: N818 - it names what happened, as it is read in the UI
    """The command timed out or ended with a status other than 0."""


def _run_name() -> str:
    command, url = flow_run.parameters.get("command") or [""], flow_run.parameters.get("url", "")
    program = visible(os.path.basename(str(command[0])), 40)
    return f"{program or 'agent'} for {short_name(str(url))}"


def _log(level: int, text: str) -> None:
    """Log a line; a killed worker that no longer reads the console must not end the run."""
    try:
        flow_logger().log(level, "%s", text)
    except SystemExit:
        return  # rich raises it once, when its console is a broken pipe


def _tell_guarantee(guarantee: Guarantee) -> None:
    if guarantee != "kernel":
        _log(logging.INFO, f"no PID namespace available; processes are ended by {guarantee}")


@keeps_secrets_out
@flow(name="run-agent", flow_run_name=_run_name, persist_result=False)
def run_agent(  # noqa: PLR0913, PLR0917 - the fields of the form
    command: list[str],
    url: ClearAddress,
    pin: str = ANY_PIN,
    policy: Policy = Policy(),
    storage: BlockName = "",
    parameters: str = "{}",
    timeout_seconds: Annotated[int, Field(ge=1)] = 3600,
    memory_mb: Annotated[int, Field(ge=0)] = 0,
    cpu_seconds: Annotated[int, Field(ge=0)] = 0,
    environment: list[str] = [],  # noqa: B006 - the form needs the default; nobody changes it
    stdin: Literal["handoff", "empty"] = "handoff",
    policy_block: BlockName = "",
) -> dict[str, Any]:
    """Verify an artifact and run a command for it.

    The command receives url, pin, SBOM, findings, verdict and parameters as JSON: in the file named
    by the variable MUTAGEN_HANDOFF and on standard input. If the pin differs or the artifact does
    not pass, nothing is started. When the run ends, all processes that it started are ended.

    Args:
        command: Program and arguments, one word per entry; no shell is involved.
        url: Address of the artifact.
        pin: The pin from the scan; "any" accepts whatever is there now. An empty one is refused: a
            variable that was not set must not accept any bytes.
        policy: The policy the artifact must pass.
        storage: Name of a block with the credentials; empty uses the environment's.
        parameters: Additional values for the command, as a JSON object.
        timeout_seconds: Time limit for the command.
        memory_mb: Address space limit of each of its processes, in MiB; 0 is no limit.
        cpu_seconds: CPU time limit of each of its processes; 0 is no limit.
        environment: Names of the worker's variables to pass on, beyond PATH, HOME and the locale.
        stdin: What the command reads from standard input: the handoff, or nothing.
        policy_block: Name of a Model Policy block; empty: the policy stated here.

    Returns:
        The exit status, whether the log is truncated, and which mechanism ended the processes:
        kernel, sweep or group. The message of the run's state says how it ended.

    Raises:
        ValueError: The command or the pin is empty, the parameters are not a JSON object, or the
            address contains secrets.
        ArtifactRejected: The artifact does not pass, or its pin differs. The state is named
            Refused.
        AgentFailed: The command timed out or failed. The state says so in one sentence.
        NotBegun: A scan wanted it started, and an earlier start stands against it.
    """
    own_parameters = json.loads(parameters or "{}")
    if not isinstance(own_parameters, dict) or not command:
        raise ValueError(
            "command is empty" if not command else "parameters must be a JSON object, as text"
        )
    if not pin.strip():
        raise ValueError(
            "the pin is empty; pass the pin of the scan, or 'any' to accept any bytes that pass"
        )
    refuse_secrets(url)
    accepted = named_policy(policy, policy_block)
    variables = named_variables(environment)
    last: deque[str] = deque(maxlen=LAST_LINES)

    def on_line(line: str) -> None:
        text = visible(line, 4096)
        last.append(text)
        _log(logging.INFO, text)

    def on_guarantee(guarantee: Guarantee) -> None:
        beginning.note_guarantee(guarantee)
        _tell_guarantee(guarantee)

    try:
        result = verify(url, None if pin == ANY_PIN else pin, accepted, storage_options(storage))
    except ArtifactRejected as rejection:
        message = visible(str(rejection), 1000)
        return _ended(Failed(name="Refused", message=message, data=rejection))
    beginning = BEGINNING.get() or Beginning.unclaimed()
    beginning.begin()
    attempt = max(beginning.attempt, flow_run.run_count or 1)
    named = {START_VARIABLE: beginning.name} if beginning.name else {}
    refer_to(result.url)
    _log(logging.INFO, f"verified; starting {shown_command(command)}")
    outcome = run_supervised(
        command,
        encode(handoff_of(result, own_parameters, attempt)),
        Limits(timeout_seconds, memory_mb << 20, cpu_seconds),
        on_line=on_line,
        environment=variables | variables_of(result) | named,
        stdin=stdin == "handoff",
        on_guarantee=on_guarantee,
        may_start=lambda: not beginning.is_ending(),
    )
    problem = _problem(outcome, timeout_seconds)
    beginning.finish("failed" if problem else "completed", problem)
    if outcome.truncated:
        _log(logging.WARNING, "output of the command beyond one megabyte is not logged")
    try:
        if not beginning.is_ending():
            show_agent(result, shown_command(command), outcome, last)
    except httpx.HTTPError as trouble:
        _log(logging.WARNING, f"the page on the command is not shown: {cannot_reach(trouble)}")
    if problem:
        return _ended(Failed(message=problem, data=AgentFailed(problem)))
    done = {
        "status": outcome.status,
        "truncated": outcome.truncated,
        "guarantee": outcome.guarantee,
    }
    return _ended(Completed(message="the command ended with status 0", data=done))


def _ended(state: State[Any]) -> dict[str, Any]:
    """Return a state from the flow: callers get its value, or the exception in it.

    Unlike an exception that is raised, it leaves no traceback in the log.
    """
    return cast("dict[str, Any]", state)


def _problem(outcome: Outcome, timeout_seconds: int) -> str:
    """Return what is wrong with how a command ended; empty if nothing is."""
    if outcome.timed_out:
        return f"the command did not end within {timeout_seconds} seconds"
    return f"the command ended with status {outcome.status}" if outcome.status else ""
