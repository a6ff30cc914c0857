import logging
from types import SimpleNamespace
from typing import Any

import pytest

from prefect_mutagen.tasks import quiet_ends
from prefect_mutagen.tasks.quiet_ends import ends_quietly

LOGGER = "prefect.task_runs_of_tests"


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the logger of task runs passes on; the current run is number 1."""
    context = SimpleNamespace(task_run=SimpleNamespace(id="1"))
    monkeypatch.setattr(quiet_ends, "TaskRunContext", SimpleNamespace(get=lambda: context))
    monkeypatch.setattr(quiet_ends, "_LOGGER", LOGGER)
    logger, lines = logging.getLogger(LOGGER), _Lines()
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(lines)
    yield lines.said
    logger.removeHandler(lines)


def _log(text: str, run: str, level: int = logging.INFO) -> None:
    logging.getLogger(LOGGER).log(level, text, extra={"task_run_id": run})


def test_only_the_end_of_the_run_itself_is_left_out(lines: list[str]) -> None:
    assert ends_quietly(lambda value: value + 1)(1) == 2
    _log("something", "1")
    _log("Finished in state Completed()", "2")
    _log("Finished in state Completed()", "1")
    assert lines == ["something", "Finished in state Completed()"]
    _log("Finished in state Completed()", "1")  # the run has ended: this is none of ours
    assert len(lines) == 3


def test_what_failed_is_told_once(lines: list[str]) -> None:
    ends_quietly(lambda: None)()
    _log("Task run failed with exception: x", "1", logging.ERROR)
    _log("Finished in state Failed('x')", "1", logging.ERROR)
    assert lines == ["Task run failed with exception: x"]


def test_it_keeps_the_signature_that_prefect_reads() -> None:
    import inspect

    def scans(source: str, *, width: int = 3) -> str:
        return source * width

    assert inspect.signature(ends_quietly(scans)) == inspect.signature(scans)
