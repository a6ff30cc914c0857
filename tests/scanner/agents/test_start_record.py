"""Claims on real storage, from processes at once, and what becomes of them when a claimant dies."""

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.agents import survivors
from prefect_mutagen.scanner.agents.start_record import Claim, Standing, Start, StartRecord
from prefect_mutagen.scanner.agents.waiting_starts import Waiting, record_files
from prefect_mutagen.scanner.claimants import this_claimant
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.table.json_files import JsonFiles
from prefect_mutagen.scanner.table.leases import LEASE_SECONDS, Leases
from tests.servers import S3Server

ABOUT = {
    "agent": "evaluate/nightly",
    "launch": "0011",
    "url": "s3://b/m.gguf",
    "pin": "sha256:1",
    "scan_id": "scan-1",
}
START = Start("ab12", ABOUT)
Place = tuple[str, dict[str, Any]]


@pytest.fixture
def lease(place: Place) -> Iterator[str]:
    with Leases(*place).hold(this_claimant("run-1")) as name:
        yield name


def claimed(record: StartRecord, start: Start = START, *, again: bool = False) -> Claim:
    claim = record.claim(start, again=again)
    assert isinstance(claim, Claim), claim
    return claim


def stands(record: StartRecord, start: Start = START, *, again: bool = False) -> Standing:
    found = record.look(start, again=again)
    assert isinstance(found, Standing), found
    assert record.claim(start, again=again) == found
    return found


def test_a_start_is_claimed_once(place: Place, lease: str) -> None:
    one, other = StartRecord(*place, lease=lease, flow_run="run-1"), StartRecord(*place)
    claim = claimed(one)
    assert claim == Claim("ab12", 1)
    claimed(other, Start("cd34", ABOUT))
    open_start = stands(other)
    assert open_start.state == "known"
    assert "flow run run-1 is at work on it" in open_start.message
    one.finish(claim, "completed")
    assert stands(other).message == "already started for these bytes"
    assert stands(other, again=True).state == "known"


def test_a_failed_one_starts_again_only_when_asked_to(place: Place, lease: str) -> None:
    record = StartRecord(*place, lease=lease)
    claim = claimed(record)
    record.finish(claim, "failed", "status 3")
    assert stands(record).state == "known"
    second = claimed(record, again=True)
    assert second.attempt == 2
    assert second.repeats == "attempt 1 failed"
    assert second.name != claim.name
    assert "at work on it" in stands(record, again=True).message


def test_what_failed_last_can_be_found(place: Place, lease: str) -> None:
    record = StartRecord(*place, lease=lease)
    assert record.failed() == []
    for key in ("ab12", "cd34"):
        record.finish(claimed(record, Start(key, ABOUT)), "failed")
    marks = [Waiting.of(ABOUT, key) for key in ("ab12", "cd34")]
    assert record.failed() == marks
    again = claimed(record, again=True)
    assert record.failed() == marks[1:]
    record.finish(again, "completed")
    assert record.failed() == marks[1:]


def test_a_claim_can_be_given_back(place: Place, lease: str) -> None:
    record = StartRecord(*place, lease=lease)
    claim = claimed(record)
    record.give_back(claim)
    assert record.interrupted() == []
    assert claimed(record) == claim


def test_the_run_of_a_deployment_is_claimed_again_under_the_same_key(
    place: Place, lease: str
) -> None:
    deployed = replace(START, is_idempotent=True)
    record = StartRecord(*place, lease=lease)
    first = claimed(record, deployed)
    assert claimed(record, deployed) == first
    record.finish(first, "started")
    assert stands(record, deployed).state == "known"


# What becomes of a start whose claimant is gone.


def _elsewhere(place: Place, age: float) -> str:
    """A lease on another machine, renewed so many seconds ago."""
    claimant = replace(this_claimant("run-9"), boot="another", host="other.example")
    renewed = (datetime.now(UTC) - timedelta(seconds=age)).isoformat()
    files = JsonFiles(place[0], "claimants", "the lease", place[1])
    files.replace("elsewhere", {**claimant.to_plain(), "renewed_at": renewed})
    return "elsewhere"


def _claim_elsewhere(place: Place, guarantee: str, start: Start = START) -> None:
    """Claim a start as another machine does."""
    record = StartRecord(*place, lease="elsewhere", flow_run="run-9")
    claim = claimed(record, start)
    files = record_files(*place)
    name = f"starts/{claim.key[:2]}/{claim.name}"
    made = files.read(name)
    assert made is not None
    claimant = replace(this_claimant("run-9"), boot="another", host="other.example")
    files.replace(name, {**made, "claimant": claimant.to_plain(), "guarantee": guarantee})


_CLAIM_AND_WAIT = """
import sys
from prefect_mutagen.scanner.agents.start_record import Start, StartRecord
from prefect_mutagen.scanner.claimants import this_claimant
from prefect_mutagen.scanner.table.leases import Leases
table, *about = sys.argv[1:]
with Leases(table).hold(this_claimant("run-2")) as lease:
    record = StartRecord(table, lease=lease, flow_run="run-2")
    names = ("agent", "launch", "url", "pin", "scan_id")
    print(record.claim(Start("ab12", dict(zip(names, about)))), flush=True)
    sys.stdin.read()
"""


def _killed(table: str) -> None:
    """Let another process claim the start, and kill it."""
    with subprocess.Popen(
        [sys.executable, "-c", _CLAIM_AND_WAIT, table, *ABOUT.values()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"Claim(")
        assert "is at work on it" in stands(StartRecord(table)).message
        process.kill()


def test_after_its_claimant_was_killed_a_start_is_the_next_attempt(tmp_path: Path) -> None:
    table = str(tmp_path)
    _killed(table)
    with Leases(table).hold(this_claimant("run-3")) as lease:
        record = StartRecord(table, lease=lease, flow_run="run-3")
        assert record.interrupted() == [Waiting.of(ABOUT, "ab12")]
        claim = claimed(record)
        assert claim.attempt == 2
        assert claim.repeats.startswith("attempt 1 was interrupted: process ")
        assert "flow run run-2 is gone" in claim.repeats
        assert record.interrupted() == []
        assert "run-3 is at work on it" in stands(record).message
        record.finish(claim, "completed")
        assert stands(record).message == "already started for these bytes"
        assert record.interrupted() == []


def test_one_that_starts_at_most_once_waits_for_a_person(tmp_path: Path) -> None:
    table, once = str(tmp_path), replace(START, at_most_once=True)
    _killed(table)
    with Leases(table).hold(this_claimant("run-3")) as lease:
        record = StartRecord(table, lease=lease)
        for _ in range(2):
            found = stands(record, once)
            assert found.state == "interrupted"
            assert "it is to be started at most once" in found.message
            assert "prefect-mutagen release ab12-1 --table" in found.message
        assert record.interrupted() == [Waiting.of(ABOUT, "ab12")]
        assert record.release(Claim("ab12", 1)) == ""
        assert record.interrupted() == [Waiting.of(ABOUT, "ab12")]
        claim = claimed(record, once)
        assert (claim.attempt, claim.repeats) == (2, "attempt 1 was released")


def test_one_that_was_ended_with_its_flow_run_is_started_again(place: Place, lease: str) -> None:
    record = StartRecord(*place, lease=lease)
    record.finish(claimed(record), "interrupted", "was ended with its flow run")
    assert record.interrupted() == [Waiting.of(ABOUT, "ab12")]
    once = replace(START, at_most_once=True)
    assert stands(record, once).state == "interrupted"
    assert claimed(record).attempt == 2


@pytest.mark.parametrize(
    ("age", "guarantee", "attempt", "said"),
    [
        (0, "kernel", 0, "is at work on it"),
        (LEASE_SECONDS + 1, "kernel", 2, ""),
        (LEASE_SECONDS + 1, "sweep", 0, "may still run on other.example"),
        (LEASE_SECONDS + 1, "", 0, "may still run on other.example"),
    ],
    ids=["lease holds", "lease ran out", "lease ran out, no namespaces", "guarantee not known"],
)
def test_on_another_machine_the_lease_and_the_guarantee_decide(
    place: Place, age: float, guarantee: str, attempt: int, said: str
) -> None:
    _elsewhere(place, age)
    _claim_elsewhere(place, guarantee)
    record = StartRecord(*place)
    if attempt:
        assert claimed(record).attempt == attempt
    else:
        assert said in stands(record).message


def test_a_flow_run_that_has_ended_elsewhere_is_gone_before_its_lease(place: Place) -> None:
    _elsewhere(place, 0)
    _claim_elsewhere(place, "kernel")
    asked: list[str] = []

    def has_ended(flow_run: str) -> bool:
        asked.append(flow_run)
        return True

    assert claimed(StartRecord(*place, has_ended=has_ended)).attempt == 2
    assert set(asked) == {"run-9"}


def test_a_claimant_that_lives_here_is_believed_over_the_server(place: Place, lease: str) -> None:
    claimed(StartRecord(*place, lease=lease, flow_run="run-1"))
    found = stands(StartRecord(*place, has_ended=lambda _: True))
    assert "is at work on it" in found.message


def test_what_survives_its_claimant_here_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survivors, "_PATIENCE_SECONDS", 0.2)
    _killed(str(tmp_path))
    record = StartRecord(str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        env={survivors.START_VARIABLE: "ab12-1"},
    ) as left:
        found = stands(record)
        assert found.state == "interrupted"
        assert f"process {left.pid} of it still runs" in found.message
        left.kill()
    assert claimed(record).attempt == 2


def test_a_start_of_an_earlier_version_without_an_end_is_listed(place: Place) -> None:
    record = StartRecord(*place)
    record_files(*place).replace("starts/ab/ab12-1", {**ABOUT, "attempt": 1, "at": "2026-11-01"})
    found = stands(record)
    assert found.state == "interrupted"
    assert "earlier version" in found.message
    assert [claim for claim, _ in record.open_claims()] == [Claim("ab12", 1)]
    assert record.release(Claim("ab12", 1)) == ""
    assert list(record.open_claims()) == []
    assert claimed(record).attempt == 2


def test_only_a_start_without_an_end_is_released(place: Place, lease: str) -> None:
    record = StartRecord(*place, lease=lease)
    claim = claimed(record)
    assert "at work on it" in record.release(claim)
    assert record.release(claim, by_force=True) == ""
    assert record.release(Claim("zz", 1)) == "there is no such start"
    again = claimed(record)
    record.finish(again, "completed")
    assert record.release(again) == "it has ended: completed"


def test_marks_of_killed_writers_are_put_right(place: Place, lease: str) -> None:
    """Killed after the mark and before the claim, or after the end and before the mark is gone."""
    record, files = StartRecord(*place, lease=lease), record_files(*place)
    now, past = datetime.now(UTC).isoformat(), "2026-01-01T00:00:00+00:00"
    files.replace("open/early-1", {**ABOUT, "key": "early", "at": now})
    files.replace("open/never-1", {**ABOUT, "key": "never", "at": past})
    claim = claimed(record)
    record.finish(claim, "completed")
    files.replace("open/ab12-1", {**ABOUT, "key": "ab12", "at": now})
    assert record.interrupted() == []
    assert files.names("open") == ["open/early-1"]


def test_keys_of_all_starts(place: Place, lease: str) -> None:
    record = StartRecord(*place, lease=lease)
    assert record.known_keys() == set()
    record.finish(claimed(record), "completed")
    claimed(record, Start("cd34", ABOUT))
    assert record.known_keys() == {"ab12", "cd34"}


def _race(place: Place, ready: Any, won: Any) -> None:
    record = StartRecord(*place)
    ready.wait()
    for number in range(20):
        if isinstance(record.claim(Start(f"{number:04d}", ABOUT)), Claim):
            won.put(number)


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_of_processes_at_once_one_gets_the_claim(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    place: Place = (str(tmp_path / "table"), {})
    if kind == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        place = (f"s3://{server.bucket()}/table", server.options)
    context = multiprocessing.get_context("spawn")
    ready, won = context.Barrier(3), context.Queue()
    racers = [context.Process(target=_race, args=(place, ready, won)) for _ in range(3)]
    for racer in racers:
        racer.start()
    claims = sorted(won.get(timeout=60) for _ in range(20))
    for racer in racers:
        racer.join(60)
    assert claims == list(range(20))
    assert won.empty()


def test_of_two_that_take_over_one_gets_the_next_attempt(tmp_path: Path) -> None:
    _killed(str(tmp_path))
    context = multiprocessing.get_context("spawn")
    ready, won = context.Barrier(3), context.Queue()
    racers = [
        context.Process(target=_take_over, args=(str(tmp_path), ready, won)) for _ in range(3)
    ]
    for racer in racers:
        racer.start()
    attempts = [won.get(timeout=60) for _ in range(3)]
    for racer in racers:
        racer.join(60)
    assert sorted(attempts) == [0, 0, 2]


def _take_over(table: str, ready: Any, won: Any) -> None:
    with Leases(table).hold(this_claimant()) as lease:
        record = StartRecord(table, lease=lease)
        ready.wait()
        claim = record.claim(START)
        won.put(claim.attempt if isinstance(claim, Claim) else 0)
        ready.wait()  # all have tried


def test_a_record_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "agents").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be"):
        StartRecord(str(tmp_path)).claim(START)
    with pytest.raises(StorageError, match="cannot be kept there"):
        StartRecord("nonsense://x")
