from pathlib import Path

import pytest

from prefect_mutagen.scanner import Policy, StorageError
from prefect_mutagen.tasks import list_artifacts, scan_artifact, scan_batch
from prefect_mutagen.tasks.listing import is_passing
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


@pytest.mark.parametrize("task", [list_artifacts, scan_artifact, scan_batch])
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
