"""Agents start at most once, and none is forgotten: scans repeated, killed, and two at once."""

import random
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prefect import flow

from prefect_mutagen.flows import AgentLaunch, ScanAdvanced, root_scan, scan_models
from prefect_mutagen.flows.starting import Starting
from prefect_mutagen.scanner import Policy
from prefect_mutagen.scanner.agents.start_record import StartRecord
from prefect_mutagen.scanner.commands.program import run as main
from prefect_mutagen.scanner.storage import local
from prefect_mutagen.scanner.table.table import Table
from tests.agent_starts import Place, model, wait_until
from tests.processes import marked
from tests.scanner.storing import put_local
from tests.servers import PrefectServer

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect")]

PREFECT_SECONDS = 15
"""What Prefect may take to report the end of a run on a busy machine, after all else has ended."""


def _most(agents: int) -> ScanAdvanced:
    return ScanAdvanced(max_agent_runs=agents)


def test_a_scan_that_is_repeated_starts_nothing_again(tmp_path: Path) -> None:
    place = Place(tmp_path, 3)
    assert place.scan() == ["completed"] * 3
    assert place.scan() == []
    assert place.scan(rescan="all") == []
    assert place.started() == ["0.gguf", "1.gguf", "2.gguf"]


def test_a_limit_leaves_the_rest_to_the_next_scans(tmp_path: Path) -> None:
    place = Place(tmp_path, 5)
    states = [sorted(place.scan(advanced=_most(2))) for _ in range(4)]
    assert states == [
        ["completed", "completed", "waiting", "waiting", "waiting"],
        ["completed", "completed", "waiting"],
        ["completed"],
        [],
    ]
    assert place.started() == [f"{n}.gguf" for n in range(5)]


@pytest.mark.parametrize(("agents", "most", "task_runs"), [(2, 6, 3), (1, 1, 1)])
def test_the_records_that_are_waited_for_are_those_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agents: int, most: int, task_runs: int
) -> None:
    """An artifact has one task run for all its agents, and agents that wait have none."""
    expected: list[int] = []
    monkeypatch.setattr(root_scan, "wait_for_records", expected.append)
    place = Place(tmp_path, 3)
    launches = [AgentLaunch(command=place.command(seconds=n / 100)) for n in range(agents)]
    scan_models(place.root, table=place.table, agents=launches, advanced=_most(most))
    assert len(place.started()) == most
    # Besides: the listing, three artifacts, and the table.
    assert expected == [5 + task_runs]


def test_pins_of_another_form_start_nothing_again_and_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an upgrade from 0.1, whose pins of local files lack the change time."""

    def old_form(status: Any) -> str:
        return f"stat:{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"

    place = Place(tmp_path, 4)
    with monkeypatch.context() as earlier:
        earlier.setattr(local, "file_pin", old_form)
        assert sorted(place.scan(advanced=_most(2))) == ["completed"] * 2 + ["waiting"] * 2
    assert sorted(place.scan(advanced=_most(1))) == ["completed", "waiting"]
    assert place.scan(advanced=_most(1)) == ["completed"]
    assert place.scan() == []
    assert place.started() == [f"{n}.gguf" for n in range(4)]


def test_what_waits_and_does_not_pass_any_more_starts_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path, 3)
    place.scan(advanced=_most(1))
    assert place.scan(policy=Policy(allowed_architectures=("a0", "a1"))) == ["completed"]
    assert place.started() == ["0.gguf", "1.gguf"]


def test_a_failed_agent_runs_again_only_when_asked_to(tmp_path: Path) -> None:
    place = Place(tmp_path, 1)
    command = place.command(status=3)
    assert place.scan(command) == ["failed"]
    assert place.scan(command) == []
    assert place.scan(command, advanced=ScanAdvanced(rerun_failed_agents=True)) == ["failed"]
    assert place.started() == ["0.gguf"] * 2


def test_a_scan_by_the_command_line_takes_no_agent_its_start(tmp_path: Path) -> None:
    place = Place(tmp_path, 2)
    command = ["scan", place.root, "--table", place.table, "--output", str(tmp_path / "out")]
    assert main(command) == 0
    assert place.scan() == ["completed"] * 2
    put_local(tmp_path / "root", {"2.gguf": model(2)})
    assert main(command) == 0
    # Nor does a scan for other agents, or for none.
    assert scan_models(place.root, table=place.table).agents == []
    other = place.command(seconds=0.01)
    assert place.scan(other) == ["completed"]
    assert place.scan() == ["completed"]
    assert place.started() == ["0.gguf", "1.gguf", "2.gguf", "2.gguf"]
    assert place.scan() == []


def test_an_agent_goes_on_from_a_state_that_is_no_longer_kept(tmp_path: Path) -> None:
    place = Place(tmp_path, 2)
    assert place.scan() == ["completed"] * 2
    put_local(tmp_path / "root", {"2.gguf": model(2)})
    assert main(["scan", place.root, "--table", place.table, "--format", "jsonl"]) == 0
    states = sorted((Path(place.table) / "artifacts").glob("*/*.parquet"))
    states[0].unlink()
    assert place.scan() == ["completed"]
    assert place.started() == ["0.gguf", "1.gguf", "2.gguf"]


@pytest.mark.parametrize("moment", ["before it is published", "after it is published"])
def test_a_scan_killed_around_its_publication_loses_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    place = Place(tmp_path, 3)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killing:
        if moment == "before it is published":
            killing.setattr(Table, "publish", killed)
        else:
            killing.setattr(Starting, "begin", killed)
        with pytest.raises(KeyboardInterrupt):
            place.scan()
    assert place.started() == []
    assert place.scan() == ["completed"] * 3
    assert place.scan() == []
    assert place.started() == ["0.gguf", "1.gguf", "2.gguf"]


def test_waiting_starts_of_other_agents_stay(tmp_path: Path) -> None:
    place = Place(tmp_path, 3)
    assert sorted(place.scan(advanced=_most(1))) == [
        "completed",
        "waiting",
        "waiting",
    ]
    other = place.command(seconds=0.01)
    assert place.scan(other) == []  # it is new, and what passes was considered before
    assert place.scan() == ["completed"] * 2
    assert place.started() == ["0.gguf", "1.gguf", "2.gguf"]


def test_a_gate_that_opens_later_starts_what_passed_before(tmp_path: Path) -> None:
    place = Place(tmp_path, 2)
    put_local(tmp_path / "root", {"bad.gguf": model(9)[:40]})
    assert place.scan(gate="scan") == []
    assert place.scan(gate="scan") == []
    (tmp_path / "root" / "bad.gguf").unlink()
    assert main(["scan", place.root, "--table", place.table, "--format", "jsonl"]) == 0
    assert place.scan(gate="scan") == ["completed"] * 2
    assert place.scan(gate="scan") == []


def _has_grown(log: Path, size: int, scan: subprocess.Popen[bytes]) -> bool:
    return scan.poll() is not None or (log.exists() and log.stat().st_size > size)


@pytest.mark.slow
@pytest.mark.timeout(1500)  # a process of Prefect's takes its time to start, twenty-one times
def test_a_scan_that_is_killed_loses_no_start_and_doubles_none(
    tmp_path: Path, prefect: PrefectServer
) -> None:
    """Killed twenty times at random moments while sixty agents start, then left alone once."""
    place = Place(tmp_path, 60)
    command = place.careful_command()
    moments = random.Random(16)
    for _ in range(20):
        before = place.log.stat().st_size if place.log.exists() else 0
        scan = place.begin(prefect, command)
        wait_until(partial(_has_grown, place.log, before, scan), 300)
        time.sleep(moments.random() * 1.5)
        scan.send_signal(signal.SIGKILL)
        scan.wait()
    last = place.begin(prefect, command)
    assert last.wait(300) == 0
    lines = place.lines()
    ended = [name for what, name, _ in lines if what == "end"]
    # One whose end came in the moment of a kill may have run again.
    assert set(ended) == {f"{n}.gguf" for n in range(60)}
    assert [line for line in lines if line[0] == "twice"] == []
    begun: dict[str, list[int]] = {}
    for what, name, attempt in lines:
        if what == "begin":
            begun.setdefault(name, []).append(attempt)
    for attempts in begun.values():
        assert attempts == sorted(set(attempts))  # each is told that it is another one
    assert any(len(attempts) > 1 for attempts in begun.values()), "no kill hit an agent"
    assert place.scan(command) == []


@pytest.mark.slow
def test_of_two_scans_at_once_one_starts_each_agent(tmp_path: Path, prefect: PrefectServer) -> None:
    place = Place(tmp_path, 6)
    scans = [place.begin(prefect, place.command()) for _ in range(2)]
    assert [scan.wait(200) for scan in scans] == [0, 0]
    assert place.started() == [f"{n}.gguf" for n in range(6)]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_a_flow_that_is_stopped_ends_its_agents_and_begins_no_more(
    tmp_path: Path, prefect: PrefectServer, number: signal.Signals
) -> None:
    place = Place(tmp_path, 40)
    command = place.command(seconds=60)
    scan = place.begin(prefect, command)
    wait_until(lambda: len(place.started()) >= 3)
    scan.send_signal(number)
    stopped = time.monotonic()
    assert scan.wait(60) != 0
    assert time.monotonic() - stopped < 5 + PREFECT_SECONDS
    begun = place.started()
    assert marked(str(place.program)) == set()
    assert len(begun) < 40
    # One that is ended before its first line has begun, too.
    interrupted = {start.url.rpartition("/")[2] for start in StartRecord(place.table).interrupted()}
    assert set(begun) <= interrupted
    ends = list(Path(place.table).glob("agents/starts/*/*.end.json"))
    assert len(ends) == len(interrupted) < 40, "the end of each is recorded"


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
    put_local(tmp_path / "root", {"3.gguf": model(3)})
    again = scan_models(place.root, table=place.table, agents=agents)
    assert [run.state for run in again.agents] == ["started"]
    assert again.agents[0].flow_run_id != first.agents[0].flow_run_id
