import io
import logging
import re
import time

import pytest

from prefect_mutagen.flows import demo_progress
from prefect_mutagen.flows.demo_progress import PhaseHandler, Progress


def _wait_for(stream: io.StringIO, pattern: str) -> None:
    """Wait until something was written; the test's own time limit ends it otherwise."""
    while not re.search(pattern, stream.getvalue()):
        time.sleep(0.01)


def test_on_a_terminal_one_line_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_progress, "_UPDATE_SECONDS", 0.01)
    stream = io.StringIO()
    with Progress(stream, rewrites=True) as progress:
        progress.begin("waiting")
        _wait_for(stream, r"\rdemo: waiting: [1-9]")
        progress.begin("more")
    shown = [line.rpartition("\r")[2] for line in stream.getvalue().split("\n")[:-1]]
    assert [re.sub(r"\d+", "N", line) for line in shown] == [
        "demo: waiting: N s\x1b[K",
        "demo: more: N s\x1b[K",
    ]


def test_elsewhere_lines_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_progress, "_UPDATE_SECONDS", 0.01)
    monkeypatch.setattr(demo_progress, "_REPEAT_SECONDS", 1.0)
    stream = io.StringIO()
    with Progress(stream, rewrites=False) as progress:
        progress.begin("waiting")
        progress.begin("waiting")
        _wait_for(stream, " so far\n")
    assert stream.getvalue().startswith("demo: waiting ...\ndemo: waiting: ")
    assert "waiting: 0 s" not in stream.getvalue()
    assert re.search(r"\ndemo: waiting: \d+ s\n$", stream.getvalue())
    assert stream.getvalue().count("waiting ...") == 1
    assert "\r" not in stream.getvalue()


def test_the_end_of_a_task_begins_the_next_phase() -> None:
    stream = io.StringIO()
    with Progress(stream, rewrites=False) as progress:
        handler = PhaseHandler(progress, {"list": "reading"})
        for step in ("other", "list", "list"):
            handler.emit(logging.makeLogRecord({"step": step}))
        handler.emit(logging.makeLogRecord({}))
    assert stream.getvalue().splitlines()[0] == "demo: reading ..."
    assert stream.getvalue().count("...") == 1
