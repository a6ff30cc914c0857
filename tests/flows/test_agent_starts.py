"""Agents start at most once, and none is forgotten: scans repeated, killed, and two at once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from prefect import flow

from prefect_mutagen.flows import AgentLaunch, scan_models
from prefect_mutagen.scanner import Policy
from prefect_mutagen.scanner.agents.start_record import StartRecord
from prefect_mutagen.scanner.storage import local
from tests.builders import STRING, gguf
from tests.scanner.storing import put_local
from tests.servers import PrefectServer

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect")]

AGENT = """
import json, sys, time
given = json.load(sys.stdin)
with open(sys.argv[1], "a") as log:
    log.write(given["sbom"]["model_filename"] + "\\n")
time.sleep(float(sys.argv[2]))
sys.exit(int(sys.argv[3]))
"""
SCAN = """
import sys
from prefect_mutagen.flows import AgentLaunch, scan_models
root, table, *command = sys.argv[1:]
scan_models(root, table=table, agents=[AgentLaunch(command=command)])
"""


class Place:
    """A bucket, a table, and an agent that writes down for what it was started."""

    def __init__(self, folder: Path, count: int) -> None:
        self.root = put_local(folder / "root", {f"{n}.gguf": _model(n) for n in range(count)})
        self.table = str(folder / "table")
        self.log = folder / "log"
        self.program = folder / "agent.py"
        self.program.write_text(AGENT)

    def command(self, seconds: float = 0, status: int = 0) -> list[str]:
        return [
            *(sys.executable, str(self.program), str(self.log)),
            *(str(seconds), str(status)),
        ]

    def scan(self, command: list[str] | None = None, **more: Any) -> list[str]:
        """Scan in this process; what became of the agents."""
        agents = [AgentLaunch(command=command or self.command())]
        summary = scan_models(self.root, table=self.table, agents=agents, **more)
        return [run.state for run in summary.agents]

    def begin(self, server: PrefectServer, command: list[str]) -> subprocess.Popen[bytes]:
        """Scan in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", SCAN, self.root, self.table, *command],
            env=os.environ | {"PREFECT_API_URL": server.api},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def started(self) -> list[str]:
        return sorted(self.log.read_text().split()) if self.log.exists() else []


def _model(number: int) -> bytes:
    return gguf((("general.architecture", STRING, f"a{number}"),)).data


def test_a_scan_that_is_repeated_starts_nothing_again(tmp_path: Path) -> None:
    place = Place(tmp_path, 3)
    assert place.scan() == ["completed"] * 3
    assert place.scan() == []
    assert place.scan(rescan="all") == []
    assert place.started() == ["0.gguf", "1.gguf", "2.gguf"]


def test_a_limit_leaves_the_rest_to_the_next_scans(tmp_path: Path) -> None:
    place = Place(tmp_path, 5)
    states = [sorted(place.scan(max_agent_runs=2)) for _ in range(4)]
    assert states == [
        ["completed", "completed", "waiting", "waiting", "waiting"],
        ["completed", "completed", "waiting"],
        ["completed"],
        [],
    ]
    assert place.started() == [f"{n}.gguf" for n in range(5)]


def test_pins_of_another_form_start_nothing_again_and_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an upgrade from 0.1, whose pins of local files lack the change time."""

    def old_form(status: Any) -> str:
        return f"stat:{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"

    place = Place(tmp_path, 4)
    with monkeypatch.context() as earlier:
        earlier.setattr(local, "file_pin", old_form)
        assert sorted(place.scan(max_agent_runs=2)) == ["completed"] * 2 + ["waiting"] * 2
    assert sorted(place.scan(max_agent_runs=1)) == ["completed", "waiting"]
    assert place.scan(max_agent_runs=1) == ["completed"]
    assert place.scan() == []
    assert place.started() == [f"{n}.gguf" for n in range(4)]


def test_what_waits_and_does_not_pass_any_more_starts_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path, 3)
    place.scan(max_agent_runs=1)
    assert place.scan(policy=Policy(allowed_architectures=("a0", "a1"))) == ["completed"]
    assert place.started() == ["0.gguf", "1.gguf"]


def test_a_failed_agent_runs_again_only_when_asked_to(tmp_path: Path) -> None:
    place = Place(tmp_path, 1)
    command = place.command(status=3)
    assert place.scan(command) == ["failed"]
    assert place.scan(command) == []
    assert place.scan(command, rerun_failed_agents=True) == ["failed"]
    assert place.started() == ["0.gguf"] * 2


@pytest.mark.slow
def test_a_scan_that_is_killed_loses_no_start_and_doubles_none(
    tmp_path: Path, prefect: PrefectServer
) -> None:
    place = Place(tmp_path, 20)
    command = place.command(seconds=1)
    scan = place.begin(prefect, command)
    deadline = time.monotonic() + 120
    while not place.started() and time.monotonic() < deadline:
        time.sleep(0.05)
    scan.send_signal(signal.SIGKILL)
    scan.wait()
    before = place.started()
    assert before
    record = StartRecord(place.table)
    waiting, _ = record.waiting(place.root)
    assert len(waiting) == 20
    states = place.scan(command)
    assert set(states) == {"completed", "known"}
    started = place.started()
    assert len(set(started)) == len(started)  # none twice
    # Those that were claimed when the scan was killed may or may not have begun: they are known.
    assert len(started) >= states.count("completed") + len(before)
    assert record.waiting(place.root) == ([], [])


@pytest.mark.slow
def test_of_two_scans_at_once_one_starts_each_agent(tmp_path: Path, prefect: PrefectServer) -> None:
    place = Place(tmp_path, 6)
    scans = [place.begin(prefect, place.command()) for _ in range(2)]
    assert [scan.wait(200) for scan in scans] == [0, 0]
    assert place.started() == [f"{n}.gguf" for n in range(6)]


def test_one_agent_for_all_that_passed(tmp_path: Path) -> None:
    @flow(name="promote")
    def promote(table: str, scan_id: str, passed: int) -> None:
        """Take over a whole scan."""

    place = Place(tmp_path, 3)
    deployed: Any = promote.to_deployment("nightly")
    deployed.apply()
    agents = [AgentLaunch(deployment="promote/nightly", scope="scan")]
    first = scan_models(place.root, table=place.table, agents=agents)
    assert [run.state for run in first.agents] == ["started"]
    assert scan_models(place.root, table=place.table, agents=agents).agents == []
    put_local(tmp_path / "root", {"3.gguf": _model(3)})
    again = scan_models(place.root, table=place.table, agents=agents)
    assert [run.state for run in again.agents] == ["started"]
    assert again.agents[0].flow_run_id != first.agents[0].flow_run_id
