from pathlib import Path

import pytest

from prefect_mutagen.scanner import Policy, StorageError
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.table.carried import CarriedRows
from prefect_mutagen.scanner.table.marks import Mark
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.scanner.table.table_scan import TableScan
from prefect_mutagen.tasks import (
    list_artifacts,
    scan_artifact,
    scan_batch,
    write_table,
)
from prefect_mutagen.tasks.listing import is_transient, list_changes
from prefect_mutagen.tasks.recording import publish_scan
from prefect_mutagen.tasks.scanning import scan_rows
from tests.builders import gguf
from tests.scanner.storing import put_local
from tests.tasks.calling import called

GGUF = gguf().data


def test_the_steps_as_plain_functions(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"a.gguf": GGUF, "b.gguf": GGUF[:100]})
    artifacts = called(list_artifacts, root)
    assert [artifact.url for artifact in artifacts] == [f"{root}/a.gguf", f"{root}/b.gguf"]
    assert called(scan_artifact, artifacts[0], root).passed
    policy = Policy(max_size_bytes=1)
    results = called(scan_batch, artifacts, root, policy)
    assert [len(result.verdict.reasons) for result in results] == [1, 2]


@pytest.mark.parametrize("by_value", [False, True], ids=["through-files", "by-value"])
def test_what_has_changed_is_examined_in_batches(tmp_path: Path, by_value: bool) -> None:  # noqa: FBT001 - a column of the table
    root = put_local(tmp_path / "root", {f"{n}.gguf": GGUF for n in range(5)})
    address, folder = str(tmp_path / "table"), str(tmp_path)
    table, scan, summary = Table(address, root), new_scan(root, Policy()), Summary()
    with TableScan(scan, table) as table_scan:
        changes = called(list_changes, root, table_scan.known.state, folder)
        assert changes.selected == len(changes.manifest) == 5
        table_scan.take_over(changes.marks)
        for batch in changes.manifest.batches(2):
            if by_value:
                carried = called(scan_rows, batch.carried(), scan)
                assert isinstance(carried, CarriedRows)
                spooled = carried.put(f"{table_scan.recording.folder}/carried")
            else:
                spooled = called(scan_rows, batch, scan, table_scan.recording.folder)
            table_scan.recording.adopt(spooled, summary)
        table_scan.finish(summary)
        called(publish_scan, address, table_scan.prepare(summary))
    assert (summary.artifacts, summary.passed, summary.requests) == (5, 5, 5)
    (tmp_path / "root/3.gguf").write_bytes(GGUF[:90])
    state = table.open_state()
    for _ in range(2):  # a listing that broke off is done once more
        changes = called(list_changes, root, state, folder)
        assert changes.selected == 5
        assert sorted(changes.marks) == [Mark.MISSING, *[Mark.KEPT] * 4]
        (batch,) = changes.manifest.batches(9)
        assert [artifact.url for artifact in batch.read()] == [f"{root}/3.gguf"]
    assert len(table.read_state()) == 5


def test_results_are_published_as_they_are(tmp_path: Path) -> None:
    root = put_local(tmp_path / "root", {"a.gguf": GGUF, "b.gguf": GGUF[:100]})
    results = scan_batch.fn(list_artifacts.fn(root), root)
    table = str(tmp_path / "table")
    assert called(write_table, table, results, root) == {"added": 2}
    assert called(write_table, table, results[:1], root) == {"unchanged": 1, "removed": 1}
    (known,) = Table(table, root).read_state().values()
    assert known.url == f"{root}/a.gguf"


@pytest.mark.parametrize(
    "task",
    [list_artifacts, list_changes, scan_artifact, scan_batch, scan_rows, write_table, publish_scan],
)
def test_nothing_is_cached_or_kept(task: object) -> None:
    assert task.persist_result is False  # type: ignore[attr-defined]
    assert task.cache_policy.compute_key(None, {}, {}) is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("problem", "again"),
    [
        (StorageError("storage/timeout", "s3://b", "slow"), True),
        (StorageError("storage/throttled", "s3://b", "slow"), True),
        (StorageError("storage/not-found", "s3://b", "gone"), False),
        (ValueError("a bug"), False),
    ],
)
def test_only_passing_trouble_is_tried_again(problem: Exception, again: bool) -> None:  # noqa: FBT001 - a column of the table
    class State:
        def result(self, raise_on_failure: bool) -> Exception:  # noqa: FBT001 - Prefect's interface
            assert not raise_on_failure
            return problem

    assert is_transient(None, None, State()) == again
