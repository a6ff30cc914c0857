"""Sessions of task runs, without a server: the context is all that they look at."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from prefect.context import TaskRunContext

from prefect_mutagen.tasks import scan_sessions
from prefect_mutagen.tasks.scan_sessions import ScanSession, Storage, join_session

ROOT = Storage("memory://sessions", "", all_versions=False, concurrency=3)
Enter = Callable[[UUID, int], None]


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch) -> Enter:
    """Let what follows happen in a task run of this flow run, at this try of it."""

    def be_in(flow_run_id: UUID, attempt: int) -> None:
        run = SimpleNamespace(flow_run_id=flow_run_id, flow_run_run_count=attempt)
        context = SimpleNamespace(task_run=run)
        monkeypatch.setattr(TaskRunContext, "get", lambda: context)

    monkeypatch.setattr(scan_sessions, "_sessions", {})
    return be_in


def _join(storage: Storage = ROOT) -> ScanSession:
    with join_session(storage) as session:
        return session


def test_task_runs_of_a_flow_run_have_one_session(enter: Enter) -> None:
    enter(run := uuid4(), 1)
    first = _join()
    assert _join() is first, "also one after the other"
    assert first.shared is not None
    assert (first.shared.limit.limit, first.shared.slots.free) == (3, 6)
    assert _join(ROOT._replace(source="memory://elsewhere")) is not first
    assert _join(ROOT._replace(concurrency=4)) is not first
    enter(run, 2)
    assert _join() is not first, "storage may have changed since the first try"
    enter(uuid4(), 1)
    assert _join() is not first


def test_outside_of_flow_runs_everybody_is_alone() -> None:
    assert _join() is not _join()


def test_those_in_use_stay_and_few_others_are_kept(enter: Enter) -> None:
    runs = [uuid4() for _ in range(20)]
    with ExitStack() as stack:
        for run in runs[:10]:
            enter(run, 1)
            stack.enter_context(join_session(ROOT))
        for run in runs[10:]:
            enter(run, 1)
            _join()
        assert len(scan_sessions._sessions) == 14
    assert len(scan_sessions._sessions) == 4


def test_storage_is_opened_once_whoever_comes_first(
    enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    begun = threading.Barrier(8)

    def options(block: str) -> dict[str, object]:
        opened.append(block)
        return {}

    def join() -> None:
        begun.wait(30)
        _join(ROOT._replace(block="file/x"))

    enter(uuid4(), 1)
    monkeypatch.setattr(scan_sessions, "storage_options", options)
    threads = [threading.Thread(target=join) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == ["file/x"]


def test_storage_that_cannot_be_opened_is_tried_again_by_the_next(
    enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(block: str) -> dict[str, object]:
        raise ValueError(f"there is no storage block {block!r}")

    enter(uuid4(), 1)
    with monkeypatch.context() as patched:
        patched.setattr(scan_sessions, "storage_options", refuse)
        with pytest.raises(ValueError, match="no storage block"):
            _join()
    assert _join() is _join()


def test_local_files_need_no_loop(enter: Enter, tmp_path: object) -> None:
    enter(uuid4(), 1)
    session = _join(ROOT._replace(source=str(tmp_path)))
    assert session.shared is None
