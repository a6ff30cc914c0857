"""The run graph as the server draws it: list, examine, table, agents, and no arrow besides."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from prefect_mutagen.flows import AgentLaunch, scan_models
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import PrefectServer

pytestmark = pytest.mark.server
GGUF = gguf().data
MODELS = 5
Arrows = set[tuple[str, str]]


@pytest.fixture
def client(prefect: PrefectServer) -> Iterator[httpx.Client]:
    with prefect.connect() as client:
        yield client


def _arrows(client: httpx.Client, expected: int) -> tuple[list[str], Arrows]:
    """Return the nodes of the newest scan's graph by kind, and the arrows between kinds."""
    body = {"sort": "START_TIME_DESC", "limit": 1, "flows": {"name": {"any_": ["scan-models"]}}}
    (run,) = client.post("/flow_runs/filter", json=body).json()
    nodes: dict[str, Any] = {}
    for _ in range(120):  # the server records task runs in the background
        graph = client.get(f"/flow_runs/{run['id']}/graph-v2").json()
        nodes = {identity: node for identity, node in graph["nodes"] if node["kind"] == "task-run"}
        if len(nodes) >= expected and all(node["end_time"] for node in nodes.values()):
            break
        time.sleep(0.5)
    kinds = {identity: _kind(node["label"]) for identity, node in nodes.items()}
    arrows = {
        (kinds[parent["id"]], kinds[identity])
        for identity, node in nodes.items()
        for parent in node["parents"]
    }
    return sorted(kinds.values()), arrows


def _kind(label: str) -> str:
    first = label.split(maxsplit=1)[0]
    return {"scan": "examine", "write": "table", "start": "agents"}.get(first, first)


@pytest.mark.parametrize("table", ["table", ""])
@pytest.mark.parametrize("width", [0, 2])
def test_the_steps_follow_each_other(
    client: httpx.Client, tmp_path: Path, table: str, width: int
) -> None:
    root = put_local(tmp_path / "root", {f"{number}.gguf": GGUF for number in range(MODELS)})
    place = str(tmp_path / table) if table else ""
    agents = [AgentLaunch(command=["true"])]
    scan_models(root, table=place, agents=agents, max_task_runs=width)
    examined = width or MODELS
    expected = 1 + examined + bool(table) + MODELS
    nodes, arrows = _arrows(client, expected)
    assert nodes.count("examine") == examined
    assert nodes.count("agents") == MODELS
    if table:
        assert arrows == {("list", "examine"), ("examine", "table"), ("table", "agents")}
    else:
        assert arrows == {("list", "examine"), ("examine", "agents")}
