from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Failed
from pydantic import TypeAdapter, ValidationError

from prefect_mutagen.scanner import Policy, ScanResult, scan
from prefect_mutagen.tasks import AgentLaunch, start_agents
from prefect_mutagen.tasks.agent_launch import Handoff
from prefect_mutagen.tasks.agents import start_scan_agents
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.tasks.calling import called

HANDOFF = Handoff("scan-1", Policy(max_size_bytes=10**9), storage="aws-credentials/x")


@pytest.fixture
def passed(tmp_path: Path) -> ScanResult:
    (result,) = scan(put_local(tmp_path, {"a.gguf": gguf().data}))
    return result


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "name a deployment, or give a command"),
        ({"deployment": "f/d", "command": ["x"]}, "not both: leave one empty"),
        (
            {"deployment": "nightly"},
            "'nightly' is not the name of a deployment: write it as flow/name",
        ),
        ({"deployment": "/nightly"}, "write it as flow/name"),
        ({"deployment": "f/ "}, "write it as flow/name"),
        ({"deployment": "f/d/e"}, "write it as flow/name"),
        ({"deployment": " "}, "write it as flow/name"),
        ({"command": [" "]}, "its first word, is empty"),
        ({"command": ["x", "a\0b"]}, "zero byte"),
        ({"command": ["x"], "parameters": "[]"}, "parameters are not a JSON object"),
        ({"command": ["x"], "parameters": '{"a": 1,\n b}'}, "not JSON: .* at line 2, column 2"),
        ({"command": ["x"], "timeout_seconds": 0}, "greater than or equal to 1"),
        ({"command": ["x"], "shell": True}, "Extra inputs are not permitted"),
        ({"command": ["x"], "scope": "scan"}, "not once per scan"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_launch_is_one_thing_and_well_formed(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AgentLaunch(**fields)


def test_the_form_has_plain_fields_with_defaults_and_descriptions() -> None:
    for name, field in TypeAdapter(AgentLaunch).json_schema()["properties"].items():
        assert "default" in field, name
        assert field["description"], name
        assert "anyOf" not in field, name


def test_tasks_work_on_copies(passed: ScanResult) -> None:
    agent = AgentLaunch(command=["true"])
    (run,) = called(start_agents, passed, [agent], HANDOFF)
    assert (run.url, run.state) == (passed.url, "refused"), "nothing here runs commands"
    once = AgentLaunch(deployment="f/d", scope="scan")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        (run,) = called(start_scan_agents, [once], HANDOFF, 1, "sha256:0")
    assert run.state == "refused"
    assert "cannot be reached" in run.message


def test_a_start_has_a_key_of_agent_artifact_and_bytes(passed: ScanResult) -> None:
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
    assert first.agent == "/bin/agent x"
    assert seen[0] == {
        "command": ["/bin/agent", "x"],
        "url": passed.url,
        "pin": passed.pin,
        "policy": HANDOFF.policy,
        "storage": "aws-credentials/x",
        "parameters": '{"k": 1}',
        "timeout_seconds": 3600,
        "memory_mb": 0,
        "cpu_seconds": 0,
        "environment": [],
        "stdin": "handoff",
        "return_state": True,
    }


def test_without_a_runner_commands_are_refused(passed: ScanResult) -> None:
    (run,) = start_agents.fn(passed, [AgentLaunch(command=["x"])], HANDOFF)
    assert run.state == "refused"


def test_nothing_is_started_for_what_did_not_pass(tmp_path: Path) -> None:
    (result,) = scan(put_local(tmp_path, {"a.gguf": b"<html>"}))
    with pytest.raises(ValueError, match="did not pass"):
        start_agents.fn(result, [AgentLaunch(command=["x"])], HANDOFF, lambda **_: Completed())


class Runner:
    """Runs commands, as it says; each time in the next of these states."""

    def __init__(self, *states: Any) -> None:
        self.states = list(states)
        self.runs = 0

    def __call__(self, **_: Any) -> Any:
        self.runs += 1
        return self.states.pop(0) if self.states else Completed()


def _recorded(tmp_path: Path, **more: Any) -> Handoff:
    return Handoff("scan-1", Policy(), str(tmp_path / "table"), source=str(tmp_path), **more)


def test_a_command_runs_once_for_the_same_bytes(passed: ScanResult, tmp_path: Path) -> None:
    runner = Runner()
    agents = [AgentLaunch(command=["x"]), AgentLaunch(command=["y"])]
    states = [
        [run.state for run in start_agents.fn(passed, agents, _recorded(tmp_path), runner)]
        for _ in range(3)
    ]
    assert states == [["completed"] * 2, ["known"] * 2, ["known"] * 2]
    assert runner.runs == 2
    changed = replace(passed, pin="sha256:other")
    start_agents.fn(changed, agents, _recorded(tmp_path), runner)
    assert runner.runs == 4


def test_a_failed_command_runs_again_only_when_asked_to(passed: ScanResult, tmp_path: Path) -> None:
    runner = Runner(Failed(message="no"), Failed(message="no"), Completed())
    agents = [AgentLaunch(command=["x"])]
    states = [
        start_agents.fn(passed, agents, _recorded(tmp_path, rerun_failed=again), runner)[0].state
        for again in (False, False, True, True, True)
    ]
    assert states == ["failed", "known", "failed", "completed", "known"]


def test_a_command_that_was_killed_with_its_scan_does_not_run_again(
    passed: ScanResult, tmp_path: Path
) -> None:
    def killed(**_: Any) -> Any:
        raise KeyboardInterrupt

    agents = [AgentLaunch(command=["x"])]
    with pytest.raises(KeyboardInterrupt):
        start_agents.fn(passed, agents, _recorded(tmp_path), killed)
    runner = Runner()
    (run,) = start_agents.fn(passed, agents, _recorded(tmp_path, rerun_failed=True), runner)
    assert (run.state, runner.runs) == ("known", 0)
    assert "not recorded" in run.message


def test_what_was_refused_may_be_started_by_the_next_scan(
    passed: ScanResult, tmp_path: Path
) -> None:
    agents = [AgentLaunch(command=["x"])]
    (run,) = start_agents.fn(passed, agents, _recorded(tmp_path))
    assert run.state == "refused"
    (run,) = start_agents.fn(passed, agents, _recorded(tmp_path), Runner())
    assert run.state == "completed"


def test_a_command_that_the_server_does_not_begin_has_a_state(
    passed: ScanResult, tmp_path: Path
) -> None:
    def unreachable(**_: Any) -> Any:
        raise httpx.ConnectError("All connection attempts failed")

    agents = [AgentLaunch(command=["x"]), AgentLaunch(command=["y"])]
    runs = start_agents.fn(passed, agents, _recorded(tmp_path), unreachable)
    assert [run.state for run in runs] == ["failed", "failed"]
    assert "cannot be reached (ConnectError); whether the command started is unknown" in (
        runs[0].message
    )
    # Whether it began is for a person to say, so it begins again only when asked to.
    (run,) = start_agents.fn(passed, agents[:1], _recorded(tmp_path), Runner())
    assert run.state == "known"
    again = _recorded(tmp_path, rerun_failed=True)
    (run,) = start_agents.fn(passed, agents[:1], again, Runner())
    assert run.state == "completed"


def test_without_a_record_nothing_starts(passed: ScanResult, tmp_path: Path) -> None:
    (tmp_path / "table").write_text("in the way")
    runner = Runner()
    (run,) = start_agents.fn(passed, [AgentLaunch(command=["x"])], _recorded(tmp_path), runner)
    assert (run.state, runner.runs) == ("refused", 0)
    assert "record of agents" in run.message
