from pathlib import Path
from typing import Any

import pytest
from prefect.states import Completed, Failed
from pydantic import TypeAdapter, ValidationError

from prefect_mutagen.scanner import Policy, ScanResult, scan
from prefect_mutagen.tasks import AgentLaunch, start_agents
from prefect_mutagen.tasks.agents import Handoff
from tests.builders import gguf
from tests.scanner.storing import put_local

HANDOFF = Handoff("scan-1", Policy(max_size_bytes=10**9), "/table", "aws-credentials/x")


@pytest.fixture
def passed(tmp_path: Path) -> ScanResult:
    (result,) = scan(put_local(tmp_path, {"a.gguf": gguf().data}))
    return result


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"deployment": "f/d", "command": ["x"]},
        {"command": ["x"], "parameters": "[]"},
        {"command": ["x"], "parameters": "{"},
        {"command": ["x"], "timeout_seconds": 0},
        {"command": ["x"], "shell": True},
    ],
)
def test_a_launch_is_one_thing_and_well_formed(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AgentLaunch(**fields)


def test_the_form_has_plain_fields_with_defaults_and_descriptions() -> None:
    for name, field in TypeAdapter(AgentLaunch).json_schema()["properties"].items():
        assert "default" in field, name
        assert field["description"], name
        assert "anyOf" not in field, name


def test_a_start_has_a_key_of_agent_artifact_and_bytes(passed: ScanResult) -> None:
    from dataclasses import replace

    agent = AgentLaunch(deployment="f/d")
    assert agent.key(passed) == AgentLaunch(deployment="f/d").key(passed)
    others = {
        AgentLaunch(deployment="f/e").key(passed),
        AgentLaunch(deployment="f/d", parameters='{"a": 1}').key(passed),
        agent.key(replace(passed, pin="sha256:other")),
        agent.key(replace(passed, url="/other")),
    }
    assert len(others) == 4
    assert agent.key(passed) not in others


def test_a_command_is_run_with_what_passed(passed: ScanResult) -> None:
    seen: list[dict[str, Any]] = []

    def runner(**given: Any) -> Any:
        seen.append(given)
        return Completed() if len(seen) == 1 else Failed(message="status 3\x1b[31m")

    agents = [AgentLaunch(command=["/bin/agent", "x"], parameters='{"k": 1}')] * 2
    first, second = start_agents.fn(passed, agents, HANDOFF, runner)
    assert (first.state, second.state) == ("completed", "failed")
    assert second.message == "status 3\\x1b[31m"
    assert first.agent == "agent x"
    assert seen[0] == {
        "command": ["/bin/agent", "x"],
        "url": passed.url,
        "pin": passed.pin,
        "policy": HANDOFF.policy,
        "storage": "aws-credentials/x",
        "parameters": '{"k": 1}',
        "timeout_seconds": 3600,
        "return_state": True,
    }


def test_without_a_runner_commands_are_refused(passed: ScanResult) -> None:
    (run,) = start_agents.fn(passed, [AgentLaunch(command=["x"])], HANDOFF)
    assert run.state == "refused"


def test_nothing_is_started_for_what_did_not_pass(tmp_path: Path) -> None:
    (result,) = scan(put_local(tmp_path, {"a.gguf": b"<html>"}))
    with pytest.raises(ValueError, match="did not pass"):
        start_agents.fn(result, [AgentLaunch(command=["x"])], HANDOFF, lambda **_: Completed())
