"""What is said in a flow's run stands in the log of that run, also when a task started the flow."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import flow, task
from prefect.logging.handlers import APILogWorker

from prefect_mutagen.flows import AgentLaunch, scan_models
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import PrefectServer

pytestmark = pytest.mark.server
WORDS = ["one from the agent", "two from the agent"]
AGENT = [sys.executable, "-c", f"print({WORDS[0]!r}); print({WORDS[1]!r})"]


class Logs:
    """The server's record of what runs said, as the UI reads it."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def of_flow(self, flow_run_id: str, expected: int) -> list[dict[str, Any]]:
        """Return what a flow run and its task runs said, once so many lines have come."""
        APILogWorker.instance().drain_all(timeout=30)
        body = {"logs": {"flow_run_id": {"any_": [flow_run_id]}}, "sort": "TIMESTAMP_ASC"}
        deadline = time.monotonic() + 60
        while True:
            lines: list[dict[str, Any]] = self._client.post("/logs/filter", json=body).json()
            if len(lines) >= expected or time.monotonic() > deadline:
                return lines
            time.sleep(0.2)

    def last_run(self, name: str) -> dict[str, Any]:
        body = {"sort": "START_TIME_DESC", "limit": 1, "flows": {"name": {"any_": [name]}}}
        runs: list[dict[str, Any]] = self._client.post("/flow_runs/filter", json=body).json()
        return runs[0]


@pytest.fixture
def logs(prefect: PrefectServer) -> Iterator[Logs]:
    with prefect.connect() as client:
        yield Logs(client)


def test_what_an_agent_writes_is_in_the_log_of_its_own_run(tmp_path: Path, logs: Logs) -> None:
    root = put_local(tmp_path / "root", {"a.gguf": gguf().data})
    summary = scan_models(root, agents=[AgentLaunch(command=AGENT)])
    (agent,) = summary.agents
    assert agent.state == "completed"
    said = logs.of_flow(agent.flow_run_id, 4)
    texts = [line["message"] for line in said]
    assert [text for text in texts if text in WORDS] == WORDS
    assert any(text.startswith("verified; starting") for text in texts)
    assert {line["task_run_id"] for line in said} == {None}
    scan = logs.last_run("scan-models")
    assert not set(WORDS) & {line["message"] for line in logs.of_flow(scan["id"], 3)}


def test_a_scan_that_a_task_starts_speaks_in_its_own_run(tmp_path: Path, logs: Logs) -> None:
    root = put_local(tmp_path / "root", {"a.gguf": gguf().data})

    @task
    def scan() -> int:
        return len(scan_models(root).passed)

    @flow
    def platform() -> int:
        future: Any = scan.submit()
        count: int = future.result()
        return count

    assert platform() == 1
    said = logs.of_flow(logs.last_run("scan-models")["id"], 3)
    own = "\n".join(line["message"] for line in said if line["task_run_id"] is None)
    assert "1 to examine" in own
    assert "1 passed, 0 failed, 0 unknown" in own
