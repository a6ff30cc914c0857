"""Run a command for one artifact: verified immediately before, supervised until its end."""

import json
import logging
from collections import deque
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from prefect_mutagen.flows.run_log import flow_logger
from prefect_mutagen.scanner.agents.handoff import encode, handoff_of, variables_of
from prefect_mutagen.scanner.agents.supervise import Limits, named_variables, run_supervised
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.verify import verify
from prefect_mutagen.tasks.agent_result import LAST_LINES, show_agent
from prefect_mutagen.tasks.storage_blocks import storage_options

__all__ = ["AgentFailed", "run_agent"]


class AgentFailed(Exception):  # noqa: N818 - it names what happened, as it is read in the UI
    """The command ended with another status than 0."""


def _run_name() -> str:
    name = str(flow_run.parameters.get("url", "")).rstrip("/").rpartition("/")[2]
    return f"agent for {visible(name, 80)}"


def _log(level: int, text: str) -> None:
    """Log a line; a worker that was killed and reads the console no more does not end the run."""
    try:
        flow_logger().log(level, "%s", text)
    except SystemExit:
        return  # rich raises it when its console is a broken pipe; after that it is silent


@flow(name="run-agent", flow_run_name=_run_name, persist_result=False)
def run_agent(  # noqa: PLR0913, PLR0917 - the fields of the form
    command: list[str],
    url: str,
    pin: str = "",
    policy: Policy = Policy(),
    storage: str = "",
    parameters: str = "{}",
    timeout_seconds: Annotated[int, Field(ge=1)] = 3600,
    memory_mb: Annotated[int, Field(ge=0)] = 0,
    cpu_seconds: Annotated[int, Field(ge=0)] = 0,
    environment: list[str] = [],  # noqa: B006 - the form needs the default; nobody changes it
    stdin: Literal["handoff", "empty"] = "handoff",
) -> dict[str, Any]:
    """Verify an artifact and run a command for it.

    The command is handed url, pin, SBOM, findings, verdict and parameters as JSON: in the file that
    the variable MUTAGEN_HANDOFF names, and on its standard input. A pin that differs, or an
    artifact that does not pass, starts nothing. When the run ends, so does all that it started.

    Args:
        command: Program and arguments, one word per entry; no shell reads them.
        url: The artifact.
        pin: What the scan pinned; empty: whatever lies there now.
        policy: What is accepted.
        storage: Name of a block with the credentials; empty: the environment's.
        parameters: More for the command, as a JSON object.
        timeout_seconds: Time the command may take.
        memory_mb: Address space in MiB that each of its processes may have; 0: any.
        cpu_seconds: CPU time that each of its processes may have; 0: any.
        environment: Names of variables of the worker that the command gets beyond PATH, HOME and
            the locale's.
        stdin: What its standard input is: what it is handed, or nothing.

    Returns:
        Its exit status, whether all it wrote is in the log, and who saw to it that nothing of it
        is left: kernel, sweep or group.
    """
    more = json.loads(parameters or "{}")
    if not isinstance(more, dict) or not command:
        raise ValueError("command is empty" if not command else "parameters are no JSON object")
    variables = named_variables(environment)
    last: deque[str] = deque(maxlen=LAST_LINES)

    def keep(line: str) -> None:
        text = visible(line, 4096)
        last.append(text)
        _log(logging.INFO, text)

    result = verify(url, pin or None, policy, storage_options(storage))
    _log(logging.INFO, f"verified; starting {visible(command[0])}")
    outcome = run_supervised(
        command,
        encode(handoff_of(result, more)),
        Limits(timeout_seconds, memory_mb << 20, cpu_seconds),
        on_line=keep,
        environment=variables | variables_of(result),
        stdin=stdin == "handoff",
    )
    if outcome.truncated:
        _log(logging.WARNING, "the command wrote more than a megabyte; the rest is not shown")
    if outcome.guarantee != "kernel":
        _log(logging.INFO, f"no namespaces here; its processes were ended by {outcome.guarantee}")
    show_agent(result, command[0], outcome, last)
    if outcome.timed_out:
        raise AgentFailed(f"the command did not end within {timeout_seconds} seconds")
    if outcome.status:
        raise AgentFailed(f"the command ended with status {outcome.status}")
    return {
        "status": outcome.status,
        "truncated": outcome.truncated,
        "guarantee": outcome.guarantee,
    }
