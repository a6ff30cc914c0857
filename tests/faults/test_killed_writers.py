"""Processes that are killed while they write a table, or write it two at a time."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.storage.options import OPTIONS_VARIABLE
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.table import Table
from tests.faults.endless_writer import COUNT, results
from tests.scanner.storing import S3_SERVERS, s3_table
from tests.servers import S3Server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
SOURCE = "s3://models/all"
FOR_EVER = 10**9


@dataclass(frozen=True)
class Place:
    """Where a table lies."""

    address: str
    options: dict[str, Any]

    def table(self) -> Table:
        return Table(self.address, SOURCE, self.options)

    def start(self, rounds: int) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.faults.endless_writer",
                self.address,
                SOURCE,
                str(rounds),
            ],
            env=os.environ | {OPTIONS_VARIABLE: json.dumps(self.options)},
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )


@pytest.fixture(params=["local", *S3_SERVERS])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "local":
        yield Place(str(tmp_path / "table"), {})
    else:
        yield Place(*s3_table(request))


def _rows(table: Table, part: str, name: str) -> list[dict[str, Any]]:
    with table.files.open(part, name) as file:
        return pq.ParquetFile(file).read().to_pylist()


def _check(table: Table) -> list[str]:
    """See that everything that is there is whole, and is everything; the published scans."""
    scans = table.files.names("scans")
    for name in scans:
        (scan,) = _rows(table, "scans", name)
        assert scan["state_scan_id"] == name
        rows = _rows(table, "artifacts", name)
        there = [row for row in rows if row["drift"] != "removed"]
        assert [row["url"] for row in there] == [f"{SOURCE}/{n:04}.gguf" for n in range(COUNT)]
        documents = {row["sbom_id"] for row in _rows(table, "sboms", name)}
        assert {row["sbom_id"] for row in there} == documents
    for part in ("artifacts", "sboms"):
        for name in table.files.names(part):
            assert len(_rows(table, part, name)) == COUNT, "what is half there is not to be seen"
    state = table.read_state()
    assert len(state) == (COUNT if scans else 0)
    assert {result.pin for result in state.values()} == set(scans[-1:])
    return scans


def test_a_killed_writer_leaves_whole_scans_or_nothing(place: Place) -> None:
    published: list[str] = []
    chance = random.Random(place.address)
    for _ in range(5):
        with place.start(FOR_EVER) as writer:
            assert writer.stdout is not None
            published.append(writer.stdout.readline().strip())
            time.sleep(chance.uniform(0, 0.5))
            writer.kill()
            published += writer.stdout.read().split()
        scans = _check(place.table())
        assert set(published) <= set(scans), "what was said to be published is"
    # The next scan goes on from there, and sweeps up.
    info = new_scan(SOURCE, Policy())
    table = place.table()
    assert table.write(info, results(SOURCE, info.id), Summary()) == {"changed": COUNT}
    table.prune(Retention(keep_states=1, grace_seconds=0))
    assert {part: table.files.names(part) for part in ("artifacts", "sboms", "scans")} == {
        part: [info.id] for part in ("artifacts", "sboms", "scans")
    }
    assert [table.files.leftovers(part) for part in ("artifacts", "sboms", "scans")] == [[]] * 3


def test_a_writer_killed_before_its_first_scan_leaves_no_table(place: Place) -> None:
    for delay in (0.2, 1.0, 1.4):
        with place.start(FOR_EVER) as writer:
            time.sleep(delay)
            writer.kill()
        _check(place.table())


@pytest.mark.parametrize("server", S3_SERVERS)
def test_an_upload_in_parts_is_nowhere_until_it_is_complete(
    server: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    started: S3Server = request.getfixturevalue(server)
    bucket, client = started.bucket(), started.client()
    table = Table(f"s3://{bucket}/table", SOURCE, started.options)
    (tmp_path / "large").write_bytes(random.randbytes(96 << 20))
    code = (
        "import json, sys; from prefect_mutagen.scanner.table.table import Table\n"
        "table = Table(sys.argv[1], sys.argv[2], json.loads(sys.stdin.read()))\n"
        "table.files.publish(sys.argv[3], 'artifacts', 'x')"
    )
    arguments = [f"s3://{bucket}/table", SOURCE, str(tmp_path / "large")]
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, text=True, cwd=ROOT
    ) as writer:
        assert writer.stdin is not None
        writer.stdin.write(json.dumps(started.options))
        writer.stdin.close()
        while not client.list_multipart_uploads(Bucket=bucket).get("Uploads"):
            assert writer.poll() is None, "it was to be caught in the middle"
            time.sleep(0.01)
        writer.kill()
    assert client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert table.files.names("artifacts") == []
    table.files.publish(str(tmp_path / "large"), "artifacts", "x")
    with table.files.open("artifacts", "x") as file:
        assert file.size() == 96 << 20


def test_two_writers_at_once_do_each_other_no_harm(place: Place) -> None:
    writers = [place.start(4) for _ in range(2)]
    said = [writer.communicate(timeout=240)[0].split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert sorted(said[0] + said[1]) == _check(place.table())
    assert len(said[0] + said[1]) == 8
