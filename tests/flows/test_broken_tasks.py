"""Task runs that break are no verdicts: what they did not examine stays as it was known."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from prefect_mutagen.flows import AgentLaunch, ScanBroken, scan_models
from prefect_mutagen.scanner import StorageError
from prefect_mutagen.scanner.table.recording import Recording
from prefect_mutagen.scanner.table.table import Table
from prefect_mutagen.tasks import scanning
from prefect_mutagen.tasks.storage_blocks import UnusableBlock
from tests.builders import STRING, gguf
from tests.scanner.storing import put_local

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect")]

GGUF = gguf().data
OTHER = gguf((("general.architecture", STRING, "mistral"),)).data
SECRET = "AKIA-hunter2"  # noqa: S105 - no secret of anybody
Plant = Callable[..., None]


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Let the task runs that meet an artifact with such a name raise."""
    real: Any = scanning.examine_artifacts  # type: ignore[attr-defined]

    def raise_at(name: str, problem: BaseException) -> None:
        def breaks(store: Any, artifacts: Any, *rest: Any) -> Any:
            batch = list(artifacts)
            if any(name in artifact.url for artifact in batch):
                raise problem
            return real(store, batch, *rest)

        monkeypatch.setattr(scanning, "examine_artifacts", breaks)

    return raise_at


@pytest.fixture
def root(tmp_path: Path) -> str:
    return put_local(tmp_path / "root", {f"{number}.gguf": GGUF for number in range(5)})


@pytest.mark.parametrize(("most", "lost"), [(0, [3]), (3, [2, 3])], ids=["alone", "in-a-batch"])
def test_what_was_not_examined_stays_as_it_was(
    root: str, tmp_path: Path, plant: Plant, most: int, lost: list[int]
) -> None:
    table = str(tmp_path / "table")
    scan_models(root, table=table)
    before = Table(table, root).read_state()
    put_local(Path(root), {f"{number}.gguf": OTHER for number in range(5)} | {"6.gguf": GGUF})
    plant("3.gguf", RuntimeError(SECRET))
    state: State[Any] = scan_models(root, table=table, max_task_runs=most, return_state=True)
    summary, left_out = state.result(), len(lost)
    assert state.is_completed()
    reason = "RuntimeError at prefect_mutagen.tasks.scanning:_scan"
    assert (state.message or "").startswith(f"{left_out} artifact")
    assert f"not examined and stay as they were known: {reason}" in (state.message or "")
    assert SECRET not in (state.message or "")
    assert (summary.not_examined, summary.examined) == (left_out, 6 - left_out)
    assert summary.counts == {"passed": 6 - left_out, "failed": 0, "unknown": 0}
    assert summary.drift == {"changed": 5 - left_out, "added": 1, "left-out": left_out}
    counted = {row.state: row.objects for row in summary.census if row.role == "weights"}
    assert counted == {"examined": 6 - left_out, "named": left_out}
    after = Table(table, root).read_state()
    for number in range(5):
        url = f"{root}/{number}.gguf"
        assert (after[url].pin == before[url].pin) == (number in lost)
        assert after[url].verdict == before[url].verdict
    plant("nothing", RuntimeError())
    again = scan_models(root, table=table)
    assert (again.examined, again.not_examined) == (left_out, 0)
    assert again.drift == {"changed": left_out, "unchanged": 6 - left_out}


def test_what_is_new_and_was_not_examined_is_not_there(
    root: str, tmp_path: Path, plant: Plant
) -> None:
    table = str(tmp_path / "table")
    plant("3.gguf", RuntimeError())
    assert scan_models(root, table=table).drift == {"added": 4}
    assert len(Table(table, root).read_state()) == 4
    plant("nothing", RuntimeError())
    assert scan_models(root, table=table).drift == {"added": 1, "unchanged": 4}


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (RuntimeError(SECRET), "RuntimeError at prefect_mutagen.tasks.scanning:_scan"),
        (UnusableBlock("the storage block 'a/b' is gone"), "the storage block 'a/b' is gone"),
        (StorageError("storage/denied", "s3://b", "permission denied"), "permission denied"),
    ],
)
def test_where_more_than_a_few_break_nothing_is_published(
    root: str, tmp_path: Path, plant: Plant, problem: Exception, reason: str
) -> None:
    table = str(tmp_path / "table")
    scan_models(root, table=table)
    before = Table(table, root).read_state()
    put_local(Path(root), {f"{number}.gguf": OTHER for number in range(5)})
    plant("gguf", problem)
    state: State[Any] = scan_models(root, table=table, return_state=True)
    assert state.is_failed()
    assert "2 of 5 task runs broke, and nothing was published; the first: " in str(state.message)
    assert reason in str(state.message)
    assert SECRET not in str(state.message)
    with pytest.raises(ScanBroken, match="1 of 1 task run broke"):
        scan_models(root, table=table, max_task_runs=1)
    assert Table(table, root).read_state() == before
    plant("nothing", RuntimeError())
    assert scan_models(root, table=table).drift == {"changed": 5}


def test_a_broken_scan_waits_for_what_still_writes_into_its_folder(
    root: str, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant("1.gguf", RuntimeError())
    breaks: Any = scanning.examine_artifacts  # type: ignore[attr-defined]
    begun, ended, ended_before_deletion = set[str](), set[str](), list[set[str]]()

    def examine(store: Any, artifacts: Any, *rest: Any) -> Any:
        (artifact,) = artifacts
        if artifact.url.endswith(("0.gguf", "1.gguf")):
            while len(begun) < 3:
                time.sleep(0.01)
            raise RuntimeError
        begun.add(artifact.url)
        time.sleep(0.5)
        yield from breaks(store, [artifact], *rest)
        ended.add(artifact.url)

    def delete(recording: Recording, *_: object) -> None:
        ended_before_deletion.append(set(ended))
        recording._temporary.cleanup()

    monkeypatch.setattr(scanning, "examine_artifacts", examine)
    monkeypatch.setattr(Recording, "__exit__", delete)
    with pytest.raises(ScanBroken, match="2 of 5 task runs broke"):
        scan_models(root, max_task_runs=5)
    assert ended_before_deletion == [begun]
    assert len(begun) == 3


def test_a_gate_over_the_whole_scan_needs_all_of_it(
    root: str, tmp_path: Path, plant: Plant
) -> None:
    table, agents = str(tmp_path / "table"), [AgentLaunch(command=["true"])]
    plant("3.gguf", RuntimeError())
    with pytest.raises(ScanBroken, match="1 artifact was not examined"):
        scan_models(root, table=table, gate="scan", agents=agents)
    plant("nothing", RuntimeError())
    assert len(scan_models(root, table=table, gate="scan", agents=agents).agents) == 5
