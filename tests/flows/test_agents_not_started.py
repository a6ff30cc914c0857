"""Agents that cannot start are never silent: found before the scan, or the state of the flow."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import flow

from prefect_mutagen.flows import AgentLaunch, AgentsNotStarted, scan_models
from prefect_mutagen.scanner import StorageError
from prefect_mutagen.scanner.agents.waiting_starts import WaitingStarts, record_files
from prefect_mutagen.scanner.table.table import Table
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import PrefectServer, connect

pytestmark = pytest.mark.server
ROOT = str(Path(__file__).parent.parent.parent)
DELETE = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.servers import connect
with connect(sys.argv[2]) as http:
    found = http.get(f"/deployments/name/{sys.argv[3]}")
    if found.status_code == 200:
        http.delete(f"/deployments/{found.json()['id']}").raise_for_status()
"""


@flow(name="evaluate")
def evaluate(url: str, task: str = "mmlu", shots: int = 5) -> None:
    """Take one model."""


@flow(name="promote")
def promote(table: str, scan_id: str) -> None:
    """Take a whole scan."""


@flow(name="deaf")
def deaf(task: str) -> None:
    """Take nothing that a scan has to say."""


@flow(name="wanting")
def wanting(url: str, must: str) -> None:
    """Take more than a scan has to say."""


class Server:
    """Prefect's server, as a person uses it."""

    def __init__(self, api: str) -> None:
        self.api = api
        self._client = connect(api)

    def deploy(self, *flows: Any) -> None:
        for each in flows:
            each.to_deployment("nightly").apply()

    def delete(self, name: str) -> list[str]:
        """Give a command that deletes a deployment."""
        return [sys.executable, "-c", DELETE, ROOT, self.api, name]

    def last_scan(self) -> dict[str, Any]:
        body = {"sort": "START_TIME_DESC", "limit": 1, "flows": {"name": {"any_": ["scan-models"]}}}
        runs: list[dict[str, Any]] = self._client.post("/flow_runs/filter", json=body).json()
        return runs[0]

    def page(self, run: dict[str, Any]) -> str:
        body = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}, "type": {"any_": ["markdown"]}}}
        (page,) = self._client.post("/artifacts/filter", json=body).json()
        return str(page["data"])


@pytest.fixture
def server(prefect: PrefectServer) -> Iterator[Server]:
    server = Server(prefect.api)
    server.deploy(evaluate, promote, deaf, wanting)
    yield server
    server._client.close()


@pytest.fixture
def root(tmp_path: Path) -> str:
    return put_local(tmp_path / "root", {"a.gguf": gguf().data})


@pytest.mark.parametrize(
    ("agents", "said"),
    [
        (
            [{"deployment": "evaluate/nigthly"}],
            ["there is no deployment 'evaluate/nigthly' (did you mean 'evaluate/nightly'?)"],
        ),
        (
            [{"deployment": "promot/nightly", "scope": "scan"}],
            [
                "there is no deployment 'promot/nightly' (did you mean 'promote/nightly'",
                "deploy it",
            ],
        ),
        ([{"deployment": "zzz/???"}], ["there is no deployment 'zzz/???'; deploy it"]),
        ([{"deployment": "deaf/nightly"}], ["'deaf/nightly' has no parameter url; add one"]),
        (
            [{"deployment": "evaluate/nightly", "scope": "scan"}],
            ["'evaluate/nightly' has no parameter scan_id or table; add one"],
        ),
        (
            [{"deployment": "evaluate/nightly", "parameters": '{"shot": 3}'}],
            ["'evaluate/nightly' has no parameter 'shot' (did you mean 'shots'?)"],
        ),
        (
            [{"deployment": "evaluate/nightly", "parameters": '{"shots": "three"}'}],
            ["'evaluate/nightly' would refuse", "'shots'", "'three' is not of type 'integer'"],
        ),
        ([{"deployment": "wanting/nightly"}], ["would refuse", "'must' is a required property"]),
        ([{"command": ["/no/such/program"]}], ["there is no program '/no/such/program' here"]),
        (
            [{"command": ["true"], "environment": ["NO_SUCH_VARIABLE"]}],
            ["the variable 'NO_SUCH_VARIABLE' of the agent 'true' is not set here"],
        ),
        (
            [{"command": ["no-such-program"]}, {"deployment": "evaluate/weekly"}],
            ["there is no program 'no-such-program' here", "no deployment 'evaluate/weekly'"],
        ),
    ],
    ids=[
        "misspelt name",
        "misspelt flow, for the scan",
        "like nothing",
        "no parameter for the model",
        "no parameter for the scan",
        "misspelt parameter",
        "parameter of another type",
        "parameter missing",
        "no program",
        "no variable",
        "two at once",
    ],
)
def test_what_can_never_start_is_found_before_anything_is_examined(
    server: Server, tmp_path: Path, agents: list[dict[str, Any]], said: list[str]
) -> None:
    table = tmp_path / "table"
    launches = [AgentLaunch(**one) for one in agents]
    with pytest.raises(ValueError, match="so nothing was examined") as caught:
        scan_models("/no/such/root", table=str(table), agents=launches)
    run = server.last_scan()
    for part in said:
        assert part in str(caught.value)
        assert part in run["state"]["message"]
    assert run["state_type"] == "FAILED"
    assert not table.exists()


def test_what_fits_a_deployment_starts(server: Server, root: str) -> None:
    agents = [
        AgentLaunch(deployment="evaluate/nightly", parameters='{"shots": 3, "task": "arc"}'),
        AgentLaunch(deployment="wanting/nightly", parameters='{"must": "be"}'),
        AgentLaunch(deployment="promote/nightly", scope="scan"),
    ]
    summary = scan_models(root, agents=agents)
    assert [run.state for run in summary.agents] == ["started"] * 3
    assert server.last_scan()["state_type"] == "COMPLETED"


def test_what_cannot_start_after_all_is_the_state_of_the_flow(
    server: Server, root: str, tmp_path: Path
) -> None:
    table = str(tmp_path / "table")
    agents = [
        AgentLaunch(command=server.delete("evaluate/nightly")),
        AgentLaunch(deployment="evaluate/nightly"),
    ]
    with pytest.raises(AgentsNotStarted, match="1 of 2 agents could not start") as caught:
        scan_models(root, table=table, agents=agents)
    summary = caught.value.summary
    assert summary is not None
    assert [run.state for run in summary.agents] == ["completed", "refused"]
    assert "there is no deployment 'evaluate/nightly'" in summary.agents[1].message
    run = server.last_scan()
    assert run["state_type"] == "FAILED"
    for part in (
        "evaluate/nightly for",
        "a.gguf",
        "there is no deployment",
        "the next scan starts",
    ):
        assert part in run["state"]["message"]
    assert "None" not in run["state"]["message"]
    assert "## Agents that could not start (1)\n\n* evaluate/nightly for" in server.page(run)
    assert len(Table(table, root).read_state()) == 1
    lists = WaitingStarts(record_files(table), root)
    (name,) = lists.names(Table(table, root).has_scan)
    assert [start.agent for start in lists.read(name).starts] == ["evaluate/nightly"]
    # It is there again, nothing has changed, and it starts: once.
    server.deploy(evaluate)
    agents[0] = AgentLaunch(command=["true"])
    again = scan_models(root, table=table, agents=agents)
    assert [(run.agent, run.state) for run in again.agents] == [("evaluate/nightly", "started")]
    assert server.last_scan()["state_type"] == "COMPLETED"
    assert scan_models(root, table=table, agents=agents).agents == []


def test_an_agent_for_the_whole_scan_waits_as_well(
    server: Server, root: str, tmp_path: Path
) -> None:
    table = str(tmp_path / "table")
    whole = AgentLaunch(deployment="promote/nightly", scope="scan")
    with pytest.raises(AgentsNotStarted, match=r"1 of 2 agents .*promote/nightly for"):
        scan_models(
            root,
            table=table,
            agents=[AgentLaunch(command=server.delete("promote/nightly")), whole],
        )
    server.deploy(promote)
    again = scan_models(root, table=table, agents=[whole])
    assert [(run.agent, run.state) for run in again.agents] == [("promote/nightly", "started")]
    assert scan_models(root, table=table, agents=[whole]).agents == []


def test_a_flow_that_scans_learns_what_was_found_all_the_same(server: Server, root: str) -> None:
    @flow
    def platform() -> list[str]:
        agents = [
            AgentLaunch(command=server.delete("evaluate/nightly")),
            AgentLaunch(deployment="evaluate/nightly"),
        ]
        with pytest.raises(AgentsNotStarted) as caught:
            scan_models(root, agents=agents)
        return caught.value.summary.passed if caught.value.summary else []

    assert platform() == [f"{root}/a.gguf"]


def test_a_record_that_cannot_be_read_starts_nothing_and_costs_no_page(
    server: Server, root: str, tmp_path: Path
) -> None:
    table = tmp_path / "table"
    table.mkdir()
    (table / "agents").write_text("in the way")
    with pytest.raises(StorageError, match="the record of agents cannot be"):
        scan_models(root, table=str(table), agents=[AgentLaunch(command=["true"])])
    run = server.last_scan()
    assert run["state_type"] == "FAILED"
    assert server.page(run).startswith("# 1 passed")
    assert len(Table(str(table), root).read_state()) == 1
