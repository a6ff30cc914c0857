"""The flow of a morning: its state, its artifact, the page beside the table, and one event."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.events.worker import EventsWorker

from prefect_mutagen.flows import DigestSummary, ModelTable, daily_digest
from prefect_mutagen.flows.digest import EVENT
from prefect_mutagen.scanner.policy.policy import Owner
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.tasks.storage_blocks import UnusableBlock
from tests.report_tables import NOW, write_history
from tests.servers import PrefectServer

LIMIT = 60
"""Seconds until the server has stored an event; it stores them in batches."""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = str(tmp_path_factory.mktemp("history") / "table")
    write_history(place, 60, owners=(Owner("research-lab", "lab@example.org"),))
    return place


def _events(server: PrefectServer, table: str) -> list[dict[str, Any]]:
    body = {"filter": {"event": {"name": [EVENT]}, "resource": {"id": [table]}}}
    deadline = time.monotonic() + LIMIT
    while True:
        with server.connect() as client:
            found: list[dict[str, Any]] = client.post("/events/filter", json=body).json()["events"]
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


@pytest.mark.server
def test_a_loud_day(table: str, prefect: PrefectServer) -> None:
    since = "2026-11-26T07:00:00"
    web = "https://models.example.org/table/"
    state = daily_digest(table, since=since, web_address=web, return_state=True)
    assert (state.name, state.type.value) == ("Changed", "COMPLETED")
    assert state.message == "6 newly refused, 1 added, 1 removed"
    summary = state.result()
    assert isinstance(summary, DigestSummary)
    assert summary.counts["newly_refused"] == 6
    assert "newly refused" in Path(summary.page).read_text()
    with prefect.connect() as client:
        body = {"flows": {"name": {"any_": ["daily-digest"]}}}
        (artifact,) = client.post("/artifacts/filter", json=body).json()
        (run,) = client.post("/flow_runs/filter", json=body).json()
    assert artifact["key"].startswith("digest-")
    assert artifact["data"].startswith("# 6 newly refused, 1 added, 1 removed\n")
    assert "* owner: lab\\@example.org" in artifact["data"]
    assert artifact["data"].endswith(f"[The page](<{web}pages/report.html>)\n")
    assert run["state"]["name"] == "Changed"
    assert "/table " in run["name"]
    EventsWorker.instance().drain()
    (event,) = _events(prefect, table)
    assert event["payload"]["newly_refused"] == 6
    assert event["payload"]["page"] == summary.page
    assert not event["payload"]["quiet"]
    related = {one["prefect.resource.role"] for one in event["related"]}
    assert "flow-run" in related


@pytest.mark.server
@pytest.mark.usefixtures("prefect")
def test_a_day_without_a_scan_is_not_quiet(table: str) -> None:
    since = (NOW + timedelta(hours=1)).isoformat()
    state = daily_digest(table, since=since, return_state=True)
    assert (state.name, state.message) == ("Changed", "not scanned")


@pytest.mark.server
@pytest.mark.usefixtures("prefect")
def test_a_table_may_be_a_block(table: str) -> None:
    ModelTable(address=table).save("morning", overwrite=True)
    summary = daily_digest("model-table/morning", since="2026-11-26T07:00:00")
    assert summary.table == table
    with pytest.raises(UnusableBlock, match="'model-table/mornign'"):
        daily_digest("model-table/mornign")


@pytest.mark.server
@pytest.mark.usefixtures("prefect")
def test_what_cannot_be_read_fails_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no table"):
        daily_digest(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="neither a date nor an age"):
        daily_digest(str(tmp_path), since="yesterday")
    with pytest.raises(ValueError, match="the parameter table contains a user"):
        daily_digest("s3://key:secret@bucket/table")
    with pytest.raises(ValueError, match="the parameter web_address contains"):
        daily_digest(str(tmp_path), web_address="https://me:secret@host/table")
