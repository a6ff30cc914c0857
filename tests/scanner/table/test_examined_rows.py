"""Rows that are made where artifacts are examined, and a fault while they are."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from prefect_mutagen.scanner import Policy, ScanResult, scan
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.internal_errors import CODE
from prefect_mutagen.scanner.outputs.shown import itself
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.table.examined_rows import RowMaker
from prefect_mutagen.scanner.table.recording import Recording
from prefect_mutagen.scanner.table.runs import texts
from prefect_mutagen.scanner.table.staging import DOCUMENTS, PART, StagingWriter
from prefect_mutagen.scanner.table.table import Table
from tests.builders import gguf
from tests.scanner.storing import put_local


@pytest.fixture
def results(tmp_path: Path) -> list[ScanResult]:
    root = put_local(tmp_path / "root", {f"{n}.gguf": gguf().data for n in range(4)})
    found = sorted(scan(root), key=lambda result: result.url)
    number: str = 5  # type: ignore[assignment]  # a fault of ours: it fits no column of texts
    found[1] = replace(found[1], header_sha256=number)
    return found


def test_a_row_that_fits_no_column_is_counted_shown_and_described(
    results: list[ScanResult],
) -> None:
    (made,) = RowMaker(new_scan("/root", Policy()), itself)(results)
    assert made.rows["status"].to_pylist() == ["passed", "unknown", "passed", "passed"]
    tallies = [shown.tally for shown in made.shown]
    assert [tally.status for tally in tallies] == ["passed", "unknown", "passed", "passed"]
    assert [tally.bytes_read for tally in tallies] == [one.bytes_read for one in results]
    assert [finding.code for finding in made.shown[1].part.findings] == [CODE]
    described = set(made.documents["sbom_id"].to_pylist())
    assert described == set(made.rows["sbom_id"].to_pylist())
    assert made.documents.num_rows == len(results)


def test_a_fault_in_what_is_unknown_anyway_is_shown_as_the_row_says(
    results: list[ScanResult],
) -> None:
    verdict = replace(results[1].verdict, status="unknown")
    results[1] = replace(results[1], pin="", verdict=verdict)
    (made,) = RowMaker(new_scan("/root", Policy()), itself)(results)
    assert [finding.code for finding in made.shown[1].part.findings] == [CODE]
    assert [one["code"] for one in made.rows["findings"][1].as_py()] == [CODE]


def test_one_fault_takes_no_other_row_from_the_staging_area(
    tmp_path: Path, results: list[ScanResult]
) -> None:
    table, info = Table(str(tmp_path / "table"), "/root"), new_scan("/root", Policy())
    (made,) = RowMaker(info, itself)(results)
    urls = texts(made.documents, "url")
    with Recording(info) as recording:
        with StagingWriter(table.files, info) as recording.staging:
            # Documents may come in any order, and some may be missing.
            there = [at for at, url in enumerate(urls) if not url.endswith("/3.gguf")]
            recording.add_rows(made.rows, made.documents.take(there[::-1]))
        recording.staging = None
        recording.close(Summary())
    (name,) = table.files.names(PART)
    with table.files.open(PART, name) as chunk:
        kept = pq.read_table(chunk)
    assert kept["url"].to_pylist() == [results[place].url for place in (0, 1, 2)]
    for row in kept.to_pylist():
        assert [one["url"] for one in row[DOCUMENTS]] == [row["url"]]
