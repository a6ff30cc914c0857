"""What killed writers left in a table is deleted without any retention, once it is of no use."""

import os
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.table.json_files import JsonFiles
from prefect_mutagen.scanner.table.leases import Leases
from prefect_mutagen.scanner.table.retention import Retention
from prefect_mutagen.scanner.table.schema import SBOMS
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.table.table_scan import TableScan, publish
from tests.faults.endless_writer import results

SOURCE = "s3://models/all"
DAY = 86_400
PARTS = ("artifacts", "sboms", "scans", "looked", "staging")


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(str(tmp_path), SOURCE)


def _scan(table: Table) -> str:
    """Publish a scan; its id."""
    info = new_scan(SOURCE, Policy())
    with TableScan(info, table) as scan:
        summary = Summary()
        for result in results(SOURCE, info.id):
            summary.add(scan.recording.add(result))
        scan.finish(summary)
        assert publish(table, scan.prepare(summary), Retention()) == ""
    return info.id


def _put(table: Table, part: str, name: str, age: float) -> Path:
    path = Path(table.url) / part / table.files._folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age, time.time() - age))
    return path


@pytest.mark.parametrize("part", PARTS)
def test_unfinished_files_are_deleted_after_a_day(table: Table, part: str) -> None:
    old = _put(table, part, ".x.parquet.00c0ffee.tmp", DAY + 60)
    young = _put(table, part, ".y.parquet.00c0ffee.tmp", DAY - 60)
    foreign = _put(table, part, "notes.txt", DAY + 60)
    _scan(table)
    assert (old.exists(), young.exists(), foreign.exists()) == (False, True, True)


def test_states_and_documents_of_scans_that_never_were_published_go(table: Table) -> None:
    first = _scan(table)
    lost = new_scan(SOURCE, Policy()).id
    for part in ("artifacts", "sboms"):
        _put(table, part, f"{lost}.parquet", DAY + 60)
    documents = pa.Table.from_pylist([{"sbom_id": "nobody's"}], schema=SBOMS)
    place = _put(table, "sboms", f"{lost}.parquet", 0)
    pq.write_table(documents, place)
    last = _scan(table)
    assert table.files.names("sboms") == sorted([first, lost, last]), "it may still be published"
    os.utime(place, (time.time() - DAY - 60,) * 2)
    again = _scan(table)
    assert table.files.names("sboms") == sorted([first, last, again])
    assert table.files.names("artifacts") == sorted([first, last, again])


def test_documents_that_a_state_refers_to_stay(table: Table) -> None:
    first = _scan(table)
    kept = _scan(table)
    _scan(table)
    table.files.delete("scans", kept)  # as if a retention had deleted the scan alone
    place = Path(table.url) / "sboms" / table.files._folder / f"{kept}.parquet"
    os.utime(place, (time.time() - DAY - 60,) * 2)
    _scan(table)
    assert {first, kept} <= set(table.files.names("sboms"))


def test_old_chunks_of_roots_that_nobody_scans_any_more_go(table: Table) -> None:
    other = Table(table.url, "s3://models/gone")
    tail = "abcdef01-000000-" + "0" * 32
    recent = new_scan(SOURCE, Policy()).id
    old = _put(other, "staging", f"20200101T000000000000Z-abcdef01-{tail}.parquet", 0)
    young = _put(other, "staging", f"{recent}-{tail}.parquet", 0)
    _scan(table)
    assert (old.exists(), young.exists()) == (False, True)


def test_unfinished_leases_are_swept(tmp_path: Path) -> None:
    files = JsonFiles(str(tmp_path), "claimants", "the lease")
    files.replace("one", {"renewed_at": "x"})
    folder = tmp_path / "claimants"
    for name, age in (("old", DAY + 60), ("young", DAY - 60)):
        path = folder / f".{name}.json.00c0ffee.tmp"
        path.touch()
        os.utime(path, (time.time() - age, time.time() - age))
    Leases(str(tmp_path)).sweep()
    assert [path.name for path in folder.iterdir()] == [".young.json.00c0ffee.tmp"]


def test_what_cannot_be_deleted_is_said_and_costs_no_scan(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put(table, "staging", ".x.parquet.00c0ffee.tmp", DAY + 60)

    def deny(_path: str) -> None:
        raise PermissionError

    monkeypatch.setattr(table.files._fs, "rm_file", deny)
    info = new_scan(SOURCE, Policy())
    with TableScan(info, table) as scan:
        summary = Summary()
        scan.finish(summary)
        remark = publish(table, scan.prepare(summary), Retention())
    assert remark.startswith("the scan is published; what interrupted scans left cannot be deleted")
    assert table.files.names("scans") == [info.id]
