"""Lists of waiting starts on real storage."""

import uuid
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.agents import waiting_starts
from prefect_mutagen.scanner.agents.waiting_starts import Waiting, WaitingStarts, record_files
from tests.servers import S3Server

SCAN = "20991127T033500123456Z-0123abcd"
OLD = "20261101T033500123456Z-01234567"


@pytest.fixture(params=["local", "memory", "s3"])
def lists(request: pytest.FixtureRequest, tmp_path: Path) -> WaitingStarts:
    options: dict[str, Any] = {}
    url = str(tmp_path)
    if request.param == "memory":
        url = f"memory://{uuid.uuid4().hex}"
    elif request.param == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        url, options = f"s3://{server.bucket()}/table", server.options
    return WaitingStarts(record_files(url, options), "s3://b")


def _starts(count: int) -> list[Waiting]:
    return [Waiting(f"u{n}", f"p{n}", f"k{n}", "evaluate", "0011") for n in range(count)]


def test_a_list_counts_once_its_scan_is_published(lists: WaitingStarts) -> None:
    lists.put(SCAN, _starts(2))
    published: set[str] = set()
    assert lists.names(published.__contains__) == []
    published.add(SCAN)
    (name,) = lists.names(published.__contains__)
    assert list(lists.read(name).starts) == _starts(2)
    lists.delete(name)
    assert lists.names(published.__contains__) == []
    assert lists.read(name).starts == ()


def test_long_lists_are_many(lists: WaitingStarts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_starts, "_LENGTH", 3)
    first = lists.put(SCAN, _starts(7))
    assert [len(lists.read(name).starts) for name in first] == [3, 3, 1]
    again = lists.put(SCAN, _starts(1))
    assert not set(again) & set(first)
    assert sorted(first + again) == lists.names(lambda _: True)
    assert lists.put(SCAN, []) == []


def test_lists_of_scans_that_were_never_published_go_after_a_week(lists: WaitingStarts) -> None:
    lists.put(OLD, _starts(1))
    lists.put(SCAN, _starts(1))
    lists.put("scan-1", _starts(1))  # nobody can tell how old it is
    assert lists.names(lambda _: False) == []
    left = {name.rpartition("/")[2] for name in lists.names(lambda _: True)}
    assert left == {f"{SCAN}-000000", "scan-1-000000"}


def test_lists_of_earlier_versions_are_read(tmp_path: Path) -> None:
    files = record_files(str(tmp_path))
    lists = WaitingStarts(files, "s3://b")
    (name,) = lists.put(OLD, _starts(1))
    files.delete(name)
    entry = {"url": "u", "pin": "p", "key": "k"}
    files.replace(f"{name.rpartition('/')[0]}/{OLD}", {"scan_id": OLD, "starts": [entry]})
    (found,) = lists.names({OLD}.__contains__)
    assert lists.read(found).starts == (Waiting("u", "p", "k"),)
