from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Failed
from pydantic import TypeAdapter, ValidationError

from prefect_mutagen.scanner import Policy, ScanResult, scan
from prefect_mutagen.scanner.claimants import this_claimant
from prefect_mutagen.scanner.table.leases import Leases
from prefect_mutagen.tasks import AgentLaunch, agent_starts, start_agents
from prefect_mutagen.tasks.agent_launch import Handoff
from prefect_mutagen.tasks.agents import start_scan_agents
from prefect_mutagen.tasks.beginning import BEGINNING, NotBegun
from prefect_mutagen.tasks.ending import RunIsEnding, begin_ending
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


def test_tasks_work_on_copies(passed: ScanResult, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = AgentLaunch(command=["true"])
    (run,) = called(start_agents, passed, [agent], HANDOFF)
    assert (run.url, run.state) == (passed.url, "refused"), "nothing here runs commands"
    once = AgentLaunch(deployment="f/d", scope="scan")
    monkeypatch.setattr(agent_starts, "_PAUSES", (0.0,))
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
        return _begin(Completed() if len(seen) == 1 else Failed(message="status 3\x1b[31m"))

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


def _begin(state: Any) -> Any:
    """Do with the start in the context what `run_agent` does."""
    beginning = BEGINNING.get()
    assert beginning is not None
    try:
        beginning.begin()
    except (NotBegun, RunIsEnding) as problem:
        return Failed(message=str(problem))
    return state


class Runner:
    """Runs commands, as it says; each time in the next of these states."""

    def __init__(self, *states: Any) -> None:
        self.states = list(states)
        self.runs = 0

    def __call__(self, **_: Any) -> Any:
        self.runs += 1
        return _begin(self.states.pop(0) if self.states else Completed())


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


def _interrupt(passed: ScanResult, agents: list[AgentLaunch], handoff: Handoff) -> None:
    """Start agents under a lease that ends before they do."""

    def killed(**_: Any) -> Any:
        _begin(None)
        raise KeyboardInterrupt

    with Leases(handoff.table).hold(this_claimant()) as lease, pytest.raises(KeyboardInterrupt):
        start_agents.fn(passed, agents, replace(handoff, lease=lease), killed)


def test_a_command_that_was_interrupted_with_its_scan_runs_again(
    passed: ScanResult, tmp_path: Path
) -> None:
    agents = [AgentLaunch(command=["x"])]
    _interrupt(passed, agents, _recorded(tmp_path))
    (run,) = start_agents.fn(passed, agents, _recorded(tmp_path), Runner())
    assert (run.state, run.attempt) == ("completed", 2)
    assert "attempt 2; attempt 1 was interrupted: process " in run.message


def test_one_that_starts_at_most_once_is_listed_as_interrupted(
    passed: ScanResult, tmp_path: Path
) -> None:
    agents = [AgentLaunch(command=["x"], at_most_once=True)]
    _interrupt(passed, agents, _recorded(tmp_path))
    runner = Runner()
    (run,) = start_agents.fn(passed, agents, _recorded(tmp_path, rerun_failed=True), runner)
    assert (run.state, run.attempt, runner.runs) == ("interrupted", 0, 0)
    assert "to start it again: prefect-mutagen release " in run.message


def test_nothing_begins_once_the_run_is_ending(passed: ScanResult, tmp_path: Path) -> None:
    agents, handoff = [AgentLaunch(command=["x"])], _recorded(tmp_path, run="run-1")
    begin_ending("run-1", lambda: None)
    runner = Runner()
    (run,) = start_agents.fn(passed, agents, handoff, runner)
    assert (run.state, runner.runs) == ("waiting", 0)
    (run,) = start_agents.fn(passed, agents, replace(handoff, run="run-2"), runner)
    assert (run.state, run.attempt) == ("completed", 1)


@pytest.mark.parametrize("when", ["before the claim", "before the command"])
def test_a_run_that_ends_while_an_agent_begins_claims_nothing(
    passed: ScanResult, tmp_path: Path, when: str
) -> None:
    agents, handoff = [AgentLaunch(command=["x"])], _recorded(tmp_path, run=f"run-{when}")

    def runner(**_: Any) -> Any:
        beginning = BEGINNING.get()
        assert beginning is not None
        if when == "before the claim":
            begin_ending(handoff.run, lambda: None)
        else:
            answers = iter((False, True))
            beginning.is_ending = lambda: next(answers)
        return _begin(Completed())

    (run,) = start_agents.fn(passed, agents, handoff, runner)
    assert (run.state, run.attempt) == ("failed", 0)
    assert "is ending" in run.message
    (run,) = start_agents.fn(passed, agents, replace(handoff, run="next"), Runner())
    assert (run.state, run.attempt) == ("completed", 1)


def test_a_command_that_fails_because_its_run_ends_was_interrupted(
    passed: ScanResult, tmp_path: Path
) -> None:
    agents, handoff = [AgentLaunch(command=["x"])], _recorded(tmp_path, run="run-ends")

    def ended(**_: Any) -> Any:
        _begin(None)
        begin_ending(handoff.run, lambda: None)
        return Failed(message="the command ended with status 143")

    (run,) = start_agents.fn(passed, agents, handoff, ended)
    assert (run.state, run.message) == ("interrupted", "was ended with its flow run")
    (run,) = start_agents.fn(passed, agents, replace(handoff, run="next"), Runner())
    assert (run.state, run.attempt) == ("completed", 2)


def test_what_was_refused_may_be_started_by_the_next_scan(
    passed: ScanResult, tmp_path: Path
) -> None:
    agents = [AgentLaunch(command=["x"])]
    (run,) = start_agents.fn(passed, agents, _recorded(tmp_path))
    assert run.state == "refused"
    (run,) = start_agents.fn(passed, agents, _recorded(tmp_path), Runner())
    assert run.state == "completed"


def test_a_server_that_is_away_is_asked_again(
    passed: ScanResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_starts, "_PAUSES", (0.0,) * 3)
    asked: list[None] = []

    def away(**_: Any) -> Any:
        asked.append(None)
        if len(asked) < 4:
            raise httpx.ConnectError("All connection attempts failed")
        return _begin(Completed())

    (run,) = start_agents.fn(passed, [AgentLaunch(command=["x"])], _recorded(tmp_path), away)
    assert (run.state, run.attempt, len(asked)) == ("completed", 1, 4)


def test_a_command_that_no_server_lets_begin_waits_for_the_next_scan(
    passed: ScanResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_starts, "_PAUSES", (0.0,))

    def unreachable(**_: Any) -> Any:
        raise httpx.ConnectError("All connection attempts failed")

    agents = [AgentLaunch(command=["x"])]
    (run,) = start_agents.fn(passed, agents, _recorded(tmp_path), unreachable)
    assert (run.state, run.attempt) == ("refused", 0)
    assert run.message == "Prefect's server cannot be reached (ConnectError)"
    (run,) = start_agents.fn(passed, agents, _recorded(tmp_path), Runner())
    assert (run.state, run.attempt) == ("completed", 1)


def test_a_run_that_the_parser_refuses_is_made_again(passed: ScanResult, tmp_path: Path) -> None:
    """In CPython before 3.11.8, threads that parse at the same time disturb each other."""
    asked: list[None] = []

    def disturbed(**_: Any) -> Any:
        asked.append(None)
        if len(asked) == 1:
            reason = "SystemError: AST constructor recursion depth mismatch (before=201, after=148)"
            return Failed(message=f"Validation of flow parameters failed with error: {reason}")
        return _begin(Completed())

    (run,) = start_agents.fn(passed, [AgentLaunch(command=["x"])], _recorded(tmp_path), disturbed)
    assert (run.state, run.attempt, len(asked)) == ("completed", 1, 2)


def test_a_server_that_goes_away_meanwhile_does_not_begin_it_again(
    passed: ScanResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_starts, "_PAUSES", (0.0,) * 3)
    asked: list[None] = []

    def goes_away(**_: Any) -> Any:
        asked.append(None)
        _begin(None)
        beginning = BEGINNING.get()
        assert beginning is not None
        beginning.finish("completed")
        raise httpx.ConnectError("All connection attempts failed")

    agents = [AgentLaunch(command=["x"])]
    (run,) = start_agents.fn(passed, agents, _recorded(tmp_path), goes_away)
    assert (run.state, run.attempt, len(asked)) == ("completed", 1, 1)
    (run,) = start_agents.fn(passed, agents, _recorded(tmp_path), Runner())
    assert run.state == "known"


def test_without_a_record_nothing_starts(passed: ScanResult, tmp_path: Path) -> None:
    (tmp_path / "table").write_text("in the way")
    runner = Runner()
    (run,) = start_agents.fn(passed, [AgentLaunch(command=["x"])], _recorded(tmp_path), runner)
    assert (run.state, runner.runs) == ("refused", 0)
    assert "record of agents" in run.message
