"""Run a command for one artifact: verified immediately before, supervised until its end."""

import json
from dataclasses import asdict
from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.runtime import flow_run
from pydantic import Field

from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.policy import Policy
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.supervise import TIME_LIMIT_STATUS, run_supervised
from prefect_mutagen.scanner.verify import verify
from prefect_mutagen.tasks.storage_blocks import storage_options

__all__ = ["handed_over", "run_agent"]


class AgentFailed(Exception):  # noqa: N818 - it names what happened, as it is read in the UI
    """The command ended with another status than 0."""


def _run_name() -> str:
    name = str(flow_run.parameters.get("url", "")).rstrip("/").rpartition("/")[2]
    return f"agent for {visible(name, 80)}"


@flow(name="run-agent", flow_run_name=_run_name, persist_result=False)
def run_agent(
    command: list[str],
    url: str,
    pin: str = "",
    policy: Policy = Policy(),
    storage: str = "",
    parameters: str = "{}",
    timeout_seconds: Annotated[int, Field(ge=1)] = 3600,
) -> dict[str, Any]:
    """Verify an artifact and run a command for it.

    The command gets, as JSON on its standard input: url, pin, sbom, findings, verdict and
    parameters. A pin that differs, or an artifact that does not pass, starts nothing.

    Args:
        command: Program and arguments, one word per entry; no shell reads them.
        url: The artifact.
        pin: What the scan pinned; empty: whatever lies there now.
        policy: What is accepted.
        storage: Name of a block with the credentials; empty: the environment's.
        parameters: More for the command, as a JSON object.
        timeout_seconds: Time the command may take.

    Returns:
        Its exit status, and whether all it wrote is in the log.
    """
    logger = get_run_logger()
    result = verify(url, pin or None, policy, storage_options(storage))
    given = json.dumps(handed_over(result, json.loads(parameters or "{}"))).encode()
    logger.info("verified; starting %s", visible(command[0], 200))
    outcome = run_supervised(
        command,
        given,
        timeout=timeout_seconds,
        on_line=lambda line: logger.info("%s", visible(line, 4096)),
        environment={"MUTAGEN_URL": result.url, "MUTAGEN_PIN": result.pin},
    )
    if outcome.truncated:
        logger.warning("the command wrote more than a megabyte; the rest is not shown")
    if outcome.status == TIME_LIMIT_STATUS:
        raise AgentFailed(f"the command did not end within {timeout_seconds} seconds")
    if outcome.status:
        raise AgentFailed(f"the command ended with status {outcome.status}")
    return {"status": outcome.status, "truncated": outcome.truncated}


def handed_over(result: ScanResult, parameters: dict[str, Any]) -> dict[str, Any]:
    """Give what an agent is told about its artifact, as values that JSON has."""
    return {
        "version": 1,
        "url": result.url,
        "pin": result.pin,
        "sbom": result.sbom.to_dict(),
        "findings": [asdict(finding) for finding in result.findings],
        "verdict": {
            "status": result.verdict.status,
            "reasons": [asdict(reason) for reason in result.verdict.reasons],
        },
        "parameters": parameters,
    }
