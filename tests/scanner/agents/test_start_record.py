"""Claims on real storage, from processes at once."""

import multiprocessing
import uuid
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.agents.start_record import Claim, StartRecord, Waiting
from prefect_mutagen.scanner.storage.errors import StorageError
from tests.servers import S3Server

ABOUT = {"agent": "evaluate/nightly", "url": "s3://b/m.gguf", "pin": "sha256:1"}
Place = tuple[str, dict[str, Any]]


@pytest.fixture(params=["local", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "local":
        return str(tmp_path / "table"), {}
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}/table", {}
    server: S3Server = request.getfixturevalue("s3_server")
    return f"s3://{server.bucket()}/table", server.options


def test_a_start_is_claimed_once(place: Place) -> None:
    one, other = StartRecord(*place), StartRecord(*place)
    claim = one.claim("ab12", ABOUT)
    assert claim == Claim("ab12", 1)
    assert other.claim("cd34", ABOUT) is not None
    open_end = other.claim("ab12", ABOUT)
    assert open_end == Claim("ab12", 1, fresh=False)
    one.finish(claim, "completed")
    assert other.claim("ab12", ABOUT) is None
    assert other.claim("ab12", ABOUT, again=True) is None


def test_a_failed_one_starts_again_only_when_asked_to(place: Place) -> None:
    record = StartRecord(*place)
    claim = record.claim("ab12", ABOUT)
    assert claim is not None
    record.finish(claim, "failed", "status 3")
    assert record.claim("ab12", ABOUT) is None
    second = record.claim("ab12", ABOUT, again=True)
    assert second == Claim("ab12", 2)
    assert second.name != claim.name
    assert record.claim("ab12", ABOUT, again=True) == Claim("ab12", 2, fresh=False)


def test_what_failed_last_can_be_found(place: Place) -> None:
    record = StartRecord(*place)
    assert record.failed() == []
    for key in ("ab12", "cd34"):
        claim = record.claim(key, ABOUT)
        assert claim is not None
        record.finish(claim, "failed")
    marks = [Waiting(ABOUT["url"], ABOUT["pin"], key) for key in ("ab12", "cd34")]
    assert record.failed() == marks
    again = record.claim("ab12", ABOUT, again=True)
    assert again is not None
    assert record.failed() == marks[1:]
    record.finish(again, "completed")
    assert record.failed() == marks[1:]


def test_a_claim_can_be_given_back(place: Place) -> None:
    record = StartRecord(*place)
    claim = record.claim("ab12", ABOUT)
    assert claim is not None
    record.release(claim)
    assert record.claim("ab12", ABOUT) == claim


def test_what_waits_is_handed_from_scan_to_scan(place: Place) -> None:
    record = StartRecord(*place)
    first, second = Waiting("u1", "p1", "k1"), Waiting("u2", "p2", "k2")
    assert record.waiting("s3://b") == ([], [])
    record.take_over("s3://b", "scan-1", [first], [])
    record.take_over("s3://b", "scan-2", [first, second], [])  # at the same time
    record.take_over("s3://other", "scan-3", [second], [])
    found, lists = record.waiting("s3://b")
    assert (found, len(lists)) == ([first, second], 2)
    now = record.take_over("s3://b", "scan-4", [second], lists)
    assert record.waiting("s3://b") == ([second], now)
    assert record.take_over("s3://b", "scan-4", [], now) == []
    assert record.waiting("s3://b") == ([], [])
    assert record.waiting("s3://other")[0] == [second]


def _race(place: Place, ready: Any, won: Any) -> None:
    record = StartRecord(*place)
    ready.wait()
    for number in range(20):
        claim = record.claim(f"{number:04d}", ABOUT)
        if claim is not None and claim.fresh:
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
    claimed = sorted(won.get(timeout=60) for _ in range(20))
    for racer in racers:
        racer.join(60)
    assert claimed == list(range(20))
    assert won.empty()


def test_a_record_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "agents").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        StartRecord(str(tmp_path)).claim("ab12", ABOUT)
    with pytest.raises(StorageError, match="no record"):
        StartRecord("nonsense://x")
