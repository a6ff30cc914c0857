"""What starts for what passed, what it is told, and what became of it."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from prefect.client.schemas.objects import State
from pydantic import BaseModel, ConfigDict, Field, model_validator

from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ScanResult

__all__ = ["AgentLaunch", "AgentRun", "CommandRunner", "Handoff"]

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
    scope: Literal["artifact", "scan"] = "artifact"
    """Whether it is started for each artifact (a set is one), or once for all that passed. Once: a
    deployment, which is given those of table, scan_id, source and passed (how many) that its flow
    has as parameters."""
    wait: bool = False
    """Whether the scan waits for a deployment's run, at most for the time limit; a command's end is
    waited for in any case."""
    timeout_seconds: int = Field(default=3600, ge=1)
    """Time limit of a command, and of waiting."""
    memory_mb: int = Field(default=0, ge=0)
    """Address space in MiB that each process of a command may have; 0: any."""
    cpu_seconds: int = Field(default=0, ge=0)
    """CPU time that each process of a command may have; 0: any."""
    environment: list[str] = []
    """Names of variables of the worker that a command gets beyond PATH, HOME and the locale's."""
    stdin: Literal["handoff", "empty"] = "handoff"
    """What a command's standard input is: what it is handed, or nothing."""

    @model_validator(mode="after")
    def _check(self) -> "AgentLaunch":
        if not self.deployment and not self.command:
            raise ValueError("an agent is nothing yet: name a deployment, or give a command")
        if self.deployment and self.command:
            raise ValueError("an agent is a deployment or a command, not both: leave one empty")
        flow, _, name = self.deployment.partition("/")
        if self.deployment and (not flow.strip() or not name.strip() or "/" in name):
            shown = visible(self.deployment, 200)
            raise ValueError(f"{shown!r} names no deployment: write it as flow/name")
        if self.command and not self.command[0].strip():
            raise ValueError("the first word of a command is its program; it is empty")
        if any("\0" in word for word in self.command):
            raise ValueError("a word of a command holds a zero byte; no program can be given that")
        if self.scope == "scan" and not self.deployment:
            raise ValueError("a command is started for each artifact; only a deployment for all")
        try:
            parameters = json.loads(self.parameters or "{}")
        except json.JSONDecodeError as problem:
            place = f"line {problem.lineno}, column {problem.colno}"
            raise ValueError(f"parameters are not JSON: {problem.msg} at {place}") from None
        if not isinstance(parameters, dict):
            raise ValueError('parameters are not a JSON object, such as {"task": "mmlu"}')  # noqa: TRY004
        return self

    @property
    def title(self) -> str:
        """Name the agent for people."""
        words = (word.rpartition("/")[2] for word in self.command)
        return self.deployment or visible(" ".join(words), 60)

    @property
    def offered(self) -> tuple[str, ...]:
        """Name what a deployment is given, if its flow has parameters of these names."""
        if self.scope == "scan":
            return "table", "scan_id", "source", "passed"
        return "url", "pin", "sbom_id", "scan_id", "table"

    @property
    def needed(self) -> tuple[str, ...]:
        """Name the parameters of which a deployment's flow must have one."""
        return ("scan_id", "table") if self.scope == "scan" else ("url",)

    def key(self, result: ScanResult) -> str:
        """Name this start: the same for the same agent, artifact and bytes."""
        parts = [self.deployment, *self.command, self.parameters, result.url, result.pin]
        text = "\0".join(parts).encode("utf-8", "surrogateescape")
        return hashlib.sha256(text).hexdigest()

    def key_of_scan(self, source: str, pins: str) -> str:
        """Name a start for all that passed: the same for the same agent and the same bytes.

        Args:
            source: The root.
            pins: Digest over the addresses and pins of all that passed.
        """
        parts = [self.deployment, self.parameters, source, pins]
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
