from pathlib import Path

import pytest

from prefect_mutagen.scanner import Policy, StorageError
from prefect_mutagen.scanner.examine.scan_info import new_scan
from prefect_mutagen.scanner.listing.manifest import Manifest
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.table.recording import Recording
from prefect_mutagen.scanner.table.state import State
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.tasks import (
    list_artifacts,
    read_state,
    scan_artifact,
    scan_batch,
    write_table,
)
from prefect_mutagen.tasks.listing import is_passing, list_changes
from prefect_mutagen.tasks.scanning import scan_rows
from tests.builders import gguf
from tests.scanner.storing import put_local

GGUF = gguf().data


def test_the_steps_as_plain_functions(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"a.gguf": GGUF, "b.gguf": GGUF[:100]})
    artifacts = list_artifacts.fn(root)
    assert [artifact.url for artifact in artifacts] == [f"{root}/a.gguf", f"{root}/b.gguf"]
    assert scan_artifact.fn(artifacts[0], root).passed
    policy = Policy(max_size_bytes=1)
    results = scan_batch.fn(artifacts, root, policy)
    assert [len(result.verdict.reasons) for result in results] == [1, 2]


def test_what_has_changed_goes_through_files(tmp_path: Path) -> None:
    root = put_local(tmp_path / "root", {f"{n}.gguf": GGUF for n in range(5)})
    table, manifest = Table(str(tmp_path / "table"), root), Manifest(str(tmp_path / "m"))
    scan, summary = new_scan(root, Policy()), Summary()
    assert list_changes.fn(root, State(), manifest) == len(manifest) == 5
    with Recording(scan) as recording:
        for batch in manifest.batches(2):
            recording.adopt(scan_rows.fn(batch, scan, recording.folder), summary)
        recording.close(summary)
        write_table.fn(str(tmp_path / "table"), recording, summary)
    assert (summary.artifacts, summary.passed, summary.requests) == (5, 5, 5)
    (tmp_path / "root/3.gguf").write_bytes(GGUF[:90])
    state = read_state.fn(str(tmp_path / "table"), root)
    for _ in range(2):  # a listing that broke off is done once more
        assert list_changes.fn(root, state, manifest) == 5
        assert [artifact.url for batch in manifest.batches(9) for artifact in batch.read()] == [
            f"{root}/3.gguf"
        ]
    assert len(table.read_state()) == 5


@pytest.mark.parametrize(
    "task", [list_artifacts, list_changes, scan_artifact, scan_batch, scan_rows, write_table]
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

    assert is_passing(None, None, State()) == again
