"""Scans with agents on PostgreSQL, on a database that is locked, and on a server that is killed."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_mutagen.flows import AgentLaunch, scan_models
from tests.agent_starts import Place, wait_until
from tests.postgres_server import PostgresServer, can_run_postgres
from tests.servers import PrefectServer

pytestmark = [pytest.mark.server, pytest.mark.slow]

MODELS = 12
LOCKED_SECONDS = 12


@pytest.fixture
def on_postgres(tmp_path: Path) -> Iterator[PrefectServer]:
    if not can_run_postgres():
        pytest.skip("PostgreSQL is not installed")
    with PostgresServer() as database:
        variable = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database.url}
        with PrefectServer(str(tmp_path / "home"), **variable) as server:
            yield server


def _count(server: PrefectServer, kind: str, **of: object) -> int:
    with server.connect() as http:
        return int(http.post(f"/{kind}/count", json=of).json())


def test_the_whole_way_on_postgresql(on_postgres: PrefectServer, tmp_path: Path) -> None:
    """Two agents for each of twelve models, a command and a deployment."""

    @flow(name="promote")
    def promote(url: str) -> None:
        """Take over a model."""

    place = Place(tmp_path, MODELS)
    with temporary_settings({PREFECT_API_URL: on_postgres.api}):
        deployed: Any = promote.to_deployment("nightly")
        deployed.apply()
        agents = [
            AgentLaunch(command=place.command()),
            AgentLaunch(deployment="promote/nightly", wait=False),
        ]
        summary = scan_models(place.root, table=place.table, agents=agents)
        states = sorted(run.state for run in summary.agents)
        assert states == ["completed"] * MODELS + ["started"] * MODELS
        assert scan_models(place.root, table=place.table, agents=agents).agents == []
    assert place.started() == sorted(f"{n}.gguf" for n in range(MODELS))
    # Two scans, and a flow run for each agent; one that CPython 3.11.7 breaks is made again.
    failed = _count(on_postgres, "flow_runs", flow_runs={"state": {"type": {"any_": ["FAILED"]}}})
    assert _count(on_postgres, "flow_runs") - failed == 2 + 2 * MODELS
    # The first lists, examines, publishes and starts; the second lists and publishes. Prefect adds
    # one for each flow run inside another.
    expected = 1 + MODELS + 1 + MODELS + 2
    wait_until(lambda: _count(on_postgres, "task_runs") >= expected)


def test_a_database_that_is_locked_loses_no_start(tmp_path: Path) -> None:
    place = Place(tmp_path, MODELS)
    home = tmp_path / "home"
    with PrefectServer(str(home)) as server:
        scan = place.begin(server, place.careful_command())
        wait_until(lambda: place.log.exists() and place.log.stat().st_size > 0)
        database = sqlite3.connect(home / "prefect.db", timeout=60, isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        time.sleep(LOCKED_SECONDS)
        begun = sum(what == "begin" for what, _, _ in place.lines())
        database.execute("ROLLBACK")
        database.close()
        assert begun < MODELS, "nobody waited for the database"
        assert scan.wait(240) == 0
    lines = place.lines()
    for what in ("begin", "end"):
        names = sorted(name for each, name, _ in lines if each == what)
        assert names == sorted(f"{n}.gguf" for n in range(MODELS))
