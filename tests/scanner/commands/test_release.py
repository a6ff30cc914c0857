"""Interrupted starts by the command line: listed, released, queried."""

import json
from pathlib import Path

import pytest

from prefect_mutagen.scanner.agents.start_record import Claim, Start, StartRecord
from prefect_mutagen.scanner.agents.waiting_starts import Waiting, WaitingStarts, record_files
from prefect_mutagen.scanner.claimants import this_claimant
from prefect_mutagen.scanner.commands.program import run
from prefect_mutagen.scanner.table.leases import Leases
from tests.builders import gguf
from tests.scanner.storing import put_local


def _claim(table: str, key: str, *, lease: str = "gone") -> Claim:
    about = {
        "agent": "evaluate/nightly",
        "url": f"s3://b/{key}.gguf",
        "pin": "p",
        "source": "s3://b",
    }
    claim = StartRecord(table, lease=lease, flow_run="run-1").claim(Start(key, about))
    assert isinstance(claim, Claim)
    return claim


@pytest.fixture
def table(tmp_path: Path) -> str:
    return str(tmp_path / "table")


def _said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    out, err = capsys.readouterr()
    return out, err


def test_without_a_name_open_starts_are_listed(
    table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["release", "--table", table]) == 0
    said = _said(capsys)[1]
    assert "every start of an agent has an end" in said
    assert "is its address right?" in said, "it may be misspelt"
    _claim(table, "aa11")
    with Leases(table).hold(this_claimant()) as lease:
        _claim(table, "bb22", lease=lease)
        assert run(["release", "--table", table]) == 0
    lines = [line.split("\t") for line in _said(capsys)[0].splitlines()]
    assert [(line[0], line[1], line[4]) for line in lines] == [
        ("aa11-1", "interrupted", "s3://b/aa11.gguf"),
        ("bb22-1", "running", "s3://b/bb22.gguf"),
    ]


@pytest.mark.parametrize("word", ["aa11-1", "aa1", "s3://b/aa11.gguf"])
def test_a_start_is_released_by_name_or_address(
    table: str, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    _claim(table, "aa11")
    _claim(table, "bb22")
    assert run(["release", word, "--table", table]) == 0
    assert "the next scan starts it again" in _said(capsys)[1]
    assert [claim.key for claim, _ in StartRecord(table).open_claims()] == ["bb22"]
    assert run(["release", word, "--table", table]) == 2
    assert "there is no such start without an end" in _said(capsys)[1]


def test_what_runs_is_released_only_by_force(
    table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _claim(table, "aa11")
    with Leases(table).hold(this_claimant()) as lease:
        _claim(table, "bb22", lease=lease)
        assert run(["release", "--all", "--table", table]) == 0
        assert run(["release", "bb22", "--table", table]) == 1
        assert "is at work on it" in _said(capsys)[1]
        assert run(["release", "bb22", "--running", "--table", table]) == 0
    assert list(StartRecord(table).open_claims()) == []


def test_all_goes_without_names(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["release", "aa", "--all", "--table", table]) == 2
    assert "name none besides" in _said(capsys)[1]


def test_starts_can_be_queried(
    tmp_path: Path, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = put_local(tmp_path / "root", {"a.gguf": gguf().data})
    assert run(["scan", root, "--table", table, "--output", str(tmp_path / "out")]) == 0
    (scan_file,) = (Path(table) / "scans").glob("*/*.parquet")
    lists = WaitingStarts(record_files(table), root)
    lists.put(scan_file.stem, [Waiting("u1", "p", "k1", "evaluate")])
    lists.put("scan-not-published", [Waiting("u2", "p", "k2", "evaluate")])
    record = StartRecord(table)
    record.finish(_claim(table, "aa11"), "failed", "status 3")
    _claim(table, "bb22")
    with Leases(table).hold(this_claimant()) as lease:
        _claim(table, "cc33", lease=lease)
        sql = "SELECT url, state, message, attempt, flow_run FROM starts ORDER BY url"
        assert run(["query", sql, "--table", table, "--format", "json"]) == 0
    rows = [tuple(row.values()) for row in json.loads(_said(capsys)[0])]
    assert rows == [
        ("s3://b/aa11.gguf", "failed", "status 3", 1, "run-1"),
        ("s3://b/bb22.gguf", "interrupted", None, 1, "run-1"),
        ("s3://b/cc33.gguf", "running", None, 1, "run-1"),
        ("u1", "waiting", None, None, None),
    ]
