"""Checks of agents that need no server; those of deployments are in tests/flows."""

from pathlib import Path

import httpx
import pytest

from prefect_mutagen.tasks.agent_checks import cannot_reach, check_agents
from prefect_mutagen.tasks.agent_launch import AgentLaunch


def _program(path: Path, *, mode: int = 0o755) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_programs_are_looked_for_where_they_would_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path / "bin/agent")
    _program(tmp_path / "bin/readable", mode=0o644)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path)
    for found in ("agent", "bin/agent", "./bin/agent", str(tmp_path / "bin/agent")):
        assert check_agents([AgentLaunch(command=[found])]) == []
    for missing in ("readable", "sh", "bin/sh", "./agent", "bin", str(tmp_path / "bin")):
        agents = [AgentLaunch(command=[missing, "secret"])]
        with pytest.raises(ValueError, match=f"there is no program '{missing}' here") as caught:
            check_agents(agents)
        assert "secret" not in str(caught.value)


def test_each_fault_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH", raising=False)
    agents = [AgentLaunch(command=["/no/such"], environment=["NO_SUCH"])] * 3
    with pytest.raises(ValueError, match="so nothing was examined") as caught:
        check_agents(agents)
    faults = str(caught.value).partition("examined: ")[2]
    assert faults == (
        "there is no program '/no/such' here; install it, or correct the command; "
        "the variable 'NO_SUCH' of the agent '/no/such' is not set here; set it, or leave it out"
    )


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (409, '{"detail": "no\\u001b[31m"}', r"Prefect's server answered 409: no\x1b[31m"),
        (503, "<html>busy</html>", "Prefect's server answered 503"),
        (422, "[1]", "Prefect's server answered 422"),
    ],
)
def test_what_the_server_says_is_one_line(status: int, body: str, said: str) -> None:
    request = httpx.Request("GET", "http://127.0.0.1/api")
    response = httpx.Response(status, text=body, request=request)
    assert cannot_reach(httpx.HTTPStatusError("", request=request, response=response)) == said


def test_a_server_that_is_away_is_told() -> None:
    problem = httpx.ConnectError("All connection attempts failed")
    assert cannot_reach(problem) == "Prefect's server cannot be reached (ConnectError)"
