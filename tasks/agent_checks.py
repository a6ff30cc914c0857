"""Find agents that could never start, before anything is examined for them.

A misspelt deployment wastes a scan of hours if it is noticed at the end. So this checks beforehand
whether each deployment exists and accepts its parameters, and whether each command's program
exists. Later changes are noticed when the agent starts (`start_agents`).
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, Final

import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterId
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.utilities.schema_tools.validation import (
    CircularSchemaRefError,
    ValidationError,
    validate,
)

from prefect_mutagen.scanner.agents.supervise import find_program
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.tasks.agent_launch import AgentLaunch

__all__ = ["cannot_reach", "check_agents", "lacks_parameters"]

_PAGE: Final = 200
_MOST_LISTED: Final = 1000
_SIMILARITY: Final = 0.75
"""Similarity, by difflib's measure, from which one name is suggested for another."""
_TEMPLATE_MARK: Final = "__prefect_kind"
"""Key of parameters that the server renders when it creates a run."""


def check_agents(agents: Sequence[AgentLaunch]) -> list[str]:
    """Check whether agents can start; commands run in the process that checks them.

    Args:
        agents: The agents of a scan.

    Returns:
        Remarks on agents that can start, a sentence each.

    Raises:
        ValueError: Some cannot start; the message names them, the reasons and the remedies.
    """
    faults: dict[str, None] = {}
    remarks: list[str] = []
    faults |= dict.fromkeys(fault for agent in agents for fault in _command_faults(agent))
    names = dict.fromkeys(agent.deployment for agent in agents if agent.deployment)
    if names:
        with get_client(sync_client=True) as client:
            for name in names:
                try:
                    known = client.read_deployment_by_name(name)
                except ObjectNotFound:
                    faults[_no_deployment(client, name)] = None
                    continue
                except httpx.HTTPError as problem:
                    faults[
                        f"the deployment {name!r} cannot be looked up: {cannot_reach(problem)}"
                    ] = None
                    continue
                same = [agent for agent in agents if agent.deployment == name]
                faults |= dict.fromkeys(fault for agent in same for fault in _faults(agent, known))
                if known.status is not None and known.status.value == "NOT_READY":
                    remarks.append(
                        f"the deployment {name!r} is not ready; its runs wait until a worker of "
                        "its work pool is online"
                    )
    if faults:
        raise ValueError(f"agents could not start, so nothing was examined: {'; '.join(faults)}")
    return remarks


def cannot_reach(problem: httpx.HTTPError) -> str:
    """Return the message for a failed request to Prefect's server."""
    if not isinstance(problem, httpx.HTTPStatusError):
        return f"Prefect's server cannot be reached ({type(problem).__name__})"
    said = ""
    try:
        detail = problem.response.json().get("detail", "")
        said = f": {detail}" if detail else ""
    except (ValueError, AttributeError):
        pass  # not a response of Prefect's API, such as a proxy's error page
    return visible(f"Prefect's server answered {problem.response.status_code}{said}", 400)


def lacks_parameters(agent: AgentLaunch, schema: Mapping[str, Any] | None) -> str:
    """Return which parameter a deployment's flow lacks to receive the artifact; empty if none."""
    if any(name in _properties(schema) for name in agent.needed):
        return ""
    wanted = " or ".join(agent.needed)
    return f"the flow of the deployment {agent.deployment!r} has no parameter {wanted}; add one"


def _properties(schema: Mapping[str, Any] | None) -> Mapping[str, Any]:
    properties = (schema or {}).get("properties")
    return properties if isinstance(properties, Mapping) else {}


def _command_faults(agent: AgentLaunch) -> Iterator[str]:
    if not agent.command:
        return
    program = visible(agent.command[0], 200)
    if find_program(agent.command[0]) is None:
        yield f"there is no program {program!r} here; install it, or correct the command"
    for name in agent.environment:
        if name not in os.environ:
            what = f"the variable {visible(name, 200)!r} of the agent {program!r} is not set here"
            yield f"{what}; set it, or leave it out"


def _no_deployment(client: SyncPrefectClient, name: str) -> str:
    """Return the message for an unknown deployment, with those that may be meant."""
    near: list[str] = []
    with suppress(httpx.HTTPError):  # the suggestion is optional
        near = get_close_matches(name, _deployments(client), cutoff=_SIMILARITY)
    meant = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
    return f"there is no deployment {name!r}{meant}; deploy it, or correct the name"


def _deployments(client: SyncPrefectClient) -> list[str]:
    """Return the names of the server's first thousand deployments, as flow/name."""
    found: list[DeploymentResponse] = []
    for offset in range(0, _MOST_LISTED, _PAGE):
        page = client.read_deployments(limit=_PAGE, offset=offset)
        found += page
        if len(page) < _PAGE:
            break
    identities = list({deployment.flow_id for deployment in found})
    flows: dict[Any, str] = {}
    for start in range(0, len(identities), _PAGE):
        some = FlowFilter(id=FlowFilterId(any_=identities[start : start + _PAGE]))
        flows |= {flow.id: flow.name for flow in client.read_flows(flow_filter=some, limit=_PAGE)}
    return [f"{flows.get(each.flow_id, '')}/{each.name}" for each in found]


def _faults(agent: AgentLaunch, known: DeploymentResponse) -> Iterator[str]:
    """Yield the problems of an agent's parameters for a deployment."""
    schema = known.parameter_openapi_schema
    lacking = lacks_parameters(agent, schema)
    if lacking:
        yield lacking
        return
    properties, extra = _properties(schema), agent.extra()
    about = f"the deployment {agent.deployment!r}"
    for name in extra:
        if name not in properties:
            near = get_close_matches(name, properties, n=1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            what = f"the flow of {about} has no parameter {visible(name, 200)!r}{meant}"
            yield f"{what}; correct the agent's parameters"
    if not known.enforce_parameter_schema or _TEMPLATE_MARK in agent.parameters:
        return
    given = {**known.parameters, **extra}
    rest = {
        **(schema or {}),
        "properties": {key: each for key, each in properties.items() if key not in agent.offered},
        "required": [key for key in (schema or {}).get("required", []) if key not in agent.offered],
    }
    try:
        values = {key: value for key, value in given.items() if key in rest["properties"]}
        validate(values, rest, raise_on_error=True)
    except ValidationError as problem:
        yield visible(f"{about} would refuse the agent's parameters: {problem}", 400)
    except CircularSchemaRefError:
        pass  # the server reports it when the agent starts
