"""Agents to start for artifacts that passed, what they receive, and the outcome of each start."""

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from prefect.client.schemas.objects import State
from pydantic import BaseModel, ConfigDict, Field, model_validator

from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.policy.fields import field_title
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.secret_parts import without_secrets_in

__all__ = ["AgentLaunch", "AgentRun", "CommandRunner", "Handoff", "shown_command"]

CommandRunner = Callable[..., State[Any]]
"""Runs a command under supervision and returns its final state, such as `run_agent`."""


_SHOWN: Final = 120
"""Longest command that is shown whole, in characters."""


_NAMED_SECRET: Final = re.compile(
    r"((?:[\w-]*[_-])?(?:(?:api|access|secret|private)[_-]?key|token|secret|passw(?:or)?d|credentials?"
    r"|authorization|auth|cookie|signature|sig)\b[\"']?(?:\s*[=:]\s*|\s+)[\"']*(?:(?:Bearer|Basic|Token)\s+)?)"
    r"(?![-\s\"'])[^\s\"'&;|]+",
    re.IGNORECASE,
)
"""A secret by what stands before it: an option, a variable, a header, a parameter."""
_FORMED_SECRET: Final = re.compile(
    r"\b(?:sk-|hf_|gh[pousr]_|github_pat_|glpat-|xox[abprs]-|AKIA|ASIA|eyJ)[\w.-]{8,}"
)
"""A secret by its own form."""


def shown_command(command: Sequence[str]) -> str:
    """Return a command as a shell would be told it, without secrets, and without a long middle.

    What is a secret nobody can know for free words: names before it and well-known forms tell.
    """
    text = shlex.join(without_secrets_in(word) for word in command)
    text = _FORMED_SECRET.sub("…", _NAMED_SECRET.sub(r"\1…", text))
    if len(text) > _SHOWN:
        half = _SHOWN // 2
        text = f"{text[:half]} … {text[-half:]}"
    return visible(text, 4 * _SHOWN)


class AgentLaunch(BaseModel):
    """An agent to start for each artifact that passed: a deployment or a command."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        field_title_generator=field_title,
    )

    deployment: str = ""
    """Deployment to run, as flow/name. It receives those of url, pin, sbom_id, scan_id and table
    that its flow has as parameters."""
    command: list[str] = []
    """Command line to run under run-agent, one argument per entry; no shell is involved."""
    parameters: str = "{}"
    """More parameters for the agent, as a JSON object."""
    scope: Literal["artifact", "scan"] = "artifact"
    """Whether it is started for each artifact (a set is one), or once per scan for all that passed;
    the latter only for deployments, which receive those of table, scan_id, source and passed (the
    number of passed artifacts) that their flow has as parameters."""
    wait: bool = False
    """Whether the scan waits for a deployment's run, up to the time limit; it always waits for a
    command."""
    timeout_seconds: int = Field(default=3600, ge=1)
    """Time limit of a command, and of waiting for a run."""
    memory_mb: int = Field(default=0, ge=0)
    """Limit of address space for each process of a command, in MiB; 0: none."""
    cpu_seconds: int = Field(default=0, ge=0)
    """Limit of CPU time for each process of a command; 0: none."""
    environment: list[str] = []
    """Names of environment variables of the worker to pass on, beyond PATH, HOME and the locale."""
    stdin: Literal["handoff", "empty"] = "handoff"
    """Standard input of a command: the handoff document, or empty."""
    at_most_once: bool = False
    """Never start it a second time where its first start was interrupted and its outcome is
    unknown; the summary lists it. By default the next scan starts it again, once nothing of it is
    left."""

    @model_validator(mode="after")
    def _check(self) -> "AgentLaunch":
        if not self.deployment and not self.command:
            raise ValueError("the agent is empty: name a deployment, or give a command")
        if self.deployment and self.command:
            raise ValueError("an agent is a deployment or a command, not both: leave one empty")
        flow, _, name = self.deployment.partition("/")
        if self.deployment and (not flow.strip() or not name.strip() or "/" in name):
            shown = visible(self.deployment, 200)
            raise ValueError(f"{shown!r} is not the name of a deployment: write it as flow/name")
        if self.command and not self.command[0].strip():
            raise ValueError("the program of a command, its first word, is empty")
        if any("\0" in word for word in self.command):
            raise ValueError("an argument of a command contains a zero byte; remove it")
        if self.scope == "scan" and not self.deployment:
            raise ValueError("a command can only be started for each artifact, not once per scan")
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
        """A short name for display."""
        return self.deployment or shown_command(self.command)

    @property
    def offered(self) -> tuple[str, ...]:
        """The parameters that a deployment receives, if its flow has them."""
        if self.scope == "scan":
            return "table", "scan_id", "source", "passed"
        return "url", "pin", "sbom_id", "scan_id", "table"

    @property
    def needed(self) -> tuple[str, ...]:
        """The parameters of which a deployment's flow must have at least one."""
        return ("scan_id", "table") if self.scope == "scan" else ("url",)

    @property
    def identity(self) -> str:
        """What tells it from other agents: its deployment or command, and its parameters."""
        return _digest("agent", self.scope, self.deployment, *self.command, self.parameters)[:16]

    def key(self, result: ScanResult) -> str:
        """Return the idempotency key of a start: equal for the same agent, artifact and bytes."""
        return self.key_of(result.url, result.pin)

    def key_of(self, url: str, pin: str) -> str:
        """Return the idempotency key of a start for an artifact.

        Args:
            url: Its address.
            pin: Its pin.
        """
        return _digest(self.deployment, *self.command, self.parameters, url, pin)

    def key_of_scan(self, source: str, pins: str) -> str:
        """Return the idempotency key of a start once per scan.

        Args:
            source: The root.
            pins: Digest over the addresses and pins of all passed artifacts.
        """
        return _digest(self.deployment, self.parameters, source, pins)

    def extra(self) -> dict[str, Any]:
        """Return the parsed `parameters`."""
        values: dict[str, Any] = json.loads(self.parameters or "{}")
        return values


def _digest(*parts: str) -> str:
    text = "\0".join(parts).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()


@dataclass(frozen=True, slots=True)
class Handoff:
    """What agents receive besides the artifact."""

    scan_id: str
    policy: Policy
    """The policy that the artifact passed; before a command it is verified again."""
    table: str = ""
    storage: str = ""
    """Name of the block with the root's credentials; empty: those of the environment."""
    table_storage: str = ""
    """Name of the block with the table's credentials; empty: it has none of its own."""
    source: str = ""
    """The scanned root."""
    rerun_failed: bool = False
    """Whether to start an agent again that failed for the same bytes."""
    lease: str = ""
    """The lease under which starts are claimed; see `scanner.table.leases`."""
    flow_run: str = ""
    """Id of the flow run that starts them."""
    run: str = ""
    """Key of its current try; see `tasks.ending`."""


class AgentRun(BaseModel):
    """The outcome of one start."""

    url: str
    agent: str
    state: Literal["started", "completed", "failed", "refused", "known", "waiting", "interrupted"]
    """``started``: it is running; ``refused``: it was not started; ``known``: it was already
    started for these bytes; ``waiting``: the next scan starts it; ``interrupted``: it was started
    earlier, its outcome is unknown, and it is not started again without a person."""
    message: str = ""
    flow_run_id: str = ""
    attempt: int = 0
    """Which attempt this scan made, from 1; 0 where it made none, or keeps no record."""
