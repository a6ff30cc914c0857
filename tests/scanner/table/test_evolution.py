"""Tables of an older version are read, continued, and queried together with new ones."""

import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from prefect_mutagen.scanner import Policy
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.table.marks import Mark
from prefect_mutagen.scanner.table.runs import texts
from prefect_mutagen.scanner.table.schema import ARTIFACTS, SBOMS, SCANS, SCHEMA_VERSION, conform
from prefect_mutagen.scanner.table.state import Comparison
from prefect_mutagen.scanner.table.table import Table

SOURCE = "memory://models"
PARTS = {"artifacts": ARTIFACTS, "sboms": SBOMS, "scans": SCANS}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table that version 0.1.0 wrote two scans into, and this version a third."""
    shutil.copytree(Path(__file__).parents[2] / "golden/table-v1", tmp_path / "table")
    opened = Table(str(tmp_path / "table"), SOURCE)
    known = opened.read_state()
    assert set(known) == {f"{SOURCE}/a.gguf", f"{SOURCE}/b/model.safetensors"}
    model = known[f"{SOURCE}/b/model.safetensors"]
    assert (model.neighbours, model.drift_details) == (None, ())
    changed = replace(model, pin="sha256:" + "0" * 64, neighbours={"README.md": "etag:1"})
    drift = opened.write(new_scan(SOURCE, Policy()), [changed], Summary())
    assert drift == {"changed": 1, "removed": 1}
    assert opened.read_state()[model.url].drift_details == (), "what was not noted is no change"
    assert set(opened.read_state()) == {model.url}
    return tmp_path / "table"


def test_an_old_state_goes_on_as_slices_sorted(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parents[2] / "golden/table-v1", tmp_path / "table")
    opened = Table(str(tmp_path / "table"), SOURCE)
    state = opened.open_state()
    info, summary = new_scan(SOURCE, Policy(require_license=True)), Summary()
    known = Comparison(state)
    known.marks[: len(state)] = bytes([Mark.KEPT]) * len(state)
    assert opened.write(info, [], summary, known) == {"unchanged": 2}
    assert (summary.passed, summary.failed) == (1, 1)
    with opened.files.open("artifacts", info.id) as file:
        urls = texts(pq.read_table(file), "url")
    assert urls == sorted(urls)


@pytest.mark.parametrize(("part", "rows"), [("artifacts", 8), ("sboms", 5), ("scans", 3)])
def test_duckdb_reads_both_versions_by_name(table: Path, part: str, rows: int) -> None:
    found = duckdb.execute(
        f"SELECT * FROM read_parquet('{table}/{part}/*/*.parquet', union_by_name => true)"  # noqa: S608 - of this test
    )
    assert [column[0] for column in found.description] == PARTS[part].names
    assert len(found.fetchall()) == rows


@pytest.mark.parametrize(("part", "rows"), [("artifacts", 8), ("sboms", 5), ("scans", 3)])
def test_pyarrow_reads_both_versions_with_the_newest_schema(
    table: Path, part: str, rows: int
) -> None:
    dataset = ds.dataset(f"{table}/{part}", schema=PARTS[part], format="parquet")
    assert dataset.to_table().num_rows == rows
    versions = {
        pq.read_schema(path).metadata[b"prefect_mutagen.schema"].decode()
        for path in (table / part).rglob("*.parquet")
    }
    assert versions == {"1", SCHEMA_VERSION}


@pytest.mark.parametrize("part", PARTS)
def test_a_schema_only_grows_at_its_end(part: str) -> None:
    golden = Path(__file__).parents[2] / "golden/table-v1"
    for path in (golden / part).rglob("*.parquet"):
        old = pq.read_schema(path)
        assert old.names == PARTS[part].names[: len(old.names)]
        assert [old.field(name).type for name in old.names] == [
            PARTS[part].field(name).type for name in old.names
        ]


def test_missing_columns_are_null() -> None:
    rows = conform(pa.table({"url": ["a"], "size_bytes": pa.array([1], pa.int32())}), ARTIFACTS)
    assert rows.schema.equals(ARTIFACTS, check_metadata=True)
    (row,) = rows.to_pylist()
    assert (row["url"], row["size_bytes"], row["drift_details"]) == ("a", 1, None)
