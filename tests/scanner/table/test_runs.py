"""The external sort, and what the files it ends in are good for."""

import os
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_mutagen.scanner.table import runs as sorted_runs
from prefect_mutagen.scanner.table.runs import Runs, merge, write_parquet

SCHEMA = pa.schema(
    [
        ("url", pa.string()),
        ("texts", pa.map_(pa.string(), pa.string())),
        ("list", pa.list_(pa.struct([("number", pa.int64())]))),
    ]
)


def _never(_row: dict[str, Any], problem: Exception) -> dict[str, Any]:
    raise problem


def _table(keys: list[str]) -> pa.Table:
    rows = [{"url": key, "texts": [("k", key)], "list": [{"number": 1}]} for key in keys]
    return pa.Table.from_pylist(rows, SCHEMA)


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 20_000])
def test_rows_leave_sorted_however_they_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(sorted_runs, "_RUN_BYTES", 20_000)
    monkeypatch.setattr(sorted_runs, "_MERGE_WIDTH", 4)
    chance = random.Random(count)
    keys = [
        f"{chance.randrange(count)}-ü\udcff".encode(errors="replace").decode() for _ in range(count)
    ]
    runs = Runs(str(tmp_path), "run", SCHEMA, _never)
    for key in keys:
        runs.add({"url": key, "texts": [("k", key)], "list": []})
    assert len(os.listdir(tmp_path)) <= 3 * 4, "runs are merged when they become many"
    for _ in range(2):
        rows = [row for table in runs.tables() for row in table.to_pylist()]
        assert [row["url"] for row in rows] == sorted(keys)
        assert all(row["texts"] == [("k", row["url"])] for row in rows)
    runs.clear()
    assert os.listdir(tmp_path) == []


def test_a_row_that_no_column_holds_is_replaced_and_costs_no_other(tmp_path: Path) -> None:
    def stand_in(row: dict[str, Any], problem: Exception) -> dict[str, Any]:
        assert isinstance(problem, Exception)
        return {**row, "list": []}

    runs = Runs(str(tmp_path), "run", SCHEMA, stand_in)
    for number in range(100):
        odd = number in (0, 41, 99)
        listed = [{"number": "no number"}] if odd else [{"number": number}]
        runs.add({"url": f"{number:03}", "texts": [], "list": listed})
    rows = [row for table in runs.tables() for row in table.to_pylist()]
    assert [row["url"] for row in rows] == [f"{number:03}" for number in range(100)]
    assert [number for number, row in enumerate(rows) if not row["list"]] == [0, 41, 99]


def test_large_documents_are_written_before_a_thousand_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorted_runs, "_RUN_BYTES", 1 << 20)
    schema = pa.schema([("url", pa.string()), ("metadata", pa.map_(pa.string(), pa.string()))])
    runs = Runs(str(tmp_path), "run", schema, _never)
    for number in range(30):
        runs.add_document({"url": str(number), "metadata": [("k", "x" * 200_000)]})
    assert len(os.listdir(tmp_path)) >= 4
    assert sum(table.num_rows for table in runs.tables()) == 30


@given(
    st.lists(st.lists(st.lists(st.text("abü😀", max_size=3), max_size=5), max_size=4), max_size=5)
)
def test_merging_is_sorting(sources: list[list[list[str]]]) -> None:
    ordered = []
    for source in sources:
        keys = iter(sorted(key for batch in source for key in batch))
        ordered.append([[next(keys) for _ in batch] for batch in source])
    merged = merge(iter([_table(batch) for batch in source]) for source in ordered)
    found = [key for table in merged for key in table["url"].to_pylist()]
    assert found == sorted(key for source in sources for batch in source for key in batch)


def test_of_equal_keys_the_earlier_source_comes_first() -> None:
    one = _table(["a", "b"])
    two = one.set_column(2, SCHEMA.field(2), pa.array([[], []], SCHEMA.field(2).type))
    rows = [row for table in merge([iter([one]), iter([two])]) for row in table.to_pylist()]
    assert [len(row["list"]) for row in rows] == [1, 0, 1, 0]


def test_one_artifact_is_in_one_row_group(tmp_path: Path) -> None:
    keys = sorted(f"s3://models/organisation-{n % 7}/model-{n:06}.gguf" for n in range(25_000))
    path = str(tmp_path / "t.parquet")
    batches = [_table(keys[start : start + 700]) for start in range(0, len(keys), 700)]
    assert write_parquet(path, SCHEMA, batches) == len(keys)
    metadata = pq.read_metadata(path)
    assert metadata.num_row_groups == 6
    spans: list[tuple[str, str]] = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        assert list(group.sorting_columns) == [pq.SortingColumn(0)]
        statistics: Any = group.column(0).statistics
        spans.append((statistics.min, statistics.max))
        assert group.column(0).has_offset_index, "a reader may go for single pages"
    for key in (keys[0], keys[12_345], keys[-1]):
        assert sum(low <= key <= high for low, high in spans) == 1
