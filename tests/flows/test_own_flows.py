"""The tasks as steps of somebody's own flow: listed, examined side by side, written, gated."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, unmapped

from prefect_mutagen.flows import run_agent
from prefect_mutagen.scanner import Policy, ScanResult
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.tasks import (
    list_artifacts,
    scan_artifact,
    scan_batch,
    start_agents,
    write_table,
)
from prefect_mutagen.tasks.agent_launch import AgentLaunch, AgentRun, Handoff
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.servers import PrefectServer

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect")]
GGUF = gguf().data


@flow
def own_flow(root: str, table: str) -> tuple[list[ScanResult], list[ScanResult]]:
    """Examine each artifact in a task run of its own, and all of them in one."""
    listed: Any = list_artifacts.submit(root)
    one_by_one: Any = scan_artifact.map(listed, unmapped(root)).result()
    together: Any = scan_batch.submit(listed, root).result()
    write_table(table, one_by_one, root)
    return one_by_one, together


@flow
def own_gate(root: str, command: list[str]) -> list[AgentRun]:
    """Start an agent for the first artifact, with nothing but tasks and what they give."""
    (artifact,) = list_artifacts(root)
    result: Any = scan_artifact.submit(artifact, root)
    handoff = Handoff("own", Policy(), source=root)
    runs: Any = start_agents.submit(result, [AgentLaunch(command=command)], handoff, run_agent)
    started: list[AgentRun] = runs.result()
    return started


def test_tasks_are_steps_of_other_flows(tmp_path: Path) -> None:
    files = {"a.gguf": GGUF, "b/c.gguf": GGUF[:40], "b/README.md": b"# c", "b/d.gguf": GGUF}
    put_local(tmp_path / "models", files)
    root, table = str(tmp_path / "models"), str(tmp_path / "table")
    one_by_one, together = own_flow(root, table)
    names = [Path(result.url).name for result in one_by_one]
    assert sorted(names) == ["a.gguf", "c.gguf", "d.gguf"]
    assert [result.passed for result in one_by_one] == [name != "c.gguf" for name in names]
    assert [result.pin for result in together] == [result.pin for result in one_by_one]
    assert {result.url for result in Table(table, root).open_state().results()} == {
        result.url for result in one_by_one
    }


def test_an_agent_is_started_by_a_task_of_another_flow(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"a.gguf": GGUF})
    said = tmp_path / "said"
    code = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"
    (run,) = own_gate(root, [sys.executable, "-c", code, str(said)])
    assert (run.state, run.url) == ("completed", str(tmp_path / "a.gguf"))
    assert json.loads(said.read_text())["url"] == run.url


ASYNCHRONOUS = """
import asyncio, sys
from prefect import flow
from prefect_mutagen.flows import scan_models

@flow
async def own(root):
    return scan_models(root).counts

print(asyncio.run(own(sys.argv[1])))
"""


def test_the_scan_is_a_step_of_an_asynchronous_flow(prefect: PrefectServer, tmp_path: Path) -> None:
    root = put_local(tmp_path, {"a.gguf": GGUF, "b.gguf": GGUF[:40]})
    # In a process of its own: an asynchronous flow of Prefect leaves sockets open.
    done = subprocess.run(
        [sys.executable, "-c", ASYNCHRONOUS, root],
        capture_output=True,
        text=True,
        env=os.environ | {"PREFECT_API_URL": prefect.api},
        check=True,
        timeout=120,
    )
    assert done.stdout.splitlines()[-1] == "{'passed': 1, 'failed': 1, 'unknown': 0}"
